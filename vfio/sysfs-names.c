/* SPDX-License-Identifier: MIT */
/* What sysfs says of a device that is to be opened (Linux Documentation/ABI/testing/sysfs-kernel-
 * iommu_groups). */
#include <errno.h>
#include <stdio.h>

#include "attr.h"
#include "iommu.h"
#include "lkvm/util.h"

int vfio_sysfs_link(const struct vfio_set *set, const struct vfio_device *dev, const char *name,
		    char *out, size_t size)
{
	return vfio_attr_link(set->host->root, dev->name.sysfs, name, out, size);
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
