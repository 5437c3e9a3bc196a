# SPDX-License-Identifier: Apache-2.0
# mayfly.bash - completion for bash: mayfly run|boot|doctor|image|gc|version|help, mayfly-jailer
# shellcheck shell=bash disable=SC2207

# The words of a subcommand that are followed by a value.
_mayfly_run_valued='--engine --cpus --memory -m --timeout -t --boot-timeout --env -e --workdir -w
	--share --disk --scratch --out --view --hide --rootfs --image --entrypoint --kernel --init
	--hostname --user -u --jail --uid-range --status-fd --pids --disk-limit --output-limit
	--idle-timeout --config'
_mayfly_boot_valued='--kernel -k --initrd -i --append -a --engine --cpus --memory -m --timeout -t
	--disk --protocol --jail --uid-range --status-fd --config'
_mayfly_jailer_valued='--jail --tree --file --fd --readable --table --memory --pids --env -e
	--uid-range'

# Index of the command that the machine is to run, or nothing while options are being typed.
_mayfly_run_command() {
	local i
	for ((i = 2; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--) echo $((i + 1)) && return ;;
		=) ((i++)) ;;
		-*)
			# "--name=value" reaches us as three words.
			if [[ ${COMP_WORDS[i + 1]} != = && \
				" ${_mayfly_run_valued//[[:space:]]/ } " == *" ${COMP_WORDS[i]} "* ]]; then
				((i++))
			fi
			;;
		*) echo "$i" && return ;;
		esac
	done
}

_mayfly_files() {
	compopt -o filenames 2>/dev/null
	COMPREPLY=($(compgen "$@" -- "$cur"))
}

# Completes the value of an option, of either subcommand.
_mayfly_value() {
	case $1 in
	--engine) COMPREPLY=($(compgen -W 'auto tcg kvm' -- "$cur")) ;;
	--cpus) COMPREPLY=($(compgen -W '0.5 1 2 4 8 16 32' -- "$cur")) ;;
	--memory | -m) COMPREPLY=($(compgen -W '256M 512M 1G 2G 4G' -- "$cur")) ;;
	--timeout | -t | --boot-timeout | --idle-timeout) COMPREPLY=($(compgen -W '10s 1m 10m 1h' -- "$cur")) ;;
	--env | -e) COMPREPLY=($(compgen -e -- "$cur")) ;;
	--user | -u) COMPREPLY=($(compgen -u -- "$cur")) ;;
	--share | --disk | --hide | --kernel | -k | --init | --initrd | -i | --config) _mayfly_files -f ;;
	--output-limit | --disk-limit) COMPREPLY=($(compgen -W '1M 16M 256M' -- "$cur")) ;;
	--scratch) COMPREPLY=($(compgen -W '1G 10G 100G' -- "$cur")) ;;
	--rootfs | --workdir | -w) _mayfly_files -d ;;
	--protocol) COMPREPLY=($(compgen -W 'auto linux pvh' -- "$cur")) ;;
	--view) COMPREPLY=($(compgen -W 'none system' -- "$cur")) ;;
	--jail) COMPREPLY=($(compgen -W 'full reduced' -- "$cur")) ;;
	--tree | --file) _mayfly_files -f ;;
	--table)
		COMPREPLY=($(compgen -W 'vmm-kvm vmm-tcg vcpu-kvm fsdev-kvm fsdev-tcg blk-kvm blk-tcg blk-io fs
			qemu' -- "$cur"))
		;;
	--hostname | --out | --status-fd | --append | -a | --uid-range | --fd | --readable | --pids) ;;
	*) return 1 ;;
	esac
}

_mayfly_run() {
	local at options before=$prev
	options="${_mayfly_run_valued} --no-cwd --force-memory --console --no-jail --timings --trace-exits --verbose -v
		--help -h --"
	at=$(_mayfly_run_command)
	if [[ $at ]]; then
		if ((at == COMP_CWORD)); then
			_mayfly_files -c -f
		elif declare -F _command_offset >/dev/null; then
			_command_offset "$at"
		else
			_mayfly_files -f
		fi
		return
	fi
	[[ $cur == = ]] && cur='' && before=$prev
	[[ $prev == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
	_mayfly_value "$before" && return
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "$options" -- "$cur"))
	else
		_mayfly_files -c -f
	fi
}

_mayfly_boot() {
	local before=$prev
	[[ $cur == = ]] && cur='' && before=$prev
	[[ $prev == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
	if [[ " ${_mayfly_boot_valued//[[:space:]]/ } " == *" $before "* ]]; then
		_mayfly_value "$before" && return
	fi
	COMPREPLY=($(compgen -W "${_mayfly_boot_valued} --force-memory --no-jail --trace-exits --timings --verbose -v
		--help -h" -- "$cur"))
}

_mayfly_image_names() {
	COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" image ls 2>/dev/null | sed '1d; s/ .*//; s/:latest$//')" -- "$cur"))
}

_mayfly_image() {
	if ((COMP_CWORD == 2)); then
		COMPREPLY=($(compgen -W 'import ls inspect rm export gc --help -h' -- "$cur"))
		return
	fi
	case ${COMP_WORDS[2]} in
	import)
		case $prev in
		--name | -n) return ;;
		--max-size) COMPREPLY=($(compgen -W '1G 16G 64G' -- "$cur")) && return ;;
		--platform) COMPREPLY=($(compgen -W 'linux/amd64' -- "$cur")) && return ;;
		esac
		if [[ $cur == -* ]]; then
			COMPREPLY=($(compgen -W '--name -n --max-size --platform --json --quiet -q --help -h' -- "$cur"))
		else
			_mayfly_files -f
		fi
		;;
	ls) COMPREPLY=($(compgen -W '--json --help -h' -- "$cur")) ;;
	gc) COMPREPLY=($(compgen -W '--json --dry-run -n --help -h' -- "$cur")) ;;
	export) if ((COMP_CWORD == 3)); then _mayfly_image_names; else _mayfly_files -f; fi ;;
	inspect | rm) _mayfly_image_names ;;
	esac
}

_mayfly() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		COMPREPLY=($(compgen -W 'run boot doctor image gc version help --help --version' -- "$cur"))
		return
	fi
	case ${COMP_WORDS[1]} in
	run) _mayfly_run ;;
	boot) _mayfly_boot ;;
	image) _mayfly_image ;;
	gc) COMPREPLY=($(compgen -W '--json --dry-run -n --quiet -q --help -h' -- "$cur")) ;;
	doctor) COMPREPLY=($(compgen -W '--json --help -h' -- "$cur")) ;;
	esac
}

_mayfly_jailer() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i before
	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -- ]] || continue
		_mayfly_files -c -f
		return
	done
	before=$prev
	[[ $cur == = ]] && cur=''
	[[ $prev == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
	if [[ " ${_mayfly_jailer_valued//[[:space:]]/ } " == *" $before "* ]]; then
		_mayfly_value "$before" && return
	fi
	COMPREPLY=($(compgen -W "${_mayfly_jailer_valued} --keep-id --verbose -v --help -h --" -- "$cur"))
}

complete -F _mayfly mayfly
complete -F _mayfly_jailer mayfly-jailer
