# SPDX-License-Identifier: Apache-2.0
# Completion: every command and option of --help, image names with their colons, values
# shellcheck shell=bash disable=SC1091,SC2154,SC2034,SC2015,SC2016
. "$(dirname "$0")/../lib/common.sh"
[ "$MAYFLY_ENGINE" = tcg ] || skip_all "no engine has a part in it: the other one's run has seen to it"
unset -f _command_offset
. "$TEST_DIR/../completion/mayfly.bash"

# complete LINE: what bash would offer behind it; the words are taken apart as bash does it.
complete_line() {
	local w line=${1/#mayfly/$MAYFLY}
	COMP_LINE=$line COMP_POINT=${#line} COMP_WORDS=()
	set -f
	for w in $line; do
		while [[ $w =~ ^([^:=]*)([:=]+)(.*)$ ]]; do
			[ -z "${BASH_REMATCH[1]}" ] || COMP_WORDS+=("${BASH_REMATCH[1]}")
			COMP_WORDS+=("${BASH_REMATCH[2]}")
			w=${BASH_REMATCH[3]}
		done
		[ -z "$w" ] || COMP_WORDS+=("$w")
	done
	set +f
	[[ $line != *' ' ]] || COMP_WORDS+=("")
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	COMPREPLY=()
	_mayfly
	echo "${COMPREPLY[*]}"
}
offers() { is "$(complete_line "$1")" "$2" "'$1' gives '$2'"; }
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'

commands=$("$MAYFLY" help | sed -nE '/^commands:/,/^$/s/^  ([a-z-]+) .*/\1/p')
missing=
all=" $(complete_line 'mayfly ') "
for c in $commands; do [[ $all == *" $c "* ]] || missing+=" $c"; done
is "$missing" "" "every command"
for c in $commands 'image import' 'image ls' 'image rm' 'image export' 'image inspect' 'image gc'; do
	[[ $c != image && $c != help && $c != version ]] || continue
	missing=
	# shellcheck disable=SC2086 # two words
	for o in $("$MAYFLY" $c --help </dev/null | grep -oE '^ {2}(-., | {4})--[a-z-]+' | grep -oE -- '--[a-z-]+'); do
		[[ " $(complete_line "mayfly $c $o") " == *" $o "* ]] || missing+=" $o"
		[[ " $(complete_line "mayfly $c --") " == *" $o "* ]] || missing+=" $o(--)"
	done
	is "$missing" "" "every option of $c"
done
like " $(complete_line 'mayfly gc -') " " -q .*" "letters, too"

## Values
offers "mayfly run --engine " "auto tcg kvm"
offers "mayfly run --engine=k" "kvm"
offers "mayfly run --memory=5" "512M"
offers "mayfly run -m 5" "512M"
offers "mayfly run --jail r" "reduced"
offers "mayfly run --timings=" "svg"
offers "mayfly run --timings --engine k" "kvm"
: >some-file
offers "mayfly run --kernel some" "some-file"
offers "mayfly run ls some" "some-file"
offers "mayfly run --no-cwd -- ls --some" ""
offers "mayfly cp some" "some-file"

## The same of zsh
zsh_offers() {
	PATH=$(dirname "$MAYFLY"):$PATH timeout -s KILL "$(scaled 60)" \
		"$TEST_DIR/lib/zsh_offers" "$TEST_DIR/../completion" "$@" >"$T/out" 2>"$T/err"
}
lines=("mayfly ") wanted=()
for c in $commands 'image import' 'image ls' 'image rm' 'image export' 'image inspect' 'image gc'; do
	[[ $c != image && $c != help && $c != version ]] || continue
	lines+=("mayfly $c --") wanted+=("$c")
done
zsh_offers "${lines[@]}"
is "$?/$(err)" "0/" "zsh answers"
missing='' all=" $(sed -n 1p "$T/out") "
for c in $commands; do [[ $all == *" $c "* ]] || missing+=" $c"; done
is "$missing" "" "every command"
for i in "${!wanted[@]}"; do
	missing='' all=" $(sed -n "$((i + 2))p" "$T/out") "
	# shellcheck disable=SC2086 # two words
	for o in $("$MAYFLY" ${wanted[$i]} --help </dev/null | grep -oE '^ {2}(-., | {4})--[a-z-]+' | grep -oE -- '--[a-z-]+'); do
		[[ $all == *" $o "* || $all == *" $o= "* ]] || missing+=" $o"
	done
	is "$missing" "" "every option of ${wanted[$i]}"
done
lines=("mayfly run --engine " "mayfly run --engine=k" "mayfly run --timings=" "mayfly run --memory 5"
	"mayfly run --kernel some" "mayfly image ")
zsh_offers "${lines[@]}"
wants=("auto kvm tcg" kvm svg 512M some-file "export gc import inspect ls rm")
for i in "${!wants[@]}"; do
	is "$(sed -n "$((i + 1))p" "$T/out")" "${wants[$i]}" "'${lines[$i]}' gives '${wants[$i]}'"
done

## Images: bash takes a name apart at its colon
export XDG_DATA_HOME=$T/data
mkdir tree && : >tree/f
"$MAYFLY" image import -q -n alice:3.1 tree && "$MAYFLY" image import -q -n bob tree
offers "mayfly run --image al" "alice:3.1"
offers "mayfly run --image alice:" "3.1"
offers "mayfly run --image alice:3" "3.1"
offers "mayfly run --image=alice:3" "3.1"
offers "mayfly image rm alice:" "3.1"
offers "mayfly image export bo" "bob bob:latest"
COMP_WORDBREAKS=$' \t\n"\'><;|&('
offers "mayfly image rm alice:" "alice:3.1"
COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
zsh_offers "mayfly run --image al" "mayfly image export bo"
is "$(sed -n 1p "$T/out")" "alice:3.1" "zsh: an image's name has its colon"
is "$(sed -n 2p "$T/out")" "bob:latest" "also as an argument"

## Machines
if [[ " $commands " == *$'\n'ps* ]]; then
	mkdir -m 700 run && export XDG_RUNTIME_DIR=$W/run
	"$MAYFLY" start --engine "$MAYFLY_ENGINE" --name one.machine >/dev/null 2>"$T/err" </dev/null
	offers "mayfly exec on" "one.machine"
	offers "mayfly stop o" "one.machine"
	offers "mayfly cp one" "one.machine:"
	zsh_offers "mayfly stop o" "mayfly cp one" "mayfly cp one.machine:/etc/host"
	is "$(sed -n 1p "$T/out")" "one.machine" "zsh: the name of a machine"
	is "$(sed -n 2p "$T/out")" "one.machine" "of cp, too"
	is "$(sed -n 3p "$T/out")" "" "and no file of the host behind it"
	"$MAYFLY" kill one.machine >/dev/null 2>&1
	"$MAYFLY" rm one.machine >/dev/null 2>&1
fi

## A terminal: the whole of bash
cat >rc <<SH
PS1='ready# '
. "$TEST_DIR/../completion/mayfly.bash"
PATH=$(dirname "$MAYFLY"):\$PATH
bind 'set enable-bracketed-paste off'
SH
/usr/bin/python3 - "$(scaled 20)" >"$T/out" 2>"$T/err" <<'PY'
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp("bash", ["bash", "--noprofile", "--rcfile", "rc", "-i"])
end, seen = time.monotonic() + int(sys.argv[1]), b""
def until(text):
    global seen
    while text not in seen:
        if not select.select([fd], [], [], max(0, end - time.monotonic()))[0]:
            break
        seen += os.read(fd, 4096)
until(b"ready# ")
os.write(fd, b"mayfly image inspect alice:\t")
until(b"3.1")
print(seen.decode())
os.kill(pid, 9)
os.waitpid(pid, 0)
PY
like "$(out)" "inspect alice:3.1" "typed at a terminal, alice:TAB becomes alice:3.1"
unlike "$(out)" "alice:alice" "and not alice:alice:3.1"
done_testing
