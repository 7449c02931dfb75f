#compdef lkvm
# SPDX-License-Identifier: MIT
# zsh completion for lkvm. Commands, options and what they take come from the program itself
# (`lkvm help --words`, see include/lkvm/options.h). Installed as share/zsh/site-functions/_lkvm.

# One item of a list; the arguments are the words that there are.
_lkvm_item() {
	local word key=${PREFIX%%=*}
	local -a keys flags

	if compset -P '*='; then
		for word; do
			[[ $word == $key=* ]] || continue
			case ${word#*=} in
			FILE | PATH | PREFIX | DEVICE) _files ;;
			*'|'*) compadd -- ${(s:|:)word#*=} ;;
			esac
			return
		done
		return 1
	fi
	for word; do
		if [[ $word == *=* ]]; then
			keys+=(${word%%=*}=)
		else
			flags+=($word)
		fi
	done
	compadd -S '' -a keys
	compadd -qS , -a flags
}

# _lkvm_argument KIND NAME: complete an argument of the option, or a word.
_lkvm_argument() {
	local -a list=(${=_lkvm_lists[$2]:#-}) names

	case $1 in
	one) compadd -a list ;;
	vm)
		names=(${(f)"$("$_lkvm_program" list 2>/dev/null)"})
		names=(${${names[2,-1]##[[:space:]]#[^[:space:]]##[[:space:]]##}%%[[:space:]]*})
		compadd -a names
		;;
	command)
		names=(${(f)"$("$_lkvm_program" help --words 2>/dev/null)"})
		names=(${names/$'\t'/:})
		_describe -t commands command names
		;;
	file | dir | list)
		if ((${#list})) && { compset -P '*,' || [[ $1 == list ]] }; then
			_lkvm_item $list
		elif [[ $1 == dir ]]; then
			_files -/
		else
			_files
		fi
		;;
	*) _message 'argument' ;;
	esac
}

_lkvm() {
	setopt localoptions extendedglob
	local _lkvm_program=$words[1] line name help action
	local -a fields specs
	local -A _lkvm_lists

	if ((CURRENT == 2)); then
		_lkvm_argument command -
		return
	fi
	for line in ${(f)"$("$_lkvm_program" help --words $words[2] 2>/dev/null)"}; do
		fields=("${(@ps:\t:)line}")
		action="_lkvm_argument $fields[2] ${fields[1]##* }"
		_lkvm_lists[${fields[1]##* }]=$fields[3]
		if [[ $fields[1] == - ]]; then
			specs+=("*: :{$action}")
			continue
		fi
		help=${${fields[4]//\[/\\[}//\]/\\]}
		for name in ${=fields[1]}; do
			case $fields[2],$name in
			flag,*) specs+=("*${name}[$help]") ;;
			*,--*) specs+=("*${name}=[$help]: :{$action}") ;;
			*) specs+=("*${name}+[$help]: :{$action}") ;;
			esac
		done
	done
	((${#specs})) || return 1
	# The command is behind us: _arguments takes the first word for the program's name.
	shift words
	((CURRENT--))
	_arguments -s : $specs
}

_lkvm "$@"
