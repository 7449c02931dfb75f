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

# The architectures that are built for on any other machine, with the prefix of their tools.
declare -A prefixes=([arm64]=aarch64-linux-gnu- [riscv64]=riscv64-linux-gnu-)

# cross ARCH ARGUMENTS...: makes for that architecture without a warning.
cross() {
	local arch=$1
	shift
	quiet_build ARCH="$arch" CROSS_COMPILE="${prefixes[$arch]}" "$@"
}

# Debian has libcmocka as a shared library only, so the tests are dynamic; TAP of all of them goes to the log.
cross_model() { make --no-print-directory O="${O:-build}" PROVE='prove -Q' WERROR=1 check-model-arm64; }
cross_unit_tests() {
	CMOCKA_MESSAGE_OUTPUT=TAP make --no-print-directory ARCH="$1" CROSS_COMPILE="${prefixes[$1]}" \
		O="${O:-build}/$1" PROVE='prove -Q' "check-$2"
}

missing_libfdt() {
	make --no-print-directory ARCH="$1" CROSS_COMPILE="${prefixes[$1]}" LIBS_DIR=/nonexistent O="$out/nofdt" && return 1
	grep -q "finds no libfdt for $1.*lab libs --arch $1" "$log"
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

# cross_missing ARCH: why nothing is built for it here, or nothing.
cross_missing() {
	local machine=${prefixes[$1]%%-*}
	[ "$(uname -m)" = "$machine" ] && echo "this machine is $1" && return
	command -v "${prefixes[$1]}gcc" >/dev/null || echo "${prefixes[$1]}gcc is not installed"
}

cross_libs() {
	local arch why
	for arch in arm64 riscv64; do
		why=$(cross_missing $arch)
		if [ -n "$why" ]; then
			skip "$arch cross-builds" "$why"
		else
			try "$arch: Debian's libraries unpack" tests/lab/lab libs --arch $arch
			try "$arch: where libfdt is missing the message says how to get it" missing_libfdt $arch
		fi
	done
}

# cross_dynamic ARCH TESTS: the binary, the layers, and those unit tests under qemu-user. Fails where there is no qemu-user.
cross_dynamic() {
	local qemu=qemu-${prefixes[$1]%%-*}
	try "$1: GCC builds a dynamic binary and unit tests without a warning" cross "$1" O="${O:-build}/$1" all "$2"
	try "$1: calls go down, and no two files need each other" cross "$1" O="${O:-build}/$1" layers
	if command -v "$qemu" >/dev/null; then
		try "$1: unit tests pass under qemu-user" cross_unit_tests "$1" "$2"
	else
		skip "$1: the unit tests pass" "$qemu (qemu-user) is not installed"
		return 1
	fi
}

cross_static() {
	try "$1: GCC builds a static binary without a warning" cross "$1" O="${O:-build}/$1" static
	if command -v clang >/dev/null; then
		try "$1: Clang builds a static binary without a warning" \
			cross "$1" O="$out/$1-clang" CC="clang --target=${prefixes[$1]%-}" $quick static
	else
		skip "$1: Clang builds a static binary" 'clang is not installed'
	fi
}

arm64() {
	[ -z "$(cross_missing arm64)" ] || return 0
	if cross_dynamic arm64 unit; then
		try 'arm64: lkvm goes by the rules of the model of KVM' cross_model
	fi
}

arm64_static() {
	[ -n "$(cross_missing arm64)" ] || cross_static arm64
}

riscv64() {
	# That the common ones pass on a 64-bit little-endian machine which is not this one, arm64's show.
	local tests=unit-own
	[ -z "${TEST_ALL:-}" ] || tests=unit
	[ -n "$(cross_missing riscv64)" ] || cross_dynamic riscv64 $tests || return 0
}

riscv64_static() {
	[ -n "$(cross_missing riscv64)" ] || cross_static riscv64
}

run_chains native cross_libs
run_chains lint arm64 riscv64 clang arm64_static riscv64_static dist static musl tsm
echo "1..$n"
