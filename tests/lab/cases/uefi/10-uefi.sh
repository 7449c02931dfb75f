# SPDX-License-Identifier: MIT
# UEFI: edk2's build for Cloud Hypervisor, which Debian has no package of. The runner brings it and the disk: x86-64-uefi.t.
# shellcheck shell=dash

uefi() {	# uefi NAME [LKVM ARGUMENT...]
	uefi_name=$1
	shift
	firmware "$uefi_name" /job/uefi/CLOUDHV.fd --host-bridge cloud-hypervisor "$@"
}
	log=/out/logs/$vm_name.log
	shown_log=
	vm_missing=
	shift
	run_guest timeout -s KILL "$LAB_LIMIT" lkvm run -f /job/uefi/CLOUDHV.fd --host-bridge cloud-hypervisor \
		-m "${mem:-512}" "$@"
}

tunctl -t lab0 >/dev/null
ip link set lab0 up
mem=4096 uefi disk -d /job/uefi/disk.img --rng -n tap,tapif=lab0
booted "firmware finds BOOTX64.EFI on a GPT disk, and that boots Linux"
check_fact "Linux knows of the firmware" firmware uefi
check "there is memory above 4 GiB" [ "$(fact memory)" = 3 ]
check "a reboot starts the firmware again" [ "$(lines_of ^LAB-L2-UP)" = 2 ]
check_fact "what the first boot wrote to the disk was there in the second" boot second

# Without a disk to boot from, the firmware's own shell; it reads the serial port and switches the machine off.
leave_shell() {
	wait_for says "Shell>"
	printf 'reset -s\r'
}
keys=leave_shell uefi shell --irqchip split
check "the firmware's shell is typed at, and ends the machine" [ "$status" = 0 ]
check_says "it was the shell" "UEFI Interactive Shell"
