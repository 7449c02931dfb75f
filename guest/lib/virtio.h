/* SPDX-License-Identifier: MIT */
/*
 * A driver's half of virtio (VIRTIO 1.3), as little as tests need: PCI with MSI-X (or its line
 * where messages go nowhere) or MMIO with its line, one request at a time or several, interrupts
 * or polling; rings in each form that the features agreed on have (vq.c).
 */
#ifndef GUEST_VIRTIO_H
#define GUEST_VIRTIO_H

#include "guest.h"

#define VIRTIO_NET     1
#define VIRTIO_BLK     2
#define VIRTIO_CONSOLE 3
#define VIRTIO_RNG     4

#define VQ_SIZE	  128 /* at most: a device may have less */
#define VQ_MAX	  5
#define VQ_RINGS  (VQ_MAX + 1)
#define VQ_VECTOR 0x30 /* interrupt vector of queue 0; one more for each next */

/* What changes the form of rings. */
#define VIRTIO_INDIRECT	   (1ULL << 28)
#define VIRTIO_EVENT_IDX   (1ULL << 29)
#define VIRTIO_PACKED	   (1ULL << 34)
#define VIRTIO_IN_ORDER	   (1ULL << 35)
#define VIRTIO_NOTIFY_DATA (1ULL << 38)
#define VIRTIO_RING_FEATURES \
	(VIRTIO_INDIRECT | VIRTIO_EVENT_IDX | VIRTIO_PACKED | VIRTIO_IN_ORDER | VIRTIO_NOTIFY_DATA)

enum { VIRTIO_NEEDS_RESET = 0x40 };

struct vq_buf {
	const volatile void *p;
	u32 len;
	bool in; /* the device writes it */
};

/* Places: split, indices that count on; packed, an offset with the wrap counter as bit 15. */
struct vq {
	u16 next, avail, last_used;
	u16 kicked; /* what was available when the device was last asked whether it wants to know */
	bool interrupts;
	/* In order: what is under way, and up to which of them the device said they are used. */
	u16 order[VQ_SIZE], order_in, order_out;
	bool batch;
	u16 batch_last;
	u32 batch_len;
	u16 span[VQ_SIZE]; /* places in the ring, by head */
	u32 room[VQ_SIZE]; /* bytes that the device may write, by head */
	u64 notify_addr;
	bool wide; /* the notification is 32 bits */
	u16 index, size;
};

struct virtio {
	bool pci;
	bool line; /* all queues share one, with the vector of the first */
	u64 common, config, isr, notify, msix; /* PCI: capabilities; MMIO: common is the base */
	u64 msix_cap, msix_pending;
	u32 notify_multiplier;
	u32 irq;
	u32 requester; /* PCI: who sends its messages: bus, device, function */
	struct vq q[VQ_MAX];
	u64 features; /* accepted */
	u32 ring;     /* its first; a test that drives two devices gives them different ones */
};

/* The @nth device of that kind, reset and with DRIVER set. False: there is none. */
bool virtio_open(struct virtio *v, u32 id, u32 nth);
/* Accept @wanted and VERSION_1; false when the device does not agree. */
bool virtio_negotiate(struct virtio *v, u64 wanted);
u64 virtio_offered(struct virtio *v);
/* Set up queue @q; @interrupts: vector VQ_VECTOR + q, else polled. */
bool virtio_queue(struct virtio *v, u32 q, bool interrupts);
void virtio_driver_ok(struct virtio *v);
u8 virtio_status(struct virtio *v);
void virtio_reset(struct virtio *v);
/* After an interrupt by a line. Returns the reasons. */
u32 virtio_ack(struct virtio *v);

/* For virtio.c: an empty queue, and what its three parts are. */
void vq_begin(struct virtio *v, u32 q);
void vq_parts(struct virtio *v, u32 q, const volatile void *parts[3]);

void vq_add(struct virtio *v, u32 q, const struct vq_buf *bufs, u32 n);
/* The same in two steps: descriptors that stay, from @head on; and offering them, time and again.
 */
void vq_chain(struct virtio *v, u32 q, u16 head, const struct vq_buf *bufs, u32 n);
void vq_offer(struct virtio *v, u32 q, u16 head);
/* Notify the device, if it wants to know; or whether or not it does. */
void vq_kick(struct virtio *v, u32 q);
void vq_notify(struct virtio *v, u32 q);
/* Ask the device for interrupts, or for none for now. Look at the queue once more after asking. */
void vq_interrupts(struct virtio *v, u32 q, bool on);
/* The next used buffer's head, or -1. */
int vq_used(struct virtio *v, u32 q, u32 *len);
/* The same, waiting for some seconds. */
int vq_wait(struct virtio *v, u32 q, u32 *len);

#endif
