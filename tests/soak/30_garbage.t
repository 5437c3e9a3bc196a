# SPDX-License-Identifier: Apache-2.0
# GARBAGE_COUNT (1,000) guests that write garbage, and how much of our code that garbage reaches
# shellcheck shell=bash disable=SC1091,SC2154
. "$(dirname "$0")/../lib/common.sh"
[ "$MAYFLY_ENGINE" = kvm ] || skip_all "only the kvm engine has devices of ours behind registers of ours"
. "$TEST_DIR/guest-kernel/garbage.sh"
: "${GARBAGE_COUNT:=1000}"
garbage_tests 1001 "$GARBAGE_COUNT"

# The same program counters as in every build of this kind: lines of each file that ran.
source=$(realpath "$TEST_DIR/..")
cov=$T/coverage
if [ ! -e "$source/Makefile" ]; then
	skip "the sources are not here" "how much code the garbage reaches"
	done_testing
fi
make -C "$source" -j"$(nproc)" programs BUILD="$cov" STATIC= OPT="-O0 -g --coverage" HARDEN=-fPIE \
	LDFLAGS=--coverage >"$T/make" 2>&1
yes_if "programs that count what they run compile" [ -x "$cov/mayfly-vmm" ]
[ -x "$cov/mayfly-vmm" ] || tail -n 5 "$T/make" | sed 's/^/# /'
ln -sfn "$(dirname "$MAYFLY")/guest" "$cov/guest"
garbage_programs 1 60 "$cov/mayfly"
is "${programs:-none}/${bad:-none}" 60/0 "60 programs with them"
percent() { # FILE: of its lines
	(cd "$source" && gcov -n -o "$cov/obj/${1%.c}.o" "$1" 2>/dev/null) |
		grep -A 1 "^File '$1'" | sed -nE 's/^Lines executed:([0-9]+).*/\1/p' | head -n 1
}
while read -r file floor; do
	got=$(percent "runtime/$file")
	below "$floor" "$((${got:-0} + 1))" "$file: at least $floor % of its lines ran (${got:-0} %)"
done <<-END
	virtio/mmio.c 75
	virtio/queue.c 90
	virtio/chain.c 90
	virtio/vsock.c 75
	virtio/vsock_pkt.c 95
	virtio/vsock_conn.c 65
	virtio/fs.c 70
	virtio/fs_handle.c 60
	virtio/fs_link.c 60
	virtio/fs_local.c 65
	virtio/rng.c 75
	virtio/console.c 45
	device/serial.c 60
	device/i8042.c 80
	device/rtc.c 60
	engine/bus.c 80
	fs/fs_wire.c 90
	fs/fs_ops.c 50
END
done_testing
