# SPDX-License-Identifier: Apache-2.0
# --jail, --no-jail, --uid-range, and a host that forbids namespaces
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"

vm -- true
is "$rc/$(verdict jail)/$(err)" "0/full/" "the whole jail is the default and has nothing to say"
vm --jail none -- true
like "$rc/$(err)" "^125/.*--jail: 'none' is neither full nor reduced" "there is no --jail none"
vm --jail reduced -- echo hello
is "$rc/$(verdict jail)/$(out)" "0/reduced/hello" "the reduced jail runs a command, and the verdict says which it was"
like "$(err)" "warning: --jail reduced: no namespaces" "it warns"
vm --no-jail -- echo hello
if is_root; then
	like "$rc/$(err)" "^125/.*--no-jail: refused as root" "--no-jail is refused as root"
else
	is "$rc/$(verdict jail)/$(out)" "0/none/hello" "--no-jail runs a command"
	like "$(err)" "warning: --no-jail: nothing confines" "and warns"
fi
for bad in 5:1 65534:1 4294967295:1 x 1000: :5 2000000:0 3000000000:2000000000; do
	vm --uid-range "$bad" -- true
	like "$rc/$(err)" "^125/.*--uid-range" "--uid-range $bad is refused"
done

if is_root; then
	"$MAYFLY" run --engine "$MAYFLY_ENGINE" --uid-range 1234567890:1 -- sh -c 'echo ready; exec sleep 600' \
		>"$T/first" 2>&1 </dev/null &
	first=$!
	BACKGROUND+=("$first")
	wait_until 40 grep -q ready "$T/first" && pass "a machine from a range of one id" || fail "a machine from a range of one id"
	uids=$(for p in $(pgrep -P "$(pgrep -P $first)"); do awk '/^Uid/ {print $2}' "/proc/$p/status"; done | sort -u | paste -sd ' ')
	is "$uids" "0 1234567890" "runs under it, but for fs"
	vm --uid-range 1234567890:1 -- true
	like "$rc/$(err)" "^125/.*1234567890" "a second one finds no free id"
	vm --uid-range 1234567890:2 -- true
	is "$rc" 0 "of two ids it takes the other"
	kill "$first"
	wait "$first"
	vm --uid-range 1234567890:1 -- true
	is "$rc" 0 "the id is free when its machine is gone"

	# As an ordinary user where none may make a user namespace.
	forbidden() {
		rm -f "$T/pid" "$T/mapped"
		unshare --user sh -c '
			echo $$ >"$0/pid"
			until [ -e "$0/mapped" ]; do sleep 0.02; done
			# The rights come with the next program, now that this id is root there.
			sh -c "echo 0 >/proc/sys/user/max_user_namespaces" || exit 99
			run=$0/run
			exec setpriv --reuid 12345 --regid 12345 --clear-groups env XDG_RUNTIME_DIR="$run" "$@"' \
			"$T" timeout 60 "$MAYFLY" run --engine "$MAYFLY_ENGINE" --status-fd 9 --no-cwd "$@" \
			</dev/null >"$T/out" 2>"$T/err" 9>"$T/verdict" &
		local pid=$!
		wait_until 10 test -s "$T/pid"
		echo 0 0 65536 >"/proc/$(cat "$T/pid")/uid_map"
		echo 0 0 65536 >"/proc/$(cat "$T/pid")/gid_map"
		touch "$T/mapped"
		wait "$pid"
		rc=$?
	}
	mkdir "$T/run" && chown 12345:12345 "$T/run" && chmod 777 "$T"
	if (cd / && setpriv --reuid 12345 --regid 12345 --clear-groups test -x "$MAYFLY"); then
		cd /
		forbidden -- true
		like "$rc/$(err)" "^125/.*forbids user namespaces to uid 12345 .*doctor.*--jail reduced" \
			"where user namespaces are forbidden one line says so and what to do"
		forbidden --jail reduced -- echo hello
		is "$rc/$(verdict jail)/$(out)" "0/reduced/hello" "the reduced jail works there"
		cd "$W" || exit 99
	else
		skip "the programs are in a directory of root's" "a host that forbids user namespaces"
	fi
fi
done_testing
