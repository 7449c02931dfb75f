/* SPDX-License-Identifier: MIT */
/*
 * From images that nobody vouches for to the list of what lies where at the start. boot.c says where
 * things go, image.c knows the formats of kernels. Nothing here needs KVM or touches guest memory.
 */
#ifndef LKVM_RISCV_BOOT_H
#define LKVM_RISCV_BOOT_H

#include "lkvm/boot-fdt.h"
#include "lkvm/config.h"
#include "lkvm/memory.h"
#include "lkvm/plan.h"
#include "riscv.h"

/* What the making of one list works on. */
struct riscv_boot {
	const struct boot *boot;
	const struct guest_memory *mem; /* where RAM is; its contents are not looked at */
	struct boot_plan *plan;		/* what is added to */
	enum fdt_kernel_format format;
	u64 firmware_address; /* 0: the beginning of RAM */
	struct boot_place at; /* the result; RISCV_FDT_MAX bytes for the device tree */
};

/* image.c: the kernel, in any of its formats: entry, low and high. Prints. */
int riscv_load_kernel(struct riscv_boot *b) __must_check;

#endif
