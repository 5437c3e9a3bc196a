#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# boot_seeds.py - writes the first inputs of fuzz_elf and fuzz_bzimage
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
MIB = 1 << 20
LOAD, NOTE, STACK = 1, 4, 0x6474E551


def save(target, name, data):
    os.makedirs(os.path.join(HERE, target), exist_ok=True)
    with open(os.path.join(HERE, target, name), "wb") as f:
        f.write(data)


def pattern(n):
    return bytes(1 + i % 251 for i in range(n))


# fuzz_elf
def header(entry, phnum, phoff=64, kind=2, machine=62):
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    return ident + struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, entry, phoff, 0, 0, 64, 56,
                               phnum, 0, 0, 0)


def phdr(kind, offset, paddr, filesz, memsz=None, align=0):
    memsz = filesz if memsz is None else memsz
    return struct.pack("<IIQQQQQQ", kind, 7, offset, paddr, paddr, filesz, memsz, align)


def note(owner, kind, desc):
    def pad(b):
        return b + bytes(-len(b) % 4)
    owner += b"\0"
    return struct.pack("<III", len(owner), len(desc), kind) + pad(owner) + pad(desc)


def elf(phdrs, body, entry):
    return header(entry, len(phdrs)) + b"".join(phdrs) + body


text = pattern(64)
save("elf", "plain", elf([phdr(LOAD, 120, 2 * MIB, 64)], text, 2 * MIB + 3))
notes = note(b"Linux", 257, b"\0") + note(b"Xen", 18, struct.pack("<Q", 2 * MIB + 8))
at = 64 + 4 * 56
four = [phdr(LOAD, at + len(notes), 2 * MIB, 64), phdr(LOAD, at, 3 * MIB, 32, 5000),
        phdr(NOTE, at, 2 * MIB, len(notes), align=4), phdr(STACK, 0, 0, 0)]
save("elf", "pvh", elf(four, notes + text, 2 * MIB))
notes = note(b"Xen", 18, struct.pack("<I", 2 * MIB))
at = 64 + 2 * 56
save("elf", "pvh32", elf([phdr(LOAD, at, 2 * MIB, 64), phdr(NOTE, at, 0, len(notes), align=4)],
                         notes + text, 2 * MIB))
notes = note(b"GNU", 5, b"1234") + bytes(4) + note(b"Xen", 18, struct.pack("<Q", 2 * MIB))
save("elf", "notes8", elf([phdr(LOAD, at, 2 * MIB, 64), phdr(NOTE, at, 0, len(notes), align=8)],
                          notes + text, 2 * MIB))
pages = elf([phdr(LOAD, 0x1000, 16 * MIB, 0x1010, 0x3000), phdr(LOAD, 0x1234, 17 * MIB + 0x234, 0xddc)],
            b"", 16 * MIB).ljust(0x1000, b"\0") + pattern(0x1010)
save("elf", "pages", pages)
save("elf", "overlap", elf([phdr(LOAD, 176, 2 * MIB, 64), phdr(LOAD, 176, 2 * MIB + 63, 64)], text,
                           2 * MIB))
save("elf", "neighbours", elf([phdr(LOAD, 176, 2 * MIB + 64, 64), phdr(LOAD, 176, 2 * MIB, 64)],
                              text, 2 * MIB))
save("elf", "low", elf([phdr(LOAD, 120, MIB - 1, 64)], text, MIB))
save("elf", "top", elf([phdr(LOAD, 120, 32 * MIB - 64, 64)], text, 32 * MIB - 64))
save("elf", "large", elf([phdr(LOAD, 120, 32 * MIB - 63, 64)], text, 32 * MIB - 63))
save("elf", "wrap", elf([phdr(LOAD, 120, 2**64 - 64, 64, 128)], text, 2 * MIB))
save("elf", "bss", elf([phdr(LOAD, 120, 2 * MIB, 64, 29 * MIB)], text, 2 * MIB))
save("elf", "cut", elf([phdr(LOAD, 120, 2 * MIB, 64)], text[:-1], 2 * MIB))
save("elf", "gzip", b"\x1f\x8b\x08\0" + bytes(60))


# fuzz_bzimage
def bzimage(sects=1, payload=0x400, sys=None, align=0x200000, reloc=1, pref=2 * MIB, init=0x10000,
            version=0x020F, cmdline=2047, initrd=0x7FFFFFFF, flags=1, xflags=1, jump=0x6A):
    h = struct.pack("<BHIHHHH", sects, 1, (payload if sys is None else sys) // 16, 0, 0, 0, 0xAA55)
    h += struct.pack("<BB4sHIHHBBHIIIIHBBII", 0xEB, jump, b"HdrS", version, 0, 0, 0, 0, flags, 0,
                     0x100000, 0, 0, 0, 0, 0, 0, 0, initrd)
    h += struct.pack("<IBBHIIQIIQQIII", align, reloc, 21, xflags, cmdline, 0, 0, 0, 0, 0, pref,
                     init, 0, 0)
    return (bytes(0x1F1) + h).ljust(((sects or 4) + 1) * 512, b"\0") + pattern(payload)


save("bzimage", "plain", bzimage())
save("bzimage", "fixed", bzimage(reloc=0, pref=MIB))
save("bzimage", "align", bzimage(align=0x1000, pref=0x100001))
save("bzimage", "sects0", bzimage(sects=0))
save("bzimage", "pages", bzimage(sects=7, payload=0x1010))
save("bzimage", "long_header", bzimage(jump=0xFF))
save("bzimage", "short_header", bzimage(jump=0x60))
save("bzimage", "small_init", bzimage(init=1))
save("bzimage", "fills", bzimage(init=30 * MIB))
save("bzimage", "too_large", bzimage(init=30 * MIB + 1))
save("bzimage", "wrap", bzimage(pref=2**64 - 0x1000))
save("bzimage", "old", bzimage(version=0x0206))
save("bzimage", "bits32", bzimage(xflags=0))
save("bzimage", "initrd_low", bzimage(initrd=3 * MIB))
save("bzimage", "cut", bzimage()[:-1])
save("bzimage", "header_only", bzimage()[:0x268])
