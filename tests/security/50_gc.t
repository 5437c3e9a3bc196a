# SPDX-License-Identifier: Apache-2.0
# mayfly gc: what machines left whose owners were all killed goes, everything else stays
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016,SC2013,SC2153
# As root the machines' directory is everybody's: here it is one of our own, in a mount namespace.
if [ "$(id -u)" -eq 0 ] && [ -z "${GC_OWN_RUN:-}" ]; then
	GC_OWN_RUN=1 exec unshare --mount sh -c \
		'mount -t tmpfs -o mode=755 tmpfs /run && exec bash "$0"' "$0"
	echo "1..0 # skip no mount namespace"
	exit 0
fi
. "$(dirname "$0")/../lib/common.sh"

if is_root; then
	base=/run/mayfly
else
	export XDG_RUNTIME_DIR=$T/run
	mkdir -m 700 "$T/run"
	base=$T/run/mayfly
fi
gc() { # OPTION...: sets rc, fills $T/out and $T/err
	timeout -k 5 "$(scaled 30)" "$MAYFLY" gc "$@" >"$T/out" 2>"$T/err" </dev/null
	rc=$?
}
nothing="removed: 0 machines, 0 cgroups, 0 ids"

gc
is "$rc/$(out)/$(err)" "0/$nothing/" "where there was never a machine: nothing to do"
gc --help
is "$rc/$(grep -cE -- '--(json|dry-run|quiet|help)' "$T/out")" "0/4" "--help lists the options"
gc --no-such
is "$rc" 125 "an unknown option: 125"
gc everything
is "$rc/$(grep -c everything "$T/err")" "125/1" "an argument: 125, and it is named"
"$MAYFLY" gc >/dev/full 2>"$T/err"
isnt "$?" 0 "a report that can't be written is a failure"

## Debris made by hand
# A directory where this user may make a cgroup, or nothing.
cgroup_place() {
	local point
	while read -r _ _ _ _ point _; do
		mkdir "$point/mayfly-probe-$$" 2>/dev/null || continue
		rmdir "$point/mayfly-probe-$$"
		[ -w "$point/cgroup.procs" ] && echo "$point" && return
	done < <(grep -E ' - cgroup2 | - cgroup .*pids' /proc/self/mountinfo)
}
cg=$(cgroup_place)
id=gc$$
at_exit() {
	[ -z "$cg" ] || rmdir "$cg/mayfly-$id-dead" "$cg/mayfly-$id-other" "$cg/mayfly-$id-busy" 2>/dev/null
}
debris() {
	mkdir -m 700 "$base/$id-dead" "$base/$id-half" "$base/$id-live" "$base/Not-Ours" "$base/.hidden"
	mkdir -m 700 "$base/.ids"
	mkdir -p "$base/$id-dead/sub/sub"
	touch "$base/$id-dead/lock" "$base/$id-dead/sub/f" "$base/$id-live/lock" "$base/file"
	touch "$base/.ids/uid-60800" "$base/.ids/uid-60801" "$base/.ids/note"
	ln -s "$W" "$base/link"
	ln -s "$W" "$base/$id-dead/out"
	if [ -n "$cg" ]; then
		mkdir "$cg/mayfly-$id-dead" "$cg/mayfly-$id-other"
		printf '%s\n' "$cg/mayfly-$id-dead" "$cg/mayfly-$id-other" "$W/mayfly-$id-dead" >"$base/$id-dead/cgroup"
	fi
}
mkdir "mayfly-$id-dead"
echo precious >precious
debris
flock -F "$base/$id-live/lock" sleep 300 &
BACKGROUND+=("$!")
flock -F "$base/.ids/uid-60801" sleep 300 &
BACKGROUND+=("$!")
held() { ! flock -n "$1" true; }
wait_until 10 held "$base/$id-live/lock" && wait_until 10 held "$base/.ids/uid-60801"

before=$(cd "$base" && find . | sort)
gc --dry-run
is "$rc" 0 "--dry-run: 0"
is "$(grep -c "^would remove machine $id-" "$T/out")/$(grep -c '^would remove id uid-60800$' "$T/out")" "2/1" \
	"it names the two dead machines and the free id"
is "$(grep -cE 'live|60801|Not-Ours|hidden|note' "$T/out")" 0 "and nothing else"
is "$(cd "$base" && find . | sort)" "$before" "and removes nothing"
gc --json -n
is "$rc" 0 "--json"
/usr/bin/python3 -c '
import json, sys
v = json.load(open(sys.argv[1]))
assert set(v) == {"version", "dry_run", "removed", "kept", "ended"} and v["version"] == 1 and v["dry_run"] is True
assert {"kind": "machine", "name": sys.argv[2] + "-dead"} in v["removed"] and v["kept"] == []
assert {x["kind"] for x in v["removed"]} >= {"machine", "id"}' "$T/out" "$id" 2>"$T/json" &&
	pass "it is the object that the manual describes" || fail "the JSON: $(tail -n 1 "$T/json")"

gc
is "$rc" 0 "gc: 0"
is "$(tail -n 1 "$T/out")" "removed: 2 machines, $([ -n "$cg" ] && echo "1 cgroup" || echo "0 cgroups"), 1 id" \
	"it counts what it removed"
is "$(cd "$base" && find . ! -path './kvm-probe' | sort | tr '\n' ' ')" \
	". ./.hidden ./.ids ./.ids/note ./.ids/uid-60801 ./Not-Ours ./file ./$id-live ./$id-live/lock ./link " \
	"what lives and what is not ours stays"
is "$(cat precious)" precious "behind a link nothing was touched"
yes_if "nor what a record names that is no cgroup" test -d "mayfly-$id-dead"
if [ -n "$cg" ]; then
	yes_if "the recorded cgroup is gone" test ! -e "$cg/mayfly-$id-dead"
	yes_if "another's that the record named is not" test -d "$cg/mayfly-$id-other"
	# A process that nobody could kill yet.
	mkdir -m 700 "$base/$id-busy"
	mkdir "$cg/mayfly-$id-busy"
	echo "$cg/mayfly-$id-busy" >"$base/$id-busy/cgroup"
	sleep 300 &
	sleeper=$!
	BACKGROUND+=("$sleeper")
	echo "$sleeper" >"$cg/mayfly-$id-busy/cgroup.procs"
	gc
	is "$rc" 1 "a cgroup with a process in it: 1"
	like "$(err)" "mayfly-$id-busy stays: .*busy" "the message names it"
	yes_if "its machine's directory stays with it" test -f "$base/$id-busy/cgroup"
	kill -9 "$sleeper"
	wait "$sleeper" 2>/dev/null
	gc
	is "$rc/$(test -e "$base/$id-busy" || test -e "$cg/mayfly-$id-busy" || echo gone)" 0/gone \
		"once the process is gone, so are they"
else
	skip "no cgroup may be made here" "recorded cgroups"
fi
gc -q
is "$rc/$(out)$(err)" "0/" "-q says nothing"
rm -rf "$base/Not-Ours" "$base/.hidden" "$base/file" "$base/link" "$base/.ids/note" "mayfly-$id-dead"

## Live machines
(
	until [ -e "$T/stop" ]; do
		timeout 20 "$MAYFLY" gc -q || echo "status $?" >>"$T/loop"
		echo x >>"$T/rounds"
		sleep 0.02
	done
) >"$T/loop.out" 2>&1 &
looper=$!
BACKGROUND+=("$looper")
for i in 1 2 3; do
	timeout -k 5 "$(scaled 60)" "$MAYFLY" run --engine "$MAYFLY_ENGINE" -- \
		sh -c "sleep 1.$i; cat precious; echo $i" >"$T/live.$i" 2>"$T/live.err.$i" </dev/null &
	pids[i]=$!
done
for i in 1 2 3; do
	wait "${pids[i]}"
	is "$?/$(tr '\n' ' ' <"$T/live.$i")" "0/precious $i " "machine $i of 3 lives through it"
	[ ! -s "$T/live.err.$i" ] || diag "its messages: $(head -c 600 "$T/live.err.$i")"
done
touch "$T/stop"
wait "$looper"
isnt "$(wc -l <"$T/rounds")" 0 "gc ran beside them ($(wc -l <"$T/rounds") times)"
is "$(cat "$T/loop" "$T/loop.out" 2>/dev/null)" "" "and never failed"

## All owners killed at once
"$MAYFLY" run --engine "$MAYFLY_ENGINE" -- sh -c 'echo started; exec sleep 600' >"$T/out" 2>"$T/err" </dev/null &
mayfly=$!
BACKGROUND+=("$mayfly")
wait_until 40 grep -q started "$T/out" || fail "the machine starts"
for p in $(cat "/proc/$mayfly/task/$mayfly/children"); do
	tr '\0' '\n' <"/proc/$p/cmdline" | head -n 1 | grep -q mayfly-jailer && jailer=$p
done
parts=$(cat "/proc/$jailer/task/$jailer/children")
machine=$(cd "$base" && for d in *; do [ -e "$d/lock" ] && [ "$d" != "$id-live" ] && echo "$d"; done)
groups() { find /sys/fs/cgroup -name "mayfly-$machine" 2>/dev/null; }
diag "machine $machine, cgroups: $(groups | tr '\n' ' ')"
kill -9 "$mayfly" "$jailer"
wait "$mayfly" 2>/dev/null
for p in $parts; do
	wait_until 5 gone "$p" && pass "process $p of the machine ends" || fail "process $p ends"
done
yes_if "its directory is left" test -d "$base/$machine"
gc
is "$rc/$(grep -c "^removed machine $machine$" "$T/out")" 0/1 "gc removes it"
yes_if "its directory is gone" test ! -e "$base/$machine"
is "$(groups)" "" "and its cgroups"
is "$(cd "$base" && ls .ids)" uid-60801 "and its id"
yes_if "the one that lives is untouched" test -f "$base/$id-live/lock"
gc
is "$(out)" "$nothing" "nothing is left for a second time"

done_testing
