/* SPDX-License-Identifier: MIT */
/* A part of a BAR as a dma-buf: memory that another device may reach (vfio/dmabuf.c). */
#ifndef LKVM_VFIO_DMABUF_H
#define LKVM_VFIO_DMABUF_H

#include "lkvm/types.h"

struct vfio_device;

/*
 * A dma-buf of [offset, offset+size) of region @region, a BAR: whole pages. The descriptor, the
 * caller's and closed on exec; or -errno: -ENOTTY: the kernel or its driver has no such feature;
 * -EOPNOTSUPP: the device's memory can not be reached by others; -ENODEV: its memory is switched
 * off; -EINVAL: no such range, or not of whole pages. Prints nothing.
 */
int vfio_dmabuf_export(struct vfio_device *dev, u32 region, u64 offset, u64 size) __must_check;

#endif
