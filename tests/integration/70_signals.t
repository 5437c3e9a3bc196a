# SPDX-License-Identifier: Apache-2.0
# Signals to mayfly: forwarded, the second SIGINT, during the boot, and Ctrl-C in a terminal
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"

loop='echo started; while :; do sleep 0.1; done'
for s in INT TERM HUP; do
	watch --part mayfly --signal $s -- -- sh -c "trap 'echo got-$s; exit 33' $s; $loop"
	is "$rc/$(sed -n 2p "$T/out")" "33/got-$s" "SIG$s is forwarded to the command"
done
watch --part mayfly --signal TERM -- -- sh -c "$loop"
is "$rc/$(verdict reason)/$(verdict signal)" "143/signal/15" "a command that SIGTERM kills is 143"
watch --part mayfly --signal INT -- -- sh -c 'trap "echo p" INT; sh -c "trap \"echo c; exit\" INT; echo started; while :; do sleep 0.1; done"; wait'
like "$(out | tr '\n' ' ')" "c .*p|p .*c" "the whole process group gets it"
watch --part mayfly --signal USR1 --signal TERM -- -- sh -c "trap 'echo usr1' USR1; trap 'echo term; exit 8' TERM; $loop"
is "$rc/$(out | tr '\n' ' ')" "8/started usr1 term " "SIGUSR1, then SIGTERM"
watch --part mayfly --signal INT --signal INT -- -- sh -c "trap 'echo ignored' INT; $loop"
is "$rc/$(verdict reason)/$(verdict signal)" "130/interrupted/2" "a second SIGINT kills the machine"
soon "$ms" 3000 "at once ($ms ms from the first)"
is "$left" "" "and nothing is left"
watch --part mayfly --signal TERM --signal TERM --signal INT --signal INT -- -- sh -c "trap '' TERM; trap '' INT; $loop"
is "$rc" 130 "SIGTERM twice does not, SIGINT twice does"
for s in INT TERM HUP; do
	watch --part mayfly --signal $s --when start -- -- sh -c 'echo started; sleep 20'
	like "$rc" "^(130|143|129)$" "SIG$s at the start ends it ($rc)"
done
watch --part mayfly --signal INT --when vmm -- -- sh -c 'sleep 20'
is "$rc/$(verdict reason)/$(verdict signal)" "130/interrupted/2" "SIGINT during the boot ends it"
soon "$ms" 2500 "at once ($ms ms)"
is "$left" "" "and nothing is left"
watch --part mayfly --signal STOP --signal CONT -- -- sh -c 'echo started; sleep 1.2; echo still; exit 9'
is "$rc/$(sed -n 2p "$T/out")" "9/still" "mayfly stopped and continued: the run goes on"

cat >term.py <<'PY'
# Runs a command on a terminal, answers patterns with keys: term.py TIMEOUT [PATTERN KEYS]... -- CMD
import os, pty, select, signal, sys, termios, time
end = time.monotonic() + float(sys.argv[1]) * int(os.environ["MAYFLY_TIME_SCALE"])
cut = sys.argv.index("--")
steps = [(sys.argv[i].encode(), sys.argv[i + 1].encode().decode("unicode_escape").encode())
         for i in range(2, cut, 2)]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[cut + 1], sys.argv[cut + 1:])
before = termios.tcgetattr(fd)
text = b""
mark = 0
while time.monotonic() < end:
    r, _, _ = select.select([fd], [], [], 0.1)
    if r:
        try:
            data = os.read(fd, 4096)
        except OSError:
            break
        if not data:
            break
        text += data
    if steps and steps[0][0] in text[mark:]:
        mark = text.index(steps[0][0], mark) + len(steps[0][0])
        os.write(fd, steps.pop(0)[1])
else:
    print("HUNG")
    os.kill(pid, signal.SIGKILL)
_, status = os.waitpid(pid, 0)
try:
    same = termios.tcgetattr(fd) == before
except termios.error:
    same = True
print("status=%d" % (os.waitstatus_to_exitcode(status)))
print("terminal=%s" % ("same" if same else "changed"))
sys.stdout.write("text=" + repr(text) + "\n")
PY
term() { timeout -k 5 "$(scaled 60)" /usr/bin/python3 term.py "$@" >"$T/out" 2>"$T/err"; rc=$?; }
run=("$MAYFLY" run --engine "$MAYFLY_ENGINE")
term 30 started '\x03' -- "${run[@]}" -- sh -c "trap 'echo got-INT; exit 34' INT; $loop"
guest_is status 34 "Ctrl-C in a terminal reaches the command"
like "$(val text)" "got-INT" "which can answer"
guest_is terminal same "the terminal's settings are as before"
term 30 started '\x03' ignored '\x03' -- "${run[@]}" -- sh -c "trap 'echo ignored' INT; $loop"
guest_is status 130 "a second Ctrl-C kills the machine"
guest_is terminal same "the terminal's settings are as before"
term 30 started 'hello\n' got-hello '\x04' -- "${run[@]}" -- sh -c 'echo started; read x; echo got-$x; cat; echo end-$?'
like "$(val text)" "got-hello.*end-0" "a line and Ctrl-D from a terminal arrive"
guest_is status 0 "with the command's status"
term 30 -- "${run[@]}" -- sh -c 'tty; test -t 0; echo $?'
like "$(val text)" "not a tty.*1" "the command itself sees no terminal"
term 30 started '\x1c' -- "${run[@]}" -- sh -c "trap 'echo got-QUIT; exit 35' QUIT; $loop"
guest_is status 35 "Ctrl-\\ reaches the command"

done_testing
