#!/bin/bash
# SPDX-License-Identifier: MIT
# `lkvm run --protected` on a host with pKVM, as the model has it: what a VMM may do, and may not.
# shellcheck disable=SC2154
. "$(dirname "$0")/arm64.sh"
small+=(--protected)

run() { launch "$1" pkvm "$2" "${small[@]}" "${@:3}"; }

starts() { run 0 '' "$@" && logged '"exit": "power-off"'; }
point 'a protected guest is made, loaded, run and ended' starts
vcpus() { starts -c 4 && [ "$(calls KVM_CREATE_VCPU)" = 4 ]; }
point 'with several vcpus' vcpus
head -c 65536 /dev/zero >disk
point 'with a disk and a console on PCI' starts --disk disk --console virtio

# Its memory cannot be loaded again, nor its slots be deleted.
reboots() {
	run 0 'run 1 touch gpa=0x80000000 size=0x10000000;run 2 reset' &&
		logged '"exit": "reset"' '"exit": "power-off"' && [ "$(calls KVM_ARM_PREFERRED_TARGET)" = 2 ]
}
point 'a guest that took all of its memory and resets is made anew' reboots

point 'it takes, shares and takes back pages between its accesses to devices' \
	run 0 'run 1 mmio gpa=0x1000000 len=1 write data=0x58;run 2 touch gpa=0x80000000 size=0x200000
run 3 share gpa=0x80100000 size=0x10000;run 4 mmio gpa=0x1000000 len=1 write data=0x59
run 5 unshare gpa=0x80100000 size=0x10000;run 6 off'

point 'a host that was not booted for it is named' refuses arm64 '' 'kvm-arm.mode=protected' "${small[@]}"
point 'a host without room for another says so' refuses pkvm,vms=0 '' 'error: --protected:' "${small[@]}"

# Each error of KVM_RUN that its rules have.
ends() { run 102 "run 1 error err=$1" && one_line "KVM_RUN failed: $2"; }
point 'a page of a file (EIO) ends it in one line' ends 5 "Input/output error: the guest's memory must be anonymous"
point 'a page that was taken back (EFAULT) ends it in one line' ends 14 "Bad address: the host took a page of the guest's back"
unknown() { run 104 'run 1 unknown' && grep -q 'unsupported exit reason 0' err; }
point 'an exit without a reason ends it' unknown

# Whoever may lock any memory is not asked. Nobody but such a user can raise the limit, either.
most=$(ulimit -H -l)
[ "$most" != unlimited ] || most=1048576
limited_memory() {
	local caps=-ipc_lock,-sys_resource drop=()
	[ "$(id -u)" != 0 ] || drop=(setpriv --bounding-set="$caps" --inh-caps="$caps")
	(
		ulimit -S -l 64 && ulimit -H -l "$1" || exit 3
		runner=("${drop[@]}" "${runner[@]}")
		"${@:2}"
	)
}
# limit NAME KIB COMMAND...
limit() {
	if [ "$(id -u)" = 0 ] && ! command -v setpriv >/dev/null; then
		skip "$1" 'no setpriv'
	elif [ "$most" -lt "$2" ]; then
		skip "$1" "nobody may lock more than $most KiB here"
	else
		point "$1" limited_memory "${@:2}"
	fi
}
limit 'too little memory that may be locked is told before the guest starts' $((most < 65536 ? most : 65536)) \
	refuses pkvm '' 'ulimit -l 262144' "${small[@]}"
limit 'exactly enough is enough' 262144 run 0 'run 1 touch gpa=0x80000000 size=0x10000000'

point 'calls that KVM refuses are not made: --psci user' wrong pkvm 'cannot be combined' "${small[@]}" --psci user
point 'nor --counter-offset' wrong pkvm 'cannot be combined' "${small[@]}" --counter-offset 1

# What the hypervisor drops must not be asked for: PSCI 0.2 and the two halves of pointer authentication are left.
features() { run 0 '' --cpu host,-sve && logged '"features": "0x64"'; }
point 'the guest has no feature that the hypervisor drops' features

# While the guest waits: what the host may still ask.
waits() { grep -qs '"waits"' log; }
begin() {
	rm -f log
	modelled pkvm "$1" "$lkvm" run --loglevel warning "${small[@]}" --name guest >out 2>err </dev/null &
	vmm=$!
	wait_for waits
}
stops() {
	begin 'run 1 wait' && "${runner[@]}" "$lkvm" stop --timeout 0 guest || return 1
	wait $vmm && logged '"end": true'
}
point 'lkvm stop ends one that waits' stops
pauses() {
	begin 'run 1 touch gpa=0x80000000 size=0x10000000;run 2 wait' || return 1
	"${runner[@]}" "$lkvm" pause guest && "${runner[@]}" "$lkvm" resume guest || return 1
	wait $vmm && logged '"exit": "power-off"'
}
point "lkvm pause and resume touch nothing that is not the host's" pauses

finish
