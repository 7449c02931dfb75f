# SPDX-License-Identifier: MIT
# Other machines: the split interrupt controller, memory above 4 GiB.
# shellcheck shell=dash

cpus=2 vm split-irqchip 7.2-generic lab.test=health --rng --irqchip split
booted "--irqchip split: two CPUs boot"
check_fact "--irqchip split: the log has no ACPI error, no BUG, no WARNING" complaints 0
check_fact "--irqchip split: PCI virtio devices interrupt by MSI-X" msix yes
check_fact "--irqchip split: the serial port is driven by interrupts" serial-interrupts yes

# More than the host has: only what the guest touches is there.
mem=5120 vm memory-5g 7.2-cloud lab.test=memory
booted "a guest with 5 GiB boots"
check "it sees its memory" [ "$(fact memory-mib)" -gt 4700 ]
check_fact "a part of it lies above 4 GiB" memory-above-4g yes
check_fact "it keeps what is written to it" memory-keeps-content yes

mem=128 vm memory-128m 6.12-cloud lab.test=memory
booted "a guest with 128 MiB boots"
check "it has most of them" [ "$(fact memory-mib)" -gt 80 ]
