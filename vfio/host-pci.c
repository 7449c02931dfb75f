/* SPDX-License-Identifier: MIT */
/* All PCI devices of the host, from sysfs. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attr.h"
#include "lkvm/util.h"
#include "lkvm/vfio-host.h"
#include "lkvm/vfio.h"

#define DEVICES "/sys/bus/pci/devices"

static void read_config(const char *root, struct host_pci *dev)
{
	char *path = xasprintf("%s%s/config", root, dev->sysfs);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	free(path);
	if (fd < 0)
		return;
	dev->config = xcalloc(1, HOST_PCI_CONFIG);
	while (n > 0 && dev->config_len < HOST_PCI_CONFIG) {
		n = read(fd, dev->config + dev->config_len, HOST_PCI_CONFIG - dev->config_len);
		if (n > 0)
			dev->config_len += (u32)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	close(fd);
	dev->multifunction = host_pci_config(dev, PCI_HEADER_TYPE, 1) & 0x80;
	dev->exp = host_pci_cap(dev, PCI_CAP_ID_EXP);
	dev->acs = host_pci_ext_cap(dev, PCI_EXT_CAP_ID_ACS);
}

static int add_device(void *opaque, const char *entry)
{
	struct host_pci_tree *tree = opaque;
	struct vfio_name name;
	struct host_pci *dev;
	const char *colon;

	if (strchr(entry, '/') || vfio_name_parse(entry, &name) || name.bus != VFIO_BUS_PCI ||
	    strlen(name.id) >= sizeof(dev->id))
		return 0;
	if (!(tree->nr & (tree->nr - 1)))
		tree->devices = xrealloc(tree->devices,
					 (2 * (size_t)tree->nr + 1) * sizeof(*tree->devices));
	dev = &tree->devices[tree->nr++];
	*dev = (struct host_pci){ .group = HOST_PCI_NONE };
	strcpy(dev->id, name.id);
	snprintf(dev->sysfs, sizeof(dev->sysfs), DEVICES "/%s", dev->id);
	colon = strchr(dev->id, ':');
	dev->domain = (u32)strtoul(dev->id, NULL, 16);
	dev->bus = (u32)strtoul(colon + 1, NULL, 16);
	dev->devfn = (u32)strtoul(colon + 4, NULL, 16) << 3 | (u32)(colon[7] - '0');
	return 0;
}

static u64 place_of(const struct host_pci *dev)
{
	return (u64)dev->domain << 16 | dev->bus << 8 | dev->devfn;
}

static int compare(const void *a, const void *b)
{
	u64 x = place_of(a), y = place_of(b);

	return x < y ? -1 : x > y;
}

u32 host_pci_find(const struct host_pci_tree *tree, const char *id)
{
	for (u32 i = 0; i < tree->nr; i++)
		if (!strcmp(tree->devices[i].id, id))
			return i;
	return HOST_PCI_NONE;
}

/*
 * The device's folder is in that of the bridge above it, and .../devices/ID is a link to it. So the
 * bridge is the last but one of that path, unless that is a root bus.
 */
static u32 find_parent(const char *root, const struct host_pci_tree *tree,
		       const struct host_pci *dev)
{
	char *path = xasprintf("%s%s", root, dev->sysfs), to[PATH_MAX], *last;
	ssize_t n = readlink(path, to, sizeof(to) - 1);

	free(path);
	to[n > 0 ? n : 0] = '\0';
	last = strrchr(to, '/');
	if (!last)
		return HOST_PCI_NONE;
	*last = '\0';
	last = strrchr(to, '/');
	return last ? host_pci_find(tree, last + 1) : HOST_PCI_NONE;
}

static void read_device(const char *root, const struct host_pci_tree *tree, struct host_pci *dev)
{
	char link[40];

	read_config(root, dev);
	/* A virtual function's config space has all ones in their place. */
	dev->vendor = (u32)vfio_attr_number(root, dev->sysfs, "vendor",
					    host_pci_config(dev, PCI_VENDOR_ID, 2)) &
		      0xffff;
	dev->device = (u32)vfio_attr_number(root, dev->sysfs, "device",
					    host_pci_config(dev, PCI_DEVICE_ID, 2)) &
		      0xffff;
	dev->class = (u32)vfio_attr_number(root, dev->sysfs, "class",
					   host_pci_config(dev, PCI_CLASS_REVISION, 4) >> 8) &
		     0xffffff;
	vfio_attr_link(root, dev->sysfs, "driver", dev->driver, sizeof(dev->driver));
	text_mask(dev->driver);
	if (vfio_attr_group(root, dev->sysfs, &dev->group))
		dev->group = HOST_PCI_NONE;
	dev->physfn = HOST_PCI_NONE;
	if (!vfio_attr_link(root, dev->sysfs, "physfn", link, sizeof(link)))
		dev->physfn = host_pci_find(tree, link);
	dev->parent = find_parent(root, tree, dev);
}

/* In sysfs a bridge is above itself never; a made-up tree could say so. */
static void cut_loops(struct host_pci_tree *tree)
{
	for (u32 i = 0; i < tree->nr; i++) {
		u32 at = tree->devices[i].parent, n = 0;

		while (at != HOST_PCI_NONE && at != i && n++ <= tree->nr)
			at = tree->devices[at].parent;
		if (at != HOST_PCI_NONE)
			tree->devices[i].parent = HOST_PCI_NONE;
	}
}

void host_pci_read(const char *root, struct host_pci_tree *out)
{
	*out = (struct host_pci_tree){ 0 };
	(void)vfio_attr_each(root, DEVICES, add_device, out);
	if (out->nr)
		qsort(out->devices, out->nr, sizeof(*out->devices), compare);
	for (u32 i = 0; i < out->nr; i++) {
		read_device(root, out, &out->devices[i]);
		out->blind |= !host_pci_is_known(&out->devices[i]);
	}
	cut_loops(out);
	host_isolation_find(out);
}

void host_pci_free(struct host_pci_tree *tree)
{
	for (u32 i = 0; i < tree->nr; i++)
		free(tree->devices[i].config);
	for (u32 i = 0; i < tree->nr_causes; i++)
		free(tree->causes[i].members);
	free(tree->devices);
	free(tree->causes);
	*tree = (struct host_pci_tree){ 0 };
}
