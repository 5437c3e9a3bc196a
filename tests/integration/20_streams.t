# SPDX-License-Identifier: Apache-2.0
# Standard input, output and error: exact, apart, with back-pressure, with an end
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
not_again
run=("$MAYFLY" run --engine "$MAYFLY_ENGINE")

big=$(fewer 200)
head -c "${big}M" /dev/urandom >"$T/big"
want=$(sha256sum <"$T/big")
t0=$(now_ms)
got=$(timeout -k 5 "$(scaled 120)" "${run[@]}" -- cat <"$T/big" 2>"$T/err" | sha256sum)
is "$got" "$want" "$big MiB through cat are byte-exact"
diag "measured: $big MiB through cat in $(($(now_ms) - t0)) ms"

some=$(fewer 20)
got=$(head -c "${some}M" "$T/big" | timeout -k 5 "$(scaled 60)" "${run[@]}" -- sha256sum 2>"$T/err")
is "$got" "$(head -c "${some}M" "$T/big" | sha256sum)" "$some MiB arrive through a pipe"
rm "$T/big"

VM_LIMIT=30 vm -- sh -c 'yes | head -n 2'
is "$(out)/$rc" $'y\ny/0' "yes | head in the guest ends"

t0=$(now_ms)
got=$(timeout -k 5 "$(scaled 30)" "${run[@]}" -- yes 2>"$T/err" | head -n 2)
ms=$(($(now_ms) - t0))
is "$got" $'y\ny' "mayfly run -- yes | head on the host gives its lines"
soon "$ms" 8000 "and ends ($ms ms)"

t0=$(now_ms)
got=$(timeout -k 5 "$(scaled 30)" "${run[@]}" -- head -c 10 </dev/zero 2>"$T/err" | wc -c)
ms=$(($(now_ms) - t0))
is "$got" 10 "an endless standard input does not keep a command that has read enough"
soon "$ms" 8000 "and it ends ($ms ms)"

VM_IN=/dev/zero vm -- true
is "$rc" 0 "a command that reads nothing of an endless input ends"

VM_LIMIT=20 vm -- sh -c 'sleep 1000 & echo hi'
is "$(out)/$rc" "hi/0" "a child left in the background does not keep the run"
soon "$ms" 6000 "it returns at once ($ms ms)"

vm -- sh -c 'echo to-out; echo to-err >&2; echo out2; echo err2 >&2'
is "$(out)" $'to-out\nout2' "standard output has what belongs to it"
is "$(err)" $'to-err\nerr2' "standard error, too"

vm -- sh -c 'cat; echo "end $?"'
is "$(out)" "end 0" "/dev/null is an empty input"
got=$(printf 'no newline' | timeout -k 5 "$(scaled 30)" "${run[@]}" -- sh -c 'cat; echo "|end"' 2>"$T/err")
is "$got" "no newline|end" "the end of a pipe arrives"
# The writer stays open: what was written must come before the end does.
got=$( (echo one; wait_until 10 grep -q one "$T/live"; echo two) |
	timeout -k 5 "$(scaled 30)" "${run[@]}" -- cat 2>"$T/err" | tee "$T/live")
is "$got" $'one\ntwo' "a line arrives while the input stays open"

got=$(timeout -k 5 "$(scaled 60)" "${run[@]}" -- sh -c "head -c ${some}000000 /dev/zero; echo done >&2" 2>"$T/err" |
	python3 -c '
import os, time
n = 0
# A slow reader: 30 ms for each of the first 20 reads.
for i in range(20):
    n += len(os.read(0, 65536)); time.sleep(0.03)
while True:
    b = os.read(0, 1 << 20)
    if not b: break
    n += len(b)
print(n)')
is "$got" "${some}000000" "a slow reader gets every byte"

vm -- sh -c 'head -c 3000000 /dev/zero & head -c 3000000 /dev/zero >&2; wait'
is "$(stat -c %s "$T/out")/$(stat -c %s "$T/err")" "3000000/3000000" \
	"both outputs at the same time lose nothing"

python3 -c 'import sys; sys.stdout.buffer.write(bytes(range(256)) * 7)' >bytes.bin
VM_IN=bytes.bin vm -- cat
yes_if "every byte value passes both ways" cmp -s bytes.bin "$T/out"

vm -- sh -c 'exec >&-; exec 2>&-; sleep 0.2; exit 5'
is "$rc" 5 "a command that closes its outputs goes on and its status counts"

timeout -k 5 "$(scaled 30)" "${run[@]}" -- sh -c 'exec 0<&-; sleep 0.3; exit 6' <"$W/bytes.bin" >"$T/out" 2>"$T/err"
rc=$?
is "$rc" 6 "one that closes its input, too"

vm -- sh -c 'for i in 0 1 2; do readlink /proc/self/fd/$i; done | sed "s/:.*//" | sort -u'
is "$(out)" "pipe" "the command's three descriptors are pipes"
vm -- sh -c 'ls /proc/self/fd | wc -l'
is "$(out)" 4 "it has no descriptor beyond them (the fourth is ls's own)"

done_testing
