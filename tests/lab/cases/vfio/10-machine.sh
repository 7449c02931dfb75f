# SPDX-License-Identifier: MIT
# The machine itself, without lkvm: groups, drivers, and a device that goes to vfio-pci and comes back.
# shellcheck shell=dash

# shellcheck source=/dev/null
. /lab/cases/lib

for device in "${pci:?}"/devices/*; do
	name=${device##*/0000:}
	echo "$name $(cat "$device/vendor" "$device/device" "$device/class" | tr '\n' ' ')" \
		"group $(group_of "$name") driver $(driver_of "$name") reset $(cat "$device/reset_method" 2>/dev/null)"
done >/out/logs/devices.log
dmesg | grep -i -e dmar -e iommu -e remap -e smmu >>/out/logs/devices.log
send_log devices

check "the host has an IOMMU" grep -q "$LAB_VFIO_IOMMU" /out/logs/devices.log
for address in 01:00.0 02:00.0 03:00.0 04:00.0; do
	check "$address behind a root port with ACS is a group of its own" [ "$(members_of $address)" = "0000:$address" ]
done

disk=$(disk_of 01:00.0)
make_pattern /run/mib 1
dd if=/run/mib of="$disk" bs=1M oflag=direct conv=fsync 2>/dev/null
check "vfio-pci takes the disk" to_driver 01:00.0 vfio-pci
check "its group's file is there" [ -c "/dev/vfio/$(group_of 01:00.0)" ]
check "and nvme has it back" to_driver 01:00.0 nvme
check "with what was written before" [ "$(mib_of "$(disk_of 01:00.0)" 0)" = "$(sum_of /run/mib)" ]
