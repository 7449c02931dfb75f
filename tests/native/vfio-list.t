#!/bin/bash
# SPDX-License-Identifier: MIT
# lkvm vfio list on a made-up host: a tree that stands in /sys, in a mount namespace. TAP.
# shellcheck disable=SC2154 # of tap.sh
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/native/tap.sh
. tests/native/tap.sh
lkvm=$(realpath "${LKVM:-build/lkvm}")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
space=(unshare -m)
[ "$(id -u)" = 0 ] || space=(unshare -rm)
mkdir sys
"${space[@]}" mount --bind sys /sys 2>/dev/null || skip_all 'no mount namespace can be had'

# host WORD...: a host with what is named, with good config space elsewhere.
host() {
	rm -rf sys && python3 - "$@" <<-'EOS'
		import os, struct, sys
		words = sys.argv[1:]
		ALL = 0x1f
		def write(path, data):
		    os.makedirs(os.path.dirname(path), exist_ok=True)
		    with open(path, 'wb') as f:
		        f.write(data if isinstance(data, bytes) else data.encode())
		def link(path, to):
		    os.makedirs(os.path.dirname(path), exist_ok=True)
		    os.symlink(os.path.relpath(to, os.path.dirname(path)), path)
		def pci(path, kind, group, acs=None, multi=False, cls=0x020000, driver='', more=()):
		    name = path.split('/')[-1]
		    real = 'sys/devices/pci0000:00/' + path
		    bridge = kind in (4, 5, 6, 7)
		    c = bytearray(4096)
		    struct.pack_into('<HH', c, 0, 0x8086, 0x10d3)
		    struct.pack_into('<I', c, 8, (0x060400 if bridge else cls) << 8)
		    c[14] = bridge | multi << 7
		    c[25] = 5
		    if kind is not None:
		        c[6], c[0x34] = 0x10, 0x40
		        struct.pack_into('<BBH', c, 0x40, 0x10, 0, 2 | kind << 4)
		        at = 0x100
		        for n, (cap, body) in enumerate(list(more) + ([(0xd, acs)] if acs else [])):
		            last = n + 1 == len(more) + bool(acs)
		            struct.pack_into('<I', c, at, cap | 1 << 16 | (0 if last else at + 0x20 << 20))
		            struct.pack_into('<HH', c, at + 4, *body)
		            at += 0x20
		    write(real + '/config', bytes(c[:64 if 'short' in words else 4096]))
		    link('sys/bus/pci/devices/' + name, real)
		    for field, value in ('vendor', 0x8086), ('device', 0x10d3), ('class', 0x060400 if bridge else cls):
		        write('%s/%s' % (real, field), '0x%04x\n' % value)
		    if driver:
		        os.makedirs('sys/bus/pci/drivers/' + driver, exist_ok=True)
		        link(real + '/driver', 'sys/bus/pci/drivers/' + driver)
		    if group is not None and 'no-iommu' not in words:
		        os.makedirs('sys/kernel/iommu_groups/%d' % group, exist_ok=True)
		        link(real + '/iommu_group', 'sys/kernel/iommu_groups/%d' % group)
		    return real
		good = (ALL | 0x60, ALL)
		if 'switch' in words:
		    up = '0000:00:01.0/0000:01:00.0'
		    pci('0000:00:01.0', 4, 1, good)
		    pci(up, 5, 2)
		    pci(up + '/0000:02:00.0', 6, 3, good)
		    pci(up + '/0000:02:01.0', 6, 4, (ALL, 0) if 'leak' in words else good)
		    pci(up + '/0000:02:00.0/0000:03:00.0', 0, 5, driver='e1000e')
		    pci(up + '/0000:02:01.0/0000:04:00.0', 0, 4 if 'leak' in words else 6, cls=0x010802, driver='vfio-pci')
		if 'pci' in words:
		    bridge = '0000:00:02.0/0000:06:00.0'
		    pci('0000:00:02.0', 4, 7, good)
		    pci(bridge, 7, 8)
		    pci(bridge + '/0000:05:01.0', None, 8, cls=0x040100)
		if 'functions' in words:
		    pci('0000:00:1f.0', None, 9, multi=True, cls=0x060100)
		    pci('0000:00:1f.3', 9, 9, multi=True, cls=0x040300, driver='snd_hda_intel')
		if 'able' in words:
		    real = pci('0000:00:03.0', 9, 10, driver='vfio-pci', more=[
		        (0x1b, (0x1406, 1)), (0xf, (5, 0x8000)), (0x13, (0, 0))])
		    write(real + '/reset_method', 'flr bus\n')
		    write(real + '/numa_node', '1\n')
		    write(real + '/sriov_totalvfs', '8\n')
		    write(real + '/sriov_numvfs', '1\n')
		    write(real + '/resource', '0x00000000febc0000 0x00000000febdffff 0x0000000000140204\n' +
		          '0x0000000000000000 0x0000000000000000 0x0000000000000000\n' * 6)
		    write(real + '/vfio-dev/vfio3/' + ('power' if 'no-cdev' in words else 'dev'), '')
		    write('sys/kernel/iommu_groups/10/reserved_regions', '0x00000000fee00000 0x00000000feefffff msi\n')
		    vf = pci('0000:00:03.1', 9, 11)
		    link(vf + '/physfn', real)
		if 'mdev' in words:
		    parent, uuid = 'sys/devices/virtual/mtty/mtty', '83b8f4f2-509f-382f-3c1e-e6bfe0fa1001'
		    kind = parent + '/mdev_supported_types/mtty-2'
		    write(kind + '/name', 'Dual port serial\n')
		    write(kind + '/device_api', 'vfio-pci\n')
		    write(kind + '/available_instances', '11\n')
		    link('sys/class/mdev_bus/mtty', parent)
		    os.makedirs(parent + '/' + uuid)
		    link('sys/bus/mdev/devices/' + uuid, parent + '/' + uuid)
		    link(parent + '/' + uuid + '/mdev_type', kind)
		os.makedirs('sys', exist_ok=True)
	EOS
}
# list STATUS ARGUMENT...: keeps out and err, compares the status.
list() {
	local want=$1 status
	shift
	# shellcheck disable=SC2016 # of the inner shell
	limited "${space[@]}" sh -c 'mount --bind "$0"/sys /sys && exec "$@"' "$dir" "$lkvm" vfio list "$@" >out 2>err </dev/null
	status=$?
	[ $status = "$want" ] && return 0
	echo "# 'list $*': status $status, not $want"
	sed 's/^/# err: /' err
	return 1
}
# has FILE TEXT...: each is in it.
has() {
	local file=$1 text
	shift
	for text; do
		grep -qF -- "$text" "$file" || { echo "# no '$text' in:" && sed 's/^/#   /' "$file" && return 1; }
	done
}
lacks() {
	! grep -F -- "$2" "$1" | sed 's/^/# unexpected: /' | grep .
}
# json EXPRESSION: true of the document j.
json() {
	python3 -c 'import json, sys; j = json.load(open("out")); d = {x["address"]: x for x in j["devices"]}
g = {x["group"]: x for x in j["groups"]}; sys.exit(not eval(sys.argv[1]))' "$1" || { echo "# not: $1" && cat out; return 1; }
}

good_switch() {
	host switch && list 0 && [ ! -s err ] &&
		has out '0000:03:00.0  8086:10d3  e1000e               5  Ethernet controller' \
			'0000:04:00.0  8086:10d3  vfio-pci             6  NVMe controller' \
			'0000:02:01.0  8086:10d3  -                    4  PCI bridge' && lacks out 'group 4'
}
point 'devices of a switch that isolates are alone' good_switch
leaky_switch() {
	host switch leak && list 0 &&
		has out 'group 4: 0000:02:01.0 0000:04:00.0' "0000:02:01.0 is a switch's downstream port whose ACS is off (SV RR CR UF)" &&
		has err 'below the switch; Linux has them in several groups' '0000:03:00.0 0000:04:00.0'
}
point 'a port that redirects nothing is told of, and the group is too small' leaky_switch
leaky_json() {
	list 0 --json && [ ! -s err ] && json 'len(d) == 6 and d["0000:04:00.0"]["bridge"] == "0000:02:01.0"' &&
		json 'd["0000:04:00.0"]["group"] == 4 and d["0000:04:00.0"]["driver"] == "vfio-pci" and "details" not in d["0000:04:00.0"]' &&
		json 'g[4]["devices"] == ["0000:02:01.0", "0000:04:00.0"] and len(j["warnings"]) == 1 and "0000:03:00.0" in j["warnings"][0]' &&
		json '[(r["kind"], r["device"]) for r in g[4]["reasons"]] == [("switch-acs", "0000:02:01.0"), ("downstream-port-acs", "0000:02:01.0")]' &&
		json 'g[4]["reasons"][0]["newer-rules"] and not g[4]["reasons"][0]["older-rules"] and j["all-readable"] and j["no-group"] is None'
}
point 'the same as JSON' leaky_json
behind_bridge() {
	host pci && list 0 && [ ! -s err ] &&
		has out 'group 8: 0000:05:01.0 0000:06:00.0' "0000:06:00.0 is a PCI Express-to-PCI bridge: requests from behind it come as 0000:05:00.0's" &&
		[ "$(grep -c 'is a PCI Express-to-PCI bridge' out)" = 1 ]
}
point 'a bus of PCI' behind_bridge
of_one_device() {
	host functions && list 0 && [ ! -s err ] && has out 'group 9: 0000:00:1f.0 0000:00:1f.3' 'may reach the other functions of its device'
}
point 'functions of a device' of_one_device

one() {
	host switch functions able && list 0 04:00.0 && [ "$(wc -l <out)" = 2 ] && list 0 /sys/bus/pci/devices/0000:00:1f.3 0000:03:00.0 &&
		[ "$(grep -c Ethernet out)" = 1 ] && has out 'group 9: 0000:00:1f.0 0000:00:1f.3' && lacks out NVMe
}
point 'devices that are named, with the whole of their groups' one
point 'a device that does not exist' list 1 0000:77:00.0
point 'is said in one line' has err "vfio list 0000:77:00.0: there is no such device; 'lkvm vfio list' shows all"
point 'what is no device' list 2 eth0
point 'is said too' has err "vfio list 'eth0': is not a PCI address"

verbose() {
	host able switch leak && list 0 -v && has out 'kind: integrated endpoint' 'ATS: on, queue of 5' 'PRI: off' \
		'PASID: on, 20 bits, execute, privileged' 'SR-IOV: 1 of 8 virtual functions: 0000:00:03.1' \
		'SR-IOV: a virtual function of 0000:00:03.0' 'reset methods: flr bus' 'NUMA node: 1' 'BAR 0: 0xfebc0000, 128K, 64-bit' \
		'node: /dev/vfio/devices/vfio3' 'reserved addresses: 0xfee00000-0xfeefffff msi' \
		'ACS: SV TB RR CR UF on; has SV TB RR CR UF EC DT' 'ACS: - on; has SV TB RR CR UF'
}
point 'what a device can do' verbose
point 'the same as JSON, in details' eval 'list 0 -v --json && json '\''d["0000:00:03.0"]["details"]["reset methods"] == "flr bus"'\'

no_cdev() { host able no-cdev && list 0 -v && lacks out vfio3 && lacks out migration; }
point 'a kernel without cdevs has their folders' no_cdev
not_root() {
	host switch leak short && list 0 && [ ! -s err ] && has out 'group 4' 'run as root to see why' && lacks out 'downstream port' &&
		list 0 -v && has out 'capabilities: not readable; run as root'
}
point 'who is not root is told that reasons are missing' not_root
no_iommu() {
	host switch no-iommu && list 0 && has out 'group -: the host has no IOMMU' && list 0 --json && json '"IOMMU" in j["no-group"]'
}
point 'a host without an IOMMU' no_iommu
mdevs() {
	host mdev && list 0 && has out '83b8f4f2-509f-382f-3c1e-e6bfe0fa1001  -                    -  mtty-2 of mtty' \
		'mtty                11  Dual port serial, vfio-pci' && list 0 --json &&
		json 'j["mdevs"][0]["parent"] == "mtty" and j["mdev-types"][0]["available"] == 11'
}
point 'mediated devices, and what can be made' mdevs
point 'one of them' eval 'list 0 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 && has out "mtty-2 of mtty" && lacks out Dual'
nothing() { host && mkdir -p sys/bus && list 0 && has out 'neither PCI devices nor mediated ones' && list 0 --json && json 'not j["devices"]'; }
point 'a host without any' nothing
no_sysfs() { host && list 1 && has err 'cannot read /sys/bus: No such file or directory; mount sysfs'; }
point 'without sysfs nothing is known' no_sysfs

wrong() {
	local text=$1
	shift
	"$lkvm" vfio "$@" >out 2>err
	[ $? = 2 ] && [ ! -s out ] && has err "$text"
}
point 'a command that is none' wrong "vfio: 'lits' is not one of its commands; did you mean 'list'?" lits
point 'no device to bind' wrong 'vfio bind: a DEVICE is missing' bind
point 'no device to show the state of' wrong "vfio state 'eth0': is not a PCI address" state eth0
point 'an mdev has its driver' wrong 'an mdev has its driver from the start' bind 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001
point 'a command of mdev that is none' wrong "did you mean 'create'?" mdev creat a b
point 'what is no UUID to make' wrong "vfio mdev create: --uuid 'x': is not a UUID" mdev create a b --uuid x
point 'what is no UUID to remove' wrong "vfio mdev remove 'x': is not an mdev's UUID" mdev remove x
point 'no command' wrong 'vfio: what is to be done?'
point 'an option that is none' wrong "unknown option '--jsn'" list --jsn
echo "1..$n"
