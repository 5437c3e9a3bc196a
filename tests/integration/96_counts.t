# SPDX-License-Identifier: Apache-2.0
# What a start costs under kvm, counted: exits, system calls, memory, shared text of the kernel
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016,SC2013
. "$(dirname "$0")/../lib/common.sh"
[ "$MAYFLY_ENGINE" = kvm ] || skip_all "these counts are the kvm engine's"

# at_most NUMBER LIMIT DESCRIPTION
at_most() {
	if [ "${1:-0}" -gt 0 ] && [ "$1" -le "$2" ]; then pass "$3 ($1)"; else fail "$3 ($1, $2 is the limit)"; fi
	diag "measured: $3: $1"
}

# --- exits -------------------------------------------------------------------
vm --trace-exits -- true
is "$rc" 0 "a run that counts its exits"
exits=$(jq '[.exits[].until_ready] | add' "$T/verdict")
at_most "$exits" 500 "returns of KVM_RUN from the first entry until the agent is ready"
diag "measured: by reason: $(jq -c '.exits | map_values(.until_ready)' "$T/verdict")"
like "$(err)" "total +$exits " "the table on standard error has the same total"

# --- system calls ------------------------------------------------------------
if ! command -v strace >/dev/null; then
	skip "strace is not there" "system calls before the first entry"
else
	strace -ff -qq -o "$T/strace" "$MAYFLY" run --engine kvm -- true >/dev/null 2>"$T/err"
	main=$(grep -l KVM_CREATE_VM "$T"/strace.* | head -n 1)
	first=$(grep -l KVM_RUN "$T"/strace.* | head -n 1)
	# From the program's start to the last call before the first CPU's thread is made, then that
	# thread's own: what the main thread does beside it is counted with neither.
	calls=$(awk '/^execve/ { n = 0; last = 0 } { n++ } /^clone3/ { last = n } END { print last }' "$main")
	own=$(awk '/KVM_RUN/ { print NR; exit }' "$first")
	at_most $((calls + own)) 150 "system calls from exec to the first KVM_RUN"
fi

# --- memory and shared text ---------------------------------------------------
cat >smaps.py <<'PY'
# Prints private and proportional KiB beside guest RAM, then Rss and clean shared KiB of the
# kernel's first segment, its text.
import re, sys
own, text_rss, text_shared, lines = 0.0, 0, 0, {}
def close(head, f):
    global own, text_rss, text_shared
    if head is None:
        return
    if "dd" not in f.get("VmFlags", "").split():
        own += float(f.get("Pss", "0").split()[0])
    elif head.group(3).endswith("/vmlinux") and int(head.group(2), 16) == 0x200000:
        text_rss += int(f["Rss"].split()[0])
        text_shared += int(f["Shared_Clean"].split()[0])
head, fields = None, {}
for line in open("/proc/%s/smaps" % sys.argv[1]):
    m = re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ ([0-9a-f]+)() \S+ \S+ *(.*)", line)
    if m:
        close(head, fields)
        head, fields = re.match(r"(\S+ \S+) ([0-9a-f]+) \S+ \S+ *(.*)", line.strip()), {}
    else:
        key, _, value = line.partition(":")
        fields[key] = value.strip()
close(head, fields)
print("%d %d %d" % (own, text_rss, text_shared))
PY
machines=()
for i in 1 2; do
	"$MAYFLY" run --engine kvm --memory 128M --timeout "$(scaled 60)s" -- \
		sh -c 'echo ready; exec sleep 600' >"$T/out$i" 2>&1 </dev/null &
	machines+=($!)
	BACKGROUND+=($!)
done
vmm_of() { # MAYFLY-PID
	local p q
	for p in $(cat "/proc/$1/task/$1/children"); do
		for q in $(cat "/proc/$p/task/$p/children"); do
			grep -qa mayfly-vmm "/proc/$q/cmdline" && echo "$q"
		done
	done
}
if wait_until 40 grep -q ready "$T/out1" && wait_until 40 grep -q ready "$T/out2"; then
	read -r own rss shared < <(/usr/bin/python3 smaps.py "$(vmm_of "${machines[0]}")")
	at_most "$own" 3072 "KiB of the VMM beside guest RAM, shared pages by their part"
	if [ "${rss:-0}" -gt 0 ]; then
		percent=$((100 * shared / rss))
		[ "$percent" -ge 70 ] && pass "clean and shared of the mapped kernel text: $percent %" ||
			fail "at least 70 % of the mapped kernel text is clean and shared ($percent %)"
		diag "measured: of $rss KiB of mapped kernel text $shared KiB are clean and shared"
	else
		fail "the kernel's text is mapped"
	fi
else
	fail "two machines get ready"
fi
for p in "${machines[@]}"; do kill "$p"; done
for p in "${machines[@]}"; do wait_until 20 gone "$p"; done

done_testing
