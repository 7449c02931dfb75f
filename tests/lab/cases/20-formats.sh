# SPDX-License-Identifier: MIT
# The kernel in other forms than a bzImage, and an initramfs in two parts.
# shellcheck shell=dash

only_on x86-64
kernel=$LAB_ELF_KERNEL

image=vmlinux vm format-pvh "$kernel" ""
booted "vmlinux boots, by its PVH note"

image=vmlinux.gz vm format-elf-gzip "$kernel" "" --kernel-format elf
booted "vmlinux compressed by gzip boots at its 64-bit entry (--kernel-format elf)"

# The script that lab.test names is in the second part alone.
mkdir -p /run/second/lab/l2
echo 'tell second-initrd seen' >/run/second/lab/l2/second
(cd /run/second && find . | cpio -o -H newc 2>/dev/null) >/run/second.cpio
image=vmlinux.zst vm format-zstd-two-initrds "$kernel" lab.test=second -i /run/second.cpio
booted "vmlinux compressed by zstd boots, with two initrds"
check_fact "the guest sees what the second initrd holds" second-initrd seen
