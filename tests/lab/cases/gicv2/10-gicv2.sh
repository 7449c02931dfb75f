# SPDX-License-Identifier: MIT
# A host with a GICv2: guests on it, with and without messages, and what needs a GICv3 is refused.
# shellcheck shell=dash

for irqchip in gicv2 gicv2m; do
	cpus=2 vm "$irqchip" "$LAB_KERNEL" lab.test=health --rng --irqchip $irqchip
	booted "--irqchip $irqchip: two CPUs boot and power off"
	check_says "--irqchip $irqchip: both are up" "LAB-L2-UP .* cpus=2$"
	check_fact "--irqchip $irqchip: the log has no complaint about the machine" complaints 0
	lkvm_says "selftest-$irqchip" selftest --irqchip $irqchip --timeout "$LAB_LIMIT"
	check "--irqchip $irqchip: the self-test passes" [ "$status" = 0 ]
	check "--irqchip $irqchip: all of it ran" says "^1\.\.$LAB_SELFTEST_CHECKS\$"
done

empty_disk() {
	rm -f /run/boots.img
	truncate -s 1M /run/boots.img
}

prepare=empty_disk cpus=2 vm reboot "$LAB_KERNEL" lab.test=two-boots -d /run/boots.img
booted "a guest that reboots starts again, and powers off"
check "it booted twice" [ "$(lines_of ^LAB-L2-UP)" = 2 ]

lkvm_says default selftest --loglevel debug --timeout "$LAB_LIMIT"
check_says "a GICv2m is what the host's best is" "interrupt controller: gicv2m"

lkvm_says refused-gicv3 run --irqchip gicv3 -k "/lab/kernels/$LAB_KERNEL/vmlinuz"
check "--irqchip gicv3 is refused" [ "$status" = 1 ]
check_says "it says so" "error: --irqchip gicv3: this host"
lkvm_says refused-nested run --nested -k "/lab/kernels/$LAB_KERNEL/vmlinuz"
check "--nested is refused" [ "$status" = 1 ]
check_says "it says what is missing" "error: .*nested"
