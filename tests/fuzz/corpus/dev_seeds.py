#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# dev_seeds.py - writes the first inputs of fuzz_chain, fuzz_frame, fuzz_vhost_user, fuzz_vsock
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


def save(target, name, data):
    os.makedirs(os.path.join(HERE, target), exist_ok=True)
    with open(os.path.join(HERE, target, name), "wb") as f:
        f.write(data)


# fuzz_chain: struct head, then memory from guest address 0x1000
NEXT, WRITE, INDIRECT = 1, 2, 4
LOW, HIGH = 0x1000, 0x100000000


def desc(addr, length, flags=0, nxt=0):
    return struct.pack("<QIHH", addr, length, flags, nxt)


def ring(descs, heads, flags=0, log2=3, nxt=0, extra=b""):
    size = 1 << log2
    table = b"".join(descs).ljust(size * 16, b"\0")
    avail = struct.pack("<HH", 0, (nxt + len(heads)) & 0xFFFF)
    slots = [0] * size
    for i, h in enumerate(heads):
        slots[(nxt + i) % size] = h
    avail += struct.pack("<%dH" % (size + 1), *slots, 0)
    used_at = (len(table) + len(avail) + 3) & ~3
    image = (table + avail).ljust(used_at + 6 + 8 * size, b"\0")
    head = struct.pack("<BBHHHHH", log2, flags, nxt, 0, len(table), used_at, 0x2008)
    return head + image + extra


two = [desc(LOW + 1024, 44, NEXT, 1), desc(LOW + 2048, 100, WRITE)]
save("chain", "simple", ring(two, [0], 4))
save("chain", "event_idx", ring(two, [0] * 8, 7))
save("chain", "merge", ring([desc(LOW + 1024, 8, NEXT, 1), desc(LOW + 1032, 8, NEXT, 2),
                             desc(HIGH, 64, WRITE | NEXT, 3), desc(HIGH + 64, 64, WRITE)], [0], 4))
ind = desc(LOW + 1024, 8, NEXT, 1) + desc(HIGH + 16, 32, WRITE)
plain = ring([desc(LOW + 512, 32, INDIRECT)], [0], 6)
save("chain", "indirect", plain.ljust(12 + 512, b"\0") + ind)
save("chain", "direct_indirect",
     ring([desc(LOW, 4, NEXT, 1), desc(LOW + 512, 32, INDIRECT)], [0, 0], 4).ljust(12 + 512, b"\0")
     + ind)
save("chain", "cycle", ring([desc(LOW, 8, NEXT, 1), desc(LOW, 8, NEXT, 0)], [0], 4))
save("chain", "outside", ring([desc(LOW + 8190, 8)], [0], 4))
save("chain", "order", ring([desc(LOW, 8, WRITE | NEXT, 1), desc(LOW, 8)], [0], 4))
save("chain", "wrap", ring(two, [0, 0], 4, nxt=0xFFFF))
save("chain", "large", ring([desc(LOW, 1, NEXT, i + 1) for i in range(63)] + [desc(LOW, 1)],
                            [0, 5], 4, log2=6))


# fuzz_frame: [piece size], then frames
def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(num, value):
    if isinstance(value, bytes):
        return varint(num << 3 | 2) + varint(len(value)) + value
    return varint(num << 3) + varint(value)


def frame(num, body=b""):
    msg = field(num, body)
    return struct.pack("<I", len(msg)) + msg


hello = frame(1, field(1, 1) + field(2, b"mayfly"))
view = field(1, b"system") + field(2, b"/usr") + field(3, 1)
setup = frame(2, field(1, 123456789) + field(2, b"host") + field(3, b"system") + field(4, view) +
              field(4, view) + field(5, b"u:x:1:1::/home/u:/bin/sh") + field(8, 1000))
ready = frame(3, field(1, 1) + field(2, 2) + field(3, 3))
failed = frame(4, field(1, 2) + field(2, b"why"))
start = frame(7, field(1, 1) + field(2, 0) + field(3, 0) + field(4, b"\1\2\3") + field(5, b"/"))
words = frame(8, field(2, b"ls\0-l\0")) + frame(8, field(1, 1) + field(2, b"A=b\0"))
run = frame(9)
data = frame(11, field(1, 1) + field(2, b"hello\n"))
rest = frame(12, field(1, 0)) + frame(13, field(1, 1) + field(2, 65536)) + frame(14, field(1, 2))
end = frame(15, field(1, 15)) + frame(16, field(1, 1) + field(2, 9) + field(3, 1) +
                                      field(4, b"text") + field(5, 7) + field(8, 9))
save("frame", "control", b"\x20" + hello + setup + ready + failed + frame(5) + frame(6))
save("frame", "command", b"\x20" + hello + start + words + run)
save("frame", "streams", b"\x03" + hello + frame(10, field(1, 7) + field(2, 8)) + data + rest + end)
save("frame", "bytes", b"\x00" + hello + data)
save("frame", "oversize", b"\x10" + hello + struct.pack("<I", 65537) + b"x")
save("frame", "two_bodies", b"\x10" + struct.pack("<I", 8) + field(1, field(1, 1)) + field(9, b"") +
     field(5, b""))
save("frame", "second_hello", b"\x10" + hello + hello)
odd_tag = field(13, b"\x80\x01\x04\x80\x00\x10")  # found: can't be taken again when sent again
save("frame", "odd_tag", b"\x10" + hello + struct.pack("<I", len(odd_tag)) + odd_tag)
save("frame", "version", b"\x10" + frame(1, field(1, 2)))


# fuzz_vhost_user: steps
MSG, RAW, SHAKE, ADD, POKE, KICK = range(6)
RAM, UNSEALED, FKICK, FCALL, PIPE, NULL, RAM_RO = range(7)
GPA, UADDR, MEM = 0x100000, 0x7F0000000000, 65536


def msg(request, payload=b"", fds=(), flags=0):
    kinds = (list(fds) + [0, 0, 0])[:3]
    return bytes([MSG, request, flags, len(payload), len(fds)] + kinds) + payload


def table(*regions):
    return struct.pack("<II", len(regions), 0) + b"".join(struct.pack("<QQQQ", *r) for r in regions)


def state(index, num):
    return struct.pack("<II", index, num)


good = (GPA, MEM, UADDR, 0)
addr = struct.pack("<IIQQQQ", 0, 0, UADDR + 0x1000, UADDR + 0x3000, UADDR + 0x2000, 0)
feat = struct.pack("<Q", 1 << 32 | 1 << 30)
old = struct.pack("<Q", 1 << 32 | 1 << 29)
q0 = struct.pack("<Q", 0)
by_hand = (msg(1) + msg(15) + msg(16, struct.pack("<Q", 1 << 3 | 1 << 9)) + msg(3) + msg(2, feat) +
           msg(5, table(good), [RAM]) + msg(8, state(0, 8)) + msg(10, state(0, 0)) + msg(9, addr) +
           msg(12, q0, [FKICK]) + msg(13, q0, [FCALL]) + msg(18, state(0, 1)))
save("vhost_user", "by_hand", by_hand + bytes([ADD, ADD]) + msg(11, state(0, 0)))
save("vhost_user", "handshake", bytes([SHAKE, ADD, ADD | 0x10, KICK]))
save("vhost_user", "event_idx", bytes([SHAKE | 0x80]) + bytes([ADD] * 9))
save("vhost_user", "remap", bytes([SHAKE, ADD]) + msg(5, table(good), [RAM], 8) + bytes([ADD]))
save("vhost_user", "two_regions", bytes([SHAKE]) +
     msg(5, table((GPA, 32768, UADDR, 0), (GPA + 32768, 32768, UADDR + 32768, 32768)), [RAM, RAM]))
save("vhost_user", "overlap", msg(5, table(good, good), [RAM, RAM]))
save("vhost_user", "unsealed", msg(5, table(good), [UNSEALED]))
save("vhost_user", "read_only", msg(5, table(good), [RAM_RO]))
save("vhost_user", "unaligned", bytes([SHAKE]) + msg(5, table((GPA + 1, 4096, UADDR, 0)), [RAM]))
save("vhost_user", "no_fds", msg(5, table(good)))
save("vhost_user", "old", msg(2, old) + msg(5, table(good), [RAM]) + msg(8, state(0, 8)) +
     msg(12, q0, [FKICK]) + msg(9, addr) + bytes([ADD]))
save("vhost_user", "config", msg(24, struct.pack("<III", 0, 8, 0) + bytes(8)) +
     msg(24, struct.pack("<III", 8, 4, 0) + bytes(4)) + msg(17) + msg(4))
save("vhost_user", "pipe", bytes([SHAKE]) + msg(12, q0, [PIPE]) + bytes([ADD]))
save("vhost_user", "null", bytes([SHAKE]) + msg(13, q0, [NULL]) + bytes([ADD]) +
     msg(12, q0, [NULL]))
save("vhost_user", "raw", bytes([RAW, 5]) + struct.pack("<IB", 1, 1) + bytes([RAW, 7]) + bytes(7))
save("vhost_user", "poke", bytes([SHAKE, POKE, 2, 0x20, 0xE8, 3, KICK]) + msg(11, state(0, 0)) +
     msg(11, state(1, 0)))
save("vhost_user", "enable", bytes([SHAKE]) + msg(18, state(0, 0)) + bytes([ADD]) +
     msg(18, state(0, 1)))


# fuzz_vsock: steps
TX, TXRAW, RX, DIAL, HWRITE, HREAD, HCLOSE, LOOP, RESET, VPOKE, ACCEPT, HSHUT = range(12)
REQUEST, RESPONSE, RST, SHUTDOWN, RW, UPDATE, ASK = range(1, 8)


# [ports][op][flags][length][credit]; ports: 0xf0+i: the i-th pair learned, else a table
def tx(op, ports, flags=0, length=0, credit=0):
    return bytes([TX, ports, op, flags, length, credit])


def rx(n=1, length=128):
    return bytes([RX, n, length])


CTRL, LISTENED, NOBODY, NOT_PRIV = 0, 1, 2, 3
save("vsock", "control", rx(4) + tx(REQUEST, CTRL) + bytes([LOOP]) + tx(RW, CTRL, 0, 50) +
     bytes([HWRITE, 0, 40, LOOP, HREAD, 0]) + tx(SHUTDOWN, CTRL, 3) + bytes([LOOP]))
save("vsock", "not_privileged", rx(4) + tx(REQUEST, NOT_PRIV) + tx(REQUEST, CTRL) +
     tx(REQUEST, CTRL))
save("vsock", "dial", rx(8) + bytes([DIAL, 5, LOOP]) + tx(RESPONSE, 0xF0) + bytes([LOOP]) +
     tx(RW, 0xF0, 0, 200) + bytes([HREAD, 1, HWRITE, 1, 99, LOOP]) + tx(UPDATE, 0xF0, 0, 0, 3) +
     bytes([HSHUT, 1, LOOP]) + tx(SHUTDOWN, 0xF0, 2) + bytes([LOOP]))
save("vsock", "dial_refused", rx(8) + bytes([DIAL, 5, LOOP]) + tx(RST, 0xF0))
save("vsock", "dial_closed", rx(1) + bytes([DIAL, 5, LOOP, HCLOSE, 1, LOOP]) + rx(3) +
     bytes([LOOP]))
save("vsock", "listened", rx(8) + tx(REQUEST, LISTENED) + bytes([LOOP, ACCEPT]) +
     tx(RW, LISTENED, 0, 255) * 6 + bytes([HWRITE, 1, 255, LOOP, HCLOSE, 1, LOOP]))
save("vsock", "nobody", rx(3) + tx(REQUEST, NOBODY) + tx(RW, NOBODY, 0, 9) + tx(ASK, NOBODY))
save("vsock", "rst_flood", tx(RW, NOBODY) * 60 + rx(100))
save("vsock", "small_buffers", rx(2, 1) + rx(1, 2) + bytes([DIAL, 9, LOOP]) + rx(2, 30))
save("vsock", "raw", rx(2) + bytes([TXRAW, 44]) + struct.pack("<QQIIIHHIII", 3, 2, 1, 5, 0, 1, 1, 0,
                                                             4096, 0) + bytes([LOOP]))
save("vsock", "short", bytes([TXRAW, 10]) + bytes(10) + bytes([TXRAW, 0]))
save("vsock", "reset", rx(4) + tx(REQUEST, CTRL) + bytes([DIAL, 5, LOOP, RESET]) + rx(4) +
     tx(REQUEST, LISTENED) + bytes([LOOP]))
save("vsock", "window", rx(8) + tx(REQUEST, CTRL) + tx(RW, CTRL, 0, 255) * 40)
# The driver's index of the transmit ring stands at 0xa92 of its memory, behind the receive ring.
save("vsock", "broken", rx(2) + tx(REQUEST, CTRL) +
     bytes([VPOKE, 0x92, 0x0A, 0xFF, 0x0F, LOOP, RESET]) + rx(2) + tx(REQUEST, LISTENED) +
     bytes([LOOP]))
save("vsock", "unfinished", rx(1) + bytes([DIAL, 0x85, LOOP, HCLOSE, 1, DIAL, 0x86, LOOP]))
save("vsock", "credit", rx(4) + tx(REQUEST, LISTENED, 0, 0, 1) +
     bytes([LOOP, ACCEPT, HWRITE, 1, 200, LOOP]) + tx(UPDATE, LISTENED, 0, 0, 2) + bytes([LOOP]))
