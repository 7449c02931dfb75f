#!/bin/bash
# SPDX-License-Identifier: MIT
# lkvm vfio list over the model of VFIO: what open devices tell, and that they are left as they were. TAP.
# shellcheck disable=SC2154 # of lib.sh
# shellcheck source=tests/model/lib.sh
. "$(dirname "$0")/lib.sh"

# lists DEVICES[,OPTION...] SCRIPT ARGUMENT...: a host of its own; nothing on standard error, status 0.
lists() {
	local kind=plain,vfio=$1 script=$2
	shift 2
	rm -rf "$LKVM_MODEL_ROOT" && mkdir "$LKVM_MODEL_ROOT"
	modelled "$kind" "$script" "$lkvm" vfio list "$@" >out 2>err </dev/null && [ ! -s err ] && return 0
	sed 's/^/# err: /' err
	return 1
}
shows() {
	local text
	for text; do
		grep -qF -- "$text" out || { echo "# not shown: $text" && sed 's/^/# out: /' out && return 1; }
	done
}
silent() { ! grep -F -- "$1" out; }
calls() { grep -c "\"call\": \"$1\"" log; }

devices() {
	lists edu+nvme '' && shows '0000:01:00.0  1234:11e8  vfio-pci            16' 'NVMe controller' && silent group &&
		[ "$(calls VFIO_DEVICE_BIND_IOMMUFD)" = 0 ]
}
point 'devices, without opening one' devices
point 'two of one group, of which config space says nothing' lists edu+nvme,together ''
point 'that is said' shows 'group 16: 0000:01:00.0 0000:02:00.0' 'config space does not show why'
verbose() {
	lists edu+nvme+mtty,pasid=16 '' -v && shows 'migration: none' 'usable PASIDs: 16 bits' 'node: /dev/vfio/devices/vfio0, /dev/vfio/16' \
		'migration: stop and copy, peer to peer, precopy' && [ "$(calls VFIO_DEVICE_BIND_IOMMUFD)" = 3 ]
}
point '-v: what open devices tell' verbose
point '-v: a device that is not named is left alone' lists edu+mtty '' -v 0000:01:00.0
point '-v: it is' test "$(calls VFIO_DEVICE_BIND_IOMMUFD)" = 1
no_pasids() { lists edu '' -v && shows 'usable PASIDs: none'; }
point '-v: an IOMMU without PASIDs' no_pasids
in_use() { lists edu,busy=edu '' -v && shows 'migration: unknown: in use'; }
point '-v: a device in use' in_use
with_host() { lists edu,host=edu '' -v && shows '  edu-host  ' && silent migration; }
point '-v: a device of the host is not opened' with_host
no_iommufd() { lists edu,iommufd=off '' -v && shows 'migration: unknown: cannot open /dev/iommu'; }
point '-v: without iommufd' no_iommufd
no_memory() { lists edu 'fail VFIO_DEVICE_BIND_IOMMUFD 1 ENOMEM' -v && shows 'migration: unknown: cannot be bound: Cannot allocate memory'; }
point '-v: a device that cannot be bound' no_memory
json() {
	lists edu+mtty '' --json -v &&
		python3 -c 'import json; j = json.load(open("out")); d = {x["address"]: x for x in j["devices"]}
assert d["0000:01:00.0"]["details"]["migration"] == "none" and d["0000:01:00.0"]["bridge"] == "0000:00:01.0"
assert "precopy" in j["mdevs"][0]["details"]["migration"] and j["mdev-types"][0]["parent"] == "mtty"'
}
point 'the same as JSON' json
liar() { lists liar '' -v && shows '0000:01:00.0'; }
point 'a device that lies' liar
no_iommu() { lists edu,iommu=off '' && shows 'group -: '; }
point 'a host without an IOMMU' no_iommu
finish
