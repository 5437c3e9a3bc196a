# SPDX-License-Identifier: Apache-2.0
# Limits that somebody asked for, and ends of guest and host: each is named, soon, and nothing is left
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"

# What the guest's console said, from the verdict: one line each.
console() { /usr/bin/python3 -c 'import json, sys; print("\n".join(json.load(open(sys.argv[1])).get("console", [])))' "$T/verdict"; }

## Output
vm --output-limit 1000 -- sh -c 'head -c 1000 /dev/zero; exit 3'
is "$rc/$(verdict reason)/$(stat -c %s "$T/out")" 3/exit/1000 "--output-limit: that many bytes are no offence"
vm --output-limit 1000 -- sh -c 'head -c 1001 /dev/zero; exit 3'
is "$rc/$(verdict reason)/$(stat -c %s "$T/out")" 137/output-limit/1000 "one more is: the first ones are delivered"
like "$(err)" "more than the 1000 bytes of --output-limit" "the message names the limit"
vm --output-limit 2M --timeout "$(scaled 30)s" -- sh -c 'yes & exec yes >&2'
is "$rc/$(verdict reason)" 137/output-limit "an endless writer of both outputs is ended"
like "$(tail -n 1 "$T/err")" "^mayfly: .*--output-limit" "the message stands behind what was written"
sed -i '$d' "$T/err"
is $(($(stat -c %s "$T/out") + $(stat -c %s "$T/err"))) $((2 << 20)) "both outputs together have exactly the bytes of the limit"
# A reader that needs longer than the machine's end takes.
seq 1 200000 | head -c 200000 >want
: >"$T/verdict"
mkfifo late
timeout -k 5 "$(scaled 60)" "$MAYFLY" run --engine "$MAYFLY_ENGINE" --output-limit 200000 --status-fd 9 -- sh -c 'seq 1 200000; sleep 60' \
	9>"$T/verdict" 2>"$T/err" </dev/null >late &
BACKGROUND+=("$!")
exec 7<late
dd bs=1 count=1 status=none <&7 >got
machine_ended() { ! pgrep -r D,R,S -P "$(pgrep -P "${BACKGROUND[-1]}")" >/dev/null; }
wait_until 40 machine_ended || fail "the machine ends though nobody reads"
yes_if "and mayfly waits for the reader" kill -0 "${BACKGROUND[-1]}"
cat <&7 >>got
exec 7<&-
wait "${BACKGROUND[-1]}"
is "$(verdict reason)/$(cmp want got && echo same)" output-limit/same "a late reader gets all that the limit lets out, byte by byte"

## Idleness
# Long enough for a slow host's command to say something in between.
idle=$((1 + (MAYFLY_TIME_SCALE + 1) / 2))
vm --idle-timeout "${idle}s" --timeout "$(scaled 40)s" -- sh -c 'echo hi; exec sleep 60'
is "$rc/$(verdict reason)/$(out)" 124/idle/hi "--idle-timeout: a command that says nothing more is ended"
like "$(err)" "nothing went in or out for $idle s" "the message says so"
vm --idle-timeout "${idle}s" -- sh -c "for i in 1 2 3 4 5; do echo \$i; sleep $((idle / 2)); done; exit 6"
is "$rc/$(verdict reason)" 6/exit "one that says something now and then is not"
{ for i in 1 2 3 4; do echo "$i"; sleep $((idle / 2)); done; } |
	timeout -k 5 "$(scaled 60)" "$MAYFLY" run --engine "$MAYFLY_ENGINE" --idle-timeout "${idle}s" -- wc -l >"$T/out" 2>"$T/err"
is "${PIPESTATUS[1]}/$(out)" 0/4 "input counts, too"
vm --idle-timeout "${idle}s" --out /tmp/x:./x -- sh -c 'echo kept >/tmp/x; exec sleep 60'
is "$rc/$(verdict reason)/$(cat x)" 124/idle/kept "with --out the files are copied then"

## Processor time
burn='while :; do :; done'
vm --cpus 0.25 --timeout "$(scaled 1)s" -- true
if [ "$(verdict reason)" = config ]; then
	like "$(err)" "can't limit the machine to 0.25 CPUs: .*cgroup.*whole number" "--cpus 0.25 without a cgroup is refused, with the reason and what to do"
	skip "no cgroup with the cpu controller here" "--cpus 0.25 holds"
else
	# /proc/PID/stat of all that is in the machine's group, in milliseconds
	cat >group.py <<'PY'
import os, subprocess, sys, time
scale = int(os.environ["MAYFLY_TIME_SCALE"])
p = subprocess.Popen([sys.argv[1], "run", "--engine", sys.argv[2], "--cpus", "0.25", "--timeout", "%ds" % (60 * scale),
                      "--", "sh", "-c", "echo started; while :; do :; done"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
p.stdout.readline()
tick = os.sysconf("SC_CLK_TCK")
def group():
    """The directories of this run's machine: those with a descendant of its own."""
    mine = {p.pid}
    for _ in range(4):
        for n in filter(str.isdigit, os.listdir("/proc")):
            try:
                if int(open("/proc/%s/stat" % n).read().rpartition(")")[2].split()[1]) in mine:
                    mine.add(int(n))
            except OSError:
                pass
    return mine
mine = group() - {p.pid}
def used():
    total = 0
    for pid in mine:
        try:
            words = open("/proc/%d/stat" % pid).read().rpartition(")")[2].split()
            total += int(words[11]) + int(words[12])
        except OSError:
            pass
    return total / tick
def throttled():
    n = 0
    for pid in mine:
        for line in open("/proc/%d/cgroup" % pid):
            i, names, path = line.strip().split(":", 2)
            if "mayfly-" not in path or (names != "" and "cpu" not in names.split(",")):
                continue
            for top in ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
                try:
                    for l in open(top + path + "/cpu.stat"):
                        if l.startswith("nr_throttled"):
                            n = max(n, int(l.split()[1]))
                except OSError:
                    pass
    return n
t0, u0 = time.monotonic(), used()
time.sleep(4)
t1, u1 = time.monotonic(), used()
print("share=%d" % (100 * (u1 - u0) / (t1 - t0)))
print("throttled=%d" % throttled())
p.terminate()
p.wait()
PY
	timeout -k 5 "$(scaled 90)" /usr/bin/python3 group.py "$MAYFLY" "$MAYFLY_ENGINE" >"$T/out" 2>"$T/err"
	share=$(val share)
	below "${share:-100}" 31 "--cpus 0.25: a busy guest takes a quarter of a CPU, helper threads included ($share %)"
	below 0 "$(val throttled)" "because the host's kernel throttles it"
fi
vm --cpus 1.5 -- sh -c 'grep -c ^processor /proc/cpuinfo'
if [ "$(verdict reason)" = config ]; then
	skip "no cgroup with the cpu controller here" "--cpus 1.5 is two CPUs"
else
	is "$rc/$(out)" 0/2 "--cpus 1.5 is two CPUs"
fi

## The host's memory
total=$(($(awk '/^MemTotal|^SwapTotal/ { n += $2 } END { print n }' /proc/meminfo) / 1024))
if [ "$total" -gt 65000 ]; then
	skip "this host has more than a machine may ask for" "more memory than the host has is refused"
else
	vm --memory $((total + 1))M -- true
	is "$rc/$(verdict reason)/$(wc -l <"$T/err")" 125/config/1 "more memory than the host has is refused with one line"
	like "$(err)" "available.*--memory.*--force-memory" "that says what to do"
fi
# No false alarm: what is promised to others and not used does not count.
pids=()
for i in 1 2 3 4 5 6 7 8 9 10; do
	timeout -k 5 "$(scaled 100)" "$MAYFLY" run --engine "$MAYFLY_ENGINE" -- true </dev/null >"many.$i" 2>&1 &
	pids+=($!)
done
bad=0
for p in "${pids[@]}"; do wait "$p" || bad=$((bad + 1)); done
cat many.* >"$T/err"
available=$(($(awk '/^MemAvailable/ { print $2 }' /proc/meminfo) / 1024))
if [ "$available" -lt 4000 ]; then
	skip "only $available MiB available" "ten machines of 1 GiB at once"
else
	is "$bad" 0 "ten machines of 1 GiB at once start"
fi
group=/sys/fs/cgroup/memory/mayfly-test-$$
at_exit() { rmdir "$group" 2>/dev/null; }
if is_root && mkdir "$group" 2>/dev/null && echo 300M >"$group/memory.limit_in_bytes" 2>/dev/null; then
	in_group() { (echo 0 >"$group/tasks" && vm "$@"; echo "$rc" >"$T/rc"); rc=$(cat "$T/rc"); }
	in_group --memory 512M -- true
	is "$rc/$(verdict reason)" 125/config "a cgroup with less memory than the guest is to have: refused"
	like "$(err)" "cgroup that mayfly runs in has [0-9]+ MiB left" "which is named"
	in_group --memory 512M --force-memory -- true
	is "$rc" 0 "--force-memory: it is tried"
	in_group --memory 512M --force-memory --timeout "$(scaled 40)s" -- /usr/bin/python3 -c 'b = bytearray(400 << 20); print(len(b))'
	is "$rc/$(verdict reason)" 125/host-oom "when the host kills a process of the machine for lack of memory the verdict says so"
	like "$(verdict process)" '^(qemu|vmm)$' "and which ($(verdict process))"
else
	for i in 1 2 3 4 5; do skip "needs root and cgroup v1's memory controller" "host-oom $i"; done
fi
watch --part "$([ "$MAYFLY_ENGINE" = kvm ] && echo vmm || echo qemu)" --signal KILL -- -- sh -c 'echo started; sleep 60'
like "$rc/$(verdict reason)" '^125/(engine|vmm)-killed$' "a SIGKILL by somebody is not taken for it"

## A guest that ends itself
cat >reboot.py <<'PY'
import ctypes, sys
ctypes.CDLL(None).reboot(int(sys.argv[1], 16))
PY
power_off='/usr/bin/python3 reboot.py 4321fedc' halt='/usr/bin/python3 reboot.py cdef0123' reboot='/usr/bin/python3 reboot.py 01234567'
for c in poweroff halt reboot; do
	if [ -x "/usr/sbin/$c" ]; then
		[ $c = poweroff ] && power_off='/usr/sbin/poweroff -f -f'
		[ $c = halt ] && halt='/usr/sbin/halt -f -f'
		[ $c = reboot ] && reboot='/usr/sbin/reboot -f -f'
	fi
done
# ended COMMAND REASON LINE: as guest root; within a second, from the last line to mayfly's end
ended() {
	watch --limit 40 -- --user 0 --timeout "$(scaled 30)s" -- sh -c "echo started; $1; sleep 60"
	is "$rc/$(verdict reason)/$(out)" "125/$2/started" "$1 is $2"
	like "$(console | tail -n 3)" "$3" "the console's last lines are in the verdict"
	# systemctl is a large program that has to be loaded first.
	soon "$marker_ms" 6000 "$marker_ms ms after the command"
	is "$left" "" "and nothing is left"
}
ended "$power_off" guest-poweroff 'reboot: (Power down|Power off not available)'
ended "$halt" guest-halt 'reboot: System halted'
ended "$reboot" guest-reset 'reboot: Restarting system'
# At once: what the command has said just before may still be on its way.
ended 'sleep 0.3; echo o >/proc/sysrq-trigger' guest-poweroff 'reboot: Power down'
ended 'sleep 0.3; echo b >/proc/sysrq-trigger' guest-reset 'sysrq: Resetting'
vm --user 0 -- sh -c 'echo "<0>it says reboot: System halted" >/dev/kmsg; echo "<0>reboot: System halted!" >/dev/kmsg; sleep 0.3; exit 7'
is "$rc/$(verdict reason)" 7/exit "a line that only quotes it ends nothing"

## Panics
# panicked BEFORE: within a second, from the write that causes it
panicked() {
	watch --limit 40 -- --user 0 --timeout "$(scaled 30)s" -- sh -c "$1; echo started; sleep 0.3; echo c >/proc/sysrq-trigger; sleep 60"
	is "$rc/$(verdict reason)" 125/guest-panic "a panic${2:+ $2} is guest-panic"
	like "$(verdict panic)" '^Kernel panic - not syncing: sysrq triggered crash$' "with its line"
	like "$(err)" 'Kernel panic - not syncing: sysrq triggered crash' "on standard error, too"
	like "$(console)" 'sysrq: Trigger a crash' "and the lines around it"
	below "$(console | wc -l)" 21 "at most 20"
	# 300 of them are the command's own.
	like "$marker_ms" '^[0-9]+$' "what was written before arrives"
	soon "$marker_ms" 2500 "and the end is soon ($marker_ms ms after that)"
}
panicked true
panicked 'echo 0 >/proc/sys/kernel/panic' "without a reset"
panicked 'echo 30 >/proc/sys/kernel/panic' "that waits with its reset"
# All that the host can know of it is what it says.
vm --user 0 --timeout "$(scaled 30)s" -- sh -c 'echo "<0>Kernel panic - not syncing: made up" >/dev/kmsg; sleep 60'
is "$rc/$(verdict reason)" 125/guest-panic "a panic that guest root makes up is one"

## Limits that the guest keeps
limits_met() { sed -nE 's/.*"limits_met":\[([^]]*)\].*/\1/p' "$T/verdict"; }
vm --pids 20 --memory 256M -- /usr/bin/python3 -c 'import errno, os, signal
n, why = 0, 0
while n < 100:
    try:
        pid = os.fork()
    except OSError as e:
        why = e.errno
        break
    if pid == 0:
        signal.pause()
    n += 1
print("few" if n < 20 else n, errno.errorcode.get(why))'
is "$rc/$(verdict reason)/$(out)" "0/exit/few EAGAIN" "--pids: fork fails with EAGAIN, which is no end"
is "$(limits_met)" '"pids"' "but is named in the verdict"
like "$(err)" "could not be made.*see --pids" "and to people"
vm --memory 256M -- sh -c 'cat /sys/fs/cgroup/mayfly/pids.max'
like "$(out)" '^4[0-9][0-9]$' "without --pids: one for each 512 KiB, so that a fork bomb leaves memory to the others ($(out))"
vm --disk-limit 16M --memory 256M -- sh -c 'dd if=/dev/zero of=/tmp/x bs=64k 2>&1 | grep -c "No space"; n=$(stat -c %s /tmp/x); [ $n -le 16777216 ] && [ $n -gt 12000000 ] && echo size; rm /tmp/x; echo y >/tmp/y && echo again'
is "$rc/$(verdict reason)/$(out | tr '\n' ' ')" "0/exit/1 size again " "--disk-limit: writing fails with ENOSPC, which is no end"
is "$(limits_met)/$(err)" "/" "nor worth a word where the command made the best of it"
vm --disk-limit 16M --memory 256M -- sh -c 'exec 2>/dev/null; head -c 20M /dev/zero >/var/tmp/x || exit 3'
is "$rc/$(verdict reason)/$(limits_met)" '3/exit/"disk"' "where it failed the full disk is named"
like "$(err)" "is full.*see --disk-limit" "also to people"
vm --scratch 16M --memory 256M -- sh -c 'head -c 20M /dev/zero >/var/tmp/x'
is "$rc/$(limits_met)" '1/"disk"' "--scratch, too"
vm --memory 256M -- sh -c 'tail /dev/zero; exit 8'
is "$rc/$(verdict reason)/$(verdict oom_process)" 8/exit/tail "a process that the guest killed for lack of memory is named"
like "$(err)" "killed process 'tail'" "in the message, too"
vm --memory 256M -- tail /dev/zero
is "$rc/$(verdict reason)/$(verdict oom_process)" 137/oom/tail "and if it was the command"
watch -- --user 0 --timeout "$(scaled 30)s" -- sh -c 'echo started; kill -USR2 1; sleep 60'
is "$rc/$(verdict reason)/$left" 125/guest-poweroff/ "PID 1 that is asked to power off says goodbye with the reason"

## Other ends
vm --memory 128M -- /usr/bin/python3 -c 'b = bytearray(1 << 30)'
like "$rc/$(verdict reason)" '^(137/oom|1/exit)$' "a guest's process that wants too much"
vm --memory 64M -- sh -c 'exit 9'
is "$rc/$(verdict reason)" 9/exit "64 MiB are enough for a small command"
done_testing
