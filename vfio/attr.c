/* SPDX-License-Identifier: MIT */
/* Files of sysfs (see attr.h). */
#include "attr.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lkvm/util.h"

/* One that is too long names nothing. */
static const char *path_of(char *path, const char *root, const char *dir, const char *name)
{
	int n = snprintf(path, PATH_MAX, "%s%s%s%s", root, dir, *name ? "/" : "", name);

	if (n < 0 || n >= PATH_MAX)
		*path = '\0';
	return path;
}

int vfio_attr_read(const char *root, const char *dir, const char *name, char *buf, size_t size)
{
	char path[PATH_MAX];
	int fd = open(path_of(path, root, dir, name), O_RDONLY | O_CLOEXEC);
	ssize_t n;

	*buf = '\0';
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		n = -errno;
	close(fd);
	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return n < 0 ? (int)n : 0;
}

u64 vfio_attr_number(const char *root, const char *dir, const char *name, u64 other)
{
	char line[32];
	u64 n;

	if (vfio_attr_read(root, dir, name, line, sizeof(line)) || parse_u64(line, &n))
		return other;
	return n;
}

/* Part @back of where a link leads, from 0 at its end. */
static int link_part(const char *root, const char *dir, const char *name, u32 back, char *buf,
		     size_t size)
{
	char path[PATH_MAX], to[PATH_MAX], *slash = NULL;
	ssize_t n = readlink(path_of(path, root, dir, name), to, sizeof(to) - 1);
	const char *part;

	*buf = '\0';
	if (n < 0)
		return -errno;
	to[n] = '\0';
	for (u32 i = 0; i < back; i++) {
		slash = strrchr(to, '/');
		if (!slash)
			return -ENOENT;
		*slash = '\0';
	}
	slash = strrchr(to, '/');
	part = slash ? slash + 1 : to;
	if (strlen(part) >= size)
		return -ENAMETOOLONG;
	snprintf(buf, size, "%s", part);
	return 0;
}

int vfio_attr_link(const char *root, const char *dir, const char *name, char *buf, size_t size)
{
	return link_part(root, dir, name, 0, buf, size);
}

int vfio_attr_above(const char *root, const char *dir, const char *name, char *buf, size_t size)
{
	return link_part(root, dir, name, 1, buf, size);
}

bool vfio_attr_exists(const char *root, const char *dir, const char *name)
{
	char path[PATH_MAX];

	return !access(path_of(path, root, dir, name), F_OK);
}

int vfio_attr_each(const char *root, const char *dir, int (*fn)(void *opaque, const char *entry),
		   void *opaque)
{
	char path[PATH_MAX];
	DIR *d = opendir(path_of(path, root, dir, ""));
	const struct dirent *e;
	int ret = 0;

	if (!d)
		return 0;
	while (!ret && (e = readdir(d)))
		if (e->d_name[0] != '.')
			ret = fn(opaque, e->d_name);
	closedir(d);
	return ret;
}

int vfio_attr_group(const char *root, const char *sysfs, u32 *number)
{
	char name[32];
	u64 n;
	int ret = vfio_attr_link(root, sysfs, "iommu_group", name, sizeof(name));

	if (ret)
		return ret;
	if (parse_u64(name, &n) || n > UINT32_MAX)
		return -EINVAL;
	*number = (u32)n;
	return 0;
}
