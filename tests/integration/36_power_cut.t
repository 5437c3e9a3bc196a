# SPDX-License-Identifier: Apache-2.0
# What a guest has flushed to its disk is there after a power cut of the host: the host is the rig,
# its power is cut by killing its QEMU
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
[ "$MAYFLY_ENGINE" = tcg ] || skip_all "a rig is started, so not in one"
is_root || skip_all "once, as root"
rig=$TEST_DIR/rig/run
[ -e "$(dirname "$MAYFLY")/rig/vmlinux" ] || skip_all "no kernel for the rig"
export BUILD
BUILD=$(dirname "$MAYFLY")

cat >write.sh <<'SH'
mkdir -p /run/d && mount /dev/vda /run/d && cd /run/d || exit 1
[ -e disk.img ] || truncate -s 32M disk.img
sync
exec "$1" run --engine kvm --boot-timeout 90s --user 0 --disk disk.img -- python3 -c '
import os
fd = os.open("/dev/vda", os.O_WRONLY)
for i in range(8000):
    os.pwrite(fd, (b"%d " % i).ljust(4096, b"."), i * 4096)
    os.fsync(fd)
    os.write(1, b"%d\n" % i)
'
SH
cat >read.sh <<'SH'
mkdir -p /run/d && mount /dev/vda /run/d && cd /run/d || exit 1
exec python3 -c '
good = 0
with open("disk.img", "rb") as f:
    while f.read(4096) == (b"%d " % good).ljust(4096, b"."):
        good += 1
print("good", good)
'
SH

# cut: the number of blocks that the guest was told are written; "good" is how many there are
cut() { # NAME [OPTION...]
	local name=$1 pid
	shift
	truncate -s 128M "$name.drive"
	mke2fs -q -F -t ext4 "$name.drive"
	: >"$name.out"
	"$rig" --cpus 1 --timeout 150 --drive "$name.drive" --keep "$W" "$@" bash "$W/write.sh" "$MAYFLY" >"$name.out" 2>"$name.err" &
	pid=$!
	BACKGROUND+=("$pid")
	enough() { [ "$(wc -l <"$name.out")" -gt 200 ] || gone "$pid"; }
	wait_until 120 enough
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
	told=$(sed -n '$=' "$name.out")
	[ -n "$(tail -c 1 "$name.out")" ] && told=$((told - 1))
	# Its QEMU ends with it, a moment later: the image is its own until then.
	released() { ! grep -q ":$(stat -c %i "$name.drive") " /proc/locks; }
	wait_until 20 released
	good=$(timeout -k 5 120 "$rig" --cpus 1 --timeout 100 --drive "$name.drive" --keep "$W" bash "$W/read.sh" 2>>"$name.err" | sed -n 's/^good //p')
	diag "measured: $name: told $told, good $good"
}

cut flush
yes_if "the guest wrote before the power was cut" [ "${told:-0}" -gt 200 ]
yes_if "each block that was flushed is there" [ "${good:-0}" -ge "${told:-0}" ]
cut noflush --env MAYFLY_DISK_IO=noflush
yes_if "with flushes that do nothing the guest writes, too" [ "${told:-0}" -gt 200 ]
yes_if "and this test sees what is lost" [ "${good:-999999}" -lt "${told:-0}" ]
[ "$TAP_BAD" -eq 0 ] || diag "$(cat ./*.err | tail -n 20)"
done_testing
