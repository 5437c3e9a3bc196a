#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# mmio_seeds.py - writes the first inputs of fuzz_mmio
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))

(WRITE32, STATUS, QUEUE, ACCESS, READ, POKE, ADD, TURN, KICK, START, CONFIG, FAIL, ASK_RESET,
 STOP) = range(14)

DESC, AVAIL = (0x1000, 0x5000), (0x2000, 0x6000)


def save(name, *steps):
    os.makedirs(os.path.join(HERE, "mmio"), exist_ok=True)
    with open(os.path.join(HERE, "mmio", name), "wb") as f:
        f.write(b"".join(steps))


def step(*values):
    return bytes(values)


def write32(reg, v):
    return struct.pack("<BBI", WRITE32, reg, v)


def access(code, off, v):
    return struct.pack("<BBHQ", ACCESS, code, off, v)


def poke(off, v):
    return struct.pack("<BHI", POKE, off, v)


def queue(q, size, desc, avail, used, ready=True):
    flags = q | size << 2 | (0 if ready else 0x80)
    return step(QUEUE, flags, desc, 0, avail, 0, used, 0)


NEGOTIATE = (write32(0x70, 0) + step(STATUS, 1, STATUS, 3) + write32(0x24, 1) + write32(0x20, 1) +
             step(STATUS, 0xB))
GOOD = queue(0, 0, 0, 1, 2)

save("life", step(START, 0, ADD, 8, TURN, ADD, 9, TURN, ADD, 2, KICK, 0, TURN, STATUS, 0))
save("by_hand", NEGOTIATE, GOOD, step(STATUS, 0xF, ADD, 10, TURN))
save("event_idx", step(START, 1, ADD, 8, TURN, ADD, 8, ADD, 8, TURN))
save("sizes", *[NEGOTIATE + queue(0, s, 0, 1, 2) + step(STATUS, 0xF, TURN) for s in range(8)])
save("addresses", *[NEGOTIATE + queue(0, 0, a, 1, 2) + step(STATUS, 0xF) for a in range(8)],
     *[NEGOTIATE + queue(0, 0, 0, a, 2) + step(STATUS, 0xF) for a in range(8)],
     *[NEGOTIATE + queue(0, 0, 0, 1, a) + step(STATUS, 0xF) for a in range(8)])
save("late_change", step(START, 0), queue(0, 2, 3, 4, 0), queue(0, 0, 0, 1, 2, False),
     step(ADD, 8, TURN))
save("ready_then_change", NEGOTIATE, GOOD, queue(0, 2, 3, 4, 0), step(STATUS, 0xF, TURN))
save("jump", step(START, 0), poke(AVAIL[0], 1000 << 16), step(KICK, 0, TURN, STATUS, 0, TURN))
save("cycle", step(START, 0, ADD, 0), poke(DESC[0] + 12, 1), poke(AVAIL[0], 1 << 16),
     step(KICK, 0, TURN))
save("indirect", step(START, 1, ADD, 0), poke(DESC[0] + 12, 4), step(KICK, 0, TURN))
save("transitions", *[step(STATUS, s) for s in (4, 2, 8, 1, 5, 3, 1, 7, 0x40, 0x80, 0xB, 0, 1, 3)],
     write32(0x20, 0xFFFFFFFF), step(STATUS, 0xB), write32(0x70, 0x100))
save("widths", step(START, 0), *[access(c, off, 0x0123456789ABCDEF) for c in range(4)
                                 for off in (0, 0x30, 0x6E, 0x70, 0xFC, 0x100, 0x1FE, 0xFFF)])
save("fail", step(FAIL, 0, START, 0, STATUS, 0, START, 0, FAIL, 0, KICK, 0, TURN, STATUS, 0))
save("config", step(CONFIG, 0, START, 0, CONFIG, 2, READ, 0xFC), access(2, 0x104, 0),
     step(ASK_RESET, 0, ADD, 8, TURN))
save("stale", step(START, 0, ADD, 8, KICK, 1, STATUS, 0, TURN, KICK, 0, START, 2, TURN))
save("stop", step(START, 0, ADD, 8, STOP, 0, STATUS, 0, TURN, START, 0, TURN))
