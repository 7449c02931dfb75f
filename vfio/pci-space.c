/* SPDX-License-Identifier: MIT */
/* The device's own configuration space, and what of it the guest sees instead (see pci.h). */
#include <string.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "pci.h"
#include "vfio-abi.h"

u32 vfio_pci_config_get(struct vfio_pci *vp, u32 offset, u32 len)
{
	u8 data[4];

	if (vfio_device_read(vp->dev, VFIO_PCI_CONFIG_REGION_INDEX, offset, data, len))
		return (u32)~0ULL >> (32 - 8 * len);
	return (u32)get_le(data, len);
}

void vfio_pci_config_set(struct vfio_pci *vp, u32 offset, u32 value, u32 len)
{
	u8 data[4];
	int ret;

	put_le(data, len, value);
	ret = vfio_device_write(vp->dev, VFIO_PCI_CONFIG_REGION_INDEX, offset, data, len);
	if (ret)
		guest_warn("%s: the device refuses a write to 0x%x in configuration space: %s",
			   vp->pci.dev.name, offset, strerror(-ret));
}

void vfio_pci_emulate(struct vfio_pci *vp, u32 offset, u32 len, u8 wmask)
{
	memset(vp->emulated + offset, 0xff, len);
	memset(vp->forwarded + offset, 0, len);
	memset(vp->pci.wmask + offset, wmask, len);
}

void vfio_pci_cut_cap(struct vfio_pci *vp, u32 at, const char *what, const char *why)
{
	u8 *config = vp->pci.config;
	u32 link = PCI_CAPABILITY_LIST;

	warn("--vfio %s: hides %s: %s", vp->dev->name.id, what, why);
	/* The chain is sound: pci-caps.c made it. */
	while (config[link] != at)
		link = config[link] + (u32)PCI_CAP_LIST_NEXT;
	config[link] = config[at + PCI_CAP_LIST_NEXT];
	if (!config[PCI_CAPABILITY_LIST])
		config[PCI_STATUS] &= (u8)~PCI_STATUS_CAP_LIST;
	config[at] = 0;
	config[at + PCI_CAP_LIST_NEXT] = 0;
}
