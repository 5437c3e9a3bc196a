# SPDX-License-Identifier: Apache-2.0
# Deadlines and signals hold whatever becomes of the user's pipes; few descriptors, odd umasks
# shellcheck shell=bash disable=SC1091,SC2154,SC2016
. "$(dirname "$0")/../lib/common.sh"

cat >stuck.py <<'PY'
import os, signal, subprocess, sys, time

MAYFLY = [sys.argv[1], "run", "--engine", sys.argv[2]]

def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(p) for p in f.read().split()]

def wait_for(what, seconds):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise SystemExit("waited too long")
        time.sleep(0.01)

def say(name, p, start, limit):
    try:
        status = p.wait(timeout=limit)
    except subprocess.TimeoutExpired:
        p.kill()
        status = "hung"
    print("%s=%s" % (name, status), flush=True)

def stuck(args, command):
    """mayfly whose standard output nobody reads, once the command has said "marker"."""
    out_r, out_w = os.pipe()
    p = subprocess.Popen(MAYFLY + args + ["--", "sh", "-c", command], stdin=subprocess.DEVNULL,
                         stdout=out_w, stderr=subprocess.PIPE, pass_fds=())
    os.close(out_w)
    os.set_blocking(p.stderr.fileno(), False)
    seen = bytearray()
    def marker():
        seen.extend(p.stderr.read() or b"")
        return b"marker" in seen
    wait_for(marker, 60)
    return p, out_r

# The supervisor is killed while output waits: --timeout still counts.
p, keep = stuck(["--timeout", "8s"], "head -c 150000 /dev/zero; echo marker >&2; sleep 60")
os.kill(children(p.pid)[0], signal.SIGKILL)
say("supervisor", p, time.monotonic(), 12)
os.close(keep)

# The command is over, its output is not taken: SIGTERM ends the wait, and that is no success.
p, keep = stuck([], "head -c 150000 /dev/zero; echo marker >&2")
time.sleep(0.5)  # the end of the command shows nowhere; the test holds before it, too
p.send_signal(signal.SIGTERM)
say("late_term", p, time.monotonic(), 5)
os.close(keep)

# A signal that comes between "ready" and the program's start is not lost.
for i in range(3):
    p = subprocess.Popen(MAYFLY + ["-v", "--", "sleep", "30"] + ["0" * 100000] * 15,
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    for line in p.stderr:
        if b"is ready" in line:
            break
    time.sleep(0.004 * i)
    p.send_signal(signal.SIGTERM)
    say("early_term%d" % i, p, time.monotonic(), 15)
PY
timeout 150 /usr/bin/python3 stuck.py "$MAYFLY" "$MAYFLY_ENGINE" >"$T/out" 2>"$T/err"
isnt "$(val supervisor)" hung "the deadline holds with the supervisor killed and output stuck"
isnt "$(val supervisor)" 0 "and is no success"
is "$(val late_term)" 143 "SIGTERM ends the wait for a reader that doesn't read"
for i in 0 1 2; do
	is "$(val early_term$i)" 143 "SIGTERM before the program runs is not lost ($i)"
done

(
	ulimit -n 200
	vm -- true
	echo "$rc" >"$T/few"
)
is "$(cat "$T/few")" 0 "200 descriptors are enough"
(
	ulimit -n 60
	vm -- true
	echo "$rc" >"$T/few"
)
is "$(cat "$T/few")" 125 "60 are not"
like "$(err)" "open files|descriptor" "which is said"
(
	umask 0777
	timeout 60 "$MAYFLY" run --engine "$MAYFLY_ENGINE" --no-cwd -- true
	echo $? >"$T/few2"
) 2>"$T/err" || :
chmod 600 "$T/few2"
is "$(cat "$T/few2")" 0 "an umask of 0777 does no harm"

mkdir -p real
ln -s real link
echo secret >real/secret
(
	cd real && HOME=$W/link timeout 60 "$MAYFLY" run --engine "$MAYFLY_ENGINE" -- cat secret
) >"$T/out" 2>"$T/err"
unlike "$(out)" secret "a home directory behind a link is not shared"
like "$(err)" "not shared" "which is said"
done_testing
