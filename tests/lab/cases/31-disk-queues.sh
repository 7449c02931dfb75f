# SPDX-License-Identifier: MIT
# virtio-blk with several queues, both ways of the host, with limits and whole blocks: a file system, and random
# operations beside a model (tests/lab/programs/blk-exerciser).
# shellcheck shell=dash

exerciser=/lab/programs/blk-exerciser
mkdir -p /run/queues
mount -t tmpfs tmpfs /run/queues
cd /run/queues || exit 1

ops=150
[ -z "$LAB_ALL" ] || ops=400
if [ -e "$exerciser" ]; then
	for aio in io_uring threads; do
		# Packed rings that go in order, and split ones that do not.
		ring=--virtio-in-order
		features=11
		if [ $aio = threads ]; then
			ring=--no-virtio-packed
			features=00
		fi
		for size in 33 34 35; do truncate -s ${size}M $size.img; done
		# Its bytes as a disk, with what fills the last block.
		dd if="$exerciser" of=program.img bs=4096 conv=sync 2>/dev/null
		cpus=2 vm "queues-$aio" "$LAB_KERNEL" "lab.test=disk-queues lab.ops=$ops" $ring \
			-d 33.img,queues=2,aio=$aio,serial=one,,two -d 34.img,aio=$aio,block-size=4096,cache=writethrough \
			-d 35.img,queues=2,aio=$aio,rate=64M:8M,ops=20000 -d program.img,ro,aio=$aio,serial=program
		booted "$aio: a guest with disks of several queues"
		check_fact "$aio $ring: the driver's rings are packed and in order, or are not" rings $features
		check_fact "$aio: as many queues as the guest has CPUs" queues 2
		check_fact "$aio: the name that the user gave" serial one,two
		check_fact "$aio: blocks of 4096 bytes" block 4096
		check_fact "$aio: write-through" cache 'write through'
		check_fact "$aio: a file system is what it was after a remount" remounted yes
		for disk in 33 34 35; do
			check_fact "$aio: random operations on disk $disk" "random-$disk" ok
			check "$aio: and the host finds what they left on it" "$exerciser" $disk.img threads=2 seed=$disk keep
		done
	done
else
	skip 'disks of several queues' 'the lab has no compiler for its programs'
fi
cd /out && umount /run/queues
