# SPDX-License-Identifier: MIT
# Network cards that are a guest's: packets both ways, by MSI-X (e1000e, igb) and by INTx (e1000e, e1000). None by MSI: QEMU's
# e1000e fails the self-test of its driver's MSI, on the host as well, and the others' drivers have no word for it.
# shellcheck shell=dash

[ -n "$LAB_ALL" ] || only_on x86-64
# shellcheck source=/dev/null
. /lab/cases/lib

try_card() {	# try_card NAME ADDRESS DRIVER KIND WORDS [ARGUMENT...]
	name=$1 address=$2 driver=$3 kind=$4 words=$5
	shift 5
	to_driver "$address" vfio-pci
	mem=${vfio_mem:?} vm "vfio-$name" "$LAB_VFIO_KERNEL" "lab.test=vfio lab.vfio=net lab.driver=$driver $words" --vfio "$address" "$@"
	booted "$name: a guest with $address"
	check_fact "$name: its card answers" first-ping yes
	check_fact "$name: 32 KiB go out and come back whole" first whole
	check_fact "$name: interrupts come by $kind" interrupts "$kind "
}

try_card e1000e 03:00.0 e1000e msix lab.rebind=1
check_fact "e1000e: its card is the one of the host" first-mac 52:54:00:00:00:01
check_fact "e1000e: the guest's driver leaves and comes back" rebound whole
modprobe e1000e
check "L1's driver has the card back" to_driver 03:00.0 e1000e

[ -n "$LAB_ALL" ] || exit 0
try_card e1000e-nomsi 03:00.0 e1000e intx pci=nomsi

only_on x86-64
try_card e1000 00:0c.0 e1000 intx "" --irqchip full
try_card e1000-split 00:0c.0 e1000 intx "" --irqchip split
try_card igb 05:00.0 igb msix ""

# A virtual function: the physical one stays the host's, which brings it up.
modprobe igb
to_driver 05:00.0 igb
echo 1 >"${pci:?}/devices/0000:05:00.0/sriov_numvfs"
ip link set "$(ls "${pci:?}/devices/0000:05:00.0/net")" up
virtual=$(basename "$(readlink "${pci:?}/devices/0000:05:00.0/virtfn0")")
try_card igbvf "${virtual#0000:}" igbvf msix ""
echo 0 >"${pci:?}/devices/0000:05:00.0/sriov_numvfs"
