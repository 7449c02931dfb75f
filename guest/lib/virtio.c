/* SPDX-License-Identifier: MIT */
/* A driver's half of virtio; see virtio.h. */
#include "virtio.h"

#include "pci.h"

/* 4.1.4.3 */
enum {
	C_DFSELECT = 0,
	C_DF = 4,
	C_GFSELECT = 8,
	C_GF = 12,
	C_MSIX = 16,
	C_STATUS = 20,
	C_Q_SELECT = 22,
	C_Q_SIZE = 24,
	C_Q_MSIX = 26,
	C_Q_ENABLE = 28,
	C_Q_NOFF = 30,
	C_Q_DESC = 32,
	C_Q_AVAIL = 40,
	C_Q_USED = 48,
};

/* 4.2.2 */
enum {
	M_MAGIC = 0x0,
	M_ID = 0x8,
	M_DF = 0x10,
	M_DFSELECT = 0x14,
	M_GF = 0x20,
	M_GFSELECT = 0x24,
	M_Q_SELECT = 0x30,
	M_Q_MAX = 0x34,
	M_Q_SIZE = 0x38,
	M_Q_READY = 0x44,
	M_NOTIFY = 0x50,
	M_ISR = 0x60,
	M_ACK = 0x64,
	M_STATUS = 0x70,
	M_Q_DESC = 0x80,
	M_Q_AVAIL = 0x90,
	M_Q_USED = 0xa0,
	M_CONFIG = 0x100,
};

enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };

/* PCI configuration space by ECAM */

/* Give the BAR an address if nobody has. */
static u64 bar_address(u64 fn, u32 bar)
{
	static u64 next;
	u64 reg = fn + 0x10 + 4 * bar;
	u32 low = read32(reg), size;

	if (low & ~0xfu)
		return (low & ~0xfu) | ((low & 4) ? (u64)read32(reg + 4) << 32 : 0);
	write32(reg, ~0u);
	size = ~(read32(reg) & ~0xfu) + 1;
	if (!next)
		next = arch_pci_window();
	next = (next + size - 1) & ~((u64)size - 1);
	write32(reg, (u32)next);
	if (low & 4)
		write32(reg + 4, 0);
	next += size;
	return next - size;
}

static void read_capability(struct virtio *v, u64 fn, u64 cap)
{
	u64 at;

	if (read8(cap) == 0x11) { /* MSI-X */
		u32 table = read32(cap + 4);

		u32 pending = read32(cap + 8);

		v->msix = bar_address(fn, table & 7) + (table & ~7u);
		v->msix_pending = bar_address(fn, pending & 7) + (pending & ~7u);
		v->msix_cap = cap;
		return;
	}
	if (read8(cap) != 0x09) /* vendor: 4.1.4 */
		return;
	at = bar_address(fn, read8(cap + 4)) + read32(cap + 8);
	switch (read8(cap + 3)) {
	case 1:
		v->common = at;
		break;
	case 2:
		v->notify = at;
		v->notify_multiplier = read32(cap + 16);
		break;
	case 3:
		v->isr = at;
		break;
	case 4:
		v->config = at;
		break;
	}
}

static bool find_pci(struct virtio *v, u32 id, u32 nth)
{
	/* Who opens one after the other goes on where the last one was found. */
	static struct pci_scan s;
	static u32 last_id, after;

	if (id != last_id || nth < after || !nth) {
		memset(&s, 0, sizeof(s));
		after = 0;
	}
	last_id = id;
	while (pci_next(&s)) {
		u64 fn = s.fn;

		if (read32(fn) != (0x1af4 | (0x1040 + id) << 16) || nth != after++)
			continue;
		v->pci = true;
		v->requester = pci_requester(&s);
		v->irq = pci_line(&s);
		write16(fn + 4, 0); /* the BARs move */
		for (u8 cap = read8(fn + 0x34); cap; cap = read8(fn + cap + 1))
			read_capability(v, fn, fn + cap);
		write16(fn + 4, 6); /* memory, bus master */
		return v->common && v->notify;
	}
	return false;
}

static bool find_mmio(struct virtio *v, u32 id, u32 nth)
{
	u64 base;
	u32 irq;

	for (u32 i = 0; arch_virtio_mmio(i, &base, &irq); i++) {
		if (read32(base + M_MAGIC) != 0x74726976 || read32(base + M_ID) != id || nth--)
			continue;
		v->line = true;
		v->common = base;
		v->config = base + M_CONFIG;
		v->irq = irq;
		return true;
	}
	return false;
}

static void set_status(struct virtio *v, u8 status)
{
	if (v->pci)
		write8(v->common + C_STATUS, status);
	else
		write32(v->common + M_STATUS, status);
}

u8 virtio_status(struct virtio *v)
{
	return v->pci ? read8(v->common + C_STATUS) : (u8)read32(v->common + M_STATUS);
}

void virtio_reset(struct virtio *v)
{
	set_status(v, 0);
	while (virtio_status(v))
		arch_pause();
	memset(v->q, 0, sizeof(v->q));
	set_status(v, ACKNOWLEDGE);
	set_status(v, ACKNOWLEDGE | DRIVER);
}

bool virtio_open(struct virtio *v, u32 id, u32 nth)
{
	memset(v, 0, sizeof(*v));
	if (!find_pci(v, id, nth) && !find_mmio(v, id, nth))
		return false;
	virtio_reset(v);
	return true;
}

u64 virtio_offered(struct virtio *v)
{
	u64 features = 0;

	for (u32 i = 0; i < 2; i++) {
		write32(v->common + (v->pci ? C_DFSELECT : M_DFSELECT), i);
		features |= (u64)read32(v->common + (v->pci ? C_DF : M_DF)) << (32 * i);
	}
	return features;
}

bool virtio_negotiate(struct virtio *v, u64 wanted)
{
	wanted |= 1ULL << 32;
	v->features = wanted;
	for (u32 i = 0; i < 2; i++) {
		write32(v->common + (v->pci ? C_GFSELECT : M_GFSELECT), i);
		write32(v->common + (v->pci ? C_GF : M_GF), (u32)(wanted >> (32 * i)));
	}
	set_status(v, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	return virtio_status(v) & FEATURES_OK;
}

static void write_addr(u64 reg, const volatile void *p)
{
	write32(reg, (u32)(uintptr_t)p);
	write32(reg + 4, (u32)((uintptr_t)p >> 32));
}

/* By a message if they go somewhere, else by the line. */
static bool pci_interrupt(struct virtio *v, u32 q)
{
	u64 entry = v->msix + 16 * q, addr;
	u32 data;

	v->line = !v->msix || !arch_msi_message(VQ_VECTOR + q, v->requester, &addr, &data);
	if (v->msix)
		write16(v->msix_cap + 2, v->line ? 0 : 0x8000); /* enabled, not masked */
	if (v->line) {
		arch_route_irq(v->irq, VQ_VECTOR, false);
		return true;
	}
	write32(entry, (u32)addr);
	write32(entry + 4, (u32)(addr >> 32));
	write32(entry + 8, data);
	write32(entry + 12, 0);
	write16(v->common + C_Q_MSIX, (u16)q);
	return read16(v->common + C_Q_MSIX) == q;
}

/* Split rings have a power of two (2.7): all that the device offers, as far as there is room. */
static bool choose_size(struct vq *vq, u32 max)
{
	vq->size = (u16)(max < VQ_SIZE ? max : VQ_SIZE);
	return vq->size && !(vq->size & (vq->size - 1));
}

static bool pci_queue(struct virtio *v, u32 q, bool interrupts)
{
	const volatile void *parts[3];
	u64 c = v->common;

	write16(c + C_Q_SELECT, (u16)q);
	if (!choose_size(&v->q[q], read16(c + C_Q_SIZE)))
		return false;
	write16(c + C_Q_SIZE, v->q[q].size);
	if (interrupts && !pci_interrupt(v, q))
		return false;
	vq_parts(v, q, parts);
	write_addr(c + C_Q_DESC, parts[0]);
	write_addr(c + C_Q_AVAIL, parts[1]);
	write_addr(c + C_Q_USED, parts[2]);
	v->q[q].notify_addr = v->notify + (u64)read16(c + C_Q_NOFF) * v->notify_multiplier;
	write16(c + C_Q_ENABLE, 1);
	return read16(c + C_Q_ENABLE);
}

static bool mmio_queue(struct virtio *v, u32 q, bool interrupts)
{
	const volatile void *parts[3];
	u64 c = v->common;

	write32(c + M_Q_SELECT, q);
	if (!choose_size(&v->q[q], read32(c + M_Q_MAX)))
		return false;
	write32(c + M_Q_SIZE, v->q[q].size);
	if (interrupts)
		arch_route_irq(v->irq, VQ_VECTOR, false);
	vq_parts(v, q, parts);
	write_addr(c + M_Q_DESC, parts[0]);
	write_addr(c + M_Q_AVAIL, parts[1]);
	write_addr(c + M_Q_USED, parts[2]);
	v->q[q].notify_addr = c + M_NOTIFY;
	v->q[q].wide = true;
	write32(c + M_Q_READY, 1);
	return read32(c + M_Q_READY);
}

bool virtio_queue(struct virtio *v, u32 q, bool interrupts)
{
	bool ok;

	vq_begin(v, q);
	ok = v->pci ? pci_queue(v, q, interrupts) : mmio_queue(v, q, interrupts);
	vq_interrupts(v, q, interrupts);
	return ok;
}

void virtio_driver_ok(struct virtio *v)
{
	set_status(v, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

u32 virtio_ack(struct virtio *v)
{
	u32 reasons;

	if (v->pci)
		return read8(v->isr);
	reasons = read32(v->common + M_ISR);
	write32(v->common + M_ACK, reasons);
	return reasons;
}
