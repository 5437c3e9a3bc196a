# SPDX-License-Identifier: Apache-2.0
# Machines that live: start, ps, stop, kill, wait, rm, logs, pause, resume, inspect, stats; keepers that are killed
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016,SC2009,SC2086,SC2046
# As root the machines' directory is everybody's: here it is one of our own, in a mount namespace.
if [ "$(id -u)" -eq 0 ] && [ -z "${START_OWN_RUN:-}" ]; then
	START_OWN_RUN=1 exec unshare --mount sh -c \
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
records=$base/.machines
at_exit() {
	[ ! -d "$records" ] || for m in "$records"/*/; do
		timeout -k 5 60 "$MAYFLY" rm -f "$(basename "$m")" >/dev/null 2>&1
	done
}
# m COMMAND...: sets rc and ms, fills $T/out and $T/err
m() {
	local t0
	t0=$(now_ms)
	timeout -k 5 "$(scaled "${M_LIMIT:-90}")" "$MAYFLY" "$@" >"$T/out" 2>"$T/err" </dev/null
	rc=$?
	ms=$(($(now_ms) - t0))
}
start() { m start --engine "$MAYFLY_ENGINE" --memory 256M --no-cwd "$@"; }
field() { # MACHINE KEY: of its record
	/usr/bin/python3 -c 'import json,sys
o = json.load(open(sys.argv[1]))
for k in sys.argv[2].split("."): o = o[k]
print(o)' "$records/$1/machine.json" "$2" 2>/dev/null
}
reason() { echo "$(field "$1" state)/$(field "$1" verdict.reason)/$(field "$1" verdict.status)"; }
# Processes of a machine: its keeper, and the session of its supervisor.
parts() {
	local keeper supervisor
	keeper=$(field "$1" keeper)
	supervisor=$(pgrep -P "$keeper")
	echo "$keeper" "$supervisor" $(pgrep -P "$supervisor")
}
none_left() {
	local p
	for p; do kill -0 "$p" 2>/dev/null && return 1; done
	return 0
}
empty_base() { [ -z "$(find "$base" -mindepth 1 -maxdepth 1 -name 'run-*')" ]; }

## Before there is any
m ps
is "$rc/$(wc -l <"$T/out")" 0/1 "ps without machines: a headline"
m ps --json
is "$rc/$(tr -d ' \n' <"$T/out")" "0/[]" "as JSON: an empty list"
m stop nobody
is "$rc/$(err)" "125/mayfly: no machine 'nobody' (see mayfly ps -a)" "an unknown machine is named, and ps -a"
for c in kill wait rm logs pause resume inspect stats; do
	m $c nobody
	is "$rc/$(grep -c "no machine 'nobody'" "$T/err")" 125/1 "$c of an unknown one"
done
for c in start ps stop kill wait rm logs pause resume inspect stats; do
	m $c --help
	is "$rc/$(grep -c "usage: mayfly $c" "$T/out")" 0/1 "$c --help"
	m $c --no-such-option
	is "$rc" 125 "$c with an unknown option"
done
for o in "--out a:b" --console --tty "--status-fd 1" "--output-limit 1M"; do
	# shellcheck disable=SC2086
	start $o
	is "$rc/$(grep -c "mayfly exec" "$T/err")" 125/1 "start $o is refused"
done
for n in .x -x a/b "" "$(printf 'x%.0s' {1..65})" ..; do
	start --name "$n"
	is "$rc" 125 "the name '${n:0:8}' is refused"
done

## A life
t0=$(now_ms)
name=$(timeout -k 5 "$(scaled 90)" "$MAYFLY" start --engine "$MAYFLY_ENGINE" --memory 256M --no-cwd --name first 2>"$T/err")
is "$?/$name" 0/first "start prints the name, and \$(...) returns"
is "$(field first state)/$(field first engine)" "ready/$MAYFLY_ENGINE" "the record says ready"
is "$(stat -c %a "$records/first")/$(stat -c %a "$records")" 700/700 "the record is its user's alone"
procs=$(parts first)
# Nothing of the caller's: its pipes, its files, its terminal.
mine=$(find /proc/$$/fd/ "$T" -maxdepth 1 -printf '%l %p\n' 2>/dev/null | grep -oE "pipe:\[[0-9]+\]|${T}[^ ]*" | sort -u)
open=""
for p in $procs; do
	for f in /proc/"$p"/fd/*; do
		link=$(readlink "$f")
		grep -qxF -- "$link" <<<"$mine" && open+="$p:$link "
	done
done
is "$open" "" "no process of the machine has anything of ours open"
is "$(for p in $procs; do ps -o tty= -p "$p"; done | tr -d ' \n?')" "" "nor a terminal"
keeper=${procs%% *}
is "$(ps -o sid= -p "$keeper" | tr -d ' ')" "$keeper" "the keeper has a session of its own"
is "$(readlink /proc/"$keeper"/cwd)" "$records/first" "and is not in our directory"
m ps
like "$(out)" "first +run-[0-9a-f]+ +ready" "ps shows it"
id=$(field first id)
m inspect "$id"
is "$rc/$(grep -c '"name": "first"' "$T/out")" 0/1 "by its id"
m inspect "${id:4:6}"
is "$rc/$(grep -c '"name": "first"' "$T/out")" 0/1 "by the beginning of its id"
m inspect "${id:4:3}"
is "$rc" 125 "not by three characters"
start --name first
is "$rc/$(grep -c "is a machine 'first' already" "$T/err")" 125/1 "its name is taken"
m rm first
is "$rc/$(grep -c 'mayfly rm -f' "$T/err")" 125/1 "it runs: rm refuses"
m stats first
like "$(out)" "first +[0-9.]+s +[1-9][0-9]*M +[1-9][0-9]*M" "stats"
m stats --json
like "$(out | tr -d ' \n')" '"host_memory":[1-9].*"memory_total":[1-9]' "as JSON, of host and guest"
m stats --prometheus
like "$(out)" 'mayfly_host_memory_bytes\{machine="first"\} [1-9]' "for Prometheus"
m logs first
like "$(out)" "machine first .* is ready" "logs"
m logs --tail 0 first
is "$rc/$(out)" 0/ "no line of it"
m logs first 77
is "$rc/$(grep -c 'no exec 77' "$T/err")" 125/1 "of an exec that there is not"
m resume first
is "$rc/$(grep -c "is not paused but ready" "$T/err")" 125/1 "what is not paused can't be resumed"

## Pause
guest_ticks() { m stats --json first; sed -n 's/.*"uptime_ns": \([0-9]*\).*/\1/p' "$T/out"; }
m pause first
is "$rc/$(field first state)" 0/paused "pause"
engine_pid=$(for p in $procs; do grep -qsE '^(qemu|mayfly-vmm)' /proc/"$p"/comm && echo "$p"; done | head -n 1)
cpu_of() { local x=0 p; for p in $procs; do set -- $(sed 's/.*) //' /proc/"$p"/stat); x=$((x + ${12} + ${13})); done; echo "$x"; }
a=$(cpu_of)
sleep 1
b=$(cpu_of)
below $((b - a)) 20 "nothing of it computes ($((b - a)) ticks in a second)"
m pause first
is "$rc/$(grep -c 'is paused' "$T/err")" 125/1 "twice is refused"
m stats --json first
is "$rc/$(grep -c memory_total "$T/out")/$(grep -c host_memory "$T/out")" 0/0/1 "stats of a paused machine: the host's only"
m resume first
is "$rc/$(field first state)" 0/ready "resume"
m stats --json first
is "$rc/$(grep -c memory_total "$T/out")" 0/1 "the guest answers again"

# Who does it is stopped itself for longer than anybody waits; what it says then counts.
doer=$(if [ "$MAYFLY_ENGINE" = tcg ]; then pgrep -P "$keeper"; else echo "$engine_pid"; fi)
kill -STOP "$doer"
m pause first
is "$rc/$(grep -c 'is ready still' "$T/err")" 125/1 "a pause that is not answered in time"
kill -CONT "$doer"
yes_if "is seen when it comes" wait_until 10 eval '[ "$(field first state)" = paused ]'
m resume first
is "$rc/$(field first state)" 0/ready "and ends as others"

## Stop
m pause first
m stop first
is "$rc/$(reason first)" 0/stopped/stopped/0 "a paused machine can be stopped"
soon "$ms" 8000 "in good order, in time ($ms ms)"
yes_if "its processes are gone" wait_until 5 none_left $procs
yes_if "its directory, too" empty_base
m stop first
is "$rc" 0 "to stop what is stopped is no mistake"
m pause first
is "$rc/$(grep -c 'is stopped' "$T/err")" 125/1 "it can't be paused any more"
m ps
is "$(grep -c first "$T/out")" 0 "ps shows it no more"
m ps -a
like "$(out)" "first .*stopped \(stopped, 0\)" "ps -a does"
m wait first
is "$rc/$(out)" 0/ "wait is over at once, with 0"
m wait --json first
like "$(out)" '"reason": ?"stopped"' "and has the verdict"
m inspect --json first
is "$rc/$(grep -c '"exec_list"' "$T/out")" 0/1 "inspect"
m rm first
is "$rc/$(ls -A "$records")" 0/ "rm leaves nothing"


## Pause and stop at the same moment
start --name both
keeper=$(field both keeper)
# Both have asked when it goes on.
asks() { find /proc/"$(pgrep -P "$1")"/fd -lname 'socket:*' 2>/dev/null | grep -q .; }
kill -STOP "$keeper"
for how in pause stop; do
	timeout -k 5 "$(scaled 90)" "$MAYFLY" $how both >/dev/null 2>&1 </dev/null &
	eval "$how=\$!"
	BACKGROUND+=("$!")
	wait_until 10 asks "$!"
done
t0=$(now_ms)
kill -CONT "$keeper"
wait "$pause"
wait "$stop"
is "$?/$(reason both)" 0/stopped/stopped/0 "a pause that is under way does not keep a machine from its end"
ms=$(($(now_ms) - t0))
soon "$ms" 1000 "nor hold it up ($ms ms)"
m rm -f both

## A machine for one command
start --name cmd -- sh -c 'echo said; echo wrong >&2; exit 7'
is "$rc" 0 "start with a command"
m wait cmd
is "$rc/$(reason cmd)" 7/stopped/exit/7 "lives as long as it, and has its status"
m logs cmd 1
is "$(out | sort | tr '\n' ' ')" "said wrong " "its output is in the log"
m logs cmd
is "$(out | sort | tr '\n' ' ')" "said wrong " "which is what logs shows of such a machine"
m logs --machine cmd
like "$rc/$(out)" '^0/.*machine cmd .* is ready' "or its own log"
m logs --machine cmd 1
is "$rc/$(wc -l <"$T/err")" 125/1 "not both"
m wait --json cmd 1
like "$rc/$(out)" '^7/.*"status": ?7' "exec 1 was it"
m wait cmd 5
is "$rc" 125 "there was no exec 5"
start --name notfound -- no-such-program
is "$rc/$(ls -d "$records/notfound" 2>/dev/null)" 127/ "a command that is not found: 127, and no machine"
start --name term -- sh -c 'trap "echo got-TERM; exit 33" TERM; echo up; while :; do sleep 0.1; done'
yes_if "its output comes" wait_until 20 grep -qs up "$records/term/exec-1.log"
m stop term
is "$rc/$(reason term)/$(grep -c got-TERM "$records/term/exec-1.log")" 0/stopped/exit/33/1 "stop is SIGTERM to it; its end is the machine's"
start --name deaf -- sh -c 'trap "" TERM; echo up; while :; do sleep 0.1; done'
wait_until 20 grep -qs up "$records/deaf/exec-1.log"
m stop deaf --time 1s
is "$rc/$(reason deaf)" 0/stopped/stopped/0 "one that does not listen has --time"
yes_if "and no less ($ms ms)" [ "$ms" -ge 900 ]
for how in "stop --time 1s" kill "rm -f"; do
	start --name patient -- sh -c 'trap "" TERM; echo up; while :; do sleep 0.1; done'
	wait_until 20 grep -qs up "$records/patient/exec-1.log"
	timeout -k 5 "$(scaled 90)" "$MAYFLY" stop --time 10m patient >/dev/null 2>&1 </dev/null &
	stopper=$!
	BACKGROUND+=("$stopper")
	wait_until 10 eval '[ "$(field patient state)" = stopping ]'
	if [ "$how" = kill ]; then
		M_LIMIT=2 m stop --time 20m patient
		is "$rc/$(field patient state)" 124/stopping "one that gives more time changes nothing"
	fi
	M_LIMIT=20 m $how patient
	is "$rc/$(err)" 0/ "$how of a machine that has ten minutes to stop"
	soon "$ms" 10000 "at once ($ms ms)"
	case $how in
	stop*) is "$(reason patient)" stopped/stopped/0 "and that is its verdict" ;;
	kill) is "$(reason patient)" stopped/killed/137 "and that is its verdict" ;;
	esac
	yes_if "who stopped it is told" wait_until 5 gone "$stopper"
	m rm -f patient
done
start --name flood -- sh -c 'yes 0123456789abcdef | head -c 40000000; echo; echo end-of-it'
m wait flood
is "$rc/$(tail -n 1 "$records/flood/exec-1.log")" 0/end-of-it "40 MB of output"
below "$(stat -c %s "$records/flood/exec-1.log")" 17000000 "its log is cut at 16 MiB"
start --name follow -- sh -c 'for i in 1 2 3 4 5; do echo line $i; sleep 0.3; done; exit 4'
m logs follow -f 1
is "$rc/$(out | tr '\n' ' ')" "0/line 1 line 2 line 3 line 4 line 5 " "logs -f goes on until its end"
m logs --tail 2 follow 1
is "$(out | tr '\n' ' ')" "line 4 line 5 " "logs --tail"
start --name full --disk-limit 16M -- sh -c 'exec 2>/dev/null; head -c 20M /dev/zero >/var/tmp/x || exit 3'
m wait --json full
like "$rc/$(out)" '^3/.*"limits_met": ?\["disk"\]' "a limit that it met is named in its verdict"
like "$(err)" '^mayfly: full: .*--disk-limit' "and in a line for people"
m wait --json full 1
like "$rc/$(out)" '^3/.*"command": ?\["sh".*"limits_met": ?\["disk"\]' "and in its exec's record"
like "$(err)" '^mayfly: full, exec 1: .*--disk-limit' "with the same line"
m rm cmd term deaf flood follow full
is "$rc/$(ls -A "$records")" 0/ "rm of several"

## Ends that nobody asked for
start --name timed --timeout "$(scaled 6)s"
m wait timed
is "$rc/$(reason timed)" 124/stopped/timeout/124 "--timeout is the machine's"
start --name panicked -- sh -c 'echo c >/proc/sysrq-trigger; sleep 20'
if is_root && [ "$rc" = 0 ]; then
	m wait panicked
	is "$rc/$(reason panicked)" 125/stopped/guest-panic/125 "a panic"
	m logs --console panicked
	like "$(out)" "sysrq triggered crash" "the console's last lines are kept"
fi
for part in mayfly-vmm mayfly-fs; do
	start --name broken
	victim=$(for p in $(parts broken); do [ "$(tr '\0' ' ' </proc/"$p"/cmdline | cut -d' ' -f1)" = $part ] && echo "$p"; done)
	kill -9 "$victim"
	m wait broken
	is "$rc/$(reason broken)" "125/stopped/${part#mayfly-}-killed/125" "$part killed: the verdict says so"
	m rm broken
done
start --name killed
procs=$(parts killed)
m kill killed
is "$rc/$(reason killed)" 0/stopped/killed/137 "kill"
yes_if "all of it is gone" wait_until 5 none_left $procs
start --name paused
m pause paused
m kill paused
is "$rc/$(reason paused)" 0/stopped/killed/137 "kill of a paused machine"
start --name byterm
kill -TERM "$(field byterm keeper)"
m wait byterm
is "$rc/$(reason byterm)" 0/stopped/stopped/0 "SIGTERM to the keeper is stop"
m rm killed paused byterm timed
m rm -f panicked

## Nothing to do
start --name idle --idle-timeout "$(scaled 2)s"
m exec idle -- sh -c "head -c 8000000 /dev/zero >/tmp/f; sleep $(scaled 3)"
is "$rc" 0 "--idle-timeout: a command may take longer"
n=$("$MAYFLY" cp idle:/tmp/f - 2>"$T/err" | { sleep "$(scaled 3)"; wc -c; })
is "$n" 8000000 "so may a copy"
m exec --detach idle -- sleep "$(scaled 3)"
m wait idle "$(out)"
is "$rc" 0 "or a command that was detached"
m pause idle
sleep "$(scaled 3)"
m resume idle
is "$rc/$(field idle state)" 0/ready "while it is paused its time stands still"
asked=0
while [ "$asked" -lt 1000 ] && [ "$(field idle state)" = ready ]; do m ps && asked=$((asked + 1)); done
m wait idle
is "$rc/$(reason idle)" 124/stopped/idle/124 "then it ends, however often it is looked at"
below "$asked" 1000 "soon"
like "$(field idle verdict.message)" "no command ran in the machine for $(scaled 2) s" "and says why"
m rm idle
start --name idle --idle-timeout 2s -- sleep 100
is "$rc" 125 "one with a command of its own is never idle"
like "$(err)" "see --timeout" "and is refused"

## Keepers that are killed
for how in ready paused; do
	start --name orphan
	procs=$(parts orphan)
	[ $how = ready ] || m pause orphan
	kill -9 "${procs%% *}"
	yes_if "keeper of a $how machine killed: all of it ends" wait_until 10 none_left $procs
	m ps
	is "$(grep -c orphan "$T/out")" 0 "ps shows it no more"
	is "$(reason orphan)" stopped/keeper-killed/125 "its record is completed"
	m wait orphan
	is "$rc" 125 "wait: 125"
	m rm orphan
	m gc -q
	yes_if "gc leaves nothing of it" empty_base
done
start --name waited
timeout -k 5 "$(scaled 60)" "$MAYFLY" wait waited >/dev/null 2>&1 &
waiter=$!
BACKGROUND+=("$waiter")
kill -9 "$(field waited keeper)"
wait "$waiter"
is "$?" 125 "who waits for a machine whose keeper is killed is told"
m rm waited
start --name crashed
kill -9 "$(field crashed keeper)"
wait_until 5 gone "$(field crashed keeper)"
m gc
is "$rc/$(grep -c 'completed the record of machine crashed' "$T/out")" 0/1 "gc completes a record"
m rm crashed

## --rm
start --rm --name brief
m stop brief
is "$rc/$(ls -A "$records")" 0/ "start --rm leaves nothing"
start --rm --name brief
m kill brief
is "$rc/$(ls -A "$records")" 0/ "killed: nothing, too"
start --rm --name brief
keeper=$(field brief keeper)
kill -9 "$keeper"
wait_until 5 gone "$keeper"
start --rm --name brief
is "$rc" 0 "its keeper killed: the name is free at once"
m rm -f brief
is "$rc/$(ls -A "$records")" 0/ "rm -f ends it first"

## A start that is given up
"$MAYFLY" start --engine "$MAYFLY_ENGINE" --no-cwd --name quick >/dev/null 2>&1 &
starter=$!
BACKGROUND+=("$starter")
wait_until 5 test -e "$records/quick/machine.json"
kill -9 "$starter"
yes_if "who starts a machine is killed: it ends, and its record goes" wait_until 20 test ! -e "$records/quick"
yes_if "nothing is left" wait_until 20 empty_base
start --boot-timeout 10ms --name late
is "$rc/$(ls -A "$records")" 125/ "a guest that is not ready in time: no machine"
start --kernel /dev/null --name nokernel
is "$rc/$(ls -A "$records")" 125/ "nor without a kernel"

## Of an image
if command -v busybox >/dev/null && ldd "$(command -v busybox)" 2>&1 | grep -q "not a dynamic\|statically"; then
	export XDG_DATA_HOME=$T/data
	mkdir -p tree/bin tree/etc tree/srv
	for p in sh cat id pwd touch ls sleep; do ln -s busybox "tree/bin/$p"; done
	cp "$(command -v busybox)" tree/bin
	echo 'root:x:0:0:root:/srv:/bin/sh' >tree/etc/passwd
	echo here >tree/srv/file
	m image import --name plain tree
	is "$rc" 0 "an image"
	start --name ofimage --image plain --workdir /srv
	is "$rc/$(out)" 0/ofimage "start --image needs no command of the image's"
	is "$(field ofimage image)" plain "the record names it"
	m exec ofimage -- sh -c 'cat file; id -u; pwd; touch /bin/new; echo $HOME'
	is "$rc/$(out | tr '\n' ' ')" "0/here 0 /srv /srv " "exec is in it, as its user"
	m exec ofimage -- ls /bin/new
	is "$rc/$(out)" 0//bin/new "what one exec writes the next one sees"
	m exec --user 7:8 ofimage -- sh -c 'id -u; id -g'
	is "$rc/$(out | tr '\n' ' ')" "0/7 8 " "exec --user"
	m cp ofimage:file -
	is "$rc/$(out)" 0/here "cp"
	m image rm plain
	image_rm=$rc
	m exec ofimage -- cat /srv/file
	is "$rc/$(out)" 0/here "it lives when the image is removed ($image_rm)"
	m rm -f ofimage
	start --name ofimage --image plain-none
	is "$rc/$(grep -c plain-none "$T/err")/$(ls -A "$records")" 125/1/ "an image that is not there"
	unset XDG_DATA_HOME
else
	skip "no static busybox" "start --image"
fi

## Many at once
for i in $(seq 10); do
	timeout -k 5 "$(scaled 90)" "$MAYFLY" start --engine "$MAYFLY_ENGINE" --memory 128M --no-cwd --name same >"$T/same.$i" 2>/dev/null &
done
wait
is "$(cat "$T"/same.* | tr '\n' ' ')" "same " "ten starts of the same name: one wins"
m rm -f same
is "$(ls -A "$records")" "" "and the others left nothing"

done_testing
