# SPDX-License-Identifier: Apache-2.0
# The command line: bad input, odd surroundings, the verdict's JSON, help, version, doctor
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
run=("$MAYFLY" run --engine "$MAYFLY_ENGINE")

# refused PATTERN DESCRIPTION OPTION...: 125, one message that fits, no machine started
refused() {
	local pattern=$1 what=$2
	shift 2
	vm "$@"
	if [ "$rc" != 125 ]; then fail "$what: 125"; else pass "$what: 125"; fi
	like "$(err)" "$pattern" "$what: the message says what is wrong"
}
refused "no-such" "unknown long option" --no-such -- true
refused "'?-Z'?" "unknown short option" -Z -- true
refused "cpus" "--cpus 0" --cpus 0 -- true
refused "cpus" "--cpus 1000" --cpus 1000 -- true
refused "cpus" "--cpus abc" --cpus abc -- true
refused "memory" "--memory 1M" --memory 1M -- true
refused "memory" "--memory 99999999999999999999" --memory 99999999999999999999 -- true
refused "memory" "--memory ''" --memory '' -- true
refused "timeout" "--timeout banana" --timeout banana -- true
refused "timeout" "--timeout -1s" --timeout=-1s -- true
refused "engine" "--engine hamster" --engine hamster -- true
refused "user|banana" "--user banana" --user no-such-user-here -- true
refused "hostname" "--hostname with a slash" --hostname 'a/b' -- true
refused "command|COMMAND" "no command" --cpus 1
refused "command|COMMAND" "an empty command line" --
refused "not-there" "--kernel missing" --kernel "$W/not-there" -- true
refused "passwd|kernel" "--kernel /etc/passwd" --kernel /etc/passwd -- true
refused "kernel|not a file" "--kernel a directory" --kernel "$W" -- true
: >empty
refused "empty|kernel" "--kernel an empty file" --kernel empty -- true
refused "not-there" "--init missing" --init not-there -- true
refused "not-there" "--share of a missing path" --share "$W/not-there" -- true
refused "share" "--share with a relative guest path" --share "$W:rel/ative" -- true
refused "share" "--share onto /proc" --share "$W:/proc" -- true
refused "share" "--share of nothing" --share "" -- true
refused "status-fd|descriptor|47" "--status-fd of a closed descriptor" --status-fd 47 -- true
refused "workdir" "--workdir relative" --workdir rel -- true

if is_root; then
	# As root, "unreadable" has to come from something else than the mode.
	ln -s loop loop
	refused "loop" "--kernel that can't be opened" --kernel "$W/loop" -- true
else
	echo x >locked && chmod 000 locked
	refused "locked.*denied|denied" "--kernel that can't be read" --kernel "$W/locked" -- true
	refused "locked" "--init that can't be read" --init "$W/locked" -- true
fi
head -c 3000000 /dev/urandom >garbage
VM_LIMIT=40 vm --kernel garbage -- true
is "$rc" 125 "a kernel of random bytes: 125"
soon "$ms" 5000 "promptly ($ms ms)"
(printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0\76\0\1\0\0\0'; head -c 100000 /dev/urandom) >badelf
VM_LIMIT=40 vm --boot-timeout 3s --kernel badelf -- true
is "$rc" 125 "a broken ELF kernel: 125"
isnt "$(err)" "" "with a message"
VM_LIMIT=40 vm --boot-timeout 5s --init garbage -- true
is "$rc" 125 "a garbage init image: 125"
like "$(err)" "panic|init|guest" "with a message ($(verdict reason))"
head -c 300000 "$(dirname "$MAYFLY")/guest/init.cpio" >half.cpio
VM_LIMIT=40 vm --boot-timeout 5s --init half.cpio -- true
is "$rc" 125 "half an init image: 125"
vm --workdir /no/such/dir -- true
like "$rc" "^12[567]$" "--workdir that the guest does not have ($rc)"
like "$(err)" "/no/such/dir" "the message names it"

## Standard descriptors
for out in /dev/full closed; do
	if [ $out = closed ]; then
		timeout -k 5 "$(scaled 30)" "${run[@]}" --status-fd 9 -- echo hi >&- 2>"$T/err" 9>"$T/verdict" </dev/null
	else
		timeout -k 5 "$(scaled 30)" "${run[@]}" --status-fd 9 -- echo hi >/dev/full 2>"$T/err" 9>"$T/verdict" </dev/null
	fi
	rc=$?
	if [ $out = closed ]; then
		like "$rc" "^(0|125)$" "standard output closed: a clear end ($rc, $(verdict reason))"
	else
		is "$rc/$(verdict reason)" "125/output" "standard output is /dev/full: 125 and output"
		like "$(err)" "space|write|output" "with a message"
	fi
done
timeout -k 5 "$(scaled 30)" "${run[@]}" -- sh -c 'echo hi' >"$T/out" 2>&- </dev/null
is "$?/$(out)" "0/hi" "standard error closed"
timeout -k 5 "$(scaled 30)" "${run[@]}" -- sh -c 'cat; echo end' >"$T/out" 2>"$T/err" <&-
is "$?/$(out)" "0/end" "standard input closed is an empty one"
timeout -k 5 "$(scaled 30)" "${run[@]}" -- sh -c 'echo hi; echo there >&2' >&- 2>&- <&-
like "$?" "^(0|125)$" "all three closed"
timeout -k 5 "$(scaled 30)" "${run[@]}" --status-fd 1 -- sh -c 'echo hi' >"$T/out" 2>"$T/err" </dev/null
is "$(head -n 1 "$T/out")/$(grep -c reason "$T/out")" "hi/1" "--status-fd 1 comes after the output"

## The verdict
check_json() { # DESCRIPTION EXPRESSION
	/usr/bin/python3 -c '
import json, sys
text = open(sys.argv[1]).read()
assert text.count("\n") == 1 and text.endswith("\n"), "not one line"
v = json.loads(text)
assert set(v) <= {"reason", "status", "engine", "code", "errno", "signal", "message", "timings", "usage", "jail"}, set(v)
assert set(v["timings"]) == {"parse", "engine", "kernel", "init", "exec", "command", "teardown", "total"}
t = dict(v["timings"]); total = t.pop("total")
assert all(x >= 0 for x in t.values()) and abs(sum(t.values()) - total) < 1 + total / 100, v
assert eval(sys.argv[2]), v' "$T/verdict" "$2" 2>"$T/json" || { fail "$1"; diag "$(tail -n 1 "$T/json")"; return; }
	pass "$1"
}
vm -- sh -c 'exit 3'
check_json "the verdict of a command" 'v["reason"] == "exit" and v["code"] == 3 == v["status"] and v["usage"]["max_rss_kib"] > 0'
vm -- sh -c 'kill -TERM $$'
check_json "of a signal" 'v["reason"] == "signal" and v["signal"] == 15 and v["status"] == 143 and "code" not in v'
vm -- "/no/such/"$'\xff"\n\\'
check_json "of a command with an odd name" 'v["reason"] == "not-started" and v["errno"] == 2 and v["status"] == 127'
vm --timeout 200ms -- true
check_json "of a timeout" 'v["reason"] == "timeout" and v["status"] == 124 and v["message"]'
vm --kernel not-there -- true
check_json "of a bad option" 'v["reason"] == "config" and v["status"] == 125 and "not-there" in v["message"]'
vm --timings -- true
like "$(err)" "kernel.*ms" "--timings prints its waterfall"
is "$(grep -cE 'parse|engine|kernel|init|exec|command|teardown' "$T/err")" 7 "with the seven parts"
mkdir picture && ln -s /nowhere picture/link
vm --no-cwd --timings=svg:picture/p.svg -- sh -c 'exit 3'
is "$rc/$(err)" "3/" "--timings=svg:FILE says nothing"
is "$(/usr/bin/python3 -c '
import sys, xml.etree.ElementTree as t
r = t.parse("picture/p.svg").getroot()
n = "{http://www.w3.org/2000/svg}"
print(r.tag == n + "svg", len(r.findall(n + "rect")), r.findall(n + "text")[0].text)' 2>&1)" \
	"True 8 mayfly run -- sh -c exit 3" "its picture is an SVG with a bar for each part"
is "$(stat -c %a picture/p.svg)" "$(printf %o $((0666 & ~$(umask))))" "it has the mode that the user's umask leaves"
vm --no-cwd --share "$PWD/picture:/w:rw" --timings=svg:picture/p.svg -- sh -c 'head -c 1M /dev/zero >>/w/p.svg'
is "$rc/$(/usr/bin/python3 -c 'import xml.etree.ElementTree as t; print(t.parse("picture/p.svg").getroot().tag[-3:])' 2>&1)" \
	0/svg "nothing that the guest writes to it stays in it"
vm --timings=svg:picture/link -- true
is "$rc" 125 "a symbolic link in its place: 125"
like "$(err)" "picture 'picture/link': Too many levels" "and says so"
vm --timings=svg:no/such -- true
is "$rc" 125 "a file that can't be made: 125"
vm --timings=png -- true
is "$rc" 125 "another kind of picture: 125"
like "$(err)" "option --timings: 'png' is not svg" "names it"
vm --verbose -- true
like "$(err)" "machine [a-z0-9-]+ started" "--verbose says what is done"
vm --console -- true
like "$(err)" "Linux version" "--console shows the kernel's messages"
is "$(out)" "" "on standard error only"

## QEMU missing
mkdir bin && for p in sh true; do ln -s "$(command -v $p)" bin/$p; done
PATH=$W/bin /usr/bin/timeout "$(scaled 20)" "${run[@]}" --engine tcg -- true >"$T/out" 2>"$T/err" </dev/null
rc=$?
is "$rc" 125 "without QEMU: 125"
like "$(err)" "qemu-system-x86" "the line names the package"
is "$(wc -l <"$T/err")" 1 "and is one line"
printf '#!/bin/sh\necho "QEMU emulator version 4.0.0"\n' >bin/qemu-system-x86_64 && chmod +x bin/qemu-system-x86_64
PATH=$W/bin /usr/bin/timeout "$(scaled 30)" "${run[@]}" --engine tcg -- true >"$T/out" 2>"$T/err" </dev/null
rc=$?
is "$rc" 125 "something else in QEMU's place: 125"
isnt "$(err)" "" "with a message"
rm bin/qemu-system-x86_64
PATH='' /usr/bin/timeout "$(scaled 30)" "${run[@]}" -- sh -c 'echo ok' >"$T/out" 2>"$T/err" </dev/null
like "$?/$(out)" "^(0/ok|125/)$" "an empty PATH is no reason to crash"

## Where the current directory is shared, and where not
note_in() { # DIR PATTERN DESCRIPTION
	(cd "$1" && vm --boot-timeout "$(scaled 20)s" -- sh -c 'pwd; ls -A . | wc -l')
	like "$(err)" "$2" "$3"
}
home=$T/home
mkdir -p "$home/project" && echo x >"$home/project/f"
for d in / /tmp /etc /var/lib /var/tmp /proc /sys /dev /run; do
	[ -d $d ] || continue
	(cd $d && VM_LIMIT=30 vm -- true)
	like "$(err)" "note: .*--share" "in $d a note names --share"
done
HOME=$home
export HOME
note_in "$home" "note: .*--share" "in the home directory, too"
note_in "$T" "note: .*--share" "and above it"
(cd "$home/project" && vm -- cat f)
is "$(out)/$(err)" "x/" "a directory within the home directory is shared, without a note"
(cd "$home" && vm --share "$home" -- cat project/f)
is "$(out)" x "--share shows it nevertheless"
mkdir deleted && (cd deleted && rmdir ../deleted && vm -- echo ran)
is "$(out)" ran "a deleted current directory is no reason to fail"
deep=$W/$(printf 'd%.0s' {1..200})/$(printf 'e%.0s' {1..200})/$(printf 'f%.0s' {1..200})
mkdir -p "$deep" && (cd "$deep" && echo deep >f && vm -- cat f)
is "$(out)" deep "a long current directory"
mkdir "odd, name=x:y"$'\t'"é" && (cd odd* && echo odd >f && vm -- cat f)
is "$(out)" odd "an odd current directory"
env -u HOME timeout "$(scaled 30)" "${run[@]}" -- sh -c 'echo "$HOME"' >"$T/out" 2>"$T/err" </dev/null
is "$?" 0 "HOME unset"

## The other commands
is "$("$MAYFLY" version | grep -cE '^mayfly [0-9]+\.[0-9]+')" 1 "mayfly version"
like "$("$MAYFLY" --help)" "run.*doctor.*version" "mayfly --help lists the commands"
like "$("$MAYFLY" run --help)" "--timeout.*--share.*--status-fd" "mayfly run --help lists the options"
help=$("$MAYFLY" run --help)
missing=
for o in engine cpus memory timeout boot-timeout env workdir share no-cwd rootfs kernel init hostname user console timings verbose status-fd help; do
	[[ $help == *"--$o"* ]] || missing="$missing $o"
done
is "$missing" "" "every option is in it"
"$MAYFLY" frobnicate >"$T/out" 2>"$T/err"
is "$?" 125 "an unknown command: 125"
like "$(err)" frobnicate "the message names it"
"$MAYFLY" >"$T/out" 2>"$T/err" </dev/null
is "$?" 125 "no command at all: 125"
"$MAYFLY" --help >/dev/full 2>"$T/err"
isnt "$?" 0 "help that can't be written is an error"
timeout "$(scaled 30)" "$MAYFLY" doctor >"$T/out" 2>"$T/err"
is "$?" 0 "mayfly doctor ends with 0 where runs work"
like "$(out)" "KVM.*namespaces.*cgroup.*Landlock.*therefore" "and covers KVM to Landlock"
PATH=$W/bin /usr/bin/timeout "$(scaled 30)" "$MAYFLY" doctor >"$T/out" 2>"$T/err"
rc=$?
if "$MAYFLY" doctor --json | grep -q '"engine": "kvm"'; then
	is "$rc" 0 "without QEMU runs work here, too"
else
	isnt "$rc" 0 "without QEMU it ends with another status"
fi
like "$(out)" "apt-get install qemu-system-x86" "and names the command that helps"

done_testing
