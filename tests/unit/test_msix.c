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

#define MASTER	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)
#define ENABLE	PCI_MSIX_FLAGS_ENABLE
#define MASKALL PCI_MSIX_FLAGS_MASKALL

static void test_msix(void **state)
{
	struct toy_vm *v = begin();
	struct toy_chip *c = &v->chip;
	struct thing *t;

	assert_int_equal(thing_add(v, 1, &t), 0);
	set_cfg(v, 1, PCI_COMMAND, 2, MASTER);
	assert_int_equal(mmio_get(v, TABLE + 12, 4), 1); /* masked at power-on */
	set_vector(v, 3, 0xfee01000, 0x41, 0);
	msix_notify(&t->msix, 3); /* not enabled: lost */
	assert_int_equal(c->msis, 0);
	set_cfg(v, 1, CONTROL, 2, ENABLE);
	assert_int_equal(c->msis, 0);
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
	set_cfg(v, 1, CONTROL, 2, ENABLE | MASKALL);
	msix_notify(&t->msix, 69);
	assert_int_equal(c->msis, 2);
	assert_int_equal(mmio_get(v, PBA + 8, 1), 1 << 5);
	mmio_put(v, PBA + 8, 8, 0); /* read-only */
	set_cfg(v, 1, CONTROL, 2, ENABLE);
	assert_int_equal(c->msis, 3);
	assert_int_equal(c->last_data, 0x43);
	/* Without bus mastering nothing is sent: it waits. */
	set_cfg(v, 1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	msix_notify(&t->msix, 3);
	assert_int_equal(c->msis, 3);
	assert_int_equal(mmio_get(v, PBA, 4), 1 << 3);
	set_cfg(v, 1, PCI_COMMAND, 2, MASTER);
	assert_int_equal(c->msis, 4);
	/* Vectors that do not exist. */
	msix_notify(&t->msix, VECTORS);
	msix_notify(&t->msix, 0xffff);
	msix_notify(&t->msix, ~0u);
	assert_int_equal(msix_fd(&t->msix, VECTORS), -EINVAL);
	toy_vm_free(v);
}

/* As virtio does it: a line, or where MSI-X is enabled a message. */
static void signal_it(void *opaque)
{
	struct thing *t = opaque;

	if (msix_enabled(&t->msix))
		msix_notify(&t->msix, 3);
	else
		pci_set_intx(&t->pci, true);
}

/* What is signalled while MSI-X is being enabled comes in the one way or the other. */
static void test_signal_while_enabling(void **state)
{
	struct toy_vm *v = begin();
	struct thing *t;

	assert_int_equal(thing_add(v, 1, &t), 0);
	set_cfg(v, 1, PCI_COMMAND, 2, MASTER);
	set_vector(v, 3, 0xfee01000, 0x41, 0);
	v->chip.on_table = signal_it;
	v->chip.on_table_opaque = t;
	set_cfg(v, 1, CONTROL, 2, ENABLE);
	v->chip.on_table = NULL;
	assert_true(v->chip.tables > 0);
	assert_int_equal(v->chip.msis, 1);
	toy_vm_free(v);
}

/* Off, and power-on: what is pending goes, the vectors' fds stay. */
static void test_off_and_reset(void **state)
{
	struct toy_vm *v = begin();
	struct thing *t;
	int fd;

	assert_int_equal(thing_add(v, 1, &t), 0);
	fd = msix_fd(&t->msix, 3);
	assert_true(fd >= 0);
	for (int reset = 0; reset < 2; reset++) {
		set_cfg(v, 1, PCI_COMMAND, 2, MASTER);
		set_cfg(v, 1, CONTROL, 2, ENABLE);
		set_vector(v, 3, 0xfee02000, 0x42, 1);
		msix_notify(&t->msix, 3);
		eventfd_raise(fd);
		assert_int_equal(mmio_get(v, PBA, 8), 1 << 3);
		if (reset)
			vm_reset_devices(&v->vm);
		else
			set_cfg(v, 1, CONTROL, 2, 0);
		assert_int_equal(mmio_get(v, PBA, 8), 0);
		msix_notify(&t->msix, 3);
		eventfd_raise(fd);
		assert_int_equal(mmio_get(v, PBA, 8), 0);
		assert_int_equal(msix_fd(&t->msix, 3), fd);
		assert_int_equal(mmio_get(v, TABLE + 16 * 3, 4), reset ? 0 : 0xfee02000);
		set_cfg(v, 1, PCI_COMMAND, 2, MASTER);
		set_cfg(v, 1, CONTROL, 2, ENABLE);
		set_vector(v, 3, 0xfee02000, 0x42, 0);
		pump(v);
		assert_int_equal(v->chip.msis, reset);
		eventfd_raise(fd);
		pump(v);
		pump(v);
		assert_int_equal(v->chip.msis, reset + 1);
	}
	assert_int_equal(mmio_get(v, TABLE + 12, 4), 1);
	toy_vm_free(v);
}

/* Who has the fd may write to it whatever the masks say. */
static void test_written_from_outside(void **state)
{
	struct toy_vm *v = begin();
	struct toy_chip *c = &v->chip;
	struct thing *t;
	int fd;

	assert_int_equal(thing_add(v, 1, &t), 0);
	fd = msix_fd(&t->msix, 69);
	set_cfg(v, 1, PCI_COMMAND, 2, MASTER);
	set_cfg(v, 1, CONTROL, 2, ENABLE | MASKALL);
	set_vector(v, 69, 0xfee03000, 0x43, 0);
	eventfd_raise(fd);
	eventfd_raise(fd);
	pump(v);
	assert_int_equal(c->msis, 0);
	assert_int_equal(mmio_get(v, PBA + 8, 8), 1 << 5);
	set_cfg(v, 1, CONTROL, 2, ENABLE);
	pump(v);
	assert_int_equal(c->msis, 1);
	assert_int_equal(c->last_data, 0x43);
	eventfd_raise(fd);
	pump(v);
	pump(v);
	assert_int_equal(c->msis, 2);
	toy_vm_free(v);
}

static void test_tables_are_few(void **state)
{
	struct toy_vm *v = begin();
	struct thing *t;

	assert_int_equal(thing_add(v, 1, &t), 0);
	set_cfg(v, 1, PCI_COMMAND, 2, MASTER);
	for (u32 n = 0; n < VECTORS; n++)
		set_vector(v, n, 0xfee00000, 0x30 + n, 0);
	assert_int_equal(v->chip.tables, 0);
	/* All vectors by one table; masks, switching off and on: none. */
	set_cfg(v, 1, CONTROL, 2, ENABLE);
	assert_int_equal(v->chip.tables, 1);
	assert_int_equal(v->chip.nr_routes, VECTORS);
	for (u32 n = 0; n < VECTORS; n++)
		mmio_put(v, TABLE + 16 * n + 12, 4, 1);
	for (u32 n = 0; n < VECTORS; n++)
		mmio_put(v, TABLE + 16 * n + 12, 4, 0);
	set_cfg(v, 1, CONTROL, 2, ENABLE | MASKALL);
	set_cfg(v, 1, CONTROL, 2, ENABLE);
	set_cfg(v, 1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set_cfg(v, 1, PCI_COMMAND, 2, MASTER);
	set_cfg(v, 1, CONTROL, 2, 0);
	set_cfg(v, 1, CONTROL, 2, ENABLE);
	assert_int_equal(v->chip.tables, 1);
	/* A message that changes while it is masked: one, when it opens. */
	mmio_put(v, TABLE + 16 * 5 + 12, 4, 1);
	set_vector(v, 5, 0xfee02000, 0x99, 1);
	mmio_put(v, TABLE + 16 * 5 + 8, 4, 0x9a);
	assert_int_equal(v->chip.tables, 1);
	mmio_put(v, TABLE + 16 * 5 + 12, 4, 0);
	assert_int_equal(v->chip.tables, 2);
	toy_vm_free(v);
}

/* One message that the host refuses among many: the others work. */
static void test_one_refused(void **state)
{
	struct toy_vm *v = begin();
	struct thing *t;

	assert_int_equal(thing_add(v, 1, &t), 0);
	set_cfg(v, 1, PCI_COMMAND, 2, MASTER);
	for (u32 n = 0; n < VECTORS; n++)
		set_vector(v, n, 0xfee00000, n == 33 ? 0xbad : 0x30 + n, 0);
	v->chip.refuse_data = 0xbad;
	set_cfg(v, 1, CONTROL, 2, ENABLE);
	assert_int_equal(v->chip.nr_routes, VECTORS - 1);
	for (u32 n = 0; n < VECTORS; n++)
		msix_notify(&t->msix, n);
	assert_int_equal(v->chip.msis, VECTORS - 1);
	assert_int_equal(mmio_get(v, PBA, 8), 0);
	mmio_put(v, TABLE + 16 * 33 + 8, 4, 0x42);
	msix_notify(&t->msix, 33);
	assert_int_equal(v->chip.last_data, 0x42);
	toy_vm_free(v);
}

/* There are so many GSIs: the function that does not fit is named before the guest starts. */
static void test_no_room(void **state)
{
	struct toy_vm *v = begin();
	struct thing *t;

	v->vm.irqs.max_routes = TOY_MSI_GSIS + 2 * VECTORS - 1;
	assert_int_equal(thing_add(v, 1, &t), 0);
	assert_int_equal(thing_add(v, 1, NULL), -ENOSPC);
	assert_int_equal(thing_add(v, 1 | BIT(3), NULL), 0); /* left no trace */
	assert_int_equal(v->vm.pci->nr_plugged, 2);
	set_cfg(v, 1, PCI_COMMAND, 2, MASTER);
	set_cfg(v, 1, CONTROL, 2, ENABLE);
	set_vector(v, 69, 0xfee03000, 0x43, 0);
	msix_notify(&t->msix, 69);
	assert_int_equal(v->chip.msis, 1);
	toy_vm_free(v);
}

/* Table, pending bits and configuration space are the state: into another function with it. */
static void test_save_and_load(void **state)
{
	struct toy_vm *v = begin();
	struct thing *a, *b;

	assert_int_equal(thing_add(v, 1, &a), 0);
	assert_int_equal(thing_add(v, 1, &b), 0);
	set_cfg(v, 1, PCI_COMMAND, 2, MASTER);
	set_cfg(v, 1, CONTROL, 2, ENABLE);
	set_vector(v, 3, 0xfee02000, 0x42, 0);
	set_vector(v, 4, 0xfee02000, 0x43, 1);
	set_vector(v, 5, 0xfee02000, 0x44, 1);
	msix_notify(&a->msix, 4);
	eventfd_raise(msix_fd(&a->msix, 5));
	msix_save(&a->msix);
	assert_true(a->msix.pending[0] == (1 << 4 | 1 << 5));
	memcpy(b->msix.table, a->msix.table, msix_table_size(&a->msix));
	memcpy(b->msix.pending, a->msix.pending, msix_pba_size(&a->msix));
	memcpy(b->pci.config + b->msix.cap, a->pci.config + a->msix.cap, 12);
	b->pci.bus_master = true;
	msix_load(&b->msix);
	assert_int_equal(v->chip.msis, 0);
	msix_save(&b->msix);
	assert_memory_equal(b->msix.pending, a->msix.pending, msix_pba_size(&a->msix));
	assert_memory_equal(b->msix.table, a->msix.table, msix_table_size(&a->msix));
	msix_notify(&b->msix, 3);
	assert_int_equal(v->chip.msis, 1);
	assert_int_equal(v->chip.last_data, 0x42);
	mmio_put(v, TABLE + 0x4000 + 16 * 4 + 12, 4, 0);
	assert_int_equal(v->chip.msis, 2);
	assert_int_equal(v->chip.last_data, 0x43);
	assert_int_equal(mmio_get(v, PBA + 0x4000, 8), 1 << 5);
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
		cmocka_unit_test(test_msix),	       cmocka_unit_test(test_signal_while_enabling),
		cmocka_unit_test(test_off_and_reset),  cmocka_unit_test(test_written_from_outside),
		cmocka_unit_test(test_tables_are_few), cmocka_unit_test(test_one_refused),
		cmocka_unit_test(test_no_room),	       cmocka_unit_test(test_save_and_load),
		cmocka_unit_test(test_state),	       cmocka_unit_test(test_msix_garbage),
	};

	return cmocka_run_group_tests_name("msix", tests, NULL, NULL);
}
