# SPDX-License-Identifier: MIT
# lkvm vfio list: the kernel's groups, each with the reason for which the kernel made it.
# shellcheck shell=dash

# shellcheck source=/dev/null
. /lab/cases/lib
only_on x86-64

modprobe nvme
to_driver 01:00.0 vfio-pci
lkvm vfio list -v >/out/logs/list.log 2>&1
send_log list
has() {	# has TEXT
	grep -q -F -e "$1" /out/logs/list.log
}
explained() {
	! grep -q -e 'does not show why' -e 'as root' /out/logs/list.log
}
all_groups() {
	for device in "${pci:?}"/devices/*; do
		name=${device##*/0000:}
		grep -q "^0000:$name .* $(group_of "$name")  [A-Za-z]" /out/logs/list.log || return 1
	done
}
check "every device has its group" all_groups
check "every group of several devices is explained" explained
check "two functions" has '0000:00:0d.0 is a function without PCI Express'
check "a bus of PCI" has '0000:0a:00.0 is a PCI Express-to-PCI bridge: requests from behind it come as 0000:0b:00.0'
check "a switch without ACS" has '0000:07:01.0 is a switch'
# What is below one port reaches what is below the other, which this kernel does not look at.
check "whose groups are too small" has 'these are too small, unless it knows this device better: 0000:07:00.0 0000:07:01.0 0000:08:00.0 0000:09:00.0'
check "ACS of root ports is on" has 'ACS: SV RR CR UF on; has SV TB RR CR UF DT'
check "a device that can be passed on has its node" has "node: /dev/vfio/$(group_of 01:00.0)"
check "reset methods are told" has 'reset methods: flr bus'
to_driver 01:00.0 nvme
