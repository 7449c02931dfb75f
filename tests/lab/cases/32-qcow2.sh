# SPDX-License-Identifier: MIT
# qcow2 images that QEMU's qemu-img makes and checks: a chain of three with clusters packed by zlib and zstd, a file system,
# and random operations beside a model.
# shellcheck shell=dash
only_on x86-64

exerciser=/lab/programs/blk-exerciser
mib=10

# write_pieces FILE: what the guest does to the chain, to its model: 512 bytes here and there.
write_pieces() {
	for piece in $(seq 1 40); do
		dd if=pieces of="$1" bs=512 skip="$piece" seek=$((piece * 499)) count=1 conv=notrunc 2>/dev/null
	done
}

# packed IMAGE: whether it has packed clusters
packed() {
	qemu-img check "$1" | grep -qE '[1-9][0-9.]*% compressed'
}

make_images() {
	rm -f ./*.qcow2 ./*.raw
	# What packs well, and holes; the second layer changes some of it.
	seq 1000000 3000000 | head -c $((3 << 20)) >base.raw
	truncate -s ${mib}M base.raw
	cp base.raw model.raw
	seq 5000000 9000000 | head -c $((3 << 19)) | dd of=model.raw bs=1M seek=2 conv=notrunc 2>/dev/null
	qemu-img convert -c -O qcow2 -o compression_type=zlib base.raw base.qcow2
	qemu-img convert -c -O qcow2 -o compression_type=zstd -B base.qcow2 -F qcow2 model.raw middle.qcow2
	qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 chain.qcow2
	qemu-img create -q -f qcow2 -o lazy_refcounts=on files.qcow2 64M
	qemu-img create -q -f qcow2 -o cluster_size=4k random.qcow2 16M
	qemu-img create -q -f qcow2 -o compat=0.10,refcount_bits=16 old.qcow2 16M
	layers=$(sum_of base.qcow2 middle.qcow2)
	chain=$(sum_of model.raw)
}

if ! [ -e /usr/bin/qemu-img ] || ! [ -e "$exerciser" ]; then
	skip 'qcow2 images' 'the lab has no qemu-img, or no compiler for its programs'
	exit 0
fi
mkdir -p /run/images
mount -t tmpfs tmpfs /run/images
cd /run/images || exit 1
dd if="$exerciser" of=program.img bs=4096 conv=sync 2>/dev/null
dd if=/dev/urandom of=pieces bs=512 count=41 2>/dev/null

# Those for clouds, which have ext4 built in; with TEST_ALL the first of them too.
clouds=
for kernel in $LAB_KERNELS; do
	[ "${kernel%-cloud}" = "$kernel" ] || clouds="$clouds $kernel"
done
aio=threads ops=400
# shellcheck disable=SC2046,SC2086 # a list of words
set -- $(corners $clouds)
[ -n "$LAB_ALL" ] || { shift $(($# - 1)) && aio=io_uring ops=150; }
for kernel; do
	cpus=2 prepare=make_images vm "qcow2-$kernel" "$kernel" "lab.test=qcow2 lab.ops=$ops" \
		-d chain.qcow2,format=qcow2,serial=chain,aio=$aio -d files.qcow2,format=qcow2,serial=files,aio=$aio \
		-d random.qcow2,format=qcow2,serial=random,queues=2,aio=$aio -d old.qcow2,format=qcow2,serial=old,aio=$aio \
		-d program.img,ro,format=raw,serial=program -d pieces,ro,format=raw,serial=pieces
	title="Linux $kernel, $aio"
	booted "$title: a guest with four qcow2 disks"
	check "$title: the layers below have packed clusters" eval 'packed base.qcow2 && packed middle.qcow2'
	check_fact "$title: it reads what three layers hold" chain "$chain"
	write_pieces model.raw
	check "$title: its pieces are where it wrote them" qemu-img compare -f raw -F qcow2 model.raw chain.qcow2
	check "$title: the layers below are as before" [ "$(sum_of base.qcow2 middle.qcow2)" = "$layers" ]
	check_fact "$title: a file system is what it was after a remount" remounted yes
	for disk in random old; do
		check_fact "$title: random operations on $disk" "random-$disk" ok
		qemu-img convert -f qcow2 -O raw $disk.qcow2 $disk.raw
		check "$title: and qemu-img finds what they left on it" "$exerciser" $disk.raw threads=2 seed=7 keep
	done
	for disk in chain files random old; do
		check "$title: qemu-img check: $disk" qemu-img check -q $disk.qcow2
	done
	aio=io_uring
done
cd /out && umount /run/images
