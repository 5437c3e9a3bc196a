# SPDX-License-Identifier: Apache-2.0
# Writable shares: errors as the host's own, real programs, changes on the host, quota, full disk
# shellcheck shell=bash disable=SC1091,SC2154,SC2016
. "$(dirname "$0")/../lib/common.sh"
me=$(id -u)
python=/usr/bin/python3
[ -x "$python" ] || skip_all "no $python"
# The fs process has no capabilities, so what it is compared with has none either.
nocaps=()
if is_root; then
	nocaps=(setpriv --bounding-set=-all --inh-caps=-all --securebits "+noroot")
	command -v setpriv >/dev/null || skip_all "no setpriv"
fi

## The table of calls: the same program, the same sequence, in the share and beside it
mkdir here there
cp "$TEST_DIR/lib/fs_errno.py" table.py
# Of 1,517 cells each 6th where all is slow, each 4th when it is not the first time.
step=1
[ -z "${MAYFLY_REPEATED:-}" ] || step=4
[ "$MAYFLY_TIME_SCALE" = 1 ] || step=6
"${nocaps[@]}" "$python" table.py here "$step" >"$T/host" 2>"$T/host.err" || fail "the table on the host"
VM_LIMIT=120 vm --no-cwd --share "$W/there:/there:rw" --share "$W:/src" -- \
	"${nocaps[@]}" "$python" /src/table.py /there "$step"
is "$rc" 0 "the table of calls in the guest"
cp "$T/out" "$T/guest"
cells=$(wc -l <"$T/host")
yes_if "at least 200 cells ($cells)" [ "$cells" -ge 200 ]
# What differs, and why. A line each: a pattern of cells, the reason.
cat >"$T/known" <<'END'
END
diff "$T/host" "$T/guest" | sed -n 's/^[<>] //p' | grep -vE -f <(cut -f1 "$T/known" | grep . || echo '^$') >"$T/differ"
is "$(sort "$T/differ" | head -c 2000)" "" "each of $cells cells gives in the share what it gives on the host"
is "$(ls -A there)" "" "and leaves nothing behind"

## Owners, modes, set-ID bits, devices
mkdir -m 777 own
vm --no-cwd -u 0 --share "$W/own:/s:rw" -- sh -c '
	cd /s && umask 027 && echo x >file && mkdir dir && echo y >suid && chmod 6755 suid && ls -ld suid | cut -c1-10
	umask 0 && '"$python"' -c "
import os
os.close(os.open(\"created\", os.O_CREAT | os.O_WRONLY, 0o6777))
os.mknod(\"made\", 0o106755)"
	stat -c %a suid created made | tr "\n" " "; echo
	mknod null c 1 3; echo "mknod $?"; mknod blk b 7 0; echo "mknod $?"
	chown 4711 file; echo "chown $?"; chmod 2775 dir; stat -c %a dir' 2>"$T/err"
is "$rc" 0 "files of the guest's root"
is "$(stat -c %u own/* | sort -u | tr '\n' ' ')" "$me " "belong to who runs mayfly"
is "$(stat -c '%n %a' own/file own/dir | tr '\n' ' ')" "own/file 640 own/dir 2775 " "the guest's mask counts"
is "$(find own -type f -perm /6000)" "" "no set-ID bit on any file"
is "$(find own -type c -o -type b)" "" "no device"
is "$(grep -c 'mknod 1' "$T/out")" 2 "mknod of devices is refused"
like "$(out)" "chown 1" "files are not given away"
chmod u+s own/file
vm --no-cwd --share "$W/own:/s:rw" -- sh -c 'echo more >>/s/file'
is "$(find own -perm /6000 -type f)" "" "writing takes a set-ID bit of the host's away"

## Real programs
mkdir work
cat >work/git.sh <<'SH'
set -e
cd /w
export HOME=/tmp
git init -q -b main src && cd src
for i in $(seq "$1"); do mkdir -p "d$i/e"; seq $((i * 50)) >"d$i/e/x"; done
git add -A && git -c user.name=t -c user.email=t@example.org commit -q -m first
cd .. && git clone -q src dst && cd dst && git fsck --full 2>/dev/null
git status --porcelain && git mv d1 moved && git -c user.name=t -c user.email=t@example.org commit -q -m second
git log --oneline | wc -l
SH
cat >work/sq.py <<'PY'
import os, sqlite3, sys
db, rows = "/w/t.db", int(sys.argv[1])
c = sqlite3.connect(db, timeout=60)
c.execute("create table t(w, i)")
c.commit()
c.close()
pids = []
for w in range(4):
    pid = os.fork()
    if pid == 0:
        c = sqlite3.connect(db, timeout=200)
        for i in range(rows):
            with c:
                c.execute("insert into t values(?, ?)", (w, i))
        os._exit(0)
    pids.append(pid)
print([os.waitpid(p, 0)[1] for p in pids])
c = sqlite3.connect(db)
print(c.execute("select count(*) from t").fetchone()[0] - 4 * rows, c.execute("pragma integrity_check").fetchall())
PY
cat >work/cc.sh <<'SH'
cd /w && mkdir cc && cd cc
printf '#include <stdio.h>\nint f(void);\nint main(void) { printf("%%d\\n", f()); return 0; }\n' >m.c
echo 'int f(void) { return 42; }' >f.c
printf 'prog: m.o l.a\n\tgcc m.o l.a -o prog\nl.a: f.o\n\tar rc l.a f.o\n' >Makefile
make -s && ./prog
SH
if command -v git >/dev/null; then
	VM_LIMIT=120 vm --no-cwd --share "$W/work:/w:rw" -- sh /w/git.sh "$(($(fewer 40) + 1))"
	is "$rc $(out)" "0 2" "git: commit, clone, fsck, move"
	is "$(git -c safe.directory='*' -C work/dst fsck --full 2>/dev/null) $(git -c safe.directory='*' -C work/dst status --porcelain)" " " "and the host's git agrees"
else
	skip "no git" "git in a share"
fi
VM_LIMIT=200 vm --no-cwd --cpus 2 --share "$W/work:/w:rw" -- "$python" /w/sq.py "$(($(fewer 25) + 1))"
is "$rc $(out)" "0 [0, 0, 0, 0]
0 [('ok',)]" "sqlite: four writers, integrity"
is "$("$python" -c "import sqlite3; print(sqlite3.connect('work/t.db').execute('pragma integrity_check').fetchall())")" "[('ok',)]" "and on the host"
if command -v gcc >/dev/null && command -v make >/dev/null; then
	VM_LIMIT=120 vm --no-cwd --share "$W/work:/w:rw" -- sh /w/cc.sh
	is "$rc $(out)" "0 42" "make, a compiler and an archiver"
else
	skip "no compiler" "a compiler in a share"
fi
files=$(($(fewer 50000) / 20 + 50))
mkdir many back
"$python" - "$files" <<'PY'
import os, sys
for i in range(int(sys.argv[1])):
    os.makedirs("many/%d" % (i % 100), exist_ok=True)
    with open("many/%d/%d" % (i % 100, i), "wb") as f:
        f.write(b"%d\n" % i * (i % 300))
PY
(cd many && tar cf ../many.tar .)
VM_LIMIT=250 vm --no-cwd --share "$W/back:/b:rw" --share "$W/many.tar:/many.tar" -- \
	sh -c 'cd /b && mkdir x && tar xf /many.tar -C x && tar cf all.tar -C x . && tar tf all.tar | wc -l && rm -r x/7 && ls x | wc -l'
is "$rc" 0 "tar of $files files there and back ($ms ms)"
mkdir again && tar xf back/all.tar -C again
hashes() { (cd "$1" && find . -type f -exec sha256sum {} + | sort); }
is "$(diff <(hashes many) <(hashes again) | head -n 3)" "" "all are the same"
is "$(find back/x -maxdepth 1 -name 7)" "" "a removed tree is gone on the host"

## Shared memory, appending, both at once
cat >work/map.py <<'PY'
import mmap, os
f = os.open("/w/map", os.O_RDWR | os.O_CREAT, 0o644)
os.ftruncate(f, 8192)
m = mmap.mmap(f, 8192)
m[5000:5003] = b"map"
print(os.pread(f, 3, 5000))
os.pwrite(f, b"pw", 0)
print(m[0:2])
m.flush()
pids = []
for w in range(3):
    pid = os.fork()
    if pid == 0:
        a = os.open("/w/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for i in range(40):
            os.write(a, b"%d %3d line\n" % (w, i))
        os._exit(0)
    pids.append(pid)
[os.waitpid(p, 0) for p in pids]
print(os.stat("/w/log").st_size, len(set(open("/w/log"))))
PY
vm --no-cwd --cpus 2 --share "$W/work:/w:rw" -- "$python" /w/map.py
is "$(out)" "b'map'
b'pw'
1320 120" "shared memory and three that append"
is "$(tail -c +5001 work/map | head -c 3) $(wc -c <work/log)" "map 1320" "and on the host"
rm work/log
vm --no-cwd --share "$W/work:/w:rw,cache=none" -- sh -c 'echo a >>/w/log; echo b >>/w/log; cat /w/log; stat -c %s /w/log'
is "$(out)" "a
b
4" "the same without caching"
echo old >one
vm --no-cwd --share "$W/one:/etc/one.conf:rw" -- sh -c 'cat /etc/one.conf; echo new >/etc/one.conf; rm /etc/one.conf 2>/dev/null; cat /etc/one.conf'
is "$rc $(cat one)" "0 new" "a single file can be shared writable"

## What the host changes meanwhile
for mode in auto none; do
	mkdir "host-$mode"
	echo first >"host-$mode/f"
	mkfifo "$T/in-$mode"
	timeout -k 5 "$(scaled 60)" "$MAYFLY" run --engine "$MAYFLY_ENGINE" --no-cwd --share "$W/host-$mode:/h:rw,cache=$mode" -- sh -c '
		cat /h/f; stat -c %s /h/f; read x; cat /h/f; ls /h | tr "\n" " "; echo
		read x; sleep 1.2; stat -c %s /h/f; echo guest >/h/g; read x' <"$T/in-$mode" >"$T/out-$mode" 2>"$T/err" &
	BACKGROUND+=("$!")
	exec 7>"$T/in-$mode"
	lines() { [ "$(wc -l <"$T/out-$mode")" -ge "$1" ]; }
	wait_until 30 lines 2 || fail "$mode: the guest is there"
	echo "second, longer" >"host-$mode/f" && touch "host-$mode/new"
	echo >&7
	wait_until 20 lines 4 || fail "$mode: the guest goes on"
	is "$(sed -n '3,4p' "$T/out-$mode" | tr '\n' ' ')" "second, longer f new  " "$mode: a change on the host is seen at the next open"
	echo "third, longer still" >"host-$mode/f"
	echo >&7
	wait_until 20 lines 5 || fail "$mode: the guest still goes on"
	is "$(sed -n 5p "$T/out-$mode")" 20 "$mode: and within a second without one"
	wait_until 10 grep -q guest "host-$mode/g" || fail "wait"
	is "$(cat "host-$mode/g")" guest "$mode: what the guest writes is seen at once"
	echo >&7
	exec 7>&-
	wait_until 20 gone "${BACKGROUND[-1]}"
done

## Quota
mkdir quota
echo old >quota/old
vm --no-cwd --share "$W/quota:/q:rw,size=1M" -- sh -c '
	df -B1 --output=size /q | tail -n 1 | tr -d " "
	dd if=/dev/zero of=/q/a bs=64k count=32 2>&1 | grep -o "Disk quota exceeded"; stat -c %s /q/a
	dd if=/dev/zero of=/q/a bs=4k count=1 conv=notrunc 2>/dev/null; echo "overwrite $?"
	mkdir /q/d 2>&1 | grep -o "Disk quota exceeded"; rm /q/a; mkdir /q/d; echo "mkdir $?"
	truncate -s 1G /q/sparse; fallocate -l 2M /q/sparse 2>&1 | grep -o "Disk quota exceeded"
	'"$python"' -c "
import errno, os
f = os.open(\"/q/sparse\", os.O_RDWR)
n = 0
try:
    for i in range(1000):
        os.pwrite(f, b\"x\", i * 65536)
        n += 1
except OSError as e:
    print(errno.errorcode[e.errno], 200 < n <= 256)
os.ftruncate(f, 0)
print(os.pwrite(f, b\"y\" * 500000, 0))
os.unlink(\"/q/sparse\")
g = os.open(\"/q/b\", os.O_RDWR | os.O_CREAT)
print(\"held\", os.pwrite(g, b\"y\" * 800000, 0) < 800000)
os.close(f)
print(\"free\", os.pwrite(g, b\"y\" * 800000, 0))"'
is "$(out)" "1048576
Disk quota exceeded
1048576
overwrite 0
Disk quota exceeded
mkdir 0
Disk quota exceeded
EDQUOT True
500000
held True
free 800000" "quota: writes, holes, fallocate, directories; freed blocks come back, an open file's at its end"
below "$(du -s -B1 --apparent-size quota | cut -f1)" 1100000 "the host holds no more than that"
vm --no-cwd --share "$W/quota:/q:rw,size=64K" -- sh -c 'rm /q/b; dd if=/dev/zero of=/q/c bs=64k count=10 2>/dev/null; stat -c %s /q/c'
is "$(out)" 655360 "what is removed makes room"

## A full disk
if is_root && mkdir full && mount -t tmpfs -o size=1m,mode=777 none full 2>/dev/null; then
	at_exit() { umount -l "$W/full"; }
	vm --no-cwd --share "$W/full:/f:rw" -- sh -c 'dd if=/dev/zero of=/f/a bs=64k count=32 2>&1 | grep -o "No space left.*"; df --output=avail /f | tail -n 1; rm /f/a; echo x >/f/b && cat /f/b'
	is "$(out | tr -d ' ' | tr '\n' ',')" "Nospaceleftondevice,0,x," "a full disk is ENOSPC, and ends"
	rm -f full/*
	mount -o remount,ro full
	vm --no-cwd --share "$W/full:/f:rw" -- true
	like "$rc $(err)" "^125 .*can't write.*Read-only" "a directory that can't be written is refused at the start"
else
	skip "needs a mount" "a full disk"
fi

## Read-only stays read-only, and nothing leads out
mkdir ro rw outside
echo secret >outside/secret && echo keep >ro/keep
ln -s ../outside rw/out && ln -s "$W/outside/secret" rw/abs
vm --no-cwd --share "$W/ro:/ro" --share "$W/rw:/rw:rw" -- sh -c '
	for c in "touch /ro/x" "rm /ro/keep" "mkdir /ro/d" "mv /ro/keep /ro/k" "ln /ro/keep /ro/l" "chmod 600 /ro/keep" "truncate -s 0 /ro/keep"; do
		$c 2>&1 | grep -c "Read-only file system"; done | sort | uniq -c | tr -s " "
	mount -o remount,rw,bind /ro 2>/dev/null; touch /ro/x 2>&1 | grep -o "Read-only file system"
	cat /rw/out/secret /rw/abs 2>/dev/null; echo over >/rw/abs; echo over >/rw/out/secret; ln /rw/abs /rw/hard
	ls -a /rw | tr "\n" " "; echo; mv /rw/out /rw/moved; ln -s /etc/passwd /rw/made; readlink /rw/made; true' -u 0
is "$(sed -n 1p "$T/out")" " 7 1" "seven ways of changing a read-only share beside a writable one: EROFS"
unlike "$(out)" secret "links out of the share lead nowhere"
is "$(cat outside/secret) $(ls -A ro)" "secret keep" "the host's other files are what they were"
is "$(readlink rw/made) $(readlink rw/moved)" "/etc/passwd ../outside" "links can be made and moved"

## Errors at the start
vm --no-cwd --share "$W/missing:/m:rw" -- true
like "$rc $(err)" "^125 .*can't open.*missing" "a share that is not there"
vm --no-cwd --share "$W:/m:rw,size=x" -- true
is "$rc" 125 "a size that is none"
vm --no-cwd --share "$W:/m:rw,speed=9" -- true
like "$rc $(err)" "^125 .*size=SIZE" "a word that is none says which there are"
if ! is_root; then
	vm --no-cwd --share /usr/share:/m:rw -- true
	like "$rc $(err)" "^125 .*can't write '/usr/share'" "a directory of somebody else"
else
	skip "root may" "a directory of somebody else"
fi
done_testing
