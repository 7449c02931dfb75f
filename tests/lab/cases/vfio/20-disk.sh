# SPDX-License-Identifier: MIT
# Disks that are a guest's: NVMe with its MSI-X table among its registers, the same in a BAR of its own, and a virtio function
# with its vendor capabilities. The guest reads, writes, unbinds and binds its driver; then L1 looks at the disk again.
# shellcheck shell=dash

# shellcheck source=/dev/null
. /lab/cases/lib

try_disk nvme 01:00.0 nvme lab.rebind=1
check_fact "nvme: interrupts come by MSI-X" interrupts "msix "
check_fact "nvme: the guest's driver leaves and comes back" rebound "${sum:?}"

[ "$LAB_ARCH" = x86-64 ] || [ -n "$LAB_ALL" ] || exit 0
try_disk nvme-nomsi 01:00.0 nvme pci=nomsi
check_fact "nvme-nomsi: interrupts come by INTx" interrupts "intx "

[ -n "$LAB_ALL" ] || exit 0
try_disk virtio 04:00.0 virtio-pci ""

try_disk nvme-again 02:00.0 nvme lab.again=1
check "nvme-again: the guest booted twice" [ "$(lines_of ^LAB-L2-UP)" = 2 ]
check_fact "nvme-again: and its disk remembers" boot second
