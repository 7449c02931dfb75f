/* SPDX-License-Identifier: MIT */
/* What all image formats share: where images may lie, and how they get there. */
#include "loader.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

int arm_loader_check(const struct arm_loader *l, u64 base, u64 size)
{
	char need[32], have[32];
	u64 end;

	if (base < ARM_RAM || __builtin_add_overflow(base, size, &end))
		return loader_error(l, -EINVAL,
				    "it wants to be at %#llx (%#llx bytes), which can never be "
				    "memory of the guest",
				    base, size);
	if (end > l->ram_end)
		return loader_error(
			l, -ENOMEM,
			"it needs at least %s of memory and the guest has %s; give more with -m",
			format_size(ALIGN_UP(end - ARM_RAM, MiB), need, sizeof(need)),
			format_size(l->ram_end - ARM_RAM, have, sizeof(have)));
	return 0;
}

int arm_loader_raw(struct arm_loader *l, u64 base, u64 size)
{
	int ret = arm_loader_check(l, base, size);

	if (ret)
		return ret;
	ret = boot_image_load(l->image, 0, l->mem, base, l->image->size);
	if (ret == -ENODATA)
		return loader_error(l, ret,
				    "it is shorter than when it was opened; do not change it "
				    "while the VM runs");
	if (ret)
		return loader_error(l, ret, "cannot load it: %s", strerror(-ret));
	l->entry = base;
	l->low = base;
	l->high = base + size;
	return 0;
}
