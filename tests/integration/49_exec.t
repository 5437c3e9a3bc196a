# SPDX-License-Identifier: Apache-2.0
# Commands in a machine that lives: streams, ends, what is left behind, many at once, attach
# shellcheck shell=bash disable=SC1091,SC2154,SC2016
. "$(dirname "$0")/../lib/common.sh"
machines=()
at_exit() { [ "${#machines[@]}" -eq 0 ] || timeout -k 5 "$(scaled 60)" "$MAYFLY" rm -f "${machines[@]}" >/dev/null 2>&1; }
me=exec-$$
# start NAME OPTION...
start() {
	local name=$1
	shift
	machines+=("$name")
	timeout -k 5 "$(scaled 90)" "$MAYFLY" start --engine "$MAYFLY_ENGINE" --name "$name" "$@" \
		</dev/null >"$T/out" 2>"$T/err"
	rc=$?
}
# ex OPTION... MACHINE -- COMMAND...: one exec; sets rc and ms, fills $T/out, $T/err, $T/verdict
ex() {
	local t0
	t0=$(now_ms)
	timeout -k 5 "$(scaled "${VM_LIMIT:-30}")" "$MAYFLY" exec --status-fd 9 "$@" \
		<"${VM_IN:-/dev/null}" >"$T/out" 2>"$T/err" 9>"$T/verdict"
	rc=$?
	ms=$(($(now_ms) - t0))
}
mf() { timeout -k 5 "$(scaled 60)" "$MAYFLY" "$@"; }
inventory >"$T/before"

start "$me" --memory 512M --cpus 2
is "$rc/$(out)" "0/$me" "start prints the machine's name"

## Status and streams
ex "$me" -- sh -c 'echo out; echo err >&2; exit 7'
is "$rc/$(out)/$(err)/$(verdict reason)" "7/out/err/exit" "status and both outputs, apart"
ex "$me" -- sh -c 'kill -9 $$'
is "$rc/$(verdict reason)" "137/signal" "killed by a signal"
ex "$me" -- ./nothere
is "$rc" 127 "a missing command"
ex "$me" -- /etc/passwd
is "$rc" 126 "one that is no program"
printf 'a\0b' >in
VM_IN=in ex "$me" -- cat
is "$(od -An -c <"$T/out" | tr -d ' ')" 'a\0b' "stdin to its end"
head -c "$(fewer 8000000)" /dev/urandom >in
VM_IN=in ex "$me" -- cat
is "$rc/$(sha256sum <in)" "0/$(sha256sum <"$T/out")" "bytes through stdin and stdout are the same"
VM_IN=in ex "$me" -- true
is "$rc" 0 "a command that reads no stdin"
ex "$me" -- sh -c "head -c $(fewer 8000000) /dev/zero; exit 5"
is "$rc/$(wc -c <"$T/out")" "5/$(fewer 8000000)" "no output is lost at the end"

## Whoever calls from a place without stdin
mkfifo never
exec 8<>never
t0=$(now_ms)
timeout -k 5 "$(scaled 30)" "$MAYFLY" exec "$me" -- echo "done" <&8 >"$T/out" 2>"$T/err"
is "$?/$(out)" "0/done" "stdin that never ends holds nobody up"
soon $(($(now_ms) - t0)) 5000 "nor for long"
exec 8>&-
timeout -k 5 "$(scaled 30)" "$MAYFLY" exec "$me" -- echo "done" <&- >"$T/out" 2>"$T/err"
is "$?/$(out)" "0/done" "stdin that is closed"
timeout -k 5 "$(scaled 30)" "$MAYFLY" exec "$me" -- sh -c 'echo x; exit 3' </dev/null >&- 2>"$T/err"
like "$?" '^(3|125)$' "standard output that is closed"

## What stays behind
ex "$me" -- sh -c 'sleep 300 & echo child $!'
is "$rc" 0 "a background child that has the pipes doesn't hang the exec"
soon "$ms" 4000 "it is let go after the grace period"
child=$(sed -n 's/^child //p' "$T/out")
ex "$me" -- kill -0 "$child"
is "$rc" 0 "the child goes on"
ex "$me" -- sh -c "kill $child"
ex --timeout 1s "$me" -- sh -c 'sleep 301 & sleep 302'
is "$rc/$(verdict reason)" "124/timeout" "an exec over its time"
like "$(err)" 'timeout' "says so"
ex "$me" -- sh -c 'for p in /proc/[0-9]*/cmdline; do tr "\0" " " <$p; echo; done | grep -c "^sleep 30[12]"'
is "$(out)" 0 "nothing of it goes on, background included"

## Its own surroundings
ex --env A=1 --workdir /tmp "$me" -- sh -c 'echo $A; pwd'
is "$(out)" "1
/tmp" "variables and directory"
ex --user 12399 "$me" -- id -u
is "$(out)" 12399 "user"
ex --umask 027 "$me" -- sh -c umask
like "$(out)" '^0?027$' "umask"
ex --ulimit nofile=77 "$me" -- sh -c 'ulimit -n'
is "$(out)" 77 "limits"
ex --pids 8 "$me" -- sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done 2>&1; wait' 
like "$(out)$(err)" 'fork|Resource temporarily' "number of processes"
like "$(err)" "see --pids" "which a note names"
ex "$me" -- true
is "$(err)" "" "but not to the next one"

## Others go on meanwhile
ex --detach "$me" -- sh -c 'echo begin; while [ ! -e /tmp/go ]; do sleep 0.1; done; echo end; exit 9'
is "$rc" 0 "detached"
id=$(out)
ex "$me" -- touch /tmp/go
is "$rc" 0 "a second exec while one runs"
mf wait "$me" "$id"
is "$?" 9 "wait gives the status of a detached one"
is "$(mf logs "$me" "$id")" "begin
end" "logs has all of its output"

## A client that dies
ex --detach "$me" -- true
mf exec "$me" -- sh -c 'echo one; while [ ! -e /tmp/go2 ]; do sleep 0.1; done; echo two; exit 4' </dev/null >"$T/first" 2>&1 &
client=$!
disown
wait_until 20 grep -q one "$T/first"
pid=$(pgrep -P "$client" -x mayfly | head -n 1)
kill -9 "${pid:-$client}"
id=$("$MAYFLY" inspect "$me" 2>/dev/null | /usr/bin/python3 -c '
import json, sys
d = json.load(sys.stdin)
print(max(e["exec"] for e in d["exec_list"] if e["state"] != "ended"))')
timeout -k 5 "$(scaled 30)" "$MAYFLY" attach "$me" "$id" </dev/null >"$T/second" 2>"$T/err" &
attached=$!
ex "$me" -- touch /tmp/go2
wait "$attached"
is "$?" 4 "attach to what it left: the status"
like "$(cat "$T/second"; mf logs "$me" "$id")" 'two' "and its output"

## Many at once
cat >many.py <<'PY'
import hashlib, os, subprocess, sys, threading
mayfly, machine, n, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
bad = []
def one(i):
    data = os.urandom(size)
    p = subprocess.run([mayfly, "exec", machine, "--", "cat"], input=data, capture_output=True)
    if p.returncode or hashlib.sha256(p.stdout).digest() != hashlib.sha256(data).digest():
        bad.append((i, p.returncode, len(p.stdout), p.stderr[-200:]))
ts = [threading.Thread(target=one, args=(i,)) for i in range(n)]
[t.start() for t in ts]
[t.join() for t in ts]
print("bad=%s" % bad)
PY
first=$(mf exec -d "$me" -- sleep 300 </dev/null)
timeout -k 5 "$(scaled 200)" /usr/bin/python3 many.py "$MAYFLY" "$me" 64 "$(fewer 4194304)" >"$T/out" 2>"$T/err"
is "$(val bad)" "[]" "64 at once, each with $(fewer 4194304) bytes through stdin and stdout"
last=$(mf exec -d "$me" -- sleep 300 </dev/null)
mf kill -s TERM "$me" >"$T/out" 2>"$T/err" </dev/null
is "$?" 125 "a signal without a number is refused, however many lie between the two that run"
like "$(err)" "$last \(sleep\), $first \(sleep\)" "and both are named"
for x in "$first" "$last"; do
	mf kill -s TERM "$me" "$x" </dev/null
	mf wait "$me" "$x" </dev/null
	is "$?" 143 "exec $x has it"
done

## Pause, resume, clock
mf pause "$me"
is "$?" 0 "pause"
ex "$me" -- true
is "$rc" 125 "no exec while paused"
like "$(err)" 'paused' "it says why"
sleep 1
mf resume "$me"
is "$?" 0 "resume"
a=${EPOCHREALTIME/./}
ex "$me" -- date +%s%6N
b=${EPOCHREALTIME/./}
yes_if "the clock is right after resume" [ "$(out)" -ge $((a - 10000)) ] && [ "$(out)" -le $((b + 10000)) ]

## The machine ends under it
mf exec "$me" -- sh -c 'echo up; sleep 60' </dev/null >"$T/first" 2>"$T/first.err" &
client=$!
wait_until 20 grep -q up "$T/first"
mf kill "$me"
is "$?" 0 "kill"
wait "$client"
is "$?" 125 "an exec in a machine that is killed ends with 125"
like "$(cat "$T/first.err")" 'machine' "and says that the machine is gone"
ex "$me" -- true
is "$rc" 125 "exec in a stopped machine"
like "$(err)" 'stopped|not running|ended' "says so"
ex nothere -- true
like "$rc/$(err)" '^125/.*nothere' "exec in no machine"
mf rm "$me"
is "$?" 0 "rm"

## The guest ends by itself
if is_root; then
	start "$me.off" --memory 128M
	ex "$me.off" -- sh -c 'sync; /sbin/poweroff -f 2>/dev/null || /usr/sbin/poweroff -f; sleep 30'
	is "$rc" 125 "poweroff in an exec"
	mf wait "$me.off" >/dev/null 2>&1
	wait_until 10 sh -c "! '$MAYFLY' ps --json | grep -q '$me.off'"
	is "$?" 0 "poweroff ends the machine"
	start "$me.panic" --memory 128M
	ex "$me.panic" -- sh -c 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger; sleep 30'
	isnt "$rc" 0 "a panic doesn't look like success"
	mf wait --json "$me.panic" >"$T/verdict" 2>/dev/null
	is "$(verdict reason)" guest-panic "and is told as one"
else
	skip "guest root only" "poweroff ends the machine"
fi

## 20 machines
n=20
[ "$MAYFLY_TIME_SCALE" -gt 1 ] && n=4
pids=()
for ((i = 0; i < n; i++)); do
	machines+=("$me.m$i")
	timeout -k 5 "$(scaled 200)" "$MAYFLY" start --engine "$MAYFLY_ENGINE" --memory 64M --name "$me.m$i" </dev/null >"$T/m.$i" 2>&1 &
	pids+=($!)
done
bad=0
for ((i = 0; i < n; i++)); do wait "${pids[$i]}" || bad=$((bad + 1)); done
is "$bad" 0 "$n machines at once start"
pids=()
for ((i = 0; i < n; i++)); do
	timeout -k 5 "$(scaled 60)" "$MAYFLY" exec "$me.m$i" -- echo "m$i" </dev/null >"$T/m.$i" 2>&1 &
	pids+=($!)
done
bad=0
for ((i = 0; i < n; i++)); do
	wait "${pids[$i]}"
	[ "$(cat "$T/m.$i")" = "m$i" ] || { bad=$((bad + 1)); diag "$(tail -n 2 "$T/m.$i")"; }
done
is "$bad" 0 "all of them answer"
timeout -k 5 "$(scaled 120)" "$MAYFLY" rm -f "${machines[@]}" >"$T/out" 2>"$T/err"
machines=()
if new=$(compare_inventory "$T/before"); then pass "nothing is left"; else fail "nothing is left"; diag "$new"; fi
done_testing
