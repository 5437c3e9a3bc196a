#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# small_seeds.py - writes the first inputs of fuzz_rng, fuzz_console, fuzz_serial
import os

HERE = os.path.dirname(os.path.abspath(__file__))


def save(target, name, data):
    os.makedirs(os.path.join(HERE, target), exist_ok=True)
    with open(os.path.join(HERE, target, name), "wb") as f:
        f.write(bytes(data))


# fuzz_rng: steps; a chain's kinds have a bit for each descriptor that is writable
ADD, KICK, LOOP, RESET, POKE, CONFIG, RESTART = range(7)
ONE, MIXED, WRONG = [ADD, 0x10, 2], [ADD, 0xE3, 0x5A], [ADD, 0x11, 2]
save("rng", "ask", ONE * 3 + [KICK, LOOP])
save("rng", "pieces", MIXED + [KICK] + [ADD, 0xF3, 0x1B, KICK])
save("rng", "order", ONE + WRONG + [KICK] + ONE + [KICK, RESET] + ONE + [KICK])
save("rng", "empty", [ADD, 0, 0, KICK, ADD, 0x10, 0, KICK, LOOP])
save("rng", "rate", [ADD, 0x10, 4, KICK] * 6 + [LOOP, KICK, RESET, ADD, 0x10, 4, KICK, LOOP])
save("rng", "budget", ONE * 64 + [KICK, LOOP] + ONE * 64 + [KICK, LOOP])
save("rng", "restart", [ADD, 0x10, 4, KICK] * 5 + [RESTART] + ONE + [KICK, LOOP])
# The driver's index of the ring stands behind the 64 descriptors.
save("rng", "broken", ONE + [POKE, 0x02, 0x04, 0xFF, 0x7F, KICK, LOOP, RESET] + ONE + [KICK])
save("rng", "event_idx", [POKE, 0, 0x1F, 0, 0] + [KICK, LOOP])
save("rng", "config", [CONFIG, 0, 8, CONFIG, 255, 255])

# fuzz_console: steps
SAY, POST, CKICK, TYPE, RESUME, CLOOP, CRESET, CPOKE, CCONFIG, CRESTART = range(10)
RX, TX = [CKICK, 0], [CKICK, 1]
save("console", "say", [SAY, 5, 0, SAY, 9, 0x20] + TX + [CLOOP])
save("console", "large", [SAY, 255, 1] + TX + [CLOOP])
save("console", "blocked", [RESUME, 1, SAY, 250, 0] + TX + [SAY, 3, 0] + TX +
     [RESUME, 0, RESUME, 1, RESUME, 9, CLOOP])
save("console", "type", [POST, 5] + RX + [TYPE, 1, TYPE, 3] + [POST, 5] + RX)
save("console", "full", [TYPE, 100, TYPE, 10, POST, 5] + RX + [POST, 254] + RX + [TYPE, 255])
save("console", "wrap", [TYPE, 100, POST, 50] + RX + [TYPE, 20, POST, 254] + RX)
save("console", "odd", [POST, 0, POST, 255, POST, 1, TYPE, 1] + RX + [CLOOP])
save("console", "budget", [POST, 0] * 63 + [TYPE, 1, SAY, 1, 0] + TX + [CLOOP])
save("console", "rate", ([SAY, 255, 1] + TX + [RESUME, 255]) * 20 + [CLOOP])
save("console", "reset", [RESUME, 0, SAY, 20, 0] + TX + [TYPE, 2, CRESET, SAY, 3, 0] + TX +
     [RESUME, 9, POST, 9] + RX)
save("console", "restart", [RESUME, 1, SAY, 200, 0] + TX + [CRESTART, RESUME, 9, CLOOP])
save("console", "broken", [SAY, 9, 0] + [CPOKE, 0x02, 0x04, 0xFF, 0x7F, TYPE, 1] + RX +
     [CRESET, SAY, 9, 0] + TX)
save("console", "config", [CCONFIG, 0, 12, CCONFIG, 255, 255])

# fuzz_serial: steps of three bytes; an operation's bits: 7 write, 5-6 width, 4 repeat
TAKE, TYPED = [0, 255, 0], [1, 18, 0]
DATA, IER, FCR, LCR, MCR, LSR, MSR, SCR = range(8)


def out(reg, v):
    return [0x82, reg, v]


def read(reg):
    return [0x02, reg, 0]


def flood(v):
    return [0x92, 0xF8, v] * 5


save("serial", "output", out(DATA, 65) * 3 + TAKE)
save("serial", "full", flood(66) + read(LSR) + TAKE + TAKE)
save("serial", "interrupt", out(FCR, 1) + out(IER, 2) + read(FCR) + out(DATA, 67) * 16 +
     read(FCR) + TAKE + out(DATA, 68) + TAKE + read(FCR))
save("serial", "full_interrupt", out(IER, 2) + read(FCR) + flood(69) + read(FCR) + TAKE + TAKE)
save("serial", "input", TYPED + out(FCR, 1) + out(IER, 5) + TYPED + read(FCR) +
     (read(LSR) + read(DATA)) * 17 + TYPED + out(FCR, 3) + TYPED)
save("serial", "probe", out(IER, 15) + out(MCR, 0x1A) + read(MSR) + out(DATA, 1) * 20 +
     read(LSR) + out(MCR, 0) + out(LCR, 0xBF) + out(FCR, 0) + out(DATA, 1) + out(LCR, 3) +
     read(SCR))
save("serial", "wide", [0xC2, DATA, 70] + [0xE2, SCR, 71] + [0x62, DATA, 0] + [0xA2, LCR, 0x80] +
     TAKE)
