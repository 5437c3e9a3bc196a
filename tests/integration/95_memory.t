# SPDX-License-Identifier: Apache-2.0
# Private memory of mayfly's own processes while a command waits
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"

cat >memory.py <<'PY'
# Prints, for each process below a PID, its private KiB, without and of guest RAM (a shared memfd,
# or what is left out of core dumps).
import os, re, sys
def children(pid):
    found = []
    for t in os.listdir("/proc/%d/task" % pid):
        found += [int(c) for c in open("/proc/%d/task/%s/children" % (pid, t)).read().split()]
    return found
todo, total = [int(sys.argv[1])], 0
while todo:
    pid = todo.pop()
    todo += children(pid)
    name = os.path.basename(open("/proc/%d/cmdline" % pid).read().split("\0")[0])
    private, ram = 0, 0
    for line in open("/proc/%d/smaps" % pid):
        head = re.match(r"[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ \S+ *(.*)", line)
        if head:
            shared, kib = "memfd:" in head.group(2) and "s" in head.group(1), 0
        m = re.match(r"Private_\w+: *(\d+) kB", line)
        if m:
            kib += int(m.group(1))
        if line.startswith("VmFlags:"):
            if shared or " dd " in line:
                ram += kib
            else:
                private += kib
    print("%s %d %d" % (name, private, ram))
PY
measure() { # DESCRIPTION LIMIT-KIB
	local sum
	/usr/bin/python3 memory.py "$pid" >"$T/mem" 2>"$T/err" || { fail "$1"; return; }
	sum=$(awk '$1 ~ /^(mayfly|mayfly-vmm|mayfly-fs)$/ { s += $2; n++ } END { print n == 3 ? s : 999999 }' "$T/mem")
	if [ "$sum" -le "$2" ]; then pass "$1 ($sum KiB)"; else fail "$1 ($sum KiB)"; fi
	diag "measured: private KiB: $(awk '{ printf "%s %s; ", $1, $2 }' "$T/mem")"
}
mkfifo in
"$MAYFLY" run --engine "$MAYFLY_ENGINE" --timeout "$(scaled 100)s" -- sh -c \
	'echo started; cat >/tmp/x; find /usr/bin /usr/lib -type f | head -n '"$(fewer 1000)"' | xargs cat | wc -c; echo ready; exec sleep 60' \
	<in >"$T/out" 2>"$T/err" &
pid=$!
BACKGROUND+=("$pid")
exec 7>in
if wait_until 20 grep -q started "$T/out"; then
	measure "mayfly, the device process and fs together have at most 12 MiB private" 12288
	fs=$(awk '$1 == "mayfly-fs" { print $2 }' "$T/mem")
	yes_if "fs of it at most 2 MiB (${fs:-none} KiB)" [ "${fs:-9999}" -le 2048 ]
	head -c "$(fewer 20)000000" /dev/zero >&7
	exec 7>&-
	if wait_until 60 grep -q ready "$T/out"; then
		measure "and no more after $(fewer 20) MB of input and $(fewer 1000) files" 12288
		[ "$MAYFLY_ENGINE" != tcg ] ||
			like "$(awk '$1 ~ /qemu/ { print $2 }' "$T/mem")" "^[0-9]*$" "QEMU's own is known: $(awk '$1 ~ /qemu/ { print $2 }' "$T/mem") KiB"
	else
		fail "the command got its files read"
	fi
else
	fail "the command started"
fi
exec 7>&-
kill "$pid"
wait_until 10 gone "$pid" && pass "it ends when asked to" || fail "it ends when asked to"

done_testing
