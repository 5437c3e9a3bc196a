# SPDX-License-Identifier: Apache-2.0
"""bad_kernels.py - boots kernels with damaged headers: one line must name the file and the field

usage: bad_kernels.py VMLINUX BZIMAGE SECONDS COMMAND...

Makes each file in the current directory, runs COMMAND... --kernel FILE, and prints a line of three
fields with tabs between: ok or bad, what was wrong with the file, what came instead. The files are
copies of the real kernels' headers and sizes; the rest are holes, which nothing gets to read.
"""
import json
import os
import re
import struct
import subprocess
import sys
import time

HEAD = 4096
PT_LOAD, PT_NOTE = 1, 4
TOP = (1 << 64) - 1

# Fields of ELF's headers and of the setup header: where they are, and their format.
EHDR = {"EI_CLASS": (4, "B"), "EI_DATA": (5, "B"), "e_type": (16, "H"), "e_machine": (18, "H"),
        "e_entry": (24, "Q"), "e_phoff": (32, "Q"), "e_phentsize": (54, "H"), "e_phnum": (56, "H")}
PHDR = {"p_type": (0, "I"), "p_offset": (8, "Q"), "p_paddr": (24, "Q"), "p_filesz": (32, "Q"),
        "p_memsz": (40, "Q")}
NOTE = {"n_namesz": (0, "I"), "n_descsz": (4, "I"), "entry": (16, "I")}
SETUP = {"setup_sects": (0x1F1, "B"), "syssize": (0x1F4, "I"), "boot_flag": (0x1FE, "H"),
         "jump": (0x201, "B"), "version": (0x206, "H"), "loadflags": (0x211, "B"),
         "kernel_alignment": (0x230, "I"), "xloadflags": (0x236, "H"),
         "cmdline_size": (0x238, "I"), "pref_address": (0x258, "Q"), "init_size": (0x260, "I")}


class Image:
    """The start of a kernel's file, and its size."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.head = bytearray(f.read(HEAD))
            self.size = os.fstat(f.fileno()).st_size
            self.more = {}
            if self.head.startswith(b"\x7fELF"):
                self.read_notes(f)

    def read_notes(self, f):
        self.loads = [i for i in range(self.get("e_phnum"))
                      if self.get("p_type", i) == PT_LOAD]
        self.notes = next(i for i in range(self.get("e_phnum")) if self.get("p_type", i) == PT_NOTE)
        start = self.get("p_offset", self.notes)
        f.seek(start)
        data = bytearray(f.read(self.get("p_filesz", self.notes)))
        # The PVH note comes where "Xen" has type 18.
        self.pvh = data.index(struct.pack("<I4s", 18, b"Xen\0")) - 8
        self.more[start] = data

    def place(self, name, header):
        if name in PHDR:
            at, form = PHDR[name]
            return self.head, struct.unpack_from("<Q", self.head, 32)[0] + 56 * header + at, form
        if name in NOTE:
            at, form = NOTE[name]
            return next(iter(self.more.values())), self.pvh + at, form
        at, form = EHDR[name] if name in EHDR else SETUP[name]
        return self.head, at, form

    def get(self, name, header=0):
        data, at, form = self.place(name, header)
        return struct.unpack_from("<" + form, data, at)[0]

    def set(self, name, value, header=0):
        data, at, form = self.place(name, header)
        struct.pack_into("<" + form, data, at, value)
        return self

    def write(self, path):
        with open(path, "wb") as f:
            f.write(self.head)
            for at, data in self.more.items():
                f.seek(at)
                f.write(data)
            f.truncate(self.size)


def elf_cases(path):
    """What is wrong, the image, what the message must say, more options."""

    def one(name, value, header=None):
        image = Image(path)
        if header is None:
            header = image.loads[0]
        return image.set(name, value, header)

    def cut(size):
        image = one("e_type", 2)
        image.size = size
        return image

    good = Image(path)
    first, second = good.loads[0], good.loads[1]
    text = good.get("p_paddr", first)
    none = Image(path)
    for i in none.loads:
        none.set("p_type", 0x6474E551, i)
    wrap = one("p_memsz", TOP).set("p_filesz", TOP, first)
    yield "ELF cut within its header", cut(40), "header: the file ends after 40 bytes"
    yield "ELF cut in the middle", cut(good.size // 2), r"program header \d+: p_offset .* p_filesz"
    yield "ELF of 32 bits", one("EI_CLASS", 1), r"EI_CLASS\] is 1"
    yield "big-endian ELF", one("EI_DATA", 2), r"EI_DATA\] is 2"
    yield "ELF for another CPU", one("e_machine", 183), "e_machine is 183"
    yield "relocatable ELF", one("e_type", 1), "e_type is 1"
    yield "small program headers", one("e_phentsize", 55), "e_phentsize is 55"
    yield "no program headers", one("e_phnum", 0), "e_phnum is 0"
    yield "too many program headers", one("e_phnum", 0xFFFF), "e_phnum is 65535"
    yield "program headers that wrap", one("e_phoff", TOP - 63), "e_phoff 0xffffffffffffffc0"
    yield "no segment to load", none, "none is PT_LOAD"
    yield "a segment larger in the file", one("p_memsz", 16), "p_filesz .* larger than p_memsz"
    yield "a segment that wraps in the file", wrap, "p_offset .* p_filesz 0xffffffffffffffff"
    yield "a segment that wraps in memory", one("p_paddr", TOP - 4095), "p_paddr 0xfffffffffffff000"
    yield "a huge segment", one("p_memsz", 1 << 62), "p_memsz 0x4000000000000000"
    yield "a segment below 1 MiB", one("p_paddr", 0x9F000), "p_paddr 0x9f000 lies below 1 MiB"
    yield "segments that overlap", one("p_paddr", text + 0x1000, second), \
        f"p_paddr .* overlaps program header {first}"
    yield "more than the machine's memory", one("p_memsz", 1 << 28, good.loads[-1]), "memory", \
        "--memory", "64M"
    yield "an entry nowhere", one("e_entry", 0x10), "e_entry 0x10 lies in no loaded segment", \
        "--protocol", "linux"
    yield "a PVH entry nowhere", one("entry", 0x10), "PVH note: entry 0x10"
    yield "a PVH note of 5 bytes", one("n_descsz", 5), "PVH note: n_descsz is 5"
    yield "a note that wraps", one("n_namesz", 0xFFFFFFFF), "note at .* n_namesz 0xffffffff"
    yield "a megabyte of notes", one("p_filesz", 1 << 20, good.notes).set(
        "p_memsz", 1 << 20, good.notes), "p_filesz of notes is 0x100000"
    yield "no PVH note", one("p_type", 0, good.notes), "no PVH entry", "--protocol", "pvh"


def bzimage_cases(path):
    """Likewise."""

    def one(name, value):
        return Image(path).set(name, value)

    def cut(size):
        image = Image(path)
        image.size = size
        return image

    good = Image(path)
    yield "bzImage cut within its header", cut(0x220), "setup header: the file ends after 544 bytes"
    yield "bzImage cut in the middle", cut(good.size // 2), "setup_sects .* syssize .* should have"
    yield "no boot flag", one("boot_flag", 0), "boot_flag 0x0000"
    yield "an old protocol", one("version", 0x20B), r"version 2\.11"
    yield "a short setup header", one("jump", 0x20), "jump: "
    yield "a zImage", one("loadflags", 0), "loadflags 0x00"
    yield "no 64-bit entry", one("xloadflags", 0), "xloadflags 0x0000"
    yield "no command line", one("cmdline_size", 0), "cmdline_size is 0"
    yield "nothing to load", one("syssize", 0), "syssize 0x0"
    yield "a huge kernel", one("syssize", 0xFFFFFFFF), "syssize 0xffffffff"
    yield "no memory needed", one("init_size", 0), "init_size is 0"
    yield "endless memory needed", one("init_size", 0xFFFFFFFF), "init_size 0xffffffff"
    yield "an odd alignment", one("kernel_alignment", 3), "kernel_alignment 0x3"
    yield "an address that wraps", one("pref_address", TOP - 0xFFF), "pref_address 0xfffffffffffff000"
    yield "a bzImage entered by PVH", good, "bzImage, which has no PVH entry", "--protocol", "pvh"


def try_one(command, limit, what, image, pattern, *options):
    """What came instead, "" if all was right."""
    name = re.sub("[^a-z0-9]+", "-", what.lower())
    image.write(name)
    r, w = os.pipe()
    start = time.monotonic()
    try:
        done = subprocess.run([*command, "--kernel", name, "--status-fd", str(w), *options],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=[w],
                              stderr=subprocess.PIPE, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return f"nothing within {limit} s"
    finally:
        os.close(w)
        os.unlink(name)
    seconds = time.monotonic() - start
    text = done.stderr.decode(errors="replace")
    with os.fdopen(r) as f:
        verdict = json.loads(f.read() or "{}")
    if done.returncode != 125 or verdict.get("reason") != "config" or seconds > limit:
        return f"status {done.returncode}, {verdict.get('reason')}, {seconds:.1f} s: {text!r}"
    if text.count("\n") != 1 or not re.match(f"mayfly: kernel '{name}'.*{pattern}", text):
        return repr(text)
    return ""


def main():
    vmlinux, bzimage, limit, *command = sys.argv[1:]
    cases = list(elf_cases(vmlinux))
    if os.path.exists(bzimage):
        cases += bzimage_cases(bzimage)
    for what, image, pattern, *options in cases:
        came = try_one(command, float(limit), what, image, pattern, *options)
        print("bad" if came else "ok", what, came, sep="\t", flush=True)


main()
