# SPDX-License-Identifier: MIT
# How a guest ends, and what lkvm makes of it: reboot, --no-reboot, panic, triple fault, debug exit.
# shellcheck shell=dash

empty_disk() {
	rm -f /run/memory.img
	truncate -s 1M /run/memory.img
}
prepare=empty_disk vm end-reboot "$LAB_STABLE_KERNEL" lab.test=two-boots -d /run/memory.img
booted "a guest that reboots starts again, and powers off"
check "it booted twice" [ "$(lines_of ^LAB-L2-UP)" = 2 ]
check_fact "what the first boot wrote to the disk was there in the second" boot second

vm end-no-reboot "$LAB_KERNEL" lab.test=reboot --no-reboot
booted "--no-reboot: lkvm ends when the guest reboots"
check "--no-reboot: it booted once" [ "$(lines_of ^LAB-L2-UP)" = 1 ]

# Ctrl-A p on the terminal is the power button; the guest's driver hears it by ACPI or by a GPIO line.
press_power() {
	wait_for says "LAB-L2 button ready"
	printf '\001p'
}
if [ "$LAB_POWER_BUTTON" = none ]; then
	skip "the power button" "Debian's kernels have no driver of one for this machine"
else
	keys=press_power vm end-power-button "$LAB_FULL_KERNEL" "lab.test=power-button lab.button=${LAB_POWER_BUTTON%% *}"
	booted "a guest on a terminal powers off when its power button is pressed"
	check_fact "its kernel has a power button" button-name "$LAB_POWER_BUTTON"
	check_fact "the button is a key pressed, once" button-key "1 116 1 0"
fi

if [ -n "$LAB_NO_PVPANIC" ]; then
	skip "a panic that pvpanic tells" "Debian's kernels have no driver of it for this machine"
else
	wanted=100 vm end-panic "$LAB_FULL_KERNEL" lab.test=panic
	booted "a panic that pvpanic tells ends lkvm with status 100"
fi

if [ "$LAB_ARCH" = x86-64 ]; then
	# The processor here is AMD's, whose KVM resets the vcpu before it tells of the fault.
	registers_of_fault() {
		grep -q 'its registers are lost' "$log" || { grep -q 'rip 0' "$log" && ! grep -q 'rip 000000000000fff0' "$log"; }
	}
	wanted=101 vm end-triple-fault "$LAB_STABLE_KERNEL" "lab.test=reboot reboot=t" --no-reboot --loglevel debug
	booted "a triple fault ends lkvm with status 101"
	check "its registers are those of the fault, or said to be lost" registers_of_fault
fi

# On x86-64, 22-words ends its guests so.
if [ "$LAB_ARCH" != x86-64 ] || [ -n "$LAB_ALL" ]; then
	wanted=42 vm end-debug-exit "$LAB_FULL_KERNEL" "lab.test=debug-exit lab.byte=42 $LAB_DEBUG_EXIT"
	booted "a byte written to the debug-exit register is lkvm's status"
fi
