# SPDX-License-Identifier: MIT
# virtio-pmem: a file system in a file that is the guest's memory, by PCI with the first kernel, then by MMIO with another.
# shellcheck shell=dash
only_on x86-64

mkdir -p /run/pmem
mount -t tmpfs tmpfs /run/pmem
cd /run/pmem || exit 1
truncate -s 64M fs.img
make_pattern ro.img 9
read_only=$(sum_of ro.img)

# The first kernel, and the newest whose ext4 guests have; other pairs of kernel and transport would show nothing new.
# shellcheck disable=SC2046,SC2086
set -- $(corners $LAB_KERNELS)
for kernel in "$1" "$LAB_KERNEL"; do
	how=new
	for transport in $([ "$kernel" = "$1" ] && echo pci || echo mmio); do
		name=$transport-$kernel
		make_pattern rw.img 16
		first_half=$(dd if=rw.img bs=1M count=8 2>/dev/null | sum_of)
		vm "pmem-$name" "$kernel" "lab.test=pmem lab.pmem=$how" --virtio-transport $transport \
			--pmem fs.img --pmem rw.img --pmem ro.img,ro
		booted "$name: a guest with persistent memory"
		# Of the read-only file, whole 2 MiB.
		check_fact "$name: the guest sees three" devices "20480 32768 131072 "
		check_fact "$name: it reads what the file holds" read "$first_half"
		check_fact "$name: and writes" written yes
		check "$name: the file holds what it wrote" \
			[ "$(dd if=rw.img bs=1M skip=8 count=8 2>/dev/null | sum_of)" = "$first_half" ]
		check_fact "$name: it reads the read-only file" ro-read "$read_only"
		check "$name: which is as before" [ "$(sum_of ro.img)" = "$read_only" ]
		if [ $how = new ]; then
			check_fact "$name: a file system there" remounted yes
			check_fact "$name: which is used without a page cache" dax dax=always
			file=$(fact file)
			check "$name: it has contents" [ -n "$file" ]
			check_fact "$name: what is copied there" dax-copy "$file"
		else
			check_fact "$name: the file system of another machine" file "$file"
			check_fact "$name: what was copied there" dax-copy "$file"
		fi
		how=again
	done
done
cd /out && umount -l /run/pmem
