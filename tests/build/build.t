#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds with other compilers and C libraries and for another architecture, installs, packs, checks the documentation and
# the style. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
out=${O:-build}/variants
log=$out/log
mkdir -p "$out"
n=0

# Each make below is one of its own, not a part of the one that may have started this; and the flags are the same for
# all of them and for `make check`, so that nothing is built twice.
unset MAKEFLAGS MFLAGS MAKELEVEL
export WERROR=1

# try NAME COMMAND...: one test point; the output is shown when it fails.
try() {
	local name=$1
	shift
	n=$((n + 1))
	if "$@" >"$log" 2>&1; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		tail -n 40 "$log" | sed 's/^/# /'
	fi
}

skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

# quiet_build ARGUMENTS...: makes without a warning.
quiet_build() {
	make -j2 --no-print-directory "$@" 2>"$log.err"
	local status=$?
	cat "$log.err"
	[ $status = 0 ] && ! grep -q 'warning' "$log.err"
}

installs() {
	local root=$out/root
	rm -rf "$root"
	make --no-print-directory install DESTDIR="$PWD/$root" prefix=/usr || return 1
	"$root/usr/bin/lkvm" version || return 1
	test -s "$root/usr/share/man/man1/lkvm.1" || test -s "$root/usr/share/man/man1/lkvm.1.gz"
}

# The packed tree builds by itself, without git.
packs() {
	local dir=$out/dist tree
	rm -rf "$dir" && mkdir -p "$dir"
	make --no-print-directory dist DISTDIR="$PWD/$dir" || return 1
	tar -C "$dir" -xf "$dir"/lkvm-*.tar.xz || return 1
	tree=$(echo "$dir"/lkvm-*/)
	make -j2 --no-print-directory -C "$tree" O=build && "$tree/build/lkvm" version
}

# cross ARGUMENTS...: makes for arm64 without a warning.
cross() {
	quiet_build ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- "$@"
}

# Debian has libcmocka as a shared library only, so the tests are dynamic; TAP of all of them goes to the log.
cross_unit_tests() {
	CMOCKA_MESSAGE_OUTPUT=TAP make --no-print-directory ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- \
		O="${O:-build}/arm64" PROVE='prove -Q' check-unit
}

missing_libfdt() {
	make --no-print-directory ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- LIBS_DIR=/nonexistent O="$out/nofdt" && return 1
	grep -q 'finds no libfdt for arm64.*lab libs --arch arm64' "$log"
}

unsupported_arch() {
	make --no-print-directory ARCH=vax O="$out/vax" && return 1
	grep -q 'ARCH=vax' "$log"
}

if command -v clang >/dev/null; then
	try 'Clang builds lkvm and the unit tests without a warning' \
		quiet_build O="$out/clang" CC=clang all unit
else
	skip 'Clang builds lkvm' 'clang is not installed'
fi
try 'a static binary builds without a warning' quiet_build static
if command -v musl-gcc >/dev/null; then
	try 'musl: a static binary builds without a warning' quiet_build musl
else
	skip 'musl builds lkvm' 'musl-gcc is not installed'
fi
try 'make install puts binary and manual page in place' installs
if git rev-parse --git-dir >/dev/null 2>&1; then
	try 'make dist packs a tree that builds' packs
else
	skip 'make dist packs a tree that builds' 'this is no git checkout'
fi
if [ "$(uname -m)" = aarch64 ]; then
	skip 'arm64 cross-builds' 'this machine is arm64'
elif ! command -v aarch64-linux-gnu-gcc >/dev/null; then
	skip 'arm64 cross-builds' 'aarch64-linux-gnu-gcc is not installed'
else
	try "arm64: Debian's libraries unpack" tests/lab/lab libs --arch arm64
	try 'arm64: GCC builds a static binary without a warning' cross O="${O:-build}/arm64" static
	try 'arm64: and a dynamic one, and the unit tests' cross O="${O:-build}/arm64" all unit
	if command -v clang >/dev/null; then
		try 'arm64: Clang builds a static binary without a warning' \
			cross O="$out/arm64-clang" CC='clang --target=aarch64-linux-gnu' static
	else
		skip 'arm64: Clang builds a static binary' 'clang is not installed'
	fi
	if command -v qemu-aarch64 >/dev/null; then
		try 'arm64: the unit tests pass under qemu-user' cross_unit_tests
	else
		skip 'arm64: the unit tests pass' 'qemu-aarch64 (qemu-user) is not installed'
	fi
	try 'arm64: where libfdt is missing the message says how to get it' missing_libfdt
fi
try 'an architecture that is not supported is named' unsupported_arch
try 'make lint has nothing to say' make --no-print-directory lint
echo "1..$n"
