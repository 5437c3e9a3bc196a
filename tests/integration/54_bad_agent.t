# SPDX-License-Identifier: Apache-2.0
# A guest whose agent answers wrong, late, endlessly or never: run, start, exec, attach, cp and stop end in bounded
# time, with bounded memory and one clear line
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016,SC2086
. "$(dirname "$0")/../lib/common.sh"
not_again
"$MAYFLY" start --help >/dev/null 2>&1 </dev/null || skip_all "this mayfly has no 'start'"
guest_programs bad_agent && "$TEST_DIR/../init/mkcpio.sh" bad_agent bad.cpio || { fail "an init image"; done_testing; }

tag=$$-$RANDOM
started=()
at_exit() {
	for m in "${started[@]}"; do timeout -k 5 60 "$MAYFLY" rm -f "$m"; done >/dev/null 2>&1
}
peak=0 boot_limit=4s often=0.05
# Looking costs what it measures where programs start slowly.
[ "$MAYFLY_TIME_SCALE" = 1 ] || boot_limit=10s often=0.4
# mf COMMAND...: one mayfly; sets rc, ms and peak (KiB, of that process), fills $T/out, $T/err. STDOUT names another out.
mf() {
	local t0 pid kib
	t0=$(now_ms) peak=0
	"$MAYFLY" "$@" >"${STDOUT:-$T/out}" 2>"$T/err" </dev/null &
	pid=$!
	while kib=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status" 2>/dev/null) && [ -n "$kib" ]; do
		[ "$kib" -lt "$peak" ] || peak=$kib
		if [ $(($(now_ms) - t0)) -gt $(($(scaled "${MF_LIMIT:-40}") * 1000)) ]; then
			echo "mayfly $1 HANGS" >>"$T/err"
			kill -9 "$pid"
			break
		fi
		sleep "$often"
	done
	wait "$pid" 2>/dev/null
	rc=$?
	ms=$(($(now_ms) - t0))
}
made=(--engine "$MAYFLY_ENGINE" --init bad.cpio --no-cwd --memory 128M --boot-timeout "$boot_limit")
# says STATUS PATTERN DESCRIPTION: that status, that one line behind the guest's notes, if any, of which there are 20 at
# most; nothing a terminal obeys, little memory
says() {
	local lines bad notes
	notes=$(grep -c '^mayfly: note: .*/x/.*words' "$T/err")
	[ "$notes" -le 20 ] || notes=0
	lines=$(($(wc -l <"$T/err") - notes))
	bad=$(tr -d '\n\t' <"$T/err" | LC_ALL=C grep -cP '[\x00-\x1f\x7f]|\xc2[\x80-\x9f]')
	if [ "$rc" = "$1" ] && [ "$lines" -eq 1 ] && [[ $(tail -n 1 "$T/err") =~ ^mayfly:\ .*$2 ]] && [ "$bad" -eq 0 ] && [ "$peak" -lt 32768 ]; then
		pass "$3 ($ms ms, $peak KiB)"
	else
		fail "$3"
		diag "want: status $1, one line: $2; got $rc, $lines lines, $bad bad ones, $peak KiB"
	fi
}
run_() { # HOW OPTION... : mayfly run
	local how=$1
	shift
	mf run "${made[@]}" --hostname "bad-$how" "$@" -- command
}
start_() { # HOW [-- COMMAND...]: a machine of that name
	local how=$1
	shift
	started+=("$how-$tag")
	mf start "${made[@]}" --hostname "bad-$how" --name "$how-$tag" "$@"
}

escaped() { find "$T" /tmp /tmp/d -maxdepth 4 -name '*escaped*' -newer bad.cpio 2>/dev/null; }

## What takes longest goes on beside the rest
start_ mute
is "$rc" 0 "a machine with a mute agent starts"
(timeout -k 5 "$(scaled 100)" "$MAYFLY" exec "mute-$tag" -- x >"$T/mute.out" 2>"$T/mute.err" </dev/null; echo $? >"$T/mute.rc") &
slow=("$!")
(timeout -k 5 "$(scaled 100)" "$MAYFLY" cp "mute-$tag:/x" "$T/mute.x" >/dev/null 2>"$T/mutecp.err" </dev/null; echo $? >"$T/mutecp.rc") &
slow+=("$!")
(timeout -k 5 "$(scaled 100)" "$MAYFLY" attach "mute-$tag" 1 >/dev/null 2>"$T/muteattach.err" </dev/null; echo $? >"$T/muteattach.rc") &
slow+=("$!")
echo x >file
(timeout -k 5 "$(scaled 100)" "$MAYFLY" cp file "mute-$tag:/x" >/dev/null 2>"$T/muteput.err" </dev/null; echo $? >"$T/muteput.rc") &
slow+=("$!")
started+=("cp-drip-$tag")
timeout -k 5 "$(scaled 60)" "$MAYFLY" start "${made[@]}" --hostname bad-cp-drip --name "cp-drip-$tag" >/dev/null 2>&1 </dev/null
mkdir drip
(timeout -k 5 "$(scaled 100)" "$MAYFLY" cp "cp-drip-$tag:/x" drip >/dev/null 2>"$T/dripcp.err" </dev/null; echo $? >"$T/dripcp.rc") &
slow+=("$!")
(timeout -k 5 "$(scaled 100)" "$MAYFLY" run "${made[@]}" --hostname bad-cp-drip --timeout 20s --out /x:drip -- x >/dev/null 2>"$T/dripout.err" </dev/null; echo $? >"$T/dripout.rc") &
slow+=("$!")

## run, before it is ready
run_ boot-mute
says 125 "not ready after" "mute: the boot's time limit"
run_ boot-drip
says 125 "not ready after" "a frame that never ends: likewise"
run_ boot-garbage
says 125 "broke the protocol" "a length that lies"
run_ boot-version
says 125 "version 99 of the protocol" "another version"
run_ boot-failed
says 125 "could not be set up: .\[31mred.*words" "its words, made plain"
run_ boot-long
says 125 "could not be set up: xxxx" "60 KB of words"
below "$(wc -c <"$T/err")" 1100 "of which a line is shown"
for how in data bye clock; do
	run_ boot-$how
	says 125 "broke the protocol" "frames out of turn: $how"
done

## run, its command
run_ mute
says 125 "did not start the command" "an agent that says nothing about the command"
soon "$ms" 15000 "is given up in time"
run_ cmd-mute
says 125 "did not start the command" "nor does Hello help"
STDOUT=/dev/null run_ cmd-early
says 125 "did not start the command|connection broke" "nor output that nobody asked for"
run_ close
says 125 "closed the command's connection" "a connection that is closed"
run_ garbage
says 125 "connection broke" "another length that lies"
run_ version
says 125 "connection broke|version" "another version"
run_ cmd-refuse
says 125 "refused the command: .\[31mred" "a refusal"
run_ cmd-words
says 127 "\[31mred.*words" "words of a command that can't start"
run_ cmd-late
is "$rc/$(err)" 7/ "late is not wrong"
run_ cmd-endless --timeout "$(scaled 3)s"
says 124 "timeout" "a command without an end has --timeout"
mkfifo unread
exec 8<>unread
STDOUT=unread run_ cmd-flood --timeout "$(scaled 8)s"
says 125 "broke" "more output than there is room for"
exec 8>&-
run_ cmd-lies --output-limit 1000
is "$([ "$(stat -c %s "$T/out")" -le 1000 ] && echo few)" few "--output-limit holds against it"
run_ cmd-twice
is "$rc" 0 "the first exit counts"

## run --out
for how in notes huge up link deep words lies; do
	mkdir "to-$how"
	run_ cp-$how --out "/x:to-$how"
	says 5 "--out /x:to-$how: " "run --out: $how"
	soon "$ms" 20000 "in time"
done
is "$(escaped)" "" "nothing is written outside of the target"

## start with a command
for how in events cmd-mute cmd-early; do
	MF_LIMIT=30 start_ $how -- sleep 1
	if [ "$how" = events ]; then
		is "$rc" 0 "start with a command that the agent says to run"
	else
		says 125 "did not start the command|connection broke" "start with a command, $how"
	fi
	soon "$ms" 20000 "in time"
done
m=events-$tag
mf stop -t 1s "$m"
soon "$ms" 20000 "a machine that floods its keeper with lies is stopped"

## exec and attach
try() { # HOW STATUS PATTERN DESCRIPTION: exec in such a machine
	start_ "$1"
	mf exec "$1-$tag" -- command
	says "$2" "$3" "exec: $4"
	soon "$ms" 20000 "in time"
}
try garbage 125 "broke the protocol" "a length that lies"
try close 125 "closed the command's connection" "a connection that is closed"
try version 125 "version 99 of the protocol" "another version"
try cmd-refuse 125 "refused the command: .\[31mred" "a refusal is no protocol error"
try cmd-words 127 "red.*words" "words"
start_ cmd-endless
mf exec --timeout 1s "cmd-endless-$tag" -- command
says 124 "the agent in cmd-endless.* does not answer" "exec --timeout ends also what the agent does not"
start_ cmd-flood
exec 8<>unread
STDOUT=unread mf exec "cmd-flood-$tag" -- command
says 125 "broke the protocol" "exec: more output than there is room for"
exec 8>&-

## cp
cp_() { # HOW TARGET PATTERN DESCRIPTION
	[ "$("$MAYFLY" ps | grep -c "^$1-$tag ")" = 1 ] || start_ "$1"
	STDOUT=/dev/null mf cp "$1-$tag:/x" "$2"
	says 1 "cp $1-$tag:/x: .*$3" "cp: $4"
	soon "$ms" 20000 "in time"
}
mkdir back
cp_ cp-notes back "notes" "notes without an end"
cp_ cp-huge back "more than 16384 MiB" "a size that is a lie"
cp_ cp-huge - "more than 16384 MiB" "on standard output, too"
cp_ cp-up back "a name that is none" "a name that leads out"
cp_ cp-link back "name twice" "a link and then the same as a directory"
cp_ cp-deep back "in each other" "directories without an end"
cp_ cp-words back "red.*words" "words"
cp_ cp-lies back "outside its file" "an offset that lies"
cp_ cp-lies - "outside its file" "on standard output, too"
cp_ close back "gone" "a connection that is closed"
cp_ garbage back "broke the protocol" "a length that lies"
is "$(escaped)" "" "nothing is written outside of the target"

## The keepers
for m in "${started[@]}"; do
	hwm=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$("$MAYFLY" inspect "$m" 2>/dev/null | sed -n 's/.*"keeper": \([0-9]*\).*/\1/p')/status" 2>/dev/null)
	[ -z "$hwm" ] || [ "$hwm" -lt 40000 ] || fail "the keeper of $m has taken $hwm KiB"
	m_log=$("$MAYFLY" logs "$m" 2>/dev/null | tr -d '\n\t' | LC_ALL=C grep -cP '[\x00-\x1f\x7f]|\xc2[\x80-\x9f]')
	[ "$m_log" = 0 ] || fail "the log of $m has what a terminal obeys"
done
pass "keepers and their logs stay small and plain"
mf kill "close-$tag"
is "$rc" 0 "or killed"

## What took longest
wait "${slow[@]}"
is "$(cat "$T/mute.rc" "$T/muteattach.rc" "$T/mutecp.rc" "$T/muteput.rc" | tr '\n' ' ')" "125 125 1 1 " "exec, attach and cp of a mute agent fail"
like "$(cat "$T/mute.err")" "^mayfly: the agent in mute-[^ ]* does not answer$" "exec says it"
like "$(cat "$T/muteattach.err")" "^mayfly: the agent in mute-[^ ]* does not answer$" "so does attach"
like "$(cat "$T/mutecp.err")" "^mayfly: cp [^ ]*: the machine has not answered for 30 s$" "cp out of it"
like "$(cat "$T/muteput.err")" "^mayfly: cp [^ ]*: the machine has (not answered|taken nothing) for 30 s$" "cp into it"
like "$(cat "$T/dripcp.rc" "$T/dripcp.err")" "^1.mayfly: cp [^ ]*: the machine moves so little that the copy would never end$" "a byte now and then is no copy"
like "$(cat "$T/dripout.rc" "$T/dripout.err")" "^5.mayfly: note: --out [^ ]*: the copy is not complete: the guest sends so little" "nor with --out"

mf stop -t 1s "mute-$tag"
is "$rc" 0 "a machine whose agent does not listen is stopped"
soon "$ms" 20000 "in time ($ms ms)"

done_testing
