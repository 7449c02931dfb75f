#!/bin/bash
# SPDX-License-Identifier: MIT
# CPUs and interrupts, with each interrupt controller.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

smp() {
	local cpus=$1 i
	guest 0 smp -c "$cpus" --irqchip "$2" && says out "$cpus of $cpus cpus" || return 1
	for ((i = 0; i < cpus; i++)); do
		says out "cpu $i up" || return 1
	done
}
irq() {
	guest 0 irq -c 4 --irqchip "$1" && says out 'timer: ok' 'serial: ok, masked: ok' 'ipi: 3 of 3 cpus' && quiet
}

echo 1..10
for chip in full split; do
	for cpus in 1 2 4 8; do
		point "$cpus CPUs, $chip irqchip" smp $cpus $chip
	done
	point "timer, serial port and inter-processor interrupts, $chip irqchip" irq $chip
done
