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
	prefixes+=("$T/trace$n")
	timeout -k 5 "$(scaled 90)" strace -ff -qq -X verbose -e 'raw=!prctl,seccomp,execve,execveat' \
		-o "$T/trace$n" "$MAYFLY" run --engine "$MAYFLY_ENGINE" "$@" \
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
ls -lR /usr/share/zoneinfo | wc -l; ls -la . | wc -l; stat -f . ; readlink link
/usr/bin/python3 -c '
import os
f = os.open("holes", os.O_RDONLY); print(os.lseek(f, 0, os.SEEK_DATA), os.lseek(f, 0, os.SEEK_HOLE))
d = os.open("/usr/bin", os.O_RDONLY); os.listdir(d); os.lseek(d, 0, 0); print(len(os.listdir(d)))
'
SH
traced 0 --cpus 2 --memory 256M -- sh files.sh
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

/usr/bin/python3 "$TEST_DIR/lib/policy_rows.py" "$T/rows" "$MAYFLY_ENGINE" "${prefixes[@]}" >"$T/found" ||
	fail "the traces can be read"
is "$(grep '^unused ' "$T/found")" "" "each row is used, or a test makes its call"
is "$(grep -E '^(forbidden|unseen) ' "$T/found")" "" "no thread makes another call, every table was loaded"
diag "measured: $(tail -n 1 "$T/found")"
done_testing
