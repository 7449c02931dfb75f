#!/bin/bash
# SPDX-License-Identifier: MIT
# qcow2 disks under the real lkvm: a guest reads and writes them, lkvm is killed while it writes, names in images are followed
# for who says so, and QEMU's tools are locked out.
# shellcheck disable=SC2154
. "$(dirname "$0")/lib.sh"
command -v qemu-img >/dev/null || skip_all 'no qemu-img'
q() { qemu-img "$@" >qemu 2>&1 || { sed 's/^/# qemu-img: /' qemu && false; }; }

head -c 1M /dev/urandom >base

reads() {
	q convert "${@:2}" -O qcow2 base img && dd if=base bs=512 skip=40 count=64 status=none >part &&
		guest 0 blk -d "img$1" -p 'at=40 count=64 read' && says out '2048 sectors' "checksum $(checksum part)" && quiet
}
writes() {
	q create -f qcow2 "$@" img 1M && guest 0 blk -d img,format=qcow2 -p 'write at=104 count=48 seed=5 flush' &&
		says out 'wrote 48 sectors' 'flush: status 0' && q check img && q convert -O raw img raw &&
		guest 0 blk -d raw,format=raw -p 'at=104 count=48 read' && grep checksum out >first &&
		guest 0 blk -d img,format=qcow2 -p 'at=104 count=48 read' && says out "$(cat first)"
}
zeroes() {
	q convert -O qcow2 base img && guest 0 blk -d img -p 'zero at=16 count=1000' && says out 'zeroes: status 0' 'discard: status 0' &&
		q check img && q convert -O raw img raw && cmp -n $((16 * 512)) raw base &&
		dd if=raw bs=512 skip=16 count=1000 status=none | cmp - <(head -c 512000 /dev/zero) &&
		cmp <(tail -c +$((1016 * 512 + 1)) raw) <(tail -c +$((1016 * 512 + 1)) base)
}
# The name of a backing file is followed for who says that it is a qcow2 image.
backing() {
	mkdir -p in && cp base in/base && q create -f qcow2 -b base -F raw in/img && dd if=base bs=512 count=8 status=none >part &&
		guest 1 blk -d in/img -p read && says err 'names a backing file, base; add' ',format=qcow2' && [ "$(wc -l <err)" = 1 ] &&
		guest 0 blk -d in/img,format=qcow2 -p read && says out "checksum $(checksum part)" && quiet
}
# What was found to be raw stays so, whatever the guest writes.
stays_raw() {
	truncate -s 1M empty && guest 0 blk -d empty -p 'header' && says out 'header: status 1' &&
		says err 'look like qcow2' ',format=raw' && [ "$(wc -l <err)" = 1 ] && cmp -n 512 empty /dev/zero &&
		guest 0 blk -d empty -p read && quiet &&
		guest 0 blk -d empty,format=raw -p 'header' && says out 'header: status 0' && quiet && [ "$(head -c 3 empty)" = QFI ]
}
locks() {
	q create -f qcow2 -b base -F raw img && mkfifo key && exec 8<>key
	"$lkvm" run --loglevel warning -k "$guests/blk.flat" --kernel-format flat --nodefaults -m 32 -c 1 -d img,format=qcow2 \
		-p 'read wait' <key >held 2>&1 8<&- &
	wait_for grep -q checksum held
	! qemu-io -c 'write 0 512' img >qemu 2>&1 && grep -q 'lock' qemu && ! qemu-io -r -c 'read 0 512' img >qemu 2>&1 &&
		! qemu-io -f raw -c 'write 0 512' base >qemu 2>&1 && grep -q 'lock' qemu && qemu-io -f raw -r -c 'read 0 512' base >qemu &&
		guest 1 blk -d base && says err "--disk base: locked by process $!"
	local status=$?
	echo >&8
	wait
	[ $status = 0 ] && q check img
}
# What stands on a file that QEMU writes is not opened either.
locked_by_qemu() {
	q create -f qcow2 -b base -F raw img && mkfifo cmd && exec 9<>cmd
	qemu-io "${@:2}" <cmd >qemu 2>&1 9<&- &
	echo 'write 0 512' >&9
	wait_for grep -q wrote qemu
	guest 1 blk -d img,format=qcow2 && says err "$1: locked by process"
	local status=$?
	echo quit >&9
	wait
	rm cmd
	[ $status = 0 ]
}
# The host's disk is full: the guest is told, lkvm lives on, and the image is whole.
no_space() {
	local unshare
	for unshare in 'unshare -m' 'unshare -rm'; do
		$unshare true 2>/dev/null || continue
		mkdir -p small && $unshare bash -c '
			mount -t tmpfs -o size=1m none small && qemu-img create -q -f qcow2 small/disk 8M || exit 1
			timeout -k 5 "$2" "$0" run -k "$1/blk.flat" --kernel-format flat --nodefaults -m 32 -c 1 \
				-d small/disk,format=qcow2 -p "fill flush" >out 2>err </dev/null; qemu-img check small/disk >check 2>&1
			[ $? = 0 ] || [ $? = 3 ]' "$lkvm" "$guests" "$LIMIT" &&
			says out ': status 1' 'read: status 0' 'flush: status 0' && says err 'No space left on device'
		return
	done
}
killed() { limited python3 "$here/storm.py" "$lkvm" "$guests/storm.flat" "$@"; }

echo 1..20
point 'reads' reads ''
point 'reads by name of the format, past the page cache' reads ',format=qcow2,direct,ro'
point 'reads packed clusters' reads '' -c
point 'reads version 2' reads '' -o compat=0.10
point 'writes' writes
point 'writes small clusters of version 2' writes -o compat=0.10,cluster_size=512
point 'write zeroes and discard' zeroes
point 'a backing file is opened for who says format=qcow2' backing
point 'a raw disk stays one' stays_raw
point 'qemu-io and lkvm are kept out' locks
point 'an image that qemu-io writes' locked_by_qemu img img
point 'a backing file that qemu-io writes' locked_by_qemu 'base (backing file of img)' -f raw base
point 'no space on the host is an I/O error in the guest' no_space
crashes=${QCOW2_CRASHES:-8}
point 'killed at any moment' killed 1 "$crashes" kill 'qemu-img create -f qcow2 img 64M'
small='qemu-img create -f qcow2 -o cluster_size=512 img 8M'
snapshot='qemu-img create -f qcow2 -b base -F raw -o cluster_size=4k img 32M && qemu-img snapshot -c one img'
old='qemu-img create -f qcow2 -o compat=0.10,cluster_size=2k img 16M'
crashes_here() {
	LD_PRELOAD=$guests/crash.so ASAN_OPTIONS=verify_asan_link_order=0 CRASH_DISK=base CRASH_AT=1 "$lkvm" run -k "$guests/blk.flat" \
		--kernel-format flat --nodefaults -m 32 -c 1 -d base -p write >out 2>&1 </dev/null
	[ $? = 137 ]
}
if crashes_here 2>/dev/null; then
	for how in crash power; do
		point "$how before a write, clusters of 512" killed 2 "$crashes" $how "$small"
		point "$how before a write, with a snapshot and a backing file" killed 3 "$crashes" $how "$snapshot"
		point "$how before a write, version 2" killed 4 "$crashes" $how "$old"
	done
else
	for i in {1..6}; do skip "a crash before a write, $i" 'nothing can be preloaded into this binary'; done
fi
