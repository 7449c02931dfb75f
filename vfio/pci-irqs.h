/* SPDX-License-Identifier: MIT */
/*
 * Of vfio/pci-irqs.c, pci-intx.c, pci-msi.c and pci-msix.c: interrupts of a function that is passed
 * through. The host's side (VFIO_DEVICE_SET_IRQS) has one kind on at a time and follows what the
 * guest chose: MSI-X, else MSI, else INTx, if it has a pin. A message's eventfd is the route's of
 * the emulated capability: it stays bound at the host whatever the guest masks.
 *
 * Locks: host->update, msix->lock, vfio_pci_irqs.lock, then those of irq.h.
 */
#ifndef VFIO_PCI_IRQS_H
#define VFIO_PCI_IRQS_H

#include <pthread.h>

#include "lkvm/event.h"
#include "lkvm/irq.h"
#include "pci.h"
#include "vfio-abi.h"

#define VFIO_NO_KIND VFIO_MAX_IRQS

struct vfio_pci_intx {
	struct irq_line line; /* raised by VFIO; not initialized: polled */
	int resample_fd;      /* the interrupt has ended: VFIO looks again; -1: none */
	struct event ended;   /* where the device's driver does not take @resample_fd */
	/* Polled: nobody tells of the end of an interrupt. */
	int fd; /* -1: none */
	struct event came;
	struct event_timer again;
};

/* Where the MSI-X table or its pending bits are. */
struct vfio_msix_part {
	u32 bar;
	u64 offset, size; /* within it */
};

struct vfio_pci_irqs {
	struct vfio_pci *vp;
	struct msi_cap msi;
	struct msix msix;
	struct vfio_msix_part parts[2]; /* the table, the pending bits; do not change */
	struct vfio_pci_intx intx;
	bool ready; /* routes and descriptors are there */
	/* Under host->update, or while nothing runs: what the guest chose last. */
	u32 wanted, wanted_count;
	pthread_mutex_t lock;
	/* Under lock. */
	u32 on;	      /* VFIO_PCI_*_IRQ_INDEX, or VFIO_NO_KIND */
	u32 nr_on;    /* MSI-X: vectors that the host has */
	u32 nr_limit; /* MSI-X: the host has no more; at first all */
	bool *used;   /* MSI-X: the guest uses it, or has since enabling */
};

/* pci-intx.c. plugged: 0; -errno: it can have no INTx. */
int vfio_pci_intx_plugged(struct vfio_pci_irqs *irqs) __must_check;
void vfio_pci_intx_fini(struct vfio_pci_irqs *irqs);
/* Under lock. On: 0 or -errno. */
int vfio_pci_intx_on(struct vfio_pci_irqs *irqs) __must_check;
void vfio_pci_intx_off(struct vfio_pci_irqs *irqs);

/* pci-msi.c, pci-msix.c: init as vfio_pci_irqs_init; no capability is no error. */
void vfio_pci_msi_init(struct vfio_pci_irqs *irqs);
int vfio_pci_msi_on(struct vfio_pci_irqs *irqs, u32 count) __must_check;
void vfio_pci_msix_init(struct vfio_pci_irqs *irqs);
void vfio_pci_msix_fini(struct vfio_pci_irqs *irqs);
int vfio_pci_msix_on(struct vfio_pci_irqs *irqs) __must_check;
/* Under lock: no vector is used any more. */
void vfio_pci_msix_forget(struct vfio_pci_irqs *irqs);

#endif
