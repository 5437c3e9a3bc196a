#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# build.sh - compiles the test kernel: build.sh OUTDIR makes OUTDIR/garbage.elf
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build.sh OUTDIR}
mkdir -p "$out"
gcc -std=gnu11 -O2 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -ffreestanding -fno-builtin \
	-fno-pic -no-pie -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-fno-tree-loop-distribute-patterns -mno-red-zone -mgeneral-regs-only -DTRAMPOLINE=0x1000 \
	-nostdlib -static -Wl,-T,"$here/kernel.lds" -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
	-Wl,-z,noexecstack -Wl,--no-warn-rwx-segments -o "$out/garbage.elf" "$here"/*.S "$here"/*.c
