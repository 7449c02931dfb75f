/* SPDX-License-Identifier: MIT */
/* pvpanic as a PCI function: what Linux's pvpanic-pci binds to. */
#include "pci_thing.h"

#include "lkvm/hw.h"

static struct toy_vm *v;

static int setup(void **state)
{
	v = begin();
	assert_int_equal(pvpanic_pci_create(&v->vm), 0);
	return 0;
}

static int teardown(void **state)
{
	toy_vm_free(v);
	return 0;
}

static u64 bar(void)
{
	return cfg(v, 1, PCI_BASE_ADDRESS_0, 4) & PCI_BASE_ADDRESS_MEM_MASK;
}

static void linux_finds_it(void **state)
{
	assert_int_equal(cfg(v, 1, PCI_VENDOR_ID, 4), 0x00111b36);
	assert_int_equal(cfg(v, 1, PCI_CLASS_REVISION, 4), 0x08800001);
	assert_int_equal(cfg(v, 1, PCI_BASE_ADDRESS_0, 4) & ~PCI_BASE_ADDRESS_MEM_MASK, 0);
	set_cfg(v, 1, PCI_BASE_ADDRESS_0, 4, ~0U);
	assert_int_equal(cfg(v, 1, PCI_BASE_ADDRESS_0, 4), 0xfffffff0);
	assert_int_equal(cfg(v, 1, PCI_BASE_ADDRESS_1, 4), 0);
}

static void its_register(void **state)
{
	u64 at = bar();

	assert_in_range(at, MEM32, MEM32 + MEM32_SIZE - 16);
	assert_int_equal(mmio_get(v, at, 1), 7);
	assert_int_equal(mmio_get(v, at + 1, 1), 0);
	mmio_put(v, at + 1, 1, 1);
	assert_int_equal(v->vm.stop, VM_STOP_NONE);
	mmio_put(v, at, 1, 1);
	assert_int_equal(v->vm.stop, VM_STOP_PANIC);
}

static void follows_its_bar(void **state)
{
	u64 at = bar();

	set_cfg(v, 1, PCI_BASE_ADDRESS_0, 4, (u32)at + 0x1000);
	mmio_put(v, at, 1, 4);
	assert_int_equal(v->vm.stop, VM_STOP_NONE);
	mmio_put(v, at + 0x1000, 1, 4);
	assert_int_equal(v->vm.stop, VM_STOP_POWEROFF);
	vm_reset_devices(&v->vm);
	assert_int_equal(bar(), at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(linux_finds_it, setup, teardown),
		cmocka_unit_test_setup_teardown(its_register, setup, teardown),
		cmocka_unit_test_setup_teardown(follows_its_bar, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
