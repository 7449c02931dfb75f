#!/bin/bash
# SPDX-License-Identifier: MIT
# How large each kind of binary is without what only debuggers read, and what must not be in it. TAP.
# shellcheck disable=SC2034,SC2154 # of tap.sh
set -u
cd "$(dirname "$0")/../.." || exit 1
out=${O:-build}

# As build.t has it, so that nothing is built twice.
unset MAKEFLAGS MFLAGS MAKELEVEL CFLAGS
export WERROR=1
log=$out/size.log
# shellcheck source=tests/build/tap.sh
. tests/build/tap.sh

build() {
	make -j2 --no-print-directory "$@"
}
# at_most KIB BINARY
at_most() {
	local bytes
	strip -o "$out/size.stripped" "$2" || return 1
	bytes=$(stat -c %s "$out/size.stripped")
	rm -f "$out/size.stripped"
	echo "$2: $bytes bytes stripped, the limit is $(($1 * 1024))"
	[ "$bytes" -le $(($1 * 1024)) ]
}
# Symbols of libraries that are as large as they are needless: each came in by one call somewhere.
without() {
	local binary=$1 bad=0 name
	shift
	for name; do
		! nm "$binary" | grep -E " [A-Za-z] $name\$" || { echo "$binary: has $name" && bad=1; }
	done
	return $bad
}
# What asks for the most: reading and printing of floating-point numbers by scanf, time zones, the name service;
# decoders of what no kernel is packed with.
NEEDLESS=(__vfscanf_internal __isoc99_sscanf strtod __strtof128_internal __tzfile_read __tzset __nss_readline
	'ZSTDv0[567]_decompressBegin' deflate ZSTD_compress)
# Relative relocations are packed: some hundred bytes, not 24 for each pointer in a table.
few_relocations() {
	readelf -dW "$1" | grep -q '(RELR)' || { echo "$1: no DT_RELR" && return 1; }
	# Those of a dynamic binary's calls remain.
	! readelf -rW "$1" | grep -E '_RELATIVE *[0-9a-f]*$' | head -n 3 | grep . || return 1
}
packs_relocations() {
	echo 'int x, *p = &x; int main(void) { return !p; }' | gcc -fPIE -pie -Wl,-z,pack-relative-relocs -x c - -o "$out/size.probe" &&
		readelf -dW "$out/size.probe" | grep -q '(RELR)'
}
# Nothing reads tables for unwinding in a static binary.
no_unwind_tables() {
	! readelf -SW "$1" | grep -E '\.eh_frame|\.gcc_except_table'
}

starts_late() {
	! readelf -SW "$1" | grep -E '\.(init_array|ctors)'
}

# kind NAME BINARY KIB: the limit holds for the libraries of Debian 12 on x86-64; elsewhere there is none.
debian12() {
	[ "$(uname -m)" = x86_64 ] && grep -q '^12' /etc/debian_version 2>/dev/null
}
kind() {
	if debian12; then
		point "$1: at most $3 KiB" at_most "$3" "$2"
	else
		skip "$1: at most $3 KiB" "other libraries than Debian 12's for x86-64"
	fi
	point "$1: nothing needless" without "$2" "${NEEDLESS[@]}"
	if packs_relocations >/dev/null 2>&1; then
		point "$1: packed relocations" few_relocations "$2"
	fi
}

point 'it builds' build all static
kind dynamic "$out/lkvm" 1415
kind static "$out/static/lkvm" 1920
point 'static: no tables for unwinding' no_unwind_tables "$out/static/lkvm"
if command -v musl-gcc >/dev/null; then
	point 'musl: it builds' build musl
	kind musl "$out/musl/lkvm" 1275
	point 'musl: no tables for unwinding' no_unwind_tables "$out/musl/lkvm"
	# Of nettle's (scripts/nettle.ld), and of nobody else.
	point 'musl: nothing runs before main' starts_late "$out/musl/lkvm"
fi
echo "1..$n"
