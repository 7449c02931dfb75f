/* SPDX-License-Identifier: MIT */
/* What only an x86-64 machine can be asked for; the rows are in x86/options.c. */
#ifndef LKVM_CONFIG_X86_H
#define LKVM_CONFIG_X86_H

#include "lkvm/options.h"

enum x86_irqchip {
	X86_IRQCHIP_DEFAULT, /* x86_wants_split_irqchip: by what is started */
	X86_IRQCHIP_FULL,
	X86_IRQCHIP_SPLIT,
};

enum x86_kernel_format {
	X86_KERNEL_AUTO,
	X86_KERNEL_ELF,	      /* ELF entered at e_entry, in 64-bit mode with boot_params */
	X86_KERNEL_FLAT,      /* raw image, entered at its first byte */
	X86_KERNEL_BZIMAGE,   /* Linux 64-bit boot protocol */
	X86_KERNEL_PVH,	      /* ELF entered by its PVH note */
	X86_KERNEL_MULTIBOOT, /* multiboot 1, as kvm-unit-tests build them */
};

enum x86_host_bridge {
	X86_BRIDGE_GENERIC,
	X86_BRIDGE_CLOUD_HYPERVISOR, /* edk2's CloudHv build asks for its id */
};

enum x86_nested_switch {
	X86_NESTED_SWITCH_AUTO, /* what KVM offers */
	X86_NESTED_SWITCH_ON,	/* the same, and it must be there */
	X86_NESTED_SWITCH_OFF,
};

struct x86_config {
	enum x86_irqchip irqchip;
	enum x86_kernel_format kernel_format;
	enum x86_host_bridge host_bridge;
	bool post_codes; /* are marks too */
	bool testdev;	 /* what kvm-unit-tests look for */
	enum x86_nested_switch nested;
	char *vmx, *svm; /* "+feature,-feature" (--vmx, --svm), or NULL */
};

extern const struct option_spec x86_options[];

#endif
