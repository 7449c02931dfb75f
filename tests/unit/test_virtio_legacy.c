/* SPDX-License-Identifier: MIT */
/* Both transports for drivers from before VIRTIO 1.0, driven as such drivers do. */
#include "unit.h"

#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>

#define TOY_ID VIRTIO_ID_RNG /* which is old enough */

#include "capture.h"
#include "lkvm/arch.h"
#include "toy_device.h"

#define ECAM   0xe0000000ULL
#define CONFIG (ECAM + (1 << 15)) /* of the toy, in slot 1 */
#define PORTS  0x2000
#define LINE   17 /* INTA of slot 1 */

#define GUEST_PAGE_SIZE 0x28
#define QUEUE_ALIGN	0x3c
#define QUEUE_PFN	0x40

static const struct arch_pci_layout layout = {
	.ecam_base = ECAM,
	.ecam_size = MiB,
	.mem32_base = 0xc0000000,
	.mem32_size = MiB,
	.io_base = PORTS,
	.io_size = 0x1000,
	.intx_gsi = { 16, 17, 18, 19 },
};

static u32 cfg(struct toy_vm *v, u32 reg, u32 len)
{
	return (u32)mmio_get(v, CONFIG + reg, len);
}

static u32 in(struct toy_vm *v, u32 reg, u32 len)
{
	u8 data[4] = { 0 };

	bus_read(&v->vm.pio, (cfg(v, PCI_BASE_ADDRESS_0, 4) & ~3u) + reg, data, len);
	return (u32)get_le(data, len);
}

static void out(struct toy_vm *v, u32 reg, u32 len, u32 value)
{
	u8 data[4];

	put_le(data, len, value);
	bus_write(&v->vm.pio, (cfg(v, PCI_BASE_ADDRESS_0, 4) & ~3u) + reg, data, len);
}

static struct toy_vm *begin_pci(void)
{
	struct toy_vm *v = toy_vm_new(TRANSPORT_PCI_LEGACY);

	assert_int_equal(pci_host_add(&v->vm, &layout, 0), 0);
	toy_new(v, false);
	assert_int_equal(virtio_attach(&v->toy->vdev), 0);
	return v;
}

/* As vring_init of that time does: the used ring on the next page. */
static void lay_out(struct vring_driver *d, struct toy_vm *v, u64 at, u16 size, u64 align)
{
	vdrv_setup(d, v->ram, at, size);
	d->used = ALIGN_UP(d->avail + 2 * (3 + (u64)size), align);
	memset(v->ram + d->used, 0, 6 + 8 * (size_t)size);
}

static void expect_echo(struct toy_vm *v, struct vring_driver *d)
{
	u32 id, len;

	pump(v);
	assert_true(vdrv_take_used(d, &id, &len));
	assert_memory_equal(v->ram + 0x14000, "lkvm", 4);
	memset(v->ram + 0x14000, 0, 4);
}

static void offer(struct toy_vm *v, struct vring_driver *d)
{
	memcpy(v->ram + 0xc000, "lkvm", 4);
	toy_request(d, 0, 0xc000, 4);
}

static void test_pci_identity(void **state)
{
	struct toy_vm *v = begin_pci();

	assert_int_equal(cfg(v, PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(cfg(v, PCI_DEVICE_ID, 2), 0x1005);
	assert_int_equal(cfg(v, PCI_SUBSYSTEM_ID, 2), TOY_ID);
	assert_int_equal(cfg(v, PCI_REVISION_ID, 1), 0);
	assert_int_equal(cfg(v, PCI_BASE_ADDRESS_0, 4) & 3, PCI_BASE_ADDRESS_SPACE_IO);
	/* MSI-X is the one capability. */
	assert_int_equal(cfg(v, cfg(v, PCI_CAPABILITY_LIST, 1), 2), PCI_CAP_ID_MSIX);
	/* 32 bits are offered, none of VIRTIO 1.0's. */
	assert_int_equal(in(v, VIRTIO_PCI_HOST_FEATURES, 4),
			 BIT(5) | BIT(27) | BIT(VIRTIO_RING_F_EVENT_IDX) |
				 BIT(VIRTIO_RING_F_INDIRECT_DESC));
	out(v, VIRTIO_PCI_GUEST_FEATURES, 4, ~0u);
	assert_int_equal(in(v, VIRTIO_PCI_GUEST_FEATURES, 4), in(v, VIRTIO_PCI_HOST_FEATURES, 4));
	assert_int_equal(in(v, VIRTIO_PCI_QUEUE_NUM, 2), TOY_SIZE);
	out(v, VIRTIO_PCI_QUEUE_SEL, 2, TOY_QUEUES);
	assert_int_equal(in(v, VIRTIO_PCI_QUEUE_NUM, 2), 0);
	/* Configuration after 20 bytes, after 24 with MSI-X. */
	assert_int_equal(in(v, 20, 4), 0x03020100);
	mmio_put(v, CONFIG + cfg(v, PCI_CAPABILITY_LIST, 1) + 2, 2, 0x8000);
	assert_int_equal(in(v, 24, 4), 0x03020100);
	assert_int_equal(in(v, 20, 2), VIRTIO_MSI_NO_VECTOR);
	out(v, 20, 2, 1);
	assert_int_equal(in(v, 20, 2), 1);
	out(v, 20, 2, TOY_QUEUES + 1);
	assert_int_equal(in(v, 20, 2), VIRTIO_MSI_NO_VECTOR);
	toy_vm_free(v);
}

static void test_pci_request(void **state)
{
	struct toy_vm *v = begin_pci();
	struct vring_driver d;

	out(v, VIRTIO_PCI_STATUS, 1, 0);
	out(v, VIRTIO_PCI_STATUS, 1, S_ACK | S_DRIVER);
	out(v, VIRTIO_PCI_GUEST_FEATURES, 4, BIT(5));
	out(v, VIRTIO_PCI_QUEUE_SEL, 2, 1);
	assert_int_equal(in(v, VIRTIO_PCI_QUEUE_PFN, 4), 0);
	lay_out(&d, v, 0x3000, TOY_SIZE, 4096);
	out(v, VIRTIO_PCI_QUEUE_PFN, 4, 3);
	assert_int_equal(in(v, VIRTIO_PCI_QUEUE_PFN, 4), 3);
	/* A request before DRIVER_OK, and bus mastering is off (Linux before 2.6.34). */
	offer(v, &d);
	out(v, VIRTIO_PCI_QUEUE_NOTIFY, 2, 1);
	expect_echo(v, &d);
	assert_int_equal(v->chip.level[LINE], 1);
	assert_int_equal(in(v, VIRTIO_PCI_ISR, 1), 1);
	assert_int_equal(v->chip.level[LINE], 0);
	/* A queue that comes later, and one that goes. */
	out(v, VIRTIO_PCI_STATUS, 1, S_ACK | S_DRIVER | S_DRIVER_OK);
	assert_int_equal(in(v, VIRTIO_PCI_STATUS, 1), S_ACK | S_DRIVER | S_DRIVER_OK);
	out(v, VIRTIO_PCI_QUEUE_PFN, 4, 0);
	assert_int_equal(in(v, VIRTIO_PCI_QUEUE_PFN, 4), 0);
	out(v, VIRTIO_PCI_QUEUE_SEL, 2, 0);
	lay_out(&d, v, 0x6000, TOY_SIZE, 4096);
	out(v, VIRTIO_PCI_QUEUE_PFN, 4, 6);
	offer(v, &d);
	out(v, VIRTIO_PCI_QUEUE_NOTIFY, 2, 0);
	expect_echo(v, &d);
	/* A reset, which nobody waits for. */
	out(v, VIRTIO_PCI_STATUS, 1, 0);
	assert_int_equal(in(v, VIRTIO_PCI_STATUS, 1), 0);
	assert_int_equal(in(v, VIRTIO_PCI_QUEUE_PFN, 4), 0);
	/* No ring, no queue: nothing happens. */
	out(v, VIRTIO_PCI_QUEUE_NOTIFY, 2, 0);
	out(v, VIRTIO_PCI_QUEUE_NOTIFY, 2, 77);
	out(v, VIRTIO_PCI_QUEUE_PFN, 4, ~0u);
	assert_int_equal(in(v, VIRTIO_PCI_QUEUE_PFN, 4), 0);
	toy_vm_free(v);
}

static u32 get(struct toy_vm *v, u32 reg)
{
	return (u32)mmio_get(v, arch_platform.virtio_mmio_base + reg, 4);
}

static void put(struct toy_vm *v, u32 reg, u32 value)
{
	mmio_put(v, arch_platform.virtio_mmio_base + reg, 4, value);
}

static struct toy_vm *begin_mmio(enum virtio_transport_kind transport)
{
	struct toy_vm *v = toy_vm_new(transport);

	toy_new(v, false);
	assert_int_equal(virtio_attach(&v->toy->vdev), 0);
	return v;
}

static void test_mmio(void **state)
{
	struct toy_vm *v = begin_mmio(TRANSPORT_MMIO_LEGACY);
	struct vring_driver d;

	assert_int_equal(get(v, VIRTIO_MMIO_VERSION), 1);
	/* As Linux: first the size of its pages, then a reset, which keeps it. */
	put(v, GUEST_PAGE_SIZE, 8192);
	put(v, VIRTIO_MMIO_STATUS, 0);
	put(v, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER);
	put(v, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(get(v, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	put(v, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	put(v, VIRTIO_MMIO_DRIVER_FEATURES, BIT(5));
	put(v, VIRTIO_MMIO_QUEUE_SEL, 2);
	assert_int_equal(get(v, VIRTIO_MMIO_QUEUE_NUM_MAX), TOY_SIZE);
	put(v, VIRTIO_MMIO_QUEUE_NUM, 8);
	put(v, QUEUE_ALIGN, 256);
	lay_out(&d, v, 0x4000, 8, 256);
	put(v, QUEUE_PFN, 2);
	assert_int_equal(get(v, QUEUE_PFN), 2);
	put(v, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER | S_DRIVER_OK);
	assert_int_equal(get(v, VIRTIO_MMIO_STATUS), S_ACK | S_DRIVER | S_DRIVER_OK);
	offer(v, &d);
	put(v, VIRTIO_MMIO_QUEUE_NOTIFY, 2);
	expect_echo(v, &d);
	assert_int_equal(get(v, VIRTIO_MMIO_INTERRUPT_STATUS), 1);
	put(v, VIRTIO_MMIO_INTERRUPT_ACK, 1);
	put(v, QUEUE_PFN, 0);
	assert_int_equal(get(v, QUEUE_PFN), 0);
	/* An alignment that is none: no ring. */
	put(v, QUEUE_ALIGN, 24);
	put(v, QUEUE_PFN, 2);
	assert_int_equal(get(v, QUEUE_PFN), 0);
	toy_vm_free(v);
}

/* On modern transports a driver that knows only these is told of, once. */
static void test_told(void **state)
{
	struct toy_vm *v = begin_mmio(TRANSPORT_MMIO);

	log_set_level(LOG_WARNING);
	capture_begin();
	put(v, GUEST_PAGE_SIZE, 4096);
	put(v, QUEUE_ALIGN, 4096);
	put(v, QUEUE_PFN, 4);
	put(v, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER | S_DRIVER_OK);
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, "toy0: the guest's driver knows only legacy virtio; start with "
				  "--virtio-transport mmio-legacy\n");
	toy_vm_free(v);
	/* DRIVER_OK with features that cannot be of VIRTIO 1.0. */
	v = begin_mmio(TRANSPORT_MMIO);
	log_set_level(LOG_WARNING);
	capture_begin();
	put(v, VIRTIO_MMIO_DRIVER_FEATURES, BIT(5));
	put(v, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER | S_DRIVER_OK);
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, "knows only legacy virtio");
	assert_int_equal(get(v, VIRTIO_MMIO_STATUS), S_ACK | S_DRIVER);
	toy_vm_free(v);
}

/* Any bytes into the registers: whatever the guest writes, it ends well. */
static void test_random(void **state)
{
	u64 seed = 12345;

	for (u32 round = 0; round < 20; round++) {
		struct toy_vm *v = round & 1 ? begin_pci() : begin_mmio(TRANSPORT_MMIO_LEGACY);

		for (u32 i = 0; i < 400; i++) {
			u32 value = (u32)vdrv_random(&seed), reg = value >> 24 & 0x7c;

			value = value & 1 ? value >> 1 & 7 : (u32)vdrv_random(&seed);
			if (round & 1)
				out(v, vdrv_random(&seed) % 40, 1u << (seed & 1), value);
			else
				put(v, reg, value);
			if (i % 16 == 0)
				pump(v);
		}
		toy_vm_free(v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pci_identity), cmocka_unit_test(test_pci_request),
		cmocka_unit_test(test_mmio),	     cmocka_unit_test(test_told),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
