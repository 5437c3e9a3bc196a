#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Images: import of each kind, layers, names, ls, inspect, rm, export, gc; hostile archives, a full
# disk, kill -9
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
[ "$MAYFLY_ENGINE" = tcg ] || skip_all "no machine is started: the other engine's set has done it"
for tool in fsck.erofs dump.erofs python3 jq bsdtar zstd xz bzip2; do
	command -v "$tool" >/dev/null || skip_all "$tool is not installed"
done
export XDG_DATA_HOME=$T/data
store=$XDG_DATA_HOME/mayfly/images
make="$TEST_DIR/lib/images.py"

# img ARG...: one command; sets rc and ms, fills $T/out, $T/err
img() {
	local t0
	t0=$(now_ms)
	timeout -k 5 "$(scaled 60)" "$MAYFLY" image "$@" </dev/null >"$T/out" 2>"$T/err"
	rc=$?
	ms=$(($(now_ms) - t0))
}
field() { "$MAYFLY" image inspect "$1" | jq -r "$2"; }
file_of() { echo "$store/sha256/$(field "$1" .digest | cut -c 8-)"; }
files() { find "$1" -type f 2>/dev/null | wc -l; }
# What a tree is, without the times of directories that a test can't set and without sizes of them.
listing() {
	(cd "$1" && find . -mindepth 1 ! -type d -printf '%p %y %m %U %G %T@ %n %s %l\n' \
		-o -type d -printf '%p %y %m %U %G %T@\n' | sort)
}

# --- a directory, and the same tree as an archive of each kind ---
mkdir -p tree/etc tree/usr/bin tree/many tree/a/b/c/d
printf 'root:x:0:0::/root:/bin/sh\n' >tree/etc/passwd
printf 'root:x:0:root\nwheel:x:10:root\n' >tree/etc/group
head -c 300000 /dev/urandom >tree/usr/bin/tool
chmod 4755 tree/usr/bin/tool
ln tree/usr/bin/tool tree/usr/bin/again
ln -s usr/bin tree/bin
ln -s "$(printf 'x%.0s' {1..4000})" tree/long-link
mkfifo tree/fifo
truncate -s 20M tree/sparse
printf x | dd of=tree/sparse bs=1 seek=9000000 conv=notrunc status=none
: >tree/empty
for n in 1 2047 2048 2049 4095 4096 4097; do head -c $n /dev/urandom >"tree/size-$n"; done
touch tree/-first tree/+before-dot 'tree/with space' tree/ümläut "tree/$(printf 'n%.0s' {1..255})"
for n in {1..900}; do echo "$n" >"tree/many/file-with-a-long-name-$n"; done
python3 -c '
import os
try:
    os.setxattr("tree/usr/bin/tool", "user.note", b"kept" * 10)
    os.setxattr("tree/etc", "user.empty", b"")
except OSError:
    pass'

img import tree
is "$rc" 0 "a directory is imported"
like "$(out)" "^tree:latest  sha256:[0-9a-f]{12}  2[0-9.]+ MiB" "the result is one line"
is "$(err)" "" "nothing else is said, there is no bar without a terminal"
image=$(file_of tree)
is "$(sha256sum <"$image" | cut -c 1-64)" "${image##*/}" "the file's name is its digest"
is "$(stat -c %a "$image")" 444 "nobody writes it"
fsck.erofs "$image" >"$T/fsck" 2>&1
is "$? $(cat "$T/fsck")" "0 " "fsck.erofs finds nothing"
is "$(dump.erofs "$image" | sed -n 's/.*inode count: *//p')" "$(field tree .files)" \
	"dump.erofs counts the same files"
is "$(dump.erofs "$image" | sed -n 's/.*inode count: *//p')" \
	"$(find tree -printf '%i\n' | sort -u | wc -l)" "as there are in the directory"
fsck.erofs --extract=got "$image" >/dev/null 2>&1
is "$(diff -r --no-dereference -x fifo tree got 2>&1 | head)" "" \
	"what fsck.erofs extracts is the tree"
below "$(($(stat -c %b "$image") / 2))" 12000 "holes of a sparse file are holes in the image"

tar --xattrs --format=posix -C tree -cf plain.tar .
gzip -k plain.tar && zstd -q -k plain.tar && xz -0 -k plain.tar && bzip2 -k plain.tar
for f in plain.tar plain.tar.gz plain.tar.zst plain.tar.xz plain.tar.bz2; do
	img import --name "kind/${f//plain./}" "$f"
	is "$rc" 0 "$f is imported ($ms ms)"
	is "$(file_of "kind/${f//plain./}")" "$image" "$f gives the same file"
done
tar --xattrs --format=posix --sort=name --sparse -C tree -cf sorted.tar .
img import sorted.tar
is "$(file_of sorted)" "$image" "another order in the archive, and sparse files: the same file"
is "$(files "$store/sha256")" 1 "stored once, whatever it is called"
is "$(files "$store/tmp")" 0 "no temporary file is left"

mkdir back
"$MAYFLY" image export tree | bsdtar -xpf - -C back
is "$(listing back)" "$(listing tree)" "what export writes is the tree: owners, modes, times, links"
is "$(diff -r --no-dereference -x fifo tree back 2>&1 | head)" "" "with its content"
img export tree out.tar
is "$rc$(err)" 0 "export to a file"
is "$(find . -name 'out.tar*' -printf '%f %m\n')" "out.tar $(printf %o $((0666 & ~$(umask))))" \
	"leaves that file and nothing else"
mkfifo pipe
timeout 30 cat pipe >through &
img export tree pipe
wait $!
is "$(stat -c %F pipe) $(cmp through out.tar && echo same)" "fifo same" \
	"a FIFO is written to and stays one"
if is_root && mknod null c 1 3 2>"$T/err" && printf x 2>"$T/err" >null; then
	img export tree null
	is "$rc $(stat -c %F null)" "0 character special file" "a device, too"
else
	skip "no right to make devices" "a device, too"
fi
img export tree back
is "$rc$(find . -name 'back.part*')" 1 "a directory is not replaced"
img import --name again out.tar
is "$(file_of again)" "$image" "and its import is the same image again"
if is_root && grep -qw erofs /proc/filesystems && mkdir mnt &&
	mount -t erofs -o loop,ro "$image" mnt 2>/dev/null; then
	is "$(listing mnt)" "$(listing tree)" "Linux's own EROFS sees the tree"
	is "$(diff -r --no-dereference -x fifo tree mnt 2>&1 | head)" "" "with its content"
	is "$(python3 -c 'import os; print([(n, os.getxattr("mnt/usr/bin/tool", n)) for n in
		os.listxattr("mnt/usr/bin/tool")])')" \
		"$(python3 -c 'import os; print([(n, os.getxattr("tree/usr/bin/tool", n)) for n in
		os.listxattr("tree/usr/bin/tool")])')" "and its extended attributes"
	umount mnt
else
	skip "no right to mount" "Linux's own EROFS sees the tree"
fi

# --- layers ---
python3 "$make" oci_dir layout
python3 "$make" oci_tar two.tar
python3 "$make" docker saved.tar
gzip -k saved.tar
img import layout
is "$rc" 0 "an OCI layout is imported"
like "$(out)" "^two:1.0 " "under the name in it, without docker's registry"
like "$(err)" "1 devices or sockets.*1 extended|1 extended.*1 devices" "what is left out is counted"
one=$(file_of two:1.0)
img import --name tarred:1 two.tar
is "$(file_of tarred:1)" "$one" "the layout as an archive gives the same file"
img import --name saved saved.tar
is "$(field saved .kind)" docker "docker save is recognised"
is "$(file_of saved)" "$one" "and gives the same file"
img import --name savedgz saved.tar.gz
is "$(file_of savedgz)" "$one" "compressed, too"
"$MAYFLY" image export two:1.0 | bsdtar -tvf - >list
is "$(sed 's/.* [0-9][0-9]:[0-9][0-9] //; s/.* 20[0-9][0-9] //' list | sort | tr '\n' ' ')" \
	"./ bin -> usr/bin both both2 dir/ dir/keep etc/ etc/group etc/passwd fifo opaque/ opaque/new owned replaced usr/ usr/bin/ usr/bin/extra usr/bin/tool usr/bin/tool2 link to usr/bin/tool " \
	"whiteouts, opaque directories, replaced files, links on the way, no devices"
mkdir two && "$MAYFLY" image export two:1.0 - | bsdtar -xf - -C two
is "$(cat two/both two/both2 two/usr/bin/extra)" "$(printf 'upper\nlower\nthrough a link')" \
	"a hard link keeps the lower layer's content when its twin is replaced"
like "$(cat list)" "-rwsr-xr-x +0 +0 +0 +10000 .*usr/bin/tool" "set-user-ID bits stay"
like "$(cat list)" "-rw-r----- +0 +1000 +4000000000 " "owners stay"
is "$(field two:1.0 '.config | [.entrypoint, .cmd, .env, .workdir, .user, .user_known] | tojson')" \
	'[["/usr/bin/tool"],["-v"],["A=b","C=d e"],"/srv","app",true]' "the configuration is kept"
is "$(field two:1.0 '.config | [.uid, .gid, .gids] | tojson')" '[1000,1001,[10,4000]]' \
	"the user is looked up in the image's own files"
python3 "$make" oci_numbers numbers.tar && img import numbers.tar
is "$(field numbers:1 '.config | [.uid, .gid, .gids, .workdir] | tojson')" '[77,88,[],"/rel"]' \
	"a user of numbers"
python3 "$make" oci_nobody nobody.tar && img import nobody.tar
is "$rc $(field nobody:1 .config.user_known)" "0 false" "a user that is not there is no failure"
like "$(err)" "user 'who:app' is not" "but a warning"
python3 "$make" oci_tag tagged.tar && img import tagged.tar
is "$(out | cut -d ' ' -f 1)" tagged:stable "a reference that is only a tag"
python3 "$make" docker_links links.tar && img import links.tar
is "$rc" 0 "docker save with links for layers"
python3 "$make" wh_plain wh.tar && img import wh.tar
is "$("$MAYFLY" image export wh | bsdtar -tf - | sort | tr '\n' ' ')" "./ .wh.name name " \
	"in a plain archive .wh. means nothing"
python3 "$make" platforms many.tar && img import many.tar
is "$(out | cut -d ' ' -f 1)" many:1 "several platforms: a name with a registry's port"
is "$("$MAYFLY" image export many:1 | bsdtar -xOf - arch)" amd64 "amd64 unless something is said"
img import --platform linux/arm64 --name arm many.tar
is "$("$MAYFLY" image export arm | bsdtar -xOf - arch)" arm64 "--platform chooses"
like "$(err)" "linux/arm64" "with a warning"
img import --platform linux/s390x many.tar
is "$rc" 1 "a platform that is not there"
like "$(err)" "linux/amd64.*linux/arm64" "the message lists what is there"

# --- names, ls, inspect, rm, gc ---
for name in 'UPPER' 'a..b' '../x' 'a//b' '/a' 'a/' '-a' 'a:b/c' 'a:' '' 'a b' "$(printf 'n%.0s' {1..200})"; do
	img import --name "$name" wh.tar
	is "$rc" 125 "the name '${name:0:20}' is refused"
done
img ls
like "$(out)" "two:1.0 +[0-9a-f]{12} " "ls"
img ls --json
is "$(jq -r '.[] | select(.name == "two:1.0").digest' "$T/out")" "sha256:${one##*/}" "ls --json"
img inspect docker.io/library/two:1.0
is "$(jq -r .name "$T/out")" two:1.0 "inspect takes the long name, too"
img inspect none
is "$rc" 1 "inspect of no image"
like "$(err)" "no image 'none:latest'" "says so"
before=$(files "$store/sha256")
img rm saved savedgz tarred:1
is "$rc $(files "$store/sha256")" "0 $before" "a file with another name stays"
img rm arm
is "$(files "$store/sha256")" $((before - 1)) "the file goes with its last name"
img rm arm
is "$rc" 1 "rm of no image"
head -c 8192 /dev/zero >"$store/sha256/$(printf 'a%.0s' {1..64})"
: >"$store/tmp/import-0000000000000000"
img gc --dry-run
like "$(out)" "would remove: 1 image file, 1 temporary file" "gc --dry-run"
img gc --json
is "$(jq -c '[.images, .temporary]' "$T/out")" "[1,1]" "gc removes what has no name"
is "$(files "$store/tmp")" 0 "and what a dead import left"
echo '{' >"$store/names/broken:1.json"
head -c 8192 /dev/zero >"$store/sha256/$(printf 'b%.0s' {1..64})"
img gc
is "$rc$(test -e "$store/sha256/$(printf 'b%.0s' {1..64})" && echo there)" 1there \
	"an unreadable name: no image file is removed"
rm "$store/names/broken:1.json"
img gc
is "$rc" 0 "and then it is"
chmod u+w "$image" && printf XX | dd of="$image" bs=1 seek=5000 conv=notrunc status=none
img import tree
is "$(sha256sum <"$(file_of tree)" | cut -c 1-64)" "${image##*/}" "import again repairs a damaged file"
XDG_DATA_HOME=$T/none img ls
is "$rc $(test -e "$T/none" && echo made)" "0 " "ls makes no store"
img
is "$rc" 125 "no command"
img import
is "$rc" 125 "no file"
head -c 60000000 /dev/urandom >bar.bin && tar -cf bar.tar bar.bin
TERM=dumb timeout 60 script -qec "'$MAYFLY' image import bar.tar" bar.log </dev/null >"$T/out" 2>&1
like "$(tr '\r' '\n' <bar.log)" \
	"(reading|writing|hashing) .*[0-9]+% +[0-9.]+ [KM]?i?B of [0-9.]+ MiB +[0-9]+:[0-9]{2}" \
	"a terminal gets a bar with bytes and time"
img rm bar
rm -f bar.bin bar.tar
img import /dev/zero
is "$rc" 1 "a device is no archive"
img import --max-size 0 wh.tar
is "$rc" 125 "--max-size 0"

# --- hostile archives: status 1, one line, soon, and the store is as it was ---
rm -rf "$store"
hostile() { # KIND PATTERN [OPTION...]
	local kind=$1 pattern=$2
	shift 2
	python3 "$make" "$kind" hostile.tar
	img import "$@" hostile.tar
	is "$rc $(wc -l <"$T/err") $(files "$store/names") $(files "$store/sha256") $(files "$store/tmp")" \
		"1 1 0 0 0" "$kind: refused, in one line, nothing is left"
	like "$(err)" "$pattern" "$kind: the message"
	soon "$ms" 5000 "$kind: promptly ($ms ms)"
}
hostile dotdot "\.\./evil.*'\.\.'"
hostile dotdot_inside "'\.\.' in a name"
hostile hardlink_out "not there"
hostile hardlink_dotdot "'\.\.'"
hostile hardlink_dir "a directory"
hostile through_file "'f' is not a directory"
hostile link_loop "symbolic links"
hostile root_file "root is not a directory"
hostile long_name "longer than 255"
hostile long_path "longer than 4095"
hostile giant "max-size"
hostile negative "size|damaged|read"
hostile truncated "read|truncated|damaged"
hostile truncated_gz "read|truncated|damaged"
hostile garbage "can't be read|format"
hostile empty "can't be read|format|no file|empty"
hostile bomb "more than 100 MiB" --max-size 100M
hostile many_small "more than 9 MiB" --max-size 9M
hostile bad_layer "digest|read"
hostile bad_manifest "digest"
hostile missing_layer "missing"
hostile bad_docker "digest"
hostile big_manifest "4 MiB"
hostile deep_json "JSON"
hostile deep_index "deep"
hostile no_digest "no sha256 digest"
hostile name_out "no name of an image"
hostile layer_out "missing"
hostile no_wh_target "'\.\.'|whiteout"
hostile nul_config "JSON|text"

# What would lead out on the host leads to the same name in the tree.
mkdir there && echo secret >there/secret
python3 "$make" outside hostile.tar "$PWD/there"
img import --name outside hostile.tar
is "$rc$(err)" 0 "absolute names and links out of the tree: imported"
is "$(find there -type f -printf '%f ')$(cat there/secret)" "secret secret" "nothing is written where they lead on the host"
"$MAYFLY" image export outside | bsdtar -tf - >list
for name in absolute through upwards; do
	is "$(grep -cx "${PWD#/}/there/$name" list)" 1 "but in the image: $name"
done
is "$("$MAYFLY" image export outside | bsdtar -tvf - | grep -cE " (old -> $PWD/there/secret|new)$")" 2 "a file and a link of one name: the later counts"
img rm outside
rm -rf "$store"

if [ "$MAYFLY_TIME_SCALE" -eq 1 ]; then
	python3 "$make" many_entries hostile.tar
	img import hostile.tar
	is "$rc $(files "$store/names") $(files "$store/tmp")" "1 0 0" "two million entries: refused"
	like "$(err)" "more than 2000000 files" "the message"
else
	skip "a slow host" "two million entries"
fi

# --- interrupted ---
mkdir big && head -c "$(fewer 30000000)" /dev/urandom >big/data
tar -C big -cf big.tar . && bzip2 -1 big.tar
has_temp() { [ "$(files "$store/tmp")" -gt 0 ]; }
"$MAYFLY" image import big.tar.bz2 >"$T/out" 2>"$T/err" &
pid=$!
wait_until 20 has_temp
wait_until 20 pgrep -P "$pid" >"$T/worker"
worker=$(cat "$T/worker")
if is_root; then
	is "$(sed -n 's/^CapEff:\s*//p; s/^NoNewPrivs:\s*//p; s/^Seccomp:\s*//p' "/proc/$worker/status" | tr '\n' ' ')" \
		"0000000000000000 1 2 " "the process that reads has no capability, gets none, and has a table of calls"
fi
kill -9 "$pid"
wait "$pid" 2>/dev/null
yes_if "kill -9: the process that reads ends, too" wait_until 5 gone "$worker"
is "$(files "$store/names") $(files "$store/sha256") $(files "$store/tmp")" "0 0 1" \
	"the store has no half image"
img import wh.tar
is "$rc $(files "$store/tmp")" "0 0" "the next import works and removes the leftover"
"$MAYFLY" image import big.tar.bz2 >"$T/out" 2>"$T/err" &
pid=$!
wait_until 20 has_temp
img import --name other wh.tar
is "$rc $(files "$store/tmp")" "0 1" "another import does not touch what is under way"
kill -TERM "$pid"
wait "$pid"
is "$? $(files "$store/tmp") $(files "$store/names")" "143 0 2" "ended by a signal: nothing is left"

# --- a system call that reading an archive does not need ---
if command -v strace >/dev/null; then
	for kind in archive:wh.tar:ftruncate:1 directory:tree:openat2:2; do
		IFS=: read -r what from call first <<<"$kind"
		rm -rf "$store"
		# strace puts another number in the place of one of its calls, before the filter looks.
		XDG_DATA_HOME=$T/data timeout -k 5 "$(scaled 60)" strace -f -qq -o /dev/null -e "trace=$call" \
			-e "inject=$call:error=EPERM:syscall=getuid:when=$first+" "$MAYFLY" image import "$from" \
			</dev/null >"$T/out" 2>"$T/err"
		is "$? $(wc -l <"$T/err") $(files "$store/names") $(files "$store/sha256") $(files "$store/tmp")" \
			"1 1 0 0 0" "$what: another system call ends the process that reads"
		like "$(err)" "can't import .*forbidden system call" "$what: the message"
	done
else
	skip "strace is not there" "a forbidden system call"
fi

# --- a full disk ---
if is_root && mkdir "$T/full" && mount -t tmpfs -o size=3M tmpfs "$T/full" 2>/dev/null; then
	at_exit() { umount -l "$T/full"; }
	XDG_DATA_HOME=$T/full img import big.tar.bz2
	is "$rc $(wc -l <"$T/err")" "1 1" "a full disk: refused in one line"
	like "$(err)" "No space left" "which says so"
	is "$(find "$T/full" -type f ! -name lock)" "" "nothing is left on it"
	XDG_DATA_HOME=$T/full img import wh.tar
	is "$rc" 0 "what fits is still imported"
	chmod 755 "$T" "$T/w" && chmod 644 saved.tar plain.tar
	install -d -o 12345 -g 12345 "$T/user"
	for f in saved.tar plain.tar; do
		img import --name "owner/${f%.tar}" "$f"
		timeout 60 setpriv --reuid 12345 --regid 12345 --clear-groups env XDG_DATA_HOME="$T/user" \
			"$MAYFLY" image import --name "owner/${f%.tar}" "$f" >"$T/out" 2>"$T/err"
		is "$?" 0 "an ordinary user imports $f"
		yes_if "and gets the same bytes as root" cmp -s "$(file_of "owner/${f%.tar}")" \
			"$T/user/mayfly/images/sha256/$(basename "$(file_of "owner/${f%.tar}")")"
	done
else
	skip "only root may mount" "a full disk; an ordinary user's image beside root's"
fi

done_testing
