/* SPDX-License-Identifier: MIT */
/* What a test that runs on every architecture asks of an architecture's own options. */
#ifndef TEST_ARCH_CONFIG_H
#define TEST_ARCH_CONFIG_H

#include "lkvm/config.h"

/* Start a raw image at its first byte. */
static inline void set_flat_image(struct vm_config *cfg)
{
#ifdef __x86_64__
	cfg->x86.kernel_format = X86_KERNEL_FLAT;
#else
	cfg->fdt.kernel_format = FDT_KERNEL_FLAT;
#endif
}

/* @irqchip: of the architecture's own enumeration; 0: the default. */
static inline void set_irqchip(struct vm_config *cfg, int irqchip)
{
#ifdef __x86_64__
	cfg->x86.irqchip = (enum x86_irqchip)irqchip;
#elif defined(__riscv)
	cfg->riscv.irqchip = (enum riscv_irqchip_kind)irqchip;
#else
	cfg->arm.irqchip = (enum arm_irqchip)irqchip;
#endif
}

#endif
