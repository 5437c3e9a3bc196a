#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# debian_kernels.sh - Debian's own cloud kernels, as bzImage and as ELF, for the tests that boot them
#
# usage: debian_kernels.sh [DIR]
#
# Puts 6.1/ and 6.12/ into DIR (default: mayfly/debian-kernels in the cache directory), each with
# vmlinuz, vmlinux and the package's name, and prints DIR. Takes the newest packages that apt knows,
# without installing them. What is there already is left as it is, and nothing is asked then.
set -euo pipefail
export LC_ALL=C
umask 022
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
dir=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/mayfly/debian-kernels}
declare -A pattern=(
	[6.1]='^linux-image-6\.1\.0-[0-9]+-cloud-amd64$'
	[6.12]='^linux-image-6\.12[.0-9]*(\+deb[0-9]+)?-cloud-amd64$'
)
tmp=

die() { printf 'mayfly: Debian kernels: %s\n' "$*" >&2; exit 1; }
trap '[ -z "$tmp" ] || rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# step WHAT COMMAND...: its output is shown only if it fails
step() {
	local what=$1
	shift
	"$@" >"$tmp/log" 2>&1 && return
	tail -n 20 "$tmp/log" >&2
	die "$what failed"
}

newest() { # VERSION
	# The meta-package, too, fits the second pattern: it has no kernel.
	apt-cache search --names-only "${pattern[$1]}" | cut -d' ' -f1 |
		grep -vx "linux-image-$1-cloud-amd64" | sort -V | tail -n 1
}

fetch() { # VERSION
	local package
	package=$(newest "$1") || package=
	[ -n "$package" ] || die "apt knows no kernel $1 for the cloud (apt-get update helps if its lists are missing)"
	tmp=$(mktemp -d "$dir/new.XXXXXX")
	mkdir "$tmp/apt" "$tmp/$1"
	printf 'mayfly: downloading %s\n' "$package" >&2
	# apt's own user must be able to write there.
	chmod 755 "$tmp"
	[ "$(id -u)" -ne 0 ] || chown _apt "$tmp/apt" 2>/dev/null || :
	cd "$tmp/apt"
	step "apt-get download $package" timeout 600 apt-get download "$package"
	dpkg-deb --fsys-tarfile "$tmp"/apt/*.deb | tar -xO --wildcards './boot/vmlinuz-*' >"$tmp/$1/vmlinuz"
	step "unpacking the kernel of $package" \
		/usr/bin/python3 "$here/extract_vmlinux.py" "$tmp/$1/vmlinuz" "$tmp/$1/vmlinux"
	printf '%s\n' "$package" >"$tmp/$1/package"
	cd "$dir"
	# Somebody else may have been faster, with the same.
	mv -T "$tmp/$1" "$dir/$1" 2>/dev/null || [ -e "$dir/$1/vmlinux" ] || die "$dir/$1 is in the way"
	rm -rf "$tmp"
	tmp=
}

mkdir -p "$dir"
dir=$(cd -- "$dir" && pwd)
for v in 6.1 6.12; do
	[ -e "$dir/$v/vmlinux" ] || fetch $v
done
printf '%s\n' "$dir"
