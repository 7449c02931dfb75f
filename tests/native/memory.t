#!/bin/bash
# SPDX-License-Identifier: MIT
# Guest memory that is added and removed while vcpus and a queue use it (memory.c).
# shellcheck disable=SC2154
program=$(realpath "${NATIVE:-build/native}/memory")
. "$(dirname "$0")/lib.sh"

comes_and_goes() {
	limited "$program" "$guests/memory.flat" 2000 >out 2>err </dev/null
	local status=$?
	[ $status = 0 ] && says out '2 cpus, 0 wrong, the memory was there at times' '2000 rounds' && quiet && return
	echo "# status $status" && sed 's/^/# out: /' out && sed 's/^/# err: /' err
	return 1
}

echo 1..1
point 'memory comes and goes 2000 times' comes_and_goes
