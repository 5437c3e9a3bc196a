# SPDX-License-Identifier: Apache-2.0
# mayfly-jailer as a command: statuses, signals, what the program gets, what is left
# shellcheck shell=bash disable=SC1091,SC2154,SC2034
. "$(dirname "$0")/../lib/common.sh"
command -v gcc >/dev/null || skip_all "no compiler"
jailer=$(dirname "$MAYFLY")/mayfly-jailer
chmod 755 "$T" "$W"
gcc -std=gnu11 -D_GNU_SOURCE -O1 -static -o jailed "$TEST_DIR/probe/jailed.c" || exit 99
# j OPTION... -- PROGRAM...: sets rc, fills out and err
j() {
	local t0
	t0=$(now_ms)
	timeout -k 5 "$(scaled 30)" "$jailer" "$@" <"${VM_IN:-/dev/null}" >"$T/out" 2>"$T/err"
	rc=$?
	ms=$(($(now_ms) - t0))
}
j -- ./jailed exit 0
is "$rc" 0 "a program runs"
inventory >"$T/before"

## Status
for n in 1 7 124 125 126 255; do
	j -- ./jailed exit $n
	is "$rc" $n "status $n is the program's"
done
j -- ./jailed fault
is "$rc" 139 "a fault: 128 and the signal"
j --help
is "$rc" 0 "--help"
like "$(out)" "usage: mayfly-jailer .*--tree.*--uid-range" "it lists the options"

## What is wrong
wrong() { # TEXT ARGUMENT...
	local text=$1
	shift
	j "$@"
	is "$rc" 125 "125: ${*:0:60}"
	like "$(err)" "$text" "it says what is wrong"
	is "$(wc -l <"$T/err")" 1 "in one line"
}
: >empty
echo data >plain
wrong "no program given"
wrong "no program given" --jail full
wrong "neither full nor reduced" --jail none -- ./jailed
wrong "nonesuch" --nonesuch -- ./jailed
wrong "absolute path" --tree usr -- ./jailed
wrong "expected PATH:NAME" --file plain -- ./jailed
wrong "expected PATH:NAME" --file plain: -- ./jailed
wrong "can't open 'absent'" --file absent:x -- ./jailed
wrong "not a file's name" --file plain:.. -- ./jailed
wrong "not a file's name" --file plain:.x -- ./jailed
wrong "descriptor 77" --fd 77 -- ./jailed
wrong "fd" --fd 1 -- ./jailed
wrong "fd" --fd x -- ./jailed
wrong "fd" --fd 3:9999 -- ./jailed
wrong "NAME=VALUE" --env =x -- ./jailed
wrong "no table 'x'" --table x -- ./jailed
wrong "memory" --memory lots -- ./jailed
wrong "pids" --pids 0 -- ./jailed
wrong "uid-range" --uid-range 0:10 -- ./jailed
wrong "can't open './absent'" -- ./absent
wrong "can't open 'no-such-program-anywhere'" -- no-such-program-anywhere
wrong "can't start program \(exec\)" -- ./plain
wrong "can't start program \(exec\)" -- ./empty
wrong "exec" -- /usr
many=()
for i in {1..33}; do many+=(--tree "/x$i/"); done
wrong "more than 32" "${many[@]}" -- ./jailed

## What the program gets
j -- ./jailed fds
is "$(out)" "0 1 2 " "standard descriptors and no other"
j --fd 7:20 --fd 8 -- ./jailed fds 7<plain 8<plain 9<plain
is "$(out)" "0 1 2 8 20 " "and those that are named"
j --fd 7:20 -- ./jailed fd 20 7<plain
is "$(out)" data "under their numbers"
VM_IN=plain j -- ./jailed fd 0
is "$(out)" data "standard input"
SECRET=x j --env A=b -e C= -- ./jailed env
is "$(out)" $'A=b\nC=' "the variables that are named and no other"
chmod 600 plain
j --file plain:kernel -- ./jailed read /kernel
is "$(out)" "open: data" "--file: whatever its mode"
chmod 644 plain
j -- ./jailed read /kernel
is "$(out)" ENOENT "not without"
j --tree "$W" -- ./jailed read "$W/plain"
is "$(out)" "open: data" "--tree"
j --tree "$W" -- ./jailed write "$W/plain"
like "$(out)" '^(EROFS|EACCES)$' "for reading"
ln -s /etc/passwd away
j --tree "$W/away" --tree "$W/made/" -- ./jailed read "$W/away"
is "$(out)" ENOENT "a link stays one and leads nowhere"
for path in /etc/passwd /proc/self/exe /proc/1/mem /dev/null; do
	j -- ./jailed read $path
	is "$(out)" ENOENT "full: there is no $path"
done
for path in /etc/passwd /proc/self/status "$W/plain"; do
	j --jail reduced -- ./jailed read "$path"
	is "$(out)" EACCES "reduced: $path can't be opened"
done
j --jail reduced --tree "$W" -- ./jailed read "$W/plain"
is "$(out)" "open: data" "unless it is named"
for path in /proc/self/exe "$W/jailed" "$jailer"; do
	for mode in full reduced; do
		j --jail $mode --tree "$W" -- ./jailed write "$path"
		like "$(out)" '^(ENOENT|EACCES|EROFS|ETXTBSY)$' "$mode: a program can't be written: ${path##*/}"
	done
done
if is_root; then
	j -- ./jailed ids
	unlike "$(out)" "^0 |^[0-9]+ 0 " "an id of its own"
	like "$(out)" ' 0 1$' "no group, and process 1"
	j --uid-range 2100060000:1 -- ./jailed ids
	is "$(out)" "2100060000 2100060000 0 1" "--uid-range"
	j --keep-id -- ./jailed ids
	is "$(out)" "0 0 0 1" "--keep-id"
	j --keep-id --jail reduced -- ./jailed read /etc/shadow
	is "$(out)" EACCES "which gives no rights"
	echo secret >root-only && chmod 600 root-only
	j --tree "$W" -- ./jailed read "$W/root-only"
	is "$(out)" EACCES "a jail's id can't read root's files"
	if [ -d /sys/fs/cgroup ]; then
		j --pids 3 -- ./jailed forks 10
		# The supervisor may still be on its way out of the group.
		like "$(out)" '^[12]$' "--pids: the program and two more"
		j --memory 32M -- ./jailed memory 8
		is "$rc/$(out)" 0/used "--memory: below the limit"
		j --memory 32M -- ./jailed memory 200
		is "$rc/$(out)" 137/ "above it"
	fi
else
	j -- ./jailed ids
	like "$(out)" "^$(id -u) $(id -g) " "the caller's id"
fi
j --table qemu -- ./jailed socket
is "$rc" 125 "a call that the table lacks"
like "$(err)" "forbidden system call socket" "is named"

## Signals, and what is left
clean() {
	local new
	if new=$(compare_inventory "$T/before"); then pass "$1"; else fail "$1"; diag "$new"; fi
}
clean "nothing is left of all these"
# strike PART SIGNAL: while the program waits, with groups where this user can have some
strike() {
	/usr/bin/python3 "$TEST_DIR/lib/watch.py" --part "$1" --signal "$2" --when marker --out "$T/out" --err "$T/err" \
		--limit "$(scaled 30)" -- "$jailer" --pids 20 --memory 64M -- ./jailed wait >"$T/watch"
	rc=$(sed -n 's/^rc=//p' "$T/watch") ms=$(sed -n 's/^ms=//p' "$T/watch") left=$(sed -n 's/^left=//p' "$T/watch")
}
for s in INT:130 TERM:143 HUP:129; do
	strike mayfly "${s%:*}"
	is "$rc/$left" "${s#*:}/" "SIG${s%:*} ends it"
	soon "$ms" 2000 "soon"
	clean "nothing is left"
done
strike mayfly KILL
is "$rc/$left" "137/" "kill -9 of it: its program ends"
clean "nothing is left"
strike jailer KILL
is "$rc/$left" "125/" "kill -9 of its supervisor: its program ends"
# The file of its id is free, and goes with the next start or gc.
is "$(compare_inventory "$T/before" | grep -v '^id ')" "" "nothing is left that is in use"
"$MAYFLY" gc >/dev/null 2>&1
clean "and nothing at all after gc"
if ! is_root; then
	mkdir -m 700 base elsewhere
	ln -s ../elsewhere base/mayfly
	XDG_RUNTIME_DIR=$W/base j -- ./jailed exit 0
	is "$rc" 125 "a link in the place of the machines' directory"
	is "$(ls -A elsewhere)" "" "is not followed"
	rm base/mayfly && mkdir -m 777 base/mayfly && chmod 777 base/mayfly
	XDG_RUNTIME_DIR=$W/base j -- ./jailed exit 0
	is "$rc" 125 "one that others can write"
fi
done_testing
