/* SPDX-License-Identifier: MIT */
/*
 * Resets of a device that is passed through: before the guest starts, when it reboots, and when it
 * is gone. Nothing of one guest's is to be found by the next.
 */
#include <errno.h>
#include <string.h>

#include "lkvm/log.h"
#include "pci.h"
#include "vfio-abi.h"

void vfio_pci_device_reset(struct vfio_pci *vp)
{
	int ret = vfio_device_reset(vp->dev);

	if (ret == -ENOTTY)
		warn("--vfio %s: the device has no reset of its own: what a guest left in it stays "
		     "there",
		     vp->dev->name.id);
	else if (ret)
		warn("--vfio %s: the device cannot be reset: %s", vp->dev->name.id, strerror(-ret));
}
