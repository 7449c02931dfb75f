/* SPDX-License-Identifier: MIT */
/* VFIO: MSI-X of a device that is passed through, and anything that a guest may do. */
#include "vfio_irq_rig.h"

static u32 came(u32 v)
{
	chip_settle(&chip);
	return (u32)chip.by_gsi[irqs()->msix.routes[v]->gsi];
}

static void test_msix(void **state)
{
	(void)state;
	device();
	start();
	/* No vector is used yet, but one is bound: to nothing. */
	enable_msix();
	assert_true(is_on(MSIX));
	assert_int_equal(f.nr_bound[MSIX], 1);
	assert_int_equal(f.fds[MSIX][0], -1);
	set_vector(3, 0x41, false);
	assert_true(f.fds[MSIX][3] >= 0);
	assert_int_equal(f.fds[MSIX][2], -1);
	assert_int_equal(sends(MSIX, 3), 1);
	/* Masks cost the host no call, and lose nothing. */
	f.set_irqs = 0;
	set_mem(TABLE + 16 * 3 + 12, 1);
	assert_int_equal(sends(MSIX, 3), 0);
	assert_int_equal(mem(PENDING, 4), BIT(3));
	set_mem(TABLE + 16 * 3 + 12, 0);
	assert_int_equal(came(3), 2);
	set(MSIX_AT + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 2);
	assert_int_equal(sends(MSIX, 3), 0);
	enable_msix();
	assert_int_equal(came(3), 3);
	assert_int_equal(f.set_irqs, 0);
	/* Off: INTx. On again: those that are unmasked at once. */
	set(MSIX_AT + PCI_MSIX_FLAGS, 0, 2);
	assert_true(is_on(INTX));
	set_vector(5, 0x42, false);
	set_mem(TABLE + 16 * 3 + 12, 1);
	enable_msix();
	assert_true(is_on(MSIX));
	assert_int_equal(f.nr_bound[MSIX], 6);
	assert_int_equal(f.fds[MSIX][3], -1);
	assert_int_equal(sends(MSIX, 5), 1);
	/* Of those that the host has no use of the device knows what is pending. */
	f.regions[0].bytes[0x1800] = BIT(7) | BIT(5);
	assert_int_equal(mem(PENDING, 4), BIT(7));
	assert_int_equal(mem(PENDING, 1), BIT(7));
	assert_int_equal(mem(PENDING + 1, 1), 0);
	set_vector(7, 0x43, false);
	assert_int_equal(mem(PENDING, 4), 0);
	/* It goes before MSI. */
	enable_msi(0);
	assert_true(is_on(MSIX));
	set(MSIX_AT + PCI_MSIX_FLAGS, 0, 2);
	assert_true(is_on(MSI));
	/* The device's own table is not the guest's. */
	assert_int_equal(get_le(f.regions[0].bytes + 0x1000 + 16 * 5 + 8, 4), 0);
	stop();
}

static void test_msix_that_cannot_grow(void **state)
{
	(void)state;
	device();
	f.irqs[MSIX].flags |= VFIO_IRQ_INFO_NORESIZE;
	start();
	set_vector(2, 0x41, false);
	enable_msix();
	assert_int_equal(f.nr_bound[MSIX], 3);
	assert_int_equal(came(2), 0);
	/* Twice as many; what may have come between is made up for. */
	set_vector(3, 0x42, false);
	assert_int_equal(f.nr_bound[MSIX], 6);
	assert_int_equal(came(2), 1);
	assert_int_equal(sends(MSIX, 3), 1);
	/* Those that are there need no more. */
	f.set_irqs = 0;
	set_vector(5, 0x43, false);
	assert_int_equal(f.set_irqs, 1);
	assert_int_equal(came(2), 1);
	set_vector(15, 0x44, false);
	assert_int_equal(f.nr_bound[MSIX], 16);
	assert_int_equal(sends(MSIX, 15), 1);
	assert_int_equal(sends(MSIX, 2), 1);
	stop();
}

static void test_msix_of_a_host_with_fewer(void **state)
{
	(void)state;
	for (int fixed = 0; fixed < 2; fixed++) {
		device();
		if (fixed)
			f.irqs[MSIX].flags |= VFIO_IRQ_INFO_NORESIZE;
		f.before = has_fewer;
		host_has = 4;
		start();
		set_vector(1, 0x41, false);
		enable_msix();
		assert_int_equal(sends(MSIX, 1), 1);
		capture_begin();
		set_vector(9, 0x42, false);
		(void)capture_end();
		assert_contains(captured, "MSI-X interrupt 9 stays silent");
		assert_int_equal(sends(MSIX, 1), 1);
		/* The others are not disturbed for one that cannot be had. */
		f.set_irqs = 0;
		set_vector(10, 0x44, false);
		assert_int_equal(f.set_irqs, 0);
		set_vector(3, 0x43, false);
		assert_int_equal(sends(MSIX, 3), 1);
		/* And from the start. */
		set(MSIX_AT + PCI_MSIX_FLAGS, 0, 2);
		enable_msix();
		assert_int_equal(f.nr_bound[MSIX], 4);
		assert_int_equal(sends(MSIX, 1), 1);
		stop();
	}
}

static u32 refuse;

static int refuses(struct fake_vfio *fake, unsigned long request, void *arg)
{
	const struct vfio_irq_set *s = arg;

	if (request != VFIO_DEVICE_SET_IRQS || !s->count || !refuse)
		return 1;
	refuse--;
	return -ENOMEM;
}

/* More fail: those that there were are back. These fail too: all is off, until the next. */
static void test_msix_growth_that_fails(void **state)
{
	(void)state;
	device();
	f.irqs[MSIX].flags |= VFIO_IRQ_INFO_NORESIZE;
	f.before = refuses;
	start();
	set_vector(2, 0x41, false);
	enable_msix();
	capture_begin();
	refuse = 1;
	set_vector(5, 0x42, false);
	assert_int_equal(f.nr_bound[MSIX], 3);
	assert_int_equal(came(2), 1);
	refuse = 2;
	set_vector(6, 0x43, false);
	assert_int_equal(f.nr_bound[MSIX], 0);
	set_vector(7, 0x44, false);
	assert_int_equal(f.nr_bound[MSIX], 8);
	assert_int_equal(sends(MSIX, 5), 1);
	refuse = 2;
	set_vector(9, 0x43, false);
	set(MSIX_AT + PCI_MSIX_FLAGS, 0, 2);
	(void)capture_end();
	assert_contains(captured, "MSI-X interrupt 5 stays silent");
	assert_null(strstr(captured, "switched off"));
	assert_true(is_on(INTX));
	stop();
}

/* Anything, with a host that refuses now and then. */

static u64 seed = 0x9e3779b97f4a7c15ULL;

static u32 any(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (u32)(seed >> 16);
}

static int refuses_now_and_then(struct fake_vfio *fake, unsigned long request, void *arg)
{
	const struct vfio_irq_set *s = arg;

	if (request != VFIO_DEVICE_SET_IRQS || !s->count || any() % 4)
		return 1;
	return any() % 2 ? -ENOMEM : (int)(any() % 3);
}

static void test_anything(void **state)
{
	static const u16 places[] = { PCI_COMMAND, MSI_AT, MSIX_AT, EXP_AT, MSI_AT + 16U };

	(void)state;
	device();
	f.irqs[MSIX].flags |= VFIO_IRQ_INFO_NORESIZE;
	start();
	f.before = refuses_now_and_then;
	log_set_level(LOG_ERROR);
	for (u32 i = 0; i < 20000; i++) {
		u32 len = 1U << any() % 3, at = any() % 0x900;

		if (any() % 3)
			set((places[any() % ARRAY_SIZE(places)] + any() % 8) & ~(len - 1), any(),
			    len);
		else
			set_mem(TABLE + (at & ~3U), any() % 2 ? any() : 0);
		(void)mem(PENDING + any() % 16, len);
		(void)get(any() % 252, len);
		if (any() % 64 == 0)
			set(PCI_BASE_ADDRESS_0, MEM32, 4);
		if (f.fds[MSIX][2] >= 0)
			eventfd_raise(f.fds[MSIX][2]);
		pump();
		/* One kind at a time. */
		assert_true((f.nr_bound[INTX] != 0) + (f.nr_bound[MSI] != 0) +
				    (f.nr_bound[MSIX] != 0) <=
			    1);
	}
	f.before = NULL;
	log_set_level(LOG_WARNING);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_msix),
		cmocka_unit_test(test_msix_that_cannot_grow),
		cmocka_unit_test(test_msix_of_a_host_with_fewer),
		cmocka_unit_test(test_msix_growth_that_fails),
		cmocka_unit_test(test_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
