# SPDX-License-Identifier: Apache-2.0
# What the host does for disks, images and shares: a flush is an fdatasync, and the guest hears of
# it afterwards; an image that two machines read is read once; a limit on the size of files is EFBIG
# shellcheck shell=bash disable=SC1091,SC2154,SC2016
. "$(dirname "$0")/../lib/common.sh"
python=/usr/bin/python3
[ -x "$python" ] || skip_all "no $python"

## A flush: by threads, where it is a system call
cat >flush.py <<'PY'
import os, time
fd = os.open("/dev/vda", os.O_RDWR)
for i in range(4):
    os.pwrite(fd, (b"block %d " % i).ljust(4096, b"."), i * 4096)
    t = time.monotonic()
    os.fsync(fd)
    os.write(1, b"told %d %d\n" % (i, (time.monotonic() - t) * 1000))
PY
cat >order.py <<'PY'
"""Prints for each block whether it was written, then flushed, then told; from strace's file."""
import re
import sys
events, inside = [], {}
for line in open(sys.argv[1], errors="replace"):
    thread = line.split()[0]
    name = re.search(r"(?:<\.\.\. )?(\w+)(?: resumed>|\()", line)
    if not name:
        continue
    name = name.group(1)
    whole = "unfinished" not in line
    if "resumed>" not in line:
        inside[thread] = line
    begun = inside.get(thread, "")
    block = re.search(r'"block (\d+) ', begun)
    told = re.search(r"told (\d+) ", line)
    if name.startswith("pwrite") and block and "disk.img" in begun and whole:
        events.append("written " + block.group(1))
    elif name == "fdatasync" and "disk.img" in begun:
        if "resumed>" not in line:
            events.append("flushing")
        if whole and re.search(r"= 0\b", line):
            events.append("flushed")
    elif name == "sendmsg" and told:
        events.append("told " + told.group(1))
for i in range(4):
    try:
        at = -1
        for e in "written %d" % i, "flushing", "flushed", "told %d" % i:
            at = events.index(e, at + 1)
        # Only what was flushed in between counts.
        between = events[events.index("written %d" % i):events.index("told %d" % i)]
        print(i, "flushing" in between and "flushed" in between)
    except ValueError as e:
        print(i, e, events)
PY
if ! is_root; then
	skip "strace follows a jail only as root" "flushes"
elif ! command -v strace >/dev/null; then
	skip "strace is not there" "flushes"
else
	truncate -s 1M disk.img
	# traced OPTIONS-OF-STRACE...: as vm
	traced() {
		MAYFLY_DISK_IO=threads timeout -k 5 "$(scaled 60)" strace -f -y -s 48 -qq -o "$T/trace" "$@" \
			"$MAYFLY" run --engine "$MAYFLY_ENGINE" --memory 128M --user 0 --disk disk.img -- "$python" flush.py \
			</dev/null >"$T/out" 2>"$T/err"
		rc=$?
	}
	delay=100
	traced -e trace=fdatasync,pwritev,pwritev2,pwrite64,sendmsg -e inject=fdatasync:delay_exit=${delay}000
	is "$rc $(grep -c told "$T/out")" "0 4" "a guest flushes its disk, under strace"
	is "$("$python" order.py "$T/trace" | tr '\n' ' ')" "0 True 1 True 2 True 3 True " \
		"each block is written, then fdatasync is done, then the guest is told"
	is "$(awk -v d=$delay '$3 < d - 20' "$T/out")" "" "no flush takes less time than the fdatasync"
	# strace makes a harmless call in its place: the thread's table has it.
	traced -e trace=fdatasync -e inject=fdatasync:error=EIO:syscall=getpid
	like "$rc $(err)" "^1 .*Input/output error" "where fdatasync fails the guest's fsync does"
fi

## An image's blocks, read by two machines
io_of() { sed -n 's/^read_bytes: //p' "/proc/$1/io"; }
vmm_of() { # PID of mayfly
	local child
	for child in $(pgrep -P "$1"); do
		if [ "$(cat "/proc/$child/comm")" = mayfly-vmm ]; then echo "$child"; else vmm_of "$child"; fi
	done
}
forget() { # FILE: out of the host's page cache
	"$python" -c 'import os, sys
f = os.open(sys.argv[1], os.O_RDONLY)
os.fsync(f)
os.posix_fadvise(f, 0, 0, os.POSIX_FADV_DONTNEED)' "$1"
}
export XDG_DATA_HOME=$W/data
size=$((12 << 20))
if ! is_root; then
	skip "the counters of a jail are root's" "what two machines read"
elif ! command -v busybox >/dev/null; then
	skip "busybox is not there" "what two machines read"
elif [ "$(stat -f -c %T .)" = tmpfs ]; then
	skip "files lie in memory here" "what two machines read"
else
	mkdir -p tree/bin && cp "$(command -v busybox)" tree/bin/ && ln -s busybox tree/bin/sh
	head -c $size /dev/urandom >tree/big
	"$MAYFLY" image import --quiet --name reads tree || fail "import"
	image=$(find data -path '*/sha256/*' -type f)
	# Each waits with what it has mapped until both are through.
	both() { # NAME...
		local name pid
		total=0 pids=() counted=()
		for name; do
			mkfifo "$name.in"
			"$MAYFLY" run --engine "$MAYFLY_ENGINE" --memory 128M --image reads -- \
				/bin/sh -c 'busybox cat /big | busybox wc -c; read x' <"$name.in" >"$name.out" 2>"$name.err" &
			pids+=("$!")
			BACKGROUND+=("$!")
			exec {fd}>"$name.in"
			open+=("$fd")
		done
		for name; do
			wait_until 40 grep -q "^$size$" "$name.out" || fail "$name reads the image: $(cat "$name.err")"
		done
		for pid in "${pids[@]}"; do
			counted+=("$(io_of "$(vmm_of "$pid")")")
		done
		for fd in "${open[@]}"; do exec {fd}>&-; done
		open=()
		for pid in "${pids[@]}"; do wait "$pid"; done
		total=$((${counted[0]:-0} + ${counted[1]:-0}))
	}
	open=()
	forget "$image"
	both one two
	diag "measured: read from the disk for a file of $size bytes: ${counted[*]}"
	yes_if "two machines beside each other read the image's blocks from the disk" [ "$total" -ge $((size * 9 / 10)) ]
	below "$total" $((size * 3 / 2)) "once, not twice"
	both three four
	below "$total" $((size / 10)) "the next two read nothing from it"
fi

## A limit on the size of files
cat >large.py <<'PY'
import errno, os
LIMIT = 160 << 20
def attempt(call, *args):
    try:
        call(*args)
        return "done"
    except OSError as e:
        return errno.errorcode[e.errno]
for name in "/plain/f", "/counted/f":
    f = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
    print(attempt(os.pwrite, f, b"x" * 4096, 0), os.pwrite(f, b"x" * 8192, LIMIT - 4096),
          attempt(os.pwrite, f, b"x" * 4096, LIMIT), attempt(os.ftruncate, f, LIMIT + 1),
          attempt(os.truncate, name, LIMIT + 1), attempt(os.posix_fallocate, f, LIMIT - 4096, 8192),
          attempt(os.pwrite, f, b"y" * 4096, 0), os.fstat(f).st_size)
try:
    d = os.open("/dev/vda", os.O_RDWR)
    os.pwrite(d, b"x" * 4096, 0)
    os.fsync(d)
    os.pwrite(d, b"x" * 4096, LIMIT)
    os.fsync(d)
except OSError as e:
    print(errno.errorcode[e.errno])
PY
mkdir plain counted
truncate -s 192M large.img
# Above guest memory, which is a file of the host's as well.
limited() (
	ulimit -f $((160 << 10))
	vm "$@"
	echo "$rc" >"$T/rc"
)
limited --memory 128M --user 0 --no-cwd --share "$W/plain:/plain:rw" --share "$W/counted:/counted:rw,size=1G" \
	--share "$W/large.py:/large.py" --disk large.img -- "$python" /large.py
rc=$(cat "$T/rc")
is "$rc" 0 "a machine whose user may have no larger files lives on"
is "$(sed -n 1p "$T/out")" "done 4096 EFBIG EFBIG EFBIG EFBIG done 167772160" "a share says EFBIG"
is "$(sed -n 2p "$T/out")" "done 4096 EFBIG EFBIG EFBIG EFBIG done 167772160" "one with a quota, too"
is "$(sed -n 3p "$T/out")" EIO "and a disk EIO"
is "$(stat -c %s plain/f counted/f | tr '\n' ' ')" "167772160 167772160 " "the files are as large as they may be"
done_testing
