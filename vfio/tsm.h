/* SPDX-License-Identifier: MIT */
/*
 * A device in a confidential guest (TDISP: PCI Express 6.0, 11): the host's TSM binds it to the VM,
 * which locks its configuration; then the guest asks the TSM about it, through lkvm, and accepts
 * it. The calls for that are proposals to Linux, of which each has other numbers (tsm=,
 * docs/vfio.md).
 *
 * The order is the kernel's: a guest's IOMMU, the device in it, bind, requests; and unbind before
 * the device is reset or closed. While it is bound it has no map on the host, and none is made.
 */
#ifndef VFIO_TSM_H
#define VFIO_TSM_H

#include <errno.h>

#include "lkvm/types.h"

struct vfio_device;

struct vfio_tsm {
	struct vfio_device *dev;    /* NULL: it is not asked for */
	u32 table, viommu, vdevice; /* iommufd's numbers; 0: not made */
	bool bound;
};

/* What a guest asks, in the words of its TSM. */
struct vfio_tsm_request {
	u32 op;
	const void *request;
	u32 request_len;
	void *response;
	u32 response_len;
	/* The answer: bytes that were not used, of the response or of the request, and what the TSM
	 * says: 0 is success. */
	u32 residue;
	u64 code;
};

#ifdef CONFIG_VFIO_TSM

/* Make what binding needs, if tsm= asks for it; @bdf: the device's in the guest. Prints; -errno,
 * with nothing made. vfio_tsm_close unbinds and undoes it, and is safe on a zeroed one. */
int vfio_tsm_open(struct vfio_tsm *tsm, struct vfio_device *dev, u16 bdf) __must_check;
void vfio_tsm_close(struct vfio_tsm *tsm);
/* Of one that is not asked for: nothing. Bind prints, as a guest's matter; -errno. */
int vfio_tsm_bind(struct vfio_tsm *tsm);
void vfio_tsm_unbind(struct vfio_tsm *tsm);
/* 0: the TSM was asked, see the answer; -errno: it was not (-ENODEV: the device is not bound). */
int vfio_tsm_ask(struct vfio_tsm *tsm, struct vfio_tsm_request *request) __must_check;

#else

static inline int vfio_tsm_open(struct vfio_tsm *tsm, struct vfio_device *dev, u16 bdf)
{
	return 0;
}
static inline void vfio_tsm_close(struct vfio_tsm *tsm) {}
static inline int vfio_tsm_bind(struct vfio_tsm *tsm)
{
	return 0;
}
static inline void vfio_tsm_unbind(struct vfio_tsm *tsm) {}

#endif
#endif
