#!/bin/bash
# SPDX-License-Identifier: MIT
# Rings in each form (packed, indirect, with events, in order, notification data), with a driver in the guest, behind
# both transports; and devices that recover from a broken one.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

python3 -c 'import struct, sys; sys.stdout.buffer.write(struct.pack("<262144I", *range(262144)))' >disk

all() {
	guest 0 rings --virtio-transport "$1" --rng -d disk --virtio-in-order --virtio-notification-data &&
		says out '11 forms, 0 bad' && [ "$(wc -l <out)" = 1 ] && says err 'a buffer is not in RAM'
}
# What is not asked for is not offered, and costs nothing.
few() {
	guest 0 rings --virtio-transport "$1" --rng -d disk --no-virtio-packed && says out '11 forms, 0 bad' \
		'packed: not offered by device 4' 'split, in order: not offered by device 2' \
		'split, notification data: not offered by device 2' && ! grep -q 'split, in order: not offered by device 4' out
}
echo 1..4
point 'every form, by PCI' all pci
point 'every form, by MMIO' all mmio
point 'what is offered by default, by PCI' few pci
point 'what is offered by default, by MMIO' few mmio
