#!/bin/bash
# SPDX-License-Identifier: MIT
# Many devices: each is found and works, behind PCI-PCI bridges where bus 0 is full. TAP.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

# disks N: files whose first word is their number; $disks is the options for them.
disks() {
	local i
	python3 - "$1" <<-'PY'
		import struct, sys
		for i in range(int(sys.argv[1])):
		    with open('d%d' % i, 'wb') as f:
		        f.write(struct.pack('<I', i))
		        f.truncate(65536)
	PY
	disks=()
	for ((i = 0; i < $1; i++)); do disks+=(-d "d$i"); done
}

# works N WORD...: a guest reads the first sector of each.
works() {
	local count=$1
	shift
	disks "$count" && guest 0 many -p "count=$count" "${disks[@]}" "$@" && quiet && says out "$count disks, each once"
}

polled() {
	disks 260 && guest 0 many -p 'count=260 poll' "${disks[@]}" && quiet && says out '260 disks, each once'
}

too_many_mmio() {
	disks 300 && run 2 -k "$guests/many.flat" --virtio-transport "$1" "${disks[@]}" --nodefaults &&
		says err "--virtio-transport $1: has a maximum of" 'but 300 are configured; use pci' && [ "$(wc -l <err)" = 1 ]
}

thousand() {
	[ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 20000 ] ||
		{ skip "$1" 'fewer than 20000 open files' && return; }
	point "$1" works 1010
}

point '100 disks: functions of bus 0' works 100
point '300 disks: 52 of them behind a bridge' works 300
point '260 disks without their interrupts' polled
point '300 devices are too many for MMIO, and it says what to do' too_many_mmio mmio
point 'and for MMIO as it was before 1.0' too_many_mmio mmio-legacy
if [ -n "${TEST_ALL:-}" ]; then thousand '1010 disks: behind three bridges'; fi
echo "1..$n"
