# SPDX-License-Identifier: Apache-2.0
# Real programs of the host's file system at work in the guest
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
not_again
guest_programs hello hello32 2>/dev/null || guest_programs hello

mkdir repo
(
	cd repo && git init -q -b main . && echo one >file && git add file &&
		git -c user.name=t -c user.email=t@example.org commit -q -m first
) >"$T/git.log" 2>&1
seq 1 200000 >numbers
cat >script.sh <<'SH'
SCALE=$1
say() { echo "$1=$2"; }
say py "$(timeout $((60 * SCALE)) /usr/bin/python3 -c '
import threading, subprocess, queue
q = queue.Queue()
t = [threading.Thread(target=lambda i=i: q.put(i * i)) for i in range(20)]
[x.start() for x in t]; [x.join() for x in t]
n = sum(q.get() for _ in t)
p = [subprocess.run(["echo", str(i)], capture_output=True, text=True).stdout for i in range(5)]
print(n, "".join(p).split())' 2>&1 | tail -n 1)"
say pl "$(timeout $((30 * SCALE)) perl -MDigest::MD5=md5_hex -e 'my %h = map { $_ => $_ ** 2 } 1..100; my $p = fork; if (!$p) { exit 9 } waitpid $p, 0; print md5_hex("x"), " ", $? >> 8, " ", $h{12}' 2>&1)"
printf '#include <stdio.h>\n#include <math.h>\nint main(int c, char **v){ printf("compiled %%d %%.3f\\n", c, sqrt(c + 1.0)); return 3; }\n' >prog.c
say gcc "$(timeout $((100 * SCALE)) gcc -O1 -o prog prog.c -lm 2>&1 && ./prog; echo " status $?")"
say clone "$(timeout $((60 * SCALE)) git clone -q repo copy 2>&1 && git -C copy log --format=%s && cat copy/file)"
say shared "$(timeout $((60 * SCALE)) git clone -q /shared-repo copy2 2>&1 && cat copy2/file)"
say tarxz "$(mkdir -p rt && timeout $((100 * SCALE)) tar cJf rt/n.tar.xz numbers 2>&1 && cd rt && tar xJf n.tar.xz 2>&1 && cmp numbers ../numbers && echo same)"
say xz "$(timeout $((60 * SCALE)) sh -c 'xz -1 <numbers | xz -d | cmp - numbers' 2>&1 && echo same)"
say ssl "$(timeout $((60 * SCALE)) openssl speed -seconds 1 -bytes 1024 sha256 2>/dev/null | grep -c sha256)"
say dgst "$(echo abc | openssl dgst -sha256 -r | cut -c1-8)"
say b64 "$(./hello a b; echo $?)"
[ -x hello32 ] && say b32 "$(./hello32 x; echo $?)"
say sort "$(sort -rn numbers | head -n 1)"
say awk "$(awk '{ s += $1 } END { printf "%.0f\n", s }' numbers)"
say psx "$(ps -e 2>/dev/null | wc -l)"
say pty "$(timeout $((20 * SCALE)) script -qec 'test -t 1 && echo tty' /dev/null 2>&1 | tr -d '\r')"
say shm "$(/usr/bin/python3 -c '
import multiprocessing as m
def f(x): return x * 2
if __name__ == "__main__":
    with m.Pool(2) as p: print(p.map(f, [1, 2, 3]))' 2>&1 | tail -n 1)"
say lo "$(timeout $((20 * SCALE)) /usr/bin/python3 -c '
import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
c = socket.create_connection(s.getsockname()); a, _ = s.accept()
c.sendall(b"over lo"); print(a.recv(99).decode())' 2>&1 | tail -n 1)"
say date "$(date +%s)"
say urandom "$(head -c 100000 /dev/urandom | xz -1 | wc -c)"
say end yes
SH
VM_LIMIT=200 vm --memory 2G --share "$W/repo:/shared-repo" -- bash script.sh "$MAYFLY_TIME_SCALE"
guest_is end yes "the script came to its end"
guest_is py "2470 ['0', '1', '2', '3', '4']" "python3 with threads and subprocesses"
guest_is pl "9dd4e461268c8034f5c8564e155c67a6 9 144" "perl with fork and a compiled module"
is "$(sed -n '/^gcc=/,/^clone=/p' "$T/out" | head -n 2 | tr '\n' ' ')" "gcc=compiled 1 1.414  status 3 " \
	"gcc compiles in the overlay and the program runs"
is "$(sed -n '/^clone=/,/^shared=/p' "$T/out" | head -n 2 | tr '\n' ' ')" "clone=first one " \
	"git clones a repository of the current directory within it"
guest_is shared one "git clones a repository from a share"
guest_is tarxz same "tar and xz round trip"
guest_is xz same "xz in a pipe"
guest_is ssl 1 "openssl speed -seconds 1"
guest_is dgst edeaaff3 "openssl dgst"
is "$(sed -n '/^b64=/,+1p' "$T/out" | tr '\n' ' ')" "b64=hello 64 2 a 7 " "a 64-bit static binary"
if [ -x hello32 ]; then
	is "$(sed -n '/^b32=/,+1p' "$T/out" | tr '\n' ' ')" "b32=hello 32 1 x 7 " "a 32-bit static binary"
else
	skip "no 32-bit compiler here" "a 32-bit static binary"
fi
guest_is sort 200000 "sort"
guest_is awk 20000100000 "awk"
guest_is pty tty "a pseudo-terminal"
guest_is shm "[2, 4, 6]" "shared memory and semaphores between processes"
guest_is lo "over lo" "TCP over lo"
now=$(date +%s)
drift=$((now - $(val date)))
[ "${drift#-}" -le "$(scaled 20)" ] && pass "the clock is the host's" || fail "the clock is the host's ($drift s off)"
[ "$(val urandom)" -gt 99000 ] && pass "/dev/urandom is random" || fail "/dev/urandom is random"
is "$(ls "$W")" "$(printf '%s\n' hello hello32 numbers repo script.sh | while read -r f; do [ -e "$f" ] && echo "$f"; done)" \
	"nothing of it is on the host"

done_testing
