/* SPDX-License-Identifier: MIT */
/* PASIDs of a device and their page tables (see include/lkvm/vfio-pasid.h). */
#include "lkvm/vfio-pasid.h"

#include <errno.h>
#include <string.h>

#include "iommu.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "vfio-abi.h"

/* The field has 5 bits, of which 20 is the most (PCI Express 6.0, 7.8.8.2). */
#define MAX_BITS 20U

/* On /dev/iommu. */
static int ask(struct vfio_device *dev, unsigned long request, void *arg)
{
	if (!dev->set || !dev->devid)
		return -ENOTTY;
	return MIN(vfio_set_ioctl(dev->set, dev->set->fd, request, arg), 0);
}

int vfio_hw_info(struct vfio_device *dev, int iommufd, struct iommu_abi_hw_info *out)
{
	/* No data of the IOMMU's own kind. A kernel that knows no PASIDs leaves their field zero.
	 */
	*out = (struct iommu_abi_hw_info){ .size = sizeof(*out), .dev_id = dev->devid };
	if (!dev->devid)
		return -ENOTTY;
	return MIN(dev->calls->ioctl(dev->opaque, iommufd, IOMMU_ABI_GET_HW_INFO, out), 0);
}

int vfio_set_hw_info(struct vfio_device *dev, struct iommu_abi_hw_info *out)
{
	*out = (struct iommu_abi_hw_info){ 0 };
	return dev->set ? vfio_hw_info(dev, dev->set->fd, out) : -ENOTTY;
}

int vfio_pasid_describe(struct vfio_device *dev, struct vfio_pasids *out)
{
	struct iommu_abi_hw_info info;
	int ret = vfio_set_hw_info(dev, &info);

	*out = (struct vfio_pasids){ 0 };
	if (ret)
		return ret;
	out->bits = MIN(info.out_max_pasid_log2, MAX_BITS);
	out->exec = info.out_capabilities & IOMMU_ABI_HW_PASID_EXEC;
	out->priv = info.out_capabilities & IOMMU_ABI_HW_PASID_PRIV;
	return 0;
}

/* Page tables */

int vfio_pasid_make_table(struct vfio_device *dev, u32 ioas, u32 *table)
{
	struct iommu_abi_hwpt_alloc alloc = {
		.size = sizeof(alloc),
		.flags = IOMMU_ABI_HWPT_PASID,
		.dev_id = dev->devid,
		.pt_id = ioas,
	};
	int ret = ask(dev, IOMMU_ABI_HWPT_ALLOC, &alloc);

	*table = ret ? 0 : alloc.out_hwpt_id;
	return ret;
}

void vfio_pasid_free_table(struct vfio_device *dev, u32 table)
{
	struct iommu_abi_destroy destroy = { .size = sizeof(destroy), .id = table };

	(void)ask(dev, IOMMU_ABI_DESTROY, &destroy);
}

int vfio_pasid_attach(struct vfio_device *dev, u32 pasid, u32 table)
{
	struct vfio_abi_attach_pt attach = {
		.argsz = sizeof(attach),
		.flags = VFIO_ABI_PT_PASID,
		.pt_id = table,
		.pasid = pasid,
	};

	return MIN(dev->calls->ioctl(dev->opaque, dev->fd, VFIO_ABI_ATTACH_IOMMUFD_PT, &attach), 0);
}

int vfio_pasid_detach(struct vfio_device *dev, u32 pasid)
{
	struct vfio_abi_detach_pt detach = {
		.argsz = sizeof(detach),
		.flags = VFIO_ABI_PT_PASID,
		.pasid = pasid,
	};

	return MIN(dev->calls->ioctl(dev->opaque, dev->fd, VFIO_ABI_DETACH_IOMMUFD_PT, &detach), 0);
}

/* pasid=on */

static int refuse(const struct vfio_device *dev, const char *why, int ret)
{
	err("--vfio %s: pasid=on: %s", dev->name.id, why);
	return ret;
}

int vfio_pasid_prepare(struct vfio_device *dev, u32 ioas, u32 *table)
{
	struct vfio_pasids pasids;
	int ret;

	*table = 0;
	if (dev->name.bus == VFIO_BUS_MDEV)
		return refuse(dev, "a software device has no IOMMU; omit it", -EOPNOTSUPP);
	ret = vfio_pasid_describe(dev, &pasids);
	if (ret)
		return refuse(dev, strerror(-ret), ret);
	if (!pasids.bits)
		return refuse(dev, "the device or its IOMMU has no PASIDs; omit it", -EOPNOTSUPP);
	ret = vfio_pasid_make_table(dev, ioas, table);
	if (ret == -EOPNOTSUPP || ret == -EINVAL)
		return refuse(dev, "the host's kernel makes no page tables for PASIDs; omit it",
			      ret);
	return ret ? refuse(dev, strerror(-ret), ret) : 0;
}

/* Before there is anything in @table, so it costs nothing and gives nothing away. */
int vfio_pasid_probe(struct vfio_device *dev, u32 table)
{
	int ret = vfio_pasid_attach(dev, 1, table);

	if (!ret)
		ret = vfio_pasid_detach(dev, 1);
	if (ret == -ENOTTY || ret == -EINVAL || ret == -EOPNOTSUPP)
		return refuse(dev,
			      "the host's kernel attaches no PASIDs (Linux 6.15 does); omit it",
			      ret);
	return ret ? refuse(dev, strerror(-ret), ret) : 0;
}
