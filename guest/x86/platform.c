/* SPDX-License-Identifier: MIT */
/* x86-64 guests: what the loader says, where devices are, memory above 4 GiB. */
#include "x86.h"

/* The image at 1 MiB; what the loader left is around it. */
struct guest_boot boot = { .keep = 0x80000, .keep_end = 0x400000 };

/* lkvm's, where nothing is described (images that are given no RSDP). */
#define VIRTIO_MMIO	   0xfeb00000
#define VIRTIO_MMIO_STRIDE 0x1000
#define VIRTIO_MMIO_COUNT  8
#define VIRTIO_MMIO_IRQ	   10
#define PCI_WINDOW	   0xc0000000

void x86_start(const u8 *info, u32 from);

static u32 get32(const u8 *p)
{
	return *(const u32 *)p;
}

static u64 get64(const u8 *p)
{
	return *(const u64 *)p;
}

static void add_range(u64 base, u64 size, u32 type)
{
	if (boot.nr_ranges < GUEST_MAX_RANGES)
		boot.map[boot.nr_ranges++] = (struct guest_range){ base, size, type };
}

static void add_module(u64 base, u64 size)
{
	if (size && boot.nr_modules < GUEST_MAX_MODULES)
		boot.modules[boot.nr_modules++] = (struct guest_range){ base, size, 0 };
}

/* Linux Documentation/arch/x86/zero-page.rst, boot.rst */
static void from_linux(const u8 *bp)
{
	boot.protocol = "linux64";
	boot.cmdline = (const char *)(uintptr_t)get32(bp + 0x228);
	boot.rsdp = get64(bp + 0x70);
	add_module(get32(bp + 0x218) | (u64)get32(bp + 0xc0) << 32,
		   get32(bp + 0x21c) | (u64)get32(bp + 0xc4) << 32);
	for (u32 i = 0; i < bp[0x1e8]; i++) {
		const u8 *e = bp + 0x2d0 + i * 20;

		add_range(get64(e), get64(e + 8), get32(e + 16));
	}
}

/* Xen public/arch-x86/hvm/start_info.h */
static void from_pvh(const u8 *si)
{
	const u8 *modules = (const u8 *)(uintptr_t)get64(si + 16);
	const u8 *map = (const u8 *)(uintptr_t)get64(si + 40);

	boot.protocol = get32(si) == 0x336ec578 ? "pvh" : "pvh, bad magic";
	boot.cmdline = (const char *)(uintptr_t)get64(si + 24);
	boot.rsdp = get64(si + 32);
	for (u32 i = 0; i < get32(si + 12); i++)
		add_module(get64(modules + i * 32), get64(modules + i * 32 + 8));
	for (u32 i = 0; i < get32(si + 48); i++)
		add_range(get64(map + i * 24), get64(map + i * 24 + 8), get32(map + i * 24 + 16));
}

/* Multiboot 0.6.96, 3.3. It does not know ACPI: the RSDP is searched where PCs have it. */
static void from_multiboot(const u8 *mbi)
{
	const u8 *modules = (const u8 *)(uintptr_t)get32(mbi + 24);
	const u8 *map = (const u8 *)(uintptr_t)get32(mbi + 48), *end = map + get32(mbi + 44);
	u32 flags = get32(mbi);

	boot.protocol = "multiboot";
	if (flags & 4)
		boot.cmdline = (const char *)(uintptr_t)get32(mbi + 16);
	for (u32 i = 0; (flags & 8) && i < get32(mbi + 20); i++)
		add_module(get32(modules + i * 16),
			   get32(modules + i * 16 + 4) - get32(modules + i * 16));
	for (; (flags & 0x40) && map < end; map += get32(map) + 4)
		add_range(get64(map + 4), get64(map + 12), get32(map + 20));
	for (u64 p = 0xe0000; p < 0x100000 && !boot.rsdp; p += 16)
		if (!memcmp((const void *)p, "RSD PTR ", 8))
			boot.rsdp = p;
}

void x86_start(const u8 *info, u32 from)
{
	x86_setup_traps();
	switch (from) {
	case FROM_LINUX:
		from_linux(info);
		break;
	case FROM_PVH:
		from_pvh(info);
		break;
	case FROM_MULTIBOOT:
		from_multiboot(info);
		break;
	}
	arch_exit(guest_main());
}

/* Page directories for arch_map_gib: 2 MiB pages, which every 64-bit CPU has. */
static u64 high_pds[4][512] __attribute__((aligned(4096)));
static u32 nr_high_pds;

void arch_map_gib(u64 gpa)
{
	u64 *pml4, *pdpt, *pd;

	if (nr_high_pds == ARRAY_SIZE(high_pds) || gpa >> 39)
		return;
	__asm__ volatile("movq %%cr3, %0" : "=r"(pml4));
	pdpt = (u64 *)(pml4[0] & ~0xfffULL);
	pd = high_pds[nr_high_pds++];
	for (u32 i = 0; i < 512; i++)
		pd[i] = (gpa + i * 0x200000ULL) | 0x83;
	pdpt[gpa >> 30] = (u64)pd | 3;
	__asm__ volatile("movq %0, %%cr3" : : "r"(pml4) : "memory");
}

bool arch_virtio_mmio(u32 nth, u64 *base, u32 *irq)
{
	if (acpi_dsdt())
		return acpi_virtio_mmio(nth, base, irq);
	*base = VIRTIO_MMIO + nth * VIRTIO_MMIO_STRIDE;
	*irq = VIRTIO_MMIO_IRQ + nth;
	return nth < VIRTIO_MMIO_COUNT;
}

u64 arch_ecam(void)
{
	const u8 *mcfg = acpi_find("MCFG");

	return mcfg ? *(const u64 *)(mcfg + 44) : 0;
}

u64 arch_pci_window(void)
{
	return PCI_WINDOW;
}

/* Every message gets through here, so no line is needed. */
u32 arch_pci_line(u32 slot, u32 pin)
{
	return 0;
}
