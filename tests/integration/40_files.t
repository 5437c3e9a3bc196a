# SPDX-License-Identifier: Apache-2.0
# Shared files: ownership, many files, links, the overlay, what the host sees of it (nothing)
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
me=$(id -u)

## The current directory: owners, git, make
mkdir proj && cd proj || exit 99
git init -q -b main . && echo one >file && git add file &&
	git -c user.name=t -c user.email=t@example.org commit -q -m first >/dev/null
echo two >untracked
printf 'all: prog\nprog: prog.c\n\tgcc -o prog prog.c\n' >Makefile
echo 'int main(void) { return 0; }' >prog.c
mkdir sub sub/deep && echo deep >sub/deep/f && ln file hardlink && ln -s file symlink
ln -s /etc/hostname abslink && ln -s nowhere dangling
printf x >exact && chmod 640 exact && touch -d '2001-02-03 04:05:06 UTC' exact
head -c 3000000 /dev/urandom >random && truncate -s 5G sparse && mkfifo fifo
long=$(head -c 255 /dev/zero | tr '\0' n); echo long >"$long"; echo sp >"a b"$'\n'"c"
before=$(find . -printf '%p %y %m %s %T@ %i %n\n' | sort; cat file prog.c random | sha256sum)
cat >"$W/guest.sh" <<'SH'
say() { echo "$1=$2"; }
say usr "$(stat -c %u:%g /usr /bin/sh /usr/bin/env | sort -u | tr '\n' ' ')"
say mine "$(stat -c %u file sub . | sort -u | tr '\n' ' ')"
say status "$(git status --porcelain 2>&1 | grep untracked)"
say log "$(git log --format=%s 2>&1)"
say links "$(stat -c %h file)"
say sameino "$(stat -c %i file hardlink | sort -u | wc -l)"
say inodes "$(find /usr/bin /usr/lib . -maxdepth 1 -type f -links 1 -printf '%D:%i\n' | sort | uniq -d | wc -l)"
say du "$(mkdir -p /tmp/d && cp -p file /tmp/d/a && ln /tmp/d/a /tmp/d/b; du -b --apparent-size -c file hardlink | tail -n 1 | cut -f1)"
say tar "$(tar cf - file hardlink symlink 2>&1 | tar tvf - 2>&1 | grep -c 'link to file\|-> file')"
say stat "$(stat -c '%a %s %Y %F' exact)"
say sym "$(readlink symlink) $(cat symlink)"
say dangling "$(cat dangling 2>&1 | grep -c 'No such file')"
say sha "$(sha256sum <random)"
say sparse "$(stat -c %s sparse) $(tail -c 1 sparse | od -An -tu1 | tr -d ' ')"
say long "$(cat n*n) $(ls | wc -l)"
say odd "$(cat a*c)"
say fifo "$(stat -c %F fifo)"
say make "$(make 2>&1 >/dev/null && ./prog && echo built)"
say append "$(echo more >>file && cat file | tr '\n' ' ')"
say rm "$(rm -r sub && ls -d sub 2>&1 | grep -c 'No such')"
say mv "$(mv random r2 && stat -c %s r2)"
say chmod "$(chmod 777 exact && stat -c %a exact)"
say new "$(mkdir -p x/y/z && echo n >x/y/z/n && cat x/y/z/n)"
say commit "$(git -c user.name=t -c user.email=t@example.org commit -qam second 2>&1; git log --format=%s | head -n 1)"
say usrwrite "$(touch /usr/bin/new-file 2>&1 && echo ok)"
say ahead "$(cat "/sys/class/bdi/0:$(stat -c %d /guest.sh)/read_ahead_kb")"
say end yes
SH
VM_LIMIT=100 vm --share "$W/guest.sh:/guest.sh" -- bash /guest.sh
guest_is end yes "the script came to its end"
guest_is ahead 480 "a file that is read to its end comes 480 KiB a request"
guest_is usr "0:0 " "/usr belongs to root"
guest_is mine "$me " "the user's files belong to the user"
guest_is status "?? untracked" "git status works in the current directory"
guest_is log first "git log, too"
guest_is links 2 "a hard-linked file has its link count"
guest_is sameino 1 "and one inode number"
guest_is inodes 0 "different files have different inode numbers"
guest_is du 4 "du counts a hard-linked file once"
guest_is tar 2 "tar knows hard links and symbolic links"
guest_is stat "640 1 981173106 regular file" "mode, size and time are the host's"
guest_is sym "file one" "a symbolic link"
guest_is dangling 1 "a dangling one"
guest_is sha "$(sha256sum <random)" "3 MB of random bytes"
guest_is sparse "5368709120 0" "a sparse file of 5 GiB"
guest_is long "long $(find . -mindepth 1 -maxdepth 1 -not -name '.*' -printf x | wc -c | awk '{print $1 + 1}')" \
	"a name of 255 bytes, and all names are listed"
guest_is odd sp "a name with a space and a newline"
guest_is fifo fifo "a FIFO is shown and nobody waits for it"
guest_is make built "make works in the current directory"
guest_is append "one more " "appending"
guest_is rm 1 "removing a tree"
guest_is mv 3000000 "renaming a big file"
guest_is chmod 777 "chmod"
guest_is new n "new directories"
guest_is commit second "git commit"
if is_root; then
	skip "root may write in the overlay" "an ordinary user can't write in /usr"
else
	like "$(val usrwrite)" "Permission denied" "an ordinary user can't write in /usr"
fi
after=$(find . -printf '%p %y %m %s %T@ %i %n\n' | sort; cat file prog.c random | sha256sum)
is "$after" "$before" "nothing of it changed on the host"
cd "$W" || exit 99

## Very many files with few descriptors: 100,000
mkdir many
dirs=$(fewer "$(fewer 100)")
python3 - "$dirs" <<'PY'
import os, sys
for d in range(int(sys.argv[1])):
    os.mkdir("many/d%02d" % d)
    for f in range(999):
        os.close(os.open("many/d%02d/f%03d" % (d, f), os.O_CREAT | os.O_WRONLY))
PY
n=$(find many | wc -l)
t0=$(now_ms)
(
	ulimit -n 1024
	VM_LIMIT=150 vm --share "$W/many:/many" -- sh -c 'find /many -printf "%i %y %s\n" >/tmp/l
		cut -d" " -f1 /tmp/l | sort -u | wc -l; grep -c "f 0$" /tmp/l; cat /many/d01/f500 && echo read'
	echo "$rc" >"$T/rc"
)
rc=$(cat "$T/rc")
is "$(sed -n 1p "$T/out")" "$n" "find over $n files with an fd limit of 1024 sees each inode"
is "$(sed -n 2p "$T/out")" $((dirs * 999)) "and each is an empty file"
is "$(sed -n 3p "$T/out")" read "and one can be read after that"
diag "measured: find over $n files in $(($(now_ms) - t0)) ms"
rm -rf many

## Shares
mkdir share share/sub && echo old >share/file && echo secret >outside && ln -s ../outside share/rel
ln -s "$W/outside" share/abs && ln -s / share/root && chmod 755 share
echo single >single
mkdir -m 700 locked && echo l >locked/f
chmod 000 locked
locked_want="l"
is_root || locked_want=""
vm --share "$W/share" --share "$W/share:/srv/s" --share "$W/single:/opt/one" --no-cwd -- sh -c '
	echo "same=$(cat '"$W"'/share/file)"; echo "other=$(cat /srv/s/file)"; echo "one=$(cat /opt/one)"
	echo "nocwd=$(ls -A '"$W"' | tr "\n" " ")"
	echo x 2>/dev/null >/srv/s/file || echo refused=yes
	cat /srv/s/rel 2>&1 | grep -q secret || echo rel=kept
	cat /srv/s/abs 2>&1 | grep -q secret || echo abs=kept
	touch /srv/s/new 2>&1 | grep -q "Read-only" && echo erofs=yes
	touch /opt/one 2>&1 | grep -q "Read-only" && echo erofs1=yes'
guest_is same old "--share at the same path"
guest_is other old "--share HOST:GUEST"
guest_is one single "--share of a single file"
guest_is nocwd "share " "--no-cwd shows only what was shared"
guest_is erofs yes "writing in a share is EROFS"
guest_is erofs1 yes "writing to a shared file is EROFS"
guest_is rel kept "a relative link does not lead out of a share"
guest_is abs kept "an absolute one does not either"

mkdir live && echo v1 >live/f
timeout -k 5 "$(scaled 40)" "$MAYFLY" run --engine "$MAYFLY_ENGINE" --share "$W/live:/live" -- sh -c '
	cat /live/f; i=0
	while [ $i -lt 100 ]; do
		if [ "$(cat /live/f)" = v2 ] && [ -e /live/new ] && [ ! -e /live/gone ]; then echo seen; exit; fi
		i=$((i + 1)); sleep 0.1
	done' >"$T/out" 2>"$T/err" </dev/null &
pid=$!
touch live/gone
if wait_until 20 grep -q v1 "$T/out"; then
	t0=$(now_ms)
	echo v2 >live/f && touch live/new && rm live/gone
	if wait_until 15 grep -q seen "$T/out"; then
		took=$(($(now_ms) - t0))
		soon "$took" 2500 "a change on the host is seen within a second or so ($took ms)"
	else
		fail "a change on the host is seen"
	fi
else
	fail "a change on the host is seen (no first line)"
fi
wait "$pid"

if is_root; then
	mknod share/null c 1 3 2>/dev/null
	[ -c share/null ] && vm --share "$W/share:/s" -- sh -c 'cat </s/null >/tmp/o 2>&1 || echo refused; stat -c %F /s/null' &&
		{ like "$(out)" "refused" "a device node in a share is not the host's device"; } ||
		skip "no device nodes can be made here" "a device node in a share is not the host's device"
else
	vm -- sh -c 'ls locked 2>&1 | grep -c denied'
	is "$(out)" 1 "a directory the user may not read is not readable"
fi
chmod 700 locked

## --rootfs
guest_programs hello
mkdir -p root/bin root/data && cp hello root/bin/hello && echo d >root/data/d
vm --rootfs "$W/root" -- /bin/hello arg
is "$(out)/$rc" "hello 64 1 arg/7" "--rootfs with nothing but one static program"
vm --rootfs "$W/root" -- /bin/sh
is "$rc" 127 "it has no shell, then"
mkdir -p root/dir
python3 - "$W/root" <<'PY'
import os, shutil, subprocess, sys
# bash with what it needs, to see what the guest makes of such a root
root = sys.argv[1]
need = ["/bin/bash"]
for line in subprocess.run(["ldd", "/bin/bash"], capture_output=True, text=True).stdout.splitlines():
    need += [w for w in line.split() if w.startswith("/")]
for path in need:
    os.makedirs(root + os.path.dirname(path), exist_ok=True)
    shutil.copy(path, root + path)
PY
before=$(find root -printf '%p %s %m\n' | sort)
vm --user 0 --rootfs "$W/root" -- /bin/bash -c 'echo new >/new && echo >>/data/d && echo x >/tmp/t && echo $(</new) ok; [ -e /usr/bin/env ] || echo bare; echo /proc/self/*at | head -c 0; [ -e /proc/self/stat ] && echo proc; [ -c /dev/null ] && echo dev; pwd'
is "$(out | tr '\n' ' ')" "new ok bare proc dev / " "it is writable everywhere, with /proc and /dev, and starts at /"
is "$(find root -printf '%p %s %m\n' | sort)" "$before" "and nothing of it reaches the directory"
vm --rootfs "$W/root" --share "$W/share:/mnt/point" -- /bin/bash -c 'echo $(</mnt/point/file)'
is "$(out)" old "a share has its place in it, too"
vm --rootfs "$W/single" -- /bin/hello
is "$rc" 125 "--rootfs with a file is 125"
vm --rootfs "$W/not-there" -- /bin/hello
is "$rc" 125 "--rootfs with nothing is 125"
like "$(err)" "not-there" "the message names it"

done_testing
