# SPDX-License-Identifier: Apache-2.0
"""containers - crun and podman as peers: the same command in a root of busybox alone, no network

Nothing of theirs is kept: states and storage are below the directory that is given.
"""

import itertools
import json
import os
import pathlib
import shutil
import subprocess

LIMIT_S = 60


def make_root(directory):
    """A root file system with true and echo; None without a static busybox."""
    busybox = shutil.which("busybox")
    if not busybox:
        return None
    root = pathlib.Path(directory, "rootfs")
    (root / "bin").mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    for name in ("true", "echo"):
        (root / "bin" / name).symlink_to("busybox")
    return str(root)


def bundles(directory, root, command):
    """crun has the command in a file of its bundle."""
    bundle = pathlib.Path(directory, "bundle-" + command[0])
    bundle.mkdir()
    subprocess.run(["crun", "spec"], cwd=bundle, check=True, capture_output=True, timeout=LIMIT_S)
    config = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    config["root"] = {"path": root, "readonly": True}
    config["process"].update(terminal=False, args=list(command))
    (bundle / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(bundle)


def crun(directory, root):
    """A function from a command to an argument list."""
    made, number = {}, itertools.count()

    def arguments(command):
        if command[0] not in made:
            made[command[0]] = bundles(directory, root, command)
        return ["crun", "--root", f"{directory}/crun", "run", "--bundle", made[command[0]],
                f"bench-{os.getpid()}-{next(number)}"]
    return arguments


def podman(directory, root):
    """The same."""
    start = ["podman", "--root", f"{directory}/podman", "--runroot", f"{directory}/podman-run", "run",
             "--rm", "--network", "none", "--rootfs", root]
    return lambda command: [*start, *command]


def clean(directory):
    """podman leaves a mount."""
    store = f"{directory}/podman"
    if os.path.isdir(store):
        subprocess.run(["podman", "--root", store, "--runroot", f"{directory}/podman-run", "system",
                        "reset", "--force"], check=False, capture_output=True, timeout=LIMIT_S)
        subprocess.run(["umount", f"{store}/overlay"], check=False, capture_output=True)


def find(directory, missing):
    """{name: function from a command to an argument list} of what runs here; missing: why not."""
    out, root = {}, make_root(directory)
    for name, make in (("crun", crun), ("podman", podman)):
        if not shutil.which(name):
            missing[name] = f"not installed (apt-get install {name})"
            continue
        if not root:
            missing[name] = "no busybox for its root (apt-get install busybox-static)"
            continue
        arguments = make(directory, root)
        try:
            run = subprocess.run(arguments(["true"]), capture_output=True, text=True, check=False,
                                 stdin=subprocess.DEVNULL, errors="replace", timeout=LIMIT_S)
            error = (run.stderr.strip().splitlines() or [f"status {run.returncode}"])[-1]
        except (OSError, subprocess.SubprocessError) as failure:
            run, error = None, str(failure)
        if run and run.returncode == 0:
            out[name] = arguments
        else:
            missing[name] = f"does not run here: {error}"
    return out
