/* SPDX-License-Identifier: MIT */
/*
 * From images that nobody vouches for to the list of what lies where at the start. boot.c finds out
 * the format, a file for each format reads it, place.c says where things may lie. Nothing here
 * needs KVM or touches guest memory.
 */
#ifndef LKVM_X86_BOOT_H
#define LKVM_X86_BOOT_H

#include "lkvm/boot.h"
#include "lkvm/config.h"
#include "lkvm/plan.h"
#include "x86.h"

/* What the making of one list works on. */
struct x86_boot {
	const struct boot *boot;
	const struct guest_memory *mem; /* where RAM is; its contents are not looked at */
	struct boot_plan *plan;		/* what is added to */
	const char *cmdline;		/* may be NULL */
	enum x86_kernel_format format;
	u64 rsdp;      /* 0: no ACPI tables */
	bool snp;      /* an SNP guest (snp.h) */
	u32 signature; /* for struct x86_entry */
	/* A confidential guest: entered in 64-bit mode alone, and told which memory holds tables,
	 * since it takes the rest of what is no RAM for devices. */
	bool confidential;
	u64 mailbox; /* a page in which vcpus wait for the kernel, outside of RAM; 0: none */
	/* Result. */
	struct x86_entry entry;
	/* Set by x86_boot_list: what is being started, and its role in messages. */
	const struct boot_image *image;
	const char *what;
};

/* boot.c: boot->firmware or boot->kernel, and all that it is told, into the list. Prints; 0 or
 * -errno. */
int x86_boot_list(struct x86_boot *b) __must_check;
/* The machine starts in raw firmware at the reset vector: no tables are written for it. */
bool x86_firmware_is_raw(const struct boot *boot);

/* What is wrong with the image at hand, in one line. Value: the error. */
#define boot_error(b, error, ...) boot_image_error((b)->image, (b)->what, (error), __VA_ARGS__)
/*
 * May the image use [base, base+size)? Only RAM below 4 GiB that holds nothing of ours. Prints how
 * much memory it would take, or what is in the way.
 */
int place_check(const struct x86_boot *b, u64 base, u64 size) __must_check;
/* All segments of @elf by the same rule, into the list. Prints. */
int place_elf(const struct x86_boot *b, const struct elf_image *elf) __must_check;
/* The command line, after @prefix, at X86_CMDLINE; at most @max characters. Prints. */
int place_cmdline(const struct x86_boot *b, const char *prefix, u64 max) __must_check;
/*
 * Place all initrds as one, as high as possible below @limit and above @bottom; beyond 4 GiB when
 * there is no room and @above_4g allows. *size is 0 without initrds. Prints.
 */
int place_initrd(const struct x86_boot *b, u64 bottom, u64 limit, bool above_4g, u64 *gpa,
		 u64 *size) __must_check;
/* The image does not reach as far as its headers say. Prints; returns @error. */
int place_error(const struct x86_boot *b, int error);

/*
 * modules.c: place each initrd alone, above @bottom; its string is its words, after its name where
 * @named, and the NUL. @out has room for X86_MAX_MODULES; the list of entries of at most
 * X86_MODULE_ENTRY bytes is the caller's, at X86_MODULES. Prints.
 */
#define X86_MAX_MODULES	 64U
#define X86_MODULE_ENTRY 32U
struct x86_module {
	u64 gpa, size, string;
};
int modules_plan(const struct x86_boot *b, u64 bottom, bool named,
		 struct x86_module *out) __must_check;

/* bzimage.c */
bool bzimage_probe(const struct boot_image *img);
/* Is it one without a 64-bit entry? */
bool bzimage_is_32bit(const struct boot_image *img);
int bzimage_load(struct x86_boot *b) __must_check;

/* linux.c: kernels entered with boot_params alone. */
struct boot_params;
void linux_fill_params(const struct x86_boot *b, struct boot_params *bp, u64 initrd,
		       u64 initrd_size);
int linux_elf_load(struct x86_boot *b, const struct elf_image *elf) __must_check;
int linux_flat_load(struct x86_boot *b) __must_check;

/* pvh.c */
int pvh_load(struct x86_boot *b, const struct elf_image *elf) __must_check;

/* multiboot.c: the header, as far as loading needs it. */
struct multiboot_header {
	u32 offset; /* in the file */
	u32 flags;
	u32 header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};
/* 0; -ENOENT: no header. */
int multiboot_find(const struct boot_image *img, struct multiboot_header *h) __must_check;
/* @elf NULL: by the header's own addresses. */
int multiboot_load(struct x86_boot *b, const struct multiboot_header *h,
		   const struct elf_image *elf) __must_check;
#define MULTIBOOT_AOUT_KLUDGE BIT(16) /* 3.1.2: the header has addresses */

/* bios.c: what a PC's firmware leaves behind, for images that are started without any. */
void bios_plan(const struct x86_boot *b);

/* fw-cfg.c: does raw firmware look as if it asked QEMU's fw_cfg device? The second says so. */
bool fw_cfg_wanted(const struct boot_image *img) __must_check;
void fw_cfg_warn(const struct boot_image *img);

/* ram-rest.c: whole pages, [start, end). */
struct x86_span {
	u64 start, end;
};
/* The pages of RAM in which nothing of @plan lies, by ascending address, into @out, which has room
 * for @max spans. How many, or -E2BIG (prints nothing). */
int x86_ram_rest(const struct boot_plan *plan, const struct guest_memory *mem, struct x86_span *out,
		 u32 max) __must_check;

/* firmware.c */
int firmware_load(struct x86_boot *b) __must_check;

/* entry.c */
/* Identity mapping of the first 4 GiB by 2 MiB pages, which every 64-bit CPU has: tables for @gpa,
 * the highest first, with @c_bit in every entry. */
#define X86_IDENTITY_TABLES (6 * 4 * KiB)
void x86_identity_tables(u8 out[X86_IDENTITY_TABLES], u64 gpa, u64 c_bit);
/* GDT and, for 64-bit entry, page tables, with @c_bit in every entry. */
void x86_entry_tables(struct boot_plan *plan, enum x86_entry_mode mode, u64 c_bit);
/* From the reset state in @sregs and @regs to the state of @entry. */
void x86_entry_registers(const struct x86_entry *entry, struct kvm_sregs *sregs,
			 struct kvm_regs *regs);
/* The same by name, into the list. */
void x86_entry_plan(const struct x86_entry *entry, struct boot_plan *plan);

#endif
