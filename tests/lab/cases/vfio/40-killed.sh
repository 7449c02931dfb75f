# SPDX-License-Identifier: MIT
# lkvm is killed while its guest has a disk: the kernel takes the device back, and it serves L1 and the next guest.
# shellcheck shell=dash

[ -n "$LAB_ALL" ] || only_on x86-64
# shellcheck source=/dev/null
. /lab/cases/lib

to_driver 01:00.0 nvme
disk=$(disk_of 01:00.0)
make_pattern /run/given 1
dd if=/run/given of="$disk" bs=1M oflag=direct conv=fsync 2>/dev/null
to_driver 01:00.0 vfio-pci
kill_hard() {	# as the user would, when the guest has used the disk
	until grep -q 'LAB-L2 interrupts' /out/logs/vfio-killed.log 2>/dev/null; do
		sleep 0.2
	done
	killall -KILL lkvm
}
kill_hard &
killer=$!
wanted=137 mem=${vfio_mem:?} vm vfio-killed "$LAB_VFIO_KERNEL" "lab.test=vfio lab.vfio=disk lab.driver=nvme lab.stay=1" --vfio 01:00.0
kill $killer 2>/dev/null
booted "a guest with a disk is killed with its lkvm"
check "the disk goes back to L1's driver" to_driver 01:00.0 nvme
check "and works" [ "$(mib_of "$(disk_of 01:00.0)" 1)" = "$(sum_of /run/given)" ]
