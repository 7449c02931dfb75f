/* SPDX-License-Identifier: MIT */
/*
 * The PASID capability (PCI Express 6.0, 7.8.8). The kernel hides the device's own and enables it
 * when the IOMMU has PASIDs, so the guest's is made up, and what the guest writes there stays
 * there. It is of use to a guest that has an IOMMU with PASIDs alone, and lkvm has no such one: so
 * it is shown when it is asked for, and not else.
 */
#include <errno.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vfio-pasid.h"
#include "pci.h"

#define CAP_LEN	    8U
#define WIDTH_SHIFT 8 /* of PCI_PASID_CAP */

static int refuse(const struct vfio_pci *vp, const char *why, int ret)
{
	err("--vfio %s: pasid=on: %s", vp->dev->name.id, why);
	return ret;
}

/* Where the capability goes; 0: that is said. */
static u32 find_place(const struct vfio_pci *vp)
{
	u32 at = vp->dev->cfg->pasid_offset;

	if (vp->pci.config_size < PCI_CFG_SPACE_EXP_SIZE) {
		refuse(vp, "the device has no extended configuration space; omit it", 0);
		return 0;
	}
	if (!at) {
		at = vfio_pci_ext_cap_room(vp, CAP_LEN);
		if (!at)
			refuse(vp,
			       "there is no room for its capability in configuration space; "
			       "pasid-offset= names a place whose registers no driver needs",
			       0);
	} else if (vfio_pci_ext_cap_covers(vp, at, CAP_LEN)) {
		err("--vfio %s: pasid-offset=0x%x: another capability is there; omit it, and a "
		    "free place is looked for",
		    vp->dev->name.id, at);
		return 0;
	}
	return at;
}

int vfio_pci_pasid_init(struct vfio_pci *vp)
{
	struct vfio_pasids pasids;
	u32 at;
	int ret;

	if (!vp->dev->cfg || !vp->dev->cfg->pasid)
		return 0;
	ret = vfio_pasid_describe(vp->dev, &pasids);
	if (ret || !pasids.bits)
		return refuse(vp,
			      ret == -ENOTTY ? "needs iommufd, and the device is reached by its "
					       "group; iommufd=on says why, or omit it"
					     : "the device or its IOMMU has no PASIDs; omit it",
			      ret ? ret : -EOPNOTSUPP);
	at = find_place(vp);
	if (!at)
		return -ENOSPC;
	vfio_pci_ext_cap_link(vp, at, CAP_LEN, PCI_EXT_CAP_ID_PASID, 1);
	put_le(vp->pci.config + at + PCI_PASID_CAP, 2,
	       pasids.bits << WIDTH_SHIFT | (pasids.exec ? PCI_PASID_CAP_EXEC : 0) |
		       (pasids.priv ? PCI_PASID_CAP_PRIV : 0));
	put_le(vp->pci.wmask + at + PCI_PASID_CTRL, 2,
	       PCI_PASID_CTRL_ENABLE | (pasids.exec ? PCI_PASID_CTRL_EXEC : 0) |
		       (pasids.priv ? PCI_PASID_CTRL_PRIV : 0));
	warn("--vfio %s: pasid=on: the guest sees PASIDs of %u bits (capability at 0x%x), but can "
	     "use none: that takes an IOMMU in the guest, which lkvm does not emulate",
	     vp->dev->name.id, pasids.bits, at);
	return 0;
}
