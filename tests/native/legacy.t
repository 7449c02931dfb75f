#!/bin/bash
# SPDX-License-Identifier: MIT
# A driver from before VIRTIO 1.0 on the transports for it, and on the others. TAP.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

disk() {
	truncate -s 1M "$1" && printf 'a sector of old' | dd of="$1" conv=notrunc status=none
}

# works WORD...: the driver reads the first sector before DRIVER_OK, writes the second, resets.
works() {
	disk img && guest 0 legacy -d img "$@" && quiet && says out '2048 sectors, first' 'written' &&
		[ "$(dd if=img bs=512 skip=1 count=1 status=none | tr -d L | wc -c)" = 0 ]
}

# MMIO's word on PCI and the other way round: no such device is there.
not_there() {
	disk img && guest 1 legacy -d img "$@" && says out 'no legacy device'
}

# The option is saved by its present name.
saved() {
	"$lkvm" run -k "$guests/legacy.flat" --kernel-format flat --nodefaults --virtio-legacy --save-config conf >out 2>err </dev/null &&
		says conf 'virtio-transport = pci-legacy'
}

point 'a disk over pci-legacy' works --virtio-transport pci-legacy
point 'a disk over mmio-legacy' works --virtio-transport mmio-legacy
point "kvmtool's --virtio-legacy" works --virtio-legacy
point '--virtio-legacy is saved as what it means' saved
point 'modern devices have no legacy registers' not_there --virtio-transport pci
point 'nor on MMIO' not_there --virtio-transport mmio
point 'modern drivers find no legacy device' guest 1 blk --virtio-transport pci-legacy -d img
echo "1..$n"
