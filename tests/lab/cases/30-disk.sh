# SPDX-License-Identifier: MIT
# virtio-blk: reading, writing, read-only, discard and a block device of the host, on both transports.
# shellcheck shell=dash

part_of() {	# part_of FILE FROM COUNT: the checksum of that part, in MiB
	dd if="$1" bs=1M skip="$2" count="$3" 2>/dev/null | sum_of
}

mkdir -p /run/disks
mount -t tmpfs tmpfs /run/disks
cd /run/disks || exit 1

for transport in pci mmio; do
	make_pattern rw.img 16
	make_pattern ro.img 9
	make_pattern discard.img 10
	make_pattern trim.img 48
	make_pattern block.img 11
	first_half=$(part_of rw.img 0 8)
	first_mib=$(part_of block.img 0 1)
	edge=$(part_of discard.img 0 2)
	discard_before=$(du -k discard.img | cut -f1)
	block=$(sum_of block.img)
	read_only=$(sum_of ro.img)
	losetup /dev/loop0 block.img

	vm "disk-$transport" "$LAB_KERNEL" lab.test=disks --virtio-transport $transport \
		-d rw.img -d ro.img,ro -d discard.img -d trim.img -d /dev/loop0
	booted "$transport: a guest with five disks"
	losetup -d /dev/loop0

	check_fact "$transport: the guest reads what the image holds" disk-read "$first_half"
	check "$transport: the image holds what the guest wrote" [ "$(part_of rw.img 8 8)" = "$first_half" ]
	check_fact "$transport: a disk given with ,ro is read-only to the guest" ro-flag 1
	check_fact "$transport: a read-only disk can be read" ro-read "$read_only"
	check_fact "$transport: a write to it is refused" ro-write refused
	check "$transport: its image did not change" [ "$(sum_of ro.img)" = "$read_only" ]
	check_fact "$transport: discard is offered" discard yes
	check "$transport: discard gives space back to the host" [ "$(du -k discard.img | cut -f1)" -lt "$discard_before" ]
	check_fact "$transport: what was not discarded is still there" discard-edges "$edge"
	check_fact "$transport: fstrim works" fstrim yes
	check "$transport: fstrim gives space back to the host" [ "$(du -m trim.img | cut -f1)" -lt 12 ]
	check_fact "$transport: fstrim leaves the files alone" fstrim-keeps-files yes
	check_fact "$transport: a block device of the host is read" block-device-read "$block"
	check "$transport: and written" [ "$(part_of block.img 10 1)" = "$first_mib" ]
done
# Lazily: a loop device lets go of its file a moment after losetup -d.
cd /out && umount -l /run/disks
