# SPDX-License-Identifier: Apache-2.0
# CPUs and memory as asked for: counts, topology, work on every CPU, CPU time, the smallest machine
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
not_again
. "$TEST_DIR/lib/boot.sh"
guest_programs cpu_work || exit 99
# Enough for the clock's ticks to show it.
rounds=60000000
[ "$MAYFLY_ENGINE/$MAYFLY_TIME_SCALE" != kvm/1 ] || rounds=300000000
# Where CPUs share one of the host's, turns are long and ticks are few.
[ "$MAYFLY_TIME_SCALE" = 1 ] || rounds=300000000
want=$(./cpu_work "$rounds" | sed -n '1s/^work=[0-9]* \([0-9a-f]*\) .*/\1/p')

# Few programs: each start is dear where KVM is emulated.
cat >facts.sh <<'SH'
echo "nproc=$(nproc)"
read -r x </sys/devices/system/cpu/online && echo "online=$x"
for d in /sys/devices/system/cpu/cpu[0-9]*; do
	read -r package <$d/topology/physical_package_id
	read -r core <$d/topology/core_id
	echo "package=$package"
	echo "core=$core"
done
cat /sys/devices/system/cpu/cpu[0-9]*/topology/thread_siblings_list | sed s/^/siblings=/
while read -r key value unit; do
	[ "$key" != MemTotal: ] || echo "memory=$value"
done </proc/meminfo
./cpu_work "$1"
SH
all() { sed -n "s/^$1=//p" "$T/out" | sort -n | tr '\n' ' '; }
# column N: of the lines about the work
column() { sed -n 's/^work=//p' "$T/out" | cut -d' ' -f"$1"; }

# machine CPUS MEMORY MIB
machine() {
	local n=$1 size=$2 kib=$(($3 * 1024)) numbers sum low command
	VM_LIMIT=100 vm --cpus "$n" --memory "$size" -- sh facts.sh "$rounds"
	is "$rc/$(err)" 0/ "$n CPUs and $size of memory: a command runs"
	guest_is nproc "$n" "nproc"
	if [ "$n" = 1 ]; then guest_is online 0 "online"; else guest_is online "0-$((n - 1))" "all are online"; fi
	numbers=$(seq -s ' ' 0 $((n - 1)))
	is "$(all package | tr ' ' '\n' | sort -u | wc -l)" 1 "they are in one socket"
	is "$(all core)/$(all siblings)" "$numbers /$numbers " "each is a core without a second thread"
	# What Linux keeps for itself: its text and data, and 1/64 for the page structures.
	between "$(val memory)" $((kib * 97 / 100 - 14 * 1024)) "$kib" "KiB of memory"

	is "$(column 1 | tr '\n' ' ')" "$numbers " "work runs on each CPU"
	is "$(column 2 | sort -u)" "$want" "with the host's result"
	sum=$(column 3 | awk '{ s += $1 } END { print s + 0 }')
	is "$(column 4 | awk '$1 < 30 { n++ } END { print n + 0 }')" 0 "/proc/stat shows each CPU busy"
	command=$(jq '.timings.command * 1.05 + 100 | floor' "$T/verdict")
	between "$(($(verdict user_usec) / 1000))" "$sum" $((command * n)) \
		"ms of user time: no less than the $sum of the work, no more than $n CPUs have"
	diag "measured: $n CPUs, $size: work $(column 3 | tr '\n' ' ')ms, /proc/stat $(column 4 | tr '\n' ' ')ms, stolen $(column 5 | tr '\n' ' ')ms, $ms ms in all"
}
machine 1 64M 64
machine 2 128M 128
machine 4 1G 1024
done_testing
