/* SPDX-License-Identifier: MIT */
/* MSI-X: vectors, masks, pending bits, and tables that guests fill with anything. */
#include "unit.h"

#include "device_state.h"
#include "pci_thing.h"

#define TABLE	(MEM32 + 0x1000)
#define PBA	(MEM32 + 0x2000)
#define CONTROL 0x42 /* of the capability at 0x40 */

static void set_vector(struct toy_vm *v, u32 n, u64 addr, u32 data, u32 control)
{
	mmio_put(v, TABLE + 16 * n, 4, (u32)addr);
	mmio_put(v, TABLE + 16 * n + 4, 4, addr >> 32);
	mmio_put(v, TABLE + 16 * n + 8, 4, data);
	mmio_put(v, TABLE + 16 * n + 12, 4, control);
}

static void test_msix(void **state)
{
	struct toy_vm *v = begin();
	struct toy_chip *c = &v->chip;
	struct thing *t;

	assert_int_equal(thing_add(v, 1, &t), 0);
	set_cfg(v, 1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(mmio_get(v, TABLE + 12, 4), 1); /* masked at power-on */
	set_vector(v, 3, 0xfee01000, 0x41, 0);
	msix_notify(&t->msix, 3); /* not enabled: lost */
	assert_int_equal(c->msis, 0);
	assert_null(t->msix.routes[3]);
	set_cfg(v, 1, CONTROL, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(c->msis, 0);
	assert_non_null(t->msix.routes[3]);
	assert_null(t->msix.routes[2]); /* only what is needed */
	msix_notify(&t->msix, 3);
	assert_int_equal(c->msis, 1);
	assert_true(c->last_addr == 0xfee01000 && c->last_data == 0x41);
	/* Masked: remembered once, seen in the pending bits, sent when unmasked, as it is then. */
	set_vector(v, 3, 0xfee02000, 0x42, 1);
	msix_notify(&t->msix, 3);
	msix_notify(&t->msix, 3);
	assert_int_equal(c->msis, 1);
	assert_int_equal(mmio_get(v, PBA, 4), 1 << 3);
	mmio_put(v, TABLE + 16 * 3 + 12, 4, 0);
	assert_int_equal(c->msis, 2);
	assert_int_equal(c->last_data, 0x42);
	assert_int_equal(mmio_get(v, PBA, 4), 0);
	/* The function's own mask; a vector above 64. */
	set_vector(v, 69, 0xfee03000, 0x43, 0);
	set_cfg(v, 1, CONTROL, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	msix_notify(&t->msix, 69);
	assert_int_equal(c->msis, 2);
	assert_int_equal(mmio_get(v, PBA + 8, 1), 1 << 5);
	mmio_put(v, PBA + 8, 8, 0); /* read-only */
	set_cfg(v, 1, CONTROL, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(c->msis, 3);
	assert_int_equal(c->last_data, 0x43);
	/* Without bus mastering nothing is sent. */
	set_cfg(v, 1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	msix_notify(&t->msix, 3);
	assert_int_equal(c->msis, 3);
	set_cfg(v, 1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	/* Vectors that do not exist. */
	msix_notify(&t->msix, VECTORS);
	msix_notify(&t->msix, 0xffff);
	msix_notify(&t->msix, ~0u);
	/* Off: routes and pending bits go. */
	set_vector(v, 3, 0xfee02000, 0x42, 1);
	msix_notify(&t->msix, 3);
	set_cfg(v, 1, CONTROL, 2, 0);
	assert_null(t->msix.routes[3]);
	assert_int_equal(mmio_get(v, PBA, 8), 0);
	vm_reset_devices(&v->vm);
	assert_int_equal(mmio_get(v, TABLE + 16 * 3, 4), 0);
	assert_int_equal(mmio_get(v, TABLE + 16 * 3 + 12, 4), 1);
	toy_vm_free(v);
}

static void test_msix_garbage(void **state)
{
	struct toy_vm *v = begin();
	struct thing *t;
	u64 seed = 0xabcdef;

	assert_int_equal(thing_add(v, 1, &t), 0);
	set_cfg(v, 1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	set_cfg(v, 1, CONTROL, 2, PCI_MSIX_FLAGS_ENABLE);
	/* Reserved bits do not stick; odd widths and places do nothing. */
	mmio_put(v, TABLE, 4, ~0u);
	mmio_put(v, TABLE + 12, 4, ~0u);
	assert_int_equal(mmio_get(v, TABLE, 4), 0xfffffffc);
	assert_int_equal(mmio_get(v, TABLE + 12, 4), 1);
	mmio_put(v, TABLE + 8, 8, 0xffffffff12345678);
	assert_true(mmio_get(v, TABLE + 8, 8) == 0x0000000112345678);
	mmio_put(v, TABLE + 8, 2, 0);
	mmio_put(v, TABLE + 6, 4, 0);
	mmio_put(v, TABLE + 4, 8, 0);
	assert_int_equal(mmio_get(v, TABLE + 8, 4), 0x12345678);
	assert_int_equal(mmio_get(v, TABLE + 16 * VECTORS, 4), 0);
	mmio_put(v, TABLE + 16 * VECTORS, 4, 1);
	mmio_put(v, TABLE + 16 * VECTORS - 4, 8, 1);
	/* The host refuses the route: no message, no harm, and it may work later. */
	v->chip.refuse_routes = true;
	set_vector(v, 1, 0x12345678abcd, 7, 0);
	msix_notify(&t->msix, 1);
	assert_int_equal(v->chip.msis, 0);
	v->chip.refuse_routes = false;
	mmio_put(v, TABLE + 16 + 12, 4, 0);
	msix_notify(&t->msix, 1);
	assert_int_equal(v->chip.msis, 1);
	for (u32 n = 0; n < 100000; n++) {
		u64 r = vdrv_random(&seed);

		v->chip.refuse_routes = (r >> 60) == 0;
		if ((r >> 50) % 16 == 0)
			set_cfg(v, 1, CONTROL, 2, (u32)r);
		else if ((r >> 50) & 1)
			mmio_put(v, TABLE + r % (16 * VECTORS + 32), 1u << ((r >> 40) % 4), r);
		else
			msix_notify(&t->msix, (r >> 20) % (VECTORS + 2));
		mmio_get(v, PBA + r % 32, 1u << ((r >> 42) % 4));
		if (n % 10000 == 0)
			vm_reset_devices(&v->vm);
		if (n % 10000 == 0)
			set_cfg(v, 1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	}
	assert_true(v->chip.msis > 100);
	toy_vm_free(v);
}

/* Table, pending bits, routes and BARs in another machine. */
static void test_state(void **state)
{
	struct toy_vm *used = begin(), *fresh = begin();
	struct thing *a, *b;

	assert_int_equal(thing_add(used, 1, &a), 0);
	assert_int_equal(thing_add(fresh, 1, &b), 0);
	set_cfg(used, 1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	set_vector(used, 3, 0xfee01000, 0x41, 0);
	set_vector(used, 69, 0xfee02000, 0x42, 1);
	set_cfg(used, 1, CONTROL, 2, PCI_MSIX_FLAGS_ENABLE);
	msix_notify(&a->msix, 69); /* masked: it waits */
	check_state(&used->vm, &fresh->vm);
	assert_int_equal(fresh->chip.msis, 0);
	assert_non_null(b->msix.routes[3]);
	msix_notify(&b->msix, 3);
	assert_int_equal(fresh->chip.msis, 1);
	assert_int_equal(fresh->chip.last_data, 0x41);
	mmio_put(fresh, TABLE + 16 * 69 + 12, 4, 0);
	assert_int_equal(fresh->chip.msis, 2);
	assert_int_equal(fresh->chip.last_data, 0x42);
	check_bad_state(&used->vm, &fresh->vm);
	toy_vm_free(used);
	toy_vm_free(fresh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_msix),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_msix_garbage),
	};

	return cmocka_run_group_tests_name("msix", tests, NULL, NULL);
}
