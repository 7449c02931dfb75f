#!/bin/bash
# SPDX-License-Identifier: MIT
# Kernel formats, command line, initrds, memory: what the guest sees of them.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

hello() {
	local want=$1 file=$2
	shift 2
	run "$want" -k "$guests/$file" --nodefaults -m 64 -c 1 "$@"
}

flat() { guest 7 hello -p 'one two exit=7' && says out 'hello from linux64' "cmdline 'one two exit=7'" && quiet; }
elf64() {
	hello 5 hello.elf -p exit=5 && says out 'hello from linux64' "cmdline 'exit=5'" &&
		hello 5 hello.pvh --kernel-format elf -p exit=5 && says out 'hello from linux64'
}
pvh() { hello 6 hello.pvh -p exit=6 && says out 'hello from pvh' "cmdline 'exit=6'"; }
multiboot() { hello 8 hello.multiboot -p exit=8 && says out 'hello from multiboot' 'exit=8'; }
compressed() {
	gzip -k <"$guests/hello.pvh" >hello.gz && hello2 hello.gz || return 1
	{ head -c 1000 "$guests/hello.pvh" | gzip && tail -c +1001 "$guests/hello.pvh" | gzip; } >members.gz && hello2 members.gz || return 1
	! command -v zstd >/dev/null || "$lkvm" version | grep -q 'zstd: no' ||
		{ zstd -q <"$guests/hello.pvh" >hello.zst && hello2 hello.zst; }
}
hello2() { run 6 -k "$1" --nodefaults -m 64 -c 1 -p exit=6 && says out 'hello from pvh'; }

defaults() {
	local file
	limited "$lkvm" run -k "$guests/hello.elf" -m 64 -c 1 -p quiet >out 2>err </dev/null &&
		says out "console=ttyS0" && says err "kernel parameters: added" || return 1
	run 0 -k "$guests/hello.elf" -m 64 -c 1 --nodefaults && says out "cmdline ''" || return 1
	# They are for Linux: what a PVH or multiboot image of another system is for, nobody knows.
	for file in hello.pvh hello.multiboot; do
		limited "$lkvm" run -k "$guests/$file" -m 64 -c 1 -p quiet >out 2>err </dev/null &&
			says out quiet && ! grep -q 'console=' out err || return 1
	done
}

memory() {
	guest 0 hello -m 64 && says out 'memory 0x100000-0x3ffffff type 1' || return 1
	guest 0 hello -m 5G && says out 'memory 0x100000-0xbfffffff type 1' 'memory 0x100000000-0x17fffffff type 1'
}
memory_holds() {
	guest 0 mem -m 64 && says out 'top 0x4000000, 0 of' && guest 0 mem -m 6000 && says out 'top 0x1b7000000, 0 of'
}

initrd() {
	local file
	head -c 40000 /dev/urandom >one
	for file in hello.elf hello.pvh hello.multiboot; do
		hello 0 "$file" -i one && says out "initrd 40000 bytes, checksum $(checksum one)" || return 1
	done
}
# Several are one after the other, each padded to 4 bytes; multiboot has a module for each.
initrds() {
	head -c 4099 /dev/urandom >a && head -c 800 /dev/urandom >b
	{ cat a && printf '\0' && cat b; } >ab
	hello 0 hello.elf -i a -i b && says out "initrd 4900 bytes, checksum $(checksum ab)" &&
		hello 0 hello.multiboot -i a -i b && says out "initrd 4099 bytes" "initrd 800 bytes, checksum $(checksum b)"
}
acpi() { hello 0 hello.pvh -c 3 && says out 'acpi FACP APIC MCFG SPCR' 'cpus 3' && hello 0 hello.multiboot -c 2 && says out 'cpus 2'; }

# What a test runner written for kvmtool asks.
kvmtool_runner() {
	local cpus
	for cpus in 1 4; do
		limited "$lkvm" run --kernel "$guests/hello.multiboot" --cpus $cpus --nodefaults \
			--network mode=none --loglevel=warning >out 2>err </dev/null &&
			says out "cpus $cpus" && quiet || return 1
	done
	limited "$lkvm" run --kernel "$guests/hello.multiboot" --cpus 1 --nodefaults --network mode=none \
		--loglevel=warning --params 'exit=9 x' >out 2>err </dev/null
	[ $? = 9 ] && says out 'exit=9 x' && quiet && "$lkvm" --help >out && says out 'The most commonly used' || return 1
	! limited "$lkvm" run --kernel nosuch --cpus 1 2>err </dev/null && says err 'Fatal: Unable to open kernel nosuch'
}

echo 1..12
point 'a flat image, its command line and its exit status' flat
point 'an ELF image by the 64-bit entry' elf64
point 'an ELF image by PVH' pvh
point 'a multiboot image' multiboot
point 'compressed images' compressed
point 'what is added to the command line, and --nodefaults' defaults
point 'the memory map below and above 4 GiB' memory
point 'memory holds what is written, above 4 GiB too' memory_holds
point 'an initrd arrives whole' initrd
point 'several initrds' initrds
point 'ACPI tables are found, with all CPUs' acpi
point 'the command lines of a runner written for kvmtool' kvmtool_runner
