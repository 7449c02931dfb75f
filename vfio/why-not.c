/* SPDX-License-Identifier: MIT */
/*
 * Why VFIO does not give a device away, and the remedy, as sysfs tells it. What must be so: the
 * device is in an IOMMU group, a driver of VFIO's has it, and no driver of the host's has another
 * one of the group (Linux Documentation/driver-api/vfio.rst, "Groups, Devices, and IOMMUs").
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attr.h"
#include "lkvm/util.h"
#include "lkvm/vfio-bind.h"

#define MAX_NAMED 6 /* of a group, in one line */

bool vfio_is_bridge(const char *root, const char *sysfs)
{
	/* PCI Code and ID Assignment 1.11, 1.7: PCI-to-PCI, semi-transparent or not. */
	u64 class = vfio_attr_number(root, sysfs, "class", 0) >> 8;

	return class == 0x0604 || class == 0x0609;
}

bool vfio_is_vfio_driver(const char *driver)
{
	/* vfio-pci, vfio_mdev, mlx5_vfio_pci, ...: there is no better mark on all kernels. */
	return strstr(driver, "vfio") != NULL;
}

bool vfio_driver_is_harmless(const char *driver)
{
	/* Those that leave DMA to whoever else owns it (driver_managed_dma in Linux). */
	return !*driver || vfio_is_vfio_driver(driver) || !strcmp(driver, "pci-stub") ||
	       !strcmp(driver, "pcieport");
}

/* Nothing like it */

static char *no_device(const struct vfio_name *name)
{
	if (name->bus == VFIO_BUS_MDEV)
		return xstrdup("there is no such mdev; 'lkvm vfio mdev list' shows those that "
			       "there are, 'lkvm vfio mdev create PARENT TYPE' makes one");
	return xstrdup("there is no such device; 'lkvm vfio list' shows those that there are");
}

/* No IOMMU */

static int count(void *opaque, const char *entry)
{
	return 1;
}

/* The word that turns it off, if Linux was booted with one. */
static const char *off_word(const char *root, char *line, size_t size)
{
	static const char *const words[] = { "intel_iommu=off", "amd_iommu=off", "iommu=off" };
	char *rest = line;
	const char *word;

	if (vfio_attr_read(root, "/proc", "cmdline", line, size))
		return NULL;
	while ((word = strsep(&rest, " ")))
		for (u32 i = 0; i < ARRAY_SIZE(words); i++)
			if (!strcmp(word, words[i]))
				return words[i];
	return NULL;
}

char *vfio_no_iommu(const char *root)
{
	char line[4096];
	const char *word = off_word(root, line, sizeof(line));

	if (word)
		return xasprintf("Linux was booted with %s, so there is no IOMMU before it; boot "
				 "without that word",
				 word);
	if (vfio_attr_each(root, "/sys/class/iommu", count, NULL) ||
	    vfio_attr_each(root, "/sys/kernel/iommu_groups", count, NULL))
		return xstrdup("the host's IOMMU does not stand before it (it is in no IOMMU "
			       "group), so it cannot be passed through");
	return xstrdup("the host has no IOMMU, or does not use it: turn it on in the firmware "
		       "(VT-d, AMD-Vi, SMMU), and with intel_iommu=on on the kernel's command line "
		       "where it is Intel's");
}

/* A driver has it, or one of its group */

struct others {
	const char *root;
	const char *id; /* itself */
	char *text;	/* "0000:00:1f.3 (snd_hda_intel), ..." */
	u32 nr;
};

static int add_other(void *opaque, const char *entry)
{
	struct others *o = opaque;
	char dir[PATH_MAX], driver[64];

	snprintf(dir, sizeof(dir), "/sys/bus/pci/devices/%s", entry);
	if (!strcmp(entry, o->id) || vfio_attr_link(o->root, dir, "driver", driver, sizeof(driver)))
		return 0;
	if (vfio_driver_is_harmless(driver))
		return 0;
	if (o->nr++ < MAX_NAMED)
		xappendf(&o->text, "%s%s (%s)", *o->text ? ", " : "", entry, driver);
	return 0;
}

char *vfio_group_others(const char *root, const struct vfio_name *name)
{
	struct others o = { .root = root, .id = name->id, .text = xstrdup("") };
	char group[32], dir[96];

	if (name->bus == VFIO_BUS_PCI &&
	    !vfio_attr_link(root, name->sysfs, "iommu_group", group, sizeof(group))) {
		snprintf(dir, sizeof(dir), "/sys/kernel/iommu_groups/%s/devices", group);
		vfio_attr_each(root, dir, add_other, &o);
	}
	if (o.nr > MAX_NAMED)
		xappendf(&o.text, " and %u more", o.nr - MAX_NAMED);
	if (o.nr)
		return o.text;
	free(o.text);
	return NULL;
}

static char *group_is_used(const char *root, const struct vfio_name *name)
{
	char group[32], *others = vfio_group_others(root, name), *text;

	if (!others)
		return NULL;
	vfio_attr_link(root, name->sysfs, "iommu_group", group, sizeof(group));
	text = xasprintf("drivers of the host have others of its IOMMU group %s: %s; 'lkvm vfio "
			 "bind --group %s' gives all of it to VFIO",
			 group, others, name->id);
	free(others);
	return text;
}

static char *why_not_pci(const char *root, const struct vfio_name *name, const char *driver)
{
	if (vfio_is_bridge(root, name->sysfs))
		return xstrdup("is a bridge; pass the devices behind it through");
	if (!vfio_attr_exists(root, name->sysfs, "iommu_group"))
		return vfio_no_iommu(root);
	if (!*driver)
		return xasprintf("no driver has it; 'lkvm vfio bind %s' gives it to VFIO",
				 name->id);
	if (!vfio_is_vfio_driver(driver))
		return xasprintf("the host's driver %s has it; 'lkvm vfio bind %s' gives it to "
				 "VFIO",
				 driver, name->id);
	return group_is_used(root, name);
}

char *vfio_why_not(const char *root, const struct vfio_name *name)
{
	char driver[64];

	if (!vfio_attr_exists(root, name->sysfs, ""))
		return no_device(name);
	vfio_attr_link(root, name->sysfs, "driver", driver, sizeof(driver));
	if (name->bus == VFIO_BUS_PCI)
		return why_not_pci(root, name, driver);
	if (!*driver)
		return xstrdup("no driver has it: the module that makes such mdevs did not take "
			       "it; the kernel's log says why");
	return NULL;
}
