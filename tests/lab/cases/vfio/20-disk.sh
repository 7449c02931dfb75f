# SPDX-License-Identifier: MIT
# Disks that are a guest's: NVMe with its MSI-X table among its registers, the same in a BAR of its own, and a virtio function
# with its vendor capabilities. The guest reads, writes, unbinds and binds its driver; then L1 looks at the disk again.
# shellcheck shell=dash

# shellcheck source=/dev/null
. /lab/cases/lib
modprobe nvme
modprobe virtio_blk

try_disk() {	# try_disk NAME ADDRESS DRIVER L1DRIVER WORDS [ARGUMENT...]
	name=$1 address=$2 driver=$3 own=$4 words=$5
	shift 5
	to_driver "$address" "$own"
	disk=$(disk_of "$address")
	make_pattern /run/given 3
	dd if=/run/given of="$disk" bs=1M oflag=direct conv=fsync 2>/dev/null
	sum=$(mib_of "$disk" 0)
	to_driver "$address" vfio-pci

	vm "vfio-$name" "$LAB_VFIO_KERNEL" "lab.test=vfio lab.vfio=disk lab.driver=$driver $words" --vfio "$address" "$@"
	booted "$name: a guest with $address"
	check_fact "$name: it reads the disk" first "$sum"
	check_fact "$name: and writes it" first-written yes

	check "$name: L1's driver has the device back" to_driver "$address" "$own"
	check "$name: and finds what the guest wrote" [ "$(mib_of "$(disk_of "$address")" 1)" = "$sum" ]
}

try_disk nvme 01:00.0 nvme nvme lab.rebind=1
check_fact "nvme: interrupts come by MSI-X" interrupts "msix "
check_fact "nvme: the guest's driver leaves and comes back" rebound "$sum"

try_disk nvme-nomsi 01:00.0 nvme nvme pci=nomsi
check_fact "nvme-nomsi: interrupts come by INTx" interrupts "intx "

try_disk nvme-again 02:00.0 nvme nvme lab.again=1
check "nvme-again: the guest booted twice" [ "$(lines_of ^LAB-L2-UP)" = 2 ]
check_fact "nvme-again: and its disk remembers" boot second

try_disk virtio 04:00.0 virtio-pci virtio-pci ""
