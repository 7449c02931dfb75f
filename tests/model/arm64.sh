# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# For tests of lkvm for arm64 over the model: lib.sh, with qemu-user where the machine is another one. Sourced. The folder
# MODEL_ARM64 has what `make check-model-arm64` built.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../native/tap.sh"
[ -n "${MODEL_ARM64-}" ] || skip_all 'lkvm for arm64 is tested by make check-model-arm64'
build=$(realpath "$MODEL_ARM64")
export LKVM=$build/lkvm GUESTS=$build MODEL=$build/model/model.so
if [ "$(uname -m)" != aarch64 ]; then
	libs=$(realpath -m "${LIBS_DIR:-build/lab/arm64/libs}")
	command -v qemu-aarch64 >/dev/null || skip_all 'no qemu-aarch64: scripts/install-deps.sh cross'
	runner=(qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH="$libs/usr/lib/aarch64-linux-gnu:$libs/lib/aarch64-linux-gnu")
fi
# shellcheck source=tests/model/lib.sh
. "$here/lib.sh"

# The library is for the program alone: qemu-user is one of this machine.
modelled() {
	local kind=$1 script=$2 preload=(env LD_PRELOAD="$model")
	shift 2
	[ ${#runner[@]} = 0 ] || preload=("${runner[@]}" -E LD_PRELOAD="$model")
	rm -f log
	# shellcheck disable=SC2154
	LKVM_MODEL=$kind LKVM_MODEL_SCRIPT=$script LKVM_MODEL_LOG=$dir/log limited "${preload[@]}" "$@"
}

# An arm64 Image (Linux Documentation/arch/arm64/booting.rst): two instructions, text_offset 0, image_size, flags for 4 KiB
# pages anywhere, the magic number; and a page behind it.
{
	printf '\0\0\0\024\037\040\003\325\0\0\0\0\0\0\0\0\0\040\0\0\0\0\0\0\012\0\0\0\0\0\0\0'
	printf '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0ARM\144\0\0\0\0'
	head -c 8128 /dev/zero | tr '\0' x
} >Image
# lkvm run of a small machine: launch STATUS MODEL SCRIPT "${small[@]}" ARGUMENT...
# shellcheck disable=SC2034
small=(--nodefaults -k Image -m 256M -c 1)

# calls NAME: how many of them there were.
calls() { grep -c "\"call\": \"$1\"" log; }
