#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# images.py - makes image archives, good and hostile ones, for 32_image.t
#
# usage: images.py KIND OUT; the kinds are the functions below whose names begin with make_
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile

T = 1700000000


def sha(data):
    return hashlib.sha256(data).hexdigest()


def entry(name, data=None, **kw):
    i = tarfile.TarInfo(name)
    i.mtime = T
    i.mode = 0o644
    if data is not None:
        i.size = len(data)
    for key, value in kw.items():
        setattr(i, key, value)
    return i, data


def folder(name, mode=0o755, **kw):
    return entry(name, type=tarfile.DIRTYPE, mode=mode, **kw)


def link(name, target, kind=tarfile.SYMTYPE):
    return entry(name, type=kind, linkname=target, mode=0o777)


def tar(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        for i, data in entries:
            t.addfile(i, io.BytesIO(data) if data is not None else None)
    return out.getvalue()


PASSWD = b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/srv:/bin/sh\n"
GROUP = b"root:x:0:\nwheel:x:10:root,app\napp:x:1001:\nlogs:x:4000:app\n"

LOWER = [
    folder("./"),
    folder("etc"), entry("etc/passwd", PASSWD), entry("etc/group", GROUP),
    folder("usr"), folder("usr/bin"), link("bin", "usr/bin"),
    entry("usr/bin/tool", b"tool\n" * 2000, mode=0o4755,
          pax_headers={"SCHILY.xattr.user.note": "kept", "SCHILY.xattr.trusted.x": "dropped"}),
    link("usr/bin/tool2", "usr/bin/tool", tarfile.LNKTYPE),
    entry("gone", b"x"),
    folder("opaque"), entry("opaque/old", b"x"), folder("opaque/sub"), entry("opaque/sub/x", b"x"),
    folder("dir"), entry("dir/keep", b"keep\n"), entry("dir/drop", b"x"),
    folder("replaced"), entry("replaced/file", b"x"),
    entry("device", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    entry("fifo", type=tarfile.FIFOTYPE, mode=0o600),
    entry("owned", b"o\n", uid=1000, gid=4000000000, mode=0o640),
    entry("both", b"lower\n"), link("both2", "both", tarfile.LNKTYPE),
]
UPPER = [
    entry(".wh.gone", b""),
    folder("opaque"), entry("opaque/new", b"new\n"), entry("opaque/.wh..wh..opq", b""),
    entry("dir/.wh.drop", b""),
    entry("replaced", b"a file now\n"),
    entry("bin/extra", b"through a link\n", mode=0o755),
    entry("both", b"upper\n"),
]


def config(layers, **kw):
    c = {"Entrypoint": ["/usr/bin/tool"], "Cmd": ["-v"], "Env": ["A=b", "nonsense", "C=d e"],
         "WorkingDir": "/srv", "User": "app"}
    c.update(kw)
    return {"architecture": "amd64", "os": "linux", "config": c,
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + sha(x) for x in layers]}}


class Layout:
    """An OCI image layout as a dict of files."""

    def __init__(self):
        self.files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}

    def add(self, data):
        self.files["blobs/sha256/" + sha(data)] = data
        return {"digest": "sha256:" + sha(data), "size": len(data)}

    def add_json(self, o):
        return self.add(json.dumps(o).encode())

    def image(self, layers, conf, pack=gzip.compress):
        return self.add_json({"schemaVersion": 2, "config": self.add_json(conf),
                              "layers": [self.add(pack(x)) for x in layers]})

    def index(self, manifests):
        self.files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()
        return self

    def to_dir(self, out):
        for name, data in self.files.items():
            path = os.path.join(out, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(data)

    def to_tar(self, out):
        write(out, tar([entry(n, d) for n, d in self.files.items()]))


def write(out, data):
    with open(out, "wb") as f:
        f.write(data)


def good(ref="docker.io/library/two:1.0", **kw):
    layers = [tar(LOWER), tar(UPPER)]
    lay = Layout()
    d = lay.image(layers, config(layers, **kw))
    d["annotations"] = {"org.opencontainers.image.ref.name": ref}
    return lay.index([d])


def make_oci_dir(out):
    good().to_dir(out)


def make_oci_tar(out):
    good().to_tar(out)


def make_oci_tag(out):
    good(ref="stable").to_tar(out)


def make_oci_nobody(out):
    good(ref="nobody:1", User="who:app").to_tar(out)


def make_oci_numbers(out):
    good(ref="numbers:1", User="77:88", WorkingDir="rel").to_tar(out)


def make_platforms(out):
    lay = Layout()
    both = []
    for arch in ("amd64", "arm64"):
        layers = [tar([entry("arch", arch.encode() + b"\n")])]
        conf = config(layers)
        conf["architecture"] = arch
        both.append(dict(lay.image(layers, conf), platform={"os": "linux", "architecture": arch}))
    both.append(dict(lay.add_json({}), platform={"os": "unknown", "architecture": "unknown"}))
    inner = lay.add_json({"manifests": both})
    lay.index([dict(inner, annotations={"io.containerd.image.name": "localhost:5000/many:1"})])
    lay.to_tar(out)


def docker_files(layers, conf, tags):
    text = json.dumps(conf).encode()
    name = sha(text) + ".json"
    files = {name: text}
    names = []
    for n, x in enumerate(layers):
        names.append("%064x/layer.tar" % n)
        files[names[-1]] = x
    files["manifest.json"] = json.dumps(
        [{"Config": name, "RepoTags": tags, "Layers": names}]).encode()
    return files


def make_docker(out):
    layers = [tar(LOWER), tar(UPPER)]
    files = docker_files(layers, config(layers), ["two:1.0"])
    write(out, tar([entry(n, d) for n, d in files.items()]))


def make_docker_links(out):
    layer = tar(LOWER)
    files = docker_files([layer, layer], config([layer, layer]), ["links:1"])
    second = "%064x/layer.tar" % 1
    del files[second]
    write(out, tar([entry(n, d) for n, d in files.items()] +
                   [link(second, "../%064x/layer.tar" % 0)]))


def make_wh_plain(out):
    write(out, tar([entry(".wh.name", b"a name like others\n"), entry("name", b"n\n")]))


# --- hostile ---

def make_dotdot(out):
    write(out, tar([entry("../evil", b"x")]))


def make_dotdot_inside(out):
    write(out, tar([folder("a"), entry("a/../../evil", b"x")]))


def make_hardlink_out(out):
    write(out, tar([link("x", "/etc/shadow", tarfile.LNKTYPE)]))


def make_hardlink_dotdot(out):
    write(out, tar([entry("f", b"x"), link("x", "../f", tarfile.LNKTYPE)]))


def make_hardlink_dir(out):
    write(out, tar([folder("d"), link("x", "d", tarfile.LNKTYPE)]))


def make_through_file(out):
    write(out, tar([entry("f", b"x"), entry("f/x", b"x")]))


def make_link_loop(out):
    write(out, tar([link("a", "b"), link("b", "a"), entry("a/x", b"x")]))


def make_root_file(out):
    write(out, tar([entry("./", b"x", type=tarfile.SYMTYPE, linkname="y")]))


def make_long_name(out):
    write(out, tar([entry("n" * 300, b"x")]))


def make_long_path(out):
    write(out, tar([entry("/".join(["d"] * 3000), b"x")]))


def make_giant(out):
    i, _ = entry("giant", size=1 << 50)
    write(out, i.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)


def make_negative(out):
    i, _ = entry("f", b"x")
    raw = bytearray(i.tobuf(tarfile.GNU_FORMAT))
    raw[124:136] = b"\xff" * 12
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    write(out, bytes(raw) + b"\0" * 1024)


def make_truncated(out):
    write(out, tar([entry("f", b"x" * 100000)])[:50000])


def make_truncated_gz(out):
    write(out, gzip.compress(tar([entry("f", os.urandom(100000))]))[:50000])


def make_garbage(out):
    write(out, b"\x01\x02\x03garbage" * 1000)


def make_empty(out):
    write(out, b"")


def make_bomb(out):
    with gzip.open(out, "wb") as f:
        i, _ = entry("zeros", size=300 << 20)
        f.write(i.tobuf())
        for _ in range(300):
            f.write(b"\0" * (1 << 20))


def make_many_small(out):
    """More bytes than allowed in many files."""
    write(out, tar([entry("f%d" % n, b"x" * 1000000) for n in range(12)]))


def make_many_entries(out):
    """One entry more than an image may have, counting the root and the directory."""
    raw = bytearray(entry("d/0000000", b"")[0].tobuf(tarfile.USTAR_FORMAT))
    raw[148:156] = b" " * 8
    rest = sum(raw) - sum(raw[2:9])
    with gzip.open(out, "wb", 1) as f:
        for n in range(1999999):
            raw[2:9] = b"%07d" % n
            raw[148:156] = b"%06o\0 " % (rest + sum(raw[2:9]))
            f.write(raw)
        f.write(b"\0" * 1024)


def make_bad_layer(out):
    lay = good()
    name = max(lay.files, key=lambda n: len(lay.files[n]))
    data = bytearray(lay.files[name])
    data[-1] ^= 1
    lay.files[name] = bytes(data)
    lay.to_tar(out)


def make_bad_manifest(out):
    lay = good()
    m = json.loads(lay.files["index.json"])["manifests"][0]["digest"][7:]
    lay.files["blobs/sha256/" + m] += b" "
    lay.to_tar(out)


def make_missing_layer(out):
    lay = good()
    del lay.files[max(lay.files, key=lambda n: len(lay.files[n]))]
    lay.to_tar(out)


def make_bad_docker(out):
    layers = [tar(LOWER)]
    files = docker_files([tar(UPPER)], config(layers), ["x:1"])
    write(out, tar([entry(n, d) for n, d in files.items()]))


def make_big_manifest(out):
    Layout().index([{"pad": "x" * (5 << 20)}]).to_tar(out)


def make_deep_json(out):
    lay = Layout()
    lay.files["index.json"] = b'{"manifests":' + b"[" * 100000 + b"]" * 100000 + b"}"
    lay.to_tar(out)


def make_deep_index(out):
    lay = Layout()
    d = lay.image([tar(LOWER)], config([tar(LOWER)]))
    for _ in range(8):
        d = lay.add_json({"manifests": [d]})
    lay.index([d]).to_tar(out)


def make_no_digest(out):
    Layout().index([{"digest": "sha256:../../../../etc/passwd", "size": 1}]).to_tar(out)


def make_name_out(out):
    layers = [tar(LOWER)]
    files = docker_files(layers, config(layers), ["../../evil:1"])
    write(out, tar([entry(n, d) for n, d in files.items()]))


def make_layer_out(out):
    layers = [tar(LOWER)]
    files = docker_files(layers, config(layers), ["x:1"])
    m = json.loads(files["manifest.json"])
    m[0]["Layers"] = ["../../../../../../etc/passwd"]
    files["manifest.json"] = json.dumps(m).encode()
    write(out, tar([entry(n, d) for n, d in files.items()]))


def make_no_wh_target(out):
    layers = [tar(LOWER), tar([entry("dir/.wh...", b"")])]
    lay = Layout()
    lay.index([lay.image(layers, config(layers))]).to_tar(out)


def make_nul_config(out):
    layers = [tar(LOWER)]
    lay = Layout()
    lay.index([lay.image(layers, config(layers, Cmd=["a\0b"]))]).to_tar(out)


def make_outside(out, there):
    """Names and links that lead to the directory `there` for whoever looks them up on the host."""
    write(out, tar([
        entry(there + "/absolute", b"x"),
        link("door", there), entry("door/through", b"x"),
        link("up", "../" * 40 + there[1:]), entry("up/upwards", b"x"),
        link("new", there + "/new"), entry("new", b"x"),
        entry("old", b"x"), link("old", there + "/secret"),
    ]))


if __name__ == "__main__":
    globals()["make_" + sys.argv[1]](*sys.argv[2:])
