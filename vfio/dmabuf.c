/* SPDX-License-Identifier: MIT */
/* A part of a BAR as a dma-buf (Linux include/uapi/linux/vfio.h, VFIO_DEVICE_FEATURE_DMA_BUF). */
#include "lkvm/vfio-dmabuf.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "lkvm/util.h"
#include "lkvm/vfio.h"
#include "vfio-abi.h"

int vfio_dmabuf_export(struct vfio_device *dev, u32 region, u64 offset, u64 size)
{
	u64 page = (u64)sysconf(_SC_PAGESIZE);
	_Alignas(struct vfio_abi_dma_buf)
		u8 arg[sizeof(struct vfio_abi_dma_buf) + sizeof(struct vfio_abi_dma_buf_range)];
	struct vfio_abi_dma_buf *buf = (void *)arg;

	if (region > VFIO_PCI_BAR5_REGION_INDEX || region >= dev->nr_regions || !size ||
	    (offset | size) & (page - 1) ||
	    !range_within(offset, size, 0, dev->regions[region].size))
		return -EINVAL;
	*buf = (struct vfio_abi_dma_buf){
		.region_index = region,
		.open_flags = O_CLOEXEC | O_RDWR,
		.nr_ranges = 1,
	};
	buf->ranges[0] = (struct vfio_abi_dma_buf_range){ offset, size };
	return vfio_device_feature(dev, VFIO_DEVICE_FEATURE_GET | VFIO_ABI_FEATURE_DMA_BUF, arg,
				   sizeof(arg));
}
