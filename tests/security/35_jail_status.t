# SPDX-License-Identifier: Apache-2.0
# What the kernel says of the processes of a live machine: rights, tables, namespaces, roots
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016,SC2013
. "$(dirname "$0")/../lib/common.sh"

mkdir data
truncate -s 4M disk.img
"$MAYFLY" run --engine "$MAYFLY_ENGINE" --cpus 2 --disk disk.img --scratch 16M --share "$PWD/data:/data" --timeout "$(scaled 60)s" -- \
	sh -c 'ls /data /etc >/dev/null; echo ready; exec sleep 600' >"$T/out" 2>"$T/err" </dev/null &
pid=$!
BACKGROUND+=("$pid")
supervisor() { cat "/proc/$pid/task/$pid/children"; }
process() { # NAME
	local q
	for q in $(cat /proc/"$(supervisor | tr -d ' ')"/task/*/children); do
		tr '\0' '\n' <"/proc/$q/cmdline" | head -n 1 | grep -q "$1" && echo "$q"
	done
}
# of all threads: the values that a key of their status has
values() { sed -n "s/^$2:[\t ]*//p" /proc/"$1"/task/*/status | sort -u | tr '\t' ' ' | paste -sd ';'; }
if ! wait_until 40 grep -q ready "$T/out"; then
	fail "the command starts"
	done_testing
fi
sup=$(supervisor | tr -d ' ')
names="vmm fs"
[ "$MAYFLY_ENGINE" = kvm ] || names="qemu vmm fs"
none=0000000000000000
for name in $names; do
	p=$(process "$([ "$name" = qemu ] && echo qemu || echo "mayfly-$name")")
	declare "pid_$name=$p"
	diag "$(printf '%-5s threads %-2s seccomp %s no_new_privs %s bounds %s uid %s groups (%s)' "$name" \
		"$(find /proc/"$p"/task -mindepth 1 -maxdepth 1 | wc -l)" "$(values "$p" Seccomp)" \
		"$(values "$p" NoNewPrivs)" "$(values "$p" CapBnd)" "$(values "$p" Uid)" "$(values "$p" Groups)")"
	is "$(values "$p" NoNewPrivs)" 1 "$name: no_new_privs in every thread"
	is "$(values "$p" Seccomp)" 2 "$name: a table of system calls in every thread"
	is "$(for c in CapInh CapPrm CapEff CapBnd CapAmb; do values "$p" $c; done | sort -u)" $none \
		"$name: all five capability sets are empty in every thread"
	is "$(sed -n 's/^Max core file size *\([0-9a-z]*\) *\([0-9a-z]*\).*/\1 \2/p' /proc/"$p"/limits)" "0 0" "$name: no core files"
	is "$(wc -c <"/proc/$p/environ")" 0 "$name: an empty environment"
	# fs reopens what it holds by number, in a procfs that shows itself alone.
	is "$(readlink "/proc/$p/cwd")" "$([ "$name" = fs ] && echo /1/fd || echo /)" "$name: works in its root"
	is "$(sed -n 's/^NSpid:[\t ]*//p' "/proc/$p/status" | awk '{print $NF}')" 1 "$name: the first of its PID namespace"
	own=""
	for ns in mnt pid net ipc uts cgroup; do
		n=$(readlink "/proc/$p/ns/$ns")
		[ -n "$n" ] && [ "$n" != "$(readlink "/proc/self/ns/$ns")" ] && ! grep -qF "$n" "$T/namespaces" 2>/dev/null &&
			own="$own $ns"
		echo "$n" >>"$T/namespaces"
	done
	is "$own" " mnt pid net ipc uts cgroup" "$name: namespaces that nobody shares"
	is "$(wc -l <"/proc/$p/net/dev")" 3 "$name: no network device but the loopback, which is down"
	if is_root; then
		is "$(values "$p" Groups)" "" "$name: no supplementary group"
	else
		isnt "$(readlink "/proc/$p/ns/user")" "$(readlink /proc/self/ns/user)" "$name: a user namespace"
	fi
	# The tree that it can see, without what lies in the directories shown to QEMU.
	tree=$(cd "/proc/$p/root" && find . -mindepth 1 -maxdepth 3 \( -path ./usr/lib -o -path ./usr/lib64 -o -path ./lib -o -path ./lib64 -o -path ./usr/local/lib -o -path './usr/share/qemu' -o -path './usr/share/seabios' -o -path ./usr/local/share/qemu \) -prune -print -o -print | sort | paste -sd ' ')
	if [ "$name" = qemu ]; then
		extra=""
		for f in $tree; do
			case $f in
			./etc | ./etc/ld.so.cache | ./kernel | ./init | ./lib | ./lib64 | ./usr | ./usr/bin | ./usr/lib | ./usr/lib64 | \
				./usr/share | ./usr/share/qemu | ./usr/share/seabios | ./usr/local | ./usr/local/bin | ./usr/local/lib | \
				./usr/local/share | ./usr/local/share/qemu) ;;
			*) extra="$extra $f" ;;
			esac
		done
		is "$extra" "" "$name: sees libraries, firmware, its two files and nothing else"
		is "$(awk '$4 != "/" || $5 != "/" {print $6}' "/proc/$p/mountinfo" | grep -vc '^ro,')" 0 "$name: all of it read-only"
	else
		is "$tree" "" "$name: an empty root"
	fi
	is "$(grep -c . "/proc/$p/mountinfo")" "$(awk '$6 ~ /^ro/' "/proc/$p/mountinfo" | wc -l)" "$name: every mount is read-only"
done
if is_root; then
	vmm_uid=$(values "$pid_vmm" Uid)
	isnt "${vmm_uid%% *}" 0 "the VMM has an id of its own"
	[ "$MAYFLY_ENGINE" = kvm ] || is "$(values "$pid_qemu" Uid)" "$vmm_uid" "and QEMU the same"
	is "$(values "$pid_fs" Uid)" "0 0 0 0" "fs keeps the caller's"
	is "$(values "$sup" CapEff);$(values "$sup" CapPrm)" "0000000000000020;0000000000000022" \
		"of the supervisor's capabilities CAP_KILL is in effect, CAP_DAC_OVERRIDE is kept for the cgroup"
else
	is "$(values "$pid_vmm" Uid)" "$(id -u) $(id -u) $(id -u) $(id -u)" "the VMM runs as the caller, in a user namespace"
fi
is "$(values "$sup" NoNewPrivs)" 1 "the supervisor can gain nothing by executing"
is "$(cd "/proc/$sup/root" && find . -mindepth 1 | wc -l)" 0 "the supervisor has left the host's files"
kill "$pid"
wait_until 20 gone "$pid" && pass "it ends when asked to" || fail "it ends when asked to"
done_testing
