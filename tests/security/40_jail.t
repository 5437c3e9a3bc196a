# SPDX-License-Identifier: Apache-2.0
# A program in the place of each of the machine's processes tries what none of them may do
#
# First without a jail, where an attempt works or is marked as something that the kernel refuses
# anyway. Then in the jail before any table of system calls is loaded: namespaces, root, capabilities
# and Landlock must hold alone. Then under each table.
# shellcheck shell=bash disable=SC1091,SC2154,SC2034
. "$(dirname "$0")/../lib/common.sh"
probe=$(dirname "$MAYFLY")/probe/jail_probe
[ -x "$probe" ] || skip_all "the probe is not built (make check does)"
here=$(dirname "$MAYFLY")
jail=${JAIL_MODE:-full}

# Attempts that a table alone has to stop: they reach nothing outside the process.
only_table="socket-netlink unshare fork userfaultfd io-uring keyctl perf mmap-exec mprotect-exec shm memfd rlimit prctl x32 i386"
mapfile -t attempts < <(sed -n 's/^	*{"\([a-z0-9-]*\)", .*/\1/p; s/.*}, *{"\([a-z0-9-]*\)".*/\1/p' "$TEST_DIR/probe/jail_probe.c")
[ "${#attempts[@]}" -gt 40 ] || fail "the list of attempts is read"

# place PROCESS: a mayfly whose PROCESS is the probe
place() {
	rm -rf "$T/bin"
	mkdir -m 755 "$T/bin"
	local p
	for p in mayfly mayfly-jailer mayfly-vmm mayfly-fs; do cp "$here/$p" "$T/bin/$p"; done
	ln -s "$here/guest" "$T/bin/guest"
	target=$T/bin/$1
}
# try TABLE ATTEMPT: sets got to ok, an errno's name, or "seccomp CALL"
try() {
	local order
	printf -v order '%-40s' "$1/$2"
	LC_ALL=C sed "s|@ATTEMPT@:\.\{30\}|$order|" "$probe" >"$target"
	chmod 755 "$target"
	: >"$T/verdict"
	PATH=$T/bin:$PATH timeout -k 5 "$(scaled 30)" "$T/bin/mayfly" run --engine "$MAYFLY_ENGINE" --jail "$jail" -v \
		--status-fd 9 --no-cwd -- true </dev/null >"$T/out" 2>"$T/err" 9>"$T/verdict"
	got=$(sed -n "s/.*probe: $2: \([A-Za-z0-9]*\).*/\1/p" "$T/err" | head -n 1)
	if [ "$(verdict reason)" = seccomp ]; then got="seccomp $(verdict call)"; fi
	[ -n "$got" ] || got="nothing: $(tail -n 1 "$T/err")"
}
listed() { case " $2 " in *" $1 "*) return 0 ;; esac; return 1; }

# Without a jail: what the attempt is worth. The namespaces keep this host as it is.
for a in "${attempts[@]}"; do
	if is_root; then
		got=$(unshare --mount --uts --ipc "$probe" "$a" 2>&1)
	else
		got=$("$probe" "$a" 2>&1)
	fi
	got=${got##*: }
	case $got in
	ok) ;;
	*) refused="${refused:-}$a ($got) " ;;
	esac
done
diag "the kernel refuses this caller anyway: ${refused:-nothing}"
yes_if "most attempts work without a jail" [ "$(wc -w <<<"${refused:-}")" -lt 50 ]

# check PROCESS TABLE EXPECTED-OK EXPECTED-ERRNO: all attempts; prints what was not stopped as wanted
check_all() {
	local process=$1 table=$2 may_work=$3 may_fail=$4 a bad=""
	for a in "${attempts[@]}"; do
		try "$table" "$a"
		case $got in
		ok) listed "$a" "$may_work" || bad="$bad $a:worked" ;;
		"seccomp "*) ;;
		[A-Z]*) [ "$may_fail" = all ] || listed "$a" "$may_fail" || bad="$bad $a:$got" ;;
		*) bad="$bad $a:($got)" ;;
		esac
	done
	is "$bad" "" "$process, table $table: every one of ${#attempts[@]} attempts is stopped as it should be"
}

place mayfly-vmm
check_all vmm none "$only_table" all
check_all vmm "vmm-$MAYFLY_ENGINE" "" ""
check_all vmm "fsdev-$MAYFLY_ENGINE" "" escape-fds
[ "$MAYFLY_ENGINE" = tcg ] || check_all vmm vcpu-kvm "" ""
place mayfly-fs
check_all fs none "$only_table" all
check_all fs fs "" "open-file open-dev open-proc walk-up escape-fds list-root"
if [ "$MAYFLY_ENGINE" = tcg ]; then
	place qemu-system-x86_64
	check_all qemu none "mmap-exec mprotect-exec memfd list-root" all
fi
done_testing
