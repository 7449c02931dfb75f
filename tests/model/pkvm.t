#!/bin/bash
# SPDX-License-Identifier: MIT
# `lkvm run --protected` on a host with pKVM, as the model has it: what a VMM may do, and may not.
# shellcheck disable=SC2154
. "$(dirname "$0")/arm64.sh"

echo 1..17

run() { launch "$1" pkvm "${@:2}"; }
kept() { says log '"broken": 0'; }

starts() { run 0 -- --protected && kept && says log '"exit": "power-off"' && ! grep . err; }
point 'a protected guest is made, loaded, run and ended' starts

vcpus() { run 0 -- --protected -c 4 && kept && [ "$(calls KVM_CREATE_VCPU)" = 4 ]; }
point 'with several vcpus' vcpus

devices() {
	head -c 65536 /dev/zero >disk
	run 0 -- --protected --disk disk --console virtio && kept && says log '"exit": "power-off"'
}
point 'with a disk and a console on PCI' devices

# Its memory cannot be loaded again, nor its slots be deleted.
reboots() {
	run 0 'run 1 touch gpa=0x80000000 size=0x10000000;run 2 reset' -- --protected && kept &&
		says log '"exit": "reset"' '"exit": "power-off"' &&
		[ "$(grep -c '"call": "KVM_ARM_PREFERRED_TARGET"' log)" = 2 ]
}
point 'a guest that took all of its memory and resets is made anew' reboots

shares() {
	run 0 'run 1 mmio gpa=0x1000000 len=1 write data=0x58;run 2 touch gpa=0x80000000 size=0x200000
run 3 share gpa=0x80100000 size=0x10000;run 4 mmio gpa=0x1000000 len=1 write data=0x59
run 5 unshare gpa=0x80100000 size=0x10000;run 6 off' -- --protected && kept
}
point 'it takes, shares and takes back pages between its accesses to devices' shares

no_host() {
	launch 1 arm64 -- --protected && one_line && says err 'error: --protected:' 'kvm-arm.mode=protected' && kept
}
point 'a host that was not booted for it is named' no_host

no_room() { launch 1 pkvm,vms=0 -- --protected && one_line && says err 'error: --protected:' && kept; }
point 'a host without room for another says so' no_room

# Each error of KVM_RUN that its rules have.
ends() {
	run 102 "run 1 error err=$1" -- --protected && one_line && says err "KVM_RUN failed: $2" && kept
}
point 'a page of a file (EIO) ends it in one line' ends 5 'Input/output error'
point 'a page that was taken back (EFAULT) ends it in one line' ends 14 'Bad address'

unknown() { run 104 'run 1 unknown' -- --protected && says err 'unsupported exit reason 0' && kept; }
point 'an exit without a reason ends it' unknown

# Whoever may lock any memory is not asked. Nobody but such a user can raise the limit, either.
most=$(ulimit -H -l)
[ "$most" != unlimited ] || most=1048576
limited_memory() {
	local caps=-ipc_lock,-sys_resource
	(
		ulimit -S -l 64 && ulimit -H -l "$1" || exit 3
		drop=()
		[ "$(id -u)" != 0 ] || drop=(setpriv --bounding-set="$caps" --inh-caps="$caps")
		runner=("${drop[@]}" "${runner[@]}")
		"${@:2}"
	)
}
refuses_limit() { run 1 -- --protected && one_line && says err 'ulimit -l 262144' 'CAP_IPC_LOCK'; }
takes_limit() { run 0 'run 1 touch gpa=0x80000000 size=0x10000000' -- --protected && kept; }
# limit NAME KIB COMMAND
limit() {
	if [ "$(id -u)" = 0 ] && ! command -v setpriv >/dev/null; then
		skip "$1" 'no setpriv'
	elif [ "$most" -lt "$2" ]; then
		skip "$1" "nobody may lock more than $most KiB here"
	else
		point "$1" limited_memory "$2" "$3"
	fi
}
limit 'too little memory that may be locked is told before the guest starts' $((most < 65536 ? most : 65536)) refuses_limit
limit 'exactly enough is enough' 262144 takes_limit

excluded() {
	launch 2 pkvm -- --protected "$@" && one_line && says err 'cannot be combined'
}
point 'calls that KVM refuses are not made: --psci user' excluded --psci user
point 'nor --counter-offset' excluded --counter-offset 1

# What the hypervisor drops must not be asked for: that would be a broken rule.
asks() {
	run 0 -- --protected --cpu "host,$1" && kept && says log "\"features\": \"$2\""
}
point 'the guest has no feature that the hypervisor drops' asks -sve 0x64

# While the guest waits: what the host may still ask.
waits() { grep -qs '"waits"' log; }
begin() {
	rm -f log
	LKVM_MODEL=pkvm LKVM_MODEL_SCRIPT=$1 LKVM_MODEL_LOG=log limited "${runner[@]}" "$build/lkvm" run --loglevel warning \
		--nodefaults -k Image -m 256M -c 1 --name guest --protected >out 2>err </dev/null &
	vmm=$!
	wait_for waits
}
stops() {
	begin 'run 1 wait' && "${runner[@]}" "$build/lkvm" stop --timeout 0 guest || return 1
	wait $vmm && kept && says log '"end": true'
}
point 'lkvm stop ends one that waits' stops
pauses() {
	begin 'run 1 touch gpa=0x80000000 size=0x10000000;run 2 wait' || return 1
	"${runner[@]}" "$build/lkvm" pause guest && "${runner[@]}" "$build/lkvm" resume guest || return 1
	wait $vmm && kept && says log '"exit": "power-off"'
}
point 'lkvm pause and resume touch nothing that is not the host'"'"'s' pauses
