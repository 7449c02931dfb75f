#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds with other compilers and C libraries and for another architecture, installs, packs, checks the documentation and
# the style. TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1
out=${O:-build}/variants
mkdir -p "$out"
n=0

# Each make below is one of its own, not a part of the one that may have started this; and the flags are the same for
# all of them and for `make check`, so that nothing is built twice.
unset MAKEFLAGS MFLAGS MAKELEVEL
export WERROR=1

# try NAME COMMAND...: one test point; when it fails its end is shown, and first of all which of its tests failed.
try() {
	local name=$1
	shift
	if "$@" >"$log" 2>&1; then
		echo "ok - $name"
	else
		echo "not ok - $name"
		{ grep -A 5 '^not ok' "$log"; tail -n 40 "$log"; } | sed 's/^/# /'
	fi
}

skip() {
	echo "ok - $1 # SKIP $2"
}

# What is built only to see whether it builds, with compilers whose warnings come without much optimizing.
quick=CFLAGS=-O1
jobs=$(nproc)

# A chain is a function that makes points one after the other, in output folders that no other one writes to. Two run at a time:
# linking and probing leave half a machine idle. Their points are shown when they end, and how long they took on standard
# error at once.
run_chain() {
	local start=$SECONDS
	log=$out/$1.log
	"$1" >"$out/$1.tap" 2>&1 || echo "not ok - $1 ended with status $?" >>"$out/$1.tap"
	echo end >>"$out/$1.tap"
	echo "# build: $1 took $((SECONDS - start)) s" >&2
}

# run_chains NAME...: the longest first.
run_chains() {
	local chain
	for chain; do
		while [ "$(jobs -rp | wc -l)" -ge 2 ]; do
			wait -n
		done
		rm -f "$out/$chain.tap"
		run_chain "$chain" &
	done
	wait
	for chain; do
		[ "$(tail -n 1 "$out/$chain.tap" 2>/dev/null)" = end ] || echo "not ok - $chain did not end"
		sed '/^end$/d' "$out/$chain.tap"
		# Where prove does not swallow it.
		! grep -q '^not ok' "$out/$chain.tap" || sed 's/^[^#]/# &/' "$out/$chain.tap" >&2
		n=$((n + $(grep -cE '^(not )?ok ' "$out/$chain.tap")))
	done
}

# quiet_build ARGUMENTS...: makes without a warning.
quiet_build() {
	make -j"$jobs" --no-print-directory "$@" 2>"$log.err"
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

# The packed tree builds by itself, without git; optimized as little as the C library's checks let pass without a warning.
packs() {
	local dir=$out/dist tree
	rm -rf "$dir" && mkdir -p "$dir"
	make --no-print-directory dist DISTDIR="$PWD/$dir" || return 1
	tar -C "$dir" -xf "$dir"/lkvm-*.tar.xz || return 1
	tree=$(echo "$dir"/lkvm-*/)
	make -j"$jobs" --no-print-directory -C "$tree" O=build CFLAGS=-O1 && "$tree/build/lkvm" version
}

# cross ARGUMENTS...: makes for arm64 without a warning.
cross() {
	quiet_build ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- "$@"
}

# Debian has libcmocka as a shared library only, so the tests are dynamic; TAP of all of them goes to the log.
cross_model() { make --no-print-directory O="${O:-build}" PROVE='prove -Q' WERROR=1 check-model-arm64; }
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

# What others need: the first build, which the points of `native` and lint look at.
native() {
	try 'it builds without a warning' quiet_build all unit man
	try 'make install puts binary and manual page in place' installs
	try 'an architecture that is not supported is named' unsupported_arch
}

# The files that it changes are a unit test's too: here is seen that the switch is one.
tsm() {
	try 'TSM=1 builds what it adds' quiet_build O="$out/tsm" TSM=1 $quick "$out/tsm/obj/vfio/tsm.o" "$out/tsm/obj/config-vfio-tsm.o" &&
		try 'TSM=1: the calls are there' grep -q vfio_tsm_ask "$out/tsm/obj/vfio/tsm.o"
}

lint() {
	try 'make lint has nothing to say' make --no-print-directory lint
}

clang() {
	if command -v clang >/dev/null; then
		try 'Clang builds lkvm and the unit tests without a warning' quiet_build O="$out/clang" CC=clang $quick all unit
	else
		skip 'Clang builds lkvm' 'clang is not installed'
	fi
}

static() {
	try 'a static binary builds without a warning' quiet_build static
}

musl() {
	if command -v musl-gcc >/dev/null; then
		try 'musl: a static binary builds without a warning' quiet_build musl $quick
	else
		skip 'musl builds lkvm' 'musl-gcc is not installed'
	fi
}

dist() {
	if git rev-parse --git-dir >/dev/null 2>&1; then
		try 'make dist packs a tree that builds' packs
	else
		skip 'make dist packs a tree that builds' 'this is not a git checkout'
	fi
}

cross_missing() {
	[ "$(uname -m)" = aarch64 ] && echo 'this machine is arm64' && return
	command -v aarch64-linux-gnu-gcc >/dev/null || echo 'aarch64-linux-gnu-gcc is not installed'
}

arm64_libs() {
	local why
	why=$(cross_missing)
	if [ -n "$why" ]; then
		skip 'arm64 cross-builds' "$why"
	else
		try "arm64: Debian's libraries unpack" tests/lab/lab libs --arch arm64
		try 'arm64: where libfdt is missing the message says how to get it' missing_libfdt
	fi
}

arm64() {
	[ -z "$(cross_missing)" ] || return 0
	try 'arm64: GCC builds a dynamic binary and the unit tests without a warning' cross O="${O:-build}/arm64" all unit
	try 'arm64: calls go down, and no two files need each other' cross O="${O:-build}/arm64" layers
	if command -v qemu-aarch64 >/dev/null; then
		try 'arm64: the unit tests pass under qemu-user' cross_unit_tests
		try 'arm64: lkvm goes by the rules of the model of KVM' cross_model
	else
		skip 'arm64: the unit tests pass' 'qemu-aarch64 (qemu-user) is not installed'
	fi
}

arm64_static() {
	[ -z "$(cross_missing)" ] || return 0
	try 'arm64: GCC builds a static binary without a warning' cross O="${O:-build}/arm64" static
	if command -v clang >/dev/null; then
		try 'arm64: Clang builds a static binary without a warning' \
			cross O="$out/arm64-clang" CC='clang --target=aarch64-linux-gnu' $quick static
	else
		skip 'arm64: Clang builds a static binary' 'clang is not installed'
	fi
}

run_chains native arm64_libs
run_chains lint arm64 clang arm64_static dist static musl tsm
echo "1..$n"
