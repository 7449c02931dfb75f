#!/bin/bash
# SPDX-License-Identifier: MIT
# What is loaded at each start of lkvm: no library that a run may not use at all, where it can be linked statically; and
# hashes of either library, and of none. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
lkvm=${LKVM:-${O:-build}/lkvm}
cc=${CC:-gcc}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

echo 1..7
n=0
for name in z zstd fdt nettle; do
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

# hashes_of NAME HEADER ARGUMENTS...: the examples of FIPS 180-4 and the chains of tests/vectors, by a hash.c that is
# compiled so; where there is no hash they are skipped, and nothing else goes wrong.
hashes_of() {
	local name=$1 header=$2 test
	shift 2
	n=$((n + 1))
	if [ -n "$header" ] && ! echo "#include <$header>" | "$cc" -E -x c - >/dev/null 2>&1; then
		echo "ok $n - hashes of $name # SKIP $header is not installed"
		return
	fi
	for test in test_measure test_measure_snp; do
		"$cc" -std=gnu17 -D_GNU_SOURCE -Wall -Werror -fPIE -pie -Iinclude -isystem include/uapi -Itests/unit -o "$dir/$test" \
			"tests/unit/$test.c" measure/hash.c "${lkvm%/*}/liblkvm.a" -lcmocka "$@" -pthread >"$dir/log" 2>&1 &&
			"$dir/$test" >>"$dir/log" 2>&1 && continue
		echo "not ok $n - hashes of $name"
		tee /dev/stderr <"$dir/log" | sed 's/^/# /'
		return
	done
	echo "ok $n - hashes of $name"
}
hashes_of nettle nettle/sha2.h -DHAVE_NETTLE -lnettle
hashes_of libcrypto openssl/sha.h -DHAVE_LIBCRYPTO -lcrypto
hashes_of nobody ''
