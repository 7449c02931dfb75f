/* SPDX-License-Identifier: MIT */
/* The list of what a guest starts from, and the one place that puts it into memory; see plan.h. */
#include "lkvm/plan.h"

#include <assert.h>
#include <stdlib.h>

#include "lkvm/boot.h"
#include "lkvm/log.h"
#include "lkvm/memory.h"
#include "lkvm/util.h"

void boot_plan_init(struct boot_plan *plan)
{
	memset(plan, 0, sizeof(*plan));
}

void boot_plan_free(struct boot_plan *plan)
{
	for (u32 i = 0; i < plan->nr_entries; i++)
		free(plan->entries[i].bytes);
	free(plan->entries);
	boot_plan_init(plan);
}

static void add(struct boot_plan *plan, const struct boot_entry *entry)
{
	plan->entries = xrealloc(plan->entries, (plan->nr_entries + 1) * sizeof(plan->entries[0]));
	plan->entries[plan->nr_entries] = *entry;
	plan->entries[plan->nr_entries++].rank = plan->rank;
}

void boot_plan_add(struct boot_plan *plan, enum boot_kind kind, const char *what, u64 gpa,
		   const void *bytes, u64 len)
{
	struct boot_entry e = {
		.gpa = gpa, .len = len, .kind = kind, .measured = true, .what = what
	};

	if (!len)
		return;
	e.bytes = xcalloc(1, len);
	memcpy(e.bytes, bytes, len);
	add(plan, &e);
}

static int add_image(struct boot_plan *plan, const struct boot_entry *e)
{
	if (!range_within(e->offset, e->len, 0, e->image->size))
		return -ENODATA;
	if (e->len)
		add(plan, e);
	return 0;
}

int boot_plan_add_image(struct boot_plan *plan, enum boot_kind kind, const char *what, u64 gpa,
			const struct boot_image *image, u64 offset, u64 len)
{
	return add_image(plan, &(struct boot_entry){ .gpa = gpa,
						     .len = len,
						     .kind = kind,
						     .measured = true,
						     .what = what,
						     .image = image,
						     .offset = offset });
}

int boot_plan_add_rom(struct boot_plan *plan, const char *what, u64 gpa,
		      const struct boot_image *image)
{
	return add_image(plan, &(struct boot_entry){ .gpa = gpa,
						     .len = image->size,
						     .kind = BOOT_FIRMWARE,
						     .measured = true,
						     .rom = true,
						     .what = what,
						     .image = image });
}

void boot_plan_add_entry(struct boot_plan *plan, const struct boot_entry *entry)
{
	add(plan, entry);
}

void boot_plan_add_zero(struct boot_plan *plan, const char *what, u64 gpa, u64 len)
{
	if (len)
		add(plan, &(struct boot_entry){ .gpa = gpa,
						.len = len,
						.kind = BOOT_ZERO,
						.measured = true,
						.what = what });
}

void boot_plan_add_reg(struct boot_plan *plan, const char *name, u64 value)
{
	assert(plan->nr_regs < BOOT_MAX_REGS);
	plan->regs[plan->nr_regs++] = (struct boot_reg){ name, value };
}

const struct boot_entry *boot_plan_find(const struct boot_plan *plan, const char *what)
{
	for (u32 i = 0; i < plan->nr_entries; i++)
		if (!strcmp(plan->entries[i].what, what))
			return &plan->entries[i];
	return NULL;
}

/* Checking */

static int by_address(const void *a, const void *b)
{
	const struct boot_entry *x = a, *y = b;

	return (x->gpa > y->gpa) - (x->gpa < y->gpa);
}

static const char *name_of(const struct boot_entry *e)
{
	return e->image ? e->image->path : "made by lkvm";
}

static u64 page_of(u64 gpa)
{
	return ALIGN_DOWN(gpa, BOOT_PAGE);
}

int boot_plan_check(struct boot_plan *plan, const struct guest_memory *mem)
{
	if (plan->nr_entries)
		qsort(plan->entries, plan->nr_entries, sizeof(plan->entries[0]), by_address);
	for (u32 i = 0; i < plan->nr_entries; i++) {
		const struct boot_entry *e = &plan->entries[i], *before = e - 1;

		if (e->len - 1 > UINT64_MAX - e->gpa ||
		    (!e->rom && !memory_holds_ram(mem, e->gpa, e->len))) {
			err("%s (%s): %llu bytes at 0x%llx are not in guest memory; increase --mem",
			    e->what, name_of(e), e->len, e->gpa);
			return -EFAULT;
		}
		/* Sorted, and the one before does not wrap: it alone can reach into this one. */
		if (i && before->gpa + (before->len - 1) >= e->gpa) {
			err("%s (%s) and %s (%s) overlap at 0x%llx", before->what, name_of(before),
			    e->what, name_of(e), e->gpa);
			return -EEXIST;
		}
		if (i && before->rank != e->rank &&
		    page_of(before->gpa + (before->len - 1)) == page_of(e->gpa)) {
			err("%s (%s) and %s (%s) share the page at 0x%llx, and count apart",
			    before->what, name_of(before), e->what, name_of(e), page_of(e->gpa));
			return -EEXIST;
		}
	}
	return 0;
}

/* Loading */

static int read_failed(const struct boot_entry *e, int error)
{
	if (error == -ENODATA)
		return boot_image_error(e->image, e->what, error,
					e->image->packed ? "it is shorter than its headers say "
							   "(truncated?)"
							 : BOOT_IMAGE_SHORTER);
	return boot_image_error(e->image, e->what, error, "cannot load %llu bytes at %#llx: %s",
				e->len, e->gpa, strerror(-error));
}

static int map_failed(const struct boot_entry *e, int error)
{
	return boot_image_error(e->image, e->what, error, "cannot map it at %#llx: %s", e->gpa,
				strerror(-error));
}

/* Made once: no guest can write to it, so a reset finds it as it was. */
static int load_rom(const struct boot_entry *e, struct guest_memory *mem)
{
	const struct memory_region *rom = memory_find(mem, e->gpa);
	int ret;

	if (rom && rom->kind == MEM_ROM && rom->gpa == e->gpa && rom->size == e->len)
		return 0;
	ret = rom ? -EEXIST
		  : memory_add(mem, &(struct memory_desc){ .gpa = e->gpa,
							   .size = e->len,
							   .kind = MEM_ROM,
							   .name = "firmware" });
	if (ret)
		return map_failed(e, ret);
	rom = memory_find(mem, e->gpa);
	ret = rom ? boot_image_read(e->image, e->offset, rom->hva, e->len) : -EFAULT;
	return ret ? read_failed(e, ret) : 0;
}

static int load_entry(const struct boot_entry *e, struct guest_memory *mem)
{
	int ret;

	if (e->kind == BOOT_ZERO) {
		memory_expect_few(mem, e->gpa, e->len);
		return 0;
	}
	if (e->bytes) {
		ret = memory_write(mem, e->gpa, e->bytes, e->len);
		if (ret)
			err("cannot write the %s to %#llx: %s", e->what, e->gpa, strerror(-ret));
		return ret;
	}
	if (e->rom)
		return load_rom(e, mem);
	memory_expect(mem, e->gpa, e->len);
	ret = boot_image_load(e->image, e->offset, mem, e->gpa, e->len);
	return ret ? read_failed(e, ret) : 0;
}

int boot_plan_load(const struct boot_plan *plan, struct guest_memory *mem)
{
	int ret = 0;

	for (u32 i = 0; i < plan->nr_entries && !ret; i++)
		ret = load_entry(&plan->entries[i], mem);
	return ret;
}

/* Page runs */

/* The pages of entry @i that no entry before it touches. */
static struct boot_run pages_of(const struct boot_plan *plan, u32 i, u64 taken)
{
	const struct boot_entry *e = &plan->entries[i];
	u64 last = e->gpa + (e->len - 1);
	u64 start = MAX(ALIGN_DOWN(e->gpa, BOOT_PAGE), taken);
	u64 end = ALIGN_DOWN(last, BOOT_PAGE) + BOOT_PAGE;

	/* Zeroes need no page that somebody else is in. */
	if (e->kind == BOOT_ZERO && i + 1 < plan->nr_entries && plan->entries[i + 1].gpa < end)
		end = ALIGN_DOWN(plan->entries[i + 1].gpa, BOOT_PAGE);
	return (struct boot_run){ start, end > start ? end - start : 0, e->kind, e->measured,
				  e->rank };
}

/* The next run of rank @rank from @taken on; its len is 0: there is none. */
static void next_of_rank(const struct boot_plan *plan, struct boot_run *run, u8 rank, u64 taken)
{
	run->len = 0;
	for (u32 i = 0; i < plan->nr_entries; i++) {
		struct boot_run more = pages_of(plan, i, taken);

		if (!more.len || more.rank != rank)
			continue;
		if (!run->len)
			*run = more;
		else if (more.gpa == taken && more.kind == run->kind &&
			 more.measured == run->measured)
			run->len += more.len;
		else
			break;
		taken = run->gpa + run->len;
	}
}

/* The lowest rank above @rank; -1: there is none. */
static int rank_above(const struct boot_plan *plan, int rank)
{
	int found = -1;

	for (u32 i = 0; i < plan->nr_entries; i++)
		if (plan->entries[i].rank > rank && (found < 0 || plan->entries[i].rank < found))
			found = plan->entries[i].rank;
	return found;
}

bool boot_plan_next(const struct boot_plan *plan, struct boot_run *run)
{
	u64 taken = run->len ? run->gpa + run->len : 0;
	int rank = run->len ? run->rank : rank_above(plan, -1);

	next_of_rank(plan, run, (u8)rank, taken);
	while (!run->len && (rank = rank_above(plan, rank)) >= 0)
		next_of_rank(plan, run, (u8)rank, 0);
	return run->len;
}

int boot_plan_read(const struct boot_plan *plan, u64 gpa, void *buf, u64 len)
{
	memset(buf, 0, len);
	for (u32 i = 0; i < plan->nr_entries; i++) {
		const struct boot_entry *e = &plan->entries[i];
		u64 from = MAX(gpa, e->gpa), to = MIN(gpa + len, e->gpa + e->len);
		u8 *out = (u8 *)buf + (from - gpa);
		int ret = 0;

		if (from >= to || e->kind == BOOT_ZERO)
			continue;
		if (e->bytes)
			memcpy(out, e->bytes + (from - e->gpa), to - from);
		else
			ret = boot_image_read(e->image, e->offset + (from - e->gpa), out,
					      to - from);
		if (ret)
			return read_failed(e, ret);
	}
	return 0;
}

const char *boot_kind_name(enum boot_kind kind)
{
	static const char *const names[] = {
		[BOOT_KERNEL] = "kernel",   [BOOT_FIRMWARE] = "firmware", [BOOT_INITRD] = "initrd",
		[BOOT_TABLES] = "tables",   [BOOT_STUB] = "stub",	  [BOOT_CPUID] = "cpuid",
		[BOOT_SECRETS] = "secrets", [BOOT_ZERO] = "zero",
	};

	return names[kind];
}
