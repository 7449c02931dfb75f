# SPDX-License-Identifier: MIT
# How a guest ends, and what lkvm makes of it: reboot, --no-reboot, panic, triple fault, debug-exit port.
# shellcheck shell=dash

truncate -s 1M /run/memory.img
vm end-reboot 6.12-cloud lab.test=two-boots -d /run/memory.img
booted "a guest that reboots starts again, and powers off"
check "it booted twice" [ "$(lines_of ^LAB-L2-UP)" = 2 ]
check_fact "what the first boot wrote to the disk was there in the second" boot second

vm end-no-reboot 7.2-cloud lab.test=reboot --no-reboot
booted "--no-reboot: lkvm ends when the guest reboots"
check "--no-reboot: it booted once" [ "$(lines_of ^LAB-L2-UP)" = 1 ]

# Ctrl-A p on the terminal is the power button; the guest's driver hears it by ACPI.
press_power() {
	wait_for says "LAB-L2 button ready"
	printf '\001p'
}
keys=press_power vm end-power-button 7.2-generic lab.test=power-button
booted "a guest on a terminal powers off when its power button is pressed"
check_fact "its kernel has a power button" button-name "Power Button"
check_fact "the button is a key pressed, once" button-key "1 116 1 0"

vm end-panic 7.2-generic lab.test=panic
booted "a panic that pvpanic tells ends lkvm with status 100" 100

vm end-triple-fault 6.12-cloud "lab.test=reboot reboot=t" --no-reboot
booted "a triple fault ends lkvm with status 101" 101

vm end-debug-exit 6.12-generic "lab.test=debug-exit lab.byte=42"
booted "a byte written to the debug-exit port is lkvm's status" 42
