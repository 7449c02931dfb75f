# SPDX-License-Identifier: MIT
# Linux without KVM's clock: it learns the speed of the TSC by ACPI's timer, three reads of which must take less than
# 131072 cycles. They do in this L1, whose clock counts instructions, and not in the other.
# shellcheck shell=dash

vm no-kvmclock "$LAB_STABLE_KERNEL" "no-kvmclock lab.test=health"
booted "no-kvmclock: the kernel boots"
check_fact "it goes by the TSC" clocksource tsc
check_fact "its log has no complaint about the machine, no BUG, no WARNING" complaints 0
