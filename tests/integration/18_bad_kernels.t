# SPDX-License-Identifier: Apache-2.0
# What can't be booted is refused with one line that names it: kernels, initrds, sizes, /dev/kvm
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
. "$TEST_DIR/lib/boot.sh"
inventory >"$T/before"
kvm=0
[ "$MAYFLY_ENGINE" = kvm ] && kvm=1

# refused PATTERN WHAT OPTION...: 125, "config", one line that fits, soon
refused() {
	local pattern=$1 what=$2
	shift 2
	VM_LIMIT=20 boot "$@"
	is_refused "$pattern" "$what"
}
is_refused() { # PATTERN WHAT
	if [ "$rc/$(verdict reason)" = 125/config ]; then one_line "$1" "$2"; else fail "$2: 125"; fi
}

# --- headers -------------------------------------------------------------------
if [ $kvm = 1 ]; then
	mkdir damaged && cd damaged || exit 99
	/usr/bin/python3 "$TEST_DIR/lib/bad_kernels.py" "$GUEST_DIR/vmlinux" "$GUEST_DIR/bzImage" "$(scaled 10)" \
		"$MAYFLY" boot --engine kvm >"$T/cases" 2>"$T/err"
	is "$?/$(err)" 0/ "damaged headers are made and tried"
	while IFS=$'\t' read -r result what came; do
		if [ "$result" = ok ]; then pass "$what"; else fail "$what"; diag "$came"; fi
	done <"$T/cases"
	cd ..
else
	# Under tcg QEMU reads the kernel: its words come through, how it got on is its own affair.
	head -c 4096 "$GUEST_DIR/vmlinux" >half
	VM_LIMIT=20 boot --kernel half
	ended 125 engine-killed "an ELF file that ends early: 125"
	one_line "qemu.*[Ee]rror" "with QEMU's words in one line"
fi

# --- files -----------------------------------------------------------------------
: >empty
mkdir directory
mkfifo fifo
head -c 100000 /dev/zero | gzip >kernel.gz
printf '#!/bin/sh\n' >script
printf '\177EL' >short
head -c 100000 /dev/zero >zeros
refused "kernel 'missing'.*No such file" "a kernel that is not there" --kernel missing
refused "kernel 'script' is neither an ELF vmlinux nor a bzImage" "a script as kernel" --kernel script
refused "initrd 'directory'" "a directory as initrd" --initrd directory
# These are the same code whatever the engine, and the rig is slow.
if [ $kvm = 0 ]; then
	for f in empty directory fifo; do refused "kernel '$f'" "as kernel: $f" --kernel $f; done
	for f in kernel.gz short zeros; do refused "kernel '$f' is neither an ELF vmlinux nor a bzImage" "as kernel: $f" --kernel $f; done
	for f in missing empty fifo; do refused "initrd '$f'" "as initrd: $f" --initrd $f; done
fi
truncate -s 200M big
if [ $kvm = 1 ]; then
	refused "initrd 'big' has 204800 KiB, there is room for [0-9]+ KiB" "an initrd larger than the memory" --initrd big --memory 128M
	(ulimit -v 400000 && refused "memory" "memory that the host does not give" --memory 1G; echo "$TAP_N $TAP_BAD" >"$T/tap")
	read -r TAP_N TAP_BAD <"$T/tap"
fi
if is_root; then
	skip "root may read everything" "a kernel without permission"
else
	echo x >secret && chmod 0 secret
	refused "kernel 'secret'.*Permission denied" "a kernel without permission" --kernel secret
fi

# --- sizes -------------------------------------------------------------------------
cpus=(33) memories=(63M 65G)
[ $kvm = 1 ] || cpus+=(0 -1 4294967297 two) memories+=(0 64.5M 67108865 18446744073709551615 99999999999999999999G)
for n in "${cpus[@]}"; do refused "cpus.*$n" "--cpus $n" --cpus="$n"; done
for m in "${memories[@]}"; do refused "memory.*$m" "--memory $m" --memory "$m"; done

# --- /dev/kvm ------------------------------------------------------------------------
# with_dev SHELL-COMMANDS SUBCOMMAND OPTION...: an ordinary user's mayfly with a /dev of its own,
# which the commands furnish
with_dev() {
	local furnish=$1 command=$2
	shift 2
	timeout -k 5 "$(scaled 30)" unshare -m --propagation private sh -euc "
		mount -t tmpfs -o mode=755 none dev
		for f in null zero random urandom; do touch dev/\$f; mount --bind /dev/\$f dev/\$f; done
		$furnish
		mount --move dev /dev
		exec setpriv --reuid 12345 --regid 12345 --clear-groups env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/ XDG_RUNTIME_DIR='$PWD/run' '$PWD/bin/mayfly' \"\$@\"" \
		sh "$command" --status-fd 9 "$@" </dev/null >"$T/out" 2>"$T/err" 9>"$T/verdict"
	rc=$?
}
if ! is_root; then
	skip "only root can make another /dev" "/dev/kvm is missing, forbidden, something else"
elif ! unshare -m sh -c "mkdir node && mount -t tmpfs none node && mknod node/null c 1 3 && : >node/null" 2>"$T/err"; then
	skip "this root can make no device nodes" "/dev/kvm is missing, forbidden, something else"
else
	mkdir dev bin run
	cp "$(dirname "$MAYFLY")"/mayfly* bin/
	cp -r "$GUEST_DIR" bin/
	chmod 711 "$T" "$W"
	chown 12345:12345 run
	group=$(getent group kvm daemon | head -n 1 | cut -d: -f1)
	with_dev "" boot --engine kvm
	is_refused "/dev/kvm .*no KVM.*--engine tcg.*: No such file" "no /dev/kvm"
	with_dev "mknod -m 660 dev/kvm c 10 232; chgrp $group dev/kvm" boot --engine kvm
	is_refused "/dev/kvm .*group '$group'.*--engine tcg.*: Permission denied" "/dev/kvm of a group: the line names it"
	with_dev "mknod -m 600 dev/kvm c 10 232" run --no-cwd --engine kvm -- true
	is_refused "/dev/kvm .*--engine tcg.*: Permission denied" "/dev/kvm of its owner alone"
	unlike "$(err)" "group" "where no group would help"
	with_dev "mknod -m 666 dev/kvm c 1 3" boot --engine kvm
	is_refused "KVM" "a /dev/kvm that is something else"
	with_dev "touch dev/kvm; chmod 666 dev/kvm" boot --engine kvm
	is_refused "KVM" "a /dev/kvm that is a file"
	if [ $kvm = 0 ]; then
		with_dev "mknod -m 600 dev/kvm c 10 232" run --no-cwd --engine auto -- echo ran
		is "$rc/$(out)/$(jq -r .engine "$T/verdict")/$(err)" 0/ran/tcg/ "--engine auto takes tcg then, without a word"
	fi
	is "$(cd run && find . -mindepth 2)" "" "nothing is left of these machines"
fi

new=$(compare_inventory "$T/before" | grep -E '^(state|cgroup|mount) ')
is "$new" "" "all this leaves nothing behind"
done_testing
