/* SPDX-License-Identifier: MIT */
/* Split rings (VIRTIO 1.3, 2.7) as a driver fills them, and what it keeps in mind of a device. */
#ifndef TEST_THREADS_RING_H
#define TEST_THREADS_RING_H

#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>

#include "board.h"
#include "port.h"

/* Memory of a queue: the rings, then a place for each request. */
#define AREA	    0x10000ULL
#define QUEUES	    2
#define ENTRIES	    64
#define SLOTS	    16
#define SLOT_DESCS  (ENTRIES / SLOTS)
#define AT_AVAIL    0x400ULL
#define AT_USED	    0x800ULL
#define AT_SLOT(s)  (0x1000ULL + (s)*0x800ULL)
#define SLOT_DATA   0x100ULL
#define SLOT_WRITE  0x500ULL /* P9: data of a request */
#define SLOT_STATUS 0x700ULL
#define DATA_LEN    1024u
#define RX_LEN	    1536u
/* What the driver does with memory that the device has nothing to do with any more. */
#define SCRIBBLE 0xa5

enum kind { BLK, NET, CON, RNG, P9, PMEM, NR_KINDS };
enum { RX, TX }; /* queues of NET and CON */

struct slot {
	bool busy;
	u32 op, value;
};

struct dqueue {
	u16 index;
	bool live;
	u64 gpa;
	u8 *mem;
	u16 avail_idx, last_used;
	u32 irqs_seen;
	bool poked; /* an interrupt came that says no queue */
	u32 busy;
	struct slot slots[SLOTS];
};

/* P9: how far the session has come, and each slot's fid. */
struct client {
	enum { P9_BEGIN, P9_VERSION_KNOWN, P9_READY } phase;
	enum { P9_NO_FILE, P9_PATH, P9_OPEN } stage[SLOTS];
	u32 flushes[SLOTS]; /* that are under way, of the slot's request */
	u64 dropped;
};

struct watched;

struct driver {
	struct board *b;
	enum kind kind;
	u32 id;
	u64 seed;
	struct port port;
	u16 nr_queues;
	bool up, msix, event_idx;
	u32 rest; /* steps that it stays down */
	/* For other vcpus that play with its interrupts: where the BAR is, and whether there are
	 * vectors. */
	pthread_mutex_t lock;
	struct dqueue q[QUEUES];
	u32 written[SLOTS]; /* BLK, P9, PMEM: what is on the disk; 0: who knows */
	struct client client;
	struct watched *pmem;
	/* NET: numbers of packets. Those from @certain on must arrive. */
	u32 next_seq, last_seq, certain;
	u64 done[QUEUES], stops;
};

static inline struct vring_desc *descs(const struct dqueue *q)
{
	return (struct vring_desc *)q->mem;
}

static inline __le16 *avail16(const struct dqueue *q, u32 i)
{
	return (__le16 *)(q->mem + AT_AVAIL) + i;
}

static inline __le16 *used16(const struct dqueue *q, u32 i)
{
	return (__le16 *)(q->mem + AT_USED) + i;
}

struct piece {
	u64 at; /* in the slot */
	u32 len;
	bool in;
};

/* Does the device want to hear of the entry that was just made available? */
static inline bool wants_kick(const struct driver *d, const struct dqueue *q)
{
	u16 event;

	/* As in the device, but where ThreadSanitizer sees it. */
	__atomic_fetch_add(avail16(q, 1), 0, __ATOMIC_SEQ_CST);
	if (!d->event_idx)
		return !(le16_to_cpu(__atomic_load_n(used16(q, 0), __ATOMIC_SEQ_CST)) &
			 VRING_USED_F_NO_NOTIFY);
	event = le16_to_cpu(__atomic_load_n(used16(q, 2 + ENTRIES * 4), __ATOMIC_SEQ_CST));
	return event == (u16)(q->avail_idx - 1);
}

static inline void offer(struct driver *d, struct dqueue *q, u32 s, const struct piece *pieces,
			 u32 n)
{
	u16 head = (u16)(s * SLOT_DESCS);

	for (u32 i = 0; i < n; i++) {
		descs(q)[head + i] = (struct vring_desc){
			.addr = cpu_to_le64(q->gpa + AT_SLOT(s) + pieces[i].at),
			.len = cpu_to_le32(pieces[i].len),
			.flags = cpu_to_le16((pieces[i].in ? VRING_DESC_F_WRITE : 0) |
					     (i + 1 < n ? VRING_DESC_F_NEXT : 0)),
			.next = cpu_to_le16(head + i + 1),
		};
	}
	q->slots[s].busy = true;
	q->busy++;
	__atomic_store_n(avail16(q, 2u + q->avail_idx % ENTRIES), cpu_to_le16(head),
			 __ATOMIC_RELAXED);
	q->avail_idx++;
	__atomic_store_n(avail16(q, 1), cpu_to_le16(q->avail_idx), __ATOMIC_SEQ_CST);
	if (wants_kick(d, q))
		port_kick(&d->port, q->index);
}

static inline u8 *slot_mem(const struct dqueue *q, u32 s, u64 at)
{
	return q->mem + AT_SLOT(s) + at;
}

static inline void fill(u8 *p, u32 len, u32 value)
{
	for (u32 i = 0; i + 4 <= len; i += 4)
		put_le(p + i, 4, value + i);
}

static inline bool filled(const u8 *p, u32 len, u32 value)
{
	for (u32 i = 0; i + 4 <= len; i += 4)
		if (get_le(p + i, 4) != value + i)
			return false;
	return true;
}

#endif
