# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# For tests of lkvm over the model of KVM (docs/model.md): a case is one or two lines. TAP. Sourced.
#
#   point 'SNP: a launch' launch 0 snp '' --snp
#   point 'SNP: no ASID' refuses snp,asids=0 '' 'no ASID' --snp
#   measures 'SNP: digest' same_digest snp --snp
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.." || exit 1
lkvm=$(realpath "${LKVM:-build/lkvm}")
guests=$(realpath "${GUESTS:-build/guests}")
model=$(realpath "${MODEL:-build/model/model.so}")
tools=$here
# shellcheck source=tests/native/tap.sh
. tests/native/tap.sh
[ -x "$lkvm" ] && [ -e "$model" ] || { echo 'Bail out! run make all model first' && exit 1; }

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export TERM=dumb XDG_RUNTIME_DIR=$dir/runtime
mkdir -m 700 "$XDG_RUNTIME_DIR"
# Where the model of VFIO has its part of /sys and /dev.
export LKVM_MODEL_ROOT=$dir/root
mkdir "$LKVM_MODEL_ROOT"
# What starts lkvm: empty, or qemu-user with its libraries (an array).
[ -v runner ] || runner=()

# modelled MODEL SCRIPT COMMAND...: a command over the model; its log is in the file log.
modelled() {
	local kind=$1 script=$2
	shift 2
	rm -f log
	# lkvm under AddressSanitizer wants to be the first library; it need not.
	limited env LKVM_MODEL="$kind" LKVM_MODEL_SCRIPT="$script" LKVM_MODEL_LOG="$dir/log" LD_PRELOAD="$model" \
		ASAN_OPTIONS="verify_asan_link_order=0 ${ASAN_OPTIONS-}" "${runner[@]}" "$@"
}

# launch STATUS MODEL SCRIPT ARGUMENT...: lkvm run over the model; keeps out, err and log, compares the status. A broken
# rule is status 99, whatever lkvm thought of it.
launch() {
	local want=$1 kind=$2 script=$3 status
	shift 3
	modelled "$kind" "$script" "$lkvm" run --loglevel warning "$@" >out 2>err </dev/null
	status=$?
	[ $status = "$want" ] && { nothing_left; return; }
	echo "# 'run $*' over $kind: status $status, not $want"
	sed 's/^/# out: /' out
	head -n 5 err | sed 's/^/# err: /'
	broken | head -n 5 | sed 's/^/# broken: /'
	return 1
}

# No socket and no file of a machine stays behind.
nothing_left() {
	[ -z "$(find "$XDG_RUNTIME_DIR" ! -type d)" ] && return 0
	find "$XDG_RUNTIME_DIR" ! -type d | sed 's/^/# left: /'
	return 1
}

# refuses MODEL SCRIPT TEXT ARGUMENT...: status 1 and one line on standard error, with TEXT.
refuses() {
	local kind=$1 script=$2 text=$3
	shift 3
	launch 1 "$kind" "$script" "$@" && one_line "$text"
}
# wrong MODEL TEXT ARGUMENT...: the same of what is wrong usage: status 2.
wrong() {
	local kind=$1 text=$2
	shift 2
	launch 2 "$kind" '' "$@" && one_line "$text"
}
one_line() {
	[ "$(grep -c . err)" = 1 ] && grep -qF -- "$1" err && return 0
	echo "# not one line with '$1':"
	sed 's/^/# err: /' err
	return 1
}

# says TEXT...: the last launch's standard error has each.
says() {
	local text
	for text; do
		grep -qF -- "$text" err && continue
		echo "# not on standard error: $text"
		sed 's/^/# err: /' err
		return 1
	done
}

# logged TEXT...: each is in the log, a line of JSON for each event.
logged() {
	local text
	for text; do
		grep -qF -- "$text" log && continue
		echo "# not in the log: $text"
		return 1
	done
}
# breaks TEXT MODEL SCRIPT ARGUMENT...: a rule with TEXT is broken.
breaks() {
	local text=$1
	shift
	launch 99 "$@" && broken | grep -qF -- "$text"
}
broken() { sed -n 's/^{"broken": "\(.*\)"}$/\1/p' log; }
# The final measurement of the last launch.
measured() { sed -n 's/^{"measurement": "\([0-9a-f]*\)".*/\1/p' log | tail -n 1; }

# same_digest MODEL ARGUMENT...: what `lkvm measure` says is what the firmware would measure.
same_digest() {
	local kind=$1 want
	shift
	launch 0 "$kind" '' "$@" || return
	want=$(measured)
	[ -n "$want" ] && "${runner[@]}" "$lkvm" measure "$@" >digest 2>err </dev/null && grep -qF -- "$want" digest && return 0
	echo "# the model measures '$want', lkvm says:"
	sed 's/^/#   /' digest err
	return 1
}

# measures NAME COMMAND...: a point for which lkvm has to measure, too.
measures() {
	if "${runner[@]}" "$lkvm" version | grep -qx 'SHA-2: no'; then
		skip "$1" 'this lkvm was built without SHA-2'
	else
		point "$@"
	fi
}

# As many as there are: at the end.
finish() { echo "1..$n"; }
