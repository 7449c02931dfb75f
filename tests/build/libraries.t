#!/bin/bash
# SPDX-License-Identifier: MIT
# What is loaded at each start of lkvm: no library that a run may not use at all, where it can be linked statically. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
lkvm=${LKVM:-${O:-build}/lkvm}
cc=${CC:-gcc}

echo 1..3
n=0
for name in z zstd fdt; do
	n=$((n + 1))
	archive=$("$cc" -print-file-name="lib$name.a")
	if [ ! -e "$archive" ]; then
		echo "ok $n - lib$name # SKIP there is no archive of it"
	elif readelf -d "$lkvm" | grep -q "NEEDED.*\[lib$name\.so"; then
		echo "not ok $n - lib$name is loaded at each start, and $archive is there"
	else
		echo "ok $n - lib$name is not loaded at each start"
	fi
done
