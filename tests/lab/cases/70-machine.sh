# SPDX-License-Identifier: MIT
# Other machines: each interrupt controller, memory above 4 GiB.
# shellcheck shell=dash

# Each interrupt controller with each kernel; or once, the first with the first and the last with the last.
irqchip_kernels() {	# irqchip_kernels IRQCHIP
	if [ -n "$LAB_ALL" ]; then
		echo "$LAB_IRQCHIP_KERNELS"
	elif [ "$1" = "${LAB_IRQCHIPS%% *}" ]; then
		echo "${LAB_IRQCHIP_KERNELS%% *}"
	else
		echo "${LAB_IRQCHIP_KERNELS##* }"
	fi
}

for irqchip in $LAB_IRQCHIPS; do
	for kernel in $(irqchip_kernels "$irqchip"); do
		title="--irqchip $irqchip: kernel $kernel"
		cpus=2 vm "irqchip-$irqchip-$kernel" "$kernel" lab.test=health --rng --irqchip "$irqchip"
		booted "$title: two CPUs boot"
		check_says "$title: they are up" "LAB-L2-UP .* cpus=2$"
		check_fact "$title: the log has no complaint about the machine, no BUG, no WARNING" complaints 0
		case $irqchip in
		gicv3 | plic) # they have no place to write messages to
			check_fact "$title: PCI virtio devices interrupt by lines" msix ""
			;;
		*)
			check_fact "$title: PCI virtio devices interrupt by MSI-X" msix yes
			;;
		esac
		check_fact "$title: the serial port is driven by interrupts" serial-interrupts yes
	done
done

# More than the host has: only what the guest touches is there.
mem=5120 vm memory-5g "$LAB_KERNEL" lab.test=memory
booted "a guest with 5 GiB boots"
check "it sees its memory" [ "$(fact memory-mib)" -gt 4700 ]
check_fact "a part of it lies above 4 GiB" memory-above-4g yes
check_fact "it keeps what is written to it" memory-keeps-content yes

mem=$LAB_SMALL_MEM vm memory-small "$LAB_STABLE_KERNEL" lab.test=memory --halt-poll 0
booted "a guest with $LAB_SMALL_MEM MiB boots, and KVM does not poll for its interrupts"
check "it has most of them" [ "$(fact memory-mib)" -gt $((LAB_SMALL_MEM * 6 / 10)) ]
