# SPDX-License-Identifier: Apache-2.0
# Guests that misbehave: the host stays fine, the verdict names what happened, the exit is prompt
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
guest_programs kill_init

## Time
vm --timeout 100ms -- true
is "$rc/$(verdict reason)" "124/timeout" "a deadline during the boot is 124"
soon "$ms" 2000 "and prompt ($ms ms)"
# Long enough for the command to run, if only just.
short=$((1 + MAYFLY_TIME_SCALE))s
vm --timeout $short -- sh -c 'trap "" TERM INT HUP; while :; do :; done'
is "$rc/$(verdict reason)" "124/timeout" "a busy command that ignores signals is ended"
soon "$ms" 4500 "in time ($ms ms)"
vm --boot-timeout 50ms -- true
is "$rc/$(verdict reason)" "125/boot-timeout" "--boot-timeout names itself"
if [ "$MAYFLY_ENGINE" = kvm ]; then
	printf '.globl _start\n_start: pause\njmp _start\n' >loop.s
	gcc -nostdlib -static -Wl,-Ttext=0x1000000,--build-id=none -o loop loop.s
	vm --kernel loop --boot-timeout "$(scaled 1)s" -- true
	like "$rc/$(err)" "^125/.*not ready after [0-9]+ s: CPU 0 at RIP 0x10000" "a guest that hangs: the message says where"
	vm --trace-exits --timeout "$(scaled 2)s" -- sleep 100
	like "$rc/$(err)" "^124/.*mayfly: total" "the exits of a machine that is over its time are counted"
fi
t0=$(now_ms)
: >"$T/verdict"
# The reader reads nothing; mayfly's output is stuck.
# shellcheck disable=SC2094 # written by mayfly, read by the waiting side: meant
timeout -k 5 "$(scaled 30)" "$MAYFLY" run --engine "$MAYFLY_ENGINE" --timeout $short --status-fd 9 -- yes 9>"$T/verdict" 2>"$T/err" | {
	wait_until 20 test -s "$T/verdict"
}
rc=${PIPESTATUS[0]} ms=$(($(now_ms) - t0))
is "$rc/$(verdict reason)" "124/timeout" "a deadline holds although nobody reads the output"
soon "$ms" 6000 "and is prompt ($ms ms)"

## Processes
vm --memory 256M -- bash -c ':(){ :|:& };:'
like "$rc/$(verdict reason)" '^(0/exit|137/oom|1/exit|254/exit)$' "a fork bomb ends with its command"
soon "$ms" 20000 "promptly ($ms ms)"
vm --memory 256M --timeout 8s -- bash -c ':(){ :|:& };:; sleep 100'
like "$rc/$(verdict reason)" '^(124/timeout|137/oom)$' "a fork bomb that waits is ended by the deadline"
soon "$ms" 11000 "within 3 s ($ms ms)"
below "$(stat -c %s "$T/err")" 200000 "and does not flood standard error"

## Memory and disk, which is memory
vm --memory 256M -- /usr/bin/python3 -c '
b = []
while True: b.append(bytearray(10 << 20))'
is "$rc/$(verdict reason)" "137/oom" "a memory hog is 137 and oom"
like "$(err)" "memory" "the message names the memory limit"
soon "$ms" 20000 "promptly ($ms ms)"
vm --memory 256M -- sh -c '/usr/bin/python3 -c "
b = []
while True: b.append(bytearray(10 << 20))"; echo "child $?"; exit 3'
is "$rc/$(out)" "3/child 137" "a child that is a memory hog leaves its parent alone"
vm --memory 128M -- tail /dev/zero
is "$rc/$(verdict reason)" "137/oom" "tail /dev/zero in 128 MiB is oom"

VM_LIMIT=100 vm --memory 256M -- sh -c 'e=$(dd if=/dev/zero of=/tmp/x bs=1M 2>&1); echo "$e" | grep -o "No space.*"; rm /tmp/x; echo y >/tmp/y && echo "again $?"'
if [ "$(verdict reason)" = oom ]; then
	fail "dd to /tmp until it is full ends with No space left on device"
else
	is "$rc/$(out)" "0/No space left on device
again 0" "dd to /tmp until it is full ends with No space left on device, and removing helps"
fi
VM_LIMIT=100 vm --memory 256M --user 0 -- sh -c 'for d in /tmp /run /var/tmp /dev/shm /root /usr '"$W"'; do dd if=/dev/zero of=$d/fill bs=1M 2>/dev/null; done; echo end'
is "$rc/$(verdict reason)/$(out)" 0/exit/end "filling every file system leaves memory for programs"
vm --memory 128M --user 0 -- sh -c 'for d in /tmp /dev/shm /run /dev; do df -k --output=size $d | tail -n 1; done'
is "$(sed -n 1,3p "$T/out" | sort -u | wc -l)" 1 "what is written to /tmp, /dev/shm and /run shares one size"
below "$(sed -n 4p "$T/out")" 4097 "/dev is for devices"
VM_LIMIT=100 vm --memory 128M --user 0 -- sh -c 'mkdir /tmp/own && mount -t tmpfs -o size=100% own /tmp/own && exec dd if=/dev/zero of=/tmp/own/fill bs=1M'
is "$rc/$(verdict reason)" 137/oom "a tmpfs of the guest's own that takes all memory is oom"
soon "$ms" 40000 "promptly ($ms ms)"
vm --memory 128M -- /usr/bin/python3 -c 'import os
for i in range(300000): os.mkdir("/tmp/d%d" % i)'
like "$rc/$(verdict reason)" '^([01]/exit|137/oom)$' "very many directories"

## The kernel and PID 1
vm --user 0 -- sh -c 'echo started; sleep 0.5; echo c >/proc/sysrq-trigger; sleep 60'
is "$rc/$(verdict reason)" "125/guest-panic" "echo c > /proc/sysrq-trigger is guest-panic"
is "$(out)" "started" "what was written before arrives"
like "$(err)" "panic|crash" "the message says so"
soon "$ms" 8000 "promptly ($ms ms)"
vm --user 0 -- sh -c 'echo b >/proc/sysrq-trigger; sleep 60'
is "$rc/$(verdict reason)" "125/guest-reset" "echo b > /proc/sysrq-trigger is guest-reset"
soon "$ms" 8000 "promptly ($ms ms)"
vm --user 0 -- ./kill_init
is "$rc/$(verdict reason)" "125/guest-panic" "PID 1 crashed by guest root is guest-panic"
soon "$ms" 8000 "promptly ($ms ms)"
vm --user 0 --timeout $((2 + MAYFLY_TIME_SCALE))s -- ./kill_init stop
is "$rc/$(verdict reason)" "124/timeout" "PID 1 held by a debugger: the deadline still holds"
soon "$ms" 6000 "promptly ($ms ms)"
vm --user 1000 -- ./kill_init
like "$(out)" "attach" "an ordinary guest user can't attach to PID 1"
vm --user 0 -- /usr/bin/python3 -c 'import ctypes; ctypes.CDLL(None).reboot(0x01234567)'
is "$rc/$(verdict reason)" "125/guest-reset" "reboot(2) by guest root is guest-reset"
vm --user 0 -- /usr/bin/python3 -c 'import ctypes; ctypes.CDLL(None).reboot(0x4321fedc)'
like "$rc/$(verdict reason)" "^125/guest-" "power off by guest root ends the run ($(verdict reason))"
soon "$ms" 8000 "promptly ($ms ms)"
vm --user 0 --timeout "$(scaled 20)s" -- sh -c 'kill -9 1; kill -SEGV 1; kill -HUP 1; kill -STOP 1; sleep 0.3
	i=0; while [ $i -lt 3000 ]; do echo "<1>flood flood flood flood flood $i" >/dev/kmsg; i=$((i + 1)); done; exit 5'
is "$rc" 5 "signals do nothing to PID 1, and a flood of kernel messages goes nowhere"
below "$(stat -c %s "$T/err")" 10000 "standard error stays quiet"
vm --user 0 --timeout "$(scaled 20)s" -- sh -c 'p=$$; kill -STOP -1; for i in /proc/[0-9]*; do kill -9 ${i#/proc/} 2>/dev/null; done; exit 6'
like "$rc/$(verdict reason)" '^(6/exit|137/signal)$' "killing everything as guest root ends the command only"

done_testing
