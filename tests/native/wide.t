#!/bin/bash
# SPDX-License-Identifier: MIT
# Many CPUs: what KVM's limits make of --cpus, and interrupts to the last one, with APIC ids beyond 8 bits too.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

# of_host NAME: the number that `lkvm host` has for it.
of_host() { "$lkvm" host | sed -nE "s/^ +$1 +yes +([0-9]+)\$/\1/p"; }
max=$(of_host vcpus)
recommended=$(of_host vcpus-recommended)

# few COUNT: skips the test where a VM has fewer vcpus.
few() { [ "${max:-0}" -lt "$1" ]; }

# reaches CPUS CHIP WIDE: by an IPI, a pin and a message.
reaches() {
	local id=$(($1 - 1)) kind
	guest 0 wide -c "$1" --irqchip "$2" -m 64 --rng && quiet && says out "$1 cpus, the last has id $id; wide messages: $3" || return 1
	for kind in ipi pin message; do
		says out "$kind: 1, cpu $id" || return 1
	done
}
wide_messages() { "$lkvm" host | grep -q 'x2apic-api.*32bit-ids' && echo yes || echo no; }

# What needs more than the 8259s' machine gets it unasked; what insists on that is refused.
chosen() {
	run 0 -k "$guests/hello.multiboot" --nodefaults -m 64 -c 256 --loglevel debug && says err 'interrupt controllers: split' &&
		run 0 -k "$guests/hello.multiboot" --nodefaults -m 64 -c 255 --loglevel debug && says err 'interrupt controllers: full' &&
		run 2 -k "$guests/hello.multiboot" --nodefaults -m 64 -c 256 --irqchip full && [ "$(wc -l <err)" = 1 ]
}

warned() {
	guest 0 hello -c "$recommended" -m 64 && [ ! -s err ] && guest 0 hello -c $((recommended + 1)) -m 64 &&
		[ "$(wc -l <err)" = 1 ] && says err "--cpus $((recommended + 1)): is more than the $recommended vcpus that KVM recommends"
}
refused() {
	guest 1 hello -c $((max + 1)) && [ "$(wc -l <err)" = 1 ] &&
		says err "--cpus $((max + 1)): this host's KVM supports at most $max vcpus"
}

# many N COMMAND...
many() {
	local title=$2
	if few "$1"; then skip "$title" "this KVM's VMs have at most $max vcpus"; else point "${@:2}"; fi
}

point 'the first CPU' reaches 1 split "$(wide_messages)"
point 'the second' reaches 2 split "$(wide_messages)"
many 255 'the last of 255, full irqchip' reaches 255 full no
many 255 'the last of 255, split irqchip' reaches 255 split "$(wide_messages)"
many 256 'the first id that is a broadcast elsewhere' reaches 256 default yes
many 300 'the last of 300' reaches 300 default yes
many 256 'more than 255 get the split irqchip' chosen
if [ "$recommended" -lt "$max" ]; then
	point 'more than KVM recommends: a warning' warned
else
	skip 'more than KVM recommends: a warning' 'this KVM recommends all that it has'
fi
# lkvm's own limit is 2048.
if few 2048; then point 'more than KVM has: both numbers' refused; else skip 'more than KVM has' 'it has more than lkvm'; fi
echo "1..$n"
