/* SPDX-License-Identifier: MIT */
/* PCI-PCI bridges: buses as the guest numbers them, windows, what passes and what does not. */
#include "unit.h"

#include "device_state.h"
#include "pci_thing.h"

/* Bridge @n, from 1, as a register of bus 0; function @devfn of bus @bus. */
#define BRIDGE(n)      (ECAM + ((u64)(n) << 12))
#define FN(bus, devfn) (ECAM + ((u64)(bus) << 20) + ((u64)(devfn) << 12))

static u32 get(struct toy_vm *v, u64 at, u32 len)
{
	return (u32)mmio_get(v, at, len);
}

static void set(struct toy_vm *v, u64 at, u32 len, u32 value)
{
	mmio_put(v, at, len, value);
}

/* Bus 0 is full with functions that have nothing. */
static struct toy_vm *begin_full(void)
{
	struct toy_vm *v = begin();

	for (u32 i = 0; i < PCI_ROOT_PLACES; i++)
		assert_int_equal(thing_add(v, BIT(3), NULL), 0);
	return v;
}

static void test_place(void **state)
{
	struct toy_vm *v = begin_full();
	struct thing *t[3];

	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(thing_add(v, 7, &t[i]), 0);
		assert_int_equal(t[i]->pci.devfn, i);
		assert_int_equal(pci_requester(&t[i]->pci), 1);
		assert_int_equal(t[i]->msix.routes[0]->devid, 1);
	}
	assert_int_equal(get(v, ECAM + PCI_HEADER_TYPE, 1), 0x80);
	assert_int_equal(get(v, BRIDGE(1), 4), 0x00011b36);
	assert_int_equal(get(v, BRIDGE(1) + PCI_HEADER_TYPE, 1), 1);
	assert_int_equal(get(v, BRIDGE(1) + PCI_CLASS_DEVICE, 2), 0x0604);
	assert_int_equal(get(v, BRIDGE(1) + PCI_PRIMARY_BUS, 4), 0x00010100);
	assert_int_equal(get(v, BRIDGE(1) + PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(get(v, BRIDGE(2), 4), ~0u);
	/* The windows hold what is behind, no more than their grain needs. */
	assert_int_equal(get(v, BRIDGE(1) + PCI_MEMORY_BASE, 4), 0xc000c000);
	assert_int_equal(get(v, BRIDGE(1) + PCI_IO_BASE, 2), 0x1010);
	assert_int_equal(get(v, BRIDGE(1) + PCI_PREF_MEMORY_BASE, 4), 0x00010001);
	assert_int_equal(get(v, BRIDGE(1) + PCI_PREF_BASE_UPPER32, 4), MEM64 >> 32);
	assert_int_equal(get(v, BRIDGE(1) + PCI_PREF_LIMIT_UPPER32, 4), MEM64 >> 32);
	/* The functions answer there, decoded; the first has others. */
	assert_int_equal(get(v, FN(1, 0), 4), 0x56781234);
	assert_int_equal(get(v, FN(1, 0) + PCI_HEADER_TYPE, 1), 0x80);
	assert_int_equal(get(v, FN(1, 2), 4), 0x56781234);
	assert_int_equal(get(v, FN(1, 3), 4), ~0u);
	assert_int_equal(get(v, FN(2, 0), 4), ~0u);
	assert_int_equal(get(v, MEM32 + 0x8000, 1), 2);
	assert_int_equal(port_get(v, IO + 32, 1), 1);
	assert_int_equal(get(v, MEM64 + 0x20000, 1), 2);
	port_put(v, 0xcf8, 4, 0x80010100);
	assert_int_equal(port_get(v, 0xcfc, 4), 0x56781234);
	toy_vm_free(v);
}

static void test_all(void **state)
{
	struct toy_vm *v = begin_full();
	struct thing *t;

	for (u32 i = 0; i < PCI_MAX_BRIDGES * PCI_NR_DEVFNS; i++) {
		assert_int_equal(thing_add(v, BIT(3) | (i % 256 ? 0 : BIT(2)), &t), 0);
		assert_int_equal(get(v, FN(1 + i / 256, i % 256), 4), 0x56781234);
		if (!(i % 256))
			assert_int_equal(get(v, t->pci.bars[2].addr, 1), 0);
	}
	assert_int_equal(thing_add(v, BIT(3), &t), -ENOSPC);
	for (u32 n = 1; n <= PCI_MAX_BRIDGES; n++) {
		assert_int_equal(get(v, BRIDGE(n) + PCI_SECONDARY_BUS, 1), n);
		/* A megabyte each; none of what nobody behind it has. */
		assert_int_equal(get(v, BRIDGE(n) + PCI_PREF_MEMORY_BASE, 4),
				 (n - 1) * 0x00100010 | 0x00010001);
		assert_int_equal(get(v, BRIDGE(n) + PCI_MEMORY_BASE, 4), 0x0000fff0);
		assert_int_equal(get(v, BRIDGE(n) + PCI_IO_BASE, 2), 0x00f0);
	}
	toy_vm_free(v);
}

/* Linux writes all three numbers at once, 0 first. */
static void test_renumber(void **state)
{
	struct toy_vm *v = begin_full();

	for (u32 i = 0; i < 257; i++)
		assert_int_equal(thing_add(v, BIT(3), NULL), 0);
	set(v, BRIDGE(1) + PCI_PRIMARY_BUS, 4, 0);
	set(v, BRIDGE(2) + PCI_PRIMARY_BUS, 4, 0);
	assert_int_equal(get(v, FN(1, 0), 4), ~0u);
	assert_int_equal(get(v, FN(2, 0), 4), ~0u);
	set(v, BRIDGE(1) + PCI_PRIMARY_BUS, 4, 0x00ff4000);
	assert_int_equal(get(v, FN(0x40, 255), 4), 0x56781234);
	assert_int_equal(get(v, FN(0x41, 0), 4), ~0u); /* passes, and nobody is there */
	set(v, BRIDGE(2) + PCI_PRIMARY_BUS, 4, 0x00414100);
	assert_int_equal(get(v, FN(0x41, 0), 4), 0x56781234);
	assert_int_equal(get(v, FN(0x41, 1), 4), ~0u);
	/* The same number for both: the first answers. Behind the last one: nobody. */
	set(v, BRIDGE(2) + PCI_PRIMARY_BUS, 4, 0x00404000);
	assert_int_equal(get(v, FN(0x40, 1), 4), 0x56781234);
	set(v, BRIDGE(1) + PCI_PRIMARY_BUS, 4, 0x003f4000);
	assert_int_equal(get(v, FN(0x40, 0), 4), 0x56781234);
	assert_int_equal(get(v, FN(0x40, 1), 4), ~0u);
	vm_reset_devices(&v->vm);
	assert_int_equal(get(v, BRIDGE(1) + PCI_PRIMARY_BUS, 4), 0x00010100);
	assert_int_equal(get(v, FN(1, 255), 4), 0x56781234);
	assert_int_equal(get(v, FN(2, 0), 4), 0x56781234);
	toy_vm_free(v);
}

static void test_windows(void **state)
{
	struct toy_vm *v = begin_full();
	struct thing *t;

	assert_int_equal(thing_add(v, 7, &t), 0);
	/* Closed, elsewhere, half of the BAR, back. */
	set(v, BRIDGE(1) + PCI_MEMORY_BASE, 4, 0x0000fff0);
	assert_false(t->pci.bars[0].mapped);
	assert_int_equal(get(v, MEM32, 1), 0xff);
	set(v, BRIDGE(1) + PCI_MEMORY_BASE, 4, 0xc010c010);
	assert_int_equal(get(v, MEM32, 1), 0xff);
	set(v, BRIDGE(1) + PCI_MEMORY_BASE, 4, 0xffffc00f); /* the low bits are its kind */
	assert_int_equal(get(v, BRIDGE(1) + PCI_MEMORY_BASE, 4), 0xfff0c000);
	assert_int_equal(get(v, MEM32, 1), 0);
	assert_true(t->pci.bars[0].mapped);
	set(v, BRIDGE(1) + PCI_IO_BASE, 2, 0x2020);
	assert_int_equal(port_get(v, IO, 1), 0xff);
	set(v, BRIDGE(1) + PCI_IO_BASE, 2, 0x2010);
	assert_int_equal(port_get(v, IO, 1), 0);
	set(v, BRIDGE(1) + PCI_PREF_LIMIT_UPPER32, 4, 0);
	assert_int_equal(get(v, MEM64, 1), 0xff);
	set(v, BRIDGE(1) + PCI_PREF_LIMIT_UPPER32, 4, ~0u);
	assert_int_equal(get(v, MEM64, 1), 0);
	/* A place that becomes free behind the bridge is another's on bus 0. */
	set(v, BRIDGE(1) + PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_false(t->pci.bars[0].mapped || t->pci.bars[2].mapped);
	assert_true(t->pci.bars[1].mapped);
	set(v, BRIDGE(1) + PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_true(t->pci.bars[0].mapped && t->pci.bars[2].mapped);
	assert_false(t->pci.bars[1].mapped);
	vm_reset_devices(&v->vm);
	assert_true(t->pci.bars[0].mapped && t->pci.bars[1].mapped && t->pci.bars[2].mapped);
	toy_vm_free(v);
}

/* A bridge whose own bus mastering is off lets nobody behind it write, messages included. */
static void test_master(void **state)
{
	struct toy_vm *v = begin_full();
	struct thing *t;

	assert_int_equal(thing_add(v, 1, &t), 0);
	assert_false(t->pci.bus_master);
	set(v, FN(1, 0) + PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	assert_true(t->pci.bus_master);
	set(v, FN(1, 0) + t->msix.cap + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_true(t->msix.master);
	set(v, BRIDGE(1) + PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_false(t->pci.bus_master);
	assert_false(t->msix.master);
	set(v, BRIDGE(1) + PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_true(t->msix.master);
	/* The other way round. */
	set(v, BRIDGE(1) + PCI_COMMAND, 2, 0);
	set(v, FN(1, 0) + PCI_COMMAND, 2, 0);
	set(v, FN(1, 0) + PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_false(t->pci.bus_master);
	toy_vm_free(v);
}

static void test_lines(void **state)
{
	struct toy_vm *v = begin_full();
	struct thing *t;

	/* Functions 0 to 7 of slot 0, then slot 1: INTA to INTD, rotated by the slot. */
	for (u32 i = 0; i < 16; i++) {
		u32 line = 16 + (i / 8 + i % 4) % 4;

		assert_int_equal(thing_add(v, BIT(3), &t), 0);
		assert_int_equal(get(v, FN(1, i) + PCI_INTERRUPT_PIN, 1), i % 4 + 1);
		assert_int_equal(get(v, FN(1, i) + PCI_INTERRUPT_LINE, 1), line);
		pci_set_intx(&t->pci, true);
		assert_int_equal(v->chip.level[line], 1);
		pci_set_intx(&t->pci, false);
		assert_int_equal(v->chip.level[line], 0);
	}
	toy_vm_free(v);
}

/* What the guest made of a bridge, and of what is behind it, in another VM. */
static void test_state(void **state)
{
	struct toy_vm *from = begin_full(), *to = begin_full();
	struct state_buf saved, again;
	struct thing *a, *b;

	assert_int_equal(thing_add(from, 7, &a), 0);
	assert_int_equal(thing_add(to, 7, &b), 0);
	set(from, BRIDGE(1) + PCI_PRIMARY_BUS, 4, 0x00202000);
	set(from, BRIDGE(1) + PCI_MEMORY_BASE, 4, 0xc000c000);
	set(from, BRIDGE(1) + PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	set(from, FN(0x20, 0) + PCI_BASE_ADDRESS_0, 4, MEM32 + 0x40000);
	saved = save_vm(&from->vm);
	assert_int_equal(load_vm(&to->vm, &saved, saved.len), 0);
	again = save_vm(&to->vm);
	assert_same_state(&saved, &again);
	assert_int_equal(get(to, FN(1, 0), 4), ~0u);
	assert_int_equal(get(to, FN(0x20, 0), 4), 0x56781234);
	assert_int_equal(get(to, MEM32, 1), 0xff);
	assert_int_equal(get(to, MEM32 + 0x40000, 1), 0);
	assert_int_equal(port_get(to, IO, 1), 0xff);
	state_buf_free(&saved);
	state_buf_free(&again);
	toy_vm_free(from);
	toy_vm_free(to);
}

/* Anything anywhere; then a reset makes the machine what it was. */
static void test_random(void **state)
{
	struct toy_vm *v = begin_full();
	u64 seed = 0x3141592653589793;
	struct thing *t[5];
	u8 before[256];

	for (u32 i = 0; i < 5; i++)
		assert_int_equal(thing_add(v, 7, &t[i]), 0);
	for (u32 reg = 0; reg < 256; reg++)
		before[reg] = (u8)get(v, BRIDGE(1) + reg, 1);
	for (u32 n = 0; n < 100000; n++) {
		u64 r = vdrv_random(&seed);
		u32 len = 1u << ((r >> 60) % 3), reg = (u32)(r >> 8) % 0x44;
		u64 at = r & 3 ? FN(1, (r >> 4) % 6) : BRIDGE(1);

		if (r & 4)
			set(v, at + reg, len, (u32)(r >> 20));
		else
			get(v, at + reg, len);
		if (!(n % 64))
			set(v, BRIDGE(1) + PCI_PRIMARY_BUS, 4, 0x00010100);
	}
	vm_reset_devices(&v->vm);
	for (u32 reg = 0; reg < 256; reg++)
		assert_int_equal(get(v, BRIDGE(1) + reg, 1), before[reg]);
	for (u32 i = 0; i < 5; i++)
		for (u32 bar = 0; bar < 3; bar++)
			assert_true(t[i]->pci.bars[bar].mapped);
	toy_vm_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_place),	 cmocka_unit_test(test_all),
		cmocka_unit_test(test_renumber), cmocka_unit_test(test_windows),
		cmocka_unit_test(test_master),	 cmocka_unit_test(test_lines),
		cmocka_unit_test(test_state),	 cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("pci-bridge", tests, NULL, NULL);
}
