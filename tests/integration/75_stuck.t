# SPDX-License-Identifier: Apache-2.0
# Unread output, early signals, a terminal's background, a home behind a link, few descriptors
# shellcheck shell=bash disable=SC1091,SC2154,SC2016
. "$(dirname "$0")/../lib/common.sh"

cat >stuck.py <<'PY'
# stuck.py MODE MAYFLY ENGINE: one scenario; prints KEY=VALUE. What it starts ends with it.
import ctypes, fcntl, os, pty, signal, subprocess, sys, termios, time

MODE, RUN = sys.argv[1], [sys.argv[2], "run", "--engine", sys.argv[3]]
SCALE = int(os.environ["MAYFLY_TIME_SCALE"])
TICK = os.sysconf("SC_CLK_TCK")
# The process that runs the guest.
GUEST = b"mayfly-vmm" if sys.argv[3] == "kvm" else b"qemu-system"


def stat(pid):
    """(parent, state, CPU seconds), nothing if it is gone"""
    try:
        with open("/proc/%d/stat" % pid, "rb") as f:
            words = f.read().rpartition(b")")[2].split()
        return int(words[1]), words[0].decode(), (int(words[11]) + int(words[12])) / TICK
    except OSError:
        return None


def descendants(top):
    table = {int(n): stat(int(n)) for n in os.listdir("/proc") if n.isdigit()}
    found, todo = [], [top]
    while todo:
        parent = todo.pop()
        below = [p for p, s in table.items() if s and s[0] == parent]
        todo += below
        found += [p for p in below if table[p][1] not in "ZX"]
    return found


def part(p, name):
    """The process of p's machine whose program is called so."""
    for pid in descendants(p.pid):
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            if os.path.basename(f.read().split(b"\0")[0]).startswith(name):
                return pid
    sys.exit("no %s" % name)


def wait_until(seconds, what, condition):
    end = time.monotonic() + seconds * SCALE
    while not condition():
        if time.monotonic() > end:
            sys.exit("waited too long for %s" % what)
        time.sleep(0.005)


def contains(path, text):
    with open(path, "rb") as f:
        return text in f.read()


def quiet(pid):
    """Whether a process needed next to nothing for a while."""
    before = stat(pid)
    time.sleep(0.3 * SCALE)
    after = stat(pid)
    return not before or not after or after[2] - before[2] < 0.04 * SCALE


def start(options, command, **how):
    with open("stderr", "wb") as err:
        how.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(RUN + options + ["--"] + command, stderr=err, **how)


def end_of(p, since, seconds):
    """Prints the status, as a shell gives it, and the time from then on."""
    try:
        status = p.wait(timeout=max(0, since + seconds * SCALE - time.monotonic()))
        print("status=%d" % (128 - status if status < 0 else status))
    except subprocess.TimeoutExpired:
        print("status=hung")
    print("ms=%d" % ((time.monotonic() - since) * 1000), flush=True)


def supervisor():
    _, w = pipe = os.pipe()
    t0 = time.monotonic()
    p = start(["--timeout", "%ds" % (6 * SCALE)],
              ["sh", "-c", "head -c 150000 /dev/zero; echo written >&2; sleep 60"], stdout=w)
    wait_until(5.5, "the command", lambda: contains("stderr", b"written"))
    os.kill(part(p, b"mayfly-jailer"), signal.SIGKILL)
    end_of(p, t0, 20)
    del pipe


def unread():
    _, w = pipe = os.pipe()
    p = start([], ["sh", "-c", "head -c 150000 /dev/zero; echo done >&2"], stdout=w)
    wait_until(20, "the command", lambda: contains("stderr", b"done"))
    guest = part(p, GUEST)
    wait_until(5, "its end", lambda: quiet(guest))
    print("waits=%d" % (p.poll() is None))
    t0 = time.monotonic()
    p.send_signal(signal.SIGTERM)
    end_of(p, t0, 8)
    del pipe


def early():
    # So much to hand over that the program does not run yet when the guest is ready.
    p = start(["-v"], ["sleep", "30"] + ["0" * 100000] * 15, stdout=subprocess.DEVNULL)
    wait_until(20, "the guest", lambda: contains("stderr", b"the guest is ready"))
    t0 = time.monotonic()
    p.send_signal(signal.SIGTERM)
    end_of(p, t0, 12)


def background():
    master, slave = pty.openpty()
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for number in signal.SIGTTOU, signal.SIGHUP:
        signal.signal(number, signal.SIG_IGN)
    def own_group():
        os.setpgid(0, 0)
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with open("stdout", "wb") as out:
        p = start(["-v"], ["cat"], stdin=slave, stdout=out, preexec_fn=own_group)
    wait_until(20, "the guest", lambda: contains("stderr", b"the guest is ready"))
    print("behind=%d" % (os.tcgetpgrp(slave) not in (0, p.pid)))
    os.write(master, b"a line\n")
    wait_until(5, "cat", lambda: quiet(part(p, GUEST)))
    before, states, end = stat(p.pid)[2], set(), time.monotonic() + 3
    while time.monotonic() < end:
        states.add(stat(p.pid)[1])
        time.sleep(0.05)
    print("cpu_ms=%d" % ((stat(p.pid)[2] - before) * 1000))
    print("stopped=%d" % (bool(states & set("Tt"))))
    print("early=%d" % os.stat("stdout").st_size)
    os.tcsetpgrp(slave, p.pid)
    t0 = time.monotonic()
    wait_until(5, "the line", lambda: contains("stdout", b"a line"))
    print("arrived=%d" % ((time.monotonic() - t0) * 1000))
    os.write(master, b"\x04")
    end_of(p, time.monotonic(), 8)


def clean_up():
    """Kills what is left of the machine, until nothing is; it hangs on this process."""
    end = time.monotonic() + 3
    while time.monotonic() < end:
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        time.sleep(0.01)


def left():
    """What still runs 2 s after mayfly's end."""
    end = time.monotonic() + 2 * SCALE
    while descendants(os.getpid()) and time.monotonic() < end:
        time.sleep(0.02)
    return len(descendants(os.getpid()))


def main():
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        globals()[MODE]()
        print("left=%d" % left(), flush=True)
    finally:
        clean_up()


main()
PY
# scenario MODE: fills $T/out and $T/err
scenario() {
	: >stderr
	timeout -k 5 "$(scaled 40)" /usr/bin/python3 stuck.py "$1" "$MAYFLY" "$MAYFLY_ENGINE" >"$T/out" 2>"$T/err" </dev/null
	rc=$? ms=$(val ms)
	tail -c 300 stderr >>"$T/err"
}

## Output that nobody reads
scenario supervisor
like "$(val status)" '^[1-9][0-9]*$' "the supervisor is killed, output is stuck: the run ends ($(val status))"
soon "${ms:-99999}" 9000 "within 3 s of its deadline of 6 s ($ms ms)"
guest_is left 0 "and nothing is left"
scenario unread
guest_is waits 1 "the command has ended: its output waits for the reader"
guest_is status 143 "SIGTERM ends that, and lost output is no success"
soon "${ms:-99999}" 3000 "within 3 s ($ms ms)"
guest_is left 0 "and nothing is left"

## Signals before the command's program runs
for i in 1 2 3; do
	scenario early
	guest_is status 143 "a signal as soon as the guest is ready is not lost, $i of 3"
	soon "${ms:-99999}" 10000 "and prompt ($ms ms)"
done

## The background of a terminal
scenario background
guest_is behind 1 "another process group is in the foreground"
cpu=$(val cpu_ms)
soon "${cpu:-99999}" 300 "3 s beside a line for the background cost next to nothing ($cpu ms)"
guest_is stopped 0 "mayfly is not stopped"
guest_is early 0 "the line is not read from the background"
like "$(val arrived)" '^[0-9]+$' "it arrives from the foreground ($(val arrived) ms)"
guest_is status 0 "and so does the end"
guest_is left 0 "and nothing is left"

## A home directory behind a symbolic link
mkdir -p x/real
ln -s "$W/x/real" x/link
echo secret-text >x/real/file
cd x/real || exit 99
vm -- cat "$W/x/real/file"
is "$rc/$(out)" "0/secret-text" "a current directory is shared"
own_home=$HOME
HOME=$W/x/link
vm -- sh -c "cat file '$W/x/real/file' '$W/x/link/file' 2>/dev/null; ls '$W/x/real' 2>/dev/null; true"
HOME=$own_home
cd "$W" || exit 99
is "$rc/$(out)" "0/" "unless HOME is a link to it"
like "$(err)" "note: .*home directory" "which a note says"

# The same with the home of another account, which only a list of accounts of our own can have.
cat >elsewhere.sh <<'SH'
mount --bind "$1/passwd" /etc/passwd || exit 77
cd "$1/x/real" && shift && HOME=/nonexistent exec timeout $((30 * MAYFLY_TIME_SCALE)) "$@"
SH
what="nor if it is another account's home, behind a link"
if ! is_root; then
	skip "needs root" "$what"
else
	{ cat /etc/passwd; echo "somebody:x:4711:4711::$W/x/link:/bin/sh"; } >passwd
	# In a mount namespace of its own: the host's file stays as it is.
	unshare -m --propagation private bash elsewhere.sh "$W" "$MAYFLY" run --engine "$MAYFLY_ENGINE" -- \
		sh -c "cat file '$W/x/real/file' 2>/dev/null; true" </dev/null >"$T/out" 2>"$T/err"
	rc=$?
	if [ "$rc" = 77 ] || [ "$rc" = 1 ]; then
		skip "no mount namespaces here" "$what"
	else
		is "$rc/$(out)/$(err | grep -c 'note: .*home directory')" "0//1" "$what"
	fi
fi

## Limits and masks
# The subshells have no tests in them, only their status.
(
	ulimit -n 200
	vm -- echo fine
	exit "$rc"
)
rc=$?
is "$rc/$(out)" "0/fine" "200 descriptors are enough"
(
	ulimit -n 60
	vm -- true
	exit "$rc"
)
rc=$?
is "$rc/$(wc -l <"$T/err")" "125/1" "60 are not, which is one line"
like "$(err)" "descriptor|open files" "that names them"
# Between: enough for mayfly, but not for each part of the machine.
(
	ulimit -n 100
	vm -- true
	exit "$rc"
)
rc=$?
like "$rc/$(err)" "^(0/|125/.*(descriptor|open files))" "100 are enough, or it is said that they aren't"
mask=$(umask)
umask 0777
vm -- echo fine
umask "$mask"
is "$rc/$(out)" "0/fine" "a mask of 0777 for new files"
done_testing
