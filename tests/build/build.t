#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds with other compilers and C libraries, installs, packs, checks the documentation and the style. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
out=${O:-build}/variants
log=$out/log
mkdir -p "$out"
n=0

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

# quiet_build DIR ARGUMENTS...: builds without a word on standard error.
quiet_build() {
	local dir=$1
	shift
	make -j2 --no-print-directory O="$dir" "$@" 2>"$log.err"
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
	local dir=$out/dist
	rm -rf "$dir" && mkdir -p "$dir"
	make --no-print-directory dist DISTDIR="$PWD/$dir" || return 1
	tar -C "$dir" -xf "$dir"/lkvm-*.tar.xz || return 1
	make -j2 --no-print-directory -C "$dir"/lkvm-*/ WERROR=1 && "$dir"/lkvm-*/build/lkvm version
}

unsupported_arch() {
	make --no-print-directory ARCH=vax O="$out/vax" && return 1
	grep -q 'ARCH=vax' "$log"
}

if command -v clang >/dev/null; then
	try 'Clang builds lkvm and the unit tests without a warning' \
		quiet_build "$out/clang" CC=clang WERROR=1 all unit
else
	skip 'Clang builds lkvm' 'clang is not installed'
fi
try 'a static binary builds without a warning' quiet_build "$out/static" STATIC=1 WERROR=1 all
if command -v musl-gcc >/dev/null; then
	try 'musl: a static binary builds without a warning' make -j2 --no-print-directory musl WERROR=1
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
