# SPDX-License-Identifier: Apache-2.0
# watch.py - runs a command, strikes a part of its machine at a moment, tells what is left of it
#
#   watch.py [--part PART] [--signal NAME]... [--when MOMENT] [--delay MS] [--verdict FILE]
#            [--out FILE] [--err FILE] [--in FILE] [--limit S] -- COMMAND...
#   watch.py --inventory
#   watch.py --compare FILE
#
# PART is mayfly, group (the process group of mayfly, which is in a session of its own then, as under
# a CI runner), jailer, fs, vmm or qemu. MOMENT: start (the part has just appeared), boot (it is
# 150 ms old), marker (the command wrote a line "started" and 100 ms have passed), ending (it wrote
# "ending"), or another part's name (that one has just appeared). --delay adds to it. Several --signal are sent one after the other, 300 ms apart;
# CRASH is none: it makes the part fault.
# The command's descendants become children of this process, whoever dies; so none can hide.
# Prints KEY=VALUE: rc, ms (from the first blow, or the start, to the end of the command), struck
# (whether the part was there), left (what still runs 2 s later), left_ms (when all was gone).
# And marker_ms: from the line "started" to the end of the command, -1 without one.
# MAYFLY_TIME_SCALE (common.sh) multiplies the 300 ms and the 2 s.
import ctypes, fcntl, os, selectors, signal, subprocess, sys, time

SCALE = int(os.environ.get("MAYFLY_TIME_SCALE", "1"))
NAMES = {"jailer": "mayfly-jailer", "fs": "mayfly-fs", "vmm": "mayfly-vmm", "qemu": "qemu-system"}


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def processes():
    """pid -> (parent, state)"""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            words = read("/proc/%s/stat" % name).rpartition(b")")[2].split()
            if len(words) > 2:
                found[int(name)] = (int(words[1]), words[0].decode())
    return found


def descendants(top):
    table = processes()
    result, todo = [], [top]
    while todo:
        parent = todo.pop()
        for pid, (ppid, state) in table.items():
            if ppid == parent:
                todo.append(pid)
                if state not in "ZX":
                    result.append(pid)
    return sorted(result)


def argv0(pid):
    return os.path.basename(read("/proc/%d/cmdline" % pid).split(b"\0")[0].decode(errors="replace"))


def reap(main):
    """Reaps orphans; the main child is left to its own object."""
    for pid, (ppid, state) in processes().items():
        if ppid == os.getpid() and state == "Z" and pid != main:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def crash(pid):
    """Makes it fault by itself: as the first of its PID namespace it never sees most signals."""
    with open("/proc/%d/mem" % pid, "r+b", buffering=0) as mem:
        for line in read("/proc/%d/maps" % pid).decode().splitlines():
            words = line.split()
            if words[1].startswith("r-x") and len(words) > 5 and words[5].startswith("/"):
                start, end = (int(x, 16) for x in words[0].split("-"))
                mem.seek(start)
                mem.write(b"\xf4" * (end - start))  # hlt, which user mode may not


class Watch:
    def __init__(self, opts, command):
        self.o = opts
        self.command = command
        self.text = b""
        self.t_struck = None
        self.t_marker = None
        self.sent = 0
        self.seen_at = None
        self.struck = "no"

    def find(self, part):
        if part in ("mayfly", "group"):
            return self.p.pid
        want = NAMES[part]
        for pid in descendants(self.p.pid):
            if argv0(pid).startswith(want):
                return pid
        return None

    def moment(self):
        """Whether the blow is due."""
        now = time.monotonic()
        when, extra = self.o["when"], self.o["delay"] / 1000
        if when == "marker" and b"started" in self.text:
            self.seen_at = self.seen_at or now
            return now >= self.seen_at + 0.1 + extra
        if when == "ending" and b"ending" in self.text:
            self.seen_at = self.seen_at or now
            return now >= self.seen_at + extra
        part = when if when in NAMES else self.o["part"]
        if (when in NAMES or when in ("start", "boot")) and self.find(part):
            self.seen_at = self.seen_at or now
            return now >= self.seen_at + (0.15 if when == "boot" else 0) + extra
        return False

    def strike(self):
        now = time.monotonic()
        if self.sent == len(self.o["signal"]):
            return
        if self.sent == 0 and not self.moment():
            return
        if self.sent and now < self.t_last + 0.3 * SCALE:
            return
        pid = self.find(self.o["part"])
        name = self.o["signal"][self.sent]
        self.sent += 1
        self.t_last = now
        self.t_struck = self.t_struck or now
        if pid:
            try:
                if name == "CRASH":
                    crash(pid)
                elif self.o["part"] == "group":
                    os.killpg(pid, getattr(signal, "SIG" + name))
                else:
                    os.kill(pid, getattr(signal, "SIG" + name))
                self.struck = "yes"
            except ProcessLookupError:
                pass

    def on_term(self, *_):
        for pid in descendants(os.getpid()):
            os.kill(pid, signal.SIGKILL)
        sys.exit(143)

    def run(self):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        err = open(self.o["err"], "wb")
        verdict = os.open(self.o["verdict"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(verdict, 9)
        signal.signal(signal.SIGTERM, self.on_term)
        t0 = time.monotonic()
        self.p = subprocess.Popen(self.command, stdin=open(self.o["in"], "rb"), stderr=err,
                                  stdout=subprocess.PIPE, pass_fds=[9],
                                  start_new_session=self.o["part"] == "group")
        os.close(9)
        sel = selectors.DefaultSelector()
        sel.register(self.p.stdout, selectors.EVENT_READ)
        out, hung, eof = open(self.o["out"], "wb"), False, False
        while self.p.poll() is None:
            quick = self.o["part"] and self.sent < len(self.o["signal"])
            if eof:
                time.sleep(0.005)
            elif sel.select(0.002 if quick else 0.02):
                data = os.read(self.p.stdout.fileno(), 1 << 16)
                eof = not data
                out.write(data[:1 << 20])
                self.text = (self.text + data)[:100000]
                if not self.t_marker and b"started" in self.text:
                    self.t_marker = time.monotonic()
            if self.o["part"]:
                self.strike()
            if time.monotonic() > t0 + self.o["limit"]:
                hung = True
                self.p.kill()
                self.p.wait()
        end = time.monotonic()
        while not eof and sel.select(0.1):
            data = os.read(self.p.stdout.fileno(), 1 << 16)
            eof = not data
            out.write(data[:1 << 20])
        rc = self.p.returncode
        left, left_ms = [], -1
        while time.monotonic() < end + 2 * SCALE:
            reap(self.p.pid)
            left = descendants(os.getpid())
            if not left:
                left_ms = int((time.monotonic() - end) * 1000)
                break
            time.sleep(0.01)
        print("rc=%s" % ("hung" if hung else 128 - rc if rc < 0 else rc))
        print("ms=%d" % ((end - (self.t_struck or t0)) * 1000))
        print("marker_ms=%d" % ((end - self.t_marker) * 1000 if self.t_marker else -1))
        print("struck=%s" % self.struck)
        print("left=%s" % " ".join("%d(%s)" % (p, argv0(p)) for p in left))
        print("left_ms=%d" % left_ms)
        for pid in left:
            os.kill(pid, signal.SIGKILL)


def state_base():
    if os.geteuid() == 0:
        return "/run/mayfly"
    if os.environ.get("XDG_RUNTIME_DIR", "").startswith("/"):
        return os.environ["XDG_RUNTIME_DIR"] + "/mayfly"
    return "%s/mayfly-%d" % (os.environ.get("TMPDIR", "/tmp"), os.geteuid())


def owner(path):
    try:
        return os.stat(path).st_uid
    except OSError:
        return -1


def is_held(path, lock="/lock"):
    """A locked state directory belongs to a machine that lives: somebody else's."""
    try:
        fd = os.open(path + lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(fd)


def foreign(pid):
    name = argv0(pid)
    return name.startswith("mayfly") or name.startswith("qemu")


def inventory():
    items = set()
    held = set()
    for pid in processes():
        try:
            for ns in os.listdir("/proc/%d/ns" % pid):
                if not foreign(pid):
                    items.add("namespace " + os.readlink("/proc/%d/ns/%s" % (pid, ns)))
        except OSError:
            pass
        try:
            for fd in os.listdir("/proc/%d/fd" % pid):
                held.add(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except OSError:
            pass
    for line in read("/proc/self/mountinfo").decode().splitlines():
        items.add("mount " + line.split(" ", 2)[2])
    for line in read("/proc/net/unix").decode(errors="replace").splitlines():
        words = line.split()
        if len(words) > 7 and words[7].endswith(".sock") and "socket:[%s]" % words[6] not in held:
            # Without root, the sockets of other users' machines look like nobody's.
            if os.geteuid() == 0:
                items.add("socket " + words[6] + " " + words[7])
    base = state_base()
    if os.path.isdir(base):
        for name in os.listdir(base):
            # The directory of the ids stays; what is in it must not.
            if name == ".ids":
                items.update("id " + n for n in os.listdir(base + "/.ids") if not is_held(base + "/.ids/" + n, ""))
            # Likewise the directory of the records of machines that live.
            elif name == ".machines":
                items.update("record " + n for n in os.listdir(base + "/.machines")
                             if not is_held(base + "/.machines/" + n))
            elif not is_held(base + "/" + name):
                items.add("state " + base + "/" + name)
    for top, dirs, _ in os.walk("/sys/fs/cgroup"):
        for d in dirs:
            if "mayfly" in d and not read(top + "/" + d + "/cgroup.procs"):
                # Others' machines: one that is just starting or ending has an empty group.
                mine = os.geteuid() == 0 or owner(top + "/" + d) == os.geteuid()
                if mine and not is_held(base + "/" + d[len("mayfly-"):]):
                    items.add("cgroup " + top + "/" + d)
    return items


def compare(path):
    before = set(open(path).read().splitlines())
    end = time.monotonic() + 2 * SCALE
    while True:
        new = inventory() - before
        if not new or time.monotonic() > end:
            break
        time.sleep(0.1)
    for line in sorted(new):
        print(line)
    sys.exit(1 if new else 0)


def main(args):
    if args == ["--inventory"]:
        print("\n".join(sorted(inventory())))
        return
    if args[:1] == ["--compare"]:
        compare(args[1])
    o = {"part": None, "signal": [], "when": "marker", "delay": 0, "limit": 60,
         "verdict": "/dev/null", "out": "/dev/null", "err": "/dev/null", "in": "/dev/null"}
    while args and args[0] != "--":
        key = args[0][2:]
        if key == "signal":
            o[key].append(args[1])
        else:
            o[key] = float(args[1]) if key in ("delay", "limit") else args[1]
        args = args[2:]
    o["signal"] = o["signal"] or ["KILL"]
    Watch(o, args[1:]).run()


main(sys.argv[1:])
