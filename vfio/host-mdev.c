/* SPDX-License-Identifier: MIT */
/* Mediated devices of the host, and the types that drivers offer (Linux
 * Documentation/driver-api/vfio-mediated-device.rst). */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attr.h"
#include "lkvm/util.h"
#include "lkvm/vfio-host.h"
#include "lkvm/vfio.h"

#define MDEVS	"/sys/bus/mdev/devices"
#define PARENTS "/sys/class/mdev_bus"

/* Of one walk. */
struct walk {
	const char *root;
	struct host_mdevs *out;
	const char *parent; /* whose types these are */
};

/* Room for one more in a list whose room is a power of two. */
static void *grow(void *list, u32 nr, size_t size)
{
	if (nr & (nr - 1))
		return list;
	return xrealloc(list, (2 * (size_t)nr + 1) * size);
}

/* The folder of the parent, in which the device is. */
static void read_parent(const char *root, struct host_mdev *mdev, const char *sysfs)
{
	char *path = xasprintf("%s%s", root, sysfs), to[PATH_MAX], *last;
	ssize_t n = readlink(path, to, sizeof(to) - 1);

	free(path);
	to[n > 0 ? n : 0] = '\0';
	last = strrchr(to, '/');
	if (!last)
		return;
	*last = '\0';
	last = strrchr(to, '/');
	if (last)
		snprintf(mdev->parent, sizeof(mdev->parent), "%.63s", last + 1);
}

static int add_mdev(void *opaque, const char *entry)
{
	const struct walk *walk = opaque;
	struct host_mdevs *out = walk->out;
	struct vfio_name name;
	struct host_mdev *mdev;

	if (strchr(entry, '/') || vfio_name_parse(entry, &name) || name.bus != VFIO_BUS_MDEV)
		return 0;
	out->mdevs = grow(out->mdevs, out->nr, sizeof(*out->mdevs));
	mdev = &out->mdevs[out->nr++];
	*mdev = (struct host_mdev){ 0 };
	strcpy(mdev->uuid, name.id);
	strcpy(mdev->sysfs, name.sysfs);
	read_parent(walk->root, mdev, name.sysfs);
	vfio_attr_link(walk->root, name.sysfs, "mdev_type", mdev->type, sizeof(mdev->type));
	vfio_attr_link(walk->root, name.sysfs, "driver", mdev->driver, sizeof(mdev->driver));
	if (vfio_attr_group(walk->root, name.sysfs, &mdev->group))
		mdev->group = HOST_PCI_NONE;
	text_mask(mdev->parent);
	text_mask(mdev->type);
	text_mask(mdev->driver);
	return 0;
}

static int add_type(void *opaque, const char *entry)
{
	const struct walk *walk = opaque;
	struct host_mdevs *out = walk->out;
	struct host_mdev_type *type;
	char *dir;

	if (strlen(entry) >= sizeof(type->type) || strlen(walk->parent) >= sizeof(type->parent))
		return 0;
	out->types = grow(out->types, out->nr_types, sizeof(*out->types));
	type = &out->types[out->nr_types++];
	*type = (struct host_mdev_type){ 0 };
	strcpy(type->parent, walk->parent);
	strcpy(type->type, entry);
	dir = xasprintf(PARENTS "/%s/mdev_supported_types/%s", walk->parent, entry);
	(void)vfio_attr_read(walk->root, dir, "name", type->name, sizeof(type->name));
	(void)vfio_attr_read(walk->root, dir, "device_api", type->api, sizeof(type->api));
	type->available = (u32)vfio_attr_number(walk->root, dir, "available_instances", 0);
	free(dir);
	text_mask(type->parent);
	text_mask(type->type);
	text_mask(type->name);
	text_mask(type->api);
	return 0;
}

static int add_parent(void *opaque, const char *entry)
{
	struct walk *walk = opaque;
	char *dir = xasprintf(PARENTS "/%s/mdev_supported_types", entry);

	walk->parent = entry;
	(void)vfio_attr_each(walk->root, dir, add_type, walk);
	free(dir);
	return 0;
}

static int compare_mdevs(const void *a, const void *b)
{
	const struct host_mdev *x = a, *y = b;

	return strcmp(x->uuid, y->uuid);
}

static int compare_types(const void *a, const void *b)
{
	const struct host_mdev_type *x = a, *y = b;
	int order = strcmp(x->parent, y->parent);

	return order ? order : strcmp(x->type, y->type);
}

void host_mdevs_read(const char *root, struct host_mdevs *out)
{
	struct walk walk = { .root = root, .out = out };

	*out = (struct host_mdevs){ 0 };
	(void)vfio_attr_each(root, MDEVS, add_mdev, &walk);
	(void)vfio_attr_each(root, PARENTS, add_parent, &walk);
	if (out->nr)
		qsort(out->mdevs, out->nr, sizeof(*out->mdevs), compare_mdevs);
	if (out->nr_types)
		qsort(out->types, out->nr_types, sizeof(*out->types), compare_types);
}

void host_mdevs_free(struct host_mdevs *mdevs)
{
	free(mdevs->mdevs);
	free(mdevs->types);
	*mdevs = (struct host_mdevs){ 0 };
}
