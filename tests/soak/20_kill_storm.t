# SPDX-License-Identifier: Apache-2.0
# kill -9 of each part at ten moments each, and storms of signals
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
inventory >"$T/before"
seq 1 400000 >data
io='echo started; while :; do cat data; done'
for part in mayfly jailer fs vmm qemu; do
	bad=0 slowest=0
	for moment in start:0 start:20 start:60 boot:0 boot:100 boot:250 marker:0 marker:300 marker:1000 ending:0 ending:5 ending:15; do
		script=$io
		[ "${moment%:*}" = ending ] && script='echo ending'
		watch --part $part --when "${moment%:*}" --delay "${moment#*:}" -- -- sh -c "$script"
		[ "$struck" = no ] && [ "$rc" = 0 ] && continue
		ok=0
		case $rc/$(verdict reason) in
		137/ | 125/*-killed) ok=1 ;;
		0/exit | 0/) [ "${moment%:*}" = ending ] && ok=1 ;;
		esac
		if [ $ok = 0 ] || [ -n "$left" ] || [ "$ms" -gt 3000 ]; then
			bad=$((bad + 1))
			diag "$part at $moment: status $rc, $(verdict reason), $ms ms, left: $left"
		fi
		[ "$ms" -gt "$slowest" ] && slowest=$ms
	done
	is "$bad" 0 "kill -9 of $part at 12 moments: named, prompt, nothing left"
	diag "measured: $part: the slowest end took $slowest ms"
	if new=$(compare_inventory "$T/before"); then pass "nor anything else"; else
		fail "nor anything else"
		diag "$new"
	fi
done
bad=0
for s in TERM INT HUP QUIT USR1 USR2 PIPE ALRM; do
	for d in 0 30 80 150 300 450; do
		watch --part mayfly --signal $s --signal INT --signal INT --when start --delay $d -- -- sleep 60
		[ -z "$left" ] && [ "$ms" -lt 4000 ] || {
			bad=$((bad + 1))
			diag "SIG$s after $d ms: status $rc, $ms ms, left: $left"
		}
	done
done
is "$bad" 0 "signals at 6 moments of the start: it ends, and nothing is left"
if new=$(compare_inventory "$T/before"); then pass "nor anything else"; else fail "nor anything else"; diag "$new"; fi

done_testing
