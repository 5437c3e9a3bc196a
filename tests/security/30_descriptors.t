# SPDX-License-Identifier: Apache-2.0
# Who holds what: the VMM no directory, fs no guest memory and no KVM, nobody another's sockets
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016,SC2013
. "$(dirname "$0")/../lib/common.sh"

mkdir data
echo hello >data/file
"$MAYFLY" run --engine "$MAYFLY_ENGINE" --share "$PWD/data:/data" --timeout "$(scaled 60)s" -- \
	sh -c 'exec 3</data/file; ls -R /data /etc >/dev/null; echo ready; exec sleep 600' \
	>"$T/out" 2>"$T/err" </dev/null &
pid=$!
BACKGROUND+=("$pid")
process() { # NAME
	local p q
	for p in $(cat "/proc/$pid/task/$pid/children"); do
		for q in $(cat "/proc/$p/task/$p/children"); do
			tr '\0' '\n' <"/proc/$q/cmdline" | head -n 1 | grep -q "$1" && echo "$q"
		done
	done
}
kinds() { # PID: what its descriptors are, a line each
	local f
	for f in /proc/"$1"/fd/*; do
		if [ -d "$f" ]; then echo "directory $(readlink "$f")"; else readlink "$f"; fi
	done
}
if wait_until 40 grep -q ready "$T/out"; then
	vmm=$(process mayfly-vmm) fs=$(process mayfly-fs)
	kinds "$vmm" >"$T/vmm"
	kinds "$fs" >"$T/fs"
	is "$(grep -c '^directory' "$T/vmm")" 0 "the VMM holds no directory"
	is "$(grep -c 'data/file$' "$T/vmm")" 1 "it holds the file that the guest has open"
	is "$(sed -n 's/^flags:[\t ]*//p' "/proc/$vmm/fdinfo/$(for f in /proc/"$vmm"/fd/*; do
		[[ $(readlink "$f") == */data/file ]] && basename "$f"
	done)" | grep -cE '[04]$')" 1 "for reading only"
	isnt "$(grep -c '^directory' "$T/fs")" 0 "fs holds the shared directories"
	is "$(grep -cE 'memfd:|/dev/kvm|kvm-v|eventfd' "$T/fs")" 0 "fs holds no guest memory, no KVM"
	is "$(grep -cE 'memfd:mem|kvm|vmlinux' "/proc/$fs/maps")" 0 "and maps none"
	if [ "$MAYFLY_ENGINE" = kvm ]; then
		is "$(process qemu)" "" "there is no QEMU"
	else
		kinds "$(process qemu)" >"$T/qemu"
		is "$(grep -cE '^directory|data/file' "$T/qemu")" 0 "QEMU holds no directory and no shared file"
	fi
	is "$(readlink "/proc/$vmm/fd/0")" /dev/null "the VMM reads from nowhere"
else
	fail "the command starts"
fi
kill "$pid"
wait_until 20 gone "$pid" && pass "it ends when asked to" || fail "it ends when asked to"

done_testing
