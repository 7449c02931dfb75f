/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: a device raises a line or a message without knowing which chip delivers it. irq.c
 * explains the model. Without KVM (unit tests, fuzzers) irq_init takes a chip whose callbacks
 * record what happened.
 *
 * Locks, outer to inner: irqs->lock (the routing table), a route's own, the loop's.
 */
#ifndef LKVM_IRQ_H
#define LKVM_IRQ_H

#include <pthread.h>
#include <stdatomic.h>

#include "lkvm/event.h"
#include "lkvm/types.h"

struct kvm;
struct irqs;
struct kvm_irq_routing;
struct kvm_irq_routing_entry;
struct trace;

struct irq_chip_ops {
	/* Drive an input of the interrupt controller. */
	void (*set_level)(void *opaque, u32 gsi, bool level);
	/* One edge of a line that has no fd. NULL: a rise and a fall are one. */
	void (*pulse)(void *opaque, u32 gsi);
	/* Deliver one message now. */
	void (*send_msi)(void *opaque, u64 addr, u32 data, u32 devid);
	/* Bind @fd so that a write to it raises @gsi; what it holds already counts as a write.
	 * NULL or -ENOTSUP: lines and routes use the calls above. */
	int (*bind_irqfd)(void *opaque, int fd, u32 gsi, bool assign);
	/* Lines below this GSI are not even asked about: bind_irqfd is for the rest. */
	u32 first_irqfd_gsi;
	/* Install the whole table. It is the chip's to rewrite, until it returns. */
	int (*set_routes)(void *opaque, struct kvm_irq_routing *table);
	/* A write to @fd asserts @gsi; when the guest ends the interrupt the level falls and
	 * @resample_fd is written. NULL or -ENOTSUP: the chip does not report ends. */
	int (*bind_resample)(void *opaque, int fd, int resample_fd, u32 gsi, bool assign);
	/* The end of an interrupt lets a line fall that set_level holds too: no OR of the two. */
	bool resample_alone;
	/* How many entries a table may have, and where GSIs end; NULL: IRQ_MAX_ROUTES. */
	u32 (*max_routes)(void *opaque);
};

struct irq_line {
	struct irqs *irqs;
	u32 gsi;
	bool edge;
	bool bound;	 /* fd is an irqfd of gsi */
	int fd;		 /* or the -errno of eventfd */
	int resample_fd; /* borrowed */
	struct event watch;
	atomic_bool level;
};

enum msi_mode {
	MSI_OFF,    /* what comes is dropped */
	MSI_MASKED, /* what comes is remembered, once */
	MSI_OPEN,   /* what comes is delivered */
};

struct msi_route {
	struct irqs *irqs;
	u32 gsi;
	u32 devid; /* PCI requester id where the controller wants one (GICv3 ITS), else 0 */
	/* Changed under both locks. */
	bool live;     /* addr and data are a message that the chip takes */
	bool untabled; /* but had no memory for a table with it: it goes by calls */
	u64 addr;
	u32 data;
	bool staged; /* what follows waits for msi_routes_commit */
	bool next_live;
	u64 next_addr;
	u32 next_data;
	/* Under lock. */
	pthread_mutex_t lock;
	enum msi_mode mode;
	int fd;	      /* or the -errno of eventfd */
	bool bound;   /* fd is an irqfd of gsi */
	bool given;   /* others may write to fd: it is watched where it is not bound */
	bool pending; /* came while masked (what others wrote is still in fd) */
	struct event watch;
};

#define IRQ_MAX_ROUTES 4096U /* KVM_MAX_IRQ_ROUTES of every architecture here */

struct irqs {
	const struct irq_chip_ops *ops;
	void *opaque;
	struct trace *trace;	 /* borrowed; NULL: none */
	struct event_loop *loop; /* watches what KVM does not; may be NULL */
	pthread_mutex_t lock;
	struct kvm_irq_routing_entry *fixed; /* the architecture's pins, and as many to undo */
	u32 nr_fixed;
	u32 first_msi_gsi;
	u32 max_routes;
	struct msi_route **routes; /* index: gsi - first_msi_gsi */
	u32 nr_routes;
	struct kvm_irq_routing *table; /* room for all of them, so that no change allocates */
	bool msi_devid;		       /* routes carry KVM_MSI_VALID_DEVID */
	bool fds_ran_out;	       /* said once */
};

int irq_init(struct irqs *irqs, const struct irq_chip_ops *ops, void *opaque) __must_check;
/* The loop that forwards what others write to an fd that KVM does not take; it outlives @irqs.
 * Before devices are made. */
void irq_set_loop(struct irqs *irqs, struct event_loop *loop);
void irq_destroy(struct irqs *irqs);
/* irq-kvm.c: the chip operations over KVM (KVM_IRQ_LINE, KVM_IRQFD, KVM_SIGNAL_MSI,
 * KVM_SET_GSI_ROUTING); opaque: struct kvm. */
extern const struct irq_chip_ops kvm_irq_chip_ops;
/* kvm_set_attr for what an interrupt controller cannot do without: prints that it cannot set @what.
 */
int kvm_irqchip_set(int fd, u32 group, u64 attr, const void *value, const char *what) __must_check;
/*
 * The architecture's own routing entries (pins), copied; messages get GSIs from @first_msi_gsi on.
 * Installs the table. Before the guest starts.
 */
int irq_set_fixed_routes(struct irqs *irqs, const struct kvm_irq_routing_entry *entries, u32 count,
			 u32 first_msi_gsi) __must_check;
/* The same where the chip begins with these entries: nothing is installed. */
int irq_adopt_fixed_routes(struct irqs *irqs, const struct kvm_irq_routing_entry *entries,
			   u32 count, u32 first_msi_gsi) __must_check;
/*
 * Change @count fixed entries (those of the same gsi) by one table: the split irqchip's IOAPIC
 * turns pins into messages this way. All or none: -ENOENT for a gsi that has no entry, or what the
 * chip says.
 */
int irq_update_fixed_routes(struct irqs *irqs, const struct kvm_irq_routing_entry *entries,
			    u32 count) __must_check;
/* For msi.c, under irqs->lock: the table as fixed entries and live routes have it. */
int irq_install_routes(struct irqs *irqs) __must_check;
/* For msi.c, under irqs->lock: room for @nr_routes messages in all. -ENOSPC, -ENOMEM. */
int irq_reserve_routes(struct irqs *irqs, u32 nr_routes) __must_check;
/* A new eventfd for an interrupt, or -errno; the first that is refused prints. */
int irq_new_fd(struct irqs *irqs);

/* 0 or -errno; an edge line without an fd works by set_level. */
int irq_line_init(struct irq_line *line, struct irqs *irqs, u32 gsi, bool edge) __must_check;
void irq_line_destroy(struct irq_line *line);
/* Level line: drive it. A repeated level costs nothing. */
void irq_line_set(struct irq_line *line, bool level);
/* Edge line: one pulse. */
void irq_line_pulse(struct irq_line *line);
/*
 * Level line that somebody else raises (VFIO's INTx): a write to irq_line_fd asserts it, the end of
 * the interrupt lets it fall and writes @resample_fd, which stays the caller's and outlives the
 * line. Other lines may share the gsi. -ENOTSUP where nobody sees the end, or -errno. Before the
 * guest starts.
 */
int irq_line_set_resample(struct irq_line *line, int resample_fd) __must_check;
/*
 * What raises the line when an 8-byte 1 is written to it, until irq_line_destroy; the line's.
 * -errno: there is none; -ENOTSUP for a plain level line. Before the guest starts.
 */
int irq_line_fd(struct irq_line *line);

/*
 * msi.c: message routes. The functions of one route are called by one thread at a time, but for
 * trigger and pending, and what others write to its fd.
 */

/*
 * A new route, off, with a GSI and an eventfd of its own; if no fd is left it works without.
 * Owned by the caller until msi_route_free. -ENOSPC: irq_room_for_routes are taken. Before the
 * guest starts: no other function here allocates.
 */
int msi_route_alloc(struct irqs *irqs, u32 devid, struct msi_route **out) __must_check;
void msi_route_free(struct msi_route *route);
/* How many routes there can be in all. */
u32 irq_room_for_routes(const struct irqs *irqs);
/* Note address and data for the next msi_routes_commit; nothing when the table has them. */
void msi_route_stage(struct msi_route *route, u64 addr, u32 data);
/*
 * Install what was staged among @routes, by one table. When the chip refuses it, the routes that
 * are to blame are not live any more and drop what comes, and all others are installed. Returns the
 * chip's -errno then: callers only log it, the guest may write anything.
 */
int msi_routes_commit(struct irqs *irqs, struct msi_route *const *routes, u32 count);
/* Does the chip's table have its message? */
bool msi_route_live(struct msi_route *route);
/* Costs no table. What came while masked is delivered once when the route opens. */
void msi_route_set_mode(struct msi_route *route, enum msi_mode mode);
/* Stage, commit and open. */
int msi_route_update(struct msi_route *route, u64 addr, u32 data);
/* Send the message, as the mode says. Any thread. */
void msi_route_trigger(struct msi_route *route);
/* Did something come while masked? Any thread. */
bool msi_route_pending(struct msi_route *route);
/*
 * What sends the message when an 8-byte 1 is written to it, whatever the mode, until
 * msi_route_free; the route's. -errno: there is none. Before the guest starts.
 */
int msi_route_fd(struct msi_route *route);

#endif
