# SPDX-License-Identifier: Apache-2.0
# Every row of the seccomp tables is needed: some run makes its call, or the unit test it names does
# shellcheck shell=bash disable=SC1091,SC2154,SC2016
. "$(dirname "$0")/../lib/common.sh"
command -v strace >/dev/null || skip_all "strace is not there"
is_root || skip_all "strace follows a jail only as root"
gen=$(dirname "$MAYFLY")/gen/seccomp_gen
[ -x "$gen" ] || skip_all "no seccomp_gen beside the program"
"$gen" --rows >"$T/rows" || exit 99
isnt "$(wc -l <"$T/rows")" 0 "the tables can be listed"

# What is called is seen at the entry, before the filter; a thread's file begins to count where its
# filter is loaded.
n=0 prefixes=()
traced() { # STATUS OPTION... -- COMMAND...
	local want=$1
	shift
	n=$((n + 1))
	prefixes+=("$T/trace$n${rw:-}")
	timeout -k 5 "$(scaled 90)" strace -ff -qq -X verbose -e 'raw=!prctl,seccomp,execve,execveat' \
		-o "$T/trace$n${rw:-}" "$MAYFLY" run --engine "$MAYFLY_ENGINE" "$@" \
		<"${VM_IN:-/dev/null}" >"$T/out" 2>"$T/err"
	rc=$?
	is "$rc" "$want" "a traced run: ${*: -1}"
}

echo hello >file
ln -s file link
# Holes, so that the guest asks for them.
truncate -s 3M holes
printf x | dd of=holes bs=1 seek=2000000 conv=notrunc 2>/dev/null
head -c 2000000 /dev/zero >zeros

traced 0 -- true
# QEMU finds more to look at on the host's own file system.
traced 0 --jail reduced -- true
cat >files.sh <<'SH'
cat file link holes /usr/lib/x86_64-linux-gnu/libc.so.6 | wc -c
ls -lR /usr/share/zoneinfo/America | wc -l; ls -la . | wc -l; stat -f . ; readlink link
/usr/bin/python3 -c '
import os
f = os.open("holes", os.O_RDONLY); print(os.lseek(f, 0, os.SEEK_DATA), os.lseek(f, 0, os.SEEK_HOLE))
d = os.open("/usr/bin", os.O_RDONLY); os.listdir(d); os.lseek(d, 0, 0); print(len(os.listdir(d)))
'
SH
traced 0 --cpus 2 --memory 256M -- sh files.sh
# The same and all that changes something, without a quota and with one.
mkdir plain counted
cat >plain/change.py <<'PY'
import os, socket, stat, sys, ctypes
libc = ctypes.CDLL(None)
libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
for top in "/plain", "/counted":
    os.chdir(top)
    f = os.open("f", os.O_RDWR | os.O_CREAT, 0o600)
    os.write(f, b"x" * 100000)
    os.pwrite(f, b"x", 900000)
    os.ftruncate(f, 890000)
    assert libc.fallocate(f, 0, 0, 950000) == 0
    os.fsync(f)
    w = os.open("f", os.O_WRONLY)
    os.fdatasync(w)
    os.fsync(w)
    g = os.open("g", os.O_RDWR | os.O_CREAT, 0o600)
    os.copy_file_range(f, g, 4096)
    os.lseek(f, 0, os.SEEK_HOLE)
    os.mkdir("d")
    d = os.open("d", os.O_RDONLY)
    os.fsync(d)
    libc.fdatasync(d)
    os.mkfifo("p")
    os.symlink("f", "l")
    os.readlink("l")
    os.link("f", "h")
    os.rename("h", "d/h")
    os.chmod("f", 0o640)
    os.chown("f", os.getuid(), os.getgid())
    os.utime("f", (1, 2))
    os.truncate("f", 5000)
    os.setxattr("f", "user.a", b"b")
    os.getxattr("f", "user.a"), os.listxattr("f")
    os.removexattr("f", "user.a")
    os.statvfs(".")
    for i in range(300):
        os.close(os.open("d/%d" % i, os.O_WRONLY | os.O_CREAT))
    e = os.open("d", os.O_RDONLY)
    print(len(os.listdir(e)))
    os.lseek(e, 0, 0)
    print(len(os.listdir(e)))
    os.unlink("p")
try:
    os.pwrite(f, b"x" * 60000, 3 << 20)
    os.write(os.open("full", os.O_WRONLY | os.O_CREAT), b"x" * (2 << 20))
except OSError as e:
    print(e)
PY
rw=-rw traced 0 --cpus 2 --memory 256M --share "$PWD/plain:/plain:rw" --share "$PWD/counted:/counted:rw,size=1500K" -- \
	sh -c 'sh files.sh && /usr/bin/python3 /plain/change.py'
rw=-rw traced 125 -u 0 --share "$PWD/plain:/plain:rw" -- sh -c 'echo b >/proc/sysrq-trigger; sleep 5'
VM_IN=zeros traced 0 -- sh -c 'wc -c; head -c 2000000 /dev/zero; head -c 200000 /dev/urandom'
cat >disk.sh <<'SH'
PATH=$PATH:/usr/sbin:/sbin
dd if=/dev/urandom of=/dev/vda bs=64k count=16 conv=fsync
blkdiscard -f -l 1M /dev/vda; blkdiscard -f -z -l 1M /dev/vda
wc -c </dev/vda
SH
truncate -s 4M disk.img
traced 0 --disk disk.img -- sh disk.sh
export MAYFLY_DISK_IO=threads
traced 0 --disk disk.img -- sh disk.sh
unset MAYFLY_DISK_IO
traced 125 -u 0 -- sh -c 'echo c >/proc/sysrq-trigger'
traced 125 --cpus 2 -u 0 -- sh -c 'echo b >/proc/sysrq-trigger; sleep 5'
traced 124 --console --timeout "$(scaled 4)s" -- sleep 100

# Images need no machine, so the other engine's run has seen to them.
if [ "$MAYFLY_ENGINE" = tcg ]; then
	export XDG_DATA_HOME=$T/data
	mkdir -p tree/many
	for i in {1..300}; do echo "$i" >"tree/many/$i"; done
	ln -s many tree/link
	head -c 3000000 /dev/urandom >tree/large
	/usr/bin/python3 -c 'import os; os.setxattr("tree/large", "user.a", b"b")'
	tar -C tree -czf tree.tar.gz .
	/usr/bin/python3 "$TEST_DIR/lib/images.py" oci_dir layout
	/usr/bin/python3 "$TEST_DIR/lib/images.py" docker saved.tar
	for image in "import --name t tree.tar.gz" "import tree" "import layout" "import saved.tar" "export t out.tar"; do
		n=$((n + 1))
		prefixes+=("$T/trace$n")
		# shellcheck disable=SC2086
		timeout -k 5 60 strace -ff -qq -X verbose -e 'raw=!prctl,seccomp,execve,execveat' \
			-o "$T/trace$n" "$MAYFLY" image $image </dev/null >"$T/out" 2>"$T/err"
		is "$?" 0 "traced: image $image"
	done
fi

/usr/bin/python3 "$TEST_DIR/lib/policy_rows.py" "$T/rows" "$MAYFLY_ENGINE" "${prefixes[@]}" >"$T/found" ||
	fail "the traces can be read"
is "$(grep '^unused ' "$T/found")" "" "each row is used, or a test makes its call"
is "$(grep -E '^(forbidden|unseen) ' "$T/found")" "" "no thread makes another call, every table was loaded"
diag "measured: $(tail -n 1 "$T/found")"
done_testing
