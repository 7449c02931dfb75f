/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: a device raises a line or a message without knowing which chip delivers it.
 *
 * A line is a GSI. Edge lines are irqfds (an eventfd write, any thread, no lock); level lines go
 * through the chip's set_level. A message (MSI) is a GSI route with an irqfd of its own, so vhost
 * and VFIO can signal it directly. Without KVM (unit tests, fuzzers) irq_init takes a chip whose
 * callbacks record what happened.
 */
#ifndef LKVM_IRQ_H
#define LKVM_IRQ_H

#include <pthread.h>
#include <stdatomic.h>

#include "lkvm/types.h"

struct kvm;
struct irqs;
struct kvm_irq_routing;
struct kvm_irq_routing_entry;

struct irq_chip_ops {
	/* Drive an input of the interrupt controller. */
	void (*set_level)(void *opaque, u32 gsi, bool level);
	/* Deliver one message now. */
	void (*send_msi)(void *opaque, u64 addr, u32 data, u32 devid);
	/* Bind @fd so that a write to it raises @gsi; -ENOTSUP makes lines and routes use the calls
	 * above. */
	int (*bind_irqfd)(void *opaque, int fd, u32 gsi, bool assign);
	/* Install the whole table. It is the chip's to rewrite, until it returns. */
	int (*set_routes)(void *opaque, struct kvm_irq_routing *table);
};

struct irq_line {
	struct irqs *irqs;
	u32 gsi;
	bool edge;
	int fd; /* edge: the irqfd, or -1 */
	atomic_bool level;
};

struct msi_route {
	struct irqs *irqs;
	u32 gsi;
	int fd; /* write an 8-byte 1 here to send the message */
	u64 addr;
	u32 data;
	u32 devid;  /* PCI requester id where the controller wants one (GICv3 ITS), else 0 */
	bool live;  /* has an entry in the routing table */
	bool bound; /* fd is an irqfd of gsi */
};

#define IRQ_MAX_ROUTES 4096

struct irqs {
	const struct irq_chip_ops *ops;
	void *opaque;
	pthread_mutex_t lock;
	struct kvm_irq_routing_entry *fixed; /* the architecture's pins, owned here */
	u32 nr_fixed;
	u32 first_msi_gsi;
	struct msi_route **routes; /* index: gsi - first_msi_gsi */
	u32 nr_routes;
	bool msi_devid; /* routes carry KVM_MSI_VALID_DEVID */
};

int irq_init(struct irqs *irqs, const struct irq_chip_ops *ops, void *opaque) __must_check;
void irq_destroy(struct irqs *irqs);
/* irq-kvm.c: the chip operations over KVM (KVM_IRQ_LINE, KVM_IRQFD, KVM_SIGNAL_MSI,
 * KVM_SET_GSI_ROUTING); opaque: struct kvm. */
extern const struct irq_chip_ops kvm_irq_chip_ops;
/*
 * The architecture's own routing entries (pins), copied; messages get GSIs from @first_msi_gsi on.
 * Installs the table.
 */
int irq_set_fixed_routes(struct irqs *irqs, const struct kvm_irq_routing_entry *entries, u32 count,
			 u32 first_msi_gsi) __must_check;
/*
 * Change one fixed entry (same gsi) and install the table: the split irqchip's IOAPIC turns a pin
 * into a message this way.
 */
int irq_update_fixed_route(struct irqs *irqs,
			   const struct kvm_irq_routing_entry *entry) __must_check;

int irq_line_init(struct irq_line *line, struct irqs *irqs, u32 gsi, bool edge) __must_check;
void irq_line_destroy(struct irq_line *line);
/* Level line: drive it. A repeated level costs nothing. */
void irq_line_set(struct irq_line *line, bool level);
/* Edge line: one pulse. */
void irq_line_pulse(struct irq_line *line);

/* A new message route, masked until msi_route_update. Owned by the caller until msi_route_free. */
int msi_route_alloc(struct irqs *irqs, u32 devid, struct msi_route **out) __must_check;
/* Set address and data; -errno from KVM (the guest may write anything: callers only log it). */
int msi_route_update(struct msi_route *route, u64 addr, u32 data);
void msi_route_free(struct msi_route *route);
void msi_route_trigger(struct msi_route *route);

#endif
