/* SPDX-License-Identifier: MIT */
/* What `lkvm vfio state` shows of a device of VFIO's (vfio/state-report.c). */
#ifndef LKVM_VFIO_STATE_H
#define LKVM_VFIO_STATE_H

#include "lkvm/types.h"

struct vfio_device;

struct vfio_state_report {
	char id[40];	   /* as struct vfio_name has it */
	char driver[64];   /* ""; unknown */
	const char *way;   /* "iommufd" or "groups"; NULL: unknown */
	u64 migration;	   /* VFIO_ABI_MIG_*; 0: none */
	const char *state; /* "RUNNING" */
	u64 length;	   /* bytes that its state takes at most, estimated by the driver */
	bool has_length;
	bool precopy_v2;      /* VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 */
	bool dirty_by_device; /* VFIO_DEVICE_FEATURE_DMA_LOGGING_* */
	bool dirty_by_iommu;
	bool low_power, wakes; /* VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, and .._WITH_WAKEUP */
	u32 pasid_bits;	       /* of the PASIDs that the device and its IOMMU have; 0: none */
};

/*
 * Open the device that is called @device, as --vfio would, ask it and close it again: the kernel
 * resets it. No machine can have it meanwhile, or has it now. Prints, as --vfio DEVICE; -errno.
 */
int vfio_state_ask(const char *device, struct vfio_state_report *out) __must_check;
/* The same of one that is open. */
void vfio_state_look(struct vfio_device *dev, struct vfio_state_report *out);

#endif
