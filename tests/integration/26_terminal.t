# SPDX-License-Identifier: Apache-2.0
# A terminal for the command: programs that draw, sizes, Ctrl-C, and settings that are given back
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2016
. "$(dirname "$0")/../lib/common.sh"

run=("$MAYFLY" run --engine "$MAYFLY_ENGINE")
# The process that runs the guest.
guest=qemu-system
[ "$MAYFLY_ENGINE" = kvm ] && guest=mayfly-vmm
# terminal SECONDS [PATTERN ACTION]... -- COMMAND...: see on_terminal.py; fills $T/out
terminal() {
	timeout -k 5 "$(scaled 120)" /usr/bin/python3 "$TEST_DIR/lib/on_terminal.py" "$@" >"$T/out" 2>"$T/err" </dev/null
	rc=$?
}
loop='echo started; while :; do sleep 0.1; done'

## What the command sees
export TERM=xterm
terminal 40 -- "${run[@]}" -t -- sh -c 'tty; stty size; echo "$TERM"; test -t 0 && test -t 1 && test -t 2 && echo all-three'
guest_is status 0 "a command with a terminal"
like "$(val text)" '/dev/pts/[0-9]+.*24 80.*xterm.*all-three' "it has all of it: a name, a size, a kind, three descriptors"
guest_is terminal same "the settings are as before"
terminal 40 -- "${run[@]}" -it --env TERM=vt100 -- sh -c 'echo "$TERM"; exit 7'
guest_is status 7 "-it, and the command's own status"
like "$(val text)" 'vt100' "--env TERM has the last word"
terminal 40 -- "${run[@]}" -i -- sh -c 'test -t 0 || echo no-terminal'
like "$(val text)" 'no-terminal' "-i alone gives none"
vm -t -- true
is "$rc/$(verdict reason)/$(wc -l <"$T/err")" "125/config/1" "-t without a terminal is refused in one line"
like "$(err)" "terminal.*standard input" "which says why"

## Sizes
terminal 40 started '@size 50 132;;@raw' '50 132' '\x03' -- \
	"${run[@]}" -t -- sh -c "trap 'stty size' WINCH; $loop"
like "$(val text)" '50 132' "another size arrives, with its signal"
guest_is notes raw-yes "the user's terminal is raw meanwhile"
guest_is status 130 "Ctrl-C ends the command"
guest_is terminal same "the settings are as before"

## Keys are the command's
terminal 40 started '\x03' got-INT '\x1c' got-QUIT '@none' -- \
	"${run[@]}" -t -- sh -c "trap 'echo got-INT' INT; trap 'echo got-QUIT; exit 6' QUIT; $loop"
guest_is status 6 "Ctrl-C and Ctrl-\\ reach the command and not mayfly"
like "$(val text)" 'got-INT.*got-QUIT' "each as its signal"
terminal 40 started 'a line\n\x04' -- "${run[@]}" -t -- sh -c 'echo started; cat; printf "end\nof it\n"'
is "$(val status)/$(val steps)" "0/0" "Ctrl-D ends its input"
like "$(val text)" 'a line.*end\\r\\nof it\\r\\n' "the guest's terminal ends lines as a terminal does"
terminal 40 started '\x1c' -- "${run[@]}" -t --status-fd 2 -- sh -c "$loop"
guest_is status 131 "a command that Ctrl-\\ kills"
like "$(val text)" '"reason":"signal".*"signal":3' "by its signal"
guest_is terminal same "the settings are as before"
# The second one is for a shell that has not yet seen the end of its job.
terminal 60 '$ ' "sh -c 'echo u''p; sleep 1000'\n" up '\x1a' 'Stopped' 'kill -9 %1\nexit 5\nexit 5\n' -- \
	"${run[@]}" -t --env 'PS1=$ ' -- bash --norc --noprofile -i
guest_is status 5 "a shell with jobs: Ctrl-Z stops what it runs"
unlike "$(val text)" 'no job control' "it has job control"

## Programs that draw
seq 1 200 >lines
what="less opens, takes another size, moves to the end and quits"
if command -v less >/dev/null; then
	# A key behind the new size: less may miss the signal while it is about to wait for one.
	terminal 60 lines '@size 40 100;;\x0c' 39 'G' 200 'q' -- "${run[@]}" -t --env LESS= -- less lines
	is "$(val status)/$(val steps)/$(val terminal)" "0/0/same" "$what"
else
	skip "no less here" "$what"
fi
what="vi opens, takes text and writes its file"
if command -v vi >/dev/null; then
	terminal 60 '[New' 'iwritten here\x1b:wq\r' 'FILE' '@none' -- \
		"${run[@]}" -t --env TERM=vt100 -- sh -c 'vi -u NONE -i NONE new; echo FILE; cat new'
	is "$(val status)/$(val steps)/$(val terminal)" "0/0/same" "$what"
	like "$(val text)" 'FILE.*written here' "the file has it"
else
	skip "no vi here" "$what"
fi

## Every way out gives the settings back
terminal 40 started "@raw;;@kill $guest" -- "${run[@]}" -t -- sh -c "$loop"
is "$(val notes)" "raw-yes kill-yes" "the process that runs the guest is killed"
guest_is status 125 "mayfly says so"
guest_is terminal same "the settings are as before"
terminal 40 started "@raw;;@kill mayfly-jailer" -- "${run[@]}" -t -- sh -c "$loop"
is "$(val notes)/$(val status)/$(val terminal)" "raw-yes kill-yes/125/same" "the supervisor is killed"
terminal 40 started "@raw;;@signal TERM" -- "${run[@]}" -t -- sh -c "$loop"
is "$(val status)/$(val terminal)" "143/same" "SIGTERM to mayfly"
terminal 40 started "@raw;;@signal INT" got-INT "@signal INT" -- "${run[@]}" -t -- sh -c "trap 'echo got-INT' INT; $loop"
is "$(val status)/$(val terminal)" "130/same" "SIGINT twice"
terminal 40 started "@raw;;@signal ABRT" -- "${run[@]}" -t -- sh -c "$loop"
is "$(val status)/$(val terminal)" "134/same" "a signal that nobody expects"
terminal 40 -- "${run[@]}" -t --boot-timeout 1ms -- true
is "$(val status)/$(val terminal)" "125/same" "a guest that does not come up"
terminal 40 -- "${run[@]}" -t -- /no/such/program
is "$(val status)/$(val terminal)" "127/same" "a program that is not there"
# What can't be caught is in the manual, with the way back.
terminal 40 started "@raw;;@signal KILL" -- "${run[@]}" -t -- sh -c "$loop"
guest_is status 137 "kill -9"
guest_is terminal changed "leaves a raw terminal, as documented: stty sane"

## Stopping and going on
# A shell with jobs around mayfly: what Ctrl-Z, fg and bg mean.
shell=(bash --norc --noprofile -i)
export PS1='$ '
tick='read -r t x </proc/uptime; echo "tick-$t-"; sleep 0.1'
echo "while :; do $tick; done" >ticks.sh
terminal 60 '$ ' "${run[*]} -- sh ticks.sh\n" tick- '@none' tick- '\x1a' Stopped "sleep 2; echo sle''pt\n" slept 'fg\n' \
	tick- '\x03' '$ ' 'exit 9\n' -- "${shell[@]}"
is "$(val status)/$(val steps)" "9/0" "without -t: Ctrl-Z stops mayfly, fg continues it, Ctrl-C ends it"
# While the shell slept the command was stopped, too: its clock shows a gap.
gap=$(val text | /usr/bin/python3 -c '
import re, sys
ticks = [float(x) for x in re.findall(r"tick-([0-9.]+)-", sys.stdin.read())]
print(int(1000 * max([b - a for a, b in zip(ticks, ticks[1:])] or [0])))')
yes_if "the guest's command stopped with it ($gap ms)" [ "$gap" -gt 1500 ]
echo "echo started; stty size; while :; do sleep 0.1; done" >loop.sh
terminal 60 '$ ' "${run[*]} -t -- sh loop.sh &\n" '$ ' 'fg\n' \
	started '@raw;;\x03' '$ ' 'exit 9\n' -- "${shell[@]}"
is "$(val status)/$(val steps)" "9/0" "with -t in the background: waits for fg"
like "$(val notes)" 'raw-yes' "and has the terminal then"

done_testing
