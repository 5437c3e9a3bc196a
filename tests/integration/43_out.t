# SPDX-License-Identifier: Apache-2.0
# --out: what comes out, when, how, and what a hostile guest or a full disk makes of it
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"

# Names a run must never leave behind.
temporaries() { find "$W" -name '.mayfly-out-*' | wc -l; }
listing() { (cd "$1" && find . \( -type d -printf '%P|d|%m|%Ts\n' -o -printf '%P|%y|%m|%s|%Ts|%l\n' \) | sort); }

## A file, relative and absolute, into a name, a directory, another name
mkdir into
vm --out f:./f --out /tmp/g:into --out f:into/h -- \
	sh -c 'echo file >f; echo other >/tmp/g; chmod 640 f; touch -d @1000000000 f'
is "$rc" 0 "a run with three --out"
is "$(cat f)" file "a file relative to the command's directory"
is "$(stat -c '%a %Y' f)" "640 1000000000" "has its mode and time"
is "$(stat -c %u f)" "$(id -u)" "and belongs to the user"
is "$(cat into/g into/h | tr '\n' ' ')" "other file " "into a directory, and under another name"
is "$(err)" "" "nothing is said"

## A tree: modes, times, links, odd names, empty directories, holes, what is skipped
cat >tree.sh <<'SH'
mkdir -p t/sub/deep t/empty t/ro && cd t || exit 1
echo x >sub/deep/x; echo ro >ro/inside; echo s >suid; echo sp >'a b'; printf nl >'a
b'; printf raw >"$(printf 'raw\377\376')"; : >zero
ln -s ../nowhere dangling; ln -s /etc/shadow abs; ln sub/deep/x hard; mkfifo fifo
truncate -s 200M hole; echo end >>hole; chmod 4755 suid; chmod 2770 sub; chmod 0 zero
touch -h -d @1100000000 dangling; touch -d @1200000000 sub/deep empty; chmod 555 ro
for i in $(seq 40); do mkdir d && cd d || exit 1; done; echo deep >end
SH
sed -i 's/^for i.*/(&)/' tree.sh
tree=(--no-cwd --workdir /tmp --share "$W/tree.sh:/tree.sh" --out t:./t)
vm "${tree[@]}" -- sh -c '. /tree.sh
	find . -type d -printf "%P|d|%m|%Ts\n" -o -type p -o -printf "%P|%y|%m|%s|%Ts|%l\n"'
is "$rc" 0 "a tree"
listing t >"$T/host"
sed -e 's/^suid|f|4755/suid|f|755/' -e 's/^sub|d|2770/sub|d|770/' "$T/out" | sort >"$T/guest"
is "$(diff "$T/host" "$T/guest" | head -n 5)" "" "all of it, with modes and times, without set-uid and set-gid"
below "$(du -k t/hole | cut -f1)" 100 "a hole of 200 MiB stays one"
is "$(readlink t/abs)" /etc/shadow "a link is a link"
is "$(cat t/ro/inside)" ro "a read-only directory is full"
is "$(cd t && cat "$(printf 'd/%.0s' $(seq 40))end")" deep "40 levels deep"
like "$(err)" "note: --out .*fifo: not copied: a named pipe" "a pipe is skipped with a note"
is "$(stat -c %h t/hard)" 1 "hard links become files of their own"
vm "${tree[@]}" -- sh /tree.sh
is "$rc" 0 "once more over the first copy, with its read-only directories"
names() { grep -av '|d|' "$1" | cut -d '|' -f 1-4 | md5sum; }
listing t >"$T/again"
is "$(names "$T/again")" "$(names "$T/host")" "gives the same"

## Into a directory that is there: merged
mkdir -m 751 merge && echo mine >merge/mine && echo old >merge/x
vm --out g:./merge -- sh -c 'mkdir g; echo new >g/x; chmod 700 g'
is "$rc $(cat merge/mine merge/x | tr '\n' ' ')" "0 mine new " "a directory's content comes into HOST"
is "$(stat -c %a merge)" 751 "which keeps its own mode"
mkdir dot && (cd dot && vm --out g:. -- sh -c 'mkdir g; echo new >g/x')
is "$(cat dot/x)" new "HOST may be ."

## Amounts
n=$(fewer 100)
VM_LIMIT=200 vm --out /tmp/big:./big -- sh -c "head -c ${n}M /dev/urandom >/tmp/big; sha256sum </tmp/big"
is "$(sha256sum <big)" "$(out)" "$n MiB arrive as they are"
rm -f big
n=$(fewer 10000)
VM_LIMIT=200 vm --out /tmp/many:./many -- sh -c "mkdir /tmp/many; cd /tmp/many; seq $n | split -l 1 -a 5"
is "$rc $(find many -type f | wc -l)" "0 $n" "$n small files"
is "$(cat many/* | sort -n | md5sum)" "$(seq "$n" | md5sum)" "each with its content"
diag "measured: a run with $n files out took $ms ms"

## Whatever became of the command
# Long enough for the command to begin; all of it is waiting.
over=$((3 + 2 * (MAYFLY_TIME_SCALE - 1)))s
vm --out r:./fails -- sh -c 'echo 1 >r; exit 7'
is "$rc $(cat fails)" "7 1" "it failed"
vm --out r:./killed -- sh -c 'echo 1 >r; kill -9 $$'
is "$rc $(cat killed)" "137 1" "it was killed"
vm --timeout "$over" --out r:./late -- sh -c 'echo 1 >r; sleep 1000 & sleep 1000'
is "$rc $(cat late) $(verdict reason)" "124 1 timeout" "--timeout was over"
like "$(err)" "timeout: the command was killed after" "and is told"
vm --timeout "$over" --out r:./deaf -- sh -c 'echo 1 >r; trap "" TERM INT HUP; while :; do sleep 1; done'
is "$rc $(cat deaf)" "124 1" "also of a command that takes no signal"
# Nobody reads its output: the pipe is full.
mkfifo pipe
exec 8<>pipe
timeout -k 5 "$(scaled 60)" "$MAYFLY" run --engine "$MAYFLY_ENGINE" --timeout "$over" \
	--out r:./stuck -- sh -c 'echo 1 >r; cat /dev/zero' >&8 2>"$T/err"
is "$? $(cat stuck)" "124 1" "also where nobody takes its output"
exec 8<&-
watch --part mayfly --when marker --signal INT -- --out r:./ctrlc -- sh -c 'echo 1 >r; echo started; sleep 1000'
is "$rc $(cat ctrlc)" "130 1" "Ctrl-C ended it"
vm --out r:./nostart -- ./missing
is "$rc $(verdict reason)" "127 not-started" "it could not be started: its own status"

## Nothing to copy
vm --out /nix:./nix -- true
is "$rc $(verdict reason)" "125 out" "a missing GUEST fails a command that went well"
like "$(err)" "--out /nix:./nix: there is nothing of this name in the guest" "and is named"
vm --out /nix:./nix --out ok:./ok -- sh -c 'echo 1 >ok; exit 3'
is "$rc $(cat ok)" "3 1" "a command that failed keeps its status; the next --out is copied"
like "$(err)" "note: --out /nix:./nix: there is nothing" "with a note"
yes_if "nothing is made" [ ! -e nix ]
vm --out /dev/null:./null -- true
is "$rc $(verdict reason)" "125 out" "a device is no result"
vm --out /proc:./proc -- true
is "$rc" 125 "nor is /proc"
vm --out s:./s,size=1M -- sh -c 'mkdir s; truncate -s 600K s/a s/b'
is "$rc" 125 "more than size="
like "$(err)" "more than 1 MiB .see ',size='" "says so"
vm --out s:./s,size=2M -- sh -c 'mkdir s; truncate -s 600K s/a s/b'
is "$rc $(stat -c %s s/b)" "0 614400" "a larger one will do"

## HOST: refused before the machine starts
ln -s into link && ln -s missing dangling && mkfifo fifo && mkdir -m 555 locked
refused() { # HOST PATTERN
	vm --out "r:$1" -- sh -c 'echo 1 >r'
	is "$rc $(verdict reason)" "125 config" "HOST $1 is refused"
	like "$(err)" "option --out: .*$2" "with a reason"
}
refused ./link "symbolic link"
refused ./link/ "symbolic link"
refused ./dangling "symbolic link"
refused ./fifo "neither a file nor a directory"
refused ./missing/x "can't open the directory"
refused ./f/ "not a directory"
if ! is_root; then
	refused ./locked/x "can't write to the directory"
	refused ./locked "can't write to the directory"
fi
is "$(find into -newer tree.sh -name r)" "" "nothing went through the link"
for wrong in x :x x: ""; do
	vm --out "$wrong" -- true
	is "$rc" 125 "--out '$wrong' is refused"
done
vm --out r:./f,size=x -- true
is "$rc" 125 "a size that is none is refused"

## Links on the host are not followed
mkdir -p trap outside && ln -s ../outside trap/d && ln -s ../outside/f trap/f
vm --out g:./trap -- sh -c 'mkdir g; echo 1 >g/f'
is "$rc $(cat trap/f) $(find outside -type f)" "0 1 " "a link in the place of a file is replaced"
vm --out g:./trap -- sh -c 'mkdir -p g/d; echo 1 >g/d/x'
is "$rc $(find outside -type f)" "125 " "a link in the place of a directory is not entered"
like "$(err)" "'./trap/d': a symbolic link is in its place" "and is named"
# A tree in which a link comes first and a directory of the same name in the next run.
vm --out g:./two -- sh -c 'mkdir g; ln -s ../outside g/d'
vm --out g:./two -- sh -c 'mkdir -p g/d; echo 1 >g/d/x'
is "$rc $(find outside -type f)" "125 " "also where an earlier guest made it"

## The end of mayfly in the middle of a copy
# Hard links come out as files of their own: much to copy that costs the guest neither time nor memory.
cat >slow.sh <<'SH'
mkdir /tmp/slow; cd /tmp/slow
head -c 2000000 /dev/zero >0
perl -e 'link 0, $_ or die for 1 .. $ARGV[0]' "$1"
SH
n=200
timeout 100 "$MAYFLY" run --engine "$MAYFLY_ENGINE" --share "$W/slow.sh:/slow.sh" --out /tmp/slow:./slow \
	-- sh /slow.sh "$n" >"$T/out" 2>"$T/err" &
pid=$!
# Without a process of its own: the copy must not end while one starts.
copying() {
	set -- slow/*
	[ $# -gt 2 ]
}
# The child of timeout(1).
has_child() { mayfly_pid=$(pgrep -P "$pid"); }
wait_until 10 has_child
wait_until 80 copying
kill -9 "$mayfly_pid"
wait "$pid"
is "$?" 137 "mayfly is killed while it copies"
below "$(find slow -type f | wc -l)" "$n" "in the middle"
is "$(find slow -type f -not -size 2000000c | wc -l) $(temporaries)" "0 0" "every file that is there is whole"

## A second Ctrl-C
rm -rf slow
timeout 100 "$MAYFLY" run --engine "$MAYFLY_ENGINE" --status-fd 9 --share "$W/slow.sh:/slow.sh" \
	--out /tmp/slow:./slow -- sh /slow.sh "$n" >"$T/out" 2>"$T/err" 9>"$T/verdict" &
pid=$!
wait_until 10 has_child
wait_until 80 copying
kill -INT "$mayfly_pid"
wait "$pid"
is "$? $(verdict reason)" "130 interrupted" "Ctrl-C while it copies stops it"
like "$(err)" "the copy is not complete" "and says so"
is "$(temporaries)" 0 "nothing temporary is left"

## A full disk
if is_root && mkdir full && mount -t tmpfs -o size=2m none full 2>/dev/null; then
	vm --out /tmp/x:./full/x -- sh -c 'mkdir /tmp/x; echo 1 >/tmp/x/a; head -c 5000000 /dev/zero | tr "\0" x >/tmp/x/b'
	is "$rc $(verdict reason)" "125 out" "a full disk"
	like "$(err)" "can't write './full/x/b': No space left on device" "is told"
	is "$(ls -A full/x)" a "and nothing half is left"
	umount full
else
	skip "mounting takes root" "a full disk"
fi

## Two machines into one directory
vm --out a:./both --out b:./both -- sh -c 'mkdir a b; echo 1 >a/x; echo 2 >b/x; echo 3 >b/y'
is "$rc $(cat both/x both/y | tr '\n' ' ')" "0 2 3 " "two --out into one HOST: the second wins"
is "$(temporaries)" 0 "no temporary name is left anywhere"
done_testing
