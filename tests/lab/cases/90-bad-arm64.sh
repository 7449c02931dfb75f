# SPDX-License-Identifier: MIT
# What this host, or any arm64 machine, cannot do: lkvm says so in one line and exits, without a guest.
# shellcheck shell=dash
only_on arm64

kernel=/lab/kernels/$LAB_KERNEL/vmlinuz

# The magic numbers of a bzImage at the places of Documentation/arch/x86/boot.rst, in an image of zeros.
dd if=/dev/zero of=/run/bzImage bs=1M count=1 2>/dev/null
printf '\125\252' | dd of=/run/bzImage bs=1 seek=510 conv=notrunc 2>/dev/null
printf 'HdrS\017\002' | dd of=/run/bzImage bs=1 seek=514 conv=notrunc 2>/dev/null

refused "an x86 kernel" 1 "bzImage.*x86|x86" -k /run/bzImage
refused "an initrd as the kernel" 1 "initrd" -k "/lab/kernels/$LAB_KERNEL/initrd"
refused "a kernel that is not there" 1 "/run/none" -k /run/none
refused "a GICv2 on a GICv3 without its registers" 1 "(GIC|gic)v2" -k "$kernel" --irqchip gicv2
refused "a GICv2m there" 1 "(GIC|gic)v2" -k "$kernel" --irqchip gicv2m
refused "an interrupt controller that is none" 2 "irqchip" -k "$kernel" --irqchip gicv9
refused "SVE without SVE" 1 "(SVE|sve)" -k "$kernel" --cpu host,+sve
refused "an SVE length without SVE" 1 "(SVE|sve)" -k "$kernel" --sve-max-vl 256
refused "an SVE length that is not a multiple of 128" 2 "sve-max-vl" -k "$kernel" --sve-max-vl 200
refused "MTE without MTE" 1 "(MTE|mte)" -k "$kernel" --cpu host,+mte
refused "a feature that has no name" 2 "nonesuch" -k "$kernel" --cpu host,+nonesuch
refused "more memory than addresses" 1 "address" -k "$kernel" -m 300T
refused "more CPUs than KVM has" 1 "cpus|CPUs|vcpus" -k "$kernel" -c 513
refused "--e2h0 without --nested" 2 "nested" -k "$kernel" --e2h0
refused "--gicv4 on where there is none" 1 "(GIC|gic)v4" -k "$kernel" --gicv4 on
refused "a counter frequency that is none" 2 "cntfrq" -k "$kernel" --override-bad-firmware-cntfrq x
