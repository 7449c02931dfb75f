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

# Where each vcpu may run, while the guest waits.
affinity() {
	local cpu pid
	cpu=$(python3 -c 'import os; print(max(os.sched_getaffinity(0)))')
	: >out
	"$lkvm" run -k "$guests/exit.flat" --kernel-format flat --nodefaults -m 32 -c 2 -p 'hang poweroff' \
		--vcpu-affinity "$cpu" --loglevel warning >out 2>err </dev/null &
	pid=$!
	wait_for grep -q boot out
	grep -l '^vcpu' /proc/$pid/task/*/comm | sed 's/comm$/status/' | xargs grep -h Cpus_allowed_list >list
	kill -TERM $pid
	wait $pid
	[ "$(wc -l <list)" = 2 ] && [ "$(sort -u list | tr -d '\t')" = "Cpus_allowed_list:$cpu" ]
}
no_such_cpu() { guest 1 exit -p exit=0 --vcpu-affinity 1023 && says err '--vcpu-affinity 1023' && [ "$(wc -l <err)" = 1 ]; }

echo 1..12
for chip in full split; do
	for cpus in 1 2 4 8; do
		point "$cpus CPUs, $chip irqchip" smp $cpus $chip
	done
	point "timer, serial port and inter-processor interrupts, $chip irqchip" irq $chip
done
point '--vcpu-affinity binds the vcpus to the CPUs named' affinity
point '--vcpu-affinity with CPUs that are not there is refused' no_such_cpu
