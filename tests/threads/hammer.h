/* SPDX-License-Identifier: MIT */
/*
 * What breaks rules: vcpus that write any register at any time. Their virtio devices (victims) have
 * rings and buffers of their own, which nobody changes once they are laid out, so that whatever the
 * registers say there is one writer to a byte. To choose a queue and to say where it lies takes
 * several writes: they are made under a lock, as is all that would tear them apart.
 */
#ifndef TEST_THREADS_HAMMER_H
#define TEST_THREADS_HAMMER_H

#include "board.h"
#include "driver.h"
#include "port.h"

/* Memory that comes and goes: victims have buffers there, vcpus write to it. */
#define EXTRA	   (RAM_BASE + 0x4000000ULL)
#define EXTRA_SIZE 0x40000ULL
#define EXTRA_OWN  0x30000ULL /* behind the victims' */
/* Of so many of victims' queues, two pages each. */
#define EXTRA_QUEUES (2 * NR_KINDS * QUEUES)
_Static_assert(EXTRA_QUEUES * 2 * 0x1000 <= EXTRA_OWN, "each has pages of its own");

struct victim {
	struct board *b;
	enum kind kind;
	u32 id;
	struct port port; /* the base, at the time of the last look */
	u32 window_cap;
	pthread_mutex_t lock;
};

static inline void lay_out_chain(u8 *mem, u64 gpa, u32 s, const struct piece *pieces, u32 n,
				 u64 extra)
{
	for (u32 i = 0; i < n; i++) {
		u32 at = s * SLOT_DESCS + i;

		((struct vring_desc *)mem)[at] = (struct vring_desc){
			.addr = cpu_to_le64(pieces[i].at == SLOT_DATA && s % 8 == 7
						    ? extra
						    : gpa + AT_SLOT(s) + pieces[i].at),
			.len = cpu_to_le32(pieces[i].len),
			.flags = cpu_to_le16((pieces[i].in ? VRING_DESC_F_WRITE : 0) |
					     (i + 1 < n ? VRING_DESC_F_NEXT : 0)),
			.next = cpu_to_le16(at + 1),
		};
	}
}

/* As many requests as there is room for, all available; the last of each eight in memory that may
 * not be there. */
static inline void lay_out(struct victim *v, u16 q)
{
	u64 gpa = RAM_BASE + (v->id * QUEUES + q) * AREA;
	u8 *mem = v->b->ram + (gpa - RAM_BASE);
	__le16 *avail = (__le16 *)(mem + AT_AVAIL);

	memset(mem, 0, AREA);
	for (u32 s = 0; s < SLOTS; s++) {
		u64 extra = EXTRA + ((v->id * QUEUES + q) % EXTRA_QUEUES * 2 + s / 8) * 0x1000;
		bool in = v->kind == RNG || q == RX;

		if (v->kind == BLK) {
			put_le(mem + AT_SLOT(s), 4, s % 3 ? s & 1 : s % 12);
			put_le(mem + AT_SLOT(s) + 8, 8, s * 2);
			in = !(s % 3 ? s & 1 : 0);
			lay_out_chain(mem, gpa, s,
				      (struct piece[]){ { 0, 16, false },
							{ SLOT_DATA, DATA_LEN, in },
							{ SLOT_STATUS, 1, true } },
				      3, extra);
		} else if (v->kind == P9 || v->kind == PMEM) {
			/* Of pmem each third is no flush. */
			u32 len = v->kind == P9 ? p9_lay_out(mem + AT_SLOT(s), s) : 4;

			if (v->kind == PMEM)
				put_le(mem + AT_SLOT(s), 4, !(s % 3));
			lay_out_chain(mem, gpa, s,
				      (struct piece[]){ { 0, len, false },
							{ SLOT_DATA, DATA_LEN, true } },
				      2, extra);
		} else {
			lay_out_chain(mem, gpa, s, &(struct piece){ SLOT_DATA, DATA_LEN, in }, 1,
				      extra);
		}
		avail[2 + s] = cpu_to_le16(s * SLOT_DESCS);
	}
	avail[1] = cpu_to_le16(SLOTS);
}

static inline void victim_init(struct victim *v, struct board *b, enum kind kind, u32 id,
			       struct port port)
{
	*v = (struct victim){ .b = b, .kind = kind, .id = id, .port = port };
	pthread_mutex_init(&v->lock, NULL);
	for (u16 q = 0; q < QUEUES; q++)
		lay_out(v, q);
	if (!port.pci)
		return;
	/* The last of its vendor's capabilities is the window of 4.1.4.9. */
	for (u32 at = (u32)get(&port, port.ecam + PCI_CAPABILITY_LIST, 1); at;
	     at = (u32)get(&port, port.ecam + at + 1, 1))
		if (get(&port, port.ecam + at, 1) == PCI_CAP_ID_VNDR)
			v->window_cap = at;
}

/* Did it ever get as far as to do some work? */
static inline bool victim_served(const struct victim *v)
{
	u64 area = (v->id * QUEUES + (v->kind == CON ? TX : 0)) * AREA;

	return get_le(v->b->ram + area + AT_USED + 2, 2);
}

/* Where it is now, as far as this vcpu knows. */
static inline struct port look(struct victim *v)
{
	struct port p = v->port;

	if (p.pci)
		p.base = get(&p, p.ecam + PCI_BASE_ADDRESS_0, 4) & ~0xfULL;
	return p;
}

static inline void poke(struct port *p, u64 pci_reg, u64 mmio_reg, u32 len, u64 value)
{
	put(p, p->base + (p->pci ? pci_reg : mmio_reg), p->pci ? len : 4, value);
}

/* Under lock. */
static inline void give_queue(struct victim *v, struct port *p, u16 q)
{
	u64 gpa = RAM_BASE + (v->id * QUEUES + q) * AREA;

	poke(p, VIRTIO_PCI_COMMON_Q_SELECT, VIRTIO_MMIO_QUEUE_SEL, 2, q);
	poke(p, VIRTIO_PCI_COMMON_Q_SIZE, VIRTIO_MMIO_QUEUE_NUM, 2, ENTRIES);
	for (u32 half = 0; half < 2; half++) {
		u32 at = half * 4, shift = half * 32;

		poke(p, VIRTIO_PCI_COMMON_Q_DESCLO + at, VIRTIO_MMIO_QUEUE_DESC_LOW + at, 4,
		     (u32)(gpa >> shift));
		poke(p, VIRTIO_PCI_COMMON_Q_AVAILLO + at, VIRTIO_MMIO_QUEUE_AVAIL_LOW + at, 4,
		     (u32)((gpa + AT_AVAIL) >> shift));
		poke(p, VIRTIO_PCI_COMMON_Q_USEDLO + at, VIRTIO_MMIO_QUEUE_USED_LOW + at, 4,
		     (u32)((gpa + AT_USED) >> shift));
	}
	poke(p, VIRTIO_PCI_COMMON_Q_MSIX, MMIO_QUEUE_RESET, 2, q);
	poke(p, VIRTIO_PCI_COMMON_Q_ENABLE, VIRTIO_MMIO_QUEUE_READY, 2, 1);
}

/* Under lock. */
static inline void victim_begin(struct victim *v, struct port *p, u64 *seed)
{
	static const u8 status[] = { 0, 1, 3, 0xb };
	u64 features = rnd(seed) & BIT_ULL(VIRTIO_RING_F_EVENT_IDX);

	features |= BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_RING_RESET);
	for (size_t i = 0; i < ARRAY_SIZE(status); i++) {
		for (u32 word = 0; word < 2 && i == 3; word++) {
			poke(p, VIRTIO_PCI_COMMON_GFSELECT, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 4,
			     word);
			poke(p, VIRTIO_PCI_COMMON_GF, VIRTIO_MMIO_DRIVER_FEATURES, 4,
			     (u32)(features >> (32 * word)));
		}
		poke(p, VIRTIO_PCI_COMMON_STATUS, VIRTIO_MMIO_STATUS, 1, status[i]);
	}
	for (u16 q = 0; q < QUEUES; q++)
		if (below(seed, 8))
			give_queue(v, p, q);
	poke(p, VIRTIO_PCI_COMMON_STATUS, VIRTIO_MMIO_STATUS, 1, 0xf);
}

/* Under lock. */
static inline void victim_change(struct victim *v, struct port *p, u64 *seed)
{
	u16 q = (u16)below(seed, QUEUES + 1) % QUEUES;

	switch (below(seed, 6)) {
	case 0:
		poke(p, VIRTIO_PCI_COMMON_STATUS, VIRTIO_MMIO_STATUS, 1, 0);
		break;
	case 1:
		poke(p, VIRTIO_PCI_COMMON_Q_SELECT, VIRTIO_MMIO_QUEUE_SEL, 2, q);
		if (p->pci || rnd(seed) & 1)
			poke(p, VIRTIO_PCI_COMMON_Q_RESET, MMIO_QUEUE_RESET, 2, 1);
		else
			put(p, p->base + VIRTIO_MMIO_QUEUE_READY, 4, 0);
		break;
	case 2:
		give_queue(v, p, q);
		break;
	case 3:
		if (!p->pci)
			break;
		put(p, p->ecam + PCI_COMMAND, 2, rnd(seed) & 0x7ff);
		if (rnd(seed) & 1)
			put(p, p->ecam + PCI_BASE_ADDRESS_0, 4, p->bars[rnd(seed) & 1]);
		put(p, p->ecam + PCI_COMMAND, 2, COMMAND_ON);
		break;
	default:
		if (p->pci)
			put(p, p->ecam + PCI_COMMAND, 2, COMMAND_ON);
		victim_begin(v, p, seed);
	}
}

/* The registers beside those of queues, with no lock. */
static inline void victim_pci(struct victim *v, struct port *p, u64 *seed)
{
	static const u32 parts[] = { AT_ISR, AT_CONFIG, AT_NOTIFY, AT_TABLE };
	u64 cap = p->ecam + v->window_cap;
	u32 len = 1u << below(seed, 3);

	switch (below(seed, 5)) {
	case 0:
		put(p, p->base + AT_TABLE + below(seed, 12) * 4, 4, rnd(seed));
		break;
	case 1:
		get(p, p->base + AT_PBA, 8);
		get(p, p->base + AT_TABLE + below(seed, 12) * 4, 4);
		break;
	case 2:
		put(p, p->ecam + p->msix_cap + PCI_MSIX_FLAGS, 2, rnd(seed));
		break;
	case 3:
		get(p, p->ecam + below(seed, 64) * 4, 4);
		put(p, p->ecam + PCI_INTERRUPT_LINE, 1, rnd(seed));
		break;
	default:
		put(p, cap + VIRTIO_PCI_CAP_LENGTH, 4, len);
		put(p, cap + VIRTIO_PCI_CAP_OFFSET, 4,
		    parts[below(seed, ARRAY_SIZE(parts))] + below(seed, 16) * len);
		if (rnd(seed) & 1)
			get(p, cap + 16, len);
		else
			put(p, cap + 16, len, rnd(seed));
	}
}

static inline void victim_step(struct victim *v, u64 *seed)
{
	struct port p = look(v);
	u64 config = p.base + (p.pci ? AT_CONFIG : VIRTIO_MMIO_CONFIG);
	u32 len = 1u << below(seed, 4);

	switch (below(seed, 8)) {
	case 0:
		poke(&p, VIRTIO_PCI_COMMON_STATUS, VIRTIO_MMIO_STATUS, 1,
		     (rnd(seed) & 0xff) | VIRTIO_CONFIG_S_ACKNOWLEDGE);
		break;
	case 1:
		get(&p, config + below(seed, 64), len);
		put(&p, config + below(seed, 64), len, rnd(seed));
		break;
	case 2:
	case 3:
		poke(&p, AT_NOTIFY + below(seed, 4) * 4, VIRTIO_MMIO_QUEUE_NOTIFY, 2,
		     below(seed, 4));
		break;
	case 4:
		get(&p, p.base + (p.pci ? below(seed, 64) : below(seed, 64) * 4), p.pci ? 1 : 4);
		port_status(&p);
		break;
	case 5:
		if (p.pci)
			victim_pci(v, &p, seed);
		else
			put(&p, p.base + VIRTIO_MMIO_INTERRUPT_ACK, 4, rnd(seed));
		break;
	default:
		pthread_mutex_lock(&v->lock);
		p = look(v);
		victim_change(v, &p, seed);
		pthread_mutex_unlock(&v->lock);
	}
}

/* Another vcpu plays with what a driver that keeps the rules has, and leaves it as it was. */
static inline void bother(struct driver *d, u64 *seed)
{
	struct port *p = &d->port;
	u32 v = below(seed, QUEUES + 1);

	get(p, p->pci ? p->ecam + below(seed, 64) * 4 : p->base + VIRTIO_MMIO_CONFIG, 4);
	if (!p->pci)
		return;
	put(p, p->ecam + PCI_COMMAND + 1, 1, PCI_COMMAND_INTX_DISABLE >> 8);
	put(p, p->ecam + PCI_COMMAND + 1, 1, 0);
	pthread_mutex_lock(&d->lock);
	if (d->msix && rnd(seed) & 1) {
		put(p, p->base + AT_TABLE + v * 16 + 12, 4, 1);
		get(p, p->base + AT_PBA, 8);
		put(p, p->base + AT_TABLE + v * 16 + 12, 4, 0);
	} else if (d->msix) {
		put(p, p->ecam + p->msix_cap + PCI_MSIX_FLAGS, 2,
		    PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
		put(p, p->ecam + p->msix_cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	}
	/* Notifications that nobody needs. */
	if (p->base)
		put(p, p->base + AT_NOTIFY + v * 4, 2, v);
	pthread_mutex_unlock(&d->lock);
}

#endif
