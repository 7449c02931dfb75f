/* SPDX-License-Identifier: MIT */
/*
 * Resets of a device that is passed through: before the guest starts, when it reboots, and when it
 * is gone. Nothing of one guest's is to be found by the next.
 *
 * A device without a reset of its own is reset with its bus or slot, and so is all that is there:
 * only when all of it is this machine's. By iommufd the kernel knows; by groups it wants the file
 * of each group as a proof (Linux Documentation/driver-api/vfio.rst,
 * drivers/vfio/pci/vfio_pci_core.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "pci.h"
#include "vfio-abi.h"

/* Functions on one bus. */
#define MAX_DEPENDENT 256U

static int ask(struct vfio_device *dev, unsigned long request, void *arg)
{
	return MIN(dev->calls->ioctl(dev->opaque, dev->fd, request, arg), 0);
}

/* Once: it is the same at each reboot, and at the end. */
static void say_why_not(struct vfio_pci *vp, const char *why)
{
	if (!vp->reset_said)
		warn("--vfio %s: the device is not reset, so what a guest left in it stays there: "
		     "%s",
		     vp->dev->name.id, why);
	vp->reset_said = true;
}

/* Is a device that the bus's reset takes along this machine's? By iommufd the kernel says so of
 * each; by groups it is when its group is. */
static bool is_ours(const struct vfio_pci *vp, const struct vfio_pci_hot_reset_info *info,
		    const struct vfio_pci_dependent_device *d)
{
	if (info->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID)
		return (s32)d->group_id != VFIO_PCI_DEVID_NOT_OWNED;
	return vfio_set_group_fd(vp->dev->set, d->group_id) >= 0;
}

/* What would be reset too and is not ours, " BDF" each; to be freed. */
static char *name_others(const struct vfio_pci *vp, const struct vfio_pci_hot_reset_info *info)
{
	char *text = xstrdup("");

	for (u32 i = 0; i < MIN(info->count, MAX_DEPENDENT); i++) {
		const struct vfio_pci_dependent_device *d = &info->devices[i];

		if (!is_ours(vp, info, d))
			xappendf(&text, " %04x:%02x:%02x.%x", d->segment, d->bus, d->devfn >> 3,
				 d->devfn & 7U);
	}
	return text;
}

/* The files of all groups that are reset; by iommufd the kernel wants none. */
static int reset_bus(struct vfio_pci *vp, const struct vfio_pci_hot_reset_info *info)
{
	struct vfio_pci_hot_reset *reset =
		xcalloc(1, sizeof(*reset) + MAX_DEPENDENT * sizeof(reset->group_fds[0]));
	int ret;

	reset->argsz = sizeof(*reset);
	if (!(info->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID)) {
		for (u32 i = 0; i < MIN(info->count, MAX_DEPENDENT); i++) {
			s32 fd = vfio_set_group_fd(vp->dev->set, info->devices[i].group_id);
			u32 n = 0;

			while (n < reset->count && reset->group_fds[n] != fd)
				n++;
			reset->group_fds[n] = fd;
			reset->count = MAX(reset->count, n + 1);
		}
		reset->argsz += reset->count * (u32)sizeof(reset->group_fds[0]);
	}
	ret = ask(vp->dev, VFIO_DEVICE_PCI_HOT_RESET, reset);
	free(reset);
	return ret;
}

/* 0; -ENOTTY: there is no such reset; -EBUSY: not ours alone, which is said; or -errno. */
static int hot_reset(struct vfio_pci *vp)
{
	u32 len = (u32)(sizeof(struct vfio_pci_hot_reset_info) +
			MAX_DEPENDENT * sizeof(struct vfio_pci_dependent_device));
	struct vfio_pci_hot_reset_info *info = xcalloc(1, len);
	char *others = NULL, *why;
	int ret;

	info->argsz = len;
	ret = ask(vp->dev, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info);
	if (ret == -ENODEV)
		ret = -ENOTTY;
	if (!ret)
		others = name_others(vp, info);
	if (others && *others) {
		why = xasprintf("its bus would have to be, and with it%s; pass these to this guest "
				"too (lkvm vfio bind, --vfio)",
				others);
		say_why_not(vp, why);
		free(why);
		ret = -EBUSY;
	} else if (!ret) {
		ret = reset_bus(vp, info);
	}
	free(others);
	free(info);
	return ret;
}

void vfio_pci_device_reset(struct vfio_pci *vp)
{
	int ret = vfio_device_reset(vp->dev);

	if (ret == -ENOTTY)
		ret = hot_reset(vp);
	if (!ret)
		vfio_migration_was_reset(&vp->migration);
	if (ret == -ENOTTY)
		say_why_not(vp, "it has no reset of its own, nor has its bus");
	else if (ret && ret != -EBUSY)
		say_why_not(vp, strerror(-ret));
}
