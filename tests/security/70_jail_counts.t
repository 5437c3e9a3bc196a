# SPDX-License-Identifier: Apache-2.0
# What a machine's jails cost, in counts that are exact: mount tables, processes, system calls
# shellcheck shell=bash disable=SC1091,SC2154,SC2016
. "$(dirname "$0")/../lib/common.sh"
command -v strace >/dev/null || skip_all "strace is not there"
is_root || skip_all "strace follows a jail only as root"

timeout -k 5 "$(scaled 90)" strace -f -qq -o "$T/trace" "$MAYFLY" run --engine "$MAYFLY_ENGINE" --no-cwd -- true
is $? 0 "a machine runs under strace"
# Of each process: its calls until it becomes its program, that program, and its namespaces' flags.
/usr/bin/python3 - "$T/trace" >"$T/counts" <<-'END'
	import re, sys
	calls, program, order = {}, {}, []
	copies = small = 0
	for line in open(sys.argv[1], errors="replace"):
	    pid, rest = line.split(None, 1)
	    if pid not in calls:
	        calls[pid] = 0
	        order.append(pid)
	    call = re.match(r"([a-z_0-9]+)\(", rest)
	    if not call:
	        continue
	    copies += rest.startswith("unshare(CLONE_NEWNS)")
	    small += call[1] == "clone3" and "CLONE_NEWNS" in rest
	    if pid not in program:
	        calls[pid] += 1
	        if call[1] == "execveat":
	            program[pid] = re.search(r'\["([^"]*)"', rest)[1]
	print("copies", copies)
	print("small", small)
	for pid in order:
	    if pid in program:
	        print(program[pid], calls[pid])
END
count() { sed -n "s/^$1 //p" "$T/counts"; }
jails=3
[ "$MAYFLY_ENGINE" = tcg ] || jails=2
is "$(count copies)" 1 "the host's mount table is copied once for the machine"
is "$(count small)" "$jails" "each process gets a copy of the supervisor's small one"
is "$(grep -cE '^(mayfly|qemu)' "$T/counts")" "$((jails + 1))" "processes: the supervisor and one for each jail"
diag "measured: $(paste -sd ' ' "$T/counts")"
below "$(count mayfly-vmm)" 250 "system calls from clone to program, vmm: $(count mayfly-vmm), at most 250"
# Three for each descriptor of a share.
below "$(count mayfly-fs)" 500 "fs: $(count mayfly-fs), at most 500"
[ "$MAYFLY_ENGINE" = kvm ] || below "$(count qemu-system-x86_64)" 300 "qemu: $(count qemu-system-x86_64), at most 300"
done_testing
