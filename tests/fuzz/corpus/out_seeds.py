#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# out_seeds.py - writes the first inputs of fuzz_out_host and fuzz_fetch_guest
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


def save(target, name, data):
    os.makedirs(os.path.join(HERE, target), exist_ok=True)
    with open(os.path.join(HERE, target, name), "wb") as f:
        f.write(bytes(data))


# fuzz_out_host: steps
FILE, DIRECTORY, LINK = range(3)
END, DISCARD = b"\x03", b"\x07"


def entry(kind, name=b"", size=0, link=b"", mode=0o755, time=1000000000, ns=5):
    return (bytes([kind << 2, len(name)]) + name + struct.pack(">HqI", mode, time, ns) +
            bytes([size, len(link)]) + link)


def wide(kind, name, size):
    return (bytes([kind << 2 | 0x10, len(name)]) + name + struct.pack(">HqIQ", 0o644, 0, 0, size) +
            b"\0")


def data(offset, length):
    return bytes([2, offset, length])


TOP = entry(DIRECTORY)
save("out_host", "file", entry(FILE, size=9) + data(0, 4) + data(6, 3) + END)
save("out_host", "link", entry(LINK, link=b"/etc/passwd"))
save("out_host", "tree", TOP + entry(DIRECTORY, b"a", mode=0o555) + entry(FILE, b"b", 3) +
     data(0, 3) + END + END + entry(LINK, b"c", link=b"..") + entry(DIRECTORY, b"d") + END + END)
save("out_host", "names", TOP + entry(FILE, b"..", 1))
save("out_host", "slash", TOP + entry(DIRECTORY, b"a/b"))
save("out_host", "twice", TOP + entry(LINK, b"a", link=b"/tmp") + entry(DIRECTORY, b"a"))
save("out_host", "modes", TOP + entry(FILE, b"a", mode=0o7777) + END + entry(DIRECTORY, b"b", mode=0)
     + END + END)
save("out_host", "discard", TOP + entry(FILE, b"a", 9) + data(0, 4) + DISCARD + END)
save("out_host", "cut", TOP + entry(FILE, b"a", 9) + data(0, 4))
save("out_host", "large", TOP + wide(FILE, b"a", 65536) + END + wide(FILE, b"b", 1 << 62))
save("out_host", "beyond", TOP + entry(FILE, b"a", 9) + data(8, 4))
save("out_host", "times", TOP + entry(FILE, b"a", time=-(1 << 62), ns=999999999) + END +
     entry(FILE, b"b", time=(1 << 62)) + END + END)
save("out_host", "deep", TOP + entry(DIRECTORY, b"x") * 30)

# fuzz_fetch_guest: a request, then steps of three bytes
MKFILE, MKDIR, UP, MKLINK, MKFIFO = 0, 2, 3, 4, 5


def request(path):
    return bytes([len(path)]) + path


STEPS = [MKFILE, 97, 9, MKDIR, 98, 0, MKFILE, 99, 200, MKLINK, 100, 1, MKFIFO, 101, 0, UP, 0, 0,
         MKDIR, 102, 0xff, UP, 0, 0, MKLINK, 103, 0, 0x80 + 4, 97, 0xe9]
save("fetch_guest", "tree", request(b"/") + bytes(STEPS))
save("fetch_guest", "file", request(b"/a") + bytes(STEPS))
save("fetch_guest", "link", request(b"/g") + bytes(STEPS))
save("fetch_guest", "through", request(b"/g/") + bytes(STEPS))
save("fetch_guest", "fifo", request(b"/b/e") + bytes(STEPS))
save("fetch_guest", "missing", request(b"/zz") + bytes(STEPS))
save("fetch_guest", "relative", request(b"a") + bytes(STEPS))
save("fetch_guest", "nul", request(b"/a\0b") + bytes(STEPS))
save("fetch_guest", "deep", request(b"/") + bytes([MKDIR, 120, 0] * 19 + [MKFILE, 121, 7]))

# fuzz_put_guest: name, flags (1 slash, 2 into, 4 the target is there, 8 raw bytes), then frames
PUT_FILE, PUT_DIR, PUT_LINK, PUT_DATA, PUT_END, PUT_OVER = 0, 0x10, 0x20, 2, 3, 5


def put(flags, name=b"src"):
    return bytes([len(name)]) + name + bytes([flags])


def put_entry(kind, name=b"", size=0, link=b""):
    return (bytes([kind, len(name)]) + name + b"\x01\xa4" + bytes(4) + size.to_bytes(3, "big") +
            bytes([len(link)]) + link)


PUT_TREE = (put_entry(PUT_DIR) + put_entry(PUT_FILE, b"a", 9) + bytes([PUT_DATA, 2, 4, PUT_END]) +
            put_entry(PUT_LINK, b"b", link=b"..") + put_entry(PUT_DIR, b"c") +
            bytes([PUT_END, PUT_END, PUT_OVER]))
for flags in range(8):
    save("put_guest", "tree%d" % flags, put(flags) + PUT_TREE)
save("put_guest", "nameless", put(6, b"") + PUT_TREE)
save("put_guest", "file", put(2) + put_entry(PUT_FILE, size=5) + bytes([PUT_DATA, 0, 5, 3, 5]))
save("put_guest", "dotdot", put(2) + put_entry(PUT_DIR) + put_entry(PUT_FILE, b"../x"))
save("put_guest", "cut", put(2) + put_entry(PUT_DIR) + put_entry(PUT_FILE, b"a", 9))
save("put_guest", "raw", put(10) + b"\x02\0\0\0\xa2\x01\x04\0\0\0\xba\x01\0\0")
save("put_guest", "raw_long", put(10) + b"\xff\xff\xff\xff")
