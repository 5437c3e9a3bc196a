# SPDX-License-Identifier: Apache-2.0
"""initrd - init images of the host's own programs, for the machines that benchmarks compare"""

import pathlib
import shutil
import subprocess


def newc(entries):
    """An uncompressed cpio of (name, mode, data)."""
    out = bytearray()
    for ino, (name, mode, data) in enumerate(entries + [("TRAILER!!!", 0, b"")], 1):
        raw = name.encode() + b"\0"
        fields = [ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0]
        out += b"070701" + b"".join(b"%08x" % f for f in fields) + raw
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def libraries(program):
    """The files that the loader would map for it."""
    text = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        for word in line.split():
            if word.startswith("/"):
                yield word


def write(path, programs, init):
    """
    Writes an image: busybox, these programs of the host with their libraries, and /init, a script
    for busybox of these lines. Returns the program that is missing, or None.
    """
    busybox = shutil.which("busybox")
    found = {name: shutil.which(name) for name in programs}
    if not busybox:
        return "busybox-static"
    for name, where in found.items():
        if not where:
            return name
    text = "\n".join(["#!/bin/busybox sh", *init]) + "\n"
    files = {"bin/busybox": busybox}
    for name, where in found.items():
        files[f"bin/{name}"] = where
        for lib in libraries(where):
            files[lib.lstrip("/")] = lib
    entries, seen = [("init", 0o100755, text.encode())], set()
    for name, source in files.items():
        for parent in reversed(pathlib.Path(name).parents[:-1]):
            if parent not in seen:
                seen.add(parent)
                entries.append((str(parent), 0o40755, b""))
        entries.append((name, 0o100755, pathlib.Path(source).read_bytes()))
    path.write_bytes(newc(entries))
    return None
