# SPDX-License-Identifier: MIT
# bash completion for lkvm; asks the program for its commands and options, so it knows the same
# ones. Installed as share/bash-completion/completions/lkvm.

# What the argument of option $2 of command $1 is, as help names it; nothing for a flag.
_lkvm_argument() {
	local line word

	while read -r line; do
		for word in $line; do
			case $word in
			"$2"=*) echo "${word#*=}"; return ;;
			"$2") case $line in *=*) echo "${line#*=}" ;; esac; return ;;
			esac
		done
	done < <("$lkvm" help --words "$1" 2>/dev/null)
}

_lkvm() {
	local lkvm=${COMP_WORDS[0]} cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]} argument words

	COMPREPLY=()
	if ((COMP_CWORD == 1)) || [[ $command == help ]]; then
		((COMP_CWORD <= 2)) && words=$("$lkvm" help --words 2>/dev/null)
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		return
	fi
	# bash makes "--name=value" three words.
	[[ $cur == = ]] && cur=
	[[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}
	argument=$(_lkvm_argument "$command" "$prev")
	case $argument in
	'')
		if [[ $cur == -* ]]; then
			words=$("$lkvm" help --words "$command" 2>/dev/null | sed 's/=.*//')
			mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
			return
		fi
		;;
	FILE* | PATH | DIR) ;;
	mode=*)
		words='mode=tap mode=none mode=tap,tapif='
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		return
		;;
	*'|'*)
		mapfile -t COMPREPLY < <(compgen -W "${argument//|/ }" -- "$cur")
		return
		;;
	*)
		return # a number, a size, a name
		;;
	esac
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}

complete -F _lkvm lkvm
