# SPDX-License-Identifier: Apache-2.0
# Nobody in the guest but the agent gets through to the host's port, or to the agent's listener
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
guest_programs vsock_try
cat >try.sh <<'SH'
say() { echo "$1=$2"; }
say host "$(./vsock_try 2 1024)"
say low "$(./vsock_try 2 1024 1000)"
say same "$(./vsock_try 2 1024 1023)"
say other "$(./vsock_try 2 1025)"
say ssh "$(./vsock_try 2 22)"
say zero "$(./vsock_try 2 0)"
say hyper "$(./vsock_try 0 1024)"
say loop "$(./vsock_try 1 1024)"
say cid3 "$(./vsock_try 3 1024)"
say self "$(./vsock_try "$(/usr/bin/python3 -c '
import fcntl, struct
try:
    f = open("/dev/vsock", "rb"); b = fcntl.ioctl(f, 0x7b9, b"\0" * 4); print(struct.unpack("I", b)[0])
except OSError: print(3)')" 1024)"
i=0
while [ $i -lt 40 ]; do ./vsock_try 2 1024 >/dev/null; i=$((i + 1)); done
say end "$i"
exit 21
SH
for who in user root; do
	id=1000
	[ $who = root ] && id=0
	VM_LIMIT=120 vm --user $id -- sh try.sh
	is "$rc/$(val end)" "21/40" "$who: the command's own connection is not disturbed"
	unlike "$(val host)" "^connected|^$" "$who: the host's port 1024 takes no connection ($(val host))"
	for key in other ssh zero hyper; do
		unlike "$(val $key)" "^connected|^$" "$who: nor $key ($(val $key))"
	done
	if [ $who = user ]; then
		like "$(val low)" "^bind: Permission denied" "$who: a source port below 1024 is not for users"
		like "$(val same)" "^bind: Permission denied" "$who: the agent's neither"
	else
		unlike "$(val low)" "^connected|^$" "$who: a low source port does not help ($(val low))"
		unlike "$(val same)" "^connected|^$" "$who: the agent's does not either ($(val same))"
	fi
	for key in loop cid3 self; do
		# The agent accepts and closes at once, or nothing is there: no byte comes back.
		unlike "$(val $key)" "read [1-9]" "$who: the agent's listener does not answer $key ($(val $key))"
	done
	is "$(err)" "" "$who: and nothing is said on standard error"
done

# On the host, the machine's socket is its owner's alone.
timeout -k 5 "$(scaled 30)" "$MAYFLY" run --engine "$MAYFLY_ENGINE" --verbose -- sh -c 'echo started; cat' \
	>"$T/out" 2>"$T/err" < <(wait_until 20 test -e "$T/go") &
pid=$!
if wait_until 15 grep -q started "$T/out"; then
	id=$(sed -nE 's/.*machine ([a-z0-9-]+) started.*/\1/p' "$T/err" | head -n 1)
	base=/run/mayfly
	is_root || base=${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/mayfly}
	base=${base:-${TMPDIR:-/tmp}/mayfly-$(id -u)}
	is "$(stat -c %a "$base" "$base/$id" | tr '\n' ' ')" "700 700 " "the state directory is the owner's alone"
	is "$(stat -c %u "$base/$id")" "$(id -u)" "it belongs to the caller"
	if is_root; then
		got=$(timeout "$(scaled 5)" setpriv --reuid 65533 --regid 65533 --clear-groups /usr/bin/python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(3)
try: s.connect(sys.argv[1]); print("connected")
except OSError as e: print(e.strerror)' "$base/$id/vsock.sock")
		is "$got" "Permission denied" "another user of the host can't connect to the machine"
	else
		skip "needs root" "another user of the host can't connect to the machine"
	fi
else
	fail "the machine for the host side started"
fi
touch "$T/go"
wait "$pid"

done_testing
