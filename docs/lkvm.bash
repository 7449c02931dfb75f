# SPDX-License-Identifier: MIT
# bash completion for lkvm. Commands, options and what they take come from the program itself
# (`lkvm help --words`, see include/lkvm/options.h). Installed as
# share/bash-completion/completions/lkvm.

# The words of the command line up to the cursor: bash makes several of "--name=value" and "a:b".
_lkvm_split() {
	local line=$COMP_LINE i word joined=

	words=()
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $line == [[:space:]]* ]]; then
			line=${line#"${line%%[![:space:]]*}"}
			joined=
		fi
		if [[ $joined ]]; then
			words[${#words[@]} - 1]+=$word
		else
			words+=("$word")
		fi
		joined=yes
		line=${line#"$word"}
	done
}

# Offer those of the words $3... that begin with $2, each behind $1.
_lkvm_offer() {
	local before=$1 begin=$2 word

	shift 2
	for word; do
		[[ $word == "$begin"* ]] && COMPREPLY+=("$before$word")
	done
}

_lkvm_files() {
	local before=$1 file

	compopt -o filenames 2>/dev/null
	while read -r file; do
		COMPREPLY+=("$before$file")
	done < <(compgen "$3" -- "$2")
}

# One item of a list, $2, behind $1; the other arguments are the words that there are.
_lkvm_item() {
	local before=$1 item=$2 word choices

	shift 2
	for word; do
		[[ $word == *=* ]] || continue
		[[ $item == "${word%%=*}="* ]] || continue
		before+=${word%%=*}=
		item=${item#*=}
		case ${word#*=} in
		FILE | PATH | PREFIX | DEVICE) _lkvm_files "$before" "$item" -f ;;
		*'|'*)
			IFS='|' read -ra choices <<<"${word#*=}"
			_lkvm_offer "$before" "$item" "${choices[@]}"
			;;
		esac
		return
	done
	for word; do
		# A value follows.
		[[ $word == *=* ]] && word=${word%%=*}=
		_lkvm_offer "$before" "$item" "$word"
	done
	[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}

# What the argument $4 of kind $2 may be, of the words $3, behind $1.
_lkvm_argument() {
	local before=$1 kind=$2 value=$4 list names _

	IFS=' ' read -ra list <<<"${3#-}"
	case $kind in
	one) _lkvm_offer "$before" "$value" "${list[@]}" ;;
	vm)
		mapfile -t names < <("$lkvm" list 2>/dev/null | while read -r _ name _; do echo "$name"; done)
		_lkvm_offer "$before" "$value" "${names[@]:1}"
		;;
	command)
		mapfile -t names < <("$lkvm" help --words 2>/dev/null | cut -f 1)
		_lkvm_offer "$before" "$value" "${names[@]}"
		;;
	file | dir | list)
		if [[ ${#list[@]} -gt 0 && $value == *,* ]]; then
			_lkvm_item "$before${value%,*}," "${value##*,}" "${list[@]}"
		elif [[ $kind == list ]]; then
			_lkvm_item "$before" "$value" "${list[@]}"
		elif [[ $kind == dir ]]; then
			_lkvm_files "$before" "$value" -d
		else
			_lkvm_files "$before" "$value" -f
		fi
		;;
	esac
}

_lkvm_options() {
	local command=$1 names kind list _ name cur=${words[-1]} prev=${words[-2]} all=()

	while IFS=$'\t' read -r names kind list _; do
		if [[ $names == - ]]; then
			[[ $cur == -* ]] || _lkvm_argument '' "$kind" "$list" "$cur"
			continue
		fi
		for name in $names; do
			all+=("$name")
			[[ $kind == flag ]] && continue
			if [[ $prev == "$name" ]]; then
				_lkvm_argument '' "$kind" "$list" "$cur"
				return
			elif [[ $name == --* && $cur == "$name"=* ]]; then
				_lkvm_argument "$name=" "$kind" "$list" "${cur#*=}"
				return
			elif [[ $name == -? && $cur == "$name"?* && $cur != --* ]]; then
				_lkvm_argument "$name" "$kind" "$list" "${cur:2}"
				return
			fi
		done
	done < <("$lkvm" help --words "$command" 2>/dev/null)
	[[ $cur == -* ]] && _lkvm_offer '' "$cur" "${all[@]}"
}

_lkvm() {
	local lkvm=${COMP_WORDS[0]} words cut i

	COMPREPLY=()
	_lkvm_split
	if ((${#words[@]} == 2)); then
		_lkvm_argument '' command - "${words[1]}"
	else
		_lkvm_options "${words[1]}"
	fi
	# bash has the rest of the word already.
	cut=${words[-1]}
	[[ $COMP_WORDBREAKS == *=* ]] || cut=${cut//=/_}
	[[ $COMP_WORDBREAKS == *:* ]] || cut=${cut//:/_}
	cut=${cut%"${cut##*[=:]}"}
	for i in "${!COMPREPLY[@]}"; do
		COMPREPLY[i]=${COMPREPLY[i]:${#cut}}
	done
}

complete -F _lkvm lkvm
