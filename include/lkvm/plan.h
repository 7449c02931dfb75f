/* SPDX-License-Identifier: MIT */
/*
 * What a guest starts from, as a list: what has to lie where in its memory before its first
 * instruction, and the registers of its first vcpu.
 *
 * An architecture's boot code turns a configuration and images into entries; nobody writes into
 * guest memory while that happens, but for a compressed kernel on its way to its place
 * (boot_begin). boot_plan_check then puts them into one order (ascending address) and refuses
 * entries that overlap or are not in RAM: the one place that looks. An ordinary VM copies the list
 * into its RAM (boot_plan_load); a confidential VM hands it to its firmware page run by page run
 * (coco.h); `--dump-boot` writes the same runs to files. So what is measured cannot differ from
 * what runs. Nothing in a list may depend on the host.
 *
 * Entries have any address and length. A run is whole pages: entries that meet in a page are in
 * one run, which has the kind of the entry that came first; what no entry covers is zero.
 *
 * Entries have a rank: a confidential guest's pages are given to its firmware by rank and, of one
 * rank, by address, since their order counts in its measurement. Where nobody says otherwise all
 * have rank 0. A page belongs to one rank.
 */
#ifndef LKVM_PLAN_H
#define LKVM_PLAN_H

#include "lkvm/types.h"

struct boot_image;
struct guest_memory;

enum boot_kind {
	BOOT_KERNEL,
	BOOT_FIRMWARE,
	BOOT_INITRD,
	BOOT_TABLES, /* descriptions, command line, page tables */
	BOOT_STUB,   /* code of ours */
	BOOT_CPUID,
	BOOT_SECRETS,
	BOOT_ZERO, /* zeroes that the guest counts on */
};

struct boot_entry {
	u64 gpa;
	u64 len; /* never 0 */
	enum boot_kind kind;
	bool measured; /* counts in a confidential guest's launch measurement */
	bool rom;      /* not in RAM: in a read-only region of its own (pages) */
	u8 rank;
	const char *what;		/* for messages: "kernel", "ACPI tables"; static */
	u8 *bytes;			/* owned; NULL: from @image, or zeroes */
	const struct boot_image *image; /* the caller's, open as long as the plan lives */
	u64 offset;			/* in @image */
};

/* What the device tree is called in a list. */
#define BOOT_FDT "device tree"

/* By its architectural name: "rip", "cs.base", "x0". */
struct boot_reg {
	const char *name; /* static */
	u64 value;
};

#define BOOT_MAX_REGS 96

/* The registers of a list that is gone, where they are few (boot-fdt.h). */
struct boot_start {
	struct boot_reg regs[4];
	u32 nr_regs;
};

struct boot_plan {
	struct boot_entry *entries;
	u32 nr_entries;
	u8 rank;			     /* of the entries that are added next */
	struct boot_reg regs[BOOT_MAX_REGS]; /* what differs from the CPU's reset state */
	u32 nr_regs;
};

/* Whole pages of one kind, contiguous. */
struct boot_run {
	u64 gpa;
	u64 len;
	enum boot_kind kind;
	bool measured;
	u8 rank;
};
#define BOOT_PAGE (4 * KiB)

void boot_plan_init(struct boot_plan *plan);
void boot_plan_free(struct boot_plan *plan);

/* Add a copy of @bytes. @len 0 adds nothing. */
void boot_plan_add(struct boot_plan *plan, enum boot_kind kind, const char *what, u64 gpa,
		   const void *bytes, u64 len);
/* Add [offset, offset+len) of @image; -ENODATA (prints nothing) where it does not reach so far. */
int boot_plan_add_image(struct boot_plan *plan, enum boot_kind kind, const char *what, u64 gpa,
			const struct boot_image *image, u64 offset, u64 len) __must_check;
/* Add one as it is; its bytes are the list's then, what it wants of an image is the caller's to
 * check. */
void boot_plan_add_entry(struct boot_plan *plan, const struct boot_entry *entry);
void boot_plan_add_zero(struct boot_plan *plan, const char *what, u64 gpa, u64 len);
/* The same as boot_plan_add_image for a ROM: whole pages outside of RAM. */
int boot_plan_add_rom(struct boot_plan *plan, const char *what, u64 gpa,
		      const struct boot_image *image) __must_check;
void boot_plan_add_reg(struct boot_plan *plan, const char *name, u64 value);
/* The entry called @what, or NULL. */
const struct boot_entry *boot_plan_find(const struct boot_plan *plan, const char *what);

/*
 * Once all is added: sort, and refuse what overlaps or does not lie in RAM of @mem. Prints; 0,
 * -EEXIST or -EFAULT. What follows wants a checked plan.
 */
int boot_plan_check(struct boot_plan *plan, const struct guest_memory *mem) __must_check;
/*
 * Copy all into @mem, whose RAM is zeroed; make the regions of ROMs that are not there yet. Images
 * are read now. Prints; 0 or -errno (-ENODATA: a file shrank).
 */
int boot_plan_load(const struct boot_plan *plan, struct guest_memory *mem) __must_check;
/*
 * The next run of pages after @run, which is all zero at first; false: there is none. By ascending
 * rank, then address.
 */
bool boot_plan_next(const struct boot_plan *plan, struct boot_run *run);
/* What guest memory at [gpa, gpa+len) holds at the start. 0 or -errno of reading; prints. */
int boot_plan_read(const struct boot_plan *plan, u64 gpa, void *buf, u64 len) __must_check;

/* "kernel", "zero". */
const char *boot_kind_name(enum boot_kind kind);

#endif
