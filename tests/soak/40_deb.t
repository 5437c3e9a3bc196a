# SPDX-License-Identifier: Apache-2.0
# The Debian package: built, installed over a throwaway copy of this host's file tree, used, removed
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
command -v dpkg-deb >/dev/null && command -v dpkg-shlibdeps >/dev/null || skip_all "no dpkg-dev here"
build=$(dirname "$MAYFLY")

## As an ordinary user would build it
t0=$(now_ms)
(cd "$TEST_DIR/.." && timeout -k 5 "$(scaled 200)" contrib/debian/make-deb "$build" 0.0.1) >"$T/out" 2>"$T/err" </dev/null
rc=$?
is "$rc" 0 "make-deb"
diag "measured: the package took $(($(now_ms) - t0)) ms"
mv "$build"/mayfly_0.0.1_*.deb mayfly.deb || done_testing
like "$(dpkg-deb -f mayfly.deb Depends)" "libc6 .*libjansson4" "depends on the libraries that it is linked to"
is "$(dpkg-deb -c mayfly.deb | awk '$2 != "root/root"' | wc -l)" 0 "everything in it is root's"
is "$(dpkg-deb -c mayfly.deb | grep -cE '^(-..s|-.....s|-.......w|d.......w)')" 0 "nothing set-uid or writable for all"
is "$(dpkg-deb -c mayfly.deb | grep -c 'share/man/man./.*[0-9]$')" 0 "man pages are compressed"
mkdir x && dpkg-deb -x mayfly.deb x && dpkg-deb -e mayfly.deb x/DEBIAN
yes_if "its checksums are right" sh -c 'cd x && md5sum -c --quiet DEBIAN/md5sums'
if command -v lintian >/dev/null; then
	is "$(lintian --fail-on error -q mayfly.deb 2>&1 | grep -c '^E:')" 0 "lintian finds no error"
else
	skip "no lintian here" "lintian finds no error"
fi

## Installed: an overlay over this host's own tree, in a mount namespace of its own
if ! is_root; then
	skip "mounting takes root" "installing"
	done_testing
fi
cat >inside <<'SH'
mount -t tmpfs none "$1" && mkdir "$1/up" "$1/work" "$1/root" || exit 99
mount -t overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" overlay "$1/root" || exit 99
cd "$1/root" || exit 99
for d in proc dev sys; do mount --rbind "/$d" "$d" || exit 99; done
mount -t tmpfs none run && mount -t tmpfs none tmp && mount -t tmpfs none mnt || exit 99
cp "$2" tmp/mayfly.deb && cp "$3" tmp/steps && mkdir mnt/up && mount --bind "$1/up" mnt/up || exit 99
mkdir -p tmp/old && pivot_root . tmp/old && cd / && umount -l /tmp/old || exit 99
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp TERM=dumb ENGINE="$4" sh /tmp/steps
SH
cat >steps <<'SH'
cd /tmp
echo "install=$(dpkg -i mayfly.deb >/tmp/dpkg.out 2>&1; echo $?)"
echo "which=$(command -v mayfly)"
echo "run=$(timeout 60 mayfly run --engine "$ENGINE" --no-cwd -- sh -c 'echo hello from $(id -u)' 2>&1 </dev/null; echo $?)"
echo "version=$(mayfly version)"
echo "pages=$(ls /usr/share/man/man1/mayfly*.1.gz | wc -l)"
echo "man=$(man -P cat mayfly 2>/dev/null | grep -c 'throwaway virtual machine')"
echo "verify=$(dpkg -V mayfly | wc -l)"
echo "completion=$(bash -c '. /usr/share/bash-completion/completions/mayfly; complete -p mayfly' 2>&1)"
echo "remove=$(dpkg -P mayfly >>/tmp/dpkg.out 2>&1; echo $?)"
# But what man(1) keeps of a page that it has shown.
echo "left=$(find / -xdev -name '*mayfly*' -not -path '/tmp/*' -not -path '/var/log/*' -not -path '/var/cache/man/*' 2>/dev/null | while read -r f; do find "/mnt/up$f" 2>/dev/null; done | xargs)"
echo "gone=$(command -v mayfly || echo yes)"
cat /tmp/dpkg.out >&2
SH
t0=$(now_ms)
mkdir over
timeout -k 5 "$(scaled 200)" unshare -m --propagation private sh inside "$W/over" "$W/mayfly.deb" "$W/steps" "$MAYFLY_ENGINE" \
	>"$T/out" 2>"$T/err" </dev/null
rc=$?
ms=$(($(now_ms) - t0))
if [ "$rc" = 99 ]; then
	skip "no overlay over / on this host" "installing"
	done_testing
fi
is "$rc" 0 "the package's life"
guest_is install 0 "dpkg installs it: its dependencies are those of this host"
guest_is which /usr/bin/mayfly "mayfly is in the PATH"
guest_is run "hello from 0" "a machine runs from what was installed"
like "$(val version)" "^mayfly [0-9]" "it has a version"
guest_is pages "$(find "$TEST_DIR/../man" -name '*.1' | wc -l)" "man pages are there"
if command -v man >/dev/null; then yes_if "man finds them" [ "$(val man)" -ge 1 ]; else skip "no man here" "man finds them"; fi
guest_is verify 0 "every file is as it was packed"
like "$(val completion)" "-F _mayfly mayfly" "bash completes it"
guest_is remove 0 "dpkg removes it"
guest_is left "" "nothing is left"
guest_is gone yes "nor is the program"
diag "measured: install, use and removal took $ms ms"
done_testing
