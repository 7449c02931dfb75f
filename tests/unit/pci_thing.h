/* SPDX-License-Identifier: MIT */
/* For unit tests of the PCI bus: a small layout, and a function with a BAR of each kind and MSI-X.
 */
#ifndef TEST_PCI_THING_H
#define TEST_PCI_THING_H

#include "lkvm/state.h"
#include "toy_device.h"

#define ECAM	   0xe0000000ULL
#define MEM32	   0xc0000000ULL
#define MEM32_SIZE 0x100000ULL
#define MEM64	   0x800000000ULL
#define MEM64_SIZE 0x1000000ULL
#define IO	   0x1000ULL
#define IO_SIZE	   0x1000ULL
#define VECTORS	   70

static const struct arch_pci_layout layout = {
	.ecam_base = ECAM,
	.ecam_size = 256 * MiB,
	.mem32_base = MEM32,
	.mem32_size = MEM32_SIZE,
	.mem64_size = MEM64_SIZE,
	.io_base = IO,
	.io_size = IO_SIZE,
	.config_ports = true,
	.intx_gsi = { 16, 17, 18, 19 },
};

/* A function with a BAR of each kind; BAR 0 holds the MSI-X parts too. */
struct thing {
	struct pci_device pci;
	struct msix msix;
	char name[16];
	u32 moved;
};

static inline void bar_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct thing *t = opaque;

	if (offset >= 0x1000 && offset < 0x2000)
		msix_table_read(&t->msix, offset - 0x1000, data, len);
	else if (offset >= 0x2000)
		msix_pba_read(&t->msix, offset - 0x2000, data, len);
	else
		memset(data, t->pci.devfn, len);
}

static inline void bar_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct thing *t = opaque;

	if (offset >= 0x1000 && offset < 0x2000)
		msix_table_write(&t->msix, offset - 0x1000, data, len);
}

static const struct bus_ops bar_ops = { bar_read, bar_write };

static inline void thing_written(struct pci_device *pci, u32 offset, u32 len)
{
	if (pci->msix)
		msix_config_written(pci->msix, offset, len);
}

static inline void thing_moved(struct pci_device *pci, unsigned int bar)
{
	container_of(pci, struct thing, pci)->moved++;
}

static const struct pci_ops thing_ops = {
	.config_written = thing_written,
	.bar_moved = thing_moved,
};

static inline int thing_realize(struct device *dev, struct vm *vm)
{
	return pci_device_add(vm->pci, &container_of(dev, struct thing, pci.dev)->pci);
}

static inline void thing_reset(struct device *dev)
{
	struct thing *t = container_of(dev, struct thing, pci.dev);

	if (t->pci.msix)
		msix_reset(&t->msix);
	pci_device_reset(&t->pci);
}

static inline void thing_destroy(struct device *dev)
{
	struct thing *t = container_of(dev, struct thing, pci.dev);

	pci_device_fini(&t->pci);
	msix_fini(&t->msix);
	free(t);
}

static inline int thing_save(void *obj)
{
	struct thing *t = obj;

	if (t->pci.msix)
		msix_save(&t->msix);
	return 0;
}

static inline int thing_load(void *obj)
{
	struct thing *t = obj;

	pci_device_restored(&t->pci);
	if (t->pci.msix)
		msix_load(&t->msix);
	return 0;
}

static const struct state_field thing_fields[] = {
	STATE_PART(struct thing, pci, &pci_device_state),
	STATE_PART(struct thing, msix, &msix_state),
};

static const struct device_state thing_state = {
	.version = 1,
	STATE_TABLE(thing_fields),
	.device_at = offsetof(struct thing, pci.dev),
	.save = thing_save,
	.load = thing_load,
};

static const struct device_ops thing_device_ops = {
	.realize = thing_realize,
	.reset = thing_reset,
	.state = &thing_state,
	.destroy = thing_destroy,
};

static const struct pci_ident ident = { .vendor = 0x1234,
					.device = 0x5678,
					.subsystem_vendor = 0x9abc,
					.subsystem = 0xdef0,
					.class = 0x0280,
					.prog_if = 7,
					.revision = 3 };

/* @kinds: BIT(0) 32-bit memory of 16 KiB, BIT(1) I/O, BIT(2) 64-bit memory, BIT(3) no MSI-X. */
static inline int thing_add(struct toy_vm *v, u32 kinds, struct thing **out)
{
	struct thing *t = calloc(1, sizeof(*t));
	int ret;

	if (out)
		*out = NULL;
	snprintf(t->name, sizeof(t->name), "thing%u", v->vm.pci->nr_plugged);
	t->pci.dev.name = t->name;
	t->pci.dev.ops = &thing_device_ops;
	t->pci.ops = &thing_ops;
	pci_device_init(&t->pci, &ident, PCI_CFG_SPACE_SIZE);
	if (kinds & BIT(0))
		pci_set_bar(&t->pci, 0, 0x4000, 0, &bar_ops, t);
	if (kinds & BIT(1))
		pci_set_bar(&t->pci, 1, 32, PCI_BASE_ADDRESS_SPACE_IO, &bar_ops, t);
	if (kinds & BIT(2))
		pci_set_bar(&t->pci, 2, 0x10000,
			    PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH, &bar_ops,
			    t);
	if (!(kinds & BIT(3)))
		msix_init(&t->msix, &t->pci, VECTORS, 0, 0x1000, 0x2000);
	ret = device_add(&v->vm, &t->pci.dev);
	if (ret)
		thing_destroy(&t->pci.dev);
	else if (out)
		*out = t;
	return ret;
}

static inline struct toy_vm *begin(void)
{
	struct toy_vm *v = toy_vm_new(TRANSPORT_PCI);

	assert_int_equal(pci_host_add(&v->vm, &layout, MEM64), 0);
	assert_non_null(v->vm.pci);
	return v;
}

static inline u32 cfg(struct toy_vm *v, u32 slot, u32 reg, u32 len)
{
	return (u32)mmio_get(v, ECAM + (slot << 15) + reg, len);
}

static inline void set_cfg(struct toy_vm *v, u32 slot, u32 reg, u32 len, u32 value)
{
	mmio_put(v, ECAM + (slot << 15) + reg, len, value);
}

static inline u32 port_get(struct toy_vm *v, u32 port, u32 len)
{
	u8 data[8];

	bus_read(&v->vm.pio, port, data, len);
	return (u32)get_le(data, len);
}

static inline void port_put(struct toy_vm *v, u32 port, u32 len, u32 value)
{
	u8 data[8];

	put_le(data, len, value);
	bus_write(&v->vm.pio, port, data, len);
}

#endif
