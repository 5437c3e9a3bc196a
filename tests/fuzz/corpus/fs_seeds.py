#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# fs_seeds.py - writes the first inputs of fuzz_fs_req and fuzz_fs_dev beside itself
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
LOOKUP, FORGET, GETATTR, SETATTR, READLINK, MKDIR, OPEN, READ, WRITE = 1, 2, 3, 4, 5, 9, 14, 15, 16
STATFS, RELEASE, GETXATTR, LISTXATTR, FLUSH, INIT, OPENDIR = 17, 18, 22, 23, 25, 26, 27
READDIR, RELEASEDIR, ACCESS, DESTROY, BATCH_FORGET, READDIRPLUS, LSEEK = 28, 29, 34, 38, 42, 44, 46


# fuzz_fs_req: [opcode][which id][room / 256][length][body]
def req(op, node, body=b"", room=64):
    return bytes([op, node, room, len(body)]) + body


def look(name, node=0):
    return req(LOOKUP, node, name + b"\0")


def read_in(size=4096, handle=0):
    return struct.pack("<QQIIQII", handle, 0, size, 0, 0, 0, 0)


init = req(INIT, 0, struct.pack("<IIII", 7, 41, 65536, 0xFFFFFFFF) + bytes(88))
open_in = bytes(8)
attr_in = bytes(16)
release_in = struct.pack("<QIIQ", 0, 0, 0, 0)
xattr_in = struct.pack("<II", 64, 0)

req_seeds = {
    "walk": init + look(b"v") + look(b"dir", 1) + look(b"sub", 2) + look(b"deep", 3)
    + req(OPEN, 4, open_in) + req(GETATTR, 4, attr_in),
    "open": init + look(b"w") + look(b"file", 1) + req(OPEN, 2, open_in)
    + req(OPEN, 2, struct.pack("<II", 1, 0)) + look(b"f") + req(OPEN, 3, open_in),
    "list": init + look(b"v") + req(OPENDIR, 1, open_in) + req(READDIR, 1, read_in())
    + req(READDIRPLUS, 1, read_in()) + req(RELEASEDIR, 1, release_in)
    + req(OPENDIR, 0, open_in) + req(READDIRPLUS, 0, read_in(handle=1)),
    "links": init + look(b"v") + look(b"abs", 1) + req(READLINK, 2) + look(b"up", 1)
    + req(READLINK, 3) + look(b"etc", 3) + look(b"fifo", 1) + req(OPEN, 4, open_in),
    "forget": init + look(b"v") + look(b"dir", 1) + look(b"hard", 2)
    + req(FORGET, 3, struct.pack("<Q", 1))
    + req(BATCH_FORGET, 0, struct.pack("<IIQQ", 1, 0, 2, 1)) + req(GETATTR, 3, attr_in),
    "misc": init + look(b"v") + req(STATFS, 1) + req(ACCESS, 1, struct.pack("<II", 4, 0))
    + req(GETXATTR, 1, xattr_in + b"user.x\0") + req(LISTXATTR, 1, xattr_in) + req(DESTROY, 0)
    + req(SETATTR, 1, b"x" * 88) + req(MKDIR, 1, bytes(8) + b"d\0"),
    "forged": req(LOOKUP, 0xFF, struct.pack("<Q", 1 << 33) + b"a\0")
    + req(GETATTR, 0xFF, b"\xff" * 16) + req(READDIR, 0xFF, b"\xff" * 40),
}


# fuzz_fs_dev: one byte says which step
def chain(queue, op, node, body, room=20):
    return bytes([0, queue, op, node, room, len(body)]) + body


def kick(queue=1):
    return bytes([2, queue])


def answer(how, which, body, extra=b""):
    return bytes([4, how, which, len(body)]) + body + extra


take = bytes([3])
turn = bytes([5])
reset = bytes([6, 0])
gone = bytes([6, 1])
first_fh = struct.pack("<Q", 1 << 32)
a_lookup = chain(1, LOOKUP, 1, b"a\0") + kick()
an_open = chain(1, OPEN, 1, bytes(8)) + kick() + take

dev_seeds = {
    "lookup": chain(1, LOOKUP, 1, b"usr\0") + kick() + take + answer(0, 0, bytes(128)) + turn,
    "open": an_open + answer(1, 0, bytes(16), b"\0") + turn
    + chain(1, READ, 1, first_fh + struct.pack("<QIIQII", 0, 64, 0, 0, 0, 0)) + kick() + turn
    + chain(1, RELEASE, 1, first_fh + bytes(16)) + kick() + turn,
    "badfd": an_open + answer(1, 0, bytes(16), b"\2") + turn,
    "forget": chain(0, FORGET, 1, struct.pack("<Q", 1)) + kick(0) + take + turn,
    "reset": a_lookup + take + reset + take + answer(0, 0, b"") + answer(0, 1, b"") + turn
    + chain(1, GETATTR, 1, attr_in) + kick() + take + turn,
    "gone": a_lookup + gone + turn + a_lookup + turn,
    "tags": a_lookup + take + answer(2, 0, b"", b"\1") + turn,
    "error": a_lookup + take + answer(8, 0, b"", b"\1") + turn,
    "poke": a_lookup + take + bytes([7, 1, 0, 8]) + b"\xff" * 8 + answer(0, 0, bytes(128)) + turn,
    "local": chain(1, FLUSH, 1, bytes(24)) + chain(1, LSEEK, 1, bytes(24))
    + chain(1, WRITE, 1, bytes(50)) + kick() + turn,
}

for folder, seeds in (("fs_req", req_seeds), ("fs_dev", dev_seeds)):
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    for name, data in seeds.items():
        with open(os.path.join(HERE, folder, name), "wb") as f:
            f.write(data)
