#!/bin/bash
# SPDX-License-Identifier: MIT
# lkvm run --snp over the model of SEV-SNP: launches, refusals, exits of the guest. TAP.
# shellcheck disable=SC2154 # of lib.sh
# shellcheck source=tests/model/lib.sh
. "$(dirname "$0")/lib.sh"
[ "$(uname -m)" = x86_64 ] || skip_all 'SNP is of x86-64'
tiny_fw=$tools/../vectors/tiny-fw.bin
# What every launch of a kernel has besides.
flat=(-k "$guests/hello.flat" --kernel-format flat --nodefaults -m 64 -c 1)
small=("${flat[@]}" --snp)
firmware=(-f "$tiny_fw" --nodefaults -m 64 -c 1 --snp)
head -c 5000000 /dev/zero | tr '\0' i >initrd
head -c 1048576 /dev/zero >disk

point 'a launch' launch 0 snp '' "${small[@]}"
point 'firmware' launch 0 snp '' "${firmware[@]}"
several() { launch 0 snp '' "${small[@]}" -c 4 && [ "$(grep -c '"vmsa"' log)" = 4 ]; }
point 'the VMSA of each vcpu is measured' several

# What lkvm measures is what the firmware does. Each line is a machine; its first word tells what it is started from.
digests() {
	local line words failed=0 nr=0
	while read -r line; do
		eval "words=($line)"
		same_digest "${words[@]}" || failed=1
		nr=$((nr + 1))
	done <<-'LINES'
		snp "${small[@]}"
		snp "${small[@]}" -c 2
		snp "${small[@]}" -c 17
		snp "${small[@]}" -m 65
		snp "${small[@]}" -m 1G
		snp "${small[@]}" -m 4G
		snp "${small[@]}" -p one
		snp "${small[@]}" -p "one two"
		snp "${small[@]}" -i initrd
		snp "${small[@]}" -i initrd -i disk
		snp "${small[@]}" -m 5G -i initrd -c 3
		snp "${small[@]}" -d disk
		snp "${small[@]}" -d disk --virtio-transport mmio
		snp "${small[@]}" --console virtio
		snp "${flat[@]}" --snp=+debug
		snp "${flat[@]}" --snp=+debug-swap
		snp "${flat[@]}" --snp=+secure-tsc,+debug-swap --tsc-khz 1000000
		snp,savic "${flat[@]}" --snp=+secure-avic
		snp "${flat[@]}" --snp=abi-major=1,abi-minor=10
		snp "${small[@]}" --snp-host-data 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
		snp -k "$guests/hello.elf" --kernel-format elf -m 64 -c 1 --snp
		snp "${firmware[@]}"
		snp "${firmware[@]}" -c 4
		snp -f "$tiny_fw" -m 512 -c 1 --snp=signature=0x800f12,+debug-swap
	LINES
	[ $failed = 0 ] && [ $nr = 24 ]
}
measures 'digests of twenty-four machines' digests
# The two do not agree by saying the same always.
differ() {
	local all=
	for words in '' '-c 2' '-m 65' '-p x' '--snp-vmsa'; do
		[ "$words" = --snp-vmsa ] && words='--snp=+debug-swap'
		# shellcheck disable=SC2086
		launch 0 snp '' "${small[@]}" $words || return
		all+=$(measured)$'\n'
	done
	[ "$(sort -u <<<"$all" | grep -c .)" = 5 ]
}
point 'which are not all the same' differ

# The firmware, or KVM, decides.
point 'no ASID is left' refuses snp,asids=0 '' 'no ASID is left' "${small[@]}"
point 'KVM has none' refuses snp,sev=off,dev=off '' "this host's KVM has no SEV-SNP guests" "${small[@]}"
point 'no /dev/sev' refuses snp,dev=off '' '/dev/sev' "${small[@]}"
point 'SMT that is forbidden' refuses snp,smt=on '' 'SMT is on in this host, and -smt forbids it' "${flat[@]}" --snp=-smt
point 'SMT that is forbidden, and off' launch 0 snp,smt=off '' "${flat[@]}" --snp=-smt
point 'a second socket' refuses snp,sockets=2 '' 'single-socket' "${flat[@]}" --snp=+single-socket
point 'CXL that is not allowed' refuses snp,cxl=on '' 'cxl-allow' "${small[@]}"
point 'CXL that is allowed' launch 0 snp,cxl=on '' "${flat[@]}" --snp=+cxl-allow
point 'memory encryption that is not there' refuses snp '' 'mem-aes-256-xts' "${flat[@]}" --snp=+mem-aes-256-xts
point 'a firmware that is too old' refuses snp,abi=1.10 '' 'ABI' "${flat[@]}" --snp=abi-major=1,abi-minor=20
point 'a bit that KVM does not take' refuses snp '' 'no such bit of the policy: migrate-ma' "${flat[@]}" --snp=+migrate-ma
point 'a bit beyond those of this host' refuses snp,policy-mask=0x30000 '' 'no such bit of the policy: debug' "${flat[@]}" --snp=+debug
point 'a bit without a name' refuses snp '' 'no such bit of the policy: bit 40' "${flat[@]}" --snp=policy=0x10000030000
point 'a feature that is not there' refuses snp,features=0 '' 'no such feature: debug-swap' "${flat[@]}" --snp=+debug-swap
point 'a policy without the bit that must be 1' wrong snp 'bit 17' "${flat[@]}" --snp=policy=0x10000
for words in '--gdb 127.0.0.1:0' --testdev '--nested on' --balloon; do
	# shellcheck disable=SC2086
	point "together with $words" wrong snp "${words%% *}" "${small[@]}" $words
done

# Failures on the way: one line, or, where the rules allow it, once more.
point 'START is refused' refuses snp 'fail SNP_LAUNCH_START 1 EIO fw=7' 'POLICY_FAILURE' "${small[@]}"
point 'no context' refuses snp 'fail SNP_LAUNCH_START 1 ENOTTY' 'LAUNCH_START' "${small[@]}"
point 'a page is refused' refuses snp 'fail SNP_LAUNCH_UPDATE 1 EIO fw=0x1a' 'INVALID_PAGE_STATE' "${small[@]}"
point 'a later page is refused, once' launch 0 snp 'fail SNP_LAUNCH_UPDATE 2 EIO fw=0x17 page=3' "${small[@]}"
measures 'page by page' same_digest snp,chunk=1 "${small[@]}"
measures 'signals in the middle' same_digest snp,eintr=2 "${small[@]}"
point 'a signal at the first page' launch 0 snp 'signal SNP_LAUNCH_UPDATE 1 page=0' "${small[@]}"
point 'a signal at a later page' launch 0 snp 'signal SNP_LAUNCH_UPDATE 3 page=1' "${small[@]}"
point 'FINISH is refused' refuses snp 'fail SNP_LAUNCH_FINISH 1 EIO fw=0xb' '--snp-id-block' "${small[@]}"
point 'no guest_memfd' refuses snp 'fail KVM_CREATE_GUEST_MEMFD 1 ENOMEM' 'guest_memfd' "${small[@]}"
point 'no attributes' refuses snp 'fail KVM_SET_MEMORY_ATTRIBUTES 1 ENOMEM' 'guest memory' "${small[@]}"
corrected() { launch 1 snp,cpuid=reject-once '' "${small[@]}" && says 'the firmware wants' 'cpuid-fix'; }
point 'a CPUID that the firmware corrects' corrected
fixed() { launch 0 snp,cpuid=reject-once '' "${flat[@]}" --snp=cpuid-fix && says 'the firmware wants'; }
point 'its corrections are taken' fixed
point 'none is enough' launch 1 snp,cpuid=reject '' "${flat[@]}" --snp=cpuid-fix

# The guest's exits.
point 'pages are shared, and private again' launch 0 snp \
	'run 1 psc shared gpa=0x100000 pages=16; run 2 psc private gpa=0x100000 pages=16' "${small[@]}"
point 'large ones' launch 0 snp 'run 1 psc shared gpa=0x200000 pages=512 huge' "${small[@]}"
no_memory() {
	launch 0 snp 'run 1 psc shared gpa=0xfee00000 pages=16' "${small[@]}" && says 'cannot have 16 pages at 0xfee00000 shared'
}
point 'what is no memory is not' no_memory
point 'memory used as shared' launch 0 snp 'run 1 fault shared gpa=0x200000 size=0x1000' "${small[@]}"
point 'memory used as private' launch 0 snp \
	'run 1 psc shared gpa=0x200000 pages=1; run 2 fault private gpa=0x200000 size=0x1000' "${small[@]}"
nowhere() { launch 102 snp 'run 1 fault private gpa=0xf0000000 size=0x1000' "${small[@]}" && says '0xf0000000' 'private'; }
point 'no memory used as private' nowhere
ended() { launch 100 snp 'run 1 term set=1 code=2' "${small[@]}" && one_line 'PVALIDATE failed'; }
point 'the guest ends itself, and says why' ended
unknown() { launch 100 snp 'run 1 term set=7 code=9' "${small[@]}" && one_line 'reason 9 of set 7'; }
point 'for a reason that nobody knows' unknown
ghcb() { launch 100 snp 'run 1 term gpa=0x300000' "${small[@]}" && one_line 'without a reason'; }
point 'by its GHCB' ghcb
reboots() { launch 101 snp 'run 1 shutdown' "${small[@]}"; }
point 'a triple fault' reboots
dumps() { launch 103 snp 'run 1 fail reason=0x10' "${small[@]}" && says "its registers are the guest's own"; }
point 'an entry that fails' dumps

# An owner's word: what the guest must be.
owner() {
	local status=$1 policy=$2 digest
	shift 2
	launch 0 snp '' "${small[@]}" || return
	digest=$(measured)
	"$tools/idblock.py" "$digest" "$policy" block auth
	[ -z "${damage-}" ] || printf '\001' | dd of="$damage" bs=1 seek="$at" conv=notrunc status=none
	launch "$status" snp '' "${small[@]}" --snp-id-block block --snp-id-auth auth "$@"
}
point 'an ID block' owner 0 0x30000
other_guest() { owner 1 0x30000 -p other && one_line 'is not what --snp-id-block names'; }
point 'of another guest' other_guest
other_policy() { owner 1 0xb0000 && one_line 'policy' && ! logged '"call": "SNP_LAUNCH_START"' >/dev/null; }
point 'of another policy, which is found out before the launch' other_policy
forged() { damage=auth at=100 owner 1 0x30000 && one_line 'a signature in --snp-id-auth'; }
point 'with a wrong signature' forged
no_block() { damage=block at=81 owner 1 0x30000 && one_line 'block: its version'; }
point 'that is none' no_block
head -c 95 /dev/zero >short
point 'that is too short' refuses snp '' short "${small[@]}" --snp-id-block short --snp-id-auth auth
point 'without its authentication' wrong snp '--snp-id-auth' "${small[@]}" --snp-id-block block
point 'that is not there' refuses snp '' nosuch "${small[@]}" --snp-id-block nosuch --snp-id-auth auth

# Certificates: GHCB 2.03, 4.1.8.1: { GUID, offset, length } and an empty one, then what they name.
{
	printf 'cccccccccccccccc\060\0\0\0\020\0\0\0'
	head -c 24 /dev/zero
	printf 'certificate-here'
} >certs
certificates() {
	launch 0 snp 'run 1 psc shared gpa=0x100000 pages=4; run 2 certs gpa=0x100000 npages=1' "${small[@]}" --snp-certs certs &&
		logged '"call": "SNP_ENABLE_REQ_CERTS"' '"exit": "certs"'
}
point 'certificates' certificates
few() {
	head -c 9000 /dev/zero | tr '\0' c >>certs
	launch 0 snp 'run 1 psc shared gpa=0x100000 pages=4; run 2 certs gpa=0x100000 npages=1' "${small[@]}" --snp-certs certs
}
point 'more of them than the guest has room for' few
private_certs() { launch 0 snp 'run 1 certs gpa=0x100000 npages=1' "${small[@]}" --snp-certs certs; }
point 'for memory that it does not share' private_certs

# The rate of guest requests; 103 is another command on a kernel without the series.
by_lkvm() {
	launch 0 snp '' "${small[@]}" --snp-guest-requests interval=1000 && logged '"call": "SNP_ENABLE_REQ_CERTS"'
}
point 'throttled by lkvm' by_lkvm
by_kernel() {
	launch 0 snp,throttle=v5 '' "${small[@]}" --snp-guest-requests interval=2000,burst=2 && logged THROTTLE
}
point 'throttled by the kernel' by_kernel
point 'by nobody' refuses snp,nocerts '' '--snp-guest-requests' "${small[@]}" --snp-guest-requests interval=1000
parameter() { launch 0 snp,ratelimit=1 '' "${small[@]}" --snp-guest-requests interval=1000 && says ratelimit_khz; }
point 'by the module parameter' parameter

point 'firmware without metadata' refuses snp '' 'metadata' -f "$guests/../init" --nodefaults -m 64 -c 1 --snp
finish
