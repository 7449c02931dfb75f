/* SPDX-License-Identifier: MIT */
/*
 * What machines that are described by a device tree can be asked for, and those that boot Linux's
 * Image: arm64, riscv64, loongarch64. The rows are in boot/options.c.
 */
#ifndef LKVM_CONFIG_FDT_H
#define LKVM_CONFIG_FDT_H

#include "lkvm/options.h"

enum fdt_kernel_format {
	FDT_KERNEL_AUTO,
	FDT_KERNEL_ELF,	  /* entered at e_entry */
	FDT_KERNEL_FLAT,  /* raw image, entered at its first byte */
	FDT_KERNEL_IMAGE, /* Linux's Image, also as EFI zboot */
};

struct fdt_config {
	enum fdt_kernel_format kernel_format;
	u64 firmware_address; /* where the firmware goes in RAM; 0: the default */
	char *flash;	      /* image of a CFI flash, or NULL */
	char *dump_dtb;	      /* write the device tree there, and start nothing */
	u64 kaslr_seed;	      /* in /chosen, for the kernel's KASLR; 0: none */
	bool kaslr_random;    /* a new one at every start */
	bool rng_seed;	      /* random bytes for the kernel's random number generator */
};

extern const struct option_spec fdt_options[];

#endif
