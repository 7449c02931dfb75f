# SPDX-License-Identifier: MIT
# What cannot be passed on: one line with the reason and the remedy.
# shellcheck shell=dash

only_on x86-64
# shellcheck source=/dev/null
. /lab/cases/lib
modprobe e1000e

try_bad() {	# try_bad NAME DEVICE REGEX
	lkvm_says "vfio-bad-$1" run -k "/lab/kernels/$LAB_VFIO_KERNEL/vmlinuz" --vfio "$2"
	check "$1: refused" [ "${status:?}" = 1 ]
	check_says "$1: the reason is told" "$3"
}

to_driver 03:00.0 e1000e
try_bad in-use 03:00.0 'e1000e.*lkvm vfio bind 0000:03:00\.0'
try_bad absent 7f:00.0 '7f:00\.0'
try_bad bridge 00:04.0 'bridge'
to_driver 00:0d.0 vfio-pci
try_bad shared 00:0d.0 '0000:00:0d\.1'
to_driver 00:0d.0 virtio-pci
