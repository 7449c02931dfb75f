/* SPDX-License-Identifier: MIT */
/* What sysfs says of a device that is to be opened (Linux Documentation/ABI/testing/sysfs-devices-
 * vfio-dev and sysfs-kernel-iommu_groups). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "attr.h"
#include "iommu.h"
#include "lkvm/util.h"

int vfio_sysfs_link(const struct vfio_set *set, const struct vfio_device *dev, const char *name,
		    char *out, size_t size)
{
	return vfio_attr_link(set->host->root, dev->name.sysfs, name, out, size);
}

/* What is looked for, and where it goes. */
struct entry {
	const char *start;
	char *out;
	size_t size;
};

static int take_entry(void *opaque, const char *name)
{
	const struct entry *e = opaque;

	if (strncmp(name, e->start, strlen(e->start)) || strlen(name) >= e->size)
		return 0;
	strcpy(e->out, name);
	return 1;
}

int vfio_sysfs_entry(const struct vfio_set *set, const struct vfio_device *dev, const char *name,
		     const char *start, char *out, size_t size)
{
	struct entry e = { .start = start, .out = out, .size = size };
	char dir[sizeof(dev->name.sysfs) + 32];
	int n = snprintf(dir, sizeof(dir), "%s/%s", dev->name.sysfs, name);

	if (n < 0 || (size_t)n >= sizeof(dir))
		return -ENAMETOOLONG;
	return vfio_attr_each(set->host->root, dir, take_entry, &e) ? 0 : -ENOENT;
}

int vfio_sysfs_group(const struct vfio_set *set, const struct vfio_device *dev, u32 *number)
{
	char name[32];
	u64 n;
	int ret = vfio_sysfs_link(set, dev, "iommu_group", name, sizeof(name));

	if (ret)
		return ret;
	ret = parse_u64(name, &n);
	if (ret || n > UINT32_MAX)
		return -EINVAL;
	*number = (u32)n;
	return 0;
}
