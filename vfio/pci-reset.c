/* SPDX-License-Identifier: MIT */
/*
 * Resets of a device that is passed through: before the guest starts, when it reboots, and when it
 * is gone. Nothing of one guest's is to be found by the next.
 *
 * A device without a reset of its own is reset with its bus or slot, and so is all that is there:
 * only when all of it is this machine's. By iommufd the kernel knows; by groups it wants a file of
 * each group, which is left undone.
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

/* What would be reset too; of what iommufd tells, those that are not ours. To be freed. */
static char *name_dependent(const struct vfio_pci_hot_reset_info *info)
{
	bool ids = info->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID;
	char *text = xstrdup("");

	for (u32 i = 0; i < MIN(info->count, MAX_DEPENDENT); i++) {
		const struct vfio_pci_dependent_device *d = &info->devices[i];

		if (!ids || (s32)d->group_id == VFIO_PCI_DEVID_NOT_OWNED)
			xappendf(&text, " %04x:%02x:%02x.%x", d->segment, d->bus, d->devfn >> 3,
				 d->devfn & 7U);
	}
	return text;
}

/* 0; -ENOTTY: there is no such reset; -EBUSY: not ours alone, which is said; or -errno. */
static int hot_reset(struct vfio_pci *vp)
{
	u32 len = (u32)(sizeof(struct vfio_pci_hot_reset_info) +
			MAX_DEPENDENT * sizeof(struct vfio_pci_dependent_device));
	struct vfio_pci_hot_reset_info *info = xcalloc(1, len);
	int ret;

	info->argsz = len;
	ret = ask(vp->dev, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info);
	if (ret == -ENODEV)
		ret = -ENOTTY;
	if (!ret && info->flags & VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED) {
		struct vfio_pci_hot_reset reset = { .argsz = sizeof(reset) };

		ret = ask(vp->dev, VFIO_DEVICE_PCI_HOT_RESET, &reset);
	} else if (!ret) {
		char *names = name_dependent(info);

		warn("--vfio %s: the device is not reset, since its bus would have to be, with "
		     "all of%s: pass all through, by iommufd",
		     vp->dev->name.id, names);
		free(names);
		ret = -EBUSY;
	}
	free(info);
	return ret;
}

void vfio_pci_device_reset(struct vfio_pci *vp)
{
	int ret = vfio_device_reset(vp->dev);

	if (ret == -ENOTTY)
		ret = hot_reset(vp);
	if (ret == -ENOTTY)
		warn("--vfio %s: the device has no reset: what a guest left in it stays there",
		     vp->dev->name.id);
	else if (ret && ret != -EBUSY)
		warn("--vfio %s: the device cannot be reset: %s", vp->dev->name.id, strerror(-ret));
}
