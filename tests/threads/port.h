/* SPDX-License-Identifier: MIT */
/* The registers of a virtio device as a driver writes them, over PCI (VIRTIO 1.3, 4.1) or MMIO
 * (4.2). */
#ifndef TEST_THREADS_PORT_H
#define TEST_THREADS_PORT_H

#include <linux/pci.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>
#include <sched.h>

#include "board.h"

#define NET_HDR 12u

#ifndef VIRTIO_PCI_COMMON_Q_RESET
#define VIRTIO_PCI_COMMON_Q_RESET 58 /* 4.1.4.3, not in older headers */
#endif
#define MMIO_QUEUE_RESET 0x0c0 /* 4.2.2, likewise */

/* Parts of the BAR. */
#define AT_ISR	  0x1000
#define AT_CONFIG 0x2000
#define AT_NOTIFY 0x3000
#define AT_TABLE  0x4000
#define AT_PBA	  0x5000
#define BAR_SIZE  0x8000ULL

#define COMMAND_ON (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

struct port {
	struct vm *vm;
	bool pci;
	u64 base;    /* of the registers, or where the BAR is */
	u64 ecam;    /* PCI: its configuration space */
	u64 bars[2]; /* PCI: places for the BAR that are its own */
	u32 msix_cap;
	u32 gsi;
};

static inline u64 get(struct port *p, u64 addr, u32 len)
{
	u8 data[8];

	bus_read(&p->vm->mmio, addr, data, len);
	return get_le(data, len);
}

static inline bool put(struct port *p, u64 addr, u32 len, u64 value)
{
	u8 data[8];

	put_le(data, len, value);
	return bus_write(&p->vm->mmio, addr, data, len);
}

static inline u32 port_find_cap(struct port *p, u8 id)
{
	u32 at = (u32)get(p, p->ecam + PCI_CAPABILITY_LIST, 1);

	while (at && get(p, p->ecam + at, 1) != id)
		at = (u32)get(p, p->ecam + at + 1, 1);
	must(at, "no capability %u", id);
	return at;
}

/* For those that know where the BAR is: there is always somebody. */
static inline void put_reg(struct port *p, u64 reg, u32 len, u64 value)
{
	must(put(p, p->base + reg, len, value), "nobody is at %llx", p->base + reg);
}

static inline u8 port_status(struct port *p)
{
	return (u8)(p->pci ? get(p, p->base + VIRTIO_PCI_COMMON_STATUS, 1)
			   : get(p, p->base + VIRTIO_MMIO_STATUS, 4));
}

static inline void port_set_status(struct port *p, u8 status)
{
	if (p->pci)
		put_reg(p, VIRTIO_PCI_COMMON_STATUS, 1, status);
	else
		put_reg(p, VIRTIO_MMIO_STATUS, 4, status);
}

static inline void port_reset(struct port *p)
{
	port_set_status(p, 0);
	while (port_status(p))
		sched_yield();
}

static inline void port_select(struct port *p, u16 q)
{
	if (p->pci)
		put_reg(p, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
	else
		put_reg(p, VIRTIO_MMIO_QUEUE_SEL, 4, q);
}

static inline void port_stop_queue(struct port *p, u16 q)
{
	port_select(p, q);
	if (p->pci) {
		put_reg(p, VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
		while (get(p, p->base + VIRTIO_PCI_COMMON_Q_RESET, 2))
			sched_yield();
		must(!get(p, p->base + VIRTIO_PCI_COMMON_Q_ENABLE, 2), "a stopped queue is on");
	} else {
		put_reg(p, VIRTIO_MMIO_QUEUE_READY, 4, 0);
		while (get(p, p->base + VIRTIO_MMIO_QUEUE_READY, 4))
			sched_yield();
	}
}

static inline void put_address(struct port *p, u64 low, u64 high, u64 value)
{
	put_reg(p, low, 4, (u32)value);
	put_reg(p, high, 4, value >> 32);
}

static inline void port_start_queue(struct port *p, u16 q, u16 size, u64 desc, u64 avail, u64 used,
				    bool msix)
{
	port_select(p, q);
	if (p->pci) {
		put_reg(p, VIRTIO_PCI_COMMON_Q_SIZE, 2, size);
		put_address(p, VIRTIO_PCI_COMMON_Q_DESCLO, VIRTIO_PCI_COMMON_Q_DESCHI, desc);
		put_address(p, VIRTIO_PCI_COMMON_Q_AVAILLO, VIRTIO_PCI_COMMON_Q_AVAILHI, avail);
		put_address(p, VIRTIO_PCI_COMMON_Q_USEDLO, VIRTIO_PCI_COMMON_Q_USEDHI, used);
		put_reg(p, VIRTIO_PCI_COMMON_Q_MSIX, 2, msix ? q + 1u : 0xffff);
		put_reg(p, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	} else {
		put_reg(p, VIRTIO_MMIO_QUEUE_NUM, 4, size);
		put_address(p, VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_DESC_HIGH, desc);
		put_address(p, VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, avail);
		put_address(p, VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_MMIO_QUEUE_USED_HIGH, used);
		put_reg(p, VIRTIO_MMIO_QUEUE_READY, 4, 1);
	}
}

static inline void port_negotiate(struct port *p, u64 features, bool msix)
{
	port_reset(p);
	port_set_status(p, 0x3);
	for (u32 i = 0; i < 2; i++) {
		u64 sel = p->pci ? VIRTIO_PCI_COMMON_GFSELECT : VIRTIO_MMIO_DRIVER_FEATURES_SEL;
		u64 word = p->pci ? VIRTIO_PCI_COMMON_GF : VIRTIO_MMIO_DRIVER_FEATURES;

		put_reg(p, sel, 4, i);
		put_reg(p, word, 4, (u32)(features >> (32 * i)));
	}
	port_set_status(p, 0xb);
	must(port_status(p) == 0xb, "features are refused");
	if (p->pci)
		put_reg(p, VIRTIO_PCI_COMMON_MSIX, 2, msix ? 0 : 0xffff);
}

/* Memory, bus mastering, and vectors @first and up, or none. */
static inline void port_interrupts(struct port *p, bool msix, u32 first, u32 nr)
{
	if (!p->pci)
		return;
	put(p, p->ecam + PCI_COMMAND, 1, COMMAND_ON);
	p->base = get(p, p->ecam + PCI_BASE_ADDRESS_0, 4) & ~0xfULL;
	put(p, p->ecam + p->msix_cap + PCI_MSIX_FLAGS, 2, msix ? PCI_MSIX_FLAGS_ENABLE : 0);
	for (u32 v = 0; v < nr && msix; v++) {
		u64 entry = AT_TABLE + v * 16;

		/* The last vectors may not be there. */
		put(p, p->base + entry, 8, CHIP_DOORBELL);
		put(p, p->base + entry + 8, 4, first + v);
		put(p, p->base + entry + 12, 4, 0);
	}
}

/* Did it interrupt? Says that it was heard. */
static inline bool port_ack(struct port *p)
{
	u32 status;

	if (p->pci)
		return get(p, p->base + AT_ISR, 1);
	status = (u32)get(p, p->base + VIRTIO_MMIO_INTERRUPT_STATUS, 4);
	put_reg(p, VIRTIO_MMIO_INTERRUPT_ACK, 4, status);
	return status;
}

static inline void port_kick(struct port *p, u16 q)
{
	if (p->pci)
		put_reg(p, AT_NOTIFY + q * 4u, 2, q);
	else
		put_reg(p, VIRTIO_MMIO_QUEUE_NOTIFY, 4, q);
}

/* Hide and move the BAR, hold DMA back: all is as it was afterwards, but for the address. */
static inline void port_shake(struct port *p, u64 *seed)
{
	if (!p->pci)
		return;
	put(p, p->ecam + PCI_COMMAND, 1, rnd(seed) & COMMAND_ON);
	/* Let the device get into it. */
	for (u32 n = below(seed, 32); n; n--)
		sched_yield();
	if (rnd(seed) & 1) {
		p->base = p->bars[rnd(seed) & 1];
		put(p, p->ecam + PCI_BASE_ADDRESS_0, 4, p->base);
	}
	put(p, p->ecam + PCI_COMMAND, 1, COMMAND_ON);
}

#endif
