# SPDX-License-Identifier: Apache-2.0
# common.sh - TAP output, a temporary directory, deadlines: what every scenario script sources
# shellcheck shell=bash
#
# A script sources this file first. It then stands in an empty directory $W of its own, which is
# removed at the end, however that comes. From the runner (or the caller) come
#   MAYFLY         the program under test (default: build/mayfly of this checkout)
#   MAYFLY_ENGINE  what --engine gets (default: tcg)
#   MAYFLY_TIME_SCALE  how many times as slow as usual this host may be (default: 1; the rig: more):
#                  multiplies time limits, divides amounts of data
#   TEST_BIN       directory with the compiled tests/guest/*.c (default: compiled here when needed)

LC_ALL=C.UTF-8
export LC_ALL
TEST_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
: "${MAYFLY:=$TEST_DIR/../build/mayfly}"
: "${MAYFLY_ENGINE:=tcg}"
: "${MAYFLY_TIME_SCALE:=1}"
MAYFLY=$(realpath "$MAYFLY")
export MAYFLY MAYFLY_ENGINE MAYFLY_TIME_SCALE TEST_DIR

T=$(mktemp -d "${TMPDIR:-/tmp}/mayfly-t.XXXXXX") || exit 99
T=$(realpath "$T")
W=$T/w
mkdir "$W"
cd "$W" || exit 99
touch "$T/out" "$T/err" "$T/verdict"
rc=0 ms=0
TAP_N=0 TAP_BAD=0

# Processes that a script started in the background and that must not outlive it.
BACKGROUND=()
at_exit() { :; }
tap_cleanup() {
	local pid
	trap - EXIT INT TERM HUP
	for pid in "${BACKGROUND[@]}"; do kill "$pid" 2>/dev/null; done
	at_exit
	cd /
	chmod -R u+rwX "$T" 2>/dev/null
	rm -rf "$T"
}
trap tap_cleanup EXIT
trap 'tap_cleanup; exit 130' INT
trap 'tap_cleanup; exit 143' TERM HUP

diag() { printf '%s\n' "$*" | sed 's/^/# /'; }

tap_context() {
	diag "status $rc after $ms ms, verdict: $(head -c 600 "$T/verdict")"
	diag "stderr: $(tail -c 600 "$T/err" | tr -c '[:print:]\n' '?')"
	diag "stdout: $(tail -c 600 "$T/out" | tr -c '[:print:]\n' '?')"
}

pass() { TAP_N=$((TAP_N + 1)); echo "ok $TAP_N - $*"; }
fail() {
	TAP_N=$((TAP_N + 1)) TAP_BAD=$((TAP_BAD + 1))
	echo "not ok $TAP_N - $*"
	tap_context
}
# skip REASON DESCRIPTION
skip() { TAP_N=$((TAP_N + 1)); echo "ok $TAP_N - $2 # skip $1"; }
# is GOT WANT DESCRIPTION
is() {
	if [ "$1" = "$2" ]; then pass "$3"; else
		fail "$3"
		diag "got:  ${1:0:500}"
		diag "want: ${2:0:500}"
	fi
}
isnt() {
	if [ "$1" != "$2" ]; then pass "$3"; else fail "$3"; diag "got: ${1:0:500}"; fi
}
# like GOT EXTENDED-REGEX DESCRIPTION
like() {
	if [[ $1 =~ $2 ]]; then pass "$3"; else
		fail "$3"
		diag "got:     ${1:0:500}"
		diag "pattern: $2"
	fi
}
unlike() {
	if [[ ! $1 =~ $2 ]]; then pass "$3"; else
		fail "$3"
		diag "got:         ${1:0:500}"
		diag "not pattern: $2"
	fi
}
# below NUMBER LIMIT DESCRIPTION
below() {
	if [ "$1" -lt "$2" ]; then pass "$3"; else fail "$3"; diag "$1 is not below $2"; fi
}
# soon MS LIMIT DESCRIPTION: below, with a limit that grows on slow hosts
soon() { below "$1" "$(scaled "$2")" "$3"; }
# yes DESCRIPTION COMMAND...
yes_if() {
	local what=$1
	shift
	if "$@"; then pass "$what"; else fail "$what"; fi
}
done_testing() {
	echo "1..$TAP_N"
	[ "$TAP_BAD" -eq 0 ]
	exit
}
skip_all() { echo "1..0 # skip $1"; exit 0; }
# For scripts in which it makes no difference who the user is.
not_again() { [ -z "${MAYFLY_REPEATED:-}" ] || skip_all "the same for every user: root's run has seen to it"; }

# scaled TIME: what stands for that time on this host; fewer AMOUNT: likewise, of data
scaled() { echo $(($1 * MAYFLY_TIME_SCALE)); }
fewer() { echo $(($1 / MAYFLY_TIME_SCALE)); }

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }

# wait_until SECONDS COMMAND...: polls until the command succeeds
wait_until() {
	local end=$(($(now_ms) + $1 * 1000 * MAYFLY_TIME_SCALE))
	shift
	until "$@"; do
		[ "$(now_ms)" -lt "$end" ] || return 1
		sleep 0.05
	done
}
gone() { ! kill -0 "$1" 2>/dev/null; }

# vm OPTION... -- COMMAND...: one run; sets rc and ms, fills $T/out, $T/err, $T/verdict.
# VM_IN names its standard input, VM_LIMIT the seconds after which it counts as hung.
vm() {
	local t0
	t0=$(now_ms)
	timeout -k 5 "$(scaled "${VM_LIMIT:-60}")" "$MAYFLY" run --engine "$MAYFLY_ENGINE" --status-fd 9 "$@" \
		<"${VM_IN:-/dev/null}" >"$T/out" 2>"$T/err" 9>"$T/verdict"
	rc=$?
	ms=$(($(now_ms) - t0))
}
out() { head -c 100000 "$T/out" | tr -d '\0'; }
err() { head -c 100000 "$T/err" | tr -d '\0'; }
# The value of a key in the verdict; the keys asked for have unique names.
verdict() { sed -nE 's/.*"'"$1"'":("([^"]*)"|([0-9.]+)).*/\2\3/p' "$T/verdict"; }
# A guest script prints KEY=VALUE lines; this gives the value.
val() { sed -n "s/^$1=//p" "$T/out" | head -n 1; }
# guest_is KEY WANT DESCRIPTION
guest_is() { is "$(val "$1")" "$2" "$3"; }

compile_guest_programs() {
	local dir=$1 src name
	mkdir -p "$dir"
	for src in "$TEST_DIR"/guest/*.c; do
		name=$(basename "$src" .c)
		gcc -std=gnu11 -O1 -Wall -static -o "$dir/$name" "$src" || return 1
	done
	gcc -std=gnu11 -O1 -static -m32 -o "$dir/hello32" "$TEST_DIR/guest/hello.c" 2>/dev/null || :
}
# Puts compiled guest programs into the current directory.
guest_programs() {
	local name
	if [ -z "${TEST_BIN:-}" ]; then
		TEST_BIN=$T/bin
		compile_guest_programs "$TEST_BIN" || exit 99
	fi
	for name; do cp "$TEST_BIN/$name" . || return 1; done
}
is_root() { [ "$(id -u)" -eq 0 ]; }

# watch OPTION... -- MAYFLY-RUN-OPTION... -- COMMAND...: one run under watch.py, which see for the
# options; fills the files that vm fills and sets rc, ms, struck, left, marker_ms.
# shellcheck disable=SC2034 # used by the scripts
watch() {
	local opts=()
	while [ "$1" != -- ]; do opts+=("$1"); shift; done
	shift
	: >"$T/verdict"
	timeout -k 5 "$(scaled 120)" /usr/bin/python3 "$TEST_DIR/lib/watch.py" --out "$T/out" --err "$T/err" \
		--verdict "$T/verdict" --in "${VM_IN:-/dev/null}" --limit "$(scaled "${VM_LIMIT:-40}")" "${opts[@]}" \
		-- "$MAYFLY" run --engine "$MAYFLY_ENGINE" --status-fd 9 "$@" >"$T/watch"
	rc=$(sed -n 's/^rc=//p' "$T/watch") ms=$(sed -n 's/^ms=//p' "$T/watch")
	marker_ms=$(sed -n 's/^marker_ms=//p' "$T/watch")
	struck=$(sed -n 's/^struck=//p' "$T/watch") left=$(sed -n 's/^left=//p' "$T/watch")
}
inventory() { /usr/bin/python3 "$TEST_DIR/lib/watch.py" --inventory; }
compare_inventory() { /usr/bin/python3 "$TEST_DIR/lib/watch.py" --compare "$1"; }
