# SPDX-License-Identifier: Apache-2.0
# A tree that is shaped like a Debian system, of the host's own files: as an image with a
# configuration, and in place (soak/40_debootstrap.t has a whole one)
# shellcheck shell=bash disable=SC1091,SC2154
. "$(dirname "$0")/../lib/common.sh"
. "$TEST_DIR/lib/debian.sh"
export XDG_DATA_HOME=$W/data
programs=(bash dash cat cut head id ls rm sort touch)
[ -e /etc/debian_version ] && [ -e /usr/share/base-passwd/passwd.master ] || skip_all "this is no Debian"
lib=usr/lib/x86_64-linux-gnu
mkdir -p tree/usr/bin tree/usr/sbin tree/$lib tree/usr/lib64 tree/usr/share/doc tree/etc tree/root \
	tree/var/www tree/proc tree/sys tree/dev tree/run tree/home
mkdir -m 1777 tree/tmp tree/var/tmp
for d in bin sbin lib lib64; do ln -s "usr/$d" "tree/$d"; done
for p in "${programs[@]}"; do cp "$(command -v "$p")" tree/usr/bin/; done
ln -s dash tree/usr/bin/sh
ldd "${programs[@]/#/tree/usr/bin/}" | sed -nE 's/.* => (\/[^ ]+) .*/\1/p' | sort -u | xargs cp -L -t tree/$lib
cp -L /lib64/ld-linux-x86-64.so.2 tree/$lib/
ln -s ../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 tree/usr/lib64/
cp -L /etc/debian_version tree/etc/
cp -L /usr/lib/os-release tree/usr/lib/ && ln -s ../usr/lib/os-release tree/etc/os-release
sed 's/:\*:/:x:/' /usr/share/base-passwd/passwd.master >tree/etc/passwd
sed 's/:\*:/:x:/' /usr/share/base-passwd/group.master >tree/etc/group
docker_save tree "$debian_config" || fail "the archive"
who=user
is_root && who=root
debian_runs "$PWD/tree" tree.tar "$who"
done_testing
