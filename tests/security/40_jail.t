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
jail=full

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

# judge ATTEMPT MAY-WORK MAY-FAIL: adds to $bad what was not stopped as wanted. Nobody has a
# directory to leave but fs, so for the others escape-fds has nothing to try.
judge() {
	case $got in
	ok) listed "$1" "$2" || bad="$bad $1:worked" ;;
	"seccomp "*) ;;
	[A-Z]*) [ "$3" = all ] || listed "$1" "$3 escape-fds" || bad="$bad $1:$got" ;;
	*) bad="$bad $1:($got)" ;;
	esac
}
# Under a table each attempt takes a machine of its own, because most end it.
check_table() { # PROCESS TABLE MAY-WORK MAY-FAIL ATTEMPT...
	local process=$1 table=$2 may_work=$3 may_fail=$4 a bad=""
	shift 4
	for a; do
		try "$table" "$a"
		judge "$a" "$may_work" "$may_fail"
	done
	is "$bad" "" "$process, table $table: every one of $# attempts is stopped as it should be"
}
check_without_table() { # PROCESS
	local a bad=""
	try none all
	for a in "${attempts[@]}"; do
		got=$(sed -n "s/.*probe: $a: \([A-Za-z0-9]*\).*/\1/p" "$T/err" | head -n 1)
		judge "$a" "$only_table ${2:-}" all
	done
	is "$bad" "" "$1 ($jail), before its table: the other layers stop what they are for, of ${#attempts[@]} attempts"
}

some="open-file see-process socket-unix mount fork exec bpf io-uring mmap-exec i386"
place mayfly-vmm
check_without_table vmm
check_table vmm "vmm-$MAYFLY_ENGINE" "" "" "${attempts[@]}"
# Which of the calls a table lacks is known from its rows (test_seccomp); here it is about threads.
# shellcheck disable=SC2086
check_table vmm "fsdev-$MAYFLY_ENGINE" "" "" $some
# shellcheck disable=SC2086
[ "$MAYFLY_ENGINE" = tcg ] || check_table vmm vcpu-kvm "" "" $some
place mayfly-fs
check_without_table fs
check_table fs fs "" "open-file open-dev open-proc walk-up list-root" "${attempts[@]}"
if [ "$MAYFLY_ENGINE" = tcg ]; then
	place qemu-system-x86_64
	check_table qemu none "mmap-exec mprotect-exec memfd list-root" all "${attempts[@]}"
fi
# Without namespaces: signals go to those of the same id, which is nobody, or are Landlock's affair
# from version 6 on. What a share shows, fs may open.
jail=reduced
place mayfly-vmm
check_without_table vmm signal-all
place mayfly-fs
check_without_table fs "signal-all open-file"
done_testing
