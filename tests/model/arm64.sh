# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# For the tests of the model's arm64 half: programs built for arm64, under qemu-user where the machine is another one.
# Sourced. MODEL_ARM64 is the build's folder.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.." || exit 1
# shellcheck source=tests/native/tap.sh
. tests/native/tap.sh

if [ "$(uname -m)" = aarch64 ]; then
	build=$(realpath "${MODEL_ARM64:-build}")
	runner=(env LD_PRELOAD="$build/model/model.so")
else
	build=$(realpath -m "${MODEL_ARM64:-build/arm64}")
	libs=$(realpath -m "${LIBS_DIR:-build/lab/arm64/libs}")
	command -v qemu-aarch64 >/dev/null || skip_all 'no qemu-aarch64: scripts/install-deps.sh cross'
	runner=(qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_PRELOAD="$build/model/model.so"
		-E LD_LIBRARY_PATH="$libs/usr/lib/aarch64-linux-gnu:$libs/lib/aarch64-linux-gnu")
fi
[ -x "$build/lkvm" ] && [ -e "$build/model/model.so" ] || skip_all "no arm64 build in $build: make check-model-arm64"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export TERM=dumb XDG_RUNTIME_DIR=$dir/runtime
mkdir -m 700 "$XDG_RUNTIME_DIR"
unset LKVM_MODEL LKVM_MODEL_SCRIPT LKVM_MODEL_LOG

# An arm64 Image (Linux Documentation/arch/arm64/booting.rst): two instructions, text_offset 0, image_size, flags for 4 KiB
# pages anywhere, the magic number; and a page behind it.
{
	printf '\0\0\0\024\037\040\003\325\0\0\0\0\0\0\0\0\0\040\0\0\0\0\0\0\012\0\0\0\0\0\0\0'
	printf '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0ARM\144\0\0\0\0'
	head -c 8128 /dev/zero | tr '\0' x
} >Image

# under MODEL [SCRIPT] -- COMMAND...: runs it in the model; keeps out, err, the model's log; its status.
under() {
	local model=$1 script=
	shift
	[ "$1" = -- ] || { script=$1 && shift; }
	shift
	rm -f log
	LKVM_MODEL=$model LKVM_MODEL_SCRIPT=$script LKVM_MODEL_LOG=log limited "${runner[@]}" "$@" >out 2>err </dev/null
}

# launch STATUS MODEL [SCRIPT] -- ARGUMENT...: lkvm run of a small machine.
launch() {
	local want=$1 status
	shift
	local words=("$1")
	shift
	[ "$1" = -- ] || { words+=("$1") && shift; }
	shift
	under "${words[@]}" -- "$build/lkvm" run --loglevel warning --nodefaults -k Image -m 256M -c 1 "$@"
	status=$?
	[ $status = "$want" ] && return 0
	echo "# ${words[*]}: 'run $*': status $status, not $want"
	sed 's/^/# err: /' err | head -n 8
	grep broken log | sed 's/^/# log: /'
	return 1
}

# says FILE TEXT...: each text is in the file (out, err, log).
says() {
	local file=$1 text
	shift
	for text; do
		grep -qF -- "$text" "$file" && continue
		echo "# no '$text' in $file:"
		sed 's/^/#   /' "$file" | tail -n 20
		return 1
	done
}

# one_line: lkvm said one thing, in one line.
one_line() {
	[ "$(grep -c . err)" = 1 ] && return 0
	sed 's/^/# err: /' err
	return 1
}

# calls NAME: how many of them there were; measurement: the last one, in hexadecimal.
calls() { grep -c "\"call\": \"$1\"" log; }
# shellcheck disable=SC2034
measurement() { sed -n 's/.*"measurement": "\([0-9a-f]*\)".*/\1/p' log | tail -n 1; }
