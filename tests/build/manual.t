#!/bin/bash
# SPDX-License-Identifier: MIT
# The manual: mandoc and groff have nothing to say, it has every command and option, and its examples are understood. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
# As in build.t: nothing is built anew.
unset MAKEFLAGS MFLAGS MAKELEVEL
export WERROR=1

tree=$PWD
out=${O:-build}
lkvm=$PWD/$out/lkvm
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
make --no-print-directory -s man >&2 || { echo "Bail out! make man failed"; exit 1; }
page=$PWD/$out/lkvm.1
echo 1..6

n=0
# point NAME COMMAND...: the output is shown when it fails.
point() {
	local name=$1
	shift
	n=$((n + 1))
	if "$@" >"$dir/log" 2>&1; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		tail -n 40 "$dir/log" | sed 's/^/# /'
	fi
}
# need TOOL NAME COMMAND...: the same, where the tool is.
need() {
	if command -v "$1" >/dev/null; then
		shift
		point "$@"
	else
		n=$((n + 1))
		echo "ok $n - $2 # SKIP $1 is not installed"
	fi
}

need mandoc 'mandoc warns of nothing' mandoc -T lint -W warning "$page"
groff_warns() {
	groff -mandoc -T utf8 -ww "$page" 2>&1 >/dev/null | grep . && return 1
	return 0
}
need groff 'groff warns of nothing' groff_warns

commands=$("$lkvm" help --words | cut -f 1)
all_commands() {
	local command
	for command in $commands; do
		sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESC/p' "$page" | grep -q "^\.Cm \(.* \)\?$command\( \|\$\)" ||
			{ echo "$command is not in the synopsis"; return 1; }
		grep -q "^\.It Cm \(.* \)\?$command\( \|\$\)" "$page" || { echo "$command is not in the list"; return 1; }
	done
	[ "$(echo "$commands" | wc -l)" -ge 7 ]
}
point 'it has every command' all_commands
all_options() {
	local command name found=0
	for command in $commands; do
		for name in $("$lkvm" help --words "$command" | cut -f 1 | grep -o -e '--[a-z0-9-]*' | grep -v -e '^--help$'); do
			grep -q "^\.It .*Fl \\\\-${name#--}\( \|\$\)" "$page" || { echo "$command: no $name"; return 1; }
			found=$((found + 1))
		done
	done
	[ $found -gt 50 ]
}
point 'it has every option of every command' all_options

# The lines after "$ " of the page's source, continued ones as one.
examples() {
	sed -n '/^\.Sh EXAMPLES/,/^\.Sh SEE/p' "$page" |
		sed -e ':a' -e '/\\e$/{N;s/\\e\n//;ba' -e '}' | sed -n -e 's/\\(dq/"/g' -e 's/^\(\.Dl \)\?\$ //p'
}
# Each is shown what it would do: what is named need not be there, and nothing is started.
examples_run() {
	local line words count=0
	while IFS= read -r line; do
		echo "$line"
		case $line in
		'timeout '*) line=${line#timeout * } ;;
		esac
		eval "words=(${line#lkvm })"
		case ${words[0]} in
		run) "$lkvm" "${words[@]}" --dry-run || return 1 ;;
		# The options are read up to this one.
		*) "$lkvm" "${words[@]}" --help || return 1 ;;
		esac
		count=$((count + 1))
	done < <(examples | grep '^\(timeout [0-9]* \)\?lkvm ')
	[ $count -ge 7 ]
}
point 'its examples are understood' examples_run

# Each page is in the list of them, and each link leads to a page.
index() {
	local page link
	for page in docs/*.md; do
		[ "$page" = docs/README.md ] || grep -q "^- \[$(basename "$page")\]($(basename "$page")): " docs/README.md ||
			{ echo "docs/README.md lacks $page"; return 1; }
	done
	for page in *.md docs/*.md; do
		for link in $(grep -o '](\(\.\./\)\?\(docs/\)\?[a-zA-Z0-9-]*\.md' "$page" | cut -c 3-); do
			[ -f "$(dirname "$page")/$link" ] || { echo "$page: no $link"; return 1; }
		done
	done
}
cd "$tree" || exit 1
point "the pages' index is complete, and their links lead somewhere" index
