/* SPDX-License-Identifier: MIT */
/*
 * Loading a guest: from images that nobody vouches for into guest memory. Nothing here needs KVM,
 * so tests and fuzzers run it over plain buffers.
 */
#ifndef LKVM_ARM_LOADER_H
#define LKVM_ARM_LOADER_H

#include "arm.h"
#include "lkvm/boot.h"
#include "lkvm/config.h"
#include "lkvm/memory.h"

/* What one load works on. Guest RAM is zeroed. */
struct arm_loader {
	const struct boot *boot;
	struct guest_memory *mem;
	enum fdt_kernel_format format;
	bool aarch32;
	u64 firmware_address; /* 0: the beginning of RAM */
	/* Result. */
	u64 entry;
	u64 low, high; /* what the image takes, its zeroes included */
	u64 fdt;       /* ARM_FDT_MAX bytes for the device tree */
	u64 initrd, initrd_size;
	/* Set by arm_load: what is being started, and its role in messages. */
	const struct boot_image *image;
	const char *what;
	u64 ram_end; /* of the RAM that begins at ARM_RAM */
};

/*
 * load.c: load boot->firmware or boot->kernel, and the initrds; choose where the device tree goes.
 * Prints; 0 or -errno.
 */
int arm_load(struct arm_loader *l) __must_check;

/* loader.c: what is wrong with the image at hand, in one line. Value: the error. */
#define loader_error(l, error, ...) boot_image_error((l)->image, (l)->what, (error), __VA_ARGS__)
/* Is [base, base+size) RAM? Prints how much memory it would take. */
int arm_loader_check(const struct arm_loader *l, u64 base, u64 size) __must_check;
/* The whole image at @base, entered at its first byte; it uses @size bytes there. Prints. */
int arm_loader_raw(struct arm_loader *l, u64 base, u64 size) __must_check;

/* image.c: the kernel, in any of its formats: entry, low and high. Prints. */
int arm_load_kernel(struct arm_loader *l) __must_check;

/* The header of an Image, as far as loading needs it (booting.rst, 4). */
struct arm_image {
	u64 text_offset; /* from a 2 MiB boundary to where the image goes */
	u64 size;	 /* that it takes in memory */
	u64 flags;
};
#define ARM_IMAGE_BIG_ENDIAN BIT_ULL(0)
/* 0; -ENOEXEC: not such an image. */
int arm_image_parse(const struct boot_image *img, struct arm_image *out) __must_check;

#endif
