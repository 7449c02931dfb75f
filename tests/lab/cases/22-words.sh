# SPDX-License-Identifier: MIT
# Words of the kernel's command line, found in other people's scripts, that take interrupt controllers or ACPI away.
# shellcheck shell=dash

only_on x86-64

vm words-noapic "$LAB_KERNEL" "noapic lab.test=health" --rng
booted "noapic: the kernel boots to userspace and powers off"
check_fact "noapic: the log has no complaint about the machine, no BUG, no WARNING" complaints 0
check_fact "noapic: the serial port is driven by interrupts" serial-interrupts yes
check_fact "noapic: PCI virtio devices interrupt by MSI-X" msix yes

vm words-nolapic "$LAB_KERNEL" "nolapic lab.test=health"
booted "nolapic: the kernel boots to userspace and powers off"
check_fact "nolapic: the serial port is driven by interrupts" serial-interrupts yes

# Without ACPI there is no power-off: the guest ends by the debug exit.
cpus=2 wanted=42 vm words-acpi-off "$LAB_FULL_KERNEL" "acpi=off lab.test=debug-exit $LAB_DEBUG_EXIT lab.byte=42"
check "acpi=off: the kernel boots to userspace" [ "$status" = 42 ]
check_says "acpi=off: two CPUs are found by the MP table" "LAB-L2-UP .* cpus=2$"

# Neither ACPI nor KVM's clock, as in kernels that are built without them: the PIT says how fast all else is.
wanted=42 vm words-no-clock "$LAB_FULL_KERNEL" \
	"acpi=off no-kvmclock lab.test=debug-exit $LAB_DEBUG_EXIT lab.byte=42" --irqchip split
check "acpi=off no-kvmclock: the kernel boots with the split irqchip" [ "$status" = 42 ]
