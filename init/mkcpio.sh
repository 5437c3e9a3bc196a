#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mkcpio.sh - the guest's init image: one static binary and /dev/console, as an uncompressed cpio
#
# Written here rather than with cpio(1): a device node needs no root this way, and the image is
# the same byte for byte whoever builds it. Usage: mkcpio.sh INIT OUTPUT
set -euo pipefail

init=$1
out=$2
tmp=$(mktemp "$out.XXXXXX")
trap 'rm -f "$tmp"' EXIT
ino=1
offset=0

pad() { # to a multiple of four
	local n=$(((4 - offset % 4) % 4))
	[ "$n" -eq 0 ] || head -c "$n" /dev/zero
	offset=$((offset + n))
}

header() { # name mode nlink size rmajor rminor
	local name=$1
	printf '070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\0' \
		"$ino" "$2" 0 0 "$3" 0 "$4" 0 0 "$5" "$6" $((${#name} + 1)) 0 "$name"
	offset=$((offset + 110 + ${#name} + 1))
	ino=$((ino + 1))
	pad
}

{
	header dev $((0040755)) 2 0 0 0
	header dev/console $((0020600)) 1 0 5 1
	size=$(stat -c %s "$init")
	header init $((0100755)) 1 "$size" 0 0
	cat "$init"
	offset=$((offset + size))
	pad
	header 'TRAILER!!!' 0 1 0 0 0
} >"$tmp"
chmod 644 "$tmp"
mv "$tmp" "$out"
trap - EXIT
