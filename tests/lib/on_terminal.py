# SPDX-License-Identifier: Apache-2.0
"""Runs a command on a terminal of its own, and types and does what is asked when text appears.

usage: on_terminal.py SECONDS [PATTERN ACTION]... -- COMMAND...

An ACTION is keys (with Python's escapes), or begins with @:
  @size ROWS COLUMNS   another window size
  @signal NAME         to the command's first process
  @kill PROGRAM        SIGKILL for the command's descendant of that name (its beginning)
  @wait STATE          until the first process is in that state of /proc/PID/stat (T: stopped)
  @same, @raw          notes whether the settings are as before, or raw
  @none                nothing
Several, separated by ';;', are done one after the other. Prints KEY=VALUE lines: status (as a
shell gives it, or hung), terminal (same, changed), notes, text. Seconds are multiplied by
MAYFLY_TIME_SCALE.
"""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time

SCALE = int(os.environ["MAYFLY_TIME_SCALE"])


def stat_of(pid):
    """(parent, state), None if it is gone"""
    try:
        with open("/proc/%d/stat" % pid, "rb") as f:
            words = f.read().rpartition(b")")[2].split()
        return int(words[1]), words[0].decode()
    except OSError:
        return None


def descendant(top, name):
    table = {int(n): stat_of(int(n)) for n in os.listdir("/proc") if n.isdigit()}
    todo = [top]
    while todo:
        parent = todo.pop()
        for pid in [p for p, s in table.items() if s and s[0] == parent]:
            todo.append(pid)
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as f:
                    if os.path.basename(f.read().split(b"\0")[0].decode()).startswith(name):
                        return pid
            except OSError:
                pass
    return None


class Terminal:
    def __init__(self, command):
        self.master, self.slave = pty.openpty()
        self.size(24, 80)
        self.before = termios.tcgetattr(self.slave)
        self.notes = []
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(self.slave, fd)
            # Python ignores it, and what it starts would, too.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.closerange(3, 64)
            os.execvp(command[0], command)

    def size(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def is_same(self):
        return termios.tcgetattr(self.slave) == self.before

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def note(self, what, check):
        # Text is seen before what its writer does next.
        end = time.monotonic() + 5 * SCALE
        while not check() and time.monotonic() < end:
            time.sleep(0.02)
        self.notes.append("%s-%s" % (what, "yes" if check() else "no"))

    def wait(self, state):
        end = time.monotonic() + 10 * SCALE
        while time.monotonic() < end:
            now = stat_of(self.pid)
            if not now or now[1] == state:
                break
            time.sleep(0.02)
        self.notes.append("%s-%s" % (state, "yes" if now and now[1] == state else "no"))

    def kill(self, name):
        pid = descendant(self.pid, name)
        self.notes.append("kill-%s" % ("yes" if pid else "no"))
        if pid:
            os.kill(pid, signal.SIGKILL)

    def act(self, action):
        for one in action.split(";;"):
            word, _, rest = one.partition(" ")
            if word == "@size":
                self.size(*map(int, rest.split()))
            elif word == "@signal":
                os.kill(self.pid, getattr(signal, "SIG" + rest))
            elif word == "@kill":
                self.kill(rest)
            elif word == "@wait":
                self.wait(rest)
            elif word == "@same":
                self.note("same", self.is_same)
            elif word == "@raw":
                self.note("raw", self.is_raw)
            elif word != "@none":
                os.write(self.master, one.encode().decode("unicode_escape").encode("latin-1"))

    def read(self):
        ready, _, _ = select.select([self.master], [], [], 0.05)
        return os.read(self.master, 4096) if ready else b""


def main():
    cut = sys.argv.index("--")
    steps = [(sys.argv[i].encode(), sys.argv[i + 1]) for i in range(2, cut, 2)]
    end = time.monotonic() + float(sys.argv[1]) * SCALE
    terminal = Terminal(sys.argv[cut + 1:])
    text, mark, status = b"", 0, None
    while status is None:
        text += terminal.read()
        if steps and steps[0][0] in text[mark:]:
            mark = text.index(steps[0][0], mark) + len(steps[0][0])
            terminal.act(steps.pop(0)[1])
        done, code = os.waitpid(terminal.pid, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(code)
        elif time.monotonic() > end:
            os.kill(terminal.pid, signal.SIGKILL)
            os.waitpid(terminal.pid, 0)
            status = "hung"
    more = terminal.read()
    while more:
        text += more
        more = terminal.read()
    print("status=%s" % (128 - status if status != "hung" and status < 0 else status))
    print("terminal=%s" % ("same" if terminal.is_same() else "changed"))
    print("steps=%d" % len(steps))
    print("notes=%s" % " ".join(terminal.notes))
    print("text=%s" % repr(text))


main()
