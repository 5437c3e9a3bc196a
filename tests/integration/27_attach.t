# SPDX-License-Identifier: Apache-2.0
# Commands in a machine that lives: streams, ends, terminals, leaving and coming back
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2016
. "$(dirname "$0")/../lib/common.sh"

m=attach-$$
at_exit() { timeout -k 5 "$(scaled 30)" "$MAYFLY" rm -f "$m" >/dev/null 2>&1; }
timeout -k 5 "$(scaled 60)" "$MAYFLY" start --engine "$MAYFLY_ENGINE" --rm --name "$m" --memory 256M >"$T/out" 2>"$T/err" </dev/null ||
	{ fail "mayfly start"; done_testing; }
# The machine ends with its keeper.
keeper_pid=$(pgrep -f "mayfly start .*--name $m --memory 256M" | head -n 1)
BACKGROUND+=("$keeper_pid")
# ex OPTION... -- COMMAND...: one exec; sets rc and ms, fills $T/out, $T/err, $T/verdict
ex() {
	local t0 opts=()
	while [ "$1" != -- ]; do opts+=("$1"); shift; done
	t0=$(now_ms)
	timeout -k 5 "$(scaled 40)" "$MAYFLY" exec --status-fd 9 "${opts[@]}" "$m" "$@" \
		<"${VM_IN:-/dev/null}" >"$T/out" 2>"$T/err" 9>"$T/verdict"
	rc=$?
	ms=$(($(now_ms) - t0))
}
terminal() {
	timeout -k 5 "$(scaled 60)" /usr/bin/python3 "$TEST_DIR/lib/on_terminal.py" "$@" >"$T/out" 2>"$T/err" </dev/null
	rc=$?
}

## Streams and ends
ex -- sh -c 'echo out; echo err >&2; exit 7'
is "$rc/$(out)/$(err)/$(verdict reason)" "7/out/err/exit" "outputs apart, the command's status"
echo piped >in
VM_IN=in ex -- cat
is "$rc/$(out)" "0/piped" "standard input arrives, with its end"
timeout -k 5 "$(scaled 20)" "$MAYFLY" exec "$m" -- cat >"$T/out" 2>"$T/err" <&-
is "$?" 0 "a closed standard input is an empty one"
(sleep 30 & echo $! >"$T/pid"; wait) | timeout -k 5 "$(scaled 20)" "$MAYFLY" exec --no-stdin "$m" -- cat >"$T/out" 2>"$T/err" &
pid=$!
wait_until 20 gone "$pid"
is "$?" 0 "--no-stdin does not wait for input"
kill "$(cat "$T/pid")" 2>/dev/null
VM_IN=/dev/zero ex -- true
is "$rc" 0 "endless input that nobody reads does not hang it"
ex -- sh -c 'sleep 1000 & echo hi'
is "$rc/$(out)" "0/hi" "nor does a child in the background"
soon "$ms" 6000 "it returns at once ($ms ms)"
t0=$(now_ms)
got=$(timeout -k 5 "$(scaled 30)" "$MAYFLY" exec "$m" -- yes </dev/null 2>"$T/err" | head -n 2)
is "$got" $'y\ny' "a reader that leaves ends the command"
soon "$(($(now_ms) - t0))" 8000 "soon"
ex -- /no/such
is "$rc/$(verdict reason)" "127/not-started" "no such command"
ex -- /etc/passwd
is "$rc" 126 "not executable"
ex -- sh -c 'kill -TERM $$'
is "$rc/$(verdict signal)" "143/15" "a signal"
ex --timeout 1s -- sh -c 'sleep 100 & sleep 100'
is "$rc/$(verdict reason)" "124/timeout" "--timeout"
ex --umask 077 --ulimit nofile=50:60 --env A=b -w /tmp -- sh -c 'umask; ulimit -n; ulimit -Hn; echo $A; pwd'
is "$(out | tr '\n' ' ')" "0077 50 60 b /tmp " "mask, limits, variable and directory"
timeout 20 "$MAYFLY" exec no-such-machine -- true 2>"$T/err"
is "$?/$(wc -l <"$T/err")" "125/1" "no such machine is one line"
ex -t -- true
is "$rc" 125 "-t without a terminal"
like "$(err)" "terminal" "says so"

## A terminal, leaving, coming back
loop='while :; do sleep 0.1; done'
terminal 30 up '@size 50 132' '50 132' '\x10\x11' -- "$MAYFLY" exec -it "$m" -- \
	sh -c "trap 'stty size' WINCH; trap 'echo got-INT; exit 3' INT; echo up; $loop"
is "$(val status)/$(val steps)/$(val terminal)" "0/0/same" "a terminal that is left by ctrl-p,ctrl-q"
like "$(val text)" "left exec [0-9]+ of $m running" "says what runs on"
terminal 30 '24 80' '@raw;;\x03' got-INT '@none' -- "$MAYFLY" attach "$m"
like "$(val text)" "24 80.*got-INT" "attach has it again, with another size"
is "$(val status)/$(val terminal)" "3/same" "and its status is the command's"
terminal 30 x '@none' -- "$MAYFLY" exec "$m" -- sh -c 'cat; echo x'
guest_is status 0 "a terminal without -i and -t is not read"

## Detached
n=$(timeout 20 "$MAYFLY" exec -d "$m" -- sh -c "echo begun; sleep 2; echo ended; exit 4" </dev/null)
like "$n" '^[0-9]+$' "--detach prints a number"
timeout -k 5 "$(scaled 30)" "$MAYFLY" attach "$m" "$n" >"$T/out" 2>"$T/err" </dev/null
is "$?" 4 "attach ends with its status"
like "$(out)" "ended" "and has what came meanwhile"
timeout 20 "$MAYFLY" attach "$m" "$n" 2>"$T/err" </dev/null
is "$?/$(wc -l <"$T/err")" "125/1" "an exec that is over can't be attached to"
one=$(timeout 20 "$MAYFLY" exec -d "$m" -- sh -c 'while :; do echo tick; sleep 0.2; done' </dev/null)
two=$(timeout 20 "$MAYFLY" exec -d "$m" -- sleep 300 </dev/null)
timeout 20 "$MAYFLY" attach "$m" 2>"$T/err" </dev/null
is "$?" 125 "attach needs a number if several run"
like "$(err)" "$two \(sleep\), $one \(sh\)|$one \(sh\), $two \(sleep\)" "and lists them"
timeout -k 5 "$(scaled 30)" "$MAYFLY" attach "$m" "$one" >"$T/first" 2>&1 </dev/null &
pid=$!
BACKGROUND+=("$pid")
wait_until 20 grep -q tick "$T/first"
timeout -s TERM "$(scaled 3)" "$MAYFLY" attach "$m" "$one" >"$T/out" 2>&1 </dev/null
wait "$pid"
is "$?/$(grep -v tick "$T/first")" "125/mayfly: somebody else attached" "a second client takes it over"
like "$(out)" "left exec $one of $m running" "which SIGTERM ends without the command"

## Signals by name
three=$(timeout 20 "$MAYFLY" exec -d "$m" -- sh -c 'trap "exit 7" USR1; echo up; while :; do sleep 0.1; done' </dev/null)
says_up() { "$MAYFLY" logs "$m" "$three" 2>/dev/null </dev/null | grep -q up; }
wait_until 20 says_up && pass "a command that waits for a signal" || fail "a command that waits for a signal"
timeout 20 "$MAYFLY" kill -s USR1 "$m" 2>"$T/err" </dev/null
is "$?/$(wc -l <"$T/err")" "125/1" "kill --signal needs a number if several run"
timeout 20 "$MAYFLY" kill --signal sigusr1 "$m" "$three" 2>"$T/err" </dev/null
is "$?/$(err)" "0/" "a signal by its name"
timeout 20 "$MAYFLY" wait "$m" "$three" </dev/null
is "$?" 7 "the command gets it, and nobody else"
timeout 20 "$MAYFLY" kill -s TERM "$m" "$three" 2>"$T/err" </dev/null
is "$?/$(err)" "125/mayfly: no exec $three runs in $m" "one that is over gets none"
for wrong in NOPE 0 65 ''; do
	timeout 20 "$MAYFLY" kill -s "$wrong" "$m" "$two" 2>"$T/err" </dev/null
	is "$?/$(wc -l <"$T/err")" "125/1" "'$wrong' is no signal"
done

## The machine's end
timeout -k 5 "$(scaled 40)" "$MAYFLY" exec --status-fd 9 "$m" -- sh -c 'echo up; sleep 300' >"$T/out" 2>"$T/err" 9>"$T/verdict" </dev/null &
pid=$!
wait_until 20 grep -q up "$T/out"
kill -9 "$keeper_pid"
wait "$pid"
is "$?/$(verdict reason)/$(wc -l <"$T/err")" "125/machine-ended/1" "the keeper is killed, and with it the machine: 125 and one line"

done_testing
