#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""extract_vmlinux.py BZIMAGE VMLINUX - the ELF kernel inside a bzImage (boot protocol 2.08 on)"""
import struct
import subprocess
import sys

TOOLS = {
    b"\x1f\x8b": ["gzip", "-dc"],
    b"\xfd7zXZ": ["xz", "-dc"],
    b"\x02!L\x18": ["lz4", "-dc"],
    b"(\xb5/\xfd": ["zstd", "-dc"],
}


def main():
    with open(sys.argv[1], "rb") as f:
        image = f.read()
    if image[0x202:0x206] != b"HdrS":
        sys.exit(f"{sys.argv[1]}: not a bzImage")
    setup_sects = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sects + 1) * 512 + offset
    # The last four bytes are the size of the unpacked kernel.
    payload = image[start : start + length - 4]
    size = struct.unpack_from("<I", image, start + length - 4)[0]
    for magic, command in TOOLS.items():
        if payload.startswith(magic):
            # Some of these tools grumble about a stream that simply ends.
            done = subprocess.run(command, input=payload, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, check=False)
            if len(done.stdout) != size or not done.stdout.startswith(b"\x7fELF"):
                sys.exit(f"{sys.argv[1]}: unpacked {len(done.stdout)} of {size} bytes")
            with open(sys.argv[2], "wb") as f:
                f.write(done.stdout)
            return
    sys.exit(f"{sys.argv[1]}: unknown compression {payload[:6]!r}")


main()
