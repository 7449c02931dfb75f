#!/bin/bash
# SPDX-License-Identifier: MIT
# Which interrupt controllers a guest gets when nobody says, and that those of lkvm lose nothing.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

# gets CHIP ARGUMENT...: what lkvm chose, and the guest works with it.
gets() {
	local chip=$1
	shift
	limited "$lkvm" run --nodefaults -m 64 -c 1 --loglevel debug "$@" >out 2>err </dev/null
	says err "debug: interrupt controllers: $chip"
}
told_of_acpi() {
	gets split -k "$guests/hello.pvh" && says out hello && gets split -k "$guests/hello.elf" && says out hello &&
		gets split -k "$guests/hello.flat" --kernel-format flat && says out hello
}
expects_pc() {
	gets full -k "$guests/hello.multiboot" && says out hello && gets full -k "$guests/hello.elf" -p noapic && says out hello
}
overridden() {
	gets full -k "$guests/hello.pvh" --irqchip full && gets split -k "$guests/hello.multiboot" --irqchip split &&
		says out hello
}

# A host whose KVM has no split irqchip: the call that asks for it fails, the only one that says so.
old_host() {
	local inject i
	inject=$(cd "$here/../.." && realpath "${NATIVE:-build/native}/lkvm-fail")
	for ((i = 1; i < 60; i++)); do
		INJECT=ioctl:$i:22 INJECT_LOG=log limited "$inject" run --nodefaults -m 64 -c 1 --loglevel debug "$@" \
			-k "$guests/hello.pvh" >out 2>err </dev/null
		status=$?
		grep -qF KVM_CAP_SPLIT_IRQCHIP err && return 0
		grep -qF 'cannot create the split irqchip' err && return 0
	done
	echo '# no call asks for the split irqchip'
	return 1
}
falls_back() {
	old_host && [ $status = 0 ] && says err 'debug: KVM_CAP_SPLIT_IRQCHIP is not available' \
		'debug: interrupt controllers: full' && says out hello
}
asked_for() {
	old_host --irqchip split && [ $status = 1 ] && says err 'cannot create the split irqchip' && [ ! -s out ]
}

# storm CHIP CPUS: each interrupt once, where the IOAPIC sends it.
storm() {
	local i
	guest 0 irq -c "$2" --irqchip "$1" -p storm && quiet || return 1
	for ((i = 0; i < $2; i++)); do
		says out "storm: $((400 / $2)) to cpu $i" || return 1
	done
}

# Its name stands for both ways that KVM can be told; the other one is for the split irqchip alone.
can_direct() { "$lkvm" host | grep -q 'x2apic-api.*eoi-suppression'; }
directed() { guest 0 irq -p directed --irqchip split && quiet && says out 'directed: 1, then 0'; }
undirected() { guest 0 irq -p directed --irqchip full && quiet && says out 'directed: no'; }

echo 1..11
point 'what is told of ACPI: the split one' told_of_acpi
point 'what expects a PC: the full one' expects_pc
point '--irqchip overrides it' overridden
point 'a host without the split one: the full one, silently' falls_back
point 'a host without the split one, which is asked for: refused' asked_for
title='the IOAPIC of the split one: an end that is told to it alone'
if can_direct; then point "$title" directed; else skip "$title" 'this KVM tells the IOAPIC of every end'; fi
point 'the full one knows no such ends' undirected
for chip in full split; do
	for cpus in 1 4; do
		point "400 interrupts of a pin that is led from CPU to CPU, $cpus CPUs, $chip irqchip" storm $chip $cpus
	done
done
