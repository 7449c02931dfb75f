/* SPDX-License-Identifier: MIT */
/*
 * pci/: configuration space by ECAM and by ports, BARs that move onto each other, MSI-X and INTx of
 * several functions. The first two bytes of the input: which kinds of BAR the functions have, and
 * whether the last two are behind a bridge, as if bus 0 were full.
 */
#include "fuzz_vm.h"
#include "lkvm/pci.h"
#include "lkvm/state.h"
#include "lkvm/util.h"

#define MAX_OPS 512
/* Slots 1 and 5 share an interrupt line. */
#define THINGS	   5
#define VECTORS	   5
#define ECAM	   0xe0000000ULL
#define MEM32	   0xc0000000ULL
#define MEM32_SIZE 0x40000ULL
#define MEM64	   0x800000000ULL
#define MEM64_SIZE 0x80000ULL
#define IO	   0x1000ULL
#define IO_SIZE	   0x100ULL

static const struct arch_pci_layout layout = {
	.ecam_base = ECAM,
	.ecam_size = 2 * MiB,
	.mem32_base = MEM32,
	.mem32_size = MEM32_SIZE,
	.mem64_size = MEM64_SIZE,
	.io_base = IO,
	.io_size = IO_SIZE,
	.config_ports = true,
	.intx_gsi = { 16, 17, 18, 19 },
};

/* A bridge's windows begin at multiples of more than the others have. */
#define BRIDGED	    0x8000u
#define BEHIND	    3u /* the first behind it */
#define BRIDGE_ECAM (ECAM + 0x1000)
static const struct arch_pci_layout large_layout = {
	.ecam_base = ECAM,
	.ecam_size = 2 * MiB,
	.mem32_base = MEM32,
	.mem32_size = 2 * MiB,
	.mem64_size = 2 * MiB,
	.io_base = IO,
	.io_size = 0x2000,
	.config_ports = true,
	.intx_gsi = { 16, 17, 18, 19 },
};

struct thing {
	struct pci_device pci;
	struct msix msix;
};

static struct fz_vm v;
static const struct arch_pci_layout *l;
static struct thing *things[THINGS];
static const char *const names[THINGS] = { "thing0", "thing1", "thing2", "thing3", "thing4" };

static void bar_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct thing *t = opaque;

	if (offset >= 0x2000)
		msix_pba_read(&t->msix, offset - 0x2000, data, len);
	else if (offset >= 0x1000)
		msix_table_read(&t->msix, offset - 0x1000, data, len);
}

static void bar_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct thing *t = opaque;

	if (offset >= 0x1000 && offset < 0x2000)
		msix_table_write(&t->msix, offset - 0x1000, data, len);
}

static const struct bus_ops bar_ops = { bar_read, bar_write };

static void config_written(struct pci_device *pci, u32 offset, u32 len)
{
	msix_config_written(&container_of(pci, struct thing, pci)->msix, offset, len);
}

static const struct pci_ops thing_ops = { .config_written = config_written };

static int thing_realize(struct device *dev, struct vm *vm)
{
	return pci_device_add(vm->pci, &container_of(dev, struct thing, pci.dev)->pci);
}

static void thing_reset(struct device *dev)
{
	struct thing *t = container_of(dev, struct thing, pci.dev);

	msix_reset(&t->msix);
	pci_device_reset(&t->pci);
}

static void thing_destroy(struct device *dev)
{
	struct thing *t = container_of(dev, struct thing, pci.dev);

	pci_device_fini(&t->pci);
	msix_fini(&t->msix);
	free(t);
}

static const struct device_ops device_ops = {
	.realize = thing_realize,
	.state = &no_state,
	.reset = thing_reset,
	.destroy = thing_destroy,
};

/* @kinds: 32-bit memory, ports, 64-bit memory; MSI-X is in BAR 0. */
static void add_thing(u32 i, u32 kinds)
{
	static const struct pci_ident ident = { .vendor = 0x1234, .device = 0x5678 };
	struct thing *t = xcalloc(1, sizeof(*t));

	t->pci.dev.name = names[i];
	t->pci.dev.ops = &device_ops;
	t->pci.ops = &thing_ops;
	pci_device_init(&t->pci, &ident, PCI_CFG_SPACE_SIZE);
	pci_set_bar(&t->pci, 0, 0x4000, 0, &bar_ops, t);
	if (kinds & 1)
		pci_set_bar(&t->pci, 1, 32, PCI_BASE_ADDRESS_SPACE_IO, &bar_ops, t);
	if (kinds & 2)
		pci_set_bar(&t->pci, 2, 0x8000,
			    PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH, &bar_ops,
			    t);
	if (kinds & 4)
		pci_set_bar(&t->pci, 4, 0x1000, 0, &bar_ops, t);
	msix_init(&t->msix, &t->pci, VECTORS, 0, 0x1000, 0x2000);
	fz_check(!device_add(&v.vm, &t->pci.dev));
	things[i] = t;
}

/* Regions are sorted, apart from each other, and BARs only where the host bridge lets them. */
static void check_region(const struct bus_region *r, void *arg)
{
	u64 *end = arg;

	fz_check(r->base >= *end);
	*end = r->base + r->size;
	if (strncmp(r->name, "thing", 5))
		return;
	fz_check(range_within(r->base, r->size, MEM32, l->mem32_size) ||
		 range_within(r->base, r->size, MEM64, l->mem64_size) ||
		 range_within(r->base, r->size, IO, l->io_size));
}

/* What the bridge holds back reaches nobody behind it. */
static void check_bridge(void)
{
	const struct pci_device *bridge = v.vm.pci->root.functions[1];
	u16 up = (u16)get_le(bridge->config + PCI_COMMAND, 2);

	for (u32 i = BEHIND; i < THINGS; i++) {
		const struct pci_device *pci = &things[i]->pci;
		u16 own = (u16)get_le(pci->config + PCI_COMMAND, 2);

		fz_check(pci->bus_master == !!(own & up & PCI_COMMAND_MASTER));
		for (u32 bar = 0; bar < PCI_NR_BARS; bar++) {
			bool io = pci->bars[bar].flags & PCI_BASE_ADDRESS_SPACE_IO;

			fz_check(!pci->bars[bar].mapped ||
				 own & up & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY));
		}
	}
}

static void check_intx(void)
{
	struct pci_host *host = v.vm.pci;
	u32 count[4] = { 0 };

	for (u32 i = 0; i < THINGS; i++) {
		const struct pci_device *pci = &things[i]->pci;
		u16 command = (u16)get_le(pci->config + PCI_COMMAND, 2);

		if (pci->intx_raised && !(command & PCI_COMMAND_INTX_DISABLE))
			count[(PCI_SLOT(pci->devfn) + pci->config[PCI_INTERRUPT_PIN] - 1u) % 4]++;
	}
	for (u32 i = 0; i < 4; i++) {
		fz_check(host->intx_count[i] == count[i]);
		fz_check(v.level[layout.intx_gsi[i]] == (count[i] != 0));
	}
}

static void invariants(void)
{
	u64 end = 0;

	bus_for_each(&v.vm.mmio, check_region, &end);
	end = 0;
	bus_for_each(&v.vm.pio, check_region, &end);
	check_intx();
	if (l == &large_layout)
		check_bridge();
}

static bool is_behind(u32 i)
{
	return l == &large_layout && i >= BEHIND;
}

static u64 thing_ecam(u32 i)
{
	return is_behind(i) ? ECAM + MiB + (i - BEHIND) * 0x1000 : ECAM + (1u + i) * 0x8000;
}

static void ecam(struct fz *f, u8 op)
{
	u32 slot = fz_u8(f) % (THINGS + 2), reg = fz_u8(f);
	u32 len = 1U << (op >> 4) % 4;
	u64 addr = (slot ? thing_ecam(slot - 1) : l == &large_layout ? BRIDGE_ECAM : ECAM) + reg;

	if (slot > THINGS)
		addr = ECAM + fz_u32(f) % (2 * MiB);
	if (op & 0x80)
		fz_read(&v.vm.mmio, addr, len);
	else
		fz_write(&v.vm.mmio, addr, len, fz_le(f, len));
}

/* A BAR to a place that makes sense, and another function may be there already. */
static void move_bar(struct fz *f)
{
	u8 how = fz_u8(f), to = fz_u8(f);
	u64 base = thing_ecam(how % THINGS) + PCI_BASE_ADDRESS_0;
	u64 up = is_behind(how % THINGS) ? MiB : 0, io_up = up ? 0x1000 : 0;

	switch ((how >> 4) & 3) {
	case 0:
		fz_write(&v.vm.mmio, base, 4, MEM32 + up + 0x1000ULL * (to % 36));
		break;
	case 1:
		fz_write(&v.vm.mmio, base + 4, 4, IO + io_up + 16ULL * (to % 20));
		break;
	case 2:
		fz_write(&v.vm.mmio, base + 8, 4, (u32)(MEM64 + up + 0x8000ULL * (to % 18)));
		if (how & 0x80)
			fz_write(&v.vm.mmio, base + 12, 4, to & 1 ? 0 : MEM64 >> 32);
		break;
	case 3:
		fz_write(&v.vm.mmio, base + 16, 4, MEM32 + up + 0x1000ULL * (to % 36));
		break;
	}
}

static void access_bar(struct fz *f, u8 op)
{
	u32 len = fz_width(f);
	u64 addr = MEM32 + fz_u32(f) % MEM32_SIZE;

	if (op & 0x40)
		addr = (addr & ~0x3fffULL) + 0x1000 + fz_u8(f);
	if (op & 0x20)
		addr = MEM64 + fz_u32(f) % MEM64_SIZE;
	if (op & 0x80)
		fz_read(&v.vm.mmio, addr, len);
	else
		fz_write(&v.vm.mmio, addr, len, fz_u64(f));
}

/* By the device, or by who has the vector's fd; the loop forwards what it may. */
static void interrupt(struct msix *msix, u8 how)
{
	int fd = msix_fd(msix, how % 0x80 % (VECTORS + 2));

	if (how & 0x80 && fd >= 0)
		eventfd_raise(fd);
	else
		msix_notify(msix, how % 0x80 % (VECTORS + 2));
	fz_pump(&v);
}

static void step(struct fz *f)
{
	u8 op = fz_u8(f), what;

	switch (op % 8) {
	case 0:
		ecam(f, op);
		break;
	case 1:
		move_bar(f);
		break;
	case 2:
		fz_write(&v.vm.pio, 0xcf8 + (op & 0x80 ? fz_u8(f) % 8 : 0), 4,
			 op & 0x40 ? fz_u32(f) : 0x80000000u | (fz_u8(f) % 5) << 11 | fz_u8(f));
		break;
	case 3:
		if (op & 0x80)
			fz_read(&v.vm.pio, 0xcfc + (op >> 3) % 4, fz_width(f));
		else
			fz_write(&v.vm.pio, 0xcfc + (op >> 3) % 4, fz_width(f), fz_u32(f));
		break;
	case 4:
		access_bar(f, op);
		break;
	case 5:
		interrupt(&things[op / 8 % THINGS]->msix, fz_u8(f));
		break;
	case 6:
		pci_set_intx(&things[op / 8 % THINGS]->pci, op & 0x80);
		break;
	case 7:
		what = fz_u8(f);
		if (what == 0xff)
			vm_reset_devices(&v.vm);
		else
			fz_read(&v.vm.pio, IO + what, fz_width(f));
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	u32 kinds = fz_u16(&f);

	fz_vm_init(&v);
	l = kinds & BRIDGED ? &large_layout : &layout;
	fz_check(!pci_host_add(&v.vm, l, MEM64));
	for (u32 i = 0; i < THINGS; i++) {
		if (is_behind(i) && i == BEHIND)
			v.vm.pci->nr_plugged = PCI_ROOT_PLACES;
		add_thing(i, kinds >> (3 * i));
	}
	for (int i = 0; i < MAX_OPS && fz_more(&f); i++) {
		step(&f);
		invariants();
	}
	fz_vm_destroy(&v);
	return 0;
}
