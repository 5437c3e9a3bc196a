# SPDX-License-Identifier: Apache-2.0
# Under a CI runner: no terminal, closed streams, signals to the process group, readers that leave
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
run=("$MAYFLY" run --engine "$MAYFLY_ENGINE")
inventory >"$T/before"

## Streams
timeout -k 5 "$(scaled 60)" setsid -w "${run[@]}" --status-fd 9 -- sh -c 'echo out; echo err >&2; exit 4' 9>"$T/verdict" >"$T/out" 2>"$T/err" </dev/null
is "$?/$(out)/$(err)" 4/out/err "no terminal at all"
timeout -k 5 "$(scaled 60)" "${run[@]}" -- sh -c 'cat; echo "end $?"' <&- >"$T/out" 2>"$T/err"
is "$?/$(out)/$(err)" "0/end 0/" "a closed standard input is an empty one"
timeout -k 5 "$(scaled 60)" "${run[@]}" -- sh -c 'echo lost; echo seen >&2; exit 5' >&- 2>"$T/err" </dev/null
is "$?/$(err)" 5/seen "a closed standard output: what goes there is lost, the rest is as ever"
timeout -k 5 "$(scaled 60)" "${run[@]}" -- sh -c 'echo seen; echo lost >&2; exit 5' 2>&- >"$T/out" </dev/null
is "$?/$(out)" 5/seen "a closed standard error"
timeout -k 5 "$(scaled 60)" "${run[@]}" -- sh -c 'exit 6' <&- >&- 2>&-
is $? 6 "all three closed"

## A reader that leaves
t0=$(now_ms)
timeout -k 5 "$(scaled 60)" "${run[@]}" --status-fd 9 -- sh -c 'while :; do echo line; sleep 0.1; done' 9>"$T/verdict" 2>"$T/err" </dev/null | head -n 1 >"$T/out"
ms=$(($(now_ms) - t0))
is "$(out)/$(verdict reason)/$(verdict signal)" line/signal/13 "the command gets SIGPIPE when its reader has gone"
soon "$ms" 10000 "soon ($ms ms)"
t0=$(now_ms)
timeout -k 5 "$(scaled 60)" "${run[@]}" --status-fd 9 --idle-timeout "$(scaled 3)s" -- sh -c 'trap "" PIPE; echo line; sleep 60' 9>"$T/verdict" 2>"$T/err" </dev/null | head -n 1 >"$T/out"
ms=$(($(now_ms) - t0))
is "$(verdict reason)" idle "one that never writes again is left alone, but for its idle timeout"
soon "$ms" 15000 "which holds ($ms ms)"

## Signals to the group
watch --part group --signal TERM -- -- sh -c 'trap "echo got-TERM; exit 21" TERM; echo started; while :; do sleep 0.1; done'
is "$rc/$(sed -n 2p "$T/out")" 21/got-TERM "SIGTERM to the group reaches the command, which can answer"
is "$left" "" "and nothing is left"
watch --part group --signal INT -- -- sh -c 'echo started; sleep 60'
is "$rc/$(verdict reason)" 130/signal "SIGINT to the group"
is "$left" "" "and nothing is left"
watch --part group --signal HUP -- -- sh -c 'echo started; sleep 60'
is "$rc" 129 "SIGHUP to the group"
watch --part group --signal KILL -- -- sh -c 'echo started; sleep 60'
is "$rc" 137 "SIGKILL to the group"
is "$left" "" "nothing is left of the machine"
watch --part group --signal KILL --when boot -- -- sh -c 'echo started; sleep 60'
is "$rc/$left" 137/ "nor if that comes while it boots"
watch --part group --signal TERM --signal KILL -- -- sh -c 'trap "" TERM; echo started; while :; do sleep 0.1; done'
is "$rc/$left" 137/ "SIGTERM that is ignored, then SIGKILL, as runners do"
# Mounts and namespaces of others come and go on a host that does other things, too.
compare_inventory "$T/before" | grep -E '^(state|socket|cgroup|id) ' >"$T/err"
is "$(err)" "" "no directory, socket, cgroup or id is left"

## Options from a file
cat >c.json <<'EOC'
{"cpus": 2, "memory": "300M", "env": ["FROM=file", "OVER=file"], "workdir": "/tmp", "timeout": 100.5, "timings": false}
EOC
vm --config c.json --env OVER=line -- sh -c 'echo "$(grep -c ^processor /proc/cpuinfo) $FROM $OVER $PWD"'
is "$rc/$(out)" "0/2 file line /tmp" "--config: options from a file, and those of the command line win"
vm --cpus 1 --config c.json -- sh -c 'grep -c ^processor /proc/cpuinfo'
is "$rc/$(out)" 0/1 "wherever they stand"
echo '{"cpus": 1, "memroy": "1G"}' >bad.json
vm --config bad.json -- true
is "$rc/$(verdict reason)/$(wc -l <"$T/err")" 125/config/1 "a wrong key is one line, with a verdict"
like "$(err)" "'bad.json'.*key 'memroy'" "that names file and key"
vm --config none.json -- true
like "$rc/$(err)" "^125/.*none.json.*No such file" "a file that is not there"
"$MAYFLY" boot --config bad.json </dev/null >"$T/out" 2>"$T/err"
like "$?/$(err)" "^125/.*key 'memroy'" "mayfly boot has it, too"
done_testing
