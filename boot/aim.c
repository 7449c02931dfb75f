/* SPDX-License-Identifier: MIT */
/*
 * A compressed kernel on its way into guest memory. It is unpacked once for each loading: where its
 * parts belong is told before anything behind its head is read, so what else must be known of it
 * (notes, its size) comes along, or is found in guest memory.
 */
#include "lkvm/arch.h"
#include "lkvm/boot.h"
#include "lkvm/log.h"
#include "lkvm/plan.h"
#include "stream.h"

int boot_begin(struct boot *boot, const struct vm_config *cfg, struct guest_memory *mem)
{
	struct boot_image *img = &boot->kernel;
	u64 base;

	if (!img->stream)
		return 0;
	if (!arch_image_base(cfg, img, &base)) {
		/* What an ELF file's end is matters to nobody. */
		if (elf_aim(img, mem))
			return 0;
	} else {
		const struct memory_region *r = mem ? memory_find(mem, base) : NULL;

		if (r)
			boot_image_aim(img, 0, r->size - (base - r->gpa), mem, base);
	}
	if (boot_image_measure(img, &img->size))
		return boot_image_error(img, "kernel", -EIO, "cannot decompress");
	return 0;
}

/* Does the list have all of the aim where it is, as far as the contents reach? */
static bool is_listed(const struct boot_plan *plan, const struct boot_image *img,
		      const struct stream_aim *aim)
{
	u64 len = img->size > aim->offset ? MIN(img->size - aim->offset, aim->len) : 0;

	for (u32 i = 0; i < plan->nr_entries; i++) {
		const struct boot_entry *e = &plan->entries[i];

		if (e->image == img && e->gpa - e->offset == aim->gpa - aim->offset &&
		    range_within(aim->offset, len, e->offset, e->len))
			return true;
	}
	return !len;
}

void boot_settle(struct boot *boot, const struct boot_plan *plan, struct guest_memory *mem)
{
	const struct boot_image *img = &boot->kernel;
	const struct stream_aim *aim;

	for (u32 i = 0; img->stream && (aim = stream_aim_get(img->stream, i));) {
		if (aim->owned || is_listed(plan, img, aim)) {
			i++;
			continue;
		}
		/* It was written there: it is RAM. */
		(void)!memory_zero(mem, aim->gpa, aim->done);
		stream_aim_drop(img->stream, i);
	}
}

int boot_end(struct boot *boot, int ret)
{
	struct boot_image *img = &boot->kernel;

	if (!ret && img->stream && stream_check_rest(img->stream))
		ret = boot_image_error(img, "kernel", -EIO, "cannot decompress");
	boot_image_rest(&boot->kernel);
	boot_image_rest(&boot->firmware);
	for (u32 i = 0; i < boot->nr_initrds; i++)
		boot_image_rest(&boot->initrds[i]);
	log_progress_end();
	return ret;
}
