/* SPDX-License-Identifier: MIT */
/*
 * Loading a guest: from images that nobody vouches for into guest memory. Nothing here needs KVM,
 * so tests and fuzzers run it over plain buffers.
 */
#ifndef LKVM_X86_LOADER_H
#define LKVM_X86_LOADER_H

#include "lkvm/boot.h"
#include "lkvm/config.h"
#include "x86.h"

/* What one load works on. Guest RAM is zeroed. */
struct x86_loader {
	const struct boot *boot;
	struct guest_memory *mem;
	const char *cmdline; /* may be NULL */
	enum x86_kernel_format format;
	u64 rsdp; /* 0: no ACPI tables */
	/* Result. */
	struct x86_entry entry;
	/* Set by x86_load: what is being started, and its role in messages. */
	const struct boot_image *image;
	const char *what;
};

/* load.c: load boot->firmware or boot->kernel and describe the machine to it. Prints; 0 or -errno.
 */
int x86_load(struct x86_loader *l) __must_check;
/* The machine starts in raw firmware at the reset vector: no tables are written for it. */
bool x86_firmware_is_raw(const struct boot *boot);

/* What is wrong with the image at hand, in one line. Value: the error. */
#define loader_error(l, error, ...) boot_image_error((l)->image, (l)->what, (error), __VA_ARGS__)
/*
 * May the image use [base, base+size)? Only RAM below 4 GiB that holds nothing of ours. Prints how
 * much memory it would take, or what is in the way.
 */
int loader_check_range(const struct x86_loader *l, u64 base, u64 size) __must_check;
/* Is @paddr in a segment of @elf? Entry points have to be. */
bool loader_elf_holds(const struct elf_image *elf, u64 paddr);
/* All segments of @elf by the same rule, then load them. Prints. */
int loader_load_elf(const struct x86_loader *l, const struct elf_image *elf) __must_check;
/* Write the command line, after @prefix, to X86_CMDLINE; at most @max characters. Prints. */
int loader_write_cmdline(const struct x86_loader *l, const char *prefix, u64 max) __must_check;
/*
 * Load all initrds as one, as high as possible below @limit and above @bottom; beyond 4 GiB when
 * there is no room and @above_4g allows. *size is 0 without initrds. Prints.
 */
int loader_place_initrd(const struct x86_loader *l, u64 bottom, u64 limit, bool above_4g, u64 *gpa,
			u64 *size) __must_check;
/* The last step of all: something lay outside guest RAM, or a file shrank. Prints; returns @error.
 */
int loader_io_error(const struct x86_loader *l, int error);

/* bzimage.c */
bool bzimage_probe(const struct boot_image *img);
int bzimage_load(struct x86_loader *l) __must_check;

/* linux.c: kernels entered with boot_params alone. */
struct boot_params;
void linux_fill_params(const struct x86_loader *l, struct boot_params *bp, u64 initrd,
		       u64 initrd_size);
int linux_elf_load(struct x86_loader *l, const struct elf_image *elf) __must_check;
int linux_flat_load(struct x86_loader *l) __must_check;

/* pvh.c */
int pvh_load(struct x86_loader *l, const struct elf_image *elf) __must_check;

/* multiboot.c: the header, as far as loading needs it. */
struct multiboot_header {
	u32 offset; /* in the file */
	u32 flags;
	u32 header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};
/* 0; -ENOENT: no header. */
int multiboot_find(const struct boot_image *img, struct multiboot_header *h) __must_check;
/* @elf NULL: by the header's own addresses. */
int multiboot_load(struct x86_loader *l, const struct multiboot_header *h,
		   const struct elf_image *elf) __must_check;
#define MULTIBOOT_AOUT_KLUDGE BIT(16) /* 3.1.2: the header has addresses */

/* firmware.c */
int firmware_load(struct x86_loader *l) __must_check;

/* entry.c */
/* GDT and, for 64-bit entry, page tables. */
int x86_write_entry_tables(struct guest_memory *mem, enum x86_entry_mode mode) __must_check;
/* From the reset state in @sregs and @regs to the state of @entry. */
void x86_entry_registers(const struct x86_entry *entry, struct kvm_sregs *sregs,
			 struct kvm_regs *regs);

#endif
