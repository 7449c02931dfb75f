/* SPDX-License-Identifier: MIT */
/*
 * Devices that can be played. edu is what QEMU's docs/specs/edu.rst describes, with messages and a
 * BAR that can be mapped; nvme has registers beside its MSI-X table, on one page; virtio has
 * capabilities of its vendor; mtty is a port of the kernel's sample (samples/vfio-mdev/mtty.c);
 * liar says what cannot be.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "vfio.h"

#define RW (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)

static void put(struct vdev *d, u32 at, u64 value, u32 len)
{
	for (u32 i = 0; i < len; i++)
		d->config[at + i] = (u8)(value >> 8 * i);
}

static void may_write(struct vdev *d, u32 at, u64 mask, u32 len)
{
	for (u32 i = 0; i < len; i++)
		d->writable[at + i] = (u8)(mask >> 8 * i);
}

static void region(struct vdev *d, u32 index, u64 size, bool bytes, bool mapped)
{
	struct vdev_region *r = &d->regions[index];

	*r = (struct vdev_region){ .size = size, .flags = RW, .memfd = -1 };
	if (mapped) {
		r->memfd = model_new_fd("vfio-bar", size, MODEL_NONE);
		r->flags |= VFIO_REGION_INFO_FLAG_MMAP;
		if (r->memfd < 0)
			model_usage("no memory for a BAR");
		r->bytes = model_libc_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, r->memfd,
					   0);
		if (r->bytes == MAP_FAILED)
			model_usage("no memory for a BAR");
	} else if (bytes) {
		r->bytes = calloc(1, size);
		if (!r->bytes)
			abort();
	}
}

/* @type: the low bits of the BAR; 64 bits wide with 4. */
static void bar(struct vdev *d, u32 index, u64 size, u32 type)
{
	put(d, 0x10 + 4 * index, type, 4);
	may_write(d, 0x10 + 4 * index, ~(size - 1) & (type & 4 ? ~0ULL : 0xffffffffULL),
		  type & 4 ? 8 : 4);
}

static void head(struct vdev *d, u32 ids, u32 class, u32 pin)
{
	put(d, 0, ids, 4);
	put(d, 4, 0x00100000, 4);
	may_write(d, 4, 0x0547, 2);
	put(d, 8, class << 8 | 1, 4);
	put(d, 0x2c, ids, 4);
	put(d, 0x3d, pin, 1);
	may_write(d, 0x3c, 0xff, 1);
	d->irq_count[VFIO_PCI_INTX_IRQ_INDEX] = pin != 0;
	d->config_size = sizeof(d->config);
	region(d, VFIO_PCI_CONFIG_REGION_INDEX, d->config_size, false, false);
}

/* The capability @id at @at, before what was there first. */
static void capability(struct vdev *d, u32 at, u32 id)
{
	d->config[at] = (u8)id;
	d->config[at + 1] = d->config[0x34];
	d->config[0x34] = (u8)at;
}

static void power(struct vdev *d, u32 at)
{
	capability(d, at, 1);
	put(d, at + 2, 3, 2);
	may_write(d, at + 4, 3, 1);
}

/* An endpoint that can be reset alone (PCI Express 6.0, 7.5.3). */
static void express(struct vdev *d, u32 at)
{
	capability(d, at, 0x10);
	put(d, at + 2, 2, 2);
	put(d, at + 4, 0x10008000, 4);
	may_write(d, at + 8, 0xffff, 2);
	d->irq_count[VFIO_PCI_ERR_IRQ_INDEX] = 1;
}

static void msi(struct vdev *d, u32 at, u32 log)
{
	capability(d, at, 5);
	put(d, at + 2, 0x80 | log << 1, 2);
	may_write(d, at + 2, 0x71, 2);
	may_write(d, at + 4, 0xfffffffffffcULL, 8);
	may_write(d, at + 12, 0xffff, 2);
	d->irq_count[VFIO_PCI_MSI_IRQ_INDEX] = 1U << log;
}

static void msix(struct vdev *d, u32 at, u32 vectors, u32 table, u32 pending)
{
	capability(d, at, 0x11);
	put(d, at + 2, vectors - 1, 2);
	put(d, at + 4, table, 4);
	put(d, at + 8, pending, 4);
	may_write(d, at + 2, 0xc000, 2);
	d->irq_count[VFIO_PCI_MSIX_IRQ_INDEX] = vectors;
	d->regions[table & 7].msix_mappable = d->regions[table & 7].memfd >= 0;
}

static void make_edu(struct vdev *d)
{
	head(d, 0x11e81234, 0xff0000, 1);
	region(d, 0, 1 << 20, false, false);
	bar(d, 0, 1 << 20, 0);
	region(d, 2, 1 << 16, true, true);
	bar(d, 2, 1 << 16, 12);
	region(d, 4, 1 << 14, true, true);
	bar(d, 4, 1 << 14, 4);
	power(d, 0x40);
	msi(d, 0x50, 2);
	msix(d, 0x70, 8, 4, 4 | 0x800);
	express(d, 0x80);
}

/* Registers of edu, as words; the buffer of its DMA is behind them. */
#define ID	  0x00U
#define LIVE	  0x04U
#define STATUS	  0x24U
#define RAISE	  0x60U
#define ACK	  0x64U
#define VECTOR	  0x68U /* which message is raised: ours */
#define DMA_FROM  0x80U
#define DMA_TO	  0x88U
#define DMA_COUNT 0x90U
#define DMA_CMD	  0x98U
#define BUFFER	  0x40000U

static u8 edu_buffer[4096];

static void edu_raise(struct vdev *d, u32 bits)
{
	d->regs[STATUS / 4] |= bits;
	if (!vdev_message(d, d->regs[VECTOR / 4]))
		vdev_line(d, d->regs[STATUS / 4] != 0);
}

static u64 edu_wide(const struct vdev *d, u32 at)
{
	return d->regs[at / 4] | (u64)d->regs[at / 4 + 1] << 32;
}

static void edu_dma(struct vdev *d)
{
	u32 command = d->regs[DMA_CMD / 4], count = d->regs[DMA_COUNT / 4];
	bool to_ram = command & 2;
	u64 inside = edu_wide(d, to_ram ? DMA_FROM : DMA_TO) - BUFFER;

	if (!(command & 1))
		return;
	if (inside < sizeof(edu_buffer) && count <= sizeof(edu_buffer) - inside)
		vspace_access(d, edu_wide(d, to_ram ? DMA_TO : DMA_FROM), edu_buffer + inside,
			      count, to_ram);
	d->regs[DMA_CMD / 4] = 0;
	if (command & 4)
		edu_raise(d, 0x100);
}

static bool edu_read(struct vdev *d, u32 index, u64 offset, void *buf, u32 len)
{
	u32 value = 0;

	if (index)
		return false;
	if (offset == ID)
		value = 0x010000ed;
	else if (offset < sizeof(d->regs))
		value = d->regs[offset / 4];
	memset(buf, 0, len);
	memcpy(buf, &value, len < 4 ? len : 4);
	return true;
}

static bool edu_write(struct vdev *d, u32 index, u64 offset, const void *buf, u32 len)
{
	u32 value[2] = { 0 };

	if (index)
		return false;
	memcpy(value, buf, len < 8 ? len : 8);
	if (offset == LIVE)
		d->regs[LIVE / 4] = ~value[0];
	else if (offset == RAISE)
		edu_raise(d, value[0]);
	else if (offset == ACK) {
		d->regs[STATUS / 4] &= ~value[0];
		vdev_line(d, d->regs[STATUS / 4] != 0);
	} else if (offset >= VECTOR && offset + len <= sizeof(d->regs)) {
		memcpy((u8 *)d->regs + offset, buf, len < 8 ? len : 8);
		if (offset == DMA_CMD)
			edu_dma(d);
	}
	return true;
}

static void edu_reset(struct vdev *d)
{
	memset(edu_buffer, 0, sizeof(edu_buffer));
}

/* The table begins page 3 of its BAR, and a register that raises a message stands on it too. */
#define NVME_RAISE 0x3800U

static void make_nvme(struct vdev *d)
{
	head(d, 0x00101b36, 0x010802, 1);
	region(d, 0, 1 << 14, true, true);
	bar(d, 0, 1 << 14, 4);
	power(d, 0x40);
	msix(d, 0x70, 16, 0x3000, 0x3400);
	express(d, 0x80);
}

static bool nvme_write(struct vdev *d, u32 index, u64 offset, const void *buf, u32 len)
{
	u32 value = 0;

	memcpy(&value, buf, len < 4 ? len : 4);
	if (index == 0 && offset == NVME_RAISE)
		vdev_message(d, value);
	return false;
}

static void make_virtio(struct vdev *d)
{
	static const u8 offsets[4] = { 0x00, 0x10, 0x20, 0x30 };

	head(d, 0x10411af4, 0x020000, 1);
	region(d, 1, 1 << 12, true, true);
	bar(d, 1, 1 << 12, 0);
	region(d, 4, 1 << 14, true, true);
	bar(d, 4, 1 << 14, 12);
	/* Common, notification, ISR, device (Virtual I/O Device 1.3, 4.1.4). */
	for (u32 i = 0; i < 4; i++) {
		capability(d, 0x50 + 0x14 * i, 9);
		put(d, 0x52 + 0x14 * i, 16, 1);
		put(d, 0x53 + 0x14 * i, i + 1, 1);
		put(d, 0x54 + 0x14 * i, 4, 1);
		put(d, 0x58 + 0x14 * i, offsets[i] << 8, 4);
		put(d, 0x5c + 0x14 * i, 0x1000, 4);
	}
	msix(d, 0x40, 3, 1, 1 | 0x800);
	express(d, 0xb0);
}

static void make_mtty(struct vdev *d)
{
	head(d, 0x32534348, 0x070002, 1);
	d->config_size = 256;
	region(d, VFIO_PCI_CONFIG_REGION_INDEX, d->config_size, false, false);
	region(d, 0, 8, false, false);
	bar(d, 0, 8, 1);
	capability(d, 0x40, 5);
	d->irq_count[VFIO_PCI_MSI_IRQ_INDEX] = 1;
	may_write(d, 0x42, 1, 1);
	may_write(d, 0x44, 0xfffffffcULL, 4);
	may_write(d, 0x48, 0xffff, 2);
	d->state = 2; /* RUNNING */
}

/* Enough of a 16550: a scratch register that is part of the state, and what is sent comes back. */
static bool mtty_read(struct vdev *d, u32 index, u64 offset, void *buf, u32 len)
{
	u8 value = (u8)d->regs[offset & 7];

	if (offset == 5)
		value = 0x60 | (d->regs[8] != 0);
	if (offset == 0)
		d->regs[8] = 0;
	memset(buf, 0, len);
	memcpy(buf, &value, 1);
	return true;
}

static bool mtty_write(struct vdev *d, u32 index, u64 offset, const void *buf, u32 len)
{
	u8 value;

	memcpy(&value, buf, 1);
	d->regs[offset & 7] = value;
	if (offset == 0)
		d->regs[8] = 1;
	return true;
}

/* Capabilities in a circle, a size that is no power of two, a table beyond its BAR. */
static void make_liar(struct vdev *d)
{
	head(d, 0x66661234, 0xff0000, 1);
	region(d, 0, 0x3000, true, true);
	bar(d, 0, 0x4000, 0);
	msix(d, 0x70, 64, 0xfff0000, 0xffff000);
	power(d, 0x40);
	d->config[0x71] = 0x40;
}

const struct vdev_kind vdev_kinds[] = {
	{ .name = "edu",
	  .driver = "edu-host",
	  .make = make_edu,
	  .read = edu_read,
	  .write = edu_write,
	  .reset = edu_reset },
	{ .name = "nvme", .driver = "nvme", .make = make_nvme, .write = nvme_write },
	{ .name = "virtio", .driver = "virtio-pci", .make = make_virtio },
	{ .name = "liar", .driver = "liar-host", .make = make_liar },
	{ .name = "mtty", .mdev = true, .make = make_mtty, .read = mtty_read, .write = mtty_write },
	{ .name = NULL },
};
