# SPDX-License-Identifier: Apache-2.0
# Disks: --disk and --scratch: data, sizes, read-only, order, locks, holes, flush, errors, Ctrl-C
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
run=("$MAYFLY" run --engine "$MAYFLY_ENGINE")
# Guest root has these in the system view.
PATH=$PATH:/usr/sbin:/sbin

truncate -s 64M fs.img
head -c 3145728 /dev/urandom >ro.img
cp ro.img ro.copy
truncate -s 4M small.img

# A file system of the guest's own, read again by the next machine and by the host.
vm --user 0 --disk fs.img -- sh -ec 'PATH=$PATH:/sbin:/usr/sbin; mkfs.ext4 -q /dev/vda; mkdir /tmp/m; mount /dev/vda /tmp/m
	seq 200000 >/tmp/m/seq; sha256sum </tmp/m/seq; umount /tmp/m'
is "$rc" 0 "mkfs, mount and write on /dev/vda"
sum=$(out)
isnt "$sum" "" "with a sum"
vm --user 0 --disk fs.img:ro -- sh -ec 'mkdir /tmp/m; mount -o ro /dev/vda /tmp/m; sha256sum </tmp/m/seq'
is "$rc/$(out)" "0/$sum" "the next machine reads it"
e2fsck -fn fs.img >fsck.out 2>&1
is $? 0 "the host's fsck finds nothing"
like "$(stat -c %s fs.img)" '^67108864$' "the file keeps its size"
below "$(du -k fs.img | cut -f1)" 20000 "and its holes"

# Order, sizes, serial numbers, read-only, queues.
vm --cpus 2 --user 0 --disk ro.img:ro --disk small.img --scratch 32M:"$W" -- sh -c 'cd /sys/block; for d in vd*; do
	echo "$d $(cat $d/size) $(cat $d/ro) $(cat $d/serial)"; done; ls vda/mq | wc -l; cmp /dev/vda '"$W"'/ro.copy && echo same'
is "$rc" 0 "three disks"
is "$(grep ^vda "$T/out")" "vda 6144 1 mayfly-disk0" "the first is /dev/vda"
is "$(grep ^vdb "$T/out")" "vdb 8192 0 mayfly-disk1" "the second /dev/vdb"
is "$(grep ^vdc "$T/out")" "vdc 65536 0 mayfly-scratch" "and the scratch disk the last"
like "$(out)" "(^|
)2
same" "a queue for each CPU, and the bytes are the file's"

# Read-only is read-only.
vm --user 0 --disk ro.img:ro -- sh -c 'blockdev --setrw /dev/vda; dd if=/dev/zero of=/dev/vda bs=4k count=1 oflag=direct; blkdiscard /dev/vda
	python3 - <<"P"
import os
for mode in os.O_RDWR, os.O_WRONLY:
    try:
        fd = os.open("/dev/vda", mode); os.write(fd, b"x" * 4096); os.fsync(fd); print("written")
    except OSError as e:
        pass
P'
is "$(cmp ro.img ro.copy && echo same)" same "nothing is written to a ':ro' disk"
unlike "$(out)" written "and the guest is told"

# Discard gives blocks back, zeroing reads as zeros.
head -c 4194304 /dev/urandom >small.img
vm --user 0 --disk small.img -- sh -ec 'PATH=$PATH:/sbin:/usr/sbin; blkdiscard -f -o 0 -l 2M /dev/vda; blkdiscard -f -z -o 2M -l 1M /dev/vda
	head -c 3145728 /dev/vda | cmp -n 3145728 - /dev/zero && echo zeros'
is "$rc/$(out)" 0/zeros "discard and write-zeroes"
below "$(du -k small.img | cut -f1)" 2052 "discarded blocks are the host's again"

# Ends of the disk, and a writer that does not stop there.
vm --user 0 --disk small.img -- sh -c 'dd if=/dev/zero of=/dev/vda bs=1M 2>&1 | grep -c "No space"; dd if=/dev/vda bs=1M skip=3 2>/dev/null | wc -c'
is "$(out)" "1
1048576" "a disk ends where its file does"
is "$(stat -c %s small.img)" 4194304 "which does not grow"

# Through threads, where io_uring is forbidden.
head -c 4194304 /dev/urandom >data && cp data threads.img
export MAYFLY_DISK_IO=threads
vm --user 0 --verbose --disk threads.img -- sh -ec 'sha256sum </dev/vda; dd if=/dev/zero of=/dev/vda bs=64k count=16 conv=fsync 2>/dev/null; blkdiscard -f -o 2M -l 1M /dev/vda'
unset MAYFLY_DISK_IO
is "$rc" 0 "the same without io_uring"
is "$(out | cut -d' ' -f1)" "$(sha256sum <data | cut -d' ' -f1)" "reads the same bytes"
like "$(err)" "served by threads" "by threads"
is "$(head -c 1048576 threads.img | cmp -n 1048576 - /dev/zero && echo zeros)" zeros "and writes them"

# One writer, or any number of readers.
"${run[@]}" --disk small.img -- sleep "$(scaled 20)" >/dev/null 2>first.err &
first=$!
# shellcheck disable=SC2010
locked() { grep -q "OFDLCK.*:$(stat -c %i small.img) " /proc/locks; }
wait_until 20 locked || fail "the first machine has its disk"
vm --disk small.img -- true
is "$rc" 125 "a second machine with the same disk is refused"
like "$(err)" "small.img.*in use" "and told why"
vm --disk small.img:ro -- true
is "$rc" 125 "also for reading"
kill -9 "$first"
wait "$first" 2>/dev/null
vm --disk small.img -- true
is "$rc" 0 "after kill -9 of the first it is free"
vm --disk ro.img:ro --disk ro.img:ro -- true
is "$rc" 0 "two readers"

# Scratch: changes go to a file that nobody sees, which may be larger than memory.
before=$(find "$W" -mindepth 1 -maxdepth 1 | wc -l)
vm --memory 128M --scratch 1G:"$W" -- sh -c 'df --output=source,target / /tmp /run | sed 1d; dd if=/dev/zero of=/tmp/big bs=1M count='"$(fewer 300)"' 2>/dev/null; stat -c %s /tmp/big
	ls '"$W"' | grep -c scratch; echo x >here; cat here'
is "$rc" 0 "--scratch takes more than memory"
like "$(out)" "/dev/vda +/tmp" "/tmp is on it"
like "$(out)" "tmpfs +/run" "/run is not"
like "$(out)" "$(($(fewer 300) * 1048576))
0
x" "and the current directory"
is "$(find "$W" -mindepth 1 -maxdepth 1 | wc -l)" "$before" "nothing is left of it"
vm --user 0 --scratch 16M -- sh -c 'dd if=/dev/zero of=/tmp/x bs=1M 2>&1 | grep -c "No space"; rm /tmp/x; echo y >/tmp/y; cat /tmp/y'
is "$rc/$(out)" "0/1
y" "a full scratch disk is No space left on device, and removing helps"

# What is refused, with one line each.
for args in "--disk nope:No such file" "--disk .:directory" "--disk /dev/null:neither a file" "--disk ro.copy2:512" \
	"--disk ro.img:ro --disk small.img --disk fs.img --scratch 1G:at most 3" "--scratch 1K:whole number" "--scratch 1G;/nope:nope" "--scratch banana:banana" "--disk=:ro:FILE"; do
	head -c 1000 ro.img >ro.copy2
	opts=${args%:*}
	# shellcheck disable=SC2086
	vm ${opts/;/:} -- true
	is "$rc" 125 "$opts: 125"
	like "$(err)" "${args##*:}" "$opts: says what is wrong"
	is "$(wc -l <"$T/err")" 1 "$opts: in one line"
done
if is_root; then
	skip "a disk without permission" "root may write everything"
else
	cp ro.img locked.img && chmod 400 locked.img
	vm --disk locked.img -- true
	is "$rc" 125 "a disk that can't be written: 125"
	like "$(err)" "locked.img.*:ro" "the message names ':ro'"
	vm --disk locked.img:ro -- head -c 1 /dev/vda
	is "$rc" 0 "with ':ro' it is the user's in the guest, too"
fi

# A disk on a full file system: an I/O error in the guest, not the end of the machine.
if is_root; then
	mkdir full && mount -t tmpfs -o size=2M none full && truncate -s 8M full/d.img
	vm --user 0 --disk full/d.img -- sh -c 'dd if=/dev/urandom of=/dev/vda bs=1M count=8 conv=fsync 2>&1 | grep -ci "error"; echo on'
	like "$(out)" "on" "a full host disk is an I/O error in the guest"
	is "$rc" 0 "and no more than that"
	# The ring gives its file back a moment after its process is gone.
	yes_if "and lets go of the disk" wait_until 10 umount full
else
	skip "a full host disk" "only root mounts one"
fi

# Ends at any time leave nothing: no process, and the file is free at once.
truncate -s 0 small.img && truncate -s 4M small.img
"${run[@]}" --user 0 --disk small.img -- sh -c 'while :; do dd if=/dev/urandom of=/dev/vda bs=64k 2>/dev/null; done' >/dev/null 2>&1 &
busy=$!
written() { ! cmp -s -n 65536 small.img /dev/zero; }
wait_until 30 written || fail "the guest writes"
kill -INT "$busy"; wait "$busy"; rc=$?
is "$rc" 130 "Ctrl-C during writes: 130"
vm --disk small.img -- true
is "$rc" 0 "and the disk is free"
done_testing
