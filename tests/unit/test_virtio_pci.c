/* SPDX-License-Identifier: MIT */
/* The PCI transport, driven as a driver does: through capabilities, BAR and interrupts. */
#include "unit.h"

#include <linux/virtio_pci.h>

#include "lkvm/arch.h"
#include "toy_device.h"

#define ECAM   0xe0000000ULL
#define CONFIG (ECAM + (1 << 15)) /* of the toy, in slot 1 */

static const struct arch_pci_layout layout = {
	.ecam_base = ECAM,
	.ecam_size = MiB,
	.mem32_base = 0xc0000000,
	.mem32_size = MiB,
	.intx_gsi = { 16, 17, 18, 19 },
};

#define LINE 17 /* INTA of slot 1 */

struct driver {
	struct toy_vm *v;
	u64 bar, common, notify, isr, device;
	u32 multiplier, window, msix;
};

static u32 cfg(struct driver *p, u32 reg, u32 len)
{
	return (u32)mmio_get(p->v, CONFIG + reg, len);
}

static void set_cfg(struct driver *p, u32 reg, u32 len, u32 value)
{
	mmio_put(p->v, CONFIG + reg, len, value);
}

/* Find everything by the capability list alone. */
static void probe(struct driver *p)
{
	u32 found = 0;

	p->bar = cfg(p, PCI_BASE_ADDRESS_0, 4) & ~0xfu;
	for (u32 at = cfg(p, PCI_CAPABILITY_LIST, 1); at; at = cfg(p, at + 1, 1)) {
		u64 where = p->bar + cfg(p, at + VIRTIO_PCI_CAP_OFFSET, 4);

		if (cfg(p, at, 1) == PCI_CAP_ID_MSIX)
			p->msix = at;
		if (cfg(p, at, 1) != PCI_CAP_ID_VNDR)
			continue;
		found |= 1u << cfg(p, at + VIRTIO_PCI_CAP_CFG_TYPE, 1);
		switch (cfg(p, at + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			p->common = where;
			assert_true(cfg(p, at + VIRTIO_PCI_CAP_LENGTH, 4) >= 56);
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			p->notify = where;
			p->multiplier = cfg(p, at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			p->isr = where;
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			p->device = where;
			assert_int_equal(cfg(p, at + VIRTIO_PCI_CAP_LENGTH, 4), TOY_CONFIG);
			break;
		case VIRTIO_PCI_CAP_PCI_CFG:
			p->window = at;
			break;
		}
	}
	assert_int_equal(found, 0x3e);
	assert_true(p->msix);
}

static struct driver *begin(bool threaded)
{
	struct driver *p = calloc(1, sizeof(*p));

	p->v = toy_vm_new(TRANSPORT_PCI);
	assert_int_equal(pci_host_add(&p->v->vm, &layout, 0), 0);
	toy_new(p->v, threaded);
	assert_int_equal(virtio_attach(&p->v->toy->vdev), 0);
	probe(p);
	set_cfg(p, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	return p;
}

static void end(struct driver *p)
{
	bool *destroyed = &p->v->destroyed;

	vm_destroy(&p->v->vm);
	assert_true(*destroyed);
	free(p->v->ram);
	free(p->v);
	free(p);
}

static u32 get(struct driver *p, u32 field, u32 len)
{
	return (u32)mmio_get(p->v, p->common + field, len);
}

static void put(struct driver *p, u32 field, u32 len, u64 value)
{
	mmio_put(p->v, p->common + field, len, value);
}

static u32 status(struct driver *p)
{
	return get(p, VIRTIO_PCI_COMMON_STATUS, 1);
}

static void negotiate(struct driver *p)
{
	put(p, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(status(p), 0);
	put(p, VIRTIO_PCI_COMMON_STATUS, 1, S_ACK);
	put(p, VIRTIO_PCI_COMMON_STATUS, 1, S_ACK | S_DRIVER);
	for (u32 word = 0; word < 2; word++) {
		put(p, VIRTIO_PCI_COMMON_GFSELECT, 4, word);
		put(p, VIRTIO_PCI_COMMON_GF, 4, (u32)(TOY_ACCEPT >> (32 * word)));
		assert_int_equal(get(p, VIRTIO_PCI_COMMON_GF, 4), (u32)(TOY_ACCEPT >> (32 * word)));
	}
	put(p, VIRTIO_PCI_COMMON_STATUS, 1, S_ACK | S_DRIVER | S_FEATURES_OK);
	assert_int_equal(status(p), S_ACK | S_DRIVER | S_FEATURES_OK);
}

static void put_ring(struct driver *p, u32 q, const struct vring_driver *d)
{
	put(p, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
	put(p, VIRTIO_PCI_COMMON_Q_SIZE, 2, d->size);
	put(p, VIRTIO_PCI_COMMON_Q_DESCLO, 4, (u32)d->desc);
	put(p, VIRTIO_PCI_COMMON_Q_DESCHI, 4, d->desc >> 32);
	put(p, VIRTIO_PCI_COMMON_Q_AVAILLO, 8, d->avail);
	put(p, VIRTIO_PCI_COMMON_Q_USEDLO, 4, (u32)d->used);
	put(p, VIRTIO_PCI_COMMON_Q_USEDHI, 4, d->used >> 32);
	put(p, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static void bring_up(struct driver *p, u32 q, struct vring_driver *d)
{
	negotiate(p);
	vdrv_setup(d, p->v->ram, 0x1000, 8);
	put_ring(p, q, d);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 1);
	put(p, VIRTIO_PCI_COMMON_STATUS, 1, 0xf);
	assert_int_equal(status(p), 0xf);
}

static void kick_queue(struct driver *p, u32 q)
{
	put(p, VIRTIO_PCI_COMMON_Q_SELECT, 2, q);
	mmio_put(p->v, p->notify + get(p, VIRTIO_PCI_COMMON_Q_NOFF, 2) * p->multiplier, 2, q);
	pump(p->v);
}

static void test_identity(void **state)
{
	struct driver *p = begin(false);

	assert_int_equal(cfg(p, PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(cfg(p, PCI_DEVICE_ID, 2), 0x1040 + TOY_ID);
	assert_true(cfg(p, PCI_REVISION_ID, 1) >= 1);
	assert_int_equal(cfg(p, PCI_CLASS_DEVICE, 2), 0x0180);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_NUMQ, 2), TOY_QUEUES);
	assert_int_equal(cfg(p, p->msix + 2, 2), TOY_QUEUES); /* vectors - 1 */
	end(p);
}

static void test_common_fields(void **state)
{
	struct driver *p = begin(false);
	struct vring_driver d;

	put(p, VIRTIO_PCI_COMMON_DFSELECT, 4, 1);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_DF, 4), BIT(VIRTIO_F_VERSION_1 - 32) |
								  BIT(VIRTIO_F_RING_PACKED - 32) |
								  BIT(VIRTIO_F_RING_RESET - 32));
	put(p, VIRTIO_PCI_COMMON_DFSELECT, 4, 0xffffffff);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_DF, 4), 0);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_DFSELECT, 4), ~0u);
	/* Parts and wholes of what can be read; writes only whole. */
	put(p, VIRTIO_PCI_COMMON_DFSELECT, 1, 0);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_DFSELECT + 1, 1), 0xff);
	assert_true(mmio_get(p->v, p->common + VIRTIO_PCI_COMMON_DFSELECT, 8) == ~0u);
	put(p, VIRTIO_PCI_COMMON_STATUS, 4, S_ACK);
	assert_int_equal(status(p), 0);
	assert_int_equal(get(p, 64, 4), 0);
	assert_int_equal(get(p, 0xffe, 4), 0); /* across two pages */
	/* Queues that are not there. */
	put(p, VIRTIO_PCI_COMMON_Q_SELECT, 2, TOY_QUEUES);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
	put(p, VIRTIO_PCI_COMMON_Q_SIZE, 2, 8);
	put(p, VIRTIO_PCI_COMMON_Q_MSIX, 2, 1);
	put(p, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	put(p, VIRTIO_PCI_COMMON_Q_DESCLO, 8, 1);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
	put(p, VIRTIO_PCI_COMMON_Q_SELECT, 2, 0);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_Q_SIZE, 2), TOY_SIZE);
	/* Addresses in halves. */
	put(p, VIRTIO_PCI_COMMON_Q_USEDHI, 4, 0x11223344);
	put(p, VIRTIO_PCI_COMMON_Q_USEDLO, 4, 0x55667788);
	assert_true(mmio_get(p->v, p->common + VIRTIO_PCI_COMMON_Q_USEDLO, 8) ==
		    0x1122334455667788);
	put(p, VIRTIO_PCI_COMMON_Q_USEDHI, 8, 0);
	put(p, VIRTIO_PCI_COMMON_Q_USEDLO, 2, 0);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_Q_USEDHI, 4), 0x11223344);
	/* An enabled queue stands still. */
	bring_up(p, 0, &d);
	put(p, VIRTIO_PCI_COMMON_Q_DESCLO, 4, 0);
	put(p, VIRTIO_PCI_COMMON_Q_SIZE, 2, 4);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_Q_SIZE, 2), 8);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_Q_DESCLO, 4), d.desc);
	/* The device's own space. */
	assert_int_equal(mmio_get(p->v, p->device + 1, 1), 1);
	mmio_put(p->v, p->device + 2, 2, 0x7788);
	assert_int_equal(mmio_get(p->v, p->device, 4), 0x77880100);
	assert_int_equal(mmio_get(p->v, p->device + TOY_CONFIG, 4), 0);
	virtio_config_set(&p->v->toy->vdev, 0, "", 1);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_CFGGENERATION, 1), 1);
	end(p);
}

static void test_intx(void **state)
{
	struct driver *p = begin(false);
	struct vring_driver d;
	u32 id, len;

	bring_up(p, 2, &d);
	memcpy(p->v->ram + 0x4000, "virtio", 6);
	toy_request(&d, 6, 0x4000, 6);
	kick_queue(p, 2);
	assert_true(vdrv_take_used(&d, &id, &len));
	assert_int_equal(id, 6);
	assert_memory_equal(p->v->ram + 0xc000, "virtio", 6);
	assert_int_equal(p->v->chip.level[LINE], 1);
	assert_true(cfg(p, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	virtio_config_set(&p->v->toy->vdev, 0, "", 1);
	/* Reading acknowledges all. */
	assert_int_equal(mmio_get(p->v, p->isr, 1), 3);
	assert_int_equal(p->v->chip.level[LINE], 0);
	assert_int_equal(mmio_get(p->v, p->isr, 1), 0);
	/* A reset lets the line go. */
	virtio_config_set(&p->v->toy->vdev, 0, "", 1);
	assert_int_equal(p->v->chip.level[LINE], 1);
	put(p, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_equal(p->v->chip.level[LINE], 0);
	assert_int_equal(mmio_get(p->v, p->isr, 1), 0);
	end(p);
}

/* A broken ring: the driver is told, sees it in the status, and a reset makes all good. */
static void test_recovery(void **state)
{
	struct driver *p = begin(false);
	struct vring_driver d;

	for (u32 round = 0; round < 3; round++) {
		bring_up(p, 0, &d);
		pump(p->v);
		toy_request(&d, 0, 0x4000, 4);
		kick_queue(p, 0);
		pump(p->v);
		assert_int_equal(vdrv_used_idx(&d), 1);
		mmio_get(p->v, p->bar + 0x1000, 1);
		vdrv_offer(&d, 8); /* no such descriptor */
		kick_queue(p, 0);
		pump(p->v);
		assert_int_equal(get(p, VIRTIO_PCI_COMMON_STATUS, 1), 0xf | S_NEEDS_RESET);
		assert_int_equal(mmio_get(p->v, p->bar + 0x1000, 1), VIRTIO_PCI_ISR_CONFIG);
		toy_request(&d, 2, 0x4000, 4);
		kick_queue(p, 0);
		pump(p->v);
		assert_int_equal(vdrv_used_idx(&d), 1);
		put(p, VIRTIO_PCI_COMMON_STATUS, 1, 0);
		assert_int_equal(get(p, VIRTIO_PCI_COMMON_STATUS, 1), 0);
	}
	end(p);
}

static void set_vector(struct driver *p, u32 n, u32 data)
{
	u64 at = p->bar + (cfg(p, p->msix + 4, 4) & ~7u) + 16 * n;

	mmio_put(p->v, at, 8, 0xfee00000);
	mmio_put(p->v, at + 8, 4, data);
	mmio_put(p->v, at + 12, 4, 0);
}

static void test_msix(void **state)
{
	struct driver *p = begin(false);
	struct toy_chip *c = &p->v->chip;
	struct vring_driver d;

	bring_up(p, 1, &d);
	set_cfg(p, p->msix + 2, 2, PCI_MSIX_FLAGS_ENABLE);
	for (u32 i = 0; i <= TOY_QUEUES; i++)
		set_vector(p, i, 0x50 + i);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	put(p, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_MSIX, 2), 0);
	put(p, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	/* One that does not exist reads back as none. */
	put(p, VIRTIO_PCI_COMMON_Q_MSIX, 2, TOY_QUEUES + 1);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	put(p, VIRTIO_PCI_COMMON_MSIX, 2, 0xfffe);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	put(p, VIRTIO_PCI_COMMON_MSIX, 2, 0);
	toy_request(&d, 0, 0x4000, 6);
	kick_queue(p, 1);
	assert_int_equal(vdrv_used_idx(&d), 1);
	assert_int_equal(c->msis, 0); /* no vector, no line */
	assert_int_equal(c->level[LINE], 0);
	put(p, VIRTIO_PCI_COMMON_Q_MSIX, 2, 2);
	vdrv_set_used_event(&d, 1);
	toy_request(&d, 2, 0x4000, 6);
	kick_queue(p, 1);
	assert_int_equal(c->msis, 1);
	assert_int_equal(c->last_data, 0x52);
	virtio_config_set(&p->v->toy->vdev, 0, "", 1);
	assert_int_equal(c->msis, 2);
	assert_int_equal(c->last_data, 0x50);
	assert_int_equal(c->level[LINE], 0);
	/* MSI-X off: the configuration change is still in the ISR byte, and now on the line. */
	set_cfg(p, p->msix + 2, 2, 0);
	assert_int_equal(c->level[LINE], 1);
	set_cfg(p, p->msix + 2, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(c->level[LINE], 0);
	/* The device's reset forgets vectors. */
	put(p, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	put(p, VIRTIO_PCI_COMMON_Q_SELECT, 2, 1);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_Q_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	end(p);
}

static u32 window_get(struct driver *p, u32 bar, u32 offset, u32 len)
{
	set_cfg(p, p->window + VIRTIO_PCI_CAP_BAR, 1, bar);
	set_cfg(p, p->window + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	set_cfg(p, p->window + VIRTIO_PCI_CAP_LENGTH, 4, len);
	set_cfg(p, p->window + 16, 4, 0xdddddddd);
	return cfg(p, p->window + 16, 4);
}

/* The window in configuration space: for firmware, and for who looks for holes. */
static void test_window(void **state)
{
	struct driver *p = begin(false);
	u32 isr = (u32)(p->isr - p->bar), device = (u32)(p->device - p->bar);
	u32 common = (u32)(p->common - p->bar);

	/* A probe writes first: use read-only places. */
	assert_int_equal(window_get(p, 0, common + VIRTIO_PCI_COMMON_NUMQ, 2),
			 0xdddd0000 | TOY_QUEUES);
	set_cfg(p, PCI_COMMAND, 2, PCI_COMMAND_MASTER); /* works without the BAR */
	assert_int_equal(window_get(p, 0, device + 8, 4), 0xdddddddd);
	assert_int_equal(p->v->toy->vdev.config[9], 0xdd);
	set_cfg(p, p->window + VIRTIO_PCI_CAP_LENGTH, 4, 1);
	set_cfg(p, p->window + VIRTIO_PCI_CAP_OFFSET, 4, common + VIRTIO_PCI_COMMON_STATUS);
	set_cfg(p, p->window + 16, 1, S_ACK);
	assert_int_equal(cfg(p, p->window + 16, 1), S_ACK);
	assert_int_equal(p->v->toy->vdev.status, S_ACK);
	/* Nothing of this reaches anything: what was written is read back. */
	assert_int_equal(window_get(p, 1, isr, 1), 0xdddddddd);
	assert_int_equal(window_get(p, 0, common, 0), 0xdddddddd);
	assert_int_equal(window_get(p, 0, common, 3), 0xdddddddd);
	assert_int_equal(window_get(p, 0, common, 8), 0xdddddddd);
	assert_int_equal(window_get(p, 0, common, ~0u), 0xdddddddd);
	assert_int_equal(window_get(p, 0, common + 2, 4), 0xdddddddd);
	assert_int_equal(window_get(p, 0, 0x8000, 4), 0xdddddddd);
	assert_int_equal(window_get(p, 0, ~0u, 1), 0xdddddddd);
	assert_int_equal(window_get(p, 0, ~3u, 4), 0xdddddddd);
	/* MSI-X is behind it for nobody, the last bytes before mean nothing, but are there. */
	assert_int_equal(window_get(p, 0, 0x4000, 4), 0xdddddddd);
	assert_int_equal(window_get(p, 0, 0x5000, 4), 0xdddddddd);
	assert_int_equal(window_get(p, 0, 0x7ffc, 4), 0xdddddddd);
	assert_int_equal(window_get(p, 0, 0x3ffc, 4), 0);
	end(p);
}

/* The host is slow: until the reset is complete the registers are as they were. */
static void test_reset_last(void **state)
{
	struct driver *p = begin(false);
	struct toy *t = p->v->toy;
	struct vring_driver d;

	bring_up(p, 0, &d);
	put(p, VIRTIO_PCI_COMMON_MSIX, 2, 1);
	t->keep = true;
	toy_request(&d, 0, 0x4000, 6);
	kick_queue(p, 0);
	assert_int_equal(t->nr_kept, 1);
	put(p, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	assert_int_not_equal(status(p), 0);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_MSIX, 2), 1);
	t->nr_kept = 0;
	for (u16 q = 0; q < TOY_QUEUES; q++)
		virtio_queue_idle(&t->vdev, q);
	assert_int_equal(status(p), 0);
	assert_int_equal(get(p, VIRTIO_PCI_COMMON_MSIX, 2), VIRTIO_MSI_NO_VECTOR);
	end(p);
}

static void test_bus_master(void **state)
{
	struct driver *p = begin(false);
	struct vring_driver d;

	set_cfg(p, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	bring_up(p, 0, &d);
	toy_request(&d, 0, 0x4000, 6);
	kick_queue(p, 0);
	assert_int_equal(vdrv_used_idx(&d), 0);
	set_cfg(p, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	pump(p->v);
	assert_int_equal(vdrv_used_idx(&d), 1);
	end(p);
}

/* Moved while it runs, and reset with the machine. */
static void test_move_and_reset(void **state)
{
	struct driver *p = begin(false);
	struct vring_driver d;
	u64 home = p->bar;

	bring_up(p, 0, &d);
	set_cfg(p, PCI_BASE_ADDRESS_0, 4, 0xc0080000);
	probe(p);
	assert_int_equal(p->bar, 0xc0080000);
	assert_int_equal(status(p), 0xf);
	toy_request(&d, 0, 0x4000, 6);
	kick_queue(p, 0);
	assert_int_equal(vdrv_used_idx(&d), 1);
	assert_int_equal(mmio_get(p->v, home, 4), ~0u);
	vm_reset_devices(&p->v->vm);
	probe(p);
	assert_int_equal(p->bar, home);
	assert_int_equal(status(p), 0);
	assert_int_equal(p->v->chip.level[LINE], 0);
	assert_int_equal(p->v->toy->vdev.held, true);
	set_cfg(p, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	bring_up(p, 0, &d);
	toy_request(&d, 0, 0x4000, 6);
	kick_queue(p, 0);
	assert_int_equal(vdrv_used_idx(&d), 1);
	end(p);
}

static void test_no_host(void **state)
{
	struct toy_vm *v = toy_vm_new(TRANSPORT_PCI);
	struct toy *t = toy_new(v, false);

	assert_int_equal(virtio_attach(&t->vdev), -ENODEV);
	toy_free(t);
	toy_vm_free(v);
}

static void random_step(struct driver *p, struct vring_driver *d, u64 *seed)
{
	u64 r = vdrv_random(seed);
	u64 value = r & BIT_ULL(44) ? vdrv_random(seed) : (r >> 45) % 128;
	u32 len = 1u << ((r >> 41) % 4);
	u64 at = (r & BIT_ULL(40)) ? r % 0x40 : r % 0x8010;
	bool common_status = at == VIRTIO_PCI_COMMON_STATUS;

	if (r & BIT_ULL(39))
		at &= ~(u64)(len - 1);
	if ((r >> 52) % 4 == 0)
		mmio_put(p->v, CONFIG + r % 0x108, len, value);
	else if ((r >> 52) % 4 == 1)
		mmio_get(p->v, CONFIG + r % 0x108, len);
	else if (r & BIT_ULL(55))
		mmio_get(p->v, p->bar + at, len);
	else if (!common_status || !(r >> 60))
		mmio_put(p->v, p->bar + at, len, value);
	vdrv_desc(d, (u32)(r >> 20) % 8, (r >> 24) % (TOY_RAM + 64), (u32)(r >> 33) % 3000,
		  (u16)((r >> 51) % 8), (u16)((r >> 54) % 8));
	vdrv_offer(d, (u16)((r >> 57) % 8));
}

static void random_run(bool threaded)
{
	struct driver *p = begin(threaded);
	struct vring_driver d;
	u64 seed = 0xfeed;
	u32 alive = 0;

	for (u32 n = 0; n < 120000; n++) {
		if (n % 512 == 0) {
			vm_reset_devices(&p->v->vm);
			set_cfg(p, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
			bring_up(p, 0, &d);
			set_cfg(p, p->msix + 2, 2, PCI_MSIX_FLAGS_ENABLE);
			set_vector(p, 0, 0x41);
			put(p, VIRTIO_PCI_COMMON_Q_MSIX, 2, 0);
		}
		random_step(p, &d, &seed);
		if (n % 8 == 0) {
			mmio_put(p->v, p->notify, 2, 0);
			if (!threaded)
				pump(p->v);
			else if (n % 64 == 0) /* however busy the host: the thread has its turn */
				toy_sync(&p->v->toy->vdev, 0);
		}
		alive += toy_live(&p->v->toy->vdev);
	}
	assert_true(alive > 1000 && p->v->toy->notified > 100);
	end(p);
}

static void test_random(void **state)
{
	random_run(false);
}

static void test_random_threaded(void **state)
{
	random_run(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),   cmocka_unit_test(test_common_fields),
		cmocka_unit_test(test_intx),	   cmocka_unit_test(test_recovery),
		cmocka_unit_test(test_msix),	   cmocka_unit_test(test_window),
		cmocka_unit_test(test_bus_master), cmocka_unit_test(test_move_and_reset),
		cmocka_unit_test(test_no_host),	   cmocka_unit_test(test_reset_last),
		cmocka_unit_test(test_random),	   cmocka_unit_test(test_random_threaded),
	};

	return cmocka_run_group_tests_name("virtio_pci", tests, NULL, NULL);
}
