# SPDX-License-Identifier: MIT
# Debian's kernels boot to userspace and power off, and find the machine in order: the first and the last, or every one.
# The first kernel has one CPU, the others two.
# shellcheck shell=dash

# shellcheck disable=SC2086 # a list of words
for kernel in $(corners $LAB_KERNELS); do
	count=2
	[ "$kernel" != "${LAB_KERNELS%% *}" ] || count=1
	cpus=$count vm "kernel-$kernel" "$kernel" lab.test=health --rng
	booted "kernel $kernel boots to userspace and powers off"
	check_says "kernel $kernel: CPUs that are up in the guest: $count" "LAB-L2-UP .* cpus=$count$"
	check_fact "kernel $kernel: the log has no complaint about the machine, no BUG, no WARNING" complaints 0
	check_fact "kernel $kernel: the serial port is driven by interrupts" serial-interrupts yes
	check_says "kernel $kernel: the real-time clock can be read" "LAB-L2 rtc [0-9]{10}"
	check_fact "kernel $kernel: PCI virtio devices interrupt by MSI-X where KVM takes messages" msix "${LAB_MSIX-yes}"
done

# More CPUs than the host has: nothing may spin while it waits for another CPU.
cpus=4 vm kernel-4cpus "$LAB_STABLE_KERNEL" ""
booted "four CPUs boot on a host with fewer"
check_says "four CPUs are up in the guest" "LAB-L2-UP .* cpus=4$"
