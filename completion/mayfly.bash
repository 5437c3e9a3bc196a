# SPDX-License-Identifier: Apache-2.0
# mayfly.bash - completion for bash: mayfly and all its commands, mayfly-jailer
# shellcheck shell=bash disable=SC2207
#
# Commands and options are what --help says, so they are never behind the program. Only what a
# value may be is known here, by what --help calls it.

# The words of the line as the user sees them: bash takes "a:b" and "c=d" apart. Sets words and
# cword; words[cword] ends at the cursor.
_mayfly_words() {
	local line=${COMP_LINE:0:COMP_POINT} i part glued
	words=() cword=-1
	for ((i = 0; i <= COMP_CWORD; i++)); do
		part=${COMP_WORDS[i]}
		glued=
		[[ $i -gt 0 && $line != [[:space:]]* ]] && glued=1
		line=${line#"${line%%[![:space:]]*}"}
		((i == COMP_CWORD)) && part=${part:0:${#line}}
		line=${line:${#part}}
		if [[ $glued ]]; then
			words[cword]+=$part
		else
			words[++cword]=$part
		fi
	done
}

# Bash replaces only what is behind its last break: the rest of each answer must go.
_mayfly_trim() {
	local done=${cur%"${cur##*[:=]}"} kept=() i
	[[ $done && ($done == *: && $COMP_WORDBREAKS == *:* ||
		$done == *= && $COMP_WORDBREAKS == *=*) ]] || return 0
	for i in "${COMPREPLY[@]}"; do kept+=("${i#"$done"}"); done
	COMPREPLY=("${kept[@]}")
}

_mayfly_help() { "${words[0]}" "$@" --help 2>/dev/null </dev/null; }

# The commands that a help text lists.
_mayfly_commands() { _mayfly_help "$@" | sed -nE '/^commands:/,/^$/s/^  ([a-z][a-z-]*) .*/\1/p'; }

# The options that a help text lists, one line each: "--name -x WHAT", "-" for what there is not.
# One space before the next word makes that the value; the text behind a flag is further away.
# "[=WHAT]": the value may be left out.
_mayfly_options() {
	_mayfly_help "$@" | sed -E 's/^(  .{4}--[a-z-]+)\[(=[^ ]+)]( |$)/\1 \2\3/' |
		sed -nE 's/^  (-.,|   ) --([a-z][a-z-]*)( ([^ ]+))?( .*)?$/--\2 \1 \4/p' |
		sed -E 's/,//; s/ {4,}/ - /; s/ $/ -/'
}

# What an option takes, by one of its names; fails for a flag, and for what is no option.
_mayfly_what() {
	local name letter what
	while read -r name letter what; do
		[[ $1 == "$name" || $1 == "$letter" ]] || continue
		[[ $what != - ]] && echo "$what"
		return
	done <<<"$options"
	return 1
}

_mayfly_files() {
	compopt -o filenames 2>/dev/null
	COMPREPLY=($(compgen "$@" -- "$cur"))
}

_mayfly_machines() { "${words[0]}" ps --all 2>/dev/null </dev/null | sed '1d; s/ .*//'; }
_mayfly_images() {
	"${words[0]}" image ls 2>/dev/null </dev/null | sed '1d; s/ .*//; p; s/:latest$//' | sort -u
}

# Completes a value: the option's name, what --help calls it, prefix to keep ("--name=").
_mayfly_value() {
	local cur=$4 fixed=
	case $1 in
	--cpus) fixed='1 2 4 8 16 32' ;;
	--memory | -m) fixed='256M 512M 1G 2G 4G' ;;
	--scratch) fixed='1G 10G 100G' ;;
	--pids) fixed='100 1000 10000' ;;
	--user | -u) fixed=$(compgen -u) ;;
	--env | -e) fixed=$(compgen -e) ;;
	--signal | -s) fixed='TERM INT HUP QUIT KILL USR1 USR2' ;;
	--image) fixed=$(_mayfly_images) ;;
	--out | --hostname | --name | -n) return ;;
	--platform) fixed='linux/amd64' ;;
	--table) fixed='vmm-kvm vmm-tcg vcpu-kvm fsdev-kvm fsdev-tcg blk-kvm blk-tcg blk-io fs qemu' ;;
	*)
		case $2 in
		=*) fixed=${2#=} fixed=${fixed%%[:[]*} ;;
		*'|'*) fixed=${2//|/ } ;;
		TIME*) fixed='10s 1m 10m 1h' ;;
		DIR*) _mayfly_files -d ;;
		FILE* | PATH* | HOST*) _mayfly_files -f ;;
		MACHINE*) fixed=$(_mayfly_machines) ;;
		esac
		;;
	esac
	[[ $fixed ]] && COMPREPLY=($(compgen -W "$fixed" -- "$cur"))
	[[ $3 ]] && COMPREPLY=("${COMPREPLY[@]/#/$3}")
}

# The arguments that are no options: command, index of the argument, where it is on the line.
_mayfly_argument() {
	case $1 in
	run | start) _mayfly_command "$3" ;;
	exec) if (($2 == 0)); then _mayfly_list "$(_mayfly_machines)"; else _mayfly_command "$4"; fi ;;
	attach | stop | kill | wait | rm | logs | pause | resume | inspect | stats)
		_mayfly_list "$(_mayfly_machines)"
		;;
	cp)
		[[ $cur == */* ]] || COMPREPLY=($(compgen -S : -W "$(_mayfly_machines)" -- "$cur"))
		((${#COMPREPLY[@]})) && compopt -o nospace 2>/dev/null
		[[ $cur == *:* ]] || COMPREPLY+=($(compgen -f -- "$cur"))
		;;
	'image import') _mayfly_files -f ;;
	'image export') if (($2 == 0)); then _mayfly_list "$(_mayfly_images)"; else _mayfly_files -f; fi ;;
	'image inspect' | 'image rm') _mayfly_list "$(_mayfly_images)" ;;
	mayfly-jailer) _mayfly_command "$3" ;;
	esac
}

_mayfly_list() { COMPREPLY=($(compgen -W "$1" -- "$cur")); }

# The command that the machine is to run begins at this word.
_mayfly_command() {
	if (($1 == cword)); then
		_mayfly_files -c -f
	elif [[ ${#words[@]} -eq ${#COMP_WORDS[@]} ]] && declare -F _command_offset >/dev/null; then
		_command_offset "$1"
	else
		_mayfly_files -f
	fi
}

# Everything behind the name of a command: where its words begin, and its name.
_mayfly_rest() {
	local at=$1 name=$2 options what i n=0 first=0 second=0
	shift 2
	options=$(_mayfly_options "$@")
	for ((i = at; i < cword; i++)); do
		case ${words[i]} in
		--)
			# What follows is arguments only.
			for ((i++; i < cword; i++)); do
				((n == 0)) && first=$i
				((n == 1)) && second=$i
				((n++))
			done
			_mayfly_argument "$name" "$n" "${first/#0/$cword}" "${second/#0/$cword}"
			return
			;;
		--*=*) ;;
		-*)
			what=$(_mayfly_what "${words[i]}")
			[[ $what && $what != =* ]] || continue
			((++i == cword)) || continue
			_mayfly_value "${words[i - 1]}" "$what" '' "$cur"
			return
			;;
		*)
			((n == 0)) && first=$i
			((n == 1)) && second=$i
			((n++))
			# From its first word on, the command of a machine has its own options.
			[[ $name == run || $name == start || $name == mayfly-jailer ]] && break
			[[ $name == exec && $n -eq 2 ]] && break
			;;
		esac
	done
	if ((i == cword)) && [[ $cur == --*=* ]]; then
		what=$(_mayfly_what "${cur%%=*}")
		[[ $what ]] && _mayfly_value "${cur%%=*}" "$what" "${cur%%=*}=" "${cur#*=}"
	elif ((i == cword)) && [[ $cur == -* ]]; then
		_mayfly_list "$(sed -E 's/^(.*) (-.?) .*/\1 \2/; s/ -$//' <<<"$options") --"
	else
		_mayfly_argument "$name" "$n" "${first/#0/$cword}" "${second/#0/$cword}"
	fi
}

_mayfly() {
	local words cword cur
	_mayfly_words
	cur=${words[cword]}
	COMPREPLY=()
	if ((cword == 1)); then
		_mayfly_list "$(_mayfly_commands) --help -h --version"
	elif [[ ${words[1]} == image ]] && ((cword == 2)); then
		_mayfly_list "$(_mayfly_commands image) --help -h"
	elif [[ ${words[1]} == image ]]; then
		_mayfly_rest 3 "image ${words[2]}" image "${words[2]}"
	elif [[ ${words[1]} != help && ${words[1]} != version ]]; then
		_mayfly_rest 2 "${words[1]}" "${words[1]}"
	fi
	_mayfly_trim
}

_mayfly_jailer() {
	local words cword cur
	_mayfly_words
	cur=${words[cword]}
	COMPREPLY=()
	_mayfly_rest 1 mayfly-jailer
	_mayfly_trim
}

complete -F _mayfly mayfly
complete -F _mayfly_jailer mayfly-jailer
