# SPDX-License-Identifier: MIT
# Firmware for riscv64's S-mode, of Debian's packages: U-Boot in RAM, and edk2, which runs in place and keeps its variables in
# flash memory. The runner brings both and a disk: riscv64-firmware.t.
# shellcheck shell=dash

new_disk() {
	cp /job/firmware/disk.img /run/firmware.img
}

disk_boots() {	# disk_boots NAME: what both of them have to do
	booted "$1 finds the disk's EFI program, and that boots Linux"
	check_fact "$1: Linux knows of the firmware" firmware uefi
	# The line may begin with what the firmware wrote last.
	check "$1: a reboot starts the firmware again" [ "$(lines_of LAB-L2-UP)" = 2 ]
	check_fact "$1: what the first boot wrote to the disk was there in the second" boot second
}

new_disk
firmware u-boot /job/firmware/u-boot.bin -d /run/firmware.img
disk_boots "U-Boot"

new_disk
cp /job/firmware/RISCV_VIRT_VARS.fd /run/vars.fd
firmware edk2 /job/firmware/RISCV_VIRT_CODE.fd --flash /run/vars.fd -d /run/firmware.img
disk_boots "edk2"
variables_changed() {
	! cmp -s /job/firmware/RISCV_VIRT_VARS.fd /run/vars.fd
}
check "edk2 wrote variables to the flash memory" variables_changed
rm -f /run/firmware.img

# Without a disk to boot from, the firmware's own shell; it reads the serial port and switches the machine off.
leave_shell() {
	wait_for says "Shell>"
	printf 'reset -s\r'
}
keys=leave_shell firmware shell /job/firmware/RISCV_VIRT_CODE.fd --flash /run/vars.fd
check "edk2's shell is typed at, and ends the machine" [ "$status" = 0 ]
check_says "it was the shell" "UEFI Interactive Shell"
rm -f /run/vars.fd
