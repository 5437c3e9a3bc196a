# SPDX-License-Identifier: Apache-2.0
# mayfly run --image: root file system, entrypoint, cmd, env, user, workdir; as docker run has them
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
command -v busybox >/dev/null || skip_all "busybox is not there"
ldd "$(command -v busybox)" 2>&1 | grep -q "not a dynamic\|statically" || skip_all "busybox is not static"
export XDG_DATA_HOME=$W/data

tree() { # NAME: a small root file system
	mkdir -p "$1/bin" "$1/etc" "$1/root" "$1/srv/web" "$1/tmp"
	cp "$(command -v busybox)" "$1/bin/busybox"
	for p in sh ls cat id env pwd mount df touch echo true false stat sleep find wc; do ln -sf busybox "$1/bin/$p"; done
	printf 'root:x:0:0:root:/root:/bin/sh\nweb:x:33:44::/srv/web:/bin/sh\n' >"$1/etc/passwd"
	printf 'root:x:0:\nwww:x:44:\nlogs:x:55:web\n' >"$1/etc/group"
	printf 'NAME=%s\n' "$1" >"$1/etc/os-release"
}

# docker_save NAME CONFIG_JSON: an archive as `docker save` writes it, of the tree NAME
docker_save() {
	/usr/bin/python3 - "$1" "$2" <<'PY'
import hashlib, io, json, os, sys, tarfile
name, config = sys.argv[1], json.loads(sys.argv[2])
layer = io.BytesIO()
with tarfile.open(fileobj=layer, mode="w") as t:
    t.add(name, arcname=".", filter=lambda i: i)
layer = layer.getvalue()
lname = hashlib.sha256(layer).hexdigest() + "/layer.tar"
diff = "sha256:" + hashlib.sha256(layer).hexdigest()
c = json.dumps({"architecture": "amd64", "os": "linux", "config": config,
                "rootfs": {"type": "layers", "diff_ids": [diff]}}).encode()
cname = hashlib.sha256(c).hexdigest() + ".json"
m = json.dumps([{"Config": cname, "RepoTags": [name + ":latest"], "Layers": [lname]}]).encode()
with tarfile.open(name + ".tar", "w") as t:
    for n, d in ((cname, c), (lname, layer), ("manifest.json", m)):
        i = tarfile.TarInfo(n)
        i.size = len(d)
        t.addfile(i, io.BytesIO(d))
PY
}

tree web
docker_save web '{"Entrypoint":["/bin/sh","-c","echo \"$0 $* $GREETING\"; id -u; id -g; pwd; echo $HOME","entry"],"Cmd":["default","words"],"Env":["PATH=/bin","GREETING=hello"],"WorkingDir":"/srv/web","User":"web"}'
"$MAYFLY" image import web.tar >"$T/import" 2>&1
is $? 0 "an archive with a configuration is imported"
vm --image web
is "$rc" 0 "it runs without a command"
is "$(out)" "entry default words hello
33
44
/srv/web
/srv/web" "entrypoint, cmd, env, user, group, workdir and home are the image's"
vm --image web -- other
is "$(out | head -n 1)" "entry other hello" "words of the user's take the place of cmd"
vm --image web --env GREETING=bye --workdir / --user 0 -- x
is "$(out)" "entry x bye
0
0
/
/root" "--env, --workdir and --user win"
vm --image web --entrypoint /bin/id
like "$(out)" "uid=33.*gid=44.*55" "--entrypoint, and supplementary groups from the image"
vm --image web --entrypoint '' -- /bin/cat /etc/os-release
is "$rc/$(out)" "0/NAME=web" "an empty --entrypoint leaves the user's words"
vm --image web --entrypoint ''
is "$rc" 125 "and without them nothing is left to run"

tree plain
"$MAYFLY" image import --name plain plain >"$T/import" 2>&1
is $? 0 "a directory is imported"
vm --image plain
is "$rc" 125 "an image without a command needs one"
like "$(err)" "names no command" "and that is said"
vm --image plain -- sh -c 'touch /new /etc/new /bin/new && rm /bin/find && ls /new && cat /etc/os-release; id -u; echo $HOME; find / 2>/dev/null | wc -l'
is "$(out | head -n 4)" "/new
NAME=plain
0
/root" "everything in it can be written, root runs it"
vm --image plain -- sh -c 'ls /new /etc/new; ls /bin/find'
is "$(out)" /bin/find "and nothing of that is left"
vm --image plain -- false
is "$rc" 1 "the exit status is the command's"
vm --image plain -- /no/such
is "$rc" 127 "127 for a program that is not in the image"
vm --image plain -- sh -c 'ls /usr /home "$W" 2>/dev/null | wc -l; mount | grep -c virtiofs'
is "$(out)" "0
0" "nothing of the host is in it"
mkdir shared && echo from-host >shared/f
vm --image plain --share "$W/shared:/mnt/shared" -- cat /mnt/shared/f
is "$rc/$(out)" "0/from-host" "but what --share names"
vm --image plain --scratch 64M -- sh -c 'df / | grep -c overlay; echo x >/tmp/x; df /tmp | grep -c vdb'
is "$rc/$(out)" "0/1
1" "with --scratch"
truncate -s 1M d.img
vm --image plain --disk d.img --user 0 -- sh -c 'cat /sys/block/vda/serial; echo; cat /sys/block/vdb/serial; echo data >/dev/vda'
is "$rc/$(out)" "0/mayfly-disk0
mayfly-image" "with --disk, whose names stay"
is "$(head -c 4 d.img)" data "and whose data is written"
vm --image plain --user 0 -- sh -c 'for i in 1 2 3; do echo bad >/dev/vda; done; cat /etc/os-release'
like "$(out)" "NAME=plain" "the image's device can't be written"
vm --image plain -- cat /etc/os-release
is "$(out)" "NAME=plain" "and is as it was"

vm --image missing -- true
is "$rc" 125 "an image that is not there: 125"
like "$(err)" "missing:latest.*image ls" "with what to do"
vm --image ../../etc -- true
is "$rc" 125 "a name that is a path: 125"
vm --image plain --rootfs / -- true
is "$rc" 125 "--image and --rootfs: 125"
vm --entrypoint /bin/sh -- true
is "$rc" 125 "--entrypoint alone: 125"

# Ten at once on one image.
pids=()
for i in $(seq "$(fewer 12)"); do
	"$MAYFLY" run --engine "$MAYFLY_ENGINE" --image plain -- cat /etc/os-release >"many.$i" 2>&1 </dev/null &
	pids+=($!)
done
bad=0
for p in "${pids[@]}"; do wait "$p" || bad=$((bad + 1)); done
is "$bad/$(cat many.* | sort | uniq -c | tr -s ' ')" "0/ $(fewer 12) NAME=plain" "many at once on one image"
done_testing
