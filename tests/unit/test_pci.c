/* SPDX-License-Identifier: MIT */
/* The PCI bus: configuration space, BARs that guests size and move, interrupts. */
#include "unit.h"

#include <pthread.h>

#include "pci_thing.h"

/* The byte between is the chipset's: a reset, hard or not, when bit 2 is written. */
static void test_reset_control(void **state)
{
	struct toy_vm *v = begin();

	port_put(v, 0xcf8, 4, 0x80000800);
	for (u32 len = 2; len <= 4; len += 2)
		port_put(v, 0xcf9, len, 6); /* not its width */
	port_put(v, 0xcf9, 1, 2);
	assert_int_equal(port_get(v, 0xcf9, 1), 2);
	assert_int_equal(v->vm.stop, VM_STOP_NONE);
	port_put(v, 0xcf9, 1, 6);
	assert_int_equal(v->vm.stop, VM_STOP_RESET);
	assert_int_equal(port_get(v, 0xcf8, 4), 0x80000800);
	vm_clear_stop(&v->vm, VM_STOP_RESET);
	port_put(v, 0xcf9, 1, 0xe);
	assert_int_equal(v->vm.stop, VM_STOP_RESET);
	vm_reset_devices(&v->vm);
	assert_int_equal(port_get(v, 0xcf9, 1), 0);
	toy_vm_free(v);
}

static void test_config_access(void **state)
{
	struct toy_vm *v = begin();

	assert_int_equal(thing_add(v, 7, NULL), 0);
	assert_int_equal(cfg(v, 0, PCI_CLASS_DEVICE, 2), 0x0600);
	assert_int_equal(cfg(v, 1, 0, 4), 0x56781234);
	assert_int_equal(cfg(v, 1, 2, 2), 0x5678);
	assert_int_equal(cfg(v, 1, 1, 1), 0x12);
	assert_int_equal(cfg(v, 1, PCI_CLASS_REVISION, 4), 0x02800703);
	assert_int_equal(cfg(v, 1, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xdef09abc);
	assert_int_equal(cfg(v, 1, PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(cfg(v, 1, PCI_INTERRUPT_LINE, 1), 17);
	assert_true(mmio_get(v, ECAM + (1 << 15), 8) == (0x56781234 | 0x00100003ULL << 32));
	/* Not there: another slot, another function, another bus, beyond 256 bytes, across words.
	 */
	assert_int_equal(cfg(v, 2, 0, 4), ~0u);
	assert_int_equal(cfg(v, 1, 0x1000, 4), ~0u);
	assert_int_equal(mmio_get(v, ECAM + MiB, 4), ~0u);
	assert_int_equal(cfg(v, 1, 0x100, 4), ~0u);
	assert_int_equal(cfg(v, 1, 3, 2), 0xffff);
	/* Read-only. */
	set_cfg(v, 1, 0, 4, 0);
	set_cfg(v, 1, PCI_STATUS, 2, 0xffff);
	assert_int_equal(cfg(v, 1, 0, 4), 0x56781234);
	assert_int_equal(cfg(v, 1, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	/* Through the ports. */
	port_put(v, 0xcf8, 4, 0x80000800);
	assert_int_equal(port_get(v, 0xcf8, 4), 0x80000800);
	assert_int_equal(port_get(v, 0xcfc, 4), 0x56781234);
	assert_int_equal(port_get(v, 0xcfe, 2), 0x5678);
	assert_int_equal(port_get(v, 0xcfd, 1), 0x12);
	assert_int_equal(port_get(v, 0xcfd, 4), ~0u);
	port_put(v, 0xcf8, 1, 0xff); /* bytes do not reach the address register */
	port_put(v, 0xcfa, 4, 0);
	assert_int_equal(port_get(v, 0xcf8, 4), 0x80000800);
	assert_int_equal(port_get(v, 0xcfa, 1), 0xff);
	port_put(v, 0xcf8, 4, 0x8000083c);
	port_put(v, 0xcfc, 1, 0x55);
	assert_int_equal(cfg(v, 1, PCI_INTERRUPT_LINE, 1), 0x55);
	port_put(v, 0xcf8, 4, 0x00000800); /* not enabled */
	assert_int_equal(port_get(v, 0xcfc, 4), ~0u);
	port_put(v, 0xcf8, 4, 0x80010800); /* another bus */
	assert_int_equal(port_get(v, 0xcfc, 4), ~0u);
	port_put(v, 0xcf8, 4, ~0u);
	assert_int_equal(port_get(v, 0xcf8, 4), 0x80fffffc);
	vm_reset_devices(&v->vm);
	assert_int_equal(port_get(v, 0xcf8, 4), 0);
	assert_int_equal(cfg(v, 1, PCI_INTERRUPT_LINE, 1), 17);
	toy_vm_free(v);
	/* A machine has one. */
	v = begin();
	assert_int_equal(pci_host_add(&v->vm, &layout, MEM64), -EEXIST);
	assert_int_equal(cfg(v, 0, PCI_CLASS_DEVICE, 2), 0x0600);
	toy_vm_free(v);
}

static void test_capabilities(void **state)
{
	struct toy_vm *v = begin();
	struct thing *t;
	u8 at;

	assert_int_equal(thing_add(v, 1, &t), 0);
	at = (u8)cfg(v, 1, PCI_CAPABILITY_LIST, 1);
	assert_int_equal(at, 0x40);
	assert_int_equal(cfg(v, 1, at, 1), PCI_CAP_ID_MSIX);
	assert_int_equal(cfg(v, 1, at + 1u, 1), 0);
	assert_int_equal(cfg(v, 1, at + 2u, 2), VECTORS - 1);
	assert_int_equal(cfg(v, 1, at + 4u, 4), 0x1000);
	assert_int_equal(cfg(v, 1, at + 8u, 4), 0x2000);
	set_cfg(v, 1, at, 4, ~0u);
	assert_int_equal(cfg(v, 1, at, 4), 0xc0000011 | (VECTORS - 1) << 16);
	toy_vm_free(v);
}

static void test_sizing(void **state)
{
	struct toy_vm *v = begin();
	struct thing *t;
	u32 bar0, bar1, bar2;

	assert_int_equal(thing_add(v, 7, &t), 0);
	bar0 = cfg(v, 1, PCI_BASE_ADDRESS_0, 4);
	bar1 = cfg(v, 1, PCI_BASE_ADDRESS_1, 4);
	bar2 = cfg(v, 1, PCI_BASE_ADDRESS_2, 4);
	assert_int_equal(bar0, MEM32);
	assert_int_equal(bar1, IO | 1);
	assert_int_equal(bar2, 0xc);
	assert_int_equal(cfg(v, 1, PCI_BASE_ADDRESS_3, 4), MEM64 >> 32);
	assert_int_equal(cfg(v, 1, PCI_COMMAND, 2), PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	/* With decoding on, as careless guests do it. */
	for (u32 reg = PCI_BASE_ADDRESS_0; reg <= PCI_ROM_ADDRESS; reg += 4)
		if (reg < PCI_BASE_ADDRESS_5 + 4 || reg == PCI_ROM_ADDRESS)
			set_cfg(v, 1, reg, 4, ~0u);
	assert_int_equal(cfg(v, 1, PCI_BASE_ADDRESS_0, 4), 0xffffc000);
	assert_int_equal(cfg(v, 1, PCI_BASE_ADDRESS_1, 4), 0xffffffe1);
	assert_int_equal(cfg(v, 1, PCI_BASE_ADDRESS_2, 4), 0xffff000c);
	assert_int_equal(cfg(v, 1, PCI_BASE_ADDRESS_3, 4), 0xffffffff);
	assert_int_equal(cfg(v, 1, PCI_BASE_ADDRESS_4, 4), 0);
	assert_int_equal(cfg(v, 1, PCI_ROM_ADDRESS, 4), 0);
	assert_int_equal(mmio_get(v, MEM32, 4), ~0u);
	assert_false(t->pci.bars[0].mapped || t->pci.bars[1].mapped || t->pci.bars[2].mapped);
	set_cfg(v, 1, PCI_BASE_ADDRESS_0, 4, bar0);
	set_cfg(v, 1, PCI_BASE_ADDRESS_1, 4, bar1);
	set_cfg(v, 1, PCI_BASE_ADDRESS_2, 4, bar2);
	set_cfg(v, 1, PCI_BASE_ADDRESS_3, 4, MEM64 >> 32);
	assert_int_equal(mmio_get(v, MEM32, 1), 8);
	assert_int_equal(port_get(v, IO + 31, 1), 8);
	assert_int_equal(mmio_get(v, MEM64 + 0xff8, 8), 0x0808080808080808);
	toy_vm_free(v);
}

static void test_moving(void **state)
{
	struct toy_vm *v = begin();
	struct thing *t;

	assert_int_equal(thing_add(v, 7, &t), 0);
	set_cfg(v, 1, PCI_BASE_ADDRESS_0, 4, MEM32 + 0x80000);
	assert_int_equal(mmio_get(v, MEM32, 1), 0xff);
	assert_int_equal(mmio_get(v, MEM32 + 0x80000, 1), 8);
	/* By bytes, too; the low bits do not exist. */
	set_cfg(v, 1, PCI_BASE_ADDRESS_0 + 2, 1, 4);
	assert_int_equal(mmio_get(v, MEM32 + 0x40000, 1), 8);
	set_cfg(v, 1, PCI_BASE_ADDRESS_1, 4, IO + 0x47);
	assert_int_equal(port_get(v, IO + 0x40, 1), 8);
	assert_int_equal(port_get(v, IO, 1), 0xff);
	/* A 64-bit BAR in either window. */
	set_cfg(v, 1, PCI_BASE_ADDRESS_3, 4, 0);
	assert_false(t->pci.bars[2].mapped);
	set_cfg(v, 1, PCI_BASE_ADDRESS_2, 4, MEM32 + 0x10000);
	assert_int_equal(mmio_get(v, MEM32 + 0x10000, 1), 8);
	/* Decoding off and on. */
	t->moved = 0;
	set_cfg(v, 1, PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_int_equal(mmio_get(v, MEM32 + 0x40000, 1), 0xff);
	assert_int_equal(port_get(v, IO + 0x40, 1), 8);
	assert_int_equal(t->moved, 2);
	set_cfg(v, 1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(mmio_get(v, MEM32 + 0x40000, 1), 8);
	assert_int_equal(port_get(v, IO + 0x40, 1), 0xff);
	vm_reset_devices(&v->vm);
	assert_int_equal(mmio_get(v, MEM32, 1), 8);
	assert_int_equal(mmio_get(v, MEM64, 1), 8);
	assert_int_equal(port_get(v, IO, 1), 8);
	assert_int_equal(mmio_get(v, MEM32 + 0x40000, 1), 0xff);
	toy_vm_free(v);
}

static void test_absurd_addresses(void **state)
{
	static const u32 addresses[] = {
		0,	    0x1000,
		0xe0000000, 0xe0004000,
		0xfee00000, 0xfffffff0,
		0xffffc000, 0xc00fe000 /* rounded down: the last place that fits */,
		0xbfffc000, 0xc0100000,
	};
	struct toy_vm *v = begin();
	struct thing *a, *b;

	assert_int_equal(thing_add(v, 5, &a), 0);
	assert_int_equal(thing_add(v, 1, &b), 0);
	for (u32 i = 0; i < ARRAY_SIZE(addresses); i++) {
		set_cfg(v, 1, PCI_BASE_ADDRESS_0, 4, addresses[i]);
		assert_int_equal(a->pci.bars[0].mapped, addresses[i] == 0xc00fe000);
		assert_int_equal(cfg(v, 1, PCI_BASE_ADDRESS_0, 4), addresses[i] & ~0x3fffu);
		assert_int_equal(cfg(v, 0, PCI_CLASS_DEVICE, 2), 0x0600); /* ECAM is there */
	}
	for (u32 high = 0; high < 64; high++) {
		set_cfg(v, 1, PCI_BASE_ADDRESS_2, 4, ~0u);
		set_cfg(v, 1, PCI_BASE_ADDRESS_3, 4, ~0u << (high & 31));
		assert_false(a->pci.bars[2].mapped);
	}
	/* Onto the other one: that one stays, this one is not decoded until it goes away. */
	set_cfg(v, 1, PCI_BASE_ADDRESS_0, 4, MEM32 + 0x4000);
	assert_int_equal(mmio_get(v, MEM32 + 0x4000, 1), 16);
	assert_false(a->pci.bars[0].mapped);
	set_cfg(v, 2, PCI_BASE_ADDRESS_0, 4, MEM32);
	assert_int_equal(mmio_get(v, MEM32 + 0x4000, 1), 8);
	assert_int_equal(mmio_get(v, MEM32, 1), 16);
	/* A reset undoes the exchange, though each one's place is taken when it is its turn. */
	vm_reset_devices(&v->vm);
	assert_int_equal(mmio_get(v, MEM32, 1), 8);
	assert_int_equal(mmio_get(v, MEM32 + 0x4000, 1), 16);
	toy_vm_free(v);
}

static void test_many_devices(void **state)
{
	struct toy_vm *v = begin();
	struct thing *t;
	u32 found = 0;

	for (u32 i = 0; i < PCI_ROOT_PLACES; i++) {
		assert_int_equal(thing_add(v, BIT(3) | (i % 4 ? 0 : BIT(2)), &t), 0);
		assert_int_equal(t->pci.devfn, (1 + i % 31) << 3 | i / 31);
		if (!(i % 4))
			assert_int_equal(mmio_get(v, t->pci.bars[2].addr, 1), t->pci.devfn);
	}
	/* No bridge before there is need of one. */
	assert_int_equal(cfg(v, 0, PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(cfg(v, 0, 1 << 12, 4), ~0u);
	/* As a guest scans: function 0 first, the others where it says so. */
	for (u32 slot = 1; slot < 32; slot++) {
		u32 functions = cfg(v, slot, PCI_HEADER_TYPE, 1) & 0x80 ? 8 : 1;

		for (u32 f = 0; f < functions; f++)
			found += cfg(v, slot, f << 12, 4) == 0x56781234;
	}
	assert_int_equal(found, PCI_ROOT_PLACES);
	vm_reset_devices(&v->vm);
	assert_int_equal(cfg(v, 1, PCI_HEADER_TYPE, 1), 0x80);
	toy_vm_free(v);
}

static void test_window_full(void **state)
{
	struct toy_vm *v = begin();
	u32 n = 0;

	v->vm.irqs.max_routes *= 2; /* not what is to run out first */
	while (thing_add(v, 1, NULL) == 0)
		n++;
	assert_int_equal(n, MEM32_SIZE / 0x4000);
	/* The one that failed left no trace. */
	assert_int_equal(thing_add(v, 2, NULL), 0);
	assert_int_equal(v->vm.pci->nr_plugged, n + 1);
	toy_vm_free(v);
}

static void test_intx(void **state)
{
	struct toy_vm *v = begin();
	struct thing *t[5];

	for (u32 i = 0; i < 5; i++)
		assert_int_equal(thing_add(v, 0, &t[i]), 0);
	/* Slots 1 to 5: lines B C D A B. */
	for (u32 i = 0; i < 4; i++) {
		pci_set_intx(&t[i]->pci, true);
		assert_int_equal(v->chip.level[16 + (i + 1) % 4], 1);
		assert_int_equal(cfg(v, i + 1, PCI_STATUS, 2),
				 PCI_STATUS_CAP_LIST | PCI_STATUS_INTERRUPT);
		assert_int_equal(cfg(v, i + 1, PCI_COMMAND, 4),
				 (u32)(PCI_STATUS_CAP_LIST | PCI_STATUS_INTERRUPT) << 16);
	}
	pci_set_intx(&t[4]->pci, true); /* shares B with slot 1 */
	pci_set_intx(&t[4]->pci, true);
	pci_set_intx(&t[0]->pci, false);
	assert_int_equal(v->chip.level[17], 1);
	pci_set_intx(&t[4]->pci, false);
	assert_int_equal(v->chip.level[17], 0);
	/* Interrupt Disable keeps the state and lets the line go. */
	set_cfg(v, 2, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
	assert_int_equal(v->chip.level[18], 0);
	assert_true(cfg(v, 2, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	set_cfg(v, 2, PCI_COMMAND, 2, 0);
	assert_int_equal(v->chip.level[18], 1);
	vm_reset_devices(&v->vm);
	for (u32 gsi = 16; gsi < 20; gsi++)
		assert_int_equal(v->chip.level[gsi], 0);
	toy_vm_free(v);
}

static void scribble(struct toy_vm *v, u64 seed, u32 count)
{
	for (u32 n = 0; n < count; n++) {
		u64 r = vdrv_random(&seed);
		u32 len = 1u << ((r >> 60) % 4);
		u32 slot = (r >> 8) % 5, value = (u32)(r >> 16);
		u32 reg = (r >> 48) & 1 ? PCI_BASE_ADDRESS_0 + (u32)(r >> 49) % 24
					: (u32)(r >> 49) % 0x110;

		/* Mostly addresses that can be. */
		if ((r >> 5) & 3)
			value = (u32)MEM32 + (u32)(r >> 20) % (u32)MEM32_SIZE;
		if (r & 1)
			set_cfg(v, slot, reg, len, value);
		else if (r & 2)
			cfg(v, slot, reg, len);
		else
			port_put(v, 0xcf8 + (u32)(r >> 49) % 8, len, value);
		mmio_get(v, MEM32 + (r >> 20) % MEM32_SIZE, len);
	}
}

static void *scribbler(void *arg)
{
	scribble(arg, 0x77777, 50000);
	return NULL;
}

/* A function that takes its time with a write, as one that has to wait for a loop. */

static sem_t written, go_on;

static void wait_written(struct pci_device *pci, u32 offset, u32 len)
{
	sem_post(&written);
	sem_wait(&go_on);
}

static const struct pci_ops waiting_ops = { .config_written = wait_written };

static void *write_command(void *arg)
{
	set_cfg(arg, 1, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	return NULL;
}

/* What a write sets off keeps no reader waiting: not of the bridge, of another function, of the
 * same one. */
static void test_read_while_written(void **state)
{
	struct toy_vm *v = begin();
	pthread_t thread;
	struct thing *t;

	assert_int_equal(thing_add(v, 7, &t), 0);
	assert_int_equal(thing_add(v, 7, NULL), 0);
	t->pci.ops = &waiting_ops;
	sem_init(&written, 0, 0);
	sem_init(&go_on, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, write_command, v), 0);
	sem_wait(&written);
	alarm(300); /* a reader that waits now waits for ever */
	assert_int_equal(cfg(v, 0, PCI_CLASS_DEVICE, 2), 0x0600);
	assert_int_equal(cfg(v, 2, 0, 4), 0x56781234);
	assert_int_equal(cfg(v, 1, PCI_COMMAND, 2), PCI_COMMAND_MASTER);
	port_put(v, 0xcf8, 4, 0x80000000);
	assert_int_equal(port_get(v, 0xcf8, 4), 0x80000000);
	alarm(0);
	sem_post(&go_on);
	pthread_join(thread, NULL);
	t->pci.ops = &thing_ops;
	toy_vm_free(v);
}

static void count_region(const struct bus_region *region, void *arg)
{
	(*(u32 *)arg)++;
}

/* Two vcpus write anything anywhere; then a reset makes the machine what it was. */
static void test_random(void **state)
{
	struct toy_vm *v = begin();
	struct thing *t[4];
	u8 before[4][256];
	pthread_t thread;
	u32 regions = 0, after = 0;

	for (u32 i = 0; i < 4; i++) {
		assert_int_equal(thing_add(v, 7, &t[i]), 0);
		for (u32 reg = 0; reg < 256; reg++)
			before[i][reg] = (u8)cfg(v, i + 1, reg, 1);
	}
	bus_for_each(&v->vm.mmio, count_region, &regions);
	assert_int_equal(pthread_create(&thread, NULL, scribbler, v), 0);
	scribble(v, 0x12345, 100000);
	pthread_join(thread, NULL);
	vm_reset_devices(&v->vm);
	for (u32 i = 0; i < 4; i++) {
		for (u32 reg = 0; reg < 256; reg++)
			assert_int_equal(cfg(v, i + 1, reg, 1), before[i][reg]);
		assert_int_equal(mmio_get(v, MEM32 + i * 0x4000, 1), t[i]->pci.devfn);
		assert_int_equal(port_get(v, IO + i * 32, 1), t[i]->pci.devfn);
	}
	bus_for_each(&v->vm.mmio, count_region, &after);
	assert_int_equal(regions, after);
	toy_vm_free(v);
}

/* Everything that was claimed is given back. */
static void test_teardown(void **state)
{
	struct toy_vm *v = begin();
	struct device *host = v->vm.devices;
	struct thing *t;
	u32 left = 0;

	assert_int_equal(thing_add(v, 7, &t), 0);
	v->vm.devices = NULL;
	v->vm.devices_tail = &v->vm.devices;
	thing_destroy(&t->pci.dev);
	host->ops->destroy(host);
	assert_null(v->vm.pci);
	bus_for_each(&v->vm.mmio, count_region, &left);
	bus_for_each(&v->vm.pio, count_region, &left);
	assert_int_equal(left, 0);
	toy_vm_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_access), cmocka_unit_test(test_reset_control),
		cmocka_unit_test(test_capabilities),  cmocka_unit_test(test_sizing),
		cmocka_unit_test(test_moving),	      cmocka_unit_test(test_absurd_addresses),
		cmocka_unit_test(test_many_devices),  cmocka_unit_test(test_window_full),
		cmocka_unit_test(test_intx),	      cmocka_unit_test(test_random),
		cmocka_unit_test(test_teardown),      cmocka_unit_test(test_read_while_written),
	};

	return cmocka_run_group_tests_name("pci", tests, NULL, NULL);
}
