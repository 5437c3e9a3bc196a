# SPDX-License-Identifier: Apache-2.0
# Machines that live, and kill -9 of each part of one at many moments: ps is right, nothing is left
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
: "${SOAK_LIVING:=120}"
mf() { timeout -k 5 "$(scaled 30)" "$MAYFLY" "$@"; }
at_exit() { mf ps -a --json | jq -r '.[].name' | grep '^soak-' | xargs -r "$MAYFLY" rm -f; }
start() { mf start --engine "$MAYFLY_ENGINE" --memory 128M --name "$1" >"$T/out" 2>"$T/err" </dev/null; }
start soak-first && mf exec soak-first -- true && mf rm -f soak-first
inventory >"$T/before"

parts=(keeper mayfly-jailer mayfly-fs mayfly-vmm client)
[ "$MAYFLY_ENGINE" = tcg ] && parts+=(qemu-system)
# pid_of PART MACHINE CLIENT
pid_of() {
	local keeper
	[ "$1" = client ] && echo "$3" && return
	keeper=$(mf inspect "$2" | jq .keeper)
	[ "$1" = keeper ] && echo "$keeper" && return
	local jailer
	jailer=$(pgrep -P "$keeper" -f mayfly-jailer)
	if [ "$1" = mayfly-jailer ]; then echo "$jailer"; else pgrep -P "$jailer" -f "$1"; fi
}
state() { mf ps -a --json | jq -r --arg n "$1" '.[] | select(.name == $n) | .state'; }
stopped() { [ "$(state "$1")" = stopped ]; }
bad=0 struck=0 slowest=0
for ((i = 0; i < SOAK_LIVING; i++)); do
	m=soak-$i part=${parts[i % ${#parts[@]}]}
	delay=0.$((i * 37 % 10))
	if ! start "$m"; then
		bad=$((bad + 1))
		diag "$m does not start: $(cat "$T/err")"
		continue
	fi
	# Straight, not through timeout: it is this process that is killed.
	"$MAYFLY" exec "$m" -- sh -c 'while :; do seq 1 20000; done' >/dev/null 2>"$T/exec" </dev/null &
	client=$!
	sleep "$delay"
	pid=$(pid_of "$part" "$m" "$client")
	before=$(now_ms)
	kill -9 "$pid" 2>/dev/null && struck=$((struck + 1))
	end=
	if [ "$part" = client ]; then
		wait "$client" 2>/dev/null
		[ "$(state "$m")/$(mf exec "$m" -- echo alive)" = ready/alive ] || end="a machine whose client died does not go on"
		mf stop --time 1s "$m" || end="stop fails"
	else
		wait_until 10 stopped "$m" || end="it is $(state "$m")"
		wait_until 10 gone "$client" || end="its client lives"
		wait "$client" 2>/dev/null
		[ $? -eq 125 ] || end="$end the client's status is not 125"
	fi
	ms=$(($(now_ms) - before))
	[ "$ms" -gt "$slowest" ] && slowest=$ms
	mf rm "$m" || end="$end rm fails"
	# The file of an id may stay where nobody lived to remove it: it goes with the next start or gc.
	new=$(compare_inventory "$T/before") || { "$MAYFLY" gc >/dev/null 2>&1; new=$(compare_inventory "$T/before"); } || end="$end left: $new"
	if [ -n "$end" ]; then
		bad=$((bad + 1))
		diag "$m: $part after $delay s: $end; its client said: $(head -c 300 "$T/exec")"
	fi
done
is "$bad" 0 "$SOAK_LIVING machines, kill -9 of one part each: named, prompt, nothing left"
yes_if "the blows hit ($struck)" [ "$struck" -ge $((SOAK_LIVING * 9 / 10)) ]
diag "measured: the slowest end took $slowest ms"

# Starts that are killed: the name is free again, or the machine is there.
bad=0
for ((i = 0; i < SOAK_LIVING / 4; i++)); do
	m=soak-s$i
	"$MAYFLY" start --engine "$MAYFLY_ENGINE" --memory 128M --name "$m" >/dev/null 2>&1 </dev/null &
	pid=$!
	sleep "0.$((i * 7 % 10))$((i % 10))"
	kill -9 "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	mf rm -f "$m" 2>/dev/null
	start "$m" && [ "$(mf exec "$m" -- echo ok)" = ok ] && mf rm -f "$m" || { bad=$((bad + 1)); diag "$m: $(cat "$T/err")"; }
done
is "$bad" 0 "$((SOAK_LIVING / 4)) starts that are killed at some moment: the name can be had again"
"$MAYFLY" gc >/dev/null 2>&1
is "$(compare_inventory "$T/before")" "" "and nothing is left"
done_testing
