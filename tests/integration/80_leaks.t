# SPDX-License-Identifier: Apache-2.0
# What is left on the host: nothing, also after kill -9 of each part at several moments
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
inventory >"$T/before"
here=$(pwd)
clean() { # DESCRIPTION
	local new
	if new=$(compare_inventory "$T/before"); then pass "$1"; else fail "$1"; diag "$new"; fi
}

watch -- -- sh -c 'echo x'
is "$rc/$left" "0/" "one run leaves no process"
watch -- -- sh -c 'setsid sleep 1000 & echo x'
is "$rc/$left" "0/" "one with a daemon in the guest does not either"
watch -- --timeout 1s -- sleep 60
is "$rc/$left" "124/" "nor one that is over its time"
clean "namespaces, mounts, sockets, cgroups, directories are as before"

## 10 at once; fewer where one CPU is slow
together=10
[ "$MAYFLY_TIME_SCALE" -eq 1 ] || together=4
pids=()
for ((i = 1; i <= together; i++)); do
	timeout -k 5 "$(scaled 100)" "$MAYFLY" run --engine "$MAYFLY_ENGINE" --memory 128M -- sh -c "echo run-$i; exit $i" \
		</dev/null >"$T/many.$i" 2>"$T/many.err.$i" &
	pids+=($!)
done
bad=0
for ((i = 1; i <= together; i++)); do
	wait "${pids[$((i - 1))]}"
	status=$?
	[ "$status" = "$i" ] && [ "$(cat "$T/many.$i")" = "run-$i" ] || {
		bad=$((bad + 1))
		diag "run $i: status $status, $(tail -n 2 "$T/many.err.$i")"
	}
done
is "$bad" 0 "$together runs at once, each with its own output and status"
clean "they leave nothing"

## One after the other; tests/soak has more
bad=0
n=$((3 + $(fewer 12)))
for ((i = 0; i < n; i++)); do
	watch -- --memory 128M -- true
	[ "$rc/$left" = 0/ ] || { bad=$((bad + 1)); diag "run $i: status $rc, left: $left"; }
done
is "$bad" 0 "$n runs one after the other leave no process"
clean "nor anything else"

## kill -9
seq 1 400000 >data
io='echo started; while :; do cat data; done'
short='echo ending; exit 0'
parts=(mayfly jailer fs vmm)
[ "$MAYFLY_ENGINE" = tcg ] && parts+=(qemu)
for part in "${parts[@]}"; do
	case $part in
	mayfly) want='' ;;
	jailer) want=jailer-killed ;;
	fs) want=fs-killed ;;
	vmm) want=vmm-killed ;;
	qemu) want="engine-killed" ;;
	esac
	for when in start boot marker ending; do
		script=$io
		[ $when = ending ] && script=$short
		watch --part "$part" --when $when -- -- sh -c "$script"
		what="kill -9 of $part at '$when'"
		if [ "$part" = mayfly ]; then
			like "$rc" '^(137|0)$' "$what: the status is the kill's"
		elif [ $when = ending ]; then
			like "$rc/$(verdict reason)" "^(0/exit|125/$want)$" "$what: named, or just too late ($(verdict reason))"
		else
			is "$rc/$(verdict reason)" "125/$want" "$what: the verdict names it"
		fi
		is "$left" "" "$what: no process is left after 2 s"
		soon "$ms" 3000 "$what: mayfly ends soon ($ms ms)"
	done
	clean "kill -9 of $part leaves nothing else"
done
watch --part jailer --signal TERM -- -- sh -c "$io"
is "$rc/$left" "125/" "SIGTERM to the supervisor ends the machine"
engine=vmm want=vmm-killed
[ "$MAYFLY_ENGINE" = tcg ] && engine=qemu want=engine-killed
watch --part $engine --signal CRASH -- -- sh -c "$io"
is "$struck/$rc/$(verdict reason)/$left" "yes/125/$want/" "a crash of the engine is named"
like "$(cat "$T/err")" "killed by SIGSEGV" "with its signal"
clean "nothing else is left"

done_testing
