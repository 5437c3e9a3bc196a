# SPDX-License-Identifier: Apache-2.0
# Root of the guest works against the agent that serves him: PID 1 goes on, and keeps its promises
# shellcheck shell=bash disable=SC1091,SC2154,SC2016
. "$(dirname "$0")/../lib/common.sh"
not_again
machines=()
at_exit() { [ "${#machines[@]}" -eq 0 ] || timeout -k 5 "$(scaled 60)" "$MAYFLY" rm -f "${machines[@]}" >/dev/null 2>&1; }
me=agent-$$
start() {
	local name=$1
	shift
	machines+=("$name")
	timeout -k 5 "$(scaled 90)" "$MAYFLY" start --engine "$MAYFLY_ENGINE" --name "$name" "$@" </dev/null >"$T/out" 2>"$T/err"
	rc=$?
}
mf() { timeout -k 5 "$(scaled "${VM_LIMIT:-30}")" "$MAYFLY" "$@" </dev/null >"$T/out" 2>"$T/err"; rc=$?; }
# As root of the guest, with a deadline of the guest's own.
ex() { mf exec --user 0 "$@"; }
# With a terminal
ext() { timeout -k 5 "$(scaled 30)" /usr/bin/python3 -c 'import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))' \
	"$MAYFLY" exec -t --user 0 "$@" </dev/null >"$T/out" 2>"$T/err"; rc=$?; }

start "$me" --memory 256M
is "$rc/$(out)" "0/$me" "a machine"

## Signals
ex "$me" -- sh -c 'kill -9 -1; for s in KILL STOP SEGV PIPE HUP ALRM; do kill -$s 1; done; echo on'
is "$rc/$(out)" 0/on "signals to PID 1 and to all"

## What PID 1 would open by a name, under a FIFO that nobody writes
ex "$me" -- sh -c 'mkfifo /tmp/f; mount --bind /tmp/f /proc/meminfo && mount --bind /tmp/f /dev/kmsg && mount --bind /tmp/f /dev/pts/ptmx; rm -f /dev/ptmx; echo on'
is "$rc/$(out)" 0/on "FIFOs are mounted over meminfo, kmsg and ptmx"
mf stats --json "$me"
is "$rc/$(grep -cE '"memory_(total|available)": [1-9]' "$T/out")" 0/2 "stats has the guest's numbers all the same"
ext "$me" -- true
is "$rc/$(grep -c "can.t make a terminal" "$T/out")" 126/1 "a terminal is refused, not waited for"
ex "$me" -- /usr/bin/python3 -c 'x = [bytearray(1 << 20) for i in range(4000)]'
like "$rc/$(err)" "^137/.*out of memory.*'python3'" "the process that memory ran out for is named"
ex --timeout "$(scaled 1)s" "$me" -- sh -c 'd=$(sed s,^0::,,  /proc/self/cgroup); mount --bind /tmp/f /sys/fs/cgroup$d/cgroup.kill; setsid sleep 1000 & exec sleep 1000'
like "$rc/$(err)" '^124/.*timeout' "a FIFO over cgroup.kill: the timeout is kept"
ex "$me" -- sh -c 'pgrep -x sleep || echo none'
is "$(out)" none "and everything is dead"

## Without descriptors
ex "$me" -- prlimit --pid 1 --nofile=3:3
is "$rc" 0 "PID 1 may open nothing more"
ex "$me" -- echo on
is "$rc/$(out)" 0/on "it takes that back"

## Out of its cgroup
ex --timeout "$(scaled 1)s" "$me" -- sh -c 'echo $$ >/sys/fs/cgroup/cgroup.procs; sleep 1000; exit 3'
is "$rc" 124 "a command that has left its cgroup has its timeout"
ex "$me" -- sh -c 'pgrep -x sleep || echo none'
is "$(out)" none "and is dead behind it"

## More processes than there is room for
ex --timeout "$(scaled 3)s" "$me" -- bash -c 'b() { b | b & }; b; exec sleep 1000' &
bomb=$!
wait_until 20 grep -q . "$T/err"
t0=$(now_ms)
wait "$bomb"
soon $(($(now_ms) - t0)) 6000 "a fork bomb ends with its timeout"
like "$(grep mayfly: "$T/err")" 'timeout: the command and all that it started were killed' "the agent has ended it"
ex "$me" -- sh -c 'ps -eo stat= | grep -c Z'
is "$(out)" 0 "no zombie is left"

## A file system that never answers
cat >hang.py <<'PY'
import ctypes, os, sys, time
fd = os.open("/dev/fuse", os.O_RDWR)
os.makedirs("/tmp/hang", exist_ok=True)
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"x", b"/tmp/hang", b"fuse", 0, b"fd=%d,rootmode=40000,user_id=0,group_id=0" % fd) < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print("mounted", flush=True)
time.sleep(1000)
PY
mf exec --detach --user 0 "$me" -- /usr/bin/python3 hang.py
wait_until 10 timeout 10 "$MAYFLY" exec --user 0 "$me" -- grep -q /tmp/hang /proc/mounts
mkfifo in
timeout -k 5 "$(scaled 40)" "$MAYFLY" exec "$me" -- sh -c 'echo started; cat; echo done' <in >"$T/cat" 2>&1 &
cat=$!
exec 8>in
wait_until 10 grep -q started "$T/cat"
timeout -k 5 "$(scaled 20)" "$MAYFLY" exec --timeout "$(scaled 5)s" --user 0 --workdir /tmp/hang "$me" -- true >"$T/hang" 2>&1 8>&- &
hang=$!
wait_until 10 timeout 10 "$MAYFLY" exec --user 0 "$me" -- sh -c 'for p in /proc/[0-9]*; do case $(cat $p/stat) in *"(init) D "*) exit 0;; *"(init) S "*) [ $p = /proc/1 ] || exit 0;; esac; done; exit 1'
exec 8>&-
wait_until 3 grep -qx "done" "$T/cat"
is "$(tail -n 1 "$T/cat")" "done" "a command that hangs before it runs keeps nobody else's stdin open"
wait "$cat"
is "$?" 0 "whose command ends"
wait "$hang"
is "$?/$(grep -c timeout: "$T/hang")" 124/1 "it has its timeout itself"
mf stop "$me"
is "$rc" 0 "the machine stops"

## What was written to a disk is there after stop
truncate -s 64M disk.img
/usr/sbin/mkfs.ext4 -q -F disk.img
start "$me-d" --memory 256M --disk disk.img
ex "$me-d" -- sh -c 'mkdir -p /tmp/d; mount /dev/vda /tmp/d && seq 200000 >/tmp/d/file; sha256sum </tmp/d/file'
want=$(out)
mf stop "$me-d"
is "$rc" 0 "a machine with a disk stops"
is "$(/usr/sbin/debugfs -R 'cat file' disk.img 2>/dev/null | sha256sum)" "$want" "with what was written to it a moment ago"
done_testing
