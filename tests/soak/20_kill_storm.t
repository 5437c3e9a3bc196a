# SPDX-License-Identifier: Apache-2.0
# kill -9 of each part at many moments, and storms of signals: each time nothing is left
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
# What stays for good, like the directory of the machines, is there from here on.
vm -- true
inventory >"$T/before"
seq 1 400000 >data
io='echo started; while :; do cat data; done'
# What the blow left. The next start would sweep it away, so this comes after each one. The file of
# an id may stay where nobody lived to remove it: it is free, and goes with the next start or gc.
remains() {
	local new
	new=$(compare_inventory "$T/before") && return
	grep -v '^id ' <<<"$new" && return
	"$MAYFLY" gc >/dev/null 2>&1
	compare_inventory "$T/before"
}
parts=(mayfly jailer fs vmm)
[ "$MAYFLY_ENGINE" = tcg ] && parts+=(qemu)
moments=(start:0 start:20 start:60 boot:0 boot:100 boot:250 marker:0 marker:300 marker:1000 ending:0 ending:5 ending:15 ending:40)
for part in "${parts[@]}"; do
	bad=0 slowest=0 struck_n=0
	all=("${moments[@]}")
	# The time in which the others are cloned, jailed and executed.
	case $part in mayfly | jailer) all+=(jailer:0 jailer:2 jailer:5 jailer:10 jailer:20) ;; esac
	for moment in "${all[@]}"; do
		script=$io
		[ "${moment%:*}" = ending ] && script='echo ending'
		watch --part "$part" --when "${moment%:*}" --delay "${moment#*:}" -- -- sh -c "$script"
		new=$(remains)
		[ "$struck" = yes ] && struck_n=$((struck_n + 1))
		ok=0
		case $struck/$rc/$(verdict reason) in
		yes/137/ | yes/125/*-killed) ok=1 ;;
		# It had ended before the blow, or the others heard of the end first.
		*/0/exit | */0/) [ "${moment%:*}" = ending ] && ok=1 ;;
		esac
		if [ $ok = 0 ] || [ -n "$left" ] || [ -n "$new" ] || [ "$ms" -gt "$(scaled 3000)" ]; then
			bad=$((bad + 1))
			diag "$part at $moment: struck: $struck, status $rc, $(verdict reason), $ms ms, left: $left $new"
		fi
		[ "$ms" -gt "$slowest" ] && slowest=$ms
	done
	is "$bad" 0 "kill -9 of $part at ${#all[@]} moments: named, prompt, nothing left"
	yes_if "most of the blows hit ($struck_n)" [ "$struck_n" -ge 10 ]
	diag "measured: $part: the slowest end took $slowest ms"
done
watch --part jailer --signal STOP --when marker -- --timeout 1s -- sh -c "$io"
is "$left" "" "a stopped supervisor is killed, and its machine with it"
is "$(remains)" "" "and nothing else is left"
bad=0
for s in TERM INT HUP QUIT USR1 USR2 PIPE ALRM; do
	for d in 0 30 80 150 300 450; do
		watch --part mayfly --signal $s --signal INT --signal INT --when start --delay $d -- -- sleep 60
		[ -z "$left" ] && [ "$ms" -lt "$(scaled 4000)" ] || {
			bad=$((bad + 1))
			diag "SIG$s after $d ms: status $rc, $ms ms, left: $left"
		}
	done
done
is "$bad" 0 "signals at 6 moments of the start: it ends, and nothing is left"
is "$(remains)" "" "nor anything else"

done_testing
