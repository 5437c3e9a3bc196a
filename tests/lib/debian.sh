# SPDX-License-Identifier: Apache-2.0
# debian.sh - scenarios about a tree that is shaped like a Debian system; sourced behind common.sh
# shellcheck shell=bash disable=SC2154,SC2016

# docker_save TREE CONFIG: TREE.tar as docker save would write it, all of it root's; CONFIG is JSON
docker_save() {
	/usr/bin/python3 - "$1" "$2" <<'PY'
import hashlib, json, os, sys, tarfile

name, config = sys.argv[1], json.loads(sys.argv[2])


def roots(info):
    """As in an image: no owner of the host's, no devices."""
    if info.isdev() and not info.isfifo():
        return None
    info.uid = info.gid = 0
    return info


with tarfile.open(name + ".layer", "w") as t:
    t.add(name, arcname=".", filter=roots)
with open(name + ".layer", "rb") as f:
    digest = hashlib.file_digest(f, "sha256").hexdigest()
config = json.dumps({"architecture": "amd64", "os": "linux", "config": config,
                     "rootfs": {"type": "layers", "diff_ids": ["sha256:" + digest]}}).encode()
files = {hashlib.sha256(config).hexdigest() + ".json": config}
files["manifest.json"] = json.dumps([{"Config": list(files)[0], "RepoTags": ["debian-like:test"],
                                      "Layers": [digest + "/layer.tar"]}]).encode()
with tarfile.open(name + ".tar", "w") as t:
    t.add(name + ".layer", arcname=digest + "/layer.tar", filter=roots)
    for path, data in files.items():
        with open("part", "wb") as f:
            f.write(data)
        t.add("part", arcname=path, filter=roots)
os.unlink("part")
os.unlink(name + ".layer")
PY
}

# shellcheck disable=SC2034 # used by the scripts
debian_config='{"Entrypoint":["/bin/bash","-c","echo \"$0 $* $GREETING\"; id -un; id -u; pwd; echo $HOME","entry"],
	"Cmd":["default"],"Env":["PATH=/usr/local/bin:/usr/bin:/bin","GREETING=hello"],"WorkingDir":"/var/tmp","User":"www-data"}'

# debian_runs TREE ARCHIVE WHO [COMMAND-PREFIX...]: imports it and runs what is in it, from an image
# and in place
debian_runs() {
	local tree=$1 archive=$2 who=$3
	shift 3
	try() { # WORDS of mayfly
		timeout -k 5 "$(scaled 90)" "$@" </dev/null >"$T/out" 2>"$T/err"
		rc=$?
	}
	try "$@" "$MAYFLY" image import --name debian "$archive"
	is "$rc" 0 "$who: the archive is imported"
	try "$@" "$MAYFLY" run --engine "$MAYFLY_ENGINE" --image debian
	is "$rc/$(out)" "0/entry default hello
www-data
33
/var/tmp
/var/www" "$who: entrypoint, cmd, env, user and workdir are the archive's"
	try "$@" "$MAYFLY" run --engine "$MAYFLY_ENGINE" --image debian --user 0 --workdir / --env GREETING=bye -- words
	is "$rc/$(out)" "0/entry words bye
root
0
/
/root" "$who: what the command line says wins"
	try "$@" "$MAYFLY" run --engine "$MAYFLY_ENGINE" --image debian --entrypoint '' --user 0 -- \
		sh -ec '. /etc/os-release; echo $ID; touch /usr/bin/new /etc/new; ls -l /bin | cut -c1; sort --version | head -n 1 | cut -c1-4; rm -r /usr/share; ls /usr'
	like "$rc $(out | tr '\n' ' ')" "^0 debian l sort .*bin " "$who: Debian's own programs, and all of it can be written"
	unlike "$(out)" "share" "$who: also be removed"
	try "$@" "$MAYFLY" run --engine "$MAYFLY_ENGINE" --rootfs "$tree" --no-cwd --user 0 -- \
		bash -c '. /etc/os-release; echo $ID; cat /etc/debian_version; touch /usr/new && echo made; ls /lib64/ld-linux-x86-64.so.2'
	is "$rc/$(out)" "0/debian
$(cat "$tree/etc/debian_version")
made
/lib64/ld-linux-x86-64.so.2" "$who: --rootfs runs the tree in place"
	yes_if "$who: which stays what it was" [ ! -e "$tree/usr/new" ]
}
