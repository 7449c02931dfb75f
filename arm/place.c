/* SPDX-License-Identifier: MIT */
/* What all image formats share: where images may lie, and how they get there. */
#include "boot.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

int arm_place_check(const struct arm_boot *b, u64 base, u64 size)
{
	char need[32], have[32];
	u64 end;

	if (base < ARM_RAM || __builtin_add_overflow(base, size, &end))
		return boot_error(b, -EINVAL,
				  "it wants to be at %#llx (%#llx bytes), which can never be "
				  "memory of the guest",
				  base, size);
	if (end > b->ram_end)
		return boot_error(
			b, -ENOMEM,
			"it needs at least %s of memory and the guest has %s; give more with -m",
			format_size(ALIGN_UP(end - ARM_RAM, MiB), need, sizeof(need)),
			format_size(b->ram_end - ARM_RAM, have, sizeof(have)));
	return 0;
}

int arm_place_raw(struct arm_boot *b, u64 base, u64 size)
{
	int ret = arm_place_check(b, base, size);
	enum boot_kind kind;

	if (ret)
		return ret;
	/* The whole image: it reaches so far. */
	kind = b->boot->firmware.path ? BOOT_FIRMWARE : BOOT_KERNEL;
	ret = boot_plan_add_image(b->plan, kind, b->what, base, b->image, 0, b->image->size);
	if (ret)
		return ret;
	b->entry = base;
	b->low = base;
	b->high = base + size;
	return 0;
}
