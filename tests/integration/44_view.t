# SPDX-License-Identifier: Apache-2.0
# --view, --hide, --rootfs: what a guest sees of the host, and what it must not find
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"

## The table of /etc, in the program and in the document
doc=$TEST_DIR/../docs/view.md
if [ -r "$doc" ]; then
	sed -nE 's/^\t\{"([^"]+)", "([^"]+)"\},$/| `\1` | \2 |/p' "$TEST_DIR/../runtime/cli/etc_names.c" >"$T/rows"
	yes_if "the table has rows" [ -s "$T/rows" ]
	is "$(grep -E '^\| `[a-z]' "$doc" | diff - "$T/rows")" "" "the document has the same, in the same order"
else
	skip "not a checkout" "the document's table of /etc"
fi
vm -- find /etc -mindepth 1 -maxdepth 1 -printf '%f\n'
unlike " $(out | tr '\n' ' ')" " (shadow|gshadow|machine-id|hostid|ssh|sudoers|fstab|environment|crypttab) " \
	"nothing that identifies or authenticates"

## --view none
guest_programs hello
vm --view none --share hello:/in/hello -- /in/hello
like "$rc $(out)" "^7 hello" "--view none: a static program out of a share runs"
vm --view none -- ls
is "$rc $(verdict reason)" "127 not-started" "nothing else is there"
printf '#include <dirent.h>\n#include <stdio.h>\nint main(int c, char **v){DIR *d=opendir(c>1?v[1]:"/");struct dirent *e;while(d&&(e=readdir(d)))if(e->d_name[0]!=46)puts(e->d_name);return 0;}\n' >list.c
gcc -static -o list list.c || skip_all "no static linking"
vm --view none --share list:/list -- /list /
like "$(out | sort | tr '\n' ' ')" "^dev etc (home )?list proc (root )?run sys tmp var $" "its root has the guest's own directories"
unlike "$(out)" "usr|bin" "no /usr, no /bin"
vm --view none --share list:/list -- /list "$PWD"
is "$(out)" "" "nor the current directory"
vm --view system -- true
is "$rc" 0 "--view system is the default"
for wrong in "--view all" "--view none --rootfs ."; do
	# shellcheck disable=SC2086
	vm $wrong -- true
	is "$rc $(verdict reason)" "125 config" "$wrong is refused"
done

## --hide: in the current directory, in shares, in the system view
mkdir -p d/sub other && echo secret >.env && ln .env hard && echo k >d/key && echo x >d/sub/x &&
	ln -s d/key klink && mv hard other/hard && echo shown >shown
hide=(--hide .env --hide d --hide later)
vm "${hide[@]}" -- sh -c 'ls -A; ls -Al other; cat .env other/hard d/key d/sub/x klink; ls d/../.env; cat shown'
unlike "$(out)" "secret|\.env|hard|sub|(^|[[:space:]])d([[:space:]]|$)" "hidden in the current directory, also a hard link"
like "$(out)" "shown.*shown" "the rest is there"
is "$(err | grep -c 'No such file')" 6 "as if they were not there"
vm "${hide[@]}" --share .:/s --share other:/o --share ..:/up -- sh -c \
	"cat /s/.env /o/hard /s/d/key /up/w/.env /up/w/d/sub/x /up/w/other/hard; ls -A /s /o /up/w; cat /s/shown"
unlike "$(out)" "secret|\.env|hard|sub" "nor in any of three shares that overlap"
is "$(out | tail -n 1)" shown "which work"
vm "${hide[@]}" --share .:/s --user 0 -- sh -c 'cat /s/.env; find /s -name key; find . /s /usr/local -name .env 2>/dev/null | head'
is "$(out)" "" "not for root in the guest either"
vm --hide /usr/bin/env --hide /etc/services --hide /etc/ssl -- sh -c 'ls /usr/bin/env /etc/services /etc/ssl; ls /usr/bin | grep -x env; ls /bin/ls'
is "$(out)" /bin/ls "in the system view"
vm --hide /etc --hide /usr/share -- sh -c 'ls /etc /usr; echo end'
unlike "$(out)" "services|share" "whole directories of it"
vm --hide klink -- cat d/key
is "$rc" 1 "a link is hidden with what it leads to"
vm --hide d -- sh -c 'mkdir d && echo mine >d/key && cat d/key'
is "$(out)" mine "the guest can use the name for itself"
vm --hide d --share d/sub:/x -- true
is "$rc $(verdict reason)" "125 config" "a share of what is hidden is refused"
vm --hide .env --share other/hard:/x -- true
is "$rc" 125 "by another name, too"
for wrong in / . missing/x shown/x; do
	vm --hide "$wrong" -- true
	is "$rc $(verdict reason)" "125 config" "--hide $wrong is refused"
done

## What the host does meanwhile: renames, replaces, makes anew
mkfifo step
vm_meanwhile() {
	timeout -k 5 "$(scaled 60)" "$MAYFLY" run --engine "$MAYFLY_ENGINE" "${hide[@]}" --share .:/s -- sh -c '
		echo ready; read -r _; until [ -e /s/visible ]; do sleep 0.1; done; ls -A /s; cat /s/.env /s/later /s/moved /s/dd/key 2>/dev/null; echo end' \
		<step >"$T/out" 2>"$T/err" &
	BACKGROUND+=($!)
	exec 7>step
	wait_until 30 grep -q ready "$T/out"
	mv .env moved && echo secret2 >.env && echo secret3 >later && mv d dd && echo >visible
	echo go >&7
	exec 7>&-
	wait $!
}
vm_meanwhile
is "$(out | tail -n 1)" end "the host changes names while the guest runs"
unlike "$(out)" "secret|moved|later|\.env|dd" "nothing of it comes to light"

## --rootfs: a tree made by hand, with /bin and /lib as directories of their own
mkdir -p root/bin root/lib root/etc root/home/user
cp list root/bin/list && cp "$(realpath /bin/sh)" root/bin/sh && cp "$(command -v cat)" root/bin/cat
for p in root/bin/sh root/bin/cat; do
	ldd "$p" | grep -oE '/[^ ]+' | while IFS= read -r lib; do mkdir -p "root$(dirname "$lib")" && cp -L "$lib" "root$lib"; done
done
echo "hero:x:$(id -u):$(id -g)::/home/user:/bin/sh" >root/etc/passwd && echo key >root/etc/shadow
vm --rootfs root -- sh -c 'cat /etc/passwd; echo new >/home/user/new && cat /home/user/new; list /bin'
is "$rc" 0 "a root of its own, with separate /bin, runs"
like "$(out)" "hero.*new.*cat.*list|hero.*new.*list" "its programs and its accounts"
yes_if "what the guest writes stays in the guest" [ ! -e root/home/user/new ]
vm --rootfs root --hide root/etc/shadow -- sh -c 'cat /etc/shadow; echo end'
is "$(out)" end "--hide works below it"
if command -v debootstrap >/dev/null && [ -n "${MAYFLY_DEBOOTSTRAP:-}" ]; then
	vm --rootfs "$MAYFLY_DEBOOTSTRAP" -- dpkg --version
	is "$rc" 0 "a tree of debootstrap"
else
	skip "MAYFLY_DEBOOTSTRAP names no tree made by debootstrap" "a tree of debootstrap"
fi
done_testing
