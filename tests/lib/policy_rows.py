# SPDX-License-Identifier: Apache-2.0
"""policy_rows.py - which rows of the seccomp tables were used, from strace's files

usage: policy_rows.py ROWS ENGINE PREFIX...

ROWS is the output of seccomp_gen --rows. PREFIX.* are the files of one
`strace -ff -X verbose -e 'raw=!prctl,seccomp,execve,execveat'` each; one that ends in "-rw" is of a
machine with a writable share. Prints one line a finding:
"unused TABLE CALL CONDITIONS: REASON" for rows that nothing used and no test forces,
"forbidden TABLE CALL in FILE", and last "rows USED of ALL, CALLS calls".
"""

import collections
import glob
import re
import sys

TABLES = {
    "tcg": ("vmm-tcg", "fsdev-tcg", "fsdev-tcg-rw", "blk-tcg", "blk-io", "fs", "fs-rw", "qemu", "image", "image-dir"),
    "kvm": ("vmm-kvm", "vcpu-kvm", "fsdev-kvm", "fsdev-kvm-rw", "blk-kvm", "blk-io", "fs", "fs-rw"),
}
LOADED = re.compile(r"seccomp\(0x1 .*, \{len=.*\) = \d")
CALL = re.compile(r"(\w+)\((.*?)(?:\) += |\)? <unfinished|<detached|$)")

Row = collections.namedtuple("Row", "table number call conditions test reason")


def read_rows(name):
    rows = []
    with open(name) as f:
        for line in f:
            table, number, call, conditions, _, test, reason = line.rstrip("\n").split("\t")
            tests = [[int(x, 0) for x in re.split("[&=]", c)] for c in conditions.split()]
            rows.append(Row(table, int(number), call, tests, test, reason))
    return rows


def table_of(text, engine, rw):
    """Which table the thread behind a file has, None if none; rw: "-rw" or ""."""
    name = re.findall(r'PR_SET_NAME \*/, "([^"]*)"', text)
    if name and name[-1] in ("image", "image-dir"):
        return name[-1]
    if "fs-device" in name:
        return "fsdev-" + engine + rw
    if "blk-io" in name:
        return "blk-io"
    if any(n.startswith("disk") for n in name):
        return "blk-" + engine
    if any(n.startswith("vcpu") for n in name):
        return "vcpu-" + engine
    run = re.findall(r'^execve(?:at)?\([^\[]*\["([^"]*)"', text, re.M)
    if not run:
        # A thread of QEMU, or a process that failed before its exec.
        return "qemu" if engine == "tcg" and "\nset_robust_list(" in "\n" + text else None
    run = run[-1].rsplit("/", 1)[-1]
    return {"mayfly-vmm": "vmm-" + engine, "mayfly-fs": "fs" + rw}.get(
        run, "qemu" if run.startswith("qemu-system") else None)


def arguments(text):
    """Numbers as far as they are numbers; what strace decoded has its number first."""
    out = []
    for part in text.split(", "):
        m = re.match(r"-?(0x[0-9a-f]+|\d+)", part)
        out.append(int(m.group(0), 0) & (2**64 - 1) if m else 0)
    return out + [0] * 6


def calls_of(text, table):
    lines = text.rstrip("\n").split("\n")
    # strace was once seen to write the killer's own call into the file of the thread it kills.
    if len(lines) > 1 and lines[-1].startswith("+++ killed by SIGKILL"):
        lines = lines[:-2]
    loaded = [i for i, line in enumerate(lines) if LOADED.match(line)]
    for line in lines[loaded[0] + 1 if loaded else 0:]:
        m = CALL.match(line)
        if not m or not (loaded or table == "qemu"):
            continue
        if m.group(1) == "execveat":
            # Its words are in the line as well.
            flags = re.search(r", (0x[0-9a-f]+) /\* AT_\w+ \*/", line)
            yield m.group(1), [0] * 4 + [int(flags.group(1), 0) if flags else 0, 0]
        else:
            yield m.group(1), arguments(m.group(2))


def main():
    rows = [r for r in read_rows(sys.argv[1]) if r.table in TABLES[sys.argv[2]]]
    by_call = collections.defaultdict(list)
    for r in rows:
        by_call[r.table, r.call].append(r)
    used, forbidden, calls, seen = set(), set(), 0, set()
    for prefix in sys.argv[3:]:
        for name in glob.glob(prefix + ".*"):
            with open(name, errors="replace") as f:
                text = f.read()
            table = table_of(text, sys.argv[2], "-rw" if prefix.endswith("-rw") else "")
            if not table:
                continue
            for call, args in calls_of(text, table):
                calls += 1
                seen.add(table)
                hits = [r for r in by_call[table, call]
                        if all(args[a] & mask == value for a, mask, value in r.conditions)]
                used.update((r.table, r.number) for r in hits)
                if not hits:
                    forbidden.add("forbidden %s %s(%s) in %s" % (
                        table, call, ", ".join("%#x" % a for a in args[:6]), name))
    for r in rows:
        if (r.table, r.number) not in used and not r.test:
            print("unused", r.table, r.call,
                  " ".join("%d&%#x=%#x" % tuple(c) for c in r.conditions) + ":", r.reason)
    for line in sorted(forbidden):
        print(line)
    for table in sorted(set(TABLES[sys.argv[2]]) - seen):
        print("unseen", table)
    print("rows %d of %d, %d calls" % (len(used), len(rows), calls))


main()
