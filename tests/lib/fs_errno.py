# SPDX-License-Identifier: Apache-2.0
"""fs_errno.py - a table of system call x file type x what comes of it

usage: fs_errno.py DIRECTORY [STEP]

Makes each kind of file anew for each call in an empty DIRECTORY, and prints one line a cell: its
name, and "ok", a value, or the name of the error. With STEP only each STEP-th cell. Run in two places, the outputs can be compared.
"""

import ctypes
import errno
import os
import socket
import stat
import sys

libc = ctypes.CDLL(None, use_errno=True)
NOREPLACE, EXCHANGE = 1, 2
LONG = "n" * 256
cells = 0


def renameat2(a, b, flags):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), flags) < 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def fallocate(fd, mode, off, length):
    f = libc.fallocate
    f.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    if f(fd, mode, off, length) < 0:
        raise OSError(ctypes.get_errno(), "fallocate")


def put(name, text="content\n", mode=0o644):
    fd = os.open(name, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(fd, text.encode())
    os.close(fd)
    os.chmod(name, mode)


def sock(name):
    s = socket.socket(socket.AF_UNIX)
    s.bind(name)
    s.close()


def full_dir(name):
    os.mkdir(name)
    put(name + "/in")


def link_to(target):
    return lambda name: os.symlink(target, name)


TYPES = {
    "file": put,
    "empty": lambda n: put(n, ""),
    "readonly": lambda n: put(n, mode=0o444),
    "dir": os.mkdir,
    "fulldir": full_dir,
    "symlink": link_to("target"),
    "dirlink": link_to("targetdir"),
    "dangling": link_to("nowhere"),
    "loop": link_to("x"),
    "fifo": os.mkfifo,
    "sock": sock,
    "missing": lambda n: None,
}
# Names that are wrong in themselves.
NAMES = {
    "in-file": "target/x", "in-missing": "nowhere/x", "too-long": LONG, "slash-file": "target/",
    "in-loop": "loop/x", "path-too-long": "a/" * 2100 + "x", "empty-name": "",
    "in-closed": "closed/x", "in-locked": "locked/x",
}


def clean(top):
    for name in os.listdir(top):
        path = top + "/" + name
        if stat.S_ISDIR(os.lstat(path).st_mode):
            os.chmod(path, 0o755)
            clean(path)
            os.rmdir(path)
        else:
            os.unlink(path)


def opened(flags, then=None):
    def call(n):
        fd = os.open(n, flags | os.O_NONBLOCK, 0o644)
        try:
            return then(fd) if then else None
        finally:
            os.close(fd)
    return call


def linked(n):
    os.link(n, "new", follow_symlinks=False)
    return os.lstat(n).st_nlink


def after_chmod(mode):
    def call(n):
        os.chmod(n, mode)
        return oct(os.stat(n).st_mode & 0o1777)
    return call


def connected(n):
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(n)
    finally:
        s.close()


def xattr(n):
    os.setxattr(n, "user.mayfly", b"value")
    return os.getxattr(n, "user.mayfly"), os.listxattr(n)


def lost_open(n):
    """Unlinked and open still."""
    fd = os.open(n, os.O_RDWR)
    os.unlink(n)
    os.pwrite(fd, b"later", 100)
    os.ftruncate(fd, 200)
    os.fchmod(fd, 0o640)
    os.fsync(fd)
    st = os.fstat(fd)
    out = (st.st_nlink, st.st_size, oct(st.st_mode), os.pread(fd, 5, 100))
    os.close(fd)
    return out


def dir_gone(n):
    fd = os.open(n, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.rmdir(n)
        out = [os.fstat(fd).st_nlink, os.listdir(fd)]
        try:
            os.mkdir("child", dir_fd=fd)
        except OSError as e:
            out.append(errno.errorcode[e.errno])
        return out
    finally:
        os.close(fd)


def closed_create(n):
    """A file that its own mode would not let anybody open."""
    fd = os.open(n, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0)
    os.write(fd, b"12345")
    os.ftruncate(fd, 3)
    out = os.pread(fd, 9, 0), oct(os.fstat(fd).st_mode)
    os.close(fd)
    return out


def appended(n):
    one = os.open(n, os.O_WRONLY | os.O_APPEND)
    two = os.open(n, os.O_WRONLY | os.O_APPEND)
    for fd in (one, two, one):
        os.write(fd, b"abc")
    size = os.fstat(one).st_size
    os.close(one)
    os.close(two)
    return size


def times(n):
    os.utime(n, ns=(1_000_000_007, 2_000_000_009), follow_symlinks=False)
    st = os.lstat(n)
    return st.st_atime_ns, st.st_mtime_ns


def holes(n):
    fd = os.open(n, os.O_RDWR)
    os.pwrite(fd, b"x", 1 << 20)
    fallocate(fd, 0, 0, 4096)
    fallocate(fd, 3, 0, 4096)
    fallocate(fd, 1, 0, 8 << 20)
    out = os.fstat(fd).st_size, os.pread(fd, 1, 0)
    os.close(fd)
    return out


W, R, RW, C = os.O_WRONLY, os.O_RDONLY, os.O_RDWR, os.O_CREAT
CALLS = {
    "stat": lambda n: stat.S_IFMT(os.stat(n).st_mode),
    "lstat": lambda n: stat.S_IFMT(os.lstat(n).st_mode),
    "access-w": lambda n: os.access(n, os.W_OK),
    "open-r": opened(R), "open-w": opened(W), "open-rw": opened(RW), "open-trunc": opened(W | os.O_TRUNC),
    "open-creat": opened(W | C), "open-excl": opened(W | C | os.O_EXCL), "open-dir": opened(R | os.O_DIRECTORY),
    "open-nofollow": opened(W | os.O_NOFOLLOW), "open-append": opened(W | os.O_APPEND, lambda fd: os.write(fd, b"x")),
    "open-creat-trunc": opened(RW | C | os.O_TRUNC, lambda fd: (os.write(fd, b"xy"), os.fstat(fd).st_size)),
    "read": opened(R, lambda fd: os.read(fd, 10)), "write": opened(RW, lambda fd: os.write(fd, b"hello")),
    "write-to-r": opened(R, lambda fd: os.write(fd, b"hello")), "read-from-w": opened(W, lambda fd: os.read(fd, 1)),
    "pwrite-far": opened(RW, lambda fd: (os.pwrite(fd, b"x", 1 << 32), os.fstat(fd).st_size)),
    "ftruncate": opened(RW, lambda fd: (os.ftruncate(fd, 3), os.fstat(fd).st_size)),
    "ftruncate-r": opened(R, lambda fd: os.ftruncate(fd, 3)),
    "ftruncate-neg": opened(RW, lambda fd: libc.ftruncate(fd, ctypes.c_long(-1)) < 0 and ctypes.get_errno()),
    "fsync": opened(R, os.fsync), "fdatasync": opened(RW, os.fdatasync),
    "fallocate": opened(RW, lambda fd: fallocate(fd, 0, 0, 10000)),
    "fallocate-r": opened(R, lambda fd: fallocate(fd, 0, 0, 10000)),
    "fallocate-bad": opened(RW, lambda fd: fallocate(fd, 0, -1, 10)),
    "fallocate-zero": opened(RW, lambda fd: fallocate(fd, 0, 0, 0)),
    "fchmod": opened(R, lambda fd: os.fchmod(fd, 0o600)),
    "truncate": lambda n: (os.truncate(n, 5), os.stat(n).st_size), "truncate-neg": lambda n: os.truncate(n, -1),
    "mkdir": os.mkdir, "rmdir": os.rmdir, "unlink": os.unlink, "listdir": os.listdir,
    "mkfifo": os.mkfifo, "mknod-file": lambda n: os.mknod(n, stat.S_IFREG | 0o644),
    "mknod-dir": lambda n: os.mknod(n, stat.S_IFDIR | 0o755),
    "mknod-null": lambda n: os.mknod(n, stat.S_IFCHR | 0o666, os.makedev(1, 3)),
    "mknod-blk": lambda n: os.mknod(n, stat.S_IFBLK | 0o666, os.makedev(7, 0)),
    "bind": sock, "connect": connected, "symlink": lambda n: os.symlink("anything", n), "readlink": os.readlink, "link": linked,
    "link-onto": lambda n: os.link("target", n), "rename": lambda n: os.rename(n, "new"),
    "rename-onto": lambda n: os.rename("target", n), "rename-self": lambda n: os.rename(n, n),
    "rename-into": lambda n: os.rename(n, "targetdir/new"), "rename-below": lambda n: os.rename(n, n + "/new"),
    "rename-long": lambda n: os.rename(n, LONG), "whiteout-bad": lambda n: renameat2(n, "new", NOREPLACE | EXCHANGE),
    "chmod": after_chmod(0o600), "chmod-sticky": after_chmod(0o1755), "chown-self": lambda n: os.chown(n, os.getuid(), os.getgid()),
    "chown-none": lambda n: os.lchown(n, -1, -1), "chown-other": lambda n: os.chown(n, 4711, -1),
    "chgrp-other": lambda n: os.lchown(n, -1, 4711), "utime": times, "utime-now": lambda n: os.utime(n),
    "setxattr": xattr, "removexattr": lambda n: os.removexattr(n, "user.none"),
    "getxattr": lambda n: os.getxattr(n, "user.none"), "chdir": lambda n: (os.chdir(n), os.chdir(top)) and None,
    "statvfs": lambda n: os.statvfs(n).f_namemax,
}
SEQUENCES = {
    "lost-open": ("file", lost_open), "dir-gone": ("dir", dir_gone), "closed-create": ("missing", closed_create),
    "appended": ("file", appended), "holes": ("file", holes),
}


def cell(name, kind, call, path="x", other=None):
    global cells
    cells += 1
    if cells % step:
        return
    prepare(kind)
    if other:
        TYPES[other]("y")
    try:
        result = call(path)
        result = "ok" if result is None else repr(result)
    except OSError as e:
        result = errno.errorcode.get(e.errno, str(e.errno))
    except ValueError as e:
        result = "ValueError"
    print(name, result)


def prepare(kind="missing"):
    os.chdir(top)
    clean(top)
    put("target")
    os.mkdir("targetdir")
    os.symlink("loop", "loop")
    os.mkdir("closed")
    put("closed/x")
    os.mkdir("locked")
    put("locked/x")
    TYPES[kind]("x")
    os.chmod("closed", 0)
    os.chmod("locked", 0o555)


step = int(sys.argv[2]) if len(sys.argv) > 2 else 1
top = os.path.abspath(sys.argv[1])
os.umask(0o022)
for kind in TYPES:
    for name, call in CALLS.items():
        cell("%s %s" % (name, kind), kind, call)
for kind, path in NAMES.items():
    for name, call in CALLS.items():
        cell("%s %s" % (name, kind), "missing", call, path)


def renamed(flags):
    def call(n):
        try:
            renameat2(n, "y", flags)
            out = "ok"
        except OSError as e:
            out = errno.errorcode[e.errno]
        return out, os.path.lexists(n), os.path.lexists("y")
    return call


KINDS = ["file", "dir", "fulldir", "symlink", "fifo", "sock", "missing"]
for a in KINDS:
    for b in KINDS:
        for name, flags in (("", 0), ("-noreplace", NOREPLACE), ("-exchange", EXCHANGE)):
            cell("rename%s %s %s" % (name, a, b), a, renamed(flags), other=b)
for name, (kind, call) in SEQUENCES.items():
    cells += -cells % step + step - 1
    cell(name, kind, call)
os.chdir(top)
clean(top)
