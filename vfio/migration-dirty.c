/* SPDX-License-Identifier: MIT */
/* Which memory a device wrote, as far as the device itself notes it (Linux include/uapi/linux/
 * vfio.h, VFIO_DEVICE_FEATURE_DMA_LOGGING_*). */
#include <errno.h>
#include <stdlib.h>

#include "lkvm/util.h"
#include "lkvm/vfio-migration.h"
#include "lkvm/vfio.h"
#include "vfio-abi.h"

/* The kernel takes as many as fit into one of its pages, of 64 KiB at most. */
#define MAX_RANGES 4096U

int vfio_dirty_start(struct vfio_device *dev, const struct vfio_range *ranges, u32 nr, u64 *page)
{
	struct vfio_abi_dma_logging_range *list;
	struct vfio_abi_dma_logging arg = { .page_size = *page, .num_ranges = nr };
	int ret;

	if (!nr || nr > MAX_RANGES || !*page || *page & (*page - 1))
		return -EINVAL;
	list = calloc(nr, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (u32 i = 0; i < nr; i++)
		list[i] = (struct vfio_abi_dma_logging_range){ ranges[i].iova, ranges[i].length };
	arg.ranges = (uintptr_t)list;
	ret = vfio_device_feature(dev, VFIO_DEVICE_FEATURE_SET | VFIO_ABI_FEATURE_DMA_LOGGING_START,
				  &arg, sizeof(arg));
	free(list);
	if (ret < 0)
		return ret;
	/* What it does not understand of units would be read as another place. */
	if (!arg.page_size || arg.page_size & (arg.page_size - 1)) {
		ret = vfio_dirty_stop(dev);
		return ret ? ret : -EPROTO;
	}
	*page = arg.page_size;
	return 0;
}

int vfio_dirty_report(struct vfio_device *dev, u64 iova, u64 length, u64 page, u64 *bitmap)
{
	struct vfio_abi_dma_logging_report arg = {
		.iova = iova,
		.length = length,
		.page_size = page,
		.bitmap = (uintptr_t)bitmap,
	};

	if (!page || page & (page - 1) || !length || (iova | length) & (page - 1))
		return -EINVAL;
	return MIN(vfio_device_feature(
			   dev, VFIO_DEVICE_FEATURE_GET | VFIO_ABI_FEATURE_DMA_LOGGING_REPORT, &arg,
			   sizeof(arg)),
		   0);
}

int vfio_dirty_stop(struct vfio_device *dev)
{
	return MIN(vfio_device_feature(dev,
				       VFIO_DEVICE_FEATURE_SET | VFIO_ABI_FEATURE_DMA_LOGGING_STOP,
				       NULL, 0),
		   0);
}
