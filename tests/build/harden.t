#!/bin/bash
# SPDX-License-Identifier: MIT
# What each kind of binary is hardened with, read from its ELF headers and from those of its objects. TAP.
# shellcheck disable=SC2034,SC2154 # of tap.sh
set -u
cd "$(dirname "$0")/../.." || exit 1
out=${O:-build}

# As build.t has it, so that nothing is built twice.
unset MAKEFLAGS MFLAGS MAKELEVEL
export WERROR=1
log=$out/harden.log
# shellcheck source=tests/build/tap.sh
. tests/build/tap.sh

# has WHAT PATTERN, lacks WHAT PATTERN: the headers of $binary; prints what is wrong.
has() {
	grep -qE -- "$2" <<<"$headers" || { echo "$binary: no $1" && return 1; }
}
lacks() {
	! grep -E -- "$2" <<<"$headers" || { echo "$binary: $1" && return 1; }
}

# Position-independent, relocations read-only, no memory that is both written and executed, stack checks.
hardened() {
	local binary=$1 headers bad=0
	headers=$(readelf -hldW "$binary") || return 1
	has 'ELF type DYN' '^ *Type: +DYN' || bad=1
	has 'PIE flag' 'FLAGS_1.*\bPIE\b' || bad=1
	has 'immediate binding' 'FLAGS_1.*\bNOW\b' || bad=1
	has 'RELRO segment' '^ *GNU_RELRO ' || bad=1
	has 'stack that is not executable' '^ *GNU_STACK .* RW +0x' || bad=1
	lacks 'a segment is written and executed' '^ *[A-Z_]+ +0x.* RWE ' || bad=1
	lacks 'code is relocated' 'TEXTREL' || bad=1
	has_stack_checks "$binary" || bad=1
	return $bad
}
has_stack_checks() {
	readelf -sW --dyn-syms "$1" | grep -q '__stack_chk_fail' || { echo "$1: no stack protector" && return 1; }
}
# The same, and nothing is loaded beside it.
static() {
	local binary=$1 headers
	hardened "$binary" || return 1
	headers=$(readelf -hldW "$binary")
	lacks 'has an interpreter' '^ *INTERP ' && lacks 'needs a library' '\(NEEDED\)'
}

# Where the compiler has the flag, every object says that it was built with it: one without takes it from the whole. What
# lies there from before its source was removed is no part of the binary.
all_objects() {
	local folder=$1 note=$2 object source bad=0
	find "$folder/obj" -name '*.o' | grep -q . || return 1
	while read -r object; do
		source=${object#"$folder/obj/"}
		[ -e "${source%.o}.c" ] || [ -e "${source%.o}.S" ] || continue
		readelf -nW "$object" | grep -q "$note" || { echo "$object: no $note" && bad=1; }
	done < <(find "$folder/obj" -name '*.o' -not -path '*/obj/tests/*')
	return $bad
}
# The flags that the build was made with, as the compiler was asked for them.
flags_of() {
	local folder=$1 flag
	shift
	for flag; do
		grep -q -- "$flag" "$folder/flags" || { echo "$folder: built without $flag" && return 1; }
	done
}
takes() {
	local flag=${*: -1}
	"${@:1:$#-1}" -Werror "$flag" -c -x c /dev/null -o /dev/null 2>/dev/null
}
# has_flags FOLDER COMPILER...: whatever of these the compiler takes was used, and fortified functions are.
has_flags() {
	local folder=$1 flag
	shift
	for flag in -fstack-clash-protection -fcf-protection -mbranch-protection=standard; do
		! takes "$@" $flag || flags_of "$folder" "$flag" || return 1
	done
	flags_of "$folder" -fstack-protector-strong -D_FORTIFY_SOURCE=2
}

build() {
	make -j2 --no-print-directory "$@"
}
# kind NAME FOLDER CHECK COMPILER...: all points about one binary.
kind() {
	local name=$1 folder=$2 check=$3
	shift 3
	point "$name: headers" "$check" "$folder/lkvm"
	point "$name: flags" has_flags "$folder" "$@"
	if takes "$@" -fcf-protection; then
		point "$name: every object has IBT and SHSTK" all_objects "$folder" 'IBT, SHSTK'
	fi
}

point 'it builds' build all static
kind dynamic "$out" hardened gcc
kind static "$out/static" static gcc
point 'static: runs' "$out/static/lkvm" version
if command -v musl-gcc >/dev/null; then
	point 'musl: it builds' build musl
	kind musl "$out/musl" static musl-gcc
	point 'musl: runs' "$out/musl/lkvm" version
fi
if command -v clang >/dev/null; then
	point 'Clang: it builds' build O="$out/variants/clang" CC=clang all static
	kind Clang "$out/variants/clang" hardened clang
	kind 'Clang, static' "$out/variants/clang/static" static clang
	point 'Clang, static: runs' "$out/variants/clang/static/lkvm" version
fi
# cross ARCH TRIPLET: the binaries for another machine.
cross() {
	local arch=$1 gcc=$2-gcc qemu=qemu-${2%%-*}
	[ "$(uname -m)" != "${2%%-*}" ] && command -v "$gcc" >/dev/null && tests/lab/lab libs --arch "$arch" >/dev/null || return
	point "$arch: it builds" build ARCH="$arch" CROSS_COMPILE="$2-" O="$out/$arch" all static
	kind "$arch" "$out/$arch" hardened "$gcc"
	# A C library may have no start-up file for position-independent static programs (Debian 12's for riscv64).
	if [ -e "$("$gcc" -print-file-name=rcrt1.o)" ]; then
		kind "$arch, static" "$out/$arch/static" static "$gcc"
	fi
	if command -v "$qemu" >/dev/null; then
		point "$arch, static: runs" "$qemu" "$out/$arch/static/lkvm" version
	fi
}
cross arm64 aarch64-linux-gnu
cross riscv64 riscv64-linux-gnu
echo "1..$n"
