/* SPDX-License-Identifier: MIT */
/* What sysfs says of a device that is to be opened (Linux Documentation/ABI/testing/sysfs-devices-
 * vfio-dev and sysfs-kernel-iommu_groups). */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "iommu.h"
#include "lkvm/util.h"

static void path_of(const struct vfio_set *set, const struct vfio_device *dev, const char *name,
		    char *path)
{
	snprintf(path, PATH_MAX, "%s%s/%s", set->host->root, dev->name.sysfs, name);
}

int vfio_sysfs_link(const struct vfio_set *set, const struct vfio_device *dev, const char *name,
		    char *out, size_t size)
{
	char path[PATH_MAX], to[PATH_MAX];
	const char *last;
	ssize_t n;

	path_of(set, dev, name, path);
	n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return -errno;
	to[n] = '\0';
	last = strrchr(to, '/');
	last = last ? last + 1 : to;
	if (strlen(last) >= size)
		return -ENAMETOOLONG;
	snprintf(out, size, "%s", last);
	return 0;
}

int vfio_sysfs_entry(const struct vfio_set *set, const struct vfio_device *dev, const char *name,
		     const char *start, char *out, size_t size)
{
	char path[PATH_MAX];
	struct dirent *d;
	int ret = -ENOENT;
	DIR *dir;

	path_of(set, dev, name, path);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (ret && (d = readdir(dir))) {
		if (strncmp(d->d_name, start, strlen(start)) || strlen(d->d_name) >= size)
			continue;
		snprintf(out, size, "%s", d->d_name);
		ret = 0;
	}
	closedir(dir);
	return ret;
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
