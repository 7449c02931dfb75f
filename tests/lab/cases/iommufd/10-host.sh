# SPDX-License-Identifier: MIT
# The host of these cases, without lkvm: iommufd, a character device of each device, mediated devices.
# shellcheck shell=dash

mtty=/sys/devices/virtual/mtty/mtty/mdev_supported_types/mtty-2
uuid=12345678-1234-1234-1234-123456789abc

check "the host has KVM" [ -c /dev/kvm ]
check "and iommufd" [ -c /dev/iommu ]
echo 0000:01:00.0 >/sys/bus/pci/devices/0000:01:00.0/driver/unbind
echo vfio-pci >/sys/bus/pci/devices/0000:01:00.0/driver_override
echo 0000:01:00.0 >/sys/bus/pci/drivers_probe
for node in /sys/bus/pci/devices/0000:01:00.0/vfio-dev/*; do
	check "a disk that vfio-pci has is a file of its own" [ -c "/dev/vfio/devices/${node##*/}" ]
done
check "mtty makes a device with two ports" sh -c "echo $uuid >$mtty/create"
for node in "/sys/bus/mdev/devices/$uuid/vfio-dev"/*; do
	check "it is such a file as well" [ -c "/dev/vfio/devices/${node##*/}" ]
done
check "and goes again" sh -c "echo 1 >/sys/bus/mdev/devices/$uuid/remove"
check "for good" [ ! -e "/sys/bus/mdev/devices/$uuid" ]
