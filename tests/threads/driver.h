/* SPDX-License-Identifier: MIT */
/*
 * A guest's driver of a virtio device, over PCI or MMIO, that keeps all rules (VIRTIO 1.3): it
 * looks at a queue only after an interrupt, notifies only when the device asks for it, and does not
 * touch what it gave away. So a completion, an interrupt or a notification that is lost shows as a
 * request that never comes back, and a device that writes to a queue that was stopped as damage.
 */
#ifndef TEST_THREADS_DRIVER_H
#define TEST_THREADS_DRIVER_H

#include <linux/virtio_blk.h>
#include <linux/virtio_net.h>
#include <linux/virtio_pmem.h>
#include <linux/virtio_ring.h>

#include "board.h"
#include "lkvm/pci.h"
#include "lkvm/virtio.h"
#include "p9.h"
#include "pmem.h"
#include "port.h"
#include "ring.h"

static inline void driver_init(struct driver *d, struct board *b, enum kind kind, u32 id, u64 seed,
			       struct port port)
{
	memset(d, 0, sizeof(*d));
	d->b = b;
	d->kind = kind;
	d->id = id;
	d->seed = seed;
	d->port = port;
	d->nr_queues = kind == NET || kind == CON ? 2 : 1;
	d->next_seq = 1;
	d->certain = 1;
	pthread_mutex_init(&d->lock, NULL);
	for (u16 i = 0; i < d->nr_queues; i++) {
		struct dqueue *q = &d->q[i];

		q->index = i;
		q->gpa = RAM_BASE + (id * QUEUES + i) * AREA;
		q->mem = b->ram + (q->gpa - RAM_BASE);
		memset(q->mem, SCRIBBLE, AREA);
	}
}

static inline bool receives(const struct driver *d, const struct dqueue *q)
{
	return (d->kind == NET || d->kind == CON) && q->index == RX;
}

/* Stopping */

/* The queue is the driver's again: it may use the memory for something else. */
static inline void forget_queue(struct driver *d, struct dqueue *q)
{
	for (u32 s = 0; s < SLOTS; s++) {
		if (q->slots[s].busy && d->kind == BLK && q->slots[s].op == VIRTIO_BLK_T_OUT)
			d->written[s] = 0;
		if (q->slots[s].busy && d->kind == P9)
			p9_forget(d, q, s);
	}
	d->client = (struct client){ .dropped = d->client.dropped };
	memset(q->mem, SCRIBBLE, AREA);
	memset(q->slots, 0, sizeof(q->slots));
	q->busy = 0;
	q->live = false;
	d->stops++;
}

static inline void check_untouched(struct driver *d, const struct dqueue *q)
{
	for (u64 i = 0; i < AREA; i++)
		must(q->mem[i] == SCRIBBLE, "device %u wrote to its stopped queue %u at %llx",
		     d->id, q->index, i);
}

/* All its queues are stopped: by itself, or by a reset of the machine. */
static inline void driver_forget(struct driver *d)
{
	for (u16 i = 0; i < d->nr_queues; i++)
		if (d->q[i].live)
			forget_queue(d, &d->q[i]);
	d->up = false;
	d->msix = false;
	d->rest = below(&d->seed, 20);
}

static inline void driver_down(struct driver *d)
{
	port_reset(&d->port);
	pthread_mutex_lock(&d->lock);
	driver_forget(d);
	pthread_mutex_unlock(&d->lock);
}

static inline void stop_queue(struct driver *d, struct dqueue *q)
{
	port_stop_queue(&d->port, q->index);
	forget_queue(d, q);
}

/* Starting */

static inline void start_queue(struct driver *d, struct dqueue *q)
{
	check_untouched(d, q);
	memset(q->mem, 0, AREA);
	q->avail_idx = 0;
	q->last_used = 0;
	q->live = true;
	port_start_queue(&d->port, q->index, ENTRIES, q->gpa, q->gpa + AT_AVAIL, q->gpa + AT_USED,
			 d->msix);
	d->certain = d->next_seq;
}

static inline void driver_up(struct driver *d)
{
	u64 features = BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_RING_RESET);

	d->event_idx = rnd(&d->seed) & 1;
	if (d->event_idx)
		features |= BIT_ULL(VIRTIO_RING_F_EVENT_IDX);
	if (d->kind == NET && rnd(&d->seed) & 1)
		features |= BIT_ULL(VIRTIO_NET_F_MRG_RXBUF);
	if (d->kind == BLK)
		features |= BIT_ULL(VIRTIO_BLK_F_FLUSH);
	pthread_mutex_lock(&d->lock);
	d->msix = d->port.pci && rnd(&d->seed) & 1;
	port_interrupts(&d->port, d->msix, d->id * 4, QUEUES + 1);
	pthread_mutex_unlock(&d->lock);
	port_negotiate(&d->port, features, d->msix);
	for (u16 i = 0; i < d->nr_queues; i++) {
		d->q[i].irqs_seen = atomic_load(&d->b->chip.messages[d->id * 4 + i + 1u]);
		start_queue(d, &d->q[i]);
	}
	port_set_status(&d->port, 0xf);
	must(port_status(&d->port) == 0xf, "device %u does not start", d->id);
	d->up = true;
}

/* Offering */

/* Each slot has sectors of its own. */
static inline void offer_blk(struct driver *d, struct dqueue *q, u32 s)
{
	static const u32 ops[] = { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_OUT,
				   VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID };
	u32 op = ops[below(&d->seed, ARRAY_SIZE(ops))];
	bool in = op == VIRTIO_BLK_T_IN;
	struct piece p[] = { { 0, 16, false },
			     { SLOT_DATA, DATA_LEN / 2, in },
			     { SLOT_DATA + DATA_LEN / 2, DATA_LEN / 2, in },
			     { SLOT_STATUS, 1, true } };

	put_le(slot_mem(q, s, 0), 4, op);
	put_le(slot_mem(q, s, 8), 8, s * (DATA_LEN / 512));
	*slot_mem(q, s, SLOT_STATUS) = 0xff;
	q->slots[s].op = op;
	q->slots[s].value = (u32)rnd(&d->seed) | 1;
	if (op == VIRTIO_BLK_T_OUT)
		fill(slot_mem(q, s, SLOT_DATA), DATA_LEN, q->slots[s].value);
	if (op == VIRTIO_BLK_T_GET_ID) {
		p[1] = (struct piece){ SLOT_DATA, VIRTIO_BLK_ID_BYTES, true };
		p[2] = p[3];
	} else if (op == VIRTIO_BLK_T_FLUSH) {
		p[1] = p[3];
	}
	offer(d, q, s, p, op == VIRTIO_BLK_T_FLUSH ? 2 : op == VIRTIO_BLK_T_GET_ID ? 3 : 4);
}

static inline void offer_packet(struct driver *d, struct dqueue *q, u32 s)
{
	u32 len = 8 + below(&d->seed, DATA_LEN - 8), seq = d->next_seq++;
	u8 *data = slot_mem(q, s, SLOT_DATA);

	memset(slot_mem(q, s, 0), 0, NET_HDR);
	put_le(data, 4, seq);
	put_le(data + 4, 4, len);
	fill(data + 8, len - 8, seq);
	offer(d, q, s, (struct piece[]){ { 0, NET_HDR, false }, { SLOT_DATA, len, false } }, 2);
}

static inline void offer_slot(struct driver *d, struct dqueue *q, u32 s)
{
	if (receives(d, q)) {
		offer(d, q, s, &(struct piece){ SLOT_DATA, d->kind == NET ? RX_LEN : 100, true },
		      1);
	} else if (d->kind == BLK) {
		offer_blk(d, q, s);
	} else if (d->kind == NET) {
		offer_packet(d, q, s);
	} else if (d->kind == P9) {
		p9_offer(d, q, s);
	} else if (d->kind == PMEM) {
		pmem_offer(d, q, s);
	} else if (d->kind == CON) {
		u32 len = 1 + below(&d->seed, DATA_LEN);

		memset(slot_mem(q, s, SLOT_DATA), 'x', len);
		offer(d, q, s, &(struct piece){ SLOT_DATA, len, false }, 1);
	} else {
		q->slots[s].value = 1 + below(&d->seed, 512);
		offer(d, q, s, &(struct piece){ SLOT_DATA, q->slots[s].value, true }, 1);
	}
}

static inline void offer_some(struct driver *d, struct dqueue *q, u32 n)
{
	for (u32 s = 0; s < SLOTS && n; s++) {
		if (q->slots[s].busy || (d->kind == P9 && !p9_may_offer(d, s)))
			continue;
		offer_slot(d, q, s);
		n--;
	}
}

/* Taking back */

static inline void blk_back(struct driver *d, struct dqueue *q, u32 s, u32 len)
{
	const struct slot *slot = &q->slots[s];
	const u8 *data = slot_mem(q, s, SLOT_DATA);

	must(*slot_mem(q, s, SLOT_STATUS) == VIRTIO_BLK_S_OK, "device %u: operation %u failed",
	     d->id, slot->op);
	if (slot->op == VIRTIO_BLK_T_OUT)
		d->written[s] = slot->value;
	if (slot->op == VIRTIO_BLK_T_IN && d->written[s])
		must(filled(data, DATA_LEN, d->written[s]), "device %u: slot %u reads wrong", d->id,
		     s);
}

/* In order, whole, and none is missing but those that were under way at a stop. */
static inline void packet_back(struct driver *d, struct dqueue *q, u32 s, u32 used)
{
	const u8 *data = slot_mem(q, s, SLOT_DATA) + NET_HDR;
	u32 seq = (u32)get_le(data, 4), len = (u32)get_le(data + 4, 4);

	must(used == NET_HDR + len && len <= DATA_LEN && filled(data + 8, len - 8, seq),
	     "device %u: packet %u is damaged", d->id, seq);
	must(seq > d->last_seq && seq < d->next_seq, "device %u: packet %u after %u", d->id, seq,
	     d->last_seq);
	must(seq == d->last_seq + 1 || seq <= d->certain, "device %u: packet %u after %u of %u",
	     d->id, seq, d->last_seq, d->certain);
	d->last_seq = seq;
}

static inline void take_back(struct driver *d, struct dqueue *q)
{
	const u8 *e = q->mem + AT_USED + 4 + 8 * (q->last_used % ENTRIES);
	u32 id = __atomic_load_n((const __le32 *)e, __ATOMIC_RELAXED);
	u32 len = __atomic_load_n((const __le32 *)(e + 4), __ATOMIC_RELAXED);
	u32 s = le32_to_cpu(id) / SLOT_DESCS;

	len = le32_to_cpu(len);
	must(s < SLOTS && q->slots[s].busy, "device %u: %u came back, which was not given", d->id,
	     id);
	if (d->kind == BLK)
		blk_back(d, q, s, len);
	else if (d->kind == NET && q->index == RX)
		packet_back(d, q, s, len);
	else if (d->kind == P9)
		p9_back(d, q, s, len);
	else if (d->kind == PMEM)
		pmem_back(d, q, s, len);
	else if (d->kind == RNG)
		must(len && len <= q->slots[s].value, "device %u gave %u bytes", d->id, len);
	q->slots[s].busy = false;
	q->busy--;
	q->last_used++;
	d->done[q->index]++;
}

static inline bool is_back(const struct dqueue *q)
{
	return le16_to_cpu(__atomic_load_n(used16(q, 1), __ATOMIC_SEQ_CST)) != q->last_used;
}

static inline bool interrupted(struct driver *d, struct dqueue *q)
{
	bool poked;

	if (d->msix) {
		u32 n = atomic_load(&d->b->chip.messages[d->id * 4 + q->index + 1u]);

		poked = n != q->irqs_seen;
		q->irqs_seen = n;
		return poked;
	}
	if (atomic_load(&d->b->chip.level[d->port.gsi]) && port_ack(&d->port))
		for (u16 i = 0; i < d->nr_queues; i++)
			d->q[i].poked = true;
	poked = q->poked;
	q->poked = false;
	return poked;
}

static inline void reap(struct driver *d, struct dqueue *q)
{
	if (!q->live || !interrupted(d, q))
		return;
	do {
		while (is_back(q))
			take_back(d, q);
		/* Behind the entries it says when the next interrupt shall come. */
		if (d->event_idx)
			__atomic_exchange_n(avail16(q, 2 + ENTRIES), cpu_to_le16(q->last_used),
					    __ATOMIC_SEQ_CST);
	} while (is_back(q));
}

/* What a driver does next */

static inline void disturb(struct driver *d)
{
	struct dqueue *q = &d->q[below(&d->seed, d->nr_queues)];

	switch (below(&d->seed, 8)) {
	case 0:
		driver_down(d);
		break;
	case 1:
	case 2:
	case 3:
		if (q->live)
			stop_queue(d, q);
		break;
	default:
		/* Behind its back nobody reaches the BAR. */
		pthread_mutex_lock(&d->lock);
		port_shake(&d->port, &d->seed);
		pthread_mutex_unlock(&d->lock);
	}
}

/* QUIET: nothing is stopped, so nobody looks at a queue but who was told to. DRAIN: and nothing is
 * offered that has not to be. */
enum mode { WILD, QUIET, DRAIN };

static inline void driver_step(struct driver *d, enum mode mode)
{
	if (!d->up) {
		if (d->rest && mode == WILD)
			d->rest--;
		else
			driver_up(d);
		return;
	}
	if (mode == WILD && !below(&d->seed, 40))
		disturb(d);
	for (u16 i = 0; i < d->nr_queues && d->up; i++) {
		struct dqueue *q = &d->q[i];

		if (!q->live) {
			if (mode != WILD || !below(&d->seed, 8))
				start_queue(d, q);
			continue;
		}
		reap(d, q);
		if (receives(d, q))
			offer_some(d, q, SLOTS);
		else if (mode != DRAIN)
			offer_some(d, q, below(&d->seed, 4));
		else if (d->next_seq == d->certain && d->kind == NET && d->q[RX].live)
			offer_some(d, q, 1);
	}
}

/* Is everything back that was given, and everything here that was sent? */
static inline bool driver_settled(const struct driver *d)
{
	if (!d->up)
		return false;
	for (u16 i = 0; i < d->nr_queues; i++)
		if (!d->q[i].live || (!receives(d, &d->q[i]) && d->q[i].busy))
			return false;
	return d->kind != NET || (d->next_seq > d->certain && d->last_seq == d->next_seq - 1);
}

#endif
