/* SPDX-License-Identifier: MIT */
/* For tests of interrupts of a device that is passed through: the device, a chip that records, and
 * what a driver does. */
#ifndef TEST_VFIO_IRQ_RIG_H
#define TEST_VFIO_IRQ_RIG_H

#include "unit.h"

#include "../../vfio/pci-irqs.h"
#include "../lib/fake_vfio.h"
#include "capture.h"
#include "devvm.h"
#include "irq_chip.h"
#include "lkvm/pci.h"
#include "lkvm/state.h"
#include "vfio_layout.h"

#define RW	(VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)
#define CONFIG	(f.regions[VFIO_PCI_CONFIG_REGION_INDEX].bytes)
#define GSI	17 /* of slot 1, INTA */
#define INTX	VFIO_PCI_INTX_IRQ_INDEX
#define MSI	VFIO_PCI_MSI_IRQ_INDEX
#define MSIX	VFIO_PCI_MSIX_IRQ_INDEX
#define MSI_AT	0x50U
#define MSIX_AT 0x70U
#define EXP_AT	0x80U
#define VECTORS 16U
#define TABLE	(MEM32 + 0x1000)
#define PENDING (MEM32 + 0x1800)
#define MASTER	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

static struct devvm d;
static struct fake_vfio f;
static struct chip chip;
static struct irq_chip_ops ops;

static inline void put(u32 offset, u32 value, u32 len)
{
	put_le(CONFIG + offset, len, value);
}

static inline u32 get(u32 offset, u32 len)
{
	return pci_config_read(d.vm.pci, BDF, offset, len);
}

static inline void set(u32 offset, u32 value, u32 len)
{
	pci_config_write(d.vm.pci, BDF, offset, value, len);
}

static inline u32 mem(u64 addr, u32 len)
{
	u8 data[8];

	bus_read(&d.vm.mmio, addr, data, len);
	return (u32)get_le(data, len);
}

static inline void set_mem(u64 addr, u32 value)
{
	u8 data[4];

	put_le(data, 4, value);
	bus_write(&d.vm.mmio, addr, data, 4);
}

/* A BAR with table and pending bits; MSI of 8 with masks; MSI-X; FLR. */
static inline void device(void)
{
	memset(&chip, 0, sizeof(chip));
	pthread_mutex_init(&chip.lock, NULL);
	chip.max_routes = IRQ_MAX_ROUTES;
	ops = chip_ops;
	fake_vfio_init(&f, 256);
	fake_vfio_region(&f, 0, 0x4000, RW);
	put(PCI_VENDOR_ID, 0x11e81234, 4);
	put(PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
	put(PCI_INTERRUPT_PIN, 1, 1);
	put(PCI_CAPABILITY_LIST, MSI_AT, 1);
	put(MSI_AT, PCI_CAP_ID_MSI | MSIX_AT << 8, 2);
	put(MSI_AT + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT | 3 << 1, 2);
	put(MSIX_AT, PCI_CAP_ID_MSIX | EXP_AT << 8, 2);
	put(MSIX_AT + PCI_MSIX_FLAGS, VECTORS - 1, 2);
	put(MSIX_AT + PCI_MSIX_TABLE, 0x1000, 4);
	put(MSIX_AT + PCI_MSIX_PBA, 0x1800, 4);
	put(EXP_AT, PCI_CAP_ID_EXP, 2);
	put(EXP_AT + PCI_EXP_FLAGS, 2, 2);
	put(EXP_AT + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR, 4);
	f.irqs[INTX] = (struct vfio_irq){ VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_AUTOMASKED, 1 };
	f.irqs[MSI] = (struct vfio_irq){ VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE, 8 };
	f.irqs[MSIX] = (struct vfio_irq){ VFIO_IRQ_INFO_EVENTFD, VECTORS };
}

static inline void start_host(void)
{
	devvm_init(&d);
	irq_destroy(&d.vm.irqs);
	assert_int_equal(irq_init(&d.vm.irqs, &ops, &chip), 0);
	irq_set_loop(&d.vm.irqs, &d.vm.loop);
	assert_int_equal(pci_host_add(&d.vm, &layout, 0x800000000ULL), 0);
}

static inline void start(void)
{
	start_host();
	assert_int_equal(fake_vfio_open(&f), 0);
	assert_int_equal(vfio_pci_add(&d.vm, &f.dev, 0), 0);
	set(PCI_COMMAND, MASTER, 2);
}

/* Nothing is bound behind it. */
static inline void stop(void)
{
	vm_destroy(&d.vm);
	for (u32 i = 0; i < VFIO_MAX_IRQS; i++)
		assert_int_equal(f.nr_bound[i], 0);
	assert_int_equal(chip.nr_bound, 0);
	fake_vfio_destroy(&f);
	pthread_mutex_destroy(&chip.lock);
}

static struct vfio_pci_irqs *irqs(void)
{
	return to_vfio_pci(d.vm.pci->root.functions[BDF])->irqs;
}

static inline void pump(void)
{
	while (event_loop_drain(&d.vm.loop))
		;
}

/* The device sends it, as far as the host has it. How many reached the guest since the last time.
 */
static inline u32 sends(u32 kind, u32 v)
{
	static int before;
	u32 gsi = kind == MSI ? irqs()->msi.routes[v]->gsi : irqs()->msix.routes[v]->gsi;

	chip_settle(&chip);
	before = chip.by_gsi[gsi];
	if (f.fds[kind][v] >= 0)
		eventfd_raise(f.fds[kind][v]);
	chip_settle(&chip);
	return (u32)(chip.by_gsi[gsi] - before);
}

static inline bool is_on(u32 kind)
{
	for (u32 i = INTX; i <= MSIX; i++)
		if ((f.nr_bound[i] != 0) != (i == kind))
			return false;
	return true;
}

static inline void enable_msi(u32 log)
{
	set(MSI_AT + PCI_MSI_ADDRESS_LO, 0xfee01000, 4);
	set(MSI_AT + PCI_MSI_ADDRESS_HI, 0, 4);
	set(MSI_AT + PCI_MSI_DATA_64, 0x47, 2);
	set(MSI_AT + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | log << 4, 2);
}

static inline void set_vector(u32 v, u32 data, bool masked)
{
	set_mem(TABLE + 16 * v, 0xfee00000);
	set_mem(TABLE + 16 * v + 4, 0);
	set_mem(TABLE + 16 * v + 8, data);
	set_mem(TABLE + 16 * v + 12, masked);
}

static inline void enable_msix(void)
{
	set(MSIX_AT + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE, 2);
}

static u32 host_has;

static inline int has_fewer(struct fake_vfio *fake, unsigned long request, void *arg)
{
	const struct vfio_irq_set *s = arg;

	if (request == VFIO_DEVICE_SET_IRQS && s->index != INTX &&
	    s->flags & VFIO_IRQ_SET_ACTION_TRIGGER && s->start + s->count > host_has)
		return s->start || !host_has ? -ENOSPC : (int)host_has;
	return 1;
}

#endif
