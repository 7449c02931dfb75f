#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs in L1 (make bench-lab): seconds from exec to the guest's userspace, lkvm and QEMU's microvm
# turn by turn with the same kernel and initramfs. The guest is a Debian cloud kernel.
k=/lab/kernels/6.12-cloud
initrd=$k/initrd
words="console=ttyS0 quiet nokaslr mitigations=off panic=-1"
r=/job/root
lib=$r/usr/lib/x86_64-linux-gnu

lkvm_run() {
	lkvm run -k $k/vmlinuz -i "$initrd" -m 512 -c 1 -p "$words" --nodefaults </dev/null 2>/dev/null
}

qemu_run() {
	$r/usr/lib64/ld-linux-x86-64.so.2 --inhibit-cache --library-path $lib $r/usr/bin/qemu-system-x86_64 \
		-L $r/usr/share/qemu -L $r/usr/share/seabios -accel kvm -cpu host -bios qboot.rom \
		-M microvm,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on -m 512 -smp 1 -nodefaults \
		-no-user-config -display none -serial stdio -no-reboot -kernel $k/vmlinuz -initrd "$initrd" \
		-append "$words" </dev/null 2>/dev/null
}

# Seconds from starting $1 to the guest's marker.
to_userspace() {
	start=$(cut -d' ' -f1 /proc/uptime)
	"$1" | while read -r line; do
		case $line in
		*LAB-L2-UP*)
			echo "$start $(cut -d' ' -f1 /proc/uptime)"
			break
			;;
		esac
	done | awk '{ printf "%.2f\n", $2 - $1 }'
}

for round in 1 2 3 4 5; do
	for vmm in lkvm_run qemu_run; do
		echo "$vmm round $round: $(to_userspace $vmm) s"
	done
done | tee /tmp/figures
awk '{ sum[$1] += $4 } END { printf "QEMU microvm / lkvm: %.1fx\n", sum["qemu_run"] / sum["lkvm_run"] }' /tmp/figures
