/* SPDX-License-Identifier: MIT */
/*
 * virtio over PCI in two files: pci.c is the function with its BAR, interrupts and state,
 * pci-common.c the registers of the common configuration (VIRTIO 1.3, 4.1.4.3).
 */
#ifndef LKVM_VIRTIO_PCI_H
#define LKVM_VIRTIO_PCI_H

#include <pthread.h>

#include "lkvm/pci.h"
#include "lkvm/virtio.h"

#define VPCI_COMMON_SIZE   64 /* 4.1.4.3, up to admin_queue_num */
#define VPCI_NOTIFY_STRIDE 4  /* notify_off_multiplier */

struct virtio_pci {
	struct pci_device pci;
	struct virtio_device *vdev;
	struct msix msix;
	u8 window_cap; /* offset of the VIRTIO_PCI_CAP_PCI_CFG capability */
	/* Under vdev->lock. */
	u32 device_features_sel, driver_features_sel;
	u16 queue_sel;
	/* What KVM was told. Its ioctls may take milliseconds, so this has a lock of its own. */
	pthread_mutex_t bind_lock;
	bool mapped; /* the BAR is, at bar_base */
	u64 bar_base;
	bool bound[VIRTIO_MAX_QUEUES]; /* its ioeventfd is in KVM, for bound_base */
	u64 bound_base;
	/* ISR, vectors and line move together. */
	pthread_mutex_t irq_lock;
	u8 isr;
	u16 config_vector;
	u16 queue_vector[VIRTIO_MAX_QUEUES];
};

/* Any access that lies inside; takes vdev->lock. */
void vpci_common_read(struct virtio_pci *vp, u32 offset, void *data, u32 len);
/* 4.1.3.1: fields are written at their own width; other accesses are dropped. */
void vpci_common_write(struct virtio_pci *vp, u32 offset, u64 value, u32 len);

#endif
