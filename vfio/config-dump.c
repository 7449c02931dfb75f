/* SPDX-License-Identifier: MIT */
/*
 * Config space as sysfs gives it, cut off wherever it ends (PCI Local Bus 3.0, 6.7; PCI Express
 * 6.0, 7.5 and 7.6). Chains of capabilities may loop and lead anywhere.
 */
#include <linux/pci_regs.h>

#include "lkvm/util.h"
#include "lkvm/vfio-host.h"

/* Each takes 4 bytes of config space at least; as many steps end every chain. */
#define MAX_CAPS     ((PCI_CFG_SPACE_SIZE - PCI_STD_HEADER_SIZEOF) / 4)
#define MAX_EXT_CAPS ((PCI_CFG_SPACE_EXP_SIZE - PCI_CFG_SPACE_SIZE) / 4)

u32 host_pci_config(const struct host_pci *dev, u32 at, u32 len)
{
	if (at >= dev->config_len || len > dev->config_len - at)
		return 0;
	return (u32)get_le(dev->config + at, len);
}

u32 host_pci_cap(const struct host_pci *dev, u8 id)
{
	u32 header = host_pci_config(dev, PCI_HEADER_TYPE, 1) & 0x7f;
	u32 at = header == PCI_HEADER_TYPE_CARDBUS ? PCI_CB_CAPABILITY_LIST : PCI_CAPABILITY_LIST;

	if (!(host_pci_config(dev, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
		return 0;
	at = host_pci_config(dev, at, 1) & ~3u;
	for (u32 n = 0; n < MAX_CAPS && at >= PCI_STD_HEADER_SIZEOF; n++) {
		if (host_pci_config(dev, at + PCI_CAP_LIST_ID, 1) == id)
			return at + 4 <= dev->config_len ? at : 0;
		at = host_pci_config(dev, at + PCI_CAP_LIST_NEXT, 1) & ~3u;
	}
	return 0;
}

u32 host_pci_ext_cap(const struct host_pci *dev, u16 id)
{
	u32 at = PCI_CFG_SPACE_SIZE;

	for (u32 n = 0; n < MAX_EXT_CAPS && at >= PCI_CFG_SPACE_SIZE; n++) {
		u32 header = host_pci_config(dev, at, 4);

		/* All ones: nobody answers there. */
		if (!header || header == UINT32_MAX)
			break;
		if (PCI_EXT_CAP_ID(header) == id)
			return at;
		at = PCI_EXT_CAP_NEXT(header);
	}
	return 0;
}

u32 host_pci_port_type(const struct host_pci *dev)
{
	if (!dev->exp)
		return HOST_PCI_NONE;
	return (host_pci_config(dev, dev->exp + PCI_EXP_FLAGS, 2) & PCI_EXP_FLAGS_TYPE) >> 4;
}

bool host_pci_is_bridge(const struct host_pci *dev)
{
	u32 header = host_pci_config(dev, PCI_HEADER_TYPE, 1) & 0x7f;

	return header == PCI_HEADER_TYPE_BRIDGE || header == PCI_HEADER_TYPE_CARDBUS;
}

bool host_pci_is_known(const struct host_pci *dev)
{
	return dev->config_len >= PCI_CFG_SPACE_SIZE;
}
