#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# session_seeds.py - writes the first inputs of fuzz_session
import os

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "session")
START, RUN, DATA, EOF, CREDIT, CLOSED, NUMBER, DIAL, LISTEN, WORDS, WAIT, RAW = (
    0, 2, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15)
KEEP, TTY, SIZE, TIMEOUT, RLIMIT = 1, 2, 4, 8, 32
TRUE, CAT, HEAD, NONE = range(4)


def s(what, *data, on=0):
    return [what << 1 | on, len(data), *data]


def save(name, *steps):
    os.makedirs(HERE, exist_ok=True)
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(bytes(b for step in steps for b in step))


W = s(WAIT) * 4
save("true", s(START, 1, KEEP), s(RUN, TRUE), W, s(LISTEN), s(DIAL))
save("plain", s(START, 1, 0), s(RUN, CAT), s(DATA, *b"1234"), s(EOF, 1), W, s(LISTEN))
save("none", s(START, 1, KEEP), s(RUN, NONE), W, s(LISTEN), s(DIAL))
save("lost", s(START, 1, KEEP), s(RUN, HEAD), W, s(DIAL), W, s(NUMBER, 0, 0, 0, 1), W, s(LISTEN),
     s(CREDIT, 1, 255, 0), W, s(LISTEN), s(CREDIT, 1, 90, 0), W, s(LISTEN), s(DIAL))
save("taken", s(START, 2, KEEP), s(RUN, CAT), W, s(NUMBER, 0, 0, 0, 2, on=1), s(DATA, 1, 2, on=1),
     s(DATA, 1, 2), W, s(LISTEN), s(EOF, 1, on=1), W, s(LISTEN, on=1))
save("tty", s(START, 1, KEEP | TTY | SIZE, 20), s(RUN, CAT), W, s(DATA, *b"1abc"),
     s(NUMBER, 1, 9, 9), W, s(EOF, 1), W, s(LISTEN))
save("tty_signal", s(START, 1, KEEP | TTY), s(RUN, CAT), W, s(NUMBER, 2, 4), W, s(LISTEN))
save("tty_closed", s(START, 1, KEEP | TTY), s(RUN, CAT), W, s(CLOSED, 1), W, s(LISTEN))
save("timeout", s(START, 1, KEEP | TIMEOUT, 0, 1), s(RUN, CAT), W, W, s(LISTEN))
save("limit", s(START, 1, RLIMIT, 7, 1), s(RUN, TRUE), W, s(LISTEN))
save("raw", s(RAW, 4, 0, 0, 0, 0xE2, 1, 0, 0), s(RAW, 2, 0, 0, 0, 0x4A, 0), W, s(LISTEN))
save("twice", s(START, 1, KEEP), s(START, 1, KEEP, on=1), W, s(LISTEN, on=1))
