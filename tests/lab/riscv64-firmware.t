#!/bin/sh
# SPDX-License-Identifier: MIT
# Firmware: U-Boot and edk2 as Debian has them boot a disk, on a host that has AIA.
cd "$(dirname "$0")/../.." || exit 1
if [ $# = 0 ] && [ -z "$TEST_ALL" ]; then
	echo "1..0 # SKIP three guests for what is not Linux: TEST_ALL=1 runs it"
	exit 0
fi
kernel=7.2-generic
disk=build/lab/riscv64/firmware.img
unpacked=build/lab/riscv64/guest/usr
tests/lab/lab make --arch riscv64 >&2 || exit 1
for file in lib/u-boot/qemu-riscv64_smode/u-boot.bin share/qemu-efi-riscv64/RISCV_VIRT_CODE.fd \
	share/qemu-efi-riscv64/RISCV_VIRT_VARS.fd; do
	if [ ! -e "$unpacked/$file" ]; then
		echo "1..0 # SKIP the mirror has no ${file##*/}"
		exit 0
	fi
	set -- --file "$unpacked/$file:/job/firmware/${file##*/}" "$@"
done
tests/lab/lab uefi-disk --arch riscv64 --words lab.test=uefi "$kernel" "$disk" || exit 1
exec tests/lab/lab test --arch riscv64 --machine aia --cases tests/lab/cases/firmware --out build/lab/riscv64/firmware \
	--file "$disk:/job/firmware/disk.img" "$@"
