#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""garbage.py - runs programs of the garbage kernel, some at a time, and judges how they end

usage: garbage.py --kernel FILE [--mayfly FILE] [--first N] [--count N] [--jobs N] [--keep DIR]

What program N is (its steps, its ending, mayfly boot or run, memory, CPUs) follows from N alone.
Each must end by a verdict of its own, in time, with bounded logs and memory. A line for each
program that did not, with the reason (--all: for each), then

  programs=N bad=N odd=N reached=N
                               odd: crashed when their steps were done, by what devices still
                               wrote; reached: said on the console that their steps were done
  left=N                       processes that outlive everything
  saw KEY=N...                 sums of what the guests say they have seen

--keep: the output of bad programs stays there. Environment: MAYFLY_TIME_SCALE stretches times.
"""

import argparse
import collections
import ctypes
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

SCALE = float(os.environ.get("MAYFLY_TIME_SCALE") or 1)
MARK = b"GARBAGE-PROGRAM:"
TEXT_MAX = 160
MIB_KIB = 1024

# A program that ends itself has this time; one that does not is ended after the short one.
LONG_S, SHORT_S = 60 * SCALE, 3.5 + 0.5 * SCALE
# From the deadline to mayfly's end, of which it may itself spend 3 s on its machine's; and until a
# mayfly that does not end is killed.
SLACK_S, HUNG_S = 3 + SCALE, 20 * SCALE
# The VMM's own memory beside the guest's.
VMM_KIB = 16 * MIB_KIB
LOG_BYTES = 64 << 10
# What the VMM may use of a CPU while the guest's only one sleeps for good.
IDLE_SHARE = 0.2

TIMEOUTS = {"timeout", "boot-timeout"}
CRASHES = {"triple-fault", "engine-failed", "guest-reset"}
ENDS = {
    "reset": {"guest-reset"},
    "triple": {"triple-fault"},
    "panic": {"guest-panic"},
    "halt": TIMEOUTS,
    "hang": TIMEOUTS,
    "loop": TIMEOUTS,
    "flood": TIMEOUTS,
    "storm": TIMEOUTS,
    "smash": CRASHES | TIMEOUTS,
    "fetch": {"engine-failed", "triple-fault"},
}
ENDLESS = {e for e, reasons in ENDS.items() if reasons == TIMEOUTS}
# A guest may have destroyed itself on the way: its own doing, and its own verdict. But only an
# interrupt that it made up stops one for good; others that hang wait for a device.
ANY = CRASHES | {"guest-panic"}
# Those whose devices may write anywhere.
WILD = {"apic", "ring", "request", "all"}
# How mayfly's exit status follows from the reason, boot and run.
STATUS = {"guest-reset": (0, 125), "guest-panic": (1, 125), "triple-fault": (2, 125),
          "timeout": (124, 124), "boot-timeout": (125, 125), "engine-failed": (125, 125),
          "guest-failed": (125, 125)}

THEMES = ["ports", "hole", "apic", "status", "status", "ring", "ring", "ring", "request",
          "request", "request", "request", "all", "all", "all", "all"]
STEPS = {"ports": 150, "hole": 400, "apic": 120, "status": 250, "ring": 100, "request": 150,
         "all": 150}


class Program:
    """What number N does."""

    def __init__(self, number):
        self.bytes = hashlib.sha256(b"%d" % number).digest()
        self.number = number
        self.run = self.pick(5) > 1
        self.theme = THEMES[self.pick(len(THEMES))]
        # Half of them end at once; every ending comes in turn.
        ends = list(ENDS)
        self.end = "reset" if self.pick(2) else ends[number % len(ends)]
        self.mem = (64, 64, 64, 100, 3072, 5120)[self.pick(6)]
        self.cpus = 1 + (self.pick(3) == 0)
        console = self.pick(4) > 0
        self.protocol = ("linux", "pvh")[self.pick(2)]
        self.endless = self.end in ENDLESS
        # The VMM of an endless one is killed: only its console tells how far it came.
        self.console = console or self.endless
        self.boot_timeout = self.run and self.pick(2)
        self.steps = STEPS[self.theme] // (4 if self.endless or self.cpus > 1 else 1)
        # Who sleeps costs nothing, and is watched while it does.
        self.deadline = SHORT_S + 3 * (self.end == "hang") if self.endless else LONG_S

    def pick(self, n):
        byte, self.bytes = self.bytes[0], self.bytes[1:]
        return byte % n

    def text(self):
        return (f"seed={self.number} steps={self.steps} theme={self.theme} end={self.end} "
                f"mem={self.mem} cpus={self.cpus}")

    def options(self):
        o = ["run" if self.run else "boot", "--verbose", "--force-memory", "--memory", f"{self.mem}M", "--cpus",
             str(self.cpus)]
        short = "--boot-timeout" if self.boot_timeout else "--timeout"
        o += [short, "%dms" % (self.deadline * 1000)]
        if not self.run:
            o += ["--protocol", self.protocol]
        elif self.console:
            o.append("--console")
        return o

    def __str__(self):
        return f"{' '.join(self.options()[:1])} {self.text()}"


class Caller:
    """The host's side of a machine's vsock: calls the guest, answers it, or lets it wait."""

    def __init__(self, directory):
        self.dir, self.sockets, self.listeners, self.calls = directory, [], [], 0
        for port in (7, 8):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                s.bind(f"{directory}/vsock.sock_{port}")
                s.listen(4)
                self.listeners.append((s, port))
            except OSError:
                s.close()

    def call(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            s.connect(f"{self.dir}/vsock.sock")
            s.send(b"CONNECT %d\n" % (5 + self.calls % 3) + b"x" * (self.calls * 1000 % 7000))
            self.sockets.append((s, 5))
        except OSError:
            s.close()

    def turn(self):
        self.calls += 1
        if len(self.sockets) < 8:
            self.call()
        for listener, port in self.listeners:
            try:
                self.sockets.append((listener.accept()[0], port))
                self.sockets[-1][0].setblocking(False)
            except OSError:
                pass
        for s, port in list(self.sockets):
            try:
                # Port 8 is never read from, so the guest's credit runs out.
                if port != 8 and not s.send(s.recv(4096)):
                    raise OSError("the end")
            except BlockingIOError:
                pass
            except OSError:
                s.close()
                self.sockets.remove((s, port))
        if self.calls % 7 == 0 and self.sockets:
            self.sockets.pop(0)[0].close()

    def close(self):
        for s, _ in self.sockets + self.listeners:
            s.close()


def cpu_seconds(pid):
    """Of the VMM somewhere below this process; None if there is none."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            children = f.read().split()
        with open(f"/proc/{pid}/stat") as f:
            name, _, rest = f.read().partition("(")[2].rpartition(")")
    except OSError:
        return None
    if name.startswith("mayfly-vmm"):
        return sum(int(w) for w in rest.split()[11:13]) / os.sysconf("SC_CLK_TCK")
    return next((s for s in map(cpu_seconds, children) if s is not None), None)


class Run:
    """One machine with one program."""

    def __init__(self, args, program):
        self.program, self.caller, self.idle, self.idle_due = program, None, [], 0.0
        self.dir = tempfile.mkdtemp(prefix=f"{program.number}.", dir=args.work)
        kernel = f"{self.dir}/kernel"
        with open(args.kernel, "rb") as f:
            image = bytearray(f.read())
        at = image.index(MARK) + len(MARK)
        text = program.text().encode()
        assert len(text) < TEXT_MAX
        image[at:at + len(text)] = text
        with open(kernel, "wb") as f:
            f.write(image)
        self.files = [open(f"{self.dir}/{name}", "wb") for name in ("out", "err", "verdict")]
        out, err, verdict = [f.fileno() for f in self.files]
        command = [args.mayfly] + program.options() + [
            "--engine", "kvm", "--kernel", kernel, "--status-fd", str(verdict)]
        if program.run:
            command += ["--", "true"]
        with open(f"{self.dir}/command", "w") as f:
            f.write(" ".join(command) + "\n")
        self.start = time.monotonic()
        # The kernel is also something for the serial port to read.
        with open(args.kernel, "rb") as typed:
            self.p = subprocess.Popen(command, stdin=typed, stdout=out, stderr=err,
                                      pass_fds=[verdict])

    def read(self, name):
        with open(f"{self.dir}/{name}", "rb") as f:
            return f.read()

    def turn(self, base):
        """Whether it is over."""
        status = self.p.poll()
        seconds = time.monotonic() - self.start
        if status is None and seconds > self.program.deadline + HUNG_S:
            self.p.kill()
            status = self.p.wait()
        if status is not None:
            self.seconds = seconds
            for f in self.files:
                f.close()
            if self.caller:
                self.caller.close()
            return True
        self.watch_idle()
        if self.program.run and not self.caller:
            with open(f"{self.dir}/err", "rb") as f:
                found = re.search(rb"machine (run-[0-9a-f]+) started", f.read(4096))
            if found:
                self.caller = Caller(f"{base}/{found.group(1).decode()}")
        elif self.caller:
            self.caller.turn()
        return False

    def watch_idle(self):
        """Twice in the life of a guest that sleeps for good, how much its VMM has worked."""
        now = time.monotonic()
        if self.program.end != "hang" or self.program.cpus > 1 or now < self.idle_due:
            return
        self.idle_due = now + 0.5
        used = cpu_seconds(self.p.pid) if self.ended() else None
        if used is not None:
            self.idle = [*self.idle[:1], (now, used)]

    def ended(self):
        """Whether the guest says that its steps are done."""
        text = self.read("err" if self.program.run else "out")
        return b"ending %s" % self.program.end.encode() in text

    def judge(self):
        """What is wrong with how it ended; sets reached and seen."""
        p, bad = self.program, []
        text, log = self.read("out"), self.read("err")
        console = (log if p.run else text)
        self.reached = self.ended()
        found = re.findall(rb"saw((?: [a-z_]+=[0-9]+)+)", console)
        self.seen = dict(w.split("=") for w in found[-1].decode().split()) if found else {}
        try:
            verdict = json.loads(self.read("verdict"))
            reason = verdict["reason"]
        except (ValueError, KeyError):
            verdict, reason = {}, "(no verdict)"
        self.reason = reason
        allowed = set(ENDS[p.end] if self.reached else ANY)
        if not self.reached and (p.endless or p.theme == "apic"):
            allowed |= TIMEOUTS
        if p.run:
            # Garbage in the agent's name ends the run, whatever the machine does.
            allowed.add("guest-failed")
        self.odd = self.reached and p.theme in WILD and reason in CRASHES - allowed
        if reason not in allowed and not self.odd:
            bad.append(f"the verdict is {reason}, not one of {' '.join(sorted(allowed))}")
        if reason in STATUS and self.p.returncode != STATUS[reason][p.run]:
            bad.append(f"the status for {reason} is {self.p.returncode}")
        if self.seconds > p.deadline + SLACK_S:
            bad.append(f"it took {self.seconds:.1f} s")
        if len(self.idle) == 2:
            (t0, used0), (t1, used1) = self.idle
            share = (used1 - used0) / (t1 - t0)
            if t1 - t0 > 0.9 and share > IDLE_SHARE:
                bad.append(f"the VMM used {share:.2f} of a CPU while its guest slept")
        return bad + self.judge_log(log)

    def judge_log(self, log):
        p, bad = self.program, []
        lines = len(re.findall(rb"^mayfly: \[(?:vmm|fs)\]", log, re.M))
        # Some ten limiters, each with five lines at once and one a second, and as many about
        # what was left out.
        if lines > 20 * (5 + self.seconds):
            bad.append(f"{lines} lines of log")
        if not (p.run and p.console) and len(log) > LOG_BYTES:
            bad.append(f"{len(log)} bytes of log")
        for name, status, kib in re.findall(rb"^mayfly: (vmm|fs) ended with status (\w+), (\d+) KiB",
                                            log, re.M):
            if int(kib) > VMM_KIB + p.mem * MIB_KIB * (name == b"vmm"):
                bad.append(f"{name.decode()} had {int(kib)} KiB")
            if status not in (b"0x0", b"0x9"):
                bad.append(f"{name.decode()} ended with {status.decode()}")
        return bad


def state_base():
    if os.geteuid() == 0:
        return "/run/mayfly"
    if os.environ.get("XDG_RUNTIME_DIR", "").startswith("/"):
        return os.environ["XDG_RUNTIME_DIR"] + "/mayfly"
    return "%s/mayfly-%d" % (os.environ.get("TMPDIR", "/tmp"), os.geteuid())


def children():
    """Processes that came to us when their parents ended; the ended ones are reaped."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                break
        except ChildProcessError:
            return []
    with open(f"/proc/self/task/{os.getpid()}/children") as f:
        return f.read().split()


def left_over():
    end = time.monotonic() + 2 * SCALE
    while children() and time.monotonic() < end:
        time.sleep(0.02)
    left = children()
    for pid in left:
        os.kill(int(pid), signal.SIGKILL)
    return left


def run_all(args, running):
    todo = collections.deque(range(args.first, args.first + args.count))
    bad, odd, reached, seen = 0, 0, 0, collections.Counter()
    base = state_base()
    while todo or running:
        while todo and len(running) < args.jobs:
            running.append(Run(args, Program(todo.popleft())))
        for r in [r for r in running if r.turn(base)]:
            running.remove(r)
            complaints = r.judge()
            reached += r.reached
            odd += r.odd
            seen.update({k: int(v) for k, v in r.seen.items()})
            bad += bool(complaints)
            if complaints or r.odd or args.all:
                print(f"{'bad' if complaints else 'odd' if r.odd else 'ok'} {r.program}: {r.reason}, status "
                      f"{r.p.returncode}, {r.seconds:.2f} s{'' if r.reached else ', not to its end'}"
                      f"{''.join('; ' + c for c in complaints)}", flush=True)
            if (complaints or r.odd) and args.keep:
                os.rename(r.dir, f"{args.keep}/{r.program.number}")
            else:
                subprocess.run(["rm", "-rf", r.dir], check=True)
        time.sleep(0.05)
    print(f"programs={args.count} bad={bad} odd={odd} reached={reached}")
    print(f"left={len(left_over())}")
    print("saw " + " ".join(f"{k}={v}" for k, v in sorted(seen.items())))
    return 1 if bad else 0


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--kernel", required=True)
    p.add_argument("--mayfly", default=os.environ.get("MAYFLY", "build/mayfly"))
    p.add_argument("--first", type=int, default=1)
    p.add_argument("--count", type=int, default=1)
    p.add_argument("--jobs", type=int, default=4)
    p.add_argument("--keep")
    p.add_argument("--all", action="store_true")
    args = p.parse_args()
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    running = []
    with tempfile.TemporaryDirectory(prefix="garbage.") as args.work:
        try:
            sys.exit(run_all(args, running))
        finally:
            for r in running:
                r.p.terminate()
            for r in running:
                r.p.wait()


main()
