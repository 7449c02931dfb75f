/* SPDX-License-Identifier: MIT */
/* The MMIO transport, driven through its registers. */
#include "unit.h"

#include <linux/virtio_mmio.h>

#include "lkvm/arch.h"
#include "toy_device.h"

static u64 base(u32 index)
{
	return arch_platform.virtio_mmio_base + index * arch_platform.virtio_mmio_stride;
}

static u32 get(struct toy_vm *v, u32 reg)
{
	return (u32)mmio_get(v, base(0) + reg, 4);
}

static void put(struct toy_vm *v, u32 reg, u32 value)
{
	mmio_put(v, base(0) + reg, 4, value);
}

static int line(struct toy_vm *v)
{
	return v->chip.level[arch_platform.virtio_mmio_gsi];
}

static struct toy_vm *begin(void)
{
	struct toy_vm *v = toy_vm_new(TRANSPORT_MMIO);

	toy_new(v, false);
	assert_int_equal(virtio_attach(&v->toy->vdev), 0);
	return v;
}

static void put_ring(struct toy_vm *v, u32 q, const struct vring_driver *d)
{
	put(v, VIRTIO_MMIO_QUEUE_SEL, q);
	put(v, VIRTIO_MMIO_QUEUE_NUM, d->size);
	put(v, VIRTIO_MMIO_QUEUE_DESC_LOW, (u32)d->desc);
	put(v, VIRTIO_MMIO_QUEUE_DESC_HIGH, (u32)(d->desc >> 32));
	put(v, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (u32)d->avail);
	put(v, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (u32)(d->avail >> 32));
	put(v, VIRTIO_MMIO_QUEUE_USED_LOW, (u32)d->used);
	put(v, VIRTIO_MMIO_QUEUE_USED_HIGH, (u32)(d->used >> 32));
	put(v, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void negotiate(struct toy_vm *v)
{
	put(v, VIRTIO_MMIO_STATUS, 0);
	put(v, VIRTIO_MMIO_STATUS, S_ACK);
	put(v, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER);
	put(v, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	put(v, VIRTIO_MMIO_DRIVER_FEATURES, (u32)TOY_ACCEPT);
	put(v, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	put(v, VIRTIO_MMIO_DRIVER_FEATURES, (u32)(TOY_ACCEPT >> 32));
	put(v, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK);
	assert_int_equal(get(v, VIRTIO_MMIO_STATUS), S_ACK | S_DRIVER | S_FEATURES_OK);
}

static void test_registers(void **state)
{
	struct toy_vm *v = begin();

	assert_int_equal(get(v, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(get(v, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(get(v, VIRTIO_MMIO_DEVICE_ID), TOY_ID);
	put(v, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	assert_int_equal(get(v, VIRTIO_MMIO_DEVICE_FEATURES),
			 BIT(5) | BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC));
	put(v, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(get(v, VIRTIO_MMIO_DEVICE_FEATURES),
			 BIT(VIRTIO_F_VERSION_1 - 32) | BIT(VIRTIO_F_RING_PACKED - 32) |
				 BIT(VIRTIO_F_RING_RESET - 32));
	put(v, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(get(v, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	put(v, VIRTIO_MMIO_QUEUE_SEL, 2);
	assert_int_equal(get(v, VIRTIO_MMIO_QUEUE_NUM_MAX), TOY_SIZE);
	put(v, VIRTIO_MMIO_QUEUE_SEL, 3);
	assert_int_equal(get(v, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
	put(v, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(get(v, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(get(v, VIRTIO_MMIO_SHM_LEN_LOW), ~0u);
	/* Configuration in any width, registers by words alone. */
	assert_int_equal(mmio_get(v, base(0) + 0x101, 1), 1);
	assert_int_equal(mmio_get(v, base(0) + 0x102, 2), 0x0302);
	assert_int_equal(get(v, 0x108), 0x0b0a0908);
	assert_int_equal(get(v, 0x1fc), 0);
	mmio_put(v, base(0) + 0x103, 1, 0x77);
	assert_int_equal(get(v, 0x100), 0x77020100);
	assert_int_equal(mmio_get(v, base(0), 1), 0);
	assert_true(mmio_get(v, base(0), 8) == 0);
	assert_int_equal(mmio_get(v, base(0) + 2, 4), 0);
	mmio_put(v, base(0) + VIRTIO_MMIO_STATUS, 1, S_ACK);
	assert_int_equal(get(v, VIRTIO_MMIO_STATUS), 0);
	toy_vm_free(v);
}

static void test_request(void **state)
{
	struct toy_vm *v = begin();
	struct vring_driver d;
	u32 id, len;

	negotiate(v);
	vdrv_setup(&d, v->ram, 0x1000, 8);
	put_ring(v, 1, &d);
	assert_int_equal(get(v, VIRTIO_MMIO_QUEUE_READY), 1);
	/* An enabled queue stands still. */
	put(v, VIRTIO_MMIO_QUEUE_DESC_LOW, 0xdead0000);
	put(v, VIRTIO_MMIO_QUEUE_NUM, 16);
	assert_true(v->toy->vdev.queues[1].vq.desc_gpa == d.desc);
	assert_int_equal(v->toy->vdev.queues[1].vq.size, 8);
	put(v, VIRTIO_MMIO_STATUS, 0xf);
	memcpy(v->ram + 0x4000, "lkvm", 4);
	toy_request(&d, 4, 0x4000, 4);
	put(v, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	assert_int_equal(line(v), 0);
	pump(v);
	assert_true(vdrv_take_used(&d, &id, &len));
	assert_int_equal(id, 4);
	assert_memory_equal(v->ram + 0xc000, "lkvm", 4);
	/* The line stays up until all bits are acknowledged. */
	assert_int_equal(line(v), 1);
	virtio_config_set(&v->toy->vdev, 0, "", 1);
	assert_int_equal(get(v, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	put(v, VIRTIO_MMIO_INTERRUPT_ACK, 1);
	assert_int_equal(line(v), 1);
	assert_int_equal(get(v, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
	put(v, VIRTIO_MMIO_INTERRUPT_ACK, ~0u);
	assert_int_equal(line(v), 0);
	assert_int_equal(get(v, VIRTIO_MMIO_CONFIG_GENERATION), 1);
	/* No queue: nothing happens. */
	put(v, VIRTIO_MMIO_QUEUE_NOTIFY, 3);
	put(v, VIRTIO_MMIO_QUEUE_NOTIFY, ~0u);
	pump(v);
	/* Reset in the middle: a request and an interrupt are pending. */
	toy_request(&d, 0, 0x4000, 4);
	put(v, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	virtio_config_set(&v->toy->vdev, 0, "", 1);
	assert_int_equal(line(v), 1);
	put(v, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(get(v, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(line(v), 0);
	pump(v);
	assert_int_equal(vdrv_used_idx(&d), 1);
	put(v, VIRTIO_MMIO_QUEUE_SEL, 1);
	assert_int_equal(get(v, VIRTIO_MMIO_QUEUE_READY), 0);
	/* And all over again, then taken apart by QueueReady. */
	negotiate(v);
	vdrv_setup(&d, v->ram, 0x1000, 8);
	put_ring(v, 1, &d);
	put(v, VIRTIO_MMIO_STATUS, 0xf);
	put(v, VIRTIO_MMIO_QUEUE_READY, 0);
	assert_int_equal(get(v, VIRTIO_MMIO_QUEUE_READY), 0);
	toy_request(&d, 0, 0x4000, 4);
	put(v, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	pump(v);
	assert_int_equal(vdrv_used_idx(&d), 0);
	vm_reset_devices(&v->vm);
	assert_int_equal(get(v, VIRTIO_MMIO_STATUS), 0);
	toy_vm_free(v);
}

/* A broken ring: the driver is told, sees it in the status, and a reset makes all good. */
static void test_recovery(void **state)
{
	struct toy_vm *v = begin();
	struct vring_driver d;

	for (u32 round = 0; round < 3; round++) {
		negotiate(v);
		vdrv_setup(&d, v->ram, 0x1000, 8);
		put_ring(v, 1, &d);
		put(v, VIRTIO_MMIO_STATUS, 0xf);
		toy_request(&d, 0, 0x4000, 4);
		put(v, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
		pump(v);
		assert_int_equal(vdrv_used_idx(&d), 1);
		put(v, VIRTIO_MMIO_INTERRUPT_ACK, ~0u);
		vdrv_offer(&d, 8); /* no such descriptor */
		put(v, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
		pump(v);
		assert_int_equal(get(v, VIRTIO_MMIO_STATUS), 0xf | S_NEEDS_RESET);
		assert_int_equal(get(v, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
		toy_request(&d, 2, 0x4000, 4);
		put(v, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
		pump(v);
		assert_int_equal(vdrv_used_idx(&d), 1);
		put(v, VIRTIO_MMIO_STATUS, 0);
		assert_int_equal(get(v, VIRTIO_MMIO_STATUS), 0);
		assert_int_equal(line(v), 0);
	}
	toy_vm_free(v);
}

/* 4.2.3.3: the upper half says where the ring stands, which may be anything. */
static void test_notification_data(void **state)
{
	for (u32 agreed = 0; agreed < 2; agreed++) {
		struct toy_vm *v = toy_vm_new(TRANSPORT_MMIO);
		struct vring_driver d;

		v->cfg.virtio_notification_data = true;
		toy_new(v, false);
		assert_int_equal(virtio_attach(&v->toy->vdev), 0);
		put(v, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER);
		put(v, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
		put(v, VIRTIO_MMIO_DRIVER_FEATURES,
		    1 | agreed << (VIRTIO_F_NOTIFICATION_DATA - 32));
		put(v, VIRTIO_MMIO_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK);
		vdrv_setup(&d, v->ram, 0x1000, 8);
		put_ring(v, 1, &d);
		put(v, VIRTIO_MMIO_STATUS, 0xf);
		pump(v);
		toy_request(&d, 0, 0x4000, 4);
		put(v, VIRTIO_MMIO_QUEUE_NOTIFY, 0xffff0001);
		pump(v);
		assert_int_equal(vdrv_used_idx(&d), agreed);
		put(v, VIRTIO_MMIO_QUEUE_NOTIFY, 0x0001ffff); /* no queue */
		toy_vm_free(v);
	}
}

static void test_sizes(void **state)
{
	static const u32 sizes[] = { 0, 3, 128, 0x10008, ~0u };
	struct toy_vm *v = begin();
	struct vring_driver d;

	vdrv_setup(&d, v->ram, 0x1000, 8);
	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
		negotiate(v);
		put_ring(v, 0, &d);
		assert_int_equal(get(v, VIRTIO_MMIO_QUEUE_READY), 1);
		put(v, VIRTIO_MMIO_QUEUE_READY, 0);
		put(v, VIRTIO_MMIO_QUEUE_NUM, sizes[i]);
		put(v, VIRTIO_MMIO_QUEUE_READY, 1);
		assert_int_equal(get(v, VIRTIO_MMIO_QUEUE_READY), 0);
		assert_true(get(v, VIRTIO_MMIO_STATUS) & S_NEEDS_RESET);
	}
	toy_vm_free(v);
}

/* As many as the platform has room for, each at its own place; one more is refused whole. */
static void test_many(void **state)
{
	struct toy_vm *v = begin();
	struct toy *t;

	for (u32 i = 1; i < arch_platform.virtio_mmio_max; i++) {
		t = toy_new(v, false);
		assert_int_equal(virtio_attach(&t->vdev), 0);
		assert_int_equal(mmio_get(v, base(i), 4), 0x74726976);
		virtio_config_set(&t->vdev, 0, "", 1);
		assert_int_equal(v->chip.level[arch_platform.virtio_mmio_gsi + i], 0);
	}
	t = toy_new(v, false);
	assert_int_equal(virtio_attach(&t->vdev), -ENOSPC);
	toy_free(t);
	assert_false(v->destroyed);
	vm_destroy(&v->vm);
	assert_true(v->destroyed);
	free(v->ram);
	free(v);
}

static void test_random(void **state)
{
	struct toy_vm *v = begin();
	struct vring_driver d;
	u64 seed = 0x5eed;
	u32 alive = 0;

	for (u32 n = 0; n < 120000; n++) {
		u64 r = vdrv_random(&seed);
		u32 reg = (u32)(r % 0x210) & (r & BIT_ULL(40) ? ~3u : ~0u);
		u32 len = 1u << ((r >> 41) % 4);
		u64 value = r & BIT_ULL(44) ? vdrv_random(&seed) : (r >> 45) % 128;

		if (n % 512 == 0) {
			negotiate(v);
			vdrv_setup(&d, v->ram, 0x1000, 8);
			put_ring(v, 0, &d);
			put(v, VIRTIO_MMIO_STATUS, 0xf);
		}
		/* Leave the device alive for a while. */
		if (reg == VIRTIO_MMIO_STATUS && (r >> 60))
			continue;
		if (r & BIT_ULL(50))
			mmio_get(v, base(0) + reg, len);
		else
			mmio_put(v, base(0) + reg, len, value);
		vdrv_desc(&d, (u32)(r >> 20) % 8, (r >> 24) % (TOY_RAM + 64), (u32)(r >> 33) % 3000,
			  (u16)((r >> 51) % 8), (u16)((r >> 54) % 8));
		vdrv_offer(&d, (u16)((r >> 57) % 8));
		if (n % 8 == 0)
			pump(v);
		alive += toy_live(&v->toy->vdev);
	}
	assert_true(alive > 1000 && v->toy->notified > 100);
	toy_vm_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers), cmocka_unit_test(test_request),
		cmocka_unit_test(test_recovery),  cmocka_unit_test(test_notification_data),
		cmocka_unit_test(test_sizes),	  cmocka_unit_test(test_many),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("virtio_mmio", tests, NULL, NULL);
}
