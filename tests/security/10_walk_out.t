# SPDX-License-Identifier: Apache-2.0
# Guest root tries to change the host's files and to walk out of what is shared
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
guest_programs walkout
mkdir share share/sub share/sub/deep && echo content >share/file && echo more >share/sub/f
echo secret-outside >"$T/outside"
ln -s ../../outside share/up && ln -s "$T/outside" share/absolute && ln -s / share/slash
ln -s /proc/self/root/etc share/magic && ln -s /proc/1/root share/magic1 && ln -s ../.. share/dots
ln -s loop share/loop
echo victim >target && chmod 4755 target
state() {
	find "$1" -printf '%p %y %m %U:%G %s %T@ %C@ %i %n %l\n' | sort
	find "$1" -type f -exec sha256sum {} + | sort
}
# What is tried through every mount of the shared files there is, below the overlays, too.
cat >raw.sh <<'SH'
tag=$(sed -n 's/.* - virtiofs \([^ ]*\) .*/\1/p' /proc/self/mountinfo | head -n 1)
mkdir -p /tmp/raw
mount -t virtiofs "$tag" /tmp/raw 2>/tmp/e && echo raw=mounted || echo "raw=$(cat /tmp/e)"
grep ' - virtiofs ' /proc/self/mountinfo | cut -d' ' -f5 | while read -r m; do
	mount -o remount,rw "$m" 2>/dev/null; mount -o remount,bind,rw "$m" 2>/dev/null
	find "$m" -maxdepth 3 -type d 2>/dev/null | head -n "$1" | while read -r d; do
		: 2>/dev/null >"$d/mayfly-was-here" && echo "hole=$d written"
		mkdir "$d/mayfly-dir" 2>/dev/null && echo "hole=$d mkdir"
		mknod "$d/mayfly-null" c 1 3 2>/dev/null && echo "hole=$d mknod"
	done
	find "$m" -maxdepth 3 -type f 2>/dev/null | head -n "$1" | while read -r f; do
		chmod 777 "$f" 2>/dev/null && echo "hole=$f chmod"
		touch "$f" 2>/dev/null && echo "hole=$f touch"
		rm -f "$f" 2>/dev/null && echo "hole=$f rm"
		ln "$f" "$f.link" 2>/dev/null && echo "hole=$f link"
	done
done
echo "views=$(ls -A /tmp/raw 2>/dev/null | tr '\n' ' ')"
find /tmp/raw -maxdepth 4 \( -name shadow -o -name sudoers -o -name machine-id -o -name 'ssh_host*' -o -name outside \) 2>/dev/null |
	grep -v '/usr/\|/lib/\|/bin/\|/sbin/' | sed 's/^/found=/'
cat /tmp/raw/*/../../outside /tmp/raw/*/up /tmp/raw/*/absolute /tmp/raw/*/dots/outside 2>/dev/null | sed 's/^/leak=/'
cat /tmp/raw/../outside /tmp/raw/*/slash/etc/shadow /tmp/raw/*/magic/shadow /tmp/raw/*/magic1/etc/shadow 2>/dev/null | sed 's/^/leak=/'
(cd /tmp/raw && cd -P ../../../.. && ls -A etc/shadow root/.ssh) 2>/dev/null | sed 's/^/leak=/'
mkdir -p /tmp/o/u /tmp/o/w /tmp/o/m
mount -t overlay overlay -o lowerdir=/tmp/raw,upperdir=/tmp/o/u,workdir=/tmp/o/w /tmp/o/m 2>/dev/null && echo overlay=mounted
for n in '..' '.' '...' '../../etc' 'a/../..' ; do stat "/tmp/raw/$n/shadow" >/dev/null 2>&1 && echo "leak=$n"; done
mkdir -p /tmp/root && mount --bind / /tmp/root && ls /tmp/root/etc/shadow 2>/dev/null | sed 's/^/leak=/'
mkdir -p /tmp/jail && /usr/bin/python3 - <<'PY'
import os
# The classic way out of a chroot: leads to the guest's root file system at most.
os.chroot("/tmp/jail")
for i in range(64):
    os.chdir("..") if i else None
os.chroot(".")
for p in ("/etc/shadow", "/outside", "/root/.bash_history", "/work"):
    if os.path.exists(p): print("leak=" + p)
print("names=" + " ".join(sorted(os.listdir("/"))))
PY
pivot=$(nsenter -t 1 -m ls / 2>/dev/null | tr '\n' ' '); echo "init=$pivot"
nsenter -t 1 -m ls -A /etc/shadow /outside 2>/dev/null | sed 's/^/leak=/'
echo end=yes
SH
before=$(state "$W")
usr_before=$(stat -c '%Y %Z %h' /usr /usr/bin /etc /etc/passwd /bin/sh)

vm --user 0 --share "$W/share:/share" -- ./walkout /share file
is "$rc" 0 "walkout ran to its end"
guest_is read ok "the control: reading works"
holes=$(grep -v '^read=\|^tag=\|^remount\|^mount_again=\|^setflags=\|^fallocate=' "$T/out" | grep '=ok$')
is "$holes" "" "no way to write, chmod, unlink, mknod, link, rename, map or open by handle in a share"
for key in open_wronly create truncate chmod chown unlink mkdir mknod_fifo mknod_chr symlink link rename setxattr; do
	like "$(val $key)" "^(EROFS|EXDEV)$" "$key in a share is EROFS ($(val $key))"
done
for key in write_after_remount create_after_remount unlink_after_remount chmod_after_remount rename_after_remount mknod_after_remount; do
	isnt "$(val $key)" ok "$key is refused ($(val $key))"
done
is "$(state "$W")" "$before" "nothing changed on the host"
diag "measured: $(grep -E '^(remount|mount_again|tag|open_by_handle|name_to)' "$T/out" | tr '\n' ' ')"

VM_LIMIT=120 vm --user 0 --share "$W/share:/share" -- bash raw.sh "$(fewer 120)"
guest_is end yes "the script came to its end"
is "$(grep '^hole=' "$T/out" | head -n 5)" "" "nothing can be written through the mounts below"
is "$(grep '^leak=\|^found=' "$T/out" | head -n 5)" "" "nothing leads out: .., links, /proc/self/root, chroot, PID 1's mounts"
diag "measured: raw mount: $(val raw), views: $(val views)"
is "$(state "$W")" "$before" "nothing changed on the host"
is "$(stat -c '%Y %Z %h' /usr /usr/bin /etc /etc/passwd /bin/sh)" "$usr_before" "nor in the system's directories"

# The overlay lets guest root do everything, and none of it arrives.
before=$(state "$W")
vm --user 0 -- sh -c 'chmod 777 target && chown 1:1 target && echo x >>target && mv target t2 && rm -rf share && ln t2 t3 &&
	mknod dev c 1 3 && mkdir new && rm -f /bin/sh /usr/bin/env && echo hacked >/usr/bin/ls && echo root::0:0::/:/bin/sh >/etc/passwd &&
	echo done'
is "$(out)" "done" "guest root may do what it likes in the overlay"
is "$(state "$W")" "$before" "and nothing of it arrives on the host"
is "$(stat -c '%Y %Z %h' /usr /usr/bin /etc /etc/passwd /bin/sh)" "$usr_before" "nor in the system's directories"

# A set-uid program of a share gives nobody anything.
cp "$(command -v id)" share/suid-id 2>/dev/null && chmod 4755 share/suid-id
vm --user 4000:4000 --share "$W/share:/share" -- sh -c '/share/suid-id -u; find /share -perm -4000 | wc -l'
is "$(sed -n 1p "$T/out")" 4000 "a set-uid file in a share gives nobody its owner's rights"

done_testing
