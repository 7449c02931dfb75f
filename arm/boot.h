/* SPDX-License-Identifier: MIT */
/*
 * From images that nobody vouches for to the list of what lies where at the start. boot.c says
 * where things go, image.c knows the formats of kernels. Nothing here
 * needs KVM or touches guest memory.
 */
#ifndef LKVM_ARM_BOOT_H
#define LKVM_ARM_BOOT_H

#include "arm.h"
#include "lkvm/boot-fdt.h"
#include "lkvm/config.h"
#include "lkvm/memory.h"
#include "lkvm/plan.h"

/* What the making of one list works on. */
struct arm_boot {
	const struct boot *boot;
	const struct guest_memory *mem; /* where RAM is; its contents are not looked at */
	struct boot_plan *plan;		/* what is added to */
	enum fdt_kernel_format format;
	bool aarch32;
	u64 firmware_address; /* 0: the beginning of RAM */
	struct boot_place at; /* the result; ARM_FDT_MAX bytes for the device tree */
};

/*
 * boot.c: boot->firmware or boot->kernel, and the initrds, into the list; choose where the device
 * tree goes. Prints; 0 or -errno.
 */
int arm_boot_list(struct arm_boot *b) __must_check;

/* image.c: the kernel, in any of its formats: entry, low and high. Prints. */
int arm_load_kernel(struct arm_boot *b) __must_check;

#endif
