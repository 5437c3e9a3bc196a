# SPDX-License-Identifier: Apache-2.0
# A Debian system as debootstrap makes it: as an image with a configuration, and in place, for root
# and for an ordinary user
# shellcheck shell=bash disable=SC1091,SC2154
. "$(dirname "$0")/../lib/common.sh"
. "$TEST_DIR/lib/debian.sh"
PATH=$PATH:/usr/sbin:/sbin
is_root || skip_all "debootstrap needs root"
command -v debootstrap >/dev/null || skip_all "debootstrap is not there"
# Where this host's packages come from.
# shellcheck disable=SC2016 # apt's own variables
read -r site release < <(apt-get indextargets --format '$(SITE) $(CODENAME)' 'Created-By: Packages' 2>"$T/err")
[ -n "${release:-}" ] || skip_all "apt knows no archive of packages"
t0=$(now_ms)
if ! timeout -k 5 1200 debootstrap --variant=minbase "$release" tree "$site" >"$T/log" 2>&1; then
	tail -n 5 "$T/log" | sed 's/^/# /'
	skip_all "debootstrap could not fetch or unpack the packages"
fi
diag "measured: debootstrap took $(($(now_ms) - t0)) ms, $(find tree | wc -l) files, $(du -sm tree | cut -f1) MiB"
docker_save tree "$debian_config" || fail "the archive"
export XDG_DATA_HOME=$W/data
debian_runs "$PWD/tree" tree.tar root

# An ordinary user: with programs that he can read, and a store of his own.
copy=$T/copy
mkdir -p "$copy/guest" "$T/run" "$T/data"
cp "$(dirname "$MAYFLY")"/mayfly* "$copy/"
cp "$(dirname "$MAYFLY")"/guest/{vmlinux,bzImage,init.cpio} "$copy/guest/"
chmod -R a+rX "$copy"
chmod 755 "$T" "$W" && chmod 644 tree.tar
chown 12345:12345 "$T/run" "$T/data" && chmod 700 "$T/run"
MAYFLY=$copy/mayfly
debian_runs "$PWD/tree" "$PWD/tree.tar" user setpriv --reuid 12345 --regid 12345 --clear-groups \
	env XDG_DATA_HOME="$T/data" XDG_RUNTIME_DIR="$T/run" HOME="$T/data"
done_testing
