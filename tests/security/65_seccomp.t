# SPDX-License-Identifier: Apache-2.0
# A call outside a thread's table ends the machine, and the verdict names call, thread and process
# shellcheck shell=bash disable=SC1091,SC2154
. "$(dirname "$0")/../lib/common.sh"
command -v strace >/dev/null || skip_all "strace is not there"
is_root || skip_all "strace follows a jail only as root"

# strace puts another number in the place of one of the thread's own calls, before the filter looks.
# foreign PROCESS THREAD CALL WHEN OTHER
foreign() {
	timeout -k 5 "$(scaled 60)" strace -f -qq -o /dev/null -e "trace=$3" \
		-e "inject=$3:error=EPERM:syscall=$5:when=$4" \
		"$MAYFLY" run --engine "$MAYFLY_ENGINE" --status-fd 9 -- cat /usr/bin/bash \
		</dev/null >"$T/out" 2>"$T/err" 9>"$T/verdict"
	rc=$?
	is "$rc" 125 "$1, thread $2: $5 ends the machine"
	is "$(jq -r '[.reason, .process, .thread, .call] | join(" ")' "$T/verdict")" "seccomp $1 $2 $5" \
		"the verdict says so"
}

# Calls that only that thread makes, and only when the machine runs.
foreign vmm fs-device preadv 2 getuid
foreign vmm main accept4 1 getppid
foreign fs main openat2 3 geteuid
if [ "$MAYFLY_ENGINE" = kvm ]; then
	foreign vmm vcpu0 ioctl 150 getgid
else
	foreign qemu any ppoll 50 getuid
fi

# The tool does no harm by itself: another call of the thread's table goes through.
strace -f -qq -o /dev/null -e trace=accept4 -e inject=accept4:error=EAGAIN:syscall=getpid:when=1 \
	"$MAYFLY" run --engine "$MAYFLY_ENGINE" -- true </dev/null >"$T/out" 2>"$T/err"
is "$?" 0 "a call that the table has goes through"
unlike "$(err)" "forbidden system call" "and is not reported"
done_testing
