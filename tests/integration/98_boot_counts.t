# SPDX-License-Identifier: Apache-2.0
# What the guest's kernel costs, counted: instructions from its first to init's first, and waiting
# shellcheck shell=bash disable=SC1091,SC2154
. "$(dirname "$0")/../lib/common.sh"
[ "$MAYFLY_ENGINE" = tcg ] || skip_all "only QEMU's TCG has a clock that counts instructions"
qemu=$(command -v qemu-system-x86_64) || skip_all "no qemu-system-x86_64"

# QEMU runs through a program of ours that changes its clock: not in a jail, and so not as root.
plain=()
if is_root; then
	plain=(setpriv --reuid 12345 --regid 12345 --clear-groups)
	(cd / && "${plain[@]}" test -x "$MAYFLY") 2>/dev/null ||
		skip_all "needs a user other than root who may run $MAYFLY"
fi

gcc -Os -static -nostdlib -ffreestanding -fno-stack-protector -s -Wl,--build-id=none \
	-o init "$TEST_DIR/boot-count/init.c" && "$TEST_DIR/../init/mkcpio.sh" init init.cpio
is "$?" 0 "an init that says what the time is"
for shift in 0 1; do
	mkdir -p "shift$shift"
	gcc -std=gnu11 -O1 -Wall -DICOUNT_SHIFT="\"$shift\"" -DREAL_QEMU="\"$qemu\"" \
		-o "shift$shift/qemu-system-x86_64" "$TEST_DIR/boot-count/qemu.c" || exit 99
done
chmod 0755 "$T" "$W"
mkdir -m 0777 run

# All default devices are there, with their back ends: fs, vsock and random numbers over
# vhost-user, serial port, RTC, interrupt controllers and timer.
# virtual_time SHIFT: the guest's time at init's first instruction, in ns
virtual_time() {
	timeout -s KILL "$(scaled 60)" "${plain[@]}" env PATH="$W/shift$1:$PATH" XDG_RUNTIME_DIR="$W/run" \
		"$MAYFLY" run --verbose --engine tcg --no-jail --memory 256M --cpus 1 --init "$W/init.cpio" -- true \
		</dev/null >"$T/out" 2>"$T/err"
	sed -nE 's/.*TSC=([0-9]+).*/\1/p' "$T/err" | head -n 1
}

# With 2 ns an instruction the kernel's own work takes twice as long, what it waits for doesn't.
one=$(virtual_time 0)
like "$one/$(err)" '^[0-9]+/' "the guest's init is reached at 1 ns an instruction"
two=$(virtual_time 1)
like "$two/$(err)" '^[0-9]+/' "and at 2 ns"
instructions=$((${two:-0} - ${one:-0}))
waited=$((${one:-0} - instructions))
diag "measured: $instructions instructions, $waited ns of waiting"

# A kernel that was never entered would count as a quick one.
yes_if "at least 10,000,000 instructions from the first entry to init ($instructions)" \
	[ "$instructions" -ge 10000000 ]
yes_if "at most 70,000,000 ($instructions)" [ "$instructions" -le 70000000 ]
yes_if "at most 20 ms of waiting ($waited ns)" [ "$waited" -le 20000000 ]
done_testing
