#!/bin/bash
# SPDX-License-Identifier: MIT
# Few file descriptors: lkvm works, or says before the guest starts what it lacks; no guest waits for an interrupt that
# never comes. TAP.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"

truncate -s 1M one two

# descriptors COUNT ARGUMENT...: two disks whose guest waits for interrupts. 0: it worked, quietly; 1: refused; 2: it
# worked, with a warning.
descriptors() {
	local count=$1 status
	shift
	(
		ulimit -n "$count"
		timeout -k 5 "$LIMIT" "$lkvm" run --loglevel warning -k "$guests/blk.flat" --kernel-format flat --nodefaults \
			-m 32 -c 1 -d one -d two -p read "$@" >out 2>err </dev/null
	)
	status=$?
	case $status in
	0) says out 'interrupts came' || return 3 ;;
	1) says err 'Too many open files' 'ulimit -n' && [ ! -s out ] && return 1 || return 3 ;;
	*) echo "# ulimit -n $count: status $status" && return 3 ;;
	esac
	[ ! -s err ] && return 0
	says err 'ulimit -n' && return 2
	return 3
}

# From where nothing works to where all is there.
every_limit() {
	local count slower=0 refused=0
	for count in {4..200}; do
		descriptors "$count" "$@"
		case $? in
		0) break ;;
		1) refused=$((refused + 1)) ;;
		2) slower=$((slower + 1)) ;;
		*) return 1 ;;
		esac
	done
	echo "# works with $count descriptors, without some interrupts' at $slower limits, refused at $refused"
	[ "$count" -lt 200 ] && [ "$refused" -gt 0 ]
}

echo 1..3
point 'at every limit of descriptors it works or is refused (PCI)' every_limit
point 'the same with the split irqchip' every_limit --irqchip split
point 'the same on virtio-mmio' every_limit --virtio-transport mmio
