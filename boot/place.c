/* SPDX-License-Identifier: MIT */
/*
 * Where things go in the one RAM of a machine with a device tree. Tree and initrds lie where
 * kvmtool has them: down from the end of the first window, or of RAM where they do not fit there.
 */
#include "lkvm/boot-fdt.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

void boot_place_ram(struct boot_place *p, const struct guest_memory *mem)
{
	p->ram_end = memory_ram_end(mem, p->ram);
}

int boot_place_check(const struct boot_place *p, u64 base, u64 size)
{
	char need[32], have[32];
	u64 end;

	if (base < p->ram || __builtin_add_overflow(base, size, &end))
		return boot_place_error(
			p, -EINVAL,
			"it must be loaded at %#llx (%#llx bytes), which can never be guest memory",
			base, size);
	if (end > p->ram_end)
		return boot_place_error(
			p, -ENOMEM,
			"it needs at least %s of memory and the guest has %s; increase --mem",
			format_size(ALIGN_UP(end - p->ram, MiB), need, sizeof(need)),
			format_size(p->ram_end - p->ram, have, sizeof(have)));
	return 0;
}

int boot_place_raw(struct boot_place *p, struct boot_plan *plan, enum boot_kind kind, u64 base,
		   u64 size)
{
	int ret = boot_place_check(p, base, size);

	if (ret)
		return ret;
	/* The whole image: it reaches so far. */
	ret = boot_plan_add_image(plan, kind, p->what, base, p->image, 0, p->image->size);
	if (ret)
		return ret;
	p->entry = base;
	p->low = base;
	p->high = base + size;
	return 0;
}

/* Device tree and initrds down from @top, above all that the image takes. */
static bool place_below(struct boot_place *p, const struct boot_place_rules *rules, u64 top)
{
	u64 fdt, initrd;

	if (top < p->ram + rules->fdt_max)
		return false;
	fdt = ALIGN_DOWN(top - rules->fdt_max, rules->fdt_align);
	if (fdt < p->high || fdt - p->high < p->initrd_size)
		return false;
	initrd = ALIGN_DOWN(fdt - p->initrd_size, 4 * KiB);
	if (initrd < p->high)
		return false;
	p->fdt = fdt;
	p->initrd = initrd;
	return true;
}

int boot_place_rest(struct boot_place *p, const struct boot *boot,
		    const struct boot_place_rules *rules)
{
	u64 size = p->ram_end - p->ram;
	char need[32], have[32];
	int ret;

	ret = boot_initrd_size(boot, &p->initrd_size);
	if (ret)
		return ret;
	for (size_t i = 0; i < ARRAY_SIZE(rules->windows); i++)
		if (place_below(p, rules, p->ram + MIN(size, rules->windows[i])))
			return 0;
	err("%s: does not fit: %s with its initrds (%s) and the device tree needs more than the "
	    "guest's %s of memory; increase --mem",
	    p->initrd_size ? "--initrd" : "device tree", p->what,
	    format_size(ALIGN_UP(p->initrd_size, 4 * KiB), need, sizeof(need)),
	    format_size(size, have, sizeof(have)));
	return -ENOMEM;
}
