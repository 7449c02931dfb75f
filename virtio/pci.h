/* SPDX-License-Identifier: MIT */
/*
 * virtio over PCI in four files: pci.c is the function with its interrupts and state, pci-modern.c
 * the capabilities and the BAR since VIRTIO 1.0, pci-common.c the registers of the common
 * configuration (VIRTIO 1.3, 4.1.4.3), pci-legacy.c what was before (4.1.4.10).
 */
#ifndef LKVM_VIRTIO_PCI_H
#define LKVM_VIRTIO_PCI_H

#include <pthread.h>

#include "lkvm/pci.h"
#include "lkvm/virtio.h"

#define VPCI_COMMON_SIZE   64 /* 4.1.4.3, up to admin_queue_num */
#define VPCI_NOTIFY_STRIDE 4  /* notify_off_multiplier */

#define VIRTIO_PCI_VENDOR 0x1af4 /* 4.1.2 */

struct virtio_pci;

/* Where drivers write notifications: that of queue q at @offset + q * @stride of BAR @bar. */
struct vpci_notify {
	u8 bar;
	u32 offset, stride;
	u32 len;    /* bytes of the write; 0: any */
	bool match; /* it has the queue's number, which alone says which queue is meant */
};

/* What a function's registers look like. */
struct vpci_regs {
	struct vpci_notify notify;
	/* Make the function: identity, BARs, MSI-X, capabilities. */
	void (*build)(struct virtio_pci *vp);
	/* As in pci_ops; may be NULL. */
	void (*config_read)(struct virtio_pci *vp, u32 offset, u32 len);
	void (*config_written)(struct virtio_pci *vp, u32 offset, u32 len);
};

struct virtio_pci {
	struct pci_device pci;
	struct virtio_device *vdev;
	const struct vpci_regs *regs;
	struct msix msix;
	u8 window_cap; /* offset of the VIRTIO_PCI_CAP_PCI_CFG capability */
	/* Under vdev->lock. */
	u32 device_features_sel, driver_features_sel;
	u16 queue_sel;
	/* What KVM was told. Its ioctls may take milliseconds, so this has a lock of its own. */
	pthread_mutex_t bind_lock;
	bool mapped; /* the BAR of notifications is, at bar_base of its bus */
	bool bar_pio;
	u64 bar_base;
	bool bound[VIRTIO_MAX_QUEUES]; /* its ioeventfd is in KVM, for bound_base */
	u64 bound_base;
	/* ISR, vectors and line move together. */
	pthread_mutex_t irq_lock;
	u8 isr;
	u16 config_vector;
	u16 queue_vector[VIRTIO_MAX_QUEUES];
};

/* Make the transport of @vdev with these registers; as virtio_attach. */
int vpci_attach(struct virtio_device *vdev, const struct vpci_regs *regs) __must_check;
/* The ISR byte; reading it acknowledges. */
u8 vpci_take_isr(struct virtio_pci *vp);

/* pci-common.c */

/* The vector of the configuration or of the selected queue. Writing: one that does not exist reads
 * back as NO_VECTOR (4.1.5.1.2.1). Under vdev->lock. */
u16 vpci_get_vector(struct virtio_pci *vp, bool config);
void vpci_set_vector(struct virtio_pci *vp, bool config, u16 vector);
/* Any access that lies inside; takes vdev->lock. */
void vpci_common_read(struct virtio_pci *vp, u32 offset, void *data, u32 len);
/* 4.1.3.1: fields are written at their own width; other accesses are dropped. */
void vpci_common_write(struct virtio_pci *vp, u32 offset, u64 value, u32 len);

#endif
