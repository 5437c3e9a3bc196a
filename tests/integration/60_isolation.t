# SPDX-License-Identifier: Apache-2.0
# What a guest can't see of its host
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
echo outside >"$T/outside"
mkdir "$W/.hidden" && echo inside >"$W/.hidden/f"
sleep 300 &
marker=$!
BACKGROUND+=("$marker")

cat >"$W/look.sh" <<'SH'
say() { echo "$1=$2"; }
say home "$(ls -A "$HOME" 2>&1 | wc -l)"
say homes "$(find /home -type f 2>/dev/null | wc -l)"
say root "$(ls -A /root 2>/dev/null | wc -l)"
for f in /etc/shadow /etc/shadow- /etc/gshadow /etc/sudoers /etc/ssh /etc/machine-id \
	/etc/ssl/private /etc/krb5.keytab /etc/crontab /etc/fstab /etc/resolv.conf.bak /boot /mnt /media /srv \
	/opt /lost+found /etc/apt /etc/cron.d /etc/default /etc/docker /etc/sudoers.d /etc/pam.d /etc/systemd \
	/var/lib /var/log /var/spool /var/run/docker.sock /run/docker.sock /run/mayfly /sys/firmware/dmi \
	/dev/kvm /dev/vda /dev/sda /dev/nvme0n1 /dev/fuse-host; do
	[ -e "$f" ] && there="$there $f"
done
say there "$there"
say etc "$(ls -A /etc | tr '\n' ' ')"
say tmp "$(ls -A /tmp | grep -v '^mayfly-' | wc -l)"
say beside "$(ls -A "$1" | tr '\n' ' ')"
say run "$(find /run -type f -o -type s | wc -l)"
say vartmp "$(ls -A /var/tmp | wc -l)"
say procs "$(ls -d /proc/[0-9]* | wc -l)"
say users "$(grep -c . /proc/[0-9]*/cmdline 2>/dev/null | grep -vc ':0$')"
say marker "$(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' | grep -c '[s]leep 300')"
say etchost "$(cat /etc/hostname 2>/dev/null)"
say nets "$(ls /sys/class/net | tr '\n' ' ')"
say ifs "$(sed 1,2d /proc/net/dev | wc -l)"
say routes "$(sed 1d /proc/net/route | wc -l)"
say out "$(timeout "$2" /usr/bin/python3 -c '
import socket
s = socket.socket(); s.settimeout(5)
try: s.connect(("192.0.2.1", 80)); print("connected")
except OSError as e: print(e.strerror)' 2>&1)"
say dns "$(timeout "$2" /usr/bin/python3 -c '
import socket
try: print(socket.getaddrinfo("example.org", 80))
except OSError as e: print("no")' 2>&1 | tail -n 1)"
say blocks "$(ls /sys/block 2>/dev/null | grep -v '^loop\|^ram' | tr '\n' ' ')"
say pci "$(ls /sys/bus/pci/devices 2>/dev/null | wc -l)"
say dmi "$(ls /sys/class/dmi 2>/dev/null | wc -l)"
say hostname "$(uname -n)"
say bootid "$(cat /proc/sys/kernel/random/boot_id)"
say uptime "$(cut -d. -f1 /proc/uptime)"
say types "$(awk '{ print $3 }' /proc/mounts | sort -u | tr '\n' ' ')"
say mounts "$(awk '{ print $1 }' /proc/mounts | sort -u | tr '\n' ' ')"
say cmdline "$(cat /proc/cmdline)"
say modules "$(cat /proc/modules 2>/dev/null | wc -l)"
say pid1 "$(cat /proc/1/comm)"
say virtio "$(for d in /sys/bus/virtio/devices/*; do cat $d/device; done | sort | tr '\n' ' ')"
say fw "$(ls /sys/firmware 2>/dev/null | tr '\n' ' ')"
say hidden "$(cat .hidden/f)"
say kcore "$(head -c 4096 /proc/kcore 2>/dev/null | wc -c)"
say self "$(readlink /proc/self/root)"
say end yes
SH
for who in own 0; do
	opt=()
	[ $who = 0 ] && opt=(--user 0)
	[ $who = own ] && is_root && opt=(--user 1000:1000)
	as="as $([ $who = 0 ] && echo root || echo a user)"
	vm "${opt[@]}" -- bash look.sh "$T" "$(scaled 10)"
	guest_is end yes "$as: the script came to its end"
	guest_is home 0 "$as: the home directory is empty"
	guest_is homes 0 "$as: no home directories"
	guest_is root 0 "$as: /root is empty or absent"
	guest_is there "" "$as: no shadow, keys, ids, spool, devices"
	guest_is tmp 0 "$as: /tmp has nothing of the host's"
	guest_is beside "w " "$as: nothing beside the current directory"
	guest_is run 0 "$as: /run has no files"
	guest_is vartmp 0 "$as: /var/tmp is empty"
	guest_is marker 0 "$as: the host's processes are not there"
	below "$(val users)" 7 "$as: only its own processes are ($(val users))"
	guest_is nets "lo " "$as: no interface but lo"
	guest_is ifs 1 "$as: by /proc/net/dev, too"
	guest_is routes 0 "$as: no routes"
	like "$(val out)" "unreachable" "$as: no way out ($(val out))"
	guest_is dns no "$as: no names"
	guest_is blocks "" "$as: no disks"
	guest_is pci 0 "$as: no PCI"
	guest_is dmi 0 "$as: no DMI"
	guest_is hostname mayfly "$as: not the host's name"
	like "$(val etchost)" "^(mayfly)?$" "$as: not in /etc/hostname either"
	isnt "$(val bootid)" "$(cat /proc/sys/kernel/random/boot_id)" "$as: not the host's boot id"
	below "$(val uptime)" "$(scaled 30)" "$as: not the host's uptime"
	unlike "$(val types) $(val mounts)" "ext4|xfs|btrfs|9p|nfs|/dev/[a-z]" "$as: no file system of the host's"
	unlike "$(val cmdline)" "$W|$HOME|$(id -un 2>/dev/null || echo no-name)@" "$as: the kernel's command line tells nothing of the host"
	guest_is modules 0 "$as: no kernel modules"
	guest_is self / "$as: /proc/self/root is /"
	guest_is hidden inside "$as: dot files of the current directory are there"
done
diag "measured: virtio devices: $(val virtio)"
diag "measured: /etc in the guest: $(val etc)"

secrets=$(/usr/bin/python3 -c 'print("no" * 0 + "secret-%d" % 4711)')
export MAYFLY_T_SECRET=$secrets
vm --user 0 -- sh -c 'cat /proc/*/environ 2>/dev/null | tr "\0" "\n" | grep -c secret-4711'
is "$(out)" 0 "no process of the guest has the caller's environment"
is_root && other=65534 || other=$(id -u)
vm --user "$other" -- sh -c 'ls /proc/1/fd 2>&1 | grep -c denied; cat /proc/1/environ 2>&1 | grep -c denied'
is "$(out | tr '\n' ' ')" "1 1 " "an ordinary guest user can't look into PID 1"

# Addresses of a program in two runs of it
stacks() { vm "$@" -- sh -c 'grep stack /proc/self/maps; grep stack /proc/self/maps'; sed 's/-.*//' "$T/out" | sort -u | wc -l; }
is "$(stacks)" "$([ "$MAYFLY_ENGINE" = kvm ] && echo 2 || echo 1)" "programs are at random addresses under kvm only"
is "$(stacks --aslr)" 2 "--aslr: under tcg, too"

# Which of the caller's rights the shared files have is the user's own, not the file system's root.
if ! is_root; then
	echo mine >priv && chmod 600 priv
	vm -- cat priv
	is "$(out)" mine "the user's private file is the user's in the guest"
	vm --user 0 -- sh -c 'ls /etc/ssl/private 2>/dev/null | wc -l; cat /root/x /etc/shadow 2>/dev/null | wc -c'
	is "$(out | tr '\n' ' ')" "0 0 " "guest root reads nothing that the user may not"
	mkdir none && echo x >none/f && chmod 000 none
	vm --user 0 -- cat none/f
	isnt "$rc" 0 "guest root can't read what the user may not"
	chmod 700 none
else
	echo priv >priv && chown 65533:65533 priv && chmod 600 priv
	vm --user 65533 -- cat priv
	like "$(err)" "Permission denied" "what root reaches by a capability alone is not reached in the guest"
	is "$(out)" "" "not even by its owner there"
	vm --user 65532:65532 -- cat priv
	isnt "$rc" 0 "and nobody else's"
fi

done_testing
