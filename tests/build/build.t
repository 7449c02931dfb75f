#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds with other compilers and C libraries, installs, packs, checks the documentation and the style. TAP.
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
try 'an architecture that is not supported is named' unsupported_arch
try 'make lint has nothing to say' make --no-print-directory lint
echo "1..$n"
