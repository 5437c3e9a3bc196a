#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh - build the guest kernel, once per content
#
# usage: build.sh [--profile NAME] OUTDIR
#
# Puts vmlinux, bzImage, config and System.map into OUTDIR. The result is kept
# in the cache under the hash of everything that goes into it, so the next call
# with the same content only links files.
#
# environment:
#   KERNEL_SRC      source tree or tarball, in place of Debian's package
#   XDG_CACHE_HOME  where the cache lives (mayfly/kernel below it)
#   JOBS            parallel compilers (default: one per CPU)
set -euo pipefail
export LC_ALL=C
umask 022

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
package=linux-source-6.12
products=(vmlinux bzImage config System.map)

die() { printf 'mayfly: %s\n' "$*" >&2; exit 1; }
say() { printf 'mayfly: kernel: %s\n' "$*" >&2; }

# --- what to build ----------------------------------------------------------

profile=guest outdir=
while [ $# -gt 0 ]; do
	case $1 in
	--profile) [ $# -ge 2 ] || die "--profile needs a name"; profile=$2; shift 2 ;;
	--profile=*) profile=${1#*=}; shift ;;
	-h|--help) sed -n '/^# usage/,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
	-*) die "build.sh: unknown option $1 (see --help)" ;;
	*) [ -z "$outdir" ] || die "build.sh: one OUTDIR only (see --help)"; outdir=$1; shift ;;
	esac
done
[ -n "$outdir" ] || die "usage: build.sh [--profile NAME] OUTDIR"

fragments=()
while read -r name limit list; do
	[ "$name" = "$profile" ] || continue
	file_limit=$limit
	for f in $list; do fragments+=("$here/fragments/$f.config"); done
done < <(grep -v '^#' "$here/profiles.txt")
[ ${#fragments[@]} -gt 0 ] || die "no kernel profile named $profile in profiles.txt"

# Sets src and src_id: a string that changes when the source does.
find_source() {
	src=${KERNEL_SRC:-}
	if [ -z "$src" ]; then
		for f in "/usr/src/$package".tar.*; do [ -f "$f" ] && src=$f; done
		[ -n "$src" ] || die "kernel source not found in /usr/src (install $package, or set KERNEL_SRC=)"
		src_id=$(dpkg-query -W -f='${Package} ${Version}' $package 2>/dev/null) ||
			src_id=$(sha256sum <"$src")
	elif [ -d "$src" ]; then
		src=$(cd -- "$src" && pwd)
		[ -f "$src/scripts/kconfig/Makefile" ] || die "KERNEL_SRC=$src is not a Linux source tree"
		[ ! -e "$src/.config" ] || die "KERNEL_SRC=$src has been built in: run make mrproper there first"
		# Somebody's working tree: names, sizes and times stand for the content.
		src_id=$(cd -- "$src" && find . -name .git -prune -o -type f -printf '%p %s %T@\n' | sort | sha256sum)
	elif [ -f "$src" ]; then
		src_id=$(sha256sum <"$src")
	else
		die "kernel source not found: KERNEL_SRC=$src is neither a folder nor a file"
	fi
}

need_tools() {
	local t
	for t in make:make gcc:gcc ld:binutils flex:flex bison:bison bc:bc xz:xz-utils tar:tar flock:util-linux; do
		command -v "${t%%:*}" >/dev/null || die "building the kernel needs ${t%%:*} (install ${t##*:})"
	done
	gcc -E -include gelf.h -x c /dev/null >/dev/null 2>&1 ||
		die "building the kernel needs gelf.h (install libelf-dev)"
}

# --- the build --------------------------------------------------------------

work='' make_pid=''

cleanup() {
	if [ -n "$make_pid" ] && kill -TERM "$make_pid" 2>/dev/null; then wait "$make_pid" || :; fi
	[ -z "$work" ] || rm -rf -- "$work"
}

# Nothing of the caller's environment may reach the kernel's make: CFLAGS,
# ARCH or a jobserver of an outer make would change the result or break it.
kmake() {
	exec env -i PATH="$PATH" HOME="$work" TMPDIR="$work" LC_ALL=C make -C "$tree" O="$work/o" \
		ARCH=x86_64 KBUILD_BUILD_USER=mayfly KBUILD_BUILD_HOST=mayfly KBUILD_BUILD_VERSION=1 \
		KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' "$@"
}

# progress EXPECTED LOG: copies make's output to LOG and tells how far it is;
# at the end the number of compiled files goes to LOG.files.
progress() {
	local tty=0
	[ ! -t 2 ] || tty=1
	awk -v want="$1" -v log_file="$2" -v tty="$tty" '
	function show(pct) {
		line = sprintf("mayfly: kernel: %d %% (%d of about %d files)", pct, n, want)
		if (tty) printf("\r%s\033[K", line) > "/dev/stderr"
		else print line > "/dev/stderr"
		fflush("/dev/stderr")
		shown = pct
	}
	{ print > log_file }
	/^  (CC|AS) / {
		n++
		pct = int(n * 100 / want); if (pct > 100) pct = 100
		if (tty ? pct > shown : pct >= shown + 10) show(pct)
	}
	END {
		if (tty) printf("\r\033[K") > "/dev/stderr"
		print n + 0 > (log_file ".files")
	}'
}

run_logged() { # COMMAND...: in the background, so that signals end it at once
	local status=0
	"$@" >"$work/fifo" 2>&1 </dev/null & make_pid=$!
	progress "$file_limit" "$work/log" <"$work/fifo" &
	wait "$make_pid" || status=$?
	make_pid=''
	wait $!
	[ $status -eq 0 ] && return
	tail -n 25 "$work/log" >&2
	mv -f "$work/log" "$cache/$hash.log"
	die "the kernel build failed; the whole log is $cache/$hash.log"
}

build() {
	local started=$SECONDS o
	need_tools
	work=$(mktemp -d "$cache/build.XXXXXX")
	o=$work/o
	mkfifo "$work/fifo"
	if [ -d "$src" ]; then
		tree=$src
	else
		say "unpacking ${src##*/}"
		mkdir "$work/src"
		tar -xf "$src" -C "$work/src" --strip-components=1 --no-same-owner & make_pid=$!
		wait "$make_pid" || { make_pid=''; die "cannot unpack $src"; }
		make_pid='' tree=$work/src
	fi

	# tinyconfig is allnoconfig with these two files. Adding the fragments to
	# the same run, not afterwards, keeps every option off that they merely
	# make visible: a later olddefconfig would take those at their defaults.
	mkdir "$o"
	cat "$tree/kernel/configs/tiny.config" "$tree/kernel/configs/tiny-base.config" \
		"${fragments[@]}" >"$work/all.config"
	run_logged kmake KCONFIG_ALLCONFIG="$work/all.config" allnoconfig
	"$here/check.sh" --profile "$profile" "$o/.config"

	say "building $profile, ${JOBS:-$(nproc)} at a time; this happens once"
	run_logged kmake -j"${JOBS:-$(nproc)}" vmlinux bzImage

	local files
	files=$(cat "$work/log.files")
	[ "$files" -le "$file_limit" ] ||
		die "the $profile kernel compiles $files files, $file_limit is the limit (profiles.txt)"

	mkdir "$work/done"
	strip -s -R .comment -o "$work/done/vmlinux" "$o/vmlinux"
	cp "$o/arch/x86/boot/bzImage" "$o/System.map" "$work/log" "$work/done/"
	cp "$o/.config" "$work/done/config"
	printf '%s\n' "$files" >"$work/done/files"
	chmod 0444 "$work"/done/*
	chmod 0755 "$work/done"
	sync -f "$work/done"
	mv -T "$work/done" "$cache/$hash"
	say "built in $((SECONDS - started)) s: $files files," \
		"vmlinux $(stat -c %s "$cache/$hash/vmlinux"), bzImage $(stat -c %s "$cache/$hash/bzImage") bytes"
}

# Hard links where that works, so that every checkout shares the page cache.
deliver() {
	local p
	mkdir -p -- "$outdir"
	for p in "${products[@]}"; do
		[ "$cache/$hash/$p" -ef "$outdir/$p" ] && continue
		rm -f -- "$outdir/.$p.new"
		ln -- "$cache/$hash/$p" "$outdir/.$p.new" 2>/dev/null ||
			cp -- "$cache/$hash/$p" "$outdir/.$p.new"
		mv -fT -- "$outdir/.$p.new" "$outdir/$p"
	done
}

find_source
compiler=$( (gcc --version && ld --version) 2>/dev/null | grep -E '^(gcc|GNU ld)' || :)
hash=$({ cat "${fragments[@]}" "${BASH_SOURCE[0]}"; printf '%s\n' "$file_limit" "$src_id" "$compiler"; } | sha256sum)
hash=${hash%% *}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mayfly/kernel
[ "${cache#/}" != "$cache" ] || die "the cache folder $cache must be an absolute path"

if [ ! -d "$cache/$hash" ]; then
	command -v flock >/dev/null || die "building the kernel needs flock (install util-linux)"
	mkdir -p -- "$cache"
	# One build at a time per cache. make inherits the lock, so it stays
	# taken until the last compiler is gone, even if this script is killed.
	exec 9>"$cache/lock"
	flock -n 9 || { say "waiting for another build to end"; flock 9; }
	if [ ! -d "$cache/$hash" ]; then
		trap cleanup EXIT
		trap 'exit 130' INT
		trap 'exit 143' TERM HUP
		# What a killed build left behind: nobody else builds now.
		rm -rf -- "$cache"/build.??????
		build
	fi
	exec 9>&-
fi
deliver
