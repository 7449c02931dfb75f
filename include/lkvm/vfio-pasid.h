/* SPDX-License-Identifier: MIT */
/*
 * Process address spaces of a device (PCI Express 6.0, 6.20): DMA that carries a number, a PASID,
 * has page tables of its own in the IOMMU (Linux Documentation/userspace-api/iommufd.rst). A device
 * that iommufd has, alone; PASID 0 is DMA without a number.
 */
#ifndef LKVM_VFIO_PASID_H
#define LKVM_VFIO_PASID_H

#include "lkvm/types.h"

struct iommu_abi_hw_info;
struct vfio_device;

/* What the host gives of them. */
struct vfio_pasids {
	u32 bits; /* of a PASID; 0: there are none */
	bool exec, priv;
};

/* IOMMU_GET_HW_INFO of a device that is bound to @iommufd; and to its set's. 0; -ENOTTY: iommufd
 * does not have it; or -errno (-ENOENT: it is software, behind no IOMMU). Print nothing, as all but
 * vfio_pasid_prepare. */
int vfio_hw_info(struct vfio_device *dev, int iommufd, struct iommu_abi_hw_info *out) __must_check;
int vfio_set_hw_info(struct vfio_device *dev, struct iommu_abi_hw_info *out) __must_check;
int vfio_pasid_describe(struct vfio_device *dev, struct vfio_pasids *out) __must_check;

/*
 * Page tables over address space @ioas that PASIDs may be attached to; *@table is for
 * vfio_pasid_free_table. DMA without a PASID has to use such ones as well, or nothing is attached.
 */
int vfio_pasid_make_table(struct vfio_device *dev, u32 ioas, u32 *table) __must_check;
void vfio_pasid_free_table(struct vfio_device *dev, u32 table);
/* Attach @pasid to @table, in place of what it is attached to. 0; -EINVAL: also from a kernel that
 * knows no PASIDs here (before 6.15); or -errno. And end that. */
int vfio_pasid_attach(struct vfio_device *dev, u32 pasid, u32 table) __must_check;
int vfio_pasid_detach(struct vfio_device *dev, u32 pasid);

/*
 * pasid=on, for a device that is bound and not attached yet: page tables over @ioas for all of its
 * DMA; and, when that uses them, whether PASIDs can be attached at all. Print; 0 or -errno.
 */
int vfio_pasid_prepare(struct vfio_device *dev, u32 ioas, u32 *table) __must_check;
int vfio_pasid_probe(struct vfio_device *dev, u32 table) __must_check;

#endif
