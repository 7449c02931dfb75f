#!/bin/bash
# SPDX-License-Identifier: MIT
# lkvm run --tdx over the model of TDX: launches, refusals, exits of the guest. TAP.
# shellcheck disable=SC2154 # of lib.sh
# shellcheck source=tests/model/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(uname -m)" = x86_64 ] || skip_all 'TDX is of x86-64'
tiny_fw=$tools/../vectors/tiny-fw.bin
# What every launch of a kernel has besides.
small=(-k "$guests/hello.flat" --kernel-format flat --nodefaults -m 64 -c 1 --tdx)
firmware=(-f "$tiny_fw" --nodefaults -m 64 -c 1 --tdx)
head -c 5000000 /dev/zero | tr '\0' i >initrd
head -c 1048576 /dev/zero >disk

point 'a launch' launch 0 tdx '' "${small[@]}"
point 'firmware' launch 0 tdx '' "${firmware[@]}"
several() { launch 0 tdx '' "${small[@]}" -c 4 && [ "$(grep -c '"call": "TDX_INIT_VCPU"' log)" = 4 ]; }
point 'every vcpu is initialized' several

# What lkvm measures is what the module does. Each line is a machine.
id=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
digests() {
	local line words failed=0 nr=0
	while read -r line; do
		eval "words=($line)"
		same_digest tdx "${words[@]}" || failed=1
		nr=$((nr + 1))
	done <<-'LINES'
		"${small[@]}"
		"${small[@]}" -c 2
		"${small[@]}" -c 16
		"${small[@]}" -m 65
		"${small[@]}" -m 1G
		"${small[@]}" -m 4G
		"${small[@]}" -p one
		"${small[@]}" -p "one two"
		"${small[@]}" -i initrd
		"${small[@]}" -i initrd -i disk
		"${small[@]}" -m 5G -i initrd -c 3
		"${small[@]}" -d disk
		"${small[@]}" --console virtio
		"${small[@]}" --tdx-attributes +sept-ve-disable
		"${small[@]}" --tdx-mrconfigid $id
		"${small[@]}" --tdx-mrowner $id --tdx-mrownerconfig $id
		"${small[@]}" --tsc-khz 2000000
		-k "$guests/hello.elf" --kernel-format elf -m 64 -c 1 --tdx
		"${firmware[@]}"
		"${firmware[@]}" -c 4 -m 3G
	LINES
	[ $failed = 0 ] && [ $nr = 20 ]
}
measures 'digests of twenty machines' digests
differ() {
	local all=
	for words in '' '-c 2' '-m 65' '-p x'; do
		# shellcheck disable=SC2086
		launch 0 tdx '' "${small[@]}" $words || return
		all+=$(measured)$'\n'
	done
	[ "$(sort -u <<<"$all" | grep -c .)" = 4 ]
}
point 'which are not all the same' differ
ids() { launch 0 tdx '' "${small[@]}" --tdx-mrconfigid $id --tdx-mrowner $id && logged $id; }
point 'MRCONFIGID and MROWNER are handed over' ids

# What a host has not, and what cannot be.
point 'no key is left' refuses tdx,keys=0 '' 'no key is left' "${small[@]}"
point 'KVM has none' refuses tdx,tdx=off '' "this host's KVM has no trust domains" "${small[@]}"
point 'more vcpus than the host has CPUs' refuses tdx,cpus=2 '' '2 vcpus' "${small[@]}" -c 4
point 'an attribute that is not there' refuses tdx '' debug "${small[@]}" --tdx-attributes +debug,+sept-ve-disable
point 'an extended feature that is not there' refuses tdx '' xfam "${small[@]}" --tdx-xfam 0x80003
point 'an id of the wrong length' wrong tdx '96 hexadecimal digits' "${small[@]}" --tdx-mrconfigid 00
for words in '--gdb 127.0.0.1:0' --testdev '--nested on' --balloon --snp '--virtio-transport mmio'; do
	# shellcheck disable=SC2086
	point "together with $words" wrong tdx "${words%% *}" "${small[@]}" $words
done
point 'firmware without metadata' refuses tdx '' 'no TDX metadata' -f "$guests/../init" --nodefaults -m 64 -c 1 --tdx
point 'no addresses of 52 bits' launch 0 tdx,ept5=off '' "${small[@]}"
point 'a module that takes any CPUID' launch 0 tdx,lax '' "${small[@]}"

# Failures on the way: one line, or, where the rules allow it, once more.
point 'INIT_VM is refused' refuses tdx 'fail TDX_INIT_VM 1 EINVAL fw=0xc000010000000001' '0xc000010000000001' "${small[@]}"
point 'no entropy, once' launch 0 tdx 'fail TDX_INIT_VM 1 EAGAIN' "${small[@]}"
point 'no key is left meanwhile' refuses tdx 'fail TDX_INIT_VM 1 ENOSPC' 'no key' "${small[@]}"
point 'a page is refused' refuses tdx 'fail TDX_INIT_MEM_REGION 1 EIO' 'cannot add' "${small[@]}"
point 'no memory for a page' refuses tdx 'fail TDX_INIT_MEM_REGION 1 ENOMEM' 'cannot add' "${small[@]}"
measures 'interrupted, once' same_digest tdx,eintr=1 "${small[@]}"
point 'busy, once' launch 0 tdx 'fail TDX_INIT_MEM_REGION 2 EAGAIN' "${small[@]}"
measures 'page by page' same_digest tdx,chunk=1 "${small[@]}"
point 'a signal in the middle' launch 0 tdx 'signal TDX_INIT_MEM_REGION 1 page=0' "${small[@]}"
point 'busy at the end, once' launch 0 tdx 'fail TDX_FINALIZE_VM 1 EBUSY' "${small[@]}"

# The guest's exits.
point 'pages are shared, and private again' launch 0 tdx \
	'run 1 psc shared gpa=0x100000 pages=16; run 2 psc private gpa=0x100000 pages=16' "${small[@]}"
no_memory() {
	launch 0 tdx 'run 1 psc shared gpa=0xfee00000 pages=16' "${small[@]}" && says 'cannot have 16 pages at 0xfee00000 shared'
}
point 'what is no memory is not' no_memory
point 'memory used as shared' launch 0 tdx 'run 1 fault shared gpa=0x200000 size=0x1000' "${small[@]}"
nowhere() { launch 102 tdx 'run 1 fault private gpa=0xf0000000 size=0x1000' "${small[@]}" && says '0xf0000000' 'private'; }
point 'no memory used as private' nowhere
unaccepted() { launch 102 tdx 'run 1 unaccepted' "${small[@]}" && says 'not accepted'; }
point 'memory that it had not accepted' unaccepted
point 'a quote that nobody makes' launch 0 tdx \
	'run 1 psc shared gpa=0x100000 pages=4; run 2 quote gpa=0x100000 size=0x4000' "${small[@]}"
point 'a quote into memory that it does not share' launch 0 tdx 'run 1 quote gpa=0x100000 size=0x4000 raw' "${small[@]}"
point 'a quote beyond its memory' launch 0 tdx 'run 1 quote gpa=0xfee00000 size=0x4000 raw' "${small[@]}"
point 'what lkvm has' launch 0 tdx 'run 1 info; run 2 notify vector=48' "${small[@]}"
fatal() { launch 100 tdx 'run 1 fatal code=1' "${small[@]}" && says 'the trust domain ends'; }
point 'the guest ends itself' fatal
point 'a triple fault' launch 101 tdx 'run 1 shutdown' "${small[@]}"
dumps() { launch 103 tdx 'run 1 fail reason=0x10' "${small[@]}" && says "its registers are the guest's own"; }
point 'an entry that fails' dumps
finish
