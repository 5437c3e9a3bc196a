# SPDX-License-Identifier: Apache-2.0
# A VMM that was taken over asks mayfly-fs, which is in its jail, for what lies outside of the share
# shellcheck shell=bash disable=SC1091,SC2154
. "$(dirname "$0")/../lib/common.sh"
command -v gcc >/dev/null || skip_all "no compiler"
here=$(dirname "$MAYFLY")
mkdir "$T/bin" && chmod 755 "$T" "$T/bin"
gcc -std=gnu11 -D_GNU_SOURCE -O1 -static-pie -o "$T/bin/mayfly-vmm" "$TEST_DIR/probe/fs_hostile.c" 2>"$T/err" ||
	skip_all "tests/probe/fs_hostile.c does not compile here: $(head -n 1 "$T/err")"
for p in mayfly mayfly-jailer mayfly-fs; do cp "$here/$p" "$T/bin/$p"; done
ln -s "$here/guest" "$T/bin/guest"

mkdir share share/sub share/swap share/mover outside
echo INSIDE | tee share/mayfly-mark share/file share/sub/deep share/swap/inner share/swapfile share/mover/kept >/dev/null
head -c 999 < <(yes OUTSIDE) >outside/inner
echo OUTSIDE | tee outside/only-outside outside/deep >/dev/null
ln -s ../outside/inner share/link && ln -s .. share/up && ln -s "$PWD/outside" share/abs && mkfifo share/fifo
ln -s ../outside share/swap.other && ln -s ../outside/inner share/swapfile.other
cat >"$T/swap.py" <<'PY'
import ctypes, os, sys
libc = ctypes.CDLL(None)
pairs = [(b"swap", b"swap.other"), (b"swapfile", b"swapfile.other")]
out = not os.path.isdir("mover")
parent = os.getppid()
while os.getppid() == parent:
    for a, b in pairs:
        libc.renameat2(-100, a, -100, b, 2)  # RENAME_EXCHANGE
    os.rename("../outside/mover" if out else "mover", "mover" if out else "../outside/mover")
    out = not out
PY
state() {
	find share outside -printf '%P %y %m %U:%G %s %l\n' | grep -v '^swap\|^mover\|^ d\|^inner\|^kept' | sort
	find share outside -type f -exec sha256sum {} + | cut -d' ' -f1 | sort
}
state >"$T/state"
# said NAME MODE: what came of one of the attempts
said() { sed -n "s/.*fsx: $1: //p" "$T/err" | head -n 1; }
run() { # MODE [OPTIONS OF THE SHARE]
	(cd share && exec python3 "$T/swap.py") &
	swapper=$!
	BACKGROUND+=("$swapper")
	timeout -k 5 "$(scaled 100)" "$T/bin/mayfly" run --engine "$MAYFLY_ENGINE" --jail "$1" -v --status-fd 9 --no-cwd --boot-timeout "$(scaled 80)s" \
		--share "$PWD/share:/data${2:-}" -- true </dev/null >"$T/out" 2>"$T/err" 9>"$T/verdict"
	kill "$swapper" && wait "$swapper" 2>/dev/null
	diag "met: $(said met)"
	is "$(said server)" "" "$1: fs answers everything and lives"
	is "$(said names)" ok "$1: no name leads out: .., slashes, NULs, ends, lengths"
	is "$(said flags)" ok "$1: what it opens is open for reading, or as the share allows, whatever was asked"
	is "$(said nodes)" ok "$1: forged node ids lead nowhere"
	is "$(said offsets)" ok "$1: huge offsets and sizes"
	[ "${3:-}" = rw ] || is "$(said changes)" ok "$1: no operation that changes anything is done"
	is "$(said race)" ok "$1: names swapped with links to the outside while it looks them up"
	is "$(said noise)" ok "$1: 20,000 random requests"
	is "$(said end)" ok "$1: to the end"
	unlike "$(verdict reason)" '^(seccomp|fs-killed)$' "$1: fs made no forbidden call and did not crash"
	[ "${3:-}" = rw ] && return
	state >"$T/state.after"
	is "$(diff "$T/state" "$T/state.after")" "" "$1: nothing on the host has changed"
}
# fs knows nothing of engines: where everything is slow one jail and one kind of share will do.
modes=(full reduced) kinds=(:rw ":rw,size=4M")
[ "$MAYFLY_TIME_SCALE" -eq 1 ] || modes=(full) kinds=(":rw,size=4M")
# With less jail there are fewer differences between users.
[ -z "${MAYFLY_REPEATED:-}" ] || modes=(full)
for mode in "${modes[@]}"; do run "$mode"; done

# The same with a share that may be written, with a quota and without: nothing leads out to be changed.
# Wherever the last move left it.
[ -d share/mover ] || mv outside/mover share/mover
cp -a share share.first
chmod 644 share/file share/sub/deep
outside_state() { find outside -printf '%P %y %m %U:%G %s %l\n' | grep -v '^mover' | sort; find outside -name mover -prune -o -type f -exec sha256sum {} + | sort; }
outside_state | grep -v '^ d' >"$T/outside"
for words in "${kinds[@]}"; do
	for mode in "${modes[@]}"; do
		what="$mode, $words"
		rm -rf share outside/mover && cp -a share.first share && touch share/writable-mark
		chmod 777 outside
		run "$mode" "$words" rw
		diag "changed: $(said changed)"
		is "$(said write-names)" ok "$what: no name leads out to be changed, no device is made"
		is "$(said write-nodes)" ok "$what: forged nodes change nothing"
		is "$(said write-race)" ok "$what: names swapped with links to the outside while it changes them"
		is "$(outside_state | grep -v '^ d' | diff "$T/outside" -)" "" "$what: nothing outside has changed"
		is "$(find "$T/w" /tmp/planted* -name 'planted*' -not -path "$T/w/share/*" -not -path '*/mover/*' 2>/dev/null)" "" "$what: nothing was made outside"
		is "$(find share \( -type b -o -type c -o -perm /6000 -type f \) -print)" "" "$what: no device, no set-ID file"
	done
done
done_testing
