# SPDX-License-Identifier: MIT
# Every Debian kernel boots to userspace and powers off, and finds the machine in order.
# shellcheck shell=dash

for kernel in 6.1-cloud 6.1-generic 6.12-cloud 6.12-generic 7.2-cloud 7.2-generic; do
	vm "kernel-$kernel" $kernel lab.test=health --rng
	booted "kernel $kernel boots to userspace and powers off"
	check_fact "kernel $kernel: the log has no ACPI error, no BUG, no WARNING" complaints 0
	check_fact "kernel $kernel: the serial port is driven by interrupts" serial-interrupts yes
	check_says "kernel $kernel: the real-time clock can be read" "LAB-L2 rtc [0-9]{10}"
	check_fact "kernel $kernel: PCI virtio devices interrupt by MSI-X" msix yes
done

cpus=2 vm kernel-2cpus 7.2-cloud ""
booted "two CPUs boot"
check_says "two CPUs are up in the guest" "LAB-L2-UP .* cpus=2$"

# More CPUs than the host has: nothing may spin while it waits for another CPU.
cpus=4 limit=180 vm kernel-4cpus 6.12-cloud ""
booted "four CPUs boot on a host with two"
check_says "four CPUs are up in the guest" "LAB-L2-UP .* cpus=4$"
