# SPDX-License-Identifier: Apache-2.0
# What one run of true costs the host, counted: processes, programs, system calls, faults, bytes
# shellcheck shell=bash disable=SC1091,SC2154
. "$(dirname "$0")/../lib/common.sh"
not_again

# at_most NUMBER LIMIT DESCRIPTION
at_most() {
	if [ "${1:-0}" -gt 0 ] && [ "$1" -le "$2" ]; then pass "$3 ($1)"; else fail "$3 ($1, $2 is the limit)"; fi
	diag "measured: $3: $1"
}
# limit TCG KVM
limit() { if [ "$MAYFLY_ENGINE" = kvm ]; then echo "$2"; else echo "$1"; fi; }

# --- processes and system calls ------------------------------------------------
cat >calls.py <<'PY'
# Reads strace -ff files PREFIX.PID; prints "processes N", "threads N", "programs N", and for each
# program the system calls of all processes and threads that were it when they made them.
import collections, glob, re, sys
# A child in a PID namespace of its own has its outer PID in a comment.
CLONE = re.compile(r"^(?:clone3?|v?fork)\(.* = (?:\d+ /\* )?(\d+)(?: in strace's PID NS \*/)?$")
files = {int(f.rsplit(".", 1)[1]): open(f, errors="replace").read().splitlines()
         for f in glob.glob(sys.argv[1] + ".*")}
starts, calls, count = {}, collections.Counter(), collections.Counter()
made = {int(m.group(1)) for lines in files.values() for m in map(CLONE.match, lines) if m}
todo = [p for p in files if p not in made]
assert len(todo) == 1, todo
starts[todo[0]] = "?"
count["processes"] = 1
while todo:
    pid = todo.pop()
    name = starts[pid]
    for line in files[pid]:
        if line.startswith(("+++", "---")):
            continue
        program = re.match(r'execve(?:at)?\([^[]*\["([^"]*)"', line)
        if program and line.endswith(" = 0"):
            name = program.group(1).rsplit("/", 1)[-1]
            count["programs"] += 1
        calls["qemu" if name.startswith("qemu") else name] += 1
        child = CLONE.match(line)
        if child:
            count["threads" if "CLONE_THREAD" in line else "processes"] += 1
            starts[int(child.group(1))] = name
            todo.append(int(child.group(1)))
assert set(starts) == set(files), (starts, list(files))
for name, n in list(count.items()) + list(calls.items()):
    print(name, n)
PY
if ! command -v strace >/dev/null; then
	skip "strace is not there" "processes and system calls"
else
	mkdir trace
	timeout -s KILL "$(scaled 60)" strace -ff -qq -s 256 --decode-pids=pidns -o trace/s "$MAYFLY" run \
		--engine "$MAYFLY_ENGINE" -- true </dev/null >"$T/out" 2>"$T/err"
	is "$?" 0 "a run under strace"
	/usr/bin/python3 calls.py trace/s >"$T/calls" 2>"$T/err"
	is "$?/$(err)" "0/" "its calls can be told apart"
	count() { awk -v name="$1" '$1 == name { print $2 }' "$T/calls"; }
	diag "measured: $(tr '\n' ';' <"$T/calls")"
	at_most "$(count processes)" "$(limit 5 4)" "processes"
	at_most "$(count threads)" "$(limit 4 3)" "threads besides their first"
	at_most "$(count programs)" "$(limit 5 4)" "programs that are executed"
	at_most "$(count mayfly)" 1100 "system calls of mayfly"
	at_most "$(count mayfly-jailer)" 1500 "of mayfly-jailer, the jails it makes included"
	at_most "$(count mayfly-vmm)" "$(limit 1300 1800)" "of mayfly-vmm"
	at_most "$(count mayfly-fs)" 500 "of mayfly-fs"
fi

# --- page faults ----------------------------------------------------------------
cat >faults.py <<'PY'
# Prints the page faults so far of each of our processes below a PID.
import os, sys
todo = [int(sys.argv[1])]
while todo:
    pid = todo.pop()
    for t in os.listdir("/proc/%d/task" % pid):
        todo += map(int, open("/proc/%d/task/%s/children" % (pid, t)).read().split())
    name = os.path.basename(open("/proc/%d/cmdline" % pid).read().split("\0")[0])
    stat = open("/proc/%d/stat" % pid).read().rpartition(")")[2].split()
    print(name, int(stat[7]) + int(stat[9]))
PY
mkfifo in
"$MAYFLY" run --engine "$MAYFLY_ENGINE" --timeout "$(scaled 60)s" -- sh -c 'echo ready; read -r x' \
	<in >"$T/out" 2>"$T/err" &
pid=$!
BACKGROUND+=("$pid")
exec 7>in
if wait_until 40 grep -q ready "$T/out" && /usr/bin/python3 faults.py "$pid" >"$T/faults"; then
	diag "measured: page faults: $(tr '\n' ';' <"$T/faults")"
	# The vmm of kvm takes the guest's memory by faults of its own.
	at_most "$(awk '$1 ~ /^mayfly/ && $1 != "mayfly-vmm" { s += $2 } END { print s }' "$T/faults")" 900 \
		"page faults of mayfly, mayfly-jailer and mayfly-fs until the command runs"
	at_most "$(awk '$1 == "mayfly-vmm" { print $2 }' "$T/faults")" "$(limit 1000 2600)" "and of mayfly-vmm"
else
	fail "the command started"
fi
exec 7>&-
wait "$pid"
is "$?" 1 "its end of input ends it"

# --- bytes ------------------------------------------------------------------------
built=$(dirname "$(readlink -f "$MAYFLY")")
bytes() {
	local n=0 f
	for f in "$@"; do
		strip -o "$T/stripped" "$f" && n=$((n + $(stat -c %s "$T/stripped")))
	done
	echo $((n / 1024))
}
if [ -e "$built/guest/init.cpio" ] && command -v strip >/dev/null; then
	at_most "$(bytes "$built/mayfly")" 640 "KiB of mayfly, stripped"
	at_most "$(bytes "$built"/mayfly-{jailer,vmm,fs,image})" 4096 "of its other programs together"
	at_most $(($(stat -c %s "$built/guest/init.cpio") / 1024)) 1024 "of the guest's init image"
	at_most $(($(stat -c %s "$built/guest/bzImage") / 1024)) 3072 "of the guest's kernel as bzImage"
	segments=0
	for n in $(readelf -lW "$built/guest/vmlinux" | awk '$1 == "LOAD" { print $5 }'); do
		segments=$((segments + n))
	done
	at_most "$segments" 10485760 "bytes of the guest's kernel that a machine maps or copies"
else
	skip "no build directory, or no strip" "bytes of the programs"
fi
done_testing
