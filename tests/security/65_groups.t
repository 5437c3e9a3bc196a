# SPDX-License-Identifier: Apache-2.0
# A supplementary group of the caller: its files can be read in a share, and in no jail otherwise
# shellcheck shell=bash disable=SC1091,SC2154
. "$(dirname "$0")/../lib/common.sh"
command -v gcc >/dev/null || skip_all "no compiler"
is_root || skip_all "only root can give a user another group"
command -v setpriv >/dev/null || skip_all "setpriv is missing"
GROUP=54321 PLAIN=12345
here=$(dirname "$MAYFLY")
chmod 755 "$T" "$W"
gcc -std=gnu11 -D_GNU_SOURCE -O1 -static -o jailed "$TEST_DIR/probe/jailed.c" || exit 99
mkdir -p "$T/bin/guest" "$T/run" share other
for p in mayfly mayfly-jailer mayfly-vmm mayfly-fs; do cp "$here/$p" "$T/bin/$p"; done
cp "$here"/guest/{vmlinux,bzImage,init.cpio} "$T/bin/guest/"
chmod -R a+rX "$T/bin"
chmod 700 "$T/run" && chown $PLAIN:$PLAIN "$T/run"
for f in share/file other/file; do
	echo "of the group" >$f
	chown 0:$GROUP $f && chmod 640 $f
done
# user GROUPS COMMAND...
user() {
	local groups=$1
	shift
	timeout -k 5 "$(scaled 60)" setpriv --reuid $PLAIN --regid $PLAIN "$groups" env -i PATH="$PATH" HOME=/nonexistent \
		LANG=C.UTF-8 XDG_RUNTIME_DIR="$T/run" "$@" </dev/null >"$T/out" 2>"$T/err"
	rc=$?
}
member=--groups=$GROUP stranger=--clear-groups
user $member cat other/file
is "$(out)" "of the group" "on the host a member of the group can read the file"
user $stranger cat other/file
is "$(out)" "" "others can not"

# In a jail the group is still the kernel's: what stops the program is that it sees no such file.
user $member "$T/bin/mayfly-jailer" -- ./jailed read "$W/other/file"
is "$(out)" ENOENT "full jail: the file is not there"
user $member "$T/bin/mayfly-jailer" --jail reduced -- ./jailed read "$W/other/file"
is "$(out)" EACCES "reduced jail: Landlock forbids it"
user $member "$T/bin/mayfly-jailer" --tree "$W/share" -- ./jailed read "$W/other/file"
is "$(out)" ENOENT "nor is it where another directory is shown"
user $member "$T/bin/mayfly-jailer" --jail reduced --tree "$W/share" -- ./jailed read "$W/other/file"
is "$(out)" EACCES "in the reduced jail either"
user $member "$T/bin/mayfly-jailer" -- ./jailed read "$W/share/../other/file"
is "$(out)" ENOENT "by no detour"

for jail in full reduced; do
	run=("$T/bin/mayfly" run --engine "$MAYFLY_ENGINE" --jail "$jail" --no-cwd --share "$W/share:/data")
	# fs opens it either way. In a user namespace it can't tell the guest whose group it is, and the
	# guest lets its root alone read it.
	user $member "${run[@]}" -u 0 -- cat /data/file
	is "$rc/$(out)" "0/of the group" "$jail: in a share fs opens it for the guest"
	if [ "$jail" = reduced ]; then
		user $member "${run[@]}" -- cat /data/file
		is "$rc/$(out)" "0/of the group" "$jail: for the same user there, too"
	fi
	user $stranger "${run[@]}" -u 0 -- cat /data/file
	isnt "$rc" 0 "$jail: for a caller without the group it doesn't, not even for the guest's root"
	unlike "$(out)" "of the group" "$jail: and nothing of it is seen"
	user $member "${run[@]}" -u 0 -- sh -c "cat '$W/other/file' /data/../other/file; cat /proc/self/root$W/other/file"
	unlike "$(out)" "of the group" "$jail: what is not shared is not to be had"
done
# As root: the groups of the caller are given up by every process.
timeout -k 5 "$(scaled 30)" setpriv --groups=$GROUP "$T/bin/mayfly-jailer" --jail reduced --tree "$W" -- \
	./jailed read "$W/other/file" >"$T/out" 2>"$T/err"
is "$(out)" EACCES "root's groups do not come along, even to what is shown"
timeout -k 5 "$(scaled 30)" setpriv --groups=$GROUP "$T/bin/mayfly-jailer" --keep-id -- ./jailed ids >"$T/out" 2>"$T/err"
is "$(out)" "0 0 0 1" "with --keep-id neither"
done_testing
