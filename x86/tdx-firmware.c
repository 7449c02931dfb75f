/* SPDX-License-Identifier: MIT */
/*
 * Firmware with TDX metadata: its sections in the order of its table, which is the order in which
 * they are measured (each has a rank of its own), and the TD HOB. td-shim also takes a bzImage and
 * its command line.
 */
#include "tdx-firmware.h"

#include <stdlib.h>

#include "boot.h"
#include "lkvm/aml.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "tdx-hob.h"
#include "tdx.h"

/* Code and variables may lie in so much below 4 GiB, where no RAM is. */
#define ROM_START (X86_HOLE_END - X86_ROM_MAX)

struct firmware {
	struct x86_boot *b;
	struct vm *vm;
	struct tdvf tdvf;
};

static bool is_ram(const struct firmware *f, const struct tdvf_section *s)
{
	return memory_holds_ram(f->b->mem, s->gpa, s->size);
}

static bool is_added(const struct tdvf_section *s)
{
	return s->type <= TDVF_PAYLOAD_PARAM && !(s->attributes & TDVF_AUG);
}

static const struct tdvf_section *find_section(const struct firmware *f, u32 type)
{
	for (u32 i = 0; i < f->tdvf.count; i++)
		if (f->tdvf.sections[i].type == type)
			return &f->tdvf.sections[i];
	return NULL;
}

/* It is given one with -k, rather than in its file. */
static bool starts_kernel(const struct tdvf_section *payload)
{
	return payload && is_added(payload) && !payload->raw;
}

/* The TD HOB */

static int by_gpa(const void *a, const void *b)
{
	const struct tdvf_section *x = a, *y = b;

	return (x->gpa > y->gpa) - (x->gpa < y->gpa);
}

/* [start, end): what sections are in is the TD's already, the rest is to be accepted. */
static void add_memory(struct x86_hobs *h, u64 start, u64 end, const struct tdvf *sorted)
{
	for (u32 i = 0; i < sorted->count; i++) {
		const struct tdvf_section *s = &sorted->sections[i];
		u64 to = s->gpa + s->size;

		if (!is_added(s) || to <= start || s->gpa >= end)
			continue;
		if (s->gpa > start)
			x86_hobs_add_memory(h, HOB_UNACCEPTED_MEMORY, start, s->gpa - start);
		start = MAX(start, s->gpa);
		x86_hobs_add_memory(h, HOB_SYSTEM_MEMORY, start, MIN(to, end) - start);
		start = MIN(to, end);
	}
	if (start < end)
		x86_hobs_add_memory(h, HOB_UNACCEPTED_MEMORY, start, end - start);
}

/* td-shim makes of these, and of a table of its own with the mailbox, what the kernel finds. */
static void add_acpi(struct x86_hobs *h, struct vm *vm)
{
	size_t starts[X86_ACPI_MAX_TABLES + 1];
	struct aml tables;
	u32 count;

	aml_init(&tables);
	count = x86_acpi_tables(&tables, vm, starts);
	for (u32 i = 0; i < count; i++)
		x86_hobs_add_acpi(h, tables.data + starts[i],
				  get_le(tables.data + starts[i] + 4, 4));
	aml_free(&tables);
}

static int fill_hob(const struct firmware *f, const struct tdvf_section *s, u8 *bytes)
{
	const struct tdvf_section *payload = find_section(f, TDVF_PAYLOAD);
	struct x86_hobs h = { .bytes = bytes, .gpa = s->gpa, .size = s->size };
	const struct guest_memory *mem = f->b->mem;
	struct tdvf sorted = f->tdvf;

	qsort(sorted.sections, sorted.count, sizeof(sorted.sections[0]), by_gpa);
	x86_hobs_begin(&h);
	add_memory(&h, 0, memory_ram_end(mem, 0), &sorted);
	add_memory(&h, X86_HOLE_END, memory_ram_end(mem, X86_HOLE_END), &sorted);
	if (starts_kernel(payload)) {
		x86_hobs_add_bzimage(&h, payload->gpa);
		add_acpi(&h, f->vm);
	}
	if (x86_hobs_end(&h))
		return boot_error(
			f->b, -ENOSPC,
			"the description of this machine does not fit into the %llu bytes "
			"that its TDX metadata leave for it; use fewer vcpus or devices",
			s->size);
	return 0;
}

/* Sections */

static struct boot_entry entry_of(const struct firmware *f, const struct tdvf_section *s)
{
	static const char *const names[] = {
		[TDVF_BFV] = "firmware code",
		[TDVF_CFV] = "firmware variables",
		[TDVF_TD_HOB] = "TD HOB",
		[TDVF_TEMP_MEM] = "firmware memory",
		[TDVF_PERM_MEM] = "firmware memory",
		[TDVF_PAYLOAD] = "kernel",
		[TDVF_PAYLOAD_PARAM] = "command line",
	};

	return (struct boot_entry){
		.gpa = s->gpa,
		.len = s->size,
		.kind = s->type == TDVF_TD_HOB || s->type == TDVF_PAYLOAD_PARAM ? BOOT_TABLES
			: s->type == TDVF_PAYLOAD				? BOOT_KERNEL
										: BOOT_FIRMWARE,
		.measured = s->attributes & TDVF_EXTEND,
		.rom = !is_ram(f, s),
		.what = names[s->type],
	};
}

/* The kernel where the firmware wants it; what is behind it in the section is zero. */
static int add_kernel(const struct firmware *f, const struct tdvf_section *s)
{
	const struct boot_image *kernel = &f->b->boot->kernel;
	struct boot_entry e = entry_of(f, s);
	u64 size;

	if (boot_image_measure(kernel, &size) || !bzimage_probe(kernel))
		return boot_image_error(kernel, "kernel", -ENOEXEC,
					"not a bzImage, which this firmware wants");
	if (size > s->size)
		return boot_image_error(kernel, "kernel", -E2BIG,
					"%llu bytes are more than the %llu that the firmware has "
					"room for",
					size, s->size);
	e.image = kernel;
	e.len = size;
	boot_plan_add_entry(f->b->plan, &e);
	e.gpa += size;
	e.len = s->size - size;
	e.image = NULL;
	e.kind = BOOT_ZERO;
	if (e.len)
		boot_plan_add_entry(f->b->plan, &e);
	return 0;
}

static int add_words(const struct firmware *f, const struct tdvf_section *s, u8 *bytes)
{
	const char *words = f->b->cmdline ? f->b->cmdline : "";
	size_t len = strlen(words);

	if (len >= s->size)
		return boot_error(f->b, -E2BIG,
				  "the command line has %zu characters; the maximum here is %llu: "
				  "shorten --params",
				  len, s->size - 1);
	memcpy(bytes, words, len);
	return 0;
}

/* What the section has from the start beside zeroes. */
static int fill(const struct firmware *f, const struct tdvf_section *s, u8 *bytes)
{
	int ret;

	if (s->type == TDVF_TD_HOB)
		return fill_hob(f, s, bytes);
	if (s->type == TDVF_PAYLOAD_PARAM && !s->raw)
		return add_words(f, s, bytes);
	ret = s->raw ? boot_image_read(f->b->image, s->offset, bytes, s->raw) : 0;
	return ret ? place_error(f->b, ret) : 0;
}

static int add_section(const struct firmware *f, const struct tdvf_section *s)
{
	struct boot_entry e = entry_of(f, s);
	bool has_bytes = s->raw || s->type == TDVF_TD_HOB || s->type == TDVF_PAYLOAD_PARAM;
	int ret;

	if (s->type == TDVF_PAYLOAD && !s->raw)
		return add_kernel(f, s);
	if (e.rom && s->gpa < ROM_START)
		return boot_error(f->b, -ENOMEM,
				  "its TDX metadata want %#llx bytes at %#llx, where the guest has "
				  "no memory; increase --mem",
				  s->size, s->gpa);
	if (!has_bytes && !e.rom) {
		e.kind = BOOT_ZERO;
		boot_plan_add_entry(f->b->plan, &e);
		return 0;
	}
	e.bytes = xcalloc(1, s->size);
	ret = fill(f, s, e.bytes);
	if (ret)
		free(e.bytes);
	else
		boot_plan_add_entry(f->b->plan, &e);
	return ret;
}

/* Is all there that the firmware is to start, and nothing that it does not? */
static int check_kernel(const struct firmware *f)
{
	const struct boot *boot = f->b->boot;
	bool wants = starts_kernel(find_section(f, TDVF_PAYLOAD));
	const struct tdvf_section *words = find_section(f, TDVF_PAYLOAD_PARAM);

	if (wants && !boot->kernel.path)
		return boot_error(f->b, -EINVAL, "it starts a kernel, and there is none; add -k");
	if (!wants && boot->kernel.path)
		return boot_error(f->b, -EINVAL,
				  "it cannot be given a kernel (its TDX metadata have no place for "
				  "one); omit -k");
	if (!(words && is_added(words)) && f->b->cmdline && *f->b->cmdline)
		return boot_error(
			f->b, -EINVAL,
			"it cannot be given a command line (its TDX metadata have no place "
			"for one); omit --params");
	if (boot->nr_initrds)
		return boot_error(f->b, -EINVAL,
				  "it cannot be given an initrd; omit -i, or omit -f: lkvm starts "
				  "kernels itself");
	return 0;
}

int x86_tdx_plan_firmware(struct x86_boot *b, struct vm *vm, u64 *hob)
{
	struct firmware f = { .b = b, .vm = vm };
	const char *why;
	int ret;

	b->image = boot_first_image(b->boot, &b->what);
	if (!b->image)
		return -EINVAL;
	ret = tdvf_parse(b->image, &f.tdvf, &why);
	if (ret == -ENOENT)
		return boot_error(b, -ENOEXEC,
				  "it has no TDX metadata, so it is not for trust domains; use an "
				  "OVMF or a td-shim that is, or start a kernel with -k alone");
	if (ret)
		return boot_error(b, ret == -EBADMSG ? -ENOEXEC : ret, "its TDX metadata: %s", why);
	ret = check_kernel(&f);
	for (u32 i = 0; i < f.tdvf.count && !ret; i++) {
		b->plan->rank = (u8)i;
		if (is_added(&f.tdvf.sections[i]))
			ret = add_section(&f, &f.tdvf.sections[i]);
	}
	b->plan->rank = 0;
	*hob = find_section(&f, TDVF_TD_HOB)->gpa;
	b->entry = (struct x86_entry){ .mode = X86_ENTRY_RESET };
	return ret;
}
