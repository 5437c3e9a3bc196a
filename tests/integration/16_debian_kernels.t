# SPDX-License-Identifier: Apache-2.0
# Kernels that Debian built, with everything in them, boot to our init and reset
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
. "$TEST_DIR/lib/boot.sh"
# Where tests/lib/debian_kernels.sh puts them; nothing is downloaded here.
: "${MAYFLY_DEBIAN_KERNELS:=${XDG_CACHE_HOME:-${HOME:-}/.cache}/mayfly/debian-kernels}"
for f in 6.1/vmlinuz 6.1/vmlinux 6.12/vmlinuz 6.12/vmlinux; do
	[ -r "$MAYFLY_DEBIAN_KERNELS/$f" ] ||
		skip_all "$MAYFLY_DEBIAN_KERNELS/$f is not there (tests/lib/debian_kernels.sh downloads it)"
done
report_image report.cpio || exit 99

# boots VERSION FILE LOADER OPTION...: to the report of what was asked for
boots() {
	local version=$1 file=$2 loader=$3 what
	shift 3
	what="Debian's $version $file${*:+ $*}"
	VM_LIMIT=100 boot --kernel "$MAYFLY_DEBIAN_KERNELS/$version/$file" --initrd report.cpio --append quiet "$@"
	ended 0 guest-reset "$what boots to its init and resets"
	like "$(report kernel)/$(report cpus)/$(report loader)" \
		"^${version//./\\.}\.[^/]*-cloud-amd64/1/$loader$" "$what is itself, on one CPU"
	diag "measured: $what: $(report kernel), $ms ms,$(report memory | tr -s ' ') of memory"
}
# What the kernel says its boot loader is: its own PVH code, or an unknown one.
PVH=176 UNKNOWN=255
if [ "$MAYFLY_ENGINE" = kvm ]; then
	boots 6.1 vmlinux $PVH --protocol pvh
	boots 6.12 vmlinux $UNKNOWN --protocol linux
	is "$(err)" "" "nothing is said of one CPU of one"
	boots 6.1 vmlinuz $UNKNOWN --cpus 2
	one_line "note: the guest used 1 of 2 CPUs" "a kernel without ACPI tables finds one CPU, and a note says so"
	boots 6.12 vmlinuz $UNKNOWN
else
	# QEMU makes the start of a bzImage, and says who it is in its own way.
	boots 6.1 vmlinuz '[0-9]+'
	boots 6.12 vmlinuz '[0-9]+'
	boots 6.12 vmlinux $PVH
fi
done_testing
