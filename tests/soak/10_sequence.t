# SPDX-License-Identifier: Apache-2.0
# 100 runs one after the other, then SOAK_RUNS (2,000) more with few checks: nothing piles up
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
# What stays for good, like the directory of the machines, is there from here on.
vm -- true
: "${SOAK_RUNS:=2000}"
inventory >"$T/before"
clean() {
	local new
	if new=$(compare_inventory "$T/before"); then pass "$1"; else fail "$1"; diag "$new"; fi
}
bad=0 slowest=0
for ((i = 1; i <= (SOAK_RUNS < 100 ? SOAK_RUNS : 100); i++)); do
	watch -- --memory 256M -- sh -c "echo $i; exit $((i % 100))"
	if [ "$rc/$left/$(out)" != "$((i % 100))//$i" ]; then
		bad=$((bad + 1))
		diag "run $i: status $rc, left: $left, said: $(out)"
	fi
	[ "$ms" -gt "$slowest" ] && slowest=$ms
done
is "$bad" 0 "$((i - 1)) in sequence, each with its status and output, none leaves a process"
diag "measured: the slowest took $slowest ms"
clean "and nothing else"

bad=0 t0=$(now_ms)
for ((i = 0; i < SOAK_RUNS; i++)); do
	timeout -k 5 60 "$MAYFLY" run --engine "$MAYFLY_ENGINE" --memory 128M -- true </dev/null >"$T/out" 2>"$T/err"
	rc=$?
	[ "$rc" = 0 ] || { bad=$((bad + 1)); diag "run $i: status $rc: $(err)"; }
	if ((i % 100 == 99)); then
		is_root && [ -n "$(ls -A /run/mayfly/.ids)" ] && sleep 1 && for f in /run/mayfly/.ids/*; do
			[ -e "$f" ] && flock -n "$f" true && { bad=$((bad + 1)); diag "after run $i: ${f##*/}"; }
		done
		new=$(compare_inventory "$T/before") || { bad=$((bad + 1)); diag "after run $i: $new"; }
	fi
done
is "$bad" 0 "$SOAK_RUNS more runs"
diag "measured: $SOAK_RUNS runs in $((($(now_ms) - t0) / 1000)) s"
clean "nothing is left"

bad=0
for ((i = 0; i < (SOAK_RUNS + 99) / 100; i++)); do
	pids=()
	for j in 1 2 3 4 5 6 7 8 9 10; do
		timeout -k 5 120 "$MAYFLY" run --engine "$MAYFLY_ENGINE" --memory 128M -- sh -c "exit $j" \
			</dev/null >/dev/null 2>"$T/err.$j" &
		pids+=($!)
	done
	for j in 1 2 3 4 5 6 7 8 9 10; do
		wait "${pids[$((j - 1))]}"
		status=$?
		[ $status = $j ] || { bad=$((bad + 1)); diag "round $i, run $j: status $status: $(cat "$T/err.$j")"; }
	done
done
is "$bad" 0 "10 at once, $i times"
clean "nothing is left"

done_testing
