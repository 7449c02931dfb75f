#!/bin/bash
# SPDX-License-Identifier: MIT
# SEV-SNP guests as far as a host without SNP has them: the stub of kernels without firmware in an ordinary guest, with its three
# instructions replaced; the list of what is launched; and what is refused.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

# stub STATUS MEMORY WORDS TEXT...: the stub with these words says these lines, in this order, and nothing else.
stub() {
	local want=$1 mem=$2 words=$3
	shift 3
	guest "$want" snpstub -m "$mem" -p "$words" && quiet || return 1
	printf '%s\n' "$@" >expected
	tr -d '\r' <out | diff expected - >difference && return 0
	sed 's/^/# /' difference
	return 1
}
closed='entered with 0x1234567, the window is closed'

sizes() {
	stub 0 64 ranges=0x500000-0x503000,0x5ff000-0xa01000 'valid 0x500000-0x503000 by 4K' 'valid 0x5ff000-0x600000 by 4K' \
		'valid 0x600000-0xa00000 by 2M' 'valid 0xa00000-0xa01000 by 4K' "$closed"
}
# What is less than 2 MiB at the end of a range is not touched by a large page.
ends() {
	stub 0 64 ranges=0x600000-0x7ff000 'valid 0x600000-0x7ff000 by 4K' "$closed" &&
		stub 0 64 ranges=0x600000-0x800000 'valid 0x600000-0x800000 by 2M' "$closed"
}
no_ranges() { stub 0 64 x "$closed"; }
mismatch() {
	stub 0 64 'ranges=0x400000-0xc00000 mismatch=0x600000' 'valid 0x400000-0x600000 by 2M' 'valid 0x600000-0x800000 by 4K' \
		'valid 0x800000-0xc00000 by 2M' "$closed"
}
# Through the window, over the border of two GiB, and back and forth.
high() {
	stub 0 6G ranges=0x100000000-0x100400000,0x13fe00000-0x140200000,0x140201000-0x140203000,0x100400000-0x100600000,0x500000-0x501000 \
		'valid 0x100000000-0x100400000 by 2M' 'valid 0x13fe00000-0x140200000 by 2M' 'valid 0x140201000-0x140203000 by 4K' \
		'valid 0x100400000-0x100600000 by 2M' 'valid 0x500000-0x501000 by 4K' "$closed"
}
high_mismatch() {
	stub 0 6G 'ranges=0x13fe00000-0x140200000 mismatch=0x140000000' 'valid 0x13fe00000-0x140000000 by 2M' \
		'valid 0x140000000-0x140200000 by 4K' "$closed"
}
# A host that lies: the guest says which reason of which set, and leaves.
ended=$'wrmsr 0xc0010130: 0x21100\nvmgexit'
lies() {
	stub 3 64 'ranges=0x400000-0xc00000 fail=0x600000' 'valid 0x400000-0x600000 by 2M' "$ended" &&
		stub 3 64 'ranges=0x501000-0x505000 fail=0x503000' 'valid 0x501000-0x503000 by 4K' "$ended" &&
		stub 3 64 'ranges=0x400000-0xc00000 twice=0x600000' 'valid 0x400000-0x600000 by 2M' "$ended" &&
		stub 3 64 'ranges=0x501000-0x505000 twice=0x503000' 'valid 0x501000-0x503000 by 4K' "$ended"
}

# refused STATUS TEXT WORD...: one line that has the text.
refused() {
	local want=$1 text=$2
	shift 2
	run "$want" -k "$guests/hello.elf" -m 64 -c 1 "$@" && [ "$(wc -l <err)" = 1 ] && says err "$text"
}
no_snp() { ! "$lkvm" host | grep -q '^ *sev-snp *no'; }
this_host() { refused 1 "--snp: this host's KVM has no SEV-SNP guests" --snp; }
combined() {
	local row
	for row in '--snp and --gdb:|--gdb=1' '--snp and --nested on:|--nested=on' '--snp and --svm:|--svm=+npt' \
		'--snp and --testdev:|--testdev' '--snp and --balloon:|--balloon' '--snp and a legacy virtio|--virtio-transport=pci-legacy' \
		'--cpu phys-bits=52:|--cpu=host,phys-bits=52' '--cpu -lm:|--cpu=host,-lm' '--kernel-format pvh:|--kernel-format=pvh' \
		'--kernel-format multiboot:|--kernel-format=multiboot' '--snp-id-block: needs --snp-id-auth|--snp-id-block=x' \
		'--snp-id-auth: needs --snp-id-block|--snp-id-auth=x' 'must be 64 hexadecimal digits|--snp-host-data=0f' \
		'bit 17|--snp=policy=0x10000' "unknown '+debugg'|--snp=+debugg"; do
		refused 2 "${row%%|*}" --snp "${row##*|}" || return 1
	done
}
alone() {
	local option
	for option in --snp-id-block=x --snp-id-auth=x --snp-host-data=x --snp-certs=x --snp-guest-requests=interval=2000; do
		refused 2 "${option%%=*}: is for a guest with --snp" "$option" || return 1
	done
}
files() {
	head -c 96 /dev/zero >block && head -c 4096 /dev/zero >auth
	refused 1 '--snp-id-block nothing: cannot open: No such file' --snp --snp-id-block nothing --snp-id-auth auth &&
		refused 1 '--snp-id-block auth: has 4096 bytes; it must have 96' --snp --snp-id-block auth --snp-id-auth auth &&
		refused 1 '--snp-id-auth block: has 96 bytes; it must have 4096' --snp --snp-id-block block --snp-id-auth block &&
		refused 1 '--snp-id-block block: its version' --snp --snp-id-block block --snp-id-auth auth &&
		refused 1 '--snp-certs .: is not a regular file' --snp --snp-certs . || return 1
	head -c 20 /dev/zero >short
	refused 1 '--snp-certs short: is not a table of certificates' --snp --snp-certs short
}
# The id block's policy is compared before anything is launched.
id_policy() {
	{ head -c 80 /dev/zero && printf '\1\0\0\0\0\0\0\0\0\0\x0b\0\0\0\0\0'; } >block
	{ printf '\1' && head -c 575 /dev/zero && printf '\2' && head -c 3519 /dev/zero; } >auth
	refused 1 'is for a guest with the policy 0xb0000, and this one has 0x30000' --snp --snp-id-block block --snp-id-auth auth
}

dump() { rm -rf boot && "$lkvm" run --loglevel warning "$@" --dump-boot boot >out 2>err </dev/null; }
kinds() { sed -nE 's/.*"gpa": ([0-9]+), "size": ([0-9]+), "kind": "(secrets|cpuid|stub)".*/\1 \2 \3/p' boot/plan.json; }
listed() {
	dump --snp -k "$guests/hello.elf" -m 64 -c 1 || return 1
	kinds >list
	printf '%s\n' '819200 8192 stub' '835584 4096 secrets' '839680 4096 cpuid' '1044480 4096 stub' | diff - list || return 1
	says boot/plan.json '"rip": 819200' '"rbx": 823296' '"cr3": 598016'
}
other_formats() {
	! dump --snp -k "$guests/hello.multiboot" -m 64 -c 1 && [ "$(wc -l <err)" = 1 ] && says err 'not entered in 64-bit mode'
}
firmware_refused() {
	{ head -c 65534 /dev/zero | tr '\0' '\220' && printf '\xeb\xfe'; } >plain
	! dump --snp -f plain -m 64 -c 1 && says err 'plain: it has no SEV metadata' && [ "$(wc -l <err)" = 1 ] || return 1
	! dump --snp -f "$guests/hello.pvh" -m 64 -c 1 && says err "firmware must be raw" && [ "$(wc -l <err)" = 1 ]
}
firmware_list() {
	dump --snp -f "$here/../vectors/tiny-fw.bin" -m 64 -c 1 || return 1
	sed -nE 's/.*"gpa": ([0-9]+), "size": ([0-9]+), "kind": "([a-z]*)".*/\1 \2 \3/p' boot/plan.json >list
	printf '%s\n' '4294959104 8192 firmware' '4096 8192 zero' '12288 4096 secrets' '16384 4096 cpuid' '20480 4096 zero' \
		'24576 4096 zero' | diff - list
}

# The figures of tests/vectors/snp-firmware.json, by the command.
measured() {
	"$lkvm" version | grep -q 'SHA-2: no' && return 0
	digest --snp 9761362fa287457717286d33e1757290aa4eb631c7a46304627c98a8fa350e91628c35e6eaba89e36800a88cc2188dc7 &&
		digest --snp=+debug-swap f4eafcf6df60025683f0d2d8412ea179af303351a84cb31389d39e5cdf0e992887afb2850feaecac1729c81faab2cfe6 &&
		digest --snp=+secure-tsc 671189933483f143f979e931d1f97ae79e7d80a01ed21ad349dc3d7795c4f1efb4a30a69e0a12088b5744ec8a1e45053 ||
		return 1
	# With a kernel that the firmware is told of.
	printf 'KERNEL CONTENT' >kernel
	digest --snp b8f2760a0e7d312c425ac42b355ae8ef297bcb49d01d79da621ac8bef4e5c76f3e58657c820b80787654e5fed55f3807 -k kernel --nodefaults
}
digest() {
	"$lkvm" measure "$1" -f "$here/../vectors/tiny-fw.bin" -m 64M -c 1 "${@:3}" >out 2>err && says out "launch-digest: $2"
}
# All that counts: the kernel, the command line, the number of vcpus, memory.
counted() {
	local words
	for words in '-c 1 -m 64M' '-c 2 -m 64M' '-c 1 -m 128M' '-c 1 -m 64M -p x' '-c 1 -m 64M -i one' '-c 1 -m 64M --snp=+debug-swap'; do
		echo initrd >one
		# shellcheck disable=SC2086
		"$lkvm" measure --snp -k "$guests/hello.elf" --nodefaults $words 2>err | sed -n 's/^launch-digest: //p' || return 1
	done >all
	[ "$(grep -cE '^[0-9a-f]{96}$' all)" = 6 ] && [ "$(sort -u all | wc -l)" = 6 ]
}

point 'the stub: 2 MiB where they fit, else 4 KiB' sizes
point 'the stub: the end of a range' ends
point 'the stub without ranges' no_ranges
point 'the stub: 2 MiB that the host has by small pages' mismatch
point 'the stub: above 4 GiB' high
point 'the stub: small pages above 4 GiB' high_mismatch
point 'the stub: a host that lies' lies
if no_snp; then skip 'a host without SNP' 'this one has it'; else point 'a host without SNP' this_host; fi
point 'what cannot be combined' combined
point 'options without --snp' alone
point 'files that are wrong' files
point "the ID block's policy" id_policy
point 'the list of a kernel without firmware' listed
point 'a kernel without a 64-bit entry' other_formats
point 'firmware that is not for SNP' firmware_refused
point 'the list of firmware with metadata' firmware_list
point 'the measurement of firmware' measured
point 'what counts in the measurement of a kernel' counted
echo "1..$n"
