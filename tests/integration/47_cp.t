# SPDX-License-Identifier: Apache-2.0
# mayfly cp: into a machine and out of it, targets, what is refused, a full disk, interruption
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
"$MAYFLY" start --help >/dev/null 2>&1 </dev/null || skip_all "this mayfly has no 'start'"
m=cp-$$-$RANDOM
at_exit() { "$MAYFLY" kill "$m"; "$MAYFLY" rm "$m"; } >/dev/null 2>&1
timeout -k 5 "$(scaled 60)" "$MAYFLY" start --engine "$MAYFLY_ENGINE" --name "$m" --no-cwd --workdir /tmp \
	>"$T/out" 2>"$T/err" </dev/null || { fail "start"; done_testing; }
cp_() { # ARGUMENT...
	local t0
	t0=$(now_ms)
	timeout -k 5 "$(scaled "${VM_LIMIT:-60}")" "$MAYFLY" cp "$@" >"$T/out" 2>"$T/err" </dev/null
	rc=$?
	ms=$(($(now_ms) - t0))
}
in_it() { timeout -k 5 "$(scaled 30)" "$MAYFLY" exec --no-stdin "$m" -- sh -c "$1"; }

## There and back
mkdir -p src/sub/deep src/empty back && echo x >src/sub/deep/x && : >src/zero && ln -s ../nowhere src/link
truncate -s 100M src/hole && echo end >>src/hole && chmod 640 src/zero && chmod 500 src/sub/deep
touch -d @1000000000 src/sub src/zero && touch -h -d @1100000000 src/link
cp_ src "$m:/tmp"
is "$rc $(err)" "0 " "a tree goes in"
is "$(in_it 'cd /tmp/src && stat -c "%n %a %Y %u" sub zero && readlink link && stat -c "%n %a" sub/deep')" \
	"sub 755 1000000000 $(id -u)
zero 640 1000000000 $(id -u)
../nowhere
sub/deep 500" "with modes, times, links; it is the machine's user's"
below "$(in_it 'du -k /tmp/src/hole' | cut -f 1)" 100 "a hole stays one"
cp_ "$m:/tmp/src" back
is "$rc $(diff -r --no-dereference src back/src)" "0 " "and out again, the same"
is "$(stat -c '%a %Y' back/src/sub)" "755 1000000000" "with modes and times"

## Targets
echo one >one
cp_ one "$m:new"
is "$rc $(in_it 'cat /tmp/new')" "0 one" "a relative path is one of the machine's working directory"
cp_ one "$m:/tmp/src/empty/"
is "$rc $(in_it 'cat /tmp/src/empty/one')" "0 one" "into a directory"
cp_ src/. "$m:/tmp/content"
is "$rc $(in_it 'ls /tmp/content' | tr '\n' ' ')" "0 empty hole link sub zero " "/. is the content"
cp_ one "$m:/tmp/none/one"
is "$rc" 1 "a directory that is not there"
like "$(err)" "in the machine: can't open the directory '/tmp/none'" "is named"
cp_ one "$m:/tmp/none/"
is "$rc" 1 "nor is one made of a slash"
cp_ "$m:/tmp/new" back/renamed
is "$rc $(cat back/renamed)" "0 one" "out, under another name"
cp_ "$m:new" .
is "$rc $(cat new)" "0 one" "out, into the current directory"
cp_ "$m:new" -
is "$rc $(out)" "0 one" "out, to standard output"
cp_ "$m:/tmp/src/hole" - && is "$(sha256sum <"$T/out")" "$(sha256sum <src/hole)" "with its holes as zeros"

## Refused
for wrong in "one two" "$m:a $m:b" "one" "one two $m:x" "- $m:x" "one $m:" "--nix one $m:x"; do
	# shellcheck disable=SC2086
	cp_ $wrong
	is "$rc" 125 "cp $wrong is refused"
done
cp_ missing "$m:/tmp/x"
like "$rc $(err)" "^1 .*missing.*No such file" "a source that is missing"
cp_ "$m:/tmp/missing" x
like "$rc $(err)" "^1 .*nothing of this name" "in the machine, too"
cp_ one "no-$m:/tmp"
like "$rc $(err)" "^1 .*no-$m" "a machine that is none"
if ! is_root; then
	cp_ one "$m:/usr/bin/one"
	like "$rc $(err)" "^1 .*Permission denied" "what the machine's user may not write"
fi
mkfifo src/pipe
cp_ src "$m:/tmp/again"
is "$rc" 0 "a pipe is left out"
like "$(err)" "note: src/pipe: not copied: a named pipe" "with a note"

## Links in the way
in_it 'ln -s /tmp/elsewhere /tmp/planted; mkdir /tmp/elsewhere /tmp/way; ln -s /tmp/elsewhere /tmp/way/sub'
cp_ one "$m:/tmp/planted"
is "$rc" 1 "a link is no target"
cp_ src/. "$m:/tmp/way"
is "$rc $(in_it 'ls /tmp/elsewhere')" "1 " "nor is one gone through"
in_it 'mkdir /tmp/t1 /tmp/t2; ln -s /etc /tmp/t1/d; mkdir /tmp/t2/d; echo 1 >/tmp/t2/d/f'
mkdir both
cp_ "$m:/tmp/t1/." both && cp_ "$m:/tmp/t2/." both
is "$rc" 1 "on the host neither"

## A full disk, a large copy, an end in the middle
head -c 3000000000 /dev/zero 2>/dev/null | tr '\0' x | head -c "$((1500000000 / MAYFLY_TIME_SCALE))" >large
if [ "$MAYFLY_TIME_SCALE" -eq 1 ]; then
	VM_LIMIT=120 cp_ large "$m:/tmp/large"
	is "$rc $(in_it 'ls /tmp/large* 2>/dev/null')" "1 " "more than the machine holds: nothing half is left"
	like "$(err)" "in the machine: can't write '/tmp/large': (No space left|Disk quota)" "and it is said"
fi
truncate -s "$(($(fewer 64) * 1000000))" large
cp_ large "$m:/tmp/large"
is "$rc $(in_it 'sha256sum </tmp/large')" "0 $(sha256sum <large)" "$(fewer 64) MB go in byte-exact"
diag "measured: in $ms ms"
cp_ "$m:/tmp/large" back
is "$rc $(sha256sum <back/large)" "0 $(sha256sum <large)" "and come out"
diag "measured: out $ms ms"
rm -f back/large
"$MAYFLY" cp "$m:/tmp/large" back >"$T/out" 2>"$T/err" </dev/null &
pid=$!
kill -INT "$pid"
wait "$pid"
like "$?" "^(130|0)$" "Ctrl-C ends it"
is "$(find back -name '.mayfly-out-*' | wc -l)" 0 "nothing temporary is left"

## Machines that are not there to answer
if "$MAYFLY" pause "$m" >/dev/null 2>&1; then
	cp_ one "$m:/tmp/x"
	is "$rc" 1 "a paused machine"
	like "$(err)" "paused" "says so"
	"$MAYFLY" resume "$m"
fi
"$MAYFLY" kill "$m" >/dev/null 2>&1
cp_ one "$m:/tmp/x"
is "$rc" 1 "a machine that is over"
like "$(err)" "stopped|about to" "says so"
done_testing
