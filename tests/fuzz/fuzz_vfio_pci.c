/* SPDX-License-Identifier: MIT */
/*
 * vfio/pci*.c: a guest and a device that are both hostile. The input first changes what the device
 * says of itself (its configuration space, sizes of regions, what may be mapped), then come
 * accesses of configuration space, of BARs where they are, resets, and changes that the device
 * makes meanwhile.
 */
#include "../../vfio/pci.h"
#include "../lib/fake_vfio.h"
#include "fuzz_vm.h"

#define MAX_OPS	    512
#define MAX_PATCHES 32
#define ECAM	    0xe0000000ULL
#define SLOT	    0x8000u /* of slot 1 in there */
#define MEM32	    0xc0000000ULL
#define MEM32_SIZE  0x40000ULL
#define MEM64	    0x800000000ULL
#define MEM64_SIZE  0x80000ULL
#define IO	    0x1000ULL
#define IO_SIZE	    0x100ULL
#define RW	    (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)

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

static struct fz_vm v;
static struct fake_vfio fake;

static void put(u32 offset, u32 value, u32 len)
{
	put_le(fake.regions[VFIO_PCI_CONFIG_REGION_INDEX].bytes + offset, len, value);
}

/* What the kernel keeps to itself must not even be tried. */
static bool on_write(struct fake_vfio *f, u32 region, u64 offset, const void *buf, u32 len)
{
	if (region != VFIO_PCI_CONFIG_REGION_INDEX)
		return false;
	fz_check(len == 1 || len == 2 || len == 4);
	fz_check(offset % len == 0);
	fz_check((offset >= PCI_COMMAND && offset + len <= PCI_STATUS + 2) ||
		 offset >= PCI_STD_HEADER_SIZEOF);
	return false;
}

/* A 64-bit BAR with the MSI-X parts and registers on the same page, one of 32 bits, ports. */
static void make_device(struct fz *f)
{
	u8 shape = fz_u8(f);

	fake_vfio_init(&fake, shape & 1 ? 256 : 4096);
	fake.on_write = on_write;
	fake_vfio_region(&fake, 0, 0x4000, RW | VFIO_REGION_INFO_FLAG_MMAP);
	fake_vfio_region(&fake, 2, shape & 2 ? 0x1000 : 0x1800, RW);
	fake_vfio_region(&fake, 4, 0x20, RW);
	fake_vfio_region(&fake, VFIO_PCI_ROM_REGION_INDEX, 0x800, VFIO_REGION_INFO_FLAG_READ);
	fake.irqs[VFIO_PCI_INTX_IRQ_INDEX] =
		(struct vfio_irq){ VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE |
					   VFIO_IRQ_INFO_AUTOMASKED,
				   shape & 4 ? 0 : 1 };
	fake.irqs[VFIO_PCI_MSI_IRQ_INDEX] =
		(struct vfio_irq){ VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE, 8 };
	fake.irqs[VFIO_PCI_MSIX_IRQ_INDEX] = (struct vfio_irq){
		VFIO_IRQ_INFO_EVENTFD | (shape & 0x10 ? 0 : VFIO_IRQ_INFO_NORESIZE), 5
	};
	put(PCI_VENDOR_ID, 0x00101b36, 4);
	put(PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
	put(PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_MEM_TYPE_64, 4);
	put(PCI_BASE_ADDRESS_4, PCI_BASE_ADDRESS_SPACE_IO, 4);
	put(PCI_CAPABILITY_LIST, 0x40, 1);
	put(0x40, PCI_CAP_ID_PM | 0x50 << 8, 2);
	put(0x50, PCI_CAP_ID_MSI | 0x70 << 8 | PCI_MSI_FLAGS_64BIT << 16, 4);
	if (shape & 0x20)
		put(0x50 + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT | 3 << 1, 2);
	put(0x70, PCI_CAP_ID_MSIX | 0x80 << 8 | 4 << 16, 4);
	put(0x74, 0x1100, 4);
	put(0x78, 0x2000, 4);
	put(0x80, PCI_CAP_ID_EXP | 0xc0 << 8 | 2 << 16, 4);
	put(0x80 + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR, 4);
	put(0xc0, PCI_CAP_ID_AF | 0xd0 << 8 | 6 << 16, 4);
	put(0xc3, PCI_AF_CAP_FLR, 1);
	put(0xd0, PCI_CAP_ID_VNDR, 2);
	if (!(shape & 1)) {
		put(0x100, PCI_EXT_CAP_ID_SRIOV | 1 << 16 | 0x150U << 20, 4);
		put(0x150, PCI_EXT_CAP_ID_ERR | 1 << 16 | 0x200U << 20, 4);
		put(0x200, PCI_EXT_CAP_ID_DSN | 1 << 16, 4);
	}
	if (shape & 8) {
		fake.regions[0].nr_areas = 2;
		fake.regions[0].areas[0] = (struct vfio_area){ 0, 0x1000 };
		fake.regions[0].areas[1] = (struct vfio_area){ 0x2000, 0x2000 };
	}
}

static void lie(struct fz *f)
{
	u32 size = (u32)fake.regions[VFIO_PCI_CONFIG_REGION_INDEX].size, n = fz_u8(f);

	for (u32 i = 0; i < n % MAX_PATCHES; i++) {
		u32 at = fz_u16(f) % (size / 4) * 4;

		put(at, fz_u32(f), 4);
	}
}

/* What is mapped is where its BAR is, and the device decodes it. */
static void invariants(const struct vfio_pci *vp)
{
	const u8 *hw = fake.regions[VFIO_PCI_CONFIG_REGION_INDEX].bytes;

	for (u32 i = 0; i < PCI_NR_BARS; i++) {
		const struct pci_bar *bar = &vp->pci.bars[i];

		for (u32 m = 0; m < vp->bars[i].nr_maps; m++) {
			const struct vfio_pci_map *map = &vp->bars[i].maps[m];
			u64 last = map->offset + map->size - 1;

			fz_check(!vfio_pci_msix_covers(vp, i, map->offset, 1));
			fz_check(!vfio_pci_msix_covers(vp, i, last, 1));
			if (!map->added)
				continue;
			fz_check(bar->mapped && map->gpa == bar->addr + map->offset);
			fz_check(!vp->asleep && hw[PCI_COMMAND] & PCI_COMMAND_MEMORY);
			fz_check(memory_find(&v.vm.mem, map->gpa));
		}
	}
}

static void access_config(struct fz *f, u8 op)
{
	static const u16 places[] = { 0x04, 0x10, 0x14, 0x18, 0x20, 0x30, 0x44, 0x50,
				      0x54, 0x70, 0x74, 0x88, 0xc4, 0xd0, 0x100 };
	u32 len = 1U << (op >> 4) % 4, where = fz_u8(f);
	u32 reg = op & 8 ? fz_u16(f) % 4096 : places[where % ARRAY_SIZE(places)] + where / 64;

	if (op & 0x80)
		fz_read(&v.vm.mmio, ECAM + SLOT + reg, len);
	else
		fz_write(&v.vm.mmio, ECAM + SLOT + reg, len, fz_le(f, len));
}

static void access_bar(struct fz *f, const struct vfio_pci *vp, u8 op)
{
	u32 i = (op >> 3) % (PCI_NR_BARS + 1), len = fz_width(f);
	u64 offset = fz_u16(f), addr = vp->pci.bars[i].addr + offset;
	bool io = vp->pci.bars[i].flags & PCI_BASE_ADDRESS_SPACE_IO;
	struct bus *bus = io ? &v.vm.pio : &v.vm.mmio;

	if (op & 0x80)
		fz_read(bus, addr, len);
	else
		fz_write(bus, addr, len, fz_u64(f));
}

/* A word of the MSI-X table, wherever it is now; or a register of MSI's, or one that switches. */
static void access_messages(struct fz *f, const struct vfio_pci *vp, u8 what)
{
	static const u8 registers[] = { 0x52, 0x54, 0x58, 0x5c, 0x60, 0x72, 0x72, PCI_COMMAND };
	u8 at;

	if (what < 24) {
		fz_write(&v.vm.mmio, vp->pci.bars[0].addr + 0x1100 + 4 * what, 4, fz_u8(f));
		return;
	}
	at = registers[what % ARRAY_SIZE(registers)];
	fz_write(&v.vm.mmio, ECAM + SLOT + at, 2, fz_u16(f));
	fz_read(&v.vm.mmio, ECAM + SLOT + 0x64, 4);
	fz_read(&v.vm.mmio, vp->pci.bars[0].addr + 0x2000, 8);
}

/* The command register off and on, a BAR to a place in its window, an interrupt, a change. */
static void step(struct fz *f, const struct vfio_pci *vp)
{
	u8 op = fz_u8(f), what;

	switch (op % 8) {
	case 0:
	case 1:
		access_config(f, op);
		break;
	case 2:
	case 3:
		access_bar(f, vp, op);
		break;
	case 4:
		fz_write(&v.vm.mmio, ECAM + SLOT + PCI_COMMAND, 2, op >> 3);
		break;
	case 5:
		fz_write(&v.vm.mmio, ECAM + SLOT + PCI_BASE_ADDRESS_0, 4,
			 (u32)(MEM64 + 0x4000ULL * (fz_u8(f) % 36)));
		fz_write(&v.vm.mmio, ECAM + SLOT + PCI_BASE_ADDRESS_1, 4, MEM64 >> 32);
		break;
	case 6:
		what = fz_u8(f);
		if (fake.fds[what % 3][what / 3 % 8] >= 0)
			eventfd_raise(fake.fds[what % 3][what / 3 % 8]);
		fz_pump(&v);
		break;
	case 7:
		what = fz_u8(f);
		if (what == 0xff)
			vm_reset_devices(&v.vm);
		else if (what >= 0x40)
			put(what & 0xfc, fz_u32(f), 4);
		else if (what < 0x20)
			access_messages(f, vp, what);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	struct vfio_pci *vp;

	fz_vm_init(&v);
	fz_check(!pci_host_add(&v.vm, &layout, MEM64));
	make_device(&f);
	lie(&f);
	fz_check(!fake_vfio_open(&fake));
	if (!vfio_pci_add(&v.vm, &fake.dev, 0)) {
		vp = to_vfio_pci(v.vm.pci->root.functions[PCI_DEVFN(1, 0)]);
		for (int i = 0; i < MAX_OPS && fz_more(&f); i++) {
			step(&f, vp);
			invariants(vp);
		}
	}
	fz_vm_destroy(&v);
	fake_vfio_destroy(&fake);
	return 0;
}
