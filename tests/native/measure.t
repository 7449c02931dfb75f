#!/bin/bash
# SPDX-License-Identifier: MIT
# lkvm measure over the real binary, without KVM: what is refused, and how. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/native/tap.sh
. tests/native/tap.sh
lkvm=$(realpath "${LKVM:-build/lkvm}")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# wrong TEXT ARGUMENT...: wrong usage: status 2, nothing on standard output, one line that has TEXT.
wrong() {
	local text=$1 status
	shift
	limited "$lkvm" measure "$@" >out 2>err </dev/null
	status=$?
	[ $status = 2 ] || { echo "# 'measure $*': status $status, not 2" && return 1; }
	grep -qF -- "$text" err || { echo "# 'measure $*': no '$text' in: $(cat err)" && return 1; }
	[ ! -s out ] && [ "$(wc -l <err)" = 1 ] || { echo "# 'measure $*': more than one line" && return 1; }
}

ordinary() {
	wrong 'measure: this guest is an ordinary one' && wrong 'an ordinary one' -k nosuch -c 2 -m 64 --json &&
		wrong 'an ordinary one' --event-log log -k nosuch && [ ! -e log ]
}
wrong_words() {
	wrong "unknown option '--nosuch'" --nosuch && wrong '--event-log: needs an argument' --event-log &&
		wrong '--event-log' --event-log '' && wrong "'b'" a b
}
# Another architecture's, which has its own lkvm.
elsewhere() {
	case $(uname -m) in
	x86_64) wrong '--protected is an option of arm64' --protected -k nosuch ;;
	*) wrong '--host-bridge is an option of x86-64' --host-bridge generic -k nosuch ;;
	esac
}
helps() {
	limited "$lkvm" help measure >out 2>err && grep -qF 'usage: lkvm measure' out && grep -qF -- '--event-log FILE' out &&
		grep -qF "The options of a machine are those of 'lkvm help run'." out && [ ! -s err ]
}
tells_library() {
	limited "$lkvm" version >out && grep -qE '^SHA-2: (nettle|libcrypto) [0-9]|^SHA-2: no$' out
}

point 'an ordinary guest has no measurement' ordinary
point 'wrong words are wrong here, too' wrong_words
point "another architecture's option is refused" elsewhere
point 'the help names its own options, and run for the others' helps
point 'lkvm version tells whose SHA-2 it is' tells_library
# Kinds: what each measures, and that nothing of the host counts, as dump-boot.t has it.
echo "1..$n"
