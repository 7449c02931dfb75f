# SPDX-License-Identifier: MIT
# What this host, or any riscv64 machine, cannot do: lkvm says so in one line and exits, without a guest.
# shellcheck shell=dash
only_on riscv64

kernel=/lab/kernels/$LAB_KERNEL/vmlinuz

# image_with OFFSET BYTES FILE: the kernel's first MiB, with other bytes at OFFSET
image_with() {
	head -c 1048576 "$kernel" >"$3"
	printf "$2" | dd of="$3" bs=1 seek="$1" conv=notrunc 2>/dev/null
}

# An Image of arm64's: Linux Documentation/arch/arm64/booting.rst has the magic at 56. Riscv's is Documentation/arch/riscv/boot-image-header.rst.
dd if=/dev/zero of=/run/arm64 bs=64k count=1 2>/dev/null
printf 'ARM\144' | dd of=/run/arm64 bs=1 seek=56 conv=notrunc 2>/dev/null
# Bit 0 of the flags (24): big-endian.
image_with 24 '\001' /run/big-endian
head -c 1048576 "$kernel" >/run/short

refused "an arm64 kernel" 1 "arm64" -k /run/arm64
refused "a big-endian kernel" 1 "big.endian" -k /run/big-endian
refused "the beginning of a kernel" 1 "truncated" -k /run/short
refused "an initrd as the kernel" 1 "initrd" -k "/lab/kernels/$LAB_KERNEL/initrd"
refused "a kernel that is not there" 1 "/run/none" -k /run/none
refused "an extension that the host lacks" 1 "zvkb" -k "$kernel" --cpu host,+zvkb
refused "an extension that cannot be switched off" 1 "zba" -k "$kernel" --cpu host,-zba
refused "an extension that has no name" 2 "nonesuch" -k "$kernel" --cpu host,+nonesuch
refused "an SBI extension that has no name" 2 "nonesuch" -k "$kernel" --sbi +nonesuch
refused "an interrupt controller that is none" 2 "irqchip" -k "$kernel" --irqchip gicv3
refused "more CPUs than KVM has" 1 "cpus|CPUs|vcpus" -k "$kernel" -c 4000
refused "more memory than KVM takes" 1 "less than 8T" -k "$kernel" -m 9T
if [ -z "$LAB_MSIX" ]; then
	refused "AIA where the host has none" 1 "AIA|aia" -k "$kernel" --irqchip aia
fi
rm -f /run/arm64 /run/big-endian /run/short
