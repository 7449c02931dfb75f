/* SPDX-License-Identifier: MIT */
/* The test device of --testdev and the ports of fw_cfg, as tests use them and as a fuzzer does. */
#include "../../../x86/layout.h"
#include "../../../x86/platform.h"
#include "../../../x86/x86.h"
#include "capture.h"
#include "devvm.h"
#include "lkvm/arch.h"
#include "lkvm/log.h"

#define SCRATCH 0xe0
#define FLUSH	0xe4
#define BYTES	0xe8
#define LINES	0x2000
#define FW_CFG	0x510
#define RAM	0x100000ULL

static struct devvm d;
static struct arch_vm arch;

static void make(bool testdev)
{
	devvm_init(&d);
	memset(&arch, 0, sizeof(arch));
	d.vm.arch = &arch;
	d.cfg.memory = 0x123456789aULL;
	d.cfg.cpus = 0x304;
	if (testdev)
		assert_int_equal(x86_testdev_create(&d.vm), 0);
	assert_int_equal(x86_machine_cfg_create(&d.vm, testdev), 0);
}

static int setup(void **state)
{
	make(true);
	return 0;
}

static int teardown(void **state)
{
	vm_destroy(&d.vm);
	return 0;
}

static u64 mmio_in(u64 offset, u32 len)
{
	u8 data[8];

	bus_read(&d.vm.mmio, X86_TEST_MEM + offset, data, len);
	return get_le(data, len);
}

static void mmio_out(u64 offset, u64 value, u32 len)
{
	bus_write(&d.vm.mmio, X86_TEST_MEM + offset, &value, len);
}

static void test_scratch(void **state)
{
	assert_int_equal(devvm_in(&d, SCRATCH, 4), 0);
	devvm_out(&d, SCRATCH, 0x87654321, 4);
	assert_int_equal(devvm_in(&d, SCRATCH, 4), 0x87654321);
	devvm_out(&d, SCRATCH + 1, 0xbeef, 2);
	assert_int_equal(devvm_in(&d, BYTES, 4), 0x87beef21);
	devvm_out(&d, BYTES + 3, 0x5a, 1);
	assert_int_equal(devvm_in(&d, SCRATCH + 2, 2), 0x5abe);
	/* Over an end nothing is read or written. */
	devvm_out(&d, SCRATCH + 2, 0, 4);
	devvm_out(&d, BYTES + 3, 0, 2);
	assert_int_equal(devvm_in(&d, SCRATCH, 4), 0x5abeef21);
	assert_int_equal(devvm_in(&d, SCRATCH + 1, 4), 0xffffffff);
}

static void test_memory(void **state)
{
	mmio_out(0, 0x1122334455667788ULL, 8);
	assert_int_equal(mmio_in(0, 8), 0x1122334455667788ULL);
	assert_int_equal(mmio_in(3, 2), 0x4455);
	mmio_out(0xffff, 0x42, 1);
	assert_int_equal(mmio_in(0xfffe, 2), 0x4200);
	assert_int_equal(mmio_in(0xffff, 2), 0xffff);
	assert_int_equal(mmio_in(0x10000, 4), 0xffffffff);
}

static void test_lines(void **state)
{
	for (u32 pin = 0; pin < 24; pin++) {
		devvm_out(&d, (u16)(LINES + pin), pin % 2 ? 1 : 0x80, 1);
		assert_true(d.level[pin] && d.rises[pin] == 1);
	}
	devvm_out(&d, LINES + 14, 1, 1);
	assert_int_equal(d.rises[14], 1);
	devvm_out(&d, LINES + 14, 0, 1);
	assert_false(d.level[14]);
	/* No byte, no pin; reading is nothing. */
	devvm_out(&d, LINES + 14, 0x0101, 2);
	devvm_out(&d, LINES + 24, 1, 1);
	devvm_out(&d, LINES + 22, 0, 4);
	assert_false(d.level[14] || d.level[24]);
	assert_true(d.level[22] && d.level[23]);
	assert_int_equal(devvm_in(&d, LINES, 1), 0xff);
	vm_reset_devices(&d.vm);
	for (u32 pin = 0; pin < 24; pin++)
		assert_false(d.level[pin]);
}

/* What is flushed is memory_flush_page's; here, that no address does harm. */
static void test_flush(void **state)
{
	u32 *p;

	assert_int_equal(
		memory_add(&d.vm.mem,
			   &(struct memory_desc){ .gpa = RAM, .size = 0x10000, .name = "ram" }),
		0);
	p = memory_ptr(&d.vm.mem, RAM, 0x10000);
	p[1] = 0x5eed;
	capture_begin();
	for (u64 gpa = 0; gpa < 4 * GiB; gpa += 0x1fff0)
		devvm_out(&d, FLUSH, (u32)gpa, 4);
	for (u32 len = 1; len <= 4; len *= 2)
		for (u16 i = 0; i < 4; i++)
			devvm_out(&d, FLUSH + i, (u32)RAM, len);
	assert_string_equal(capture_end(), "");
	assert_int_equal(p[1], 0x5eed);
	assert_int_equal(devvm_in(&d, FLUSH, 4), 0xffffffff);
}

static u64 item(u16 key, u32 bytes)
{
	u64 value = 0;

	devvm_out(&d, FW_CFG, key, 2);
	for (u32 i = 0; i < bytes; i++)
		value |= (u64)devvm_in(&d, FW_CFG + 1, 1) << 8 * i;
	return value;
}

static void test_fw_cfg(void **state)
{
	assert_int_equal(item(3, 8), 0x123456789aULL);
	assert_int_equal(item(5, 2), 0x304);
	assert_int_equal(item(15, 2), 0x304);
	assert_int_equal(item(1, 4), 1);
	/* What lies behind an item is zero for ever, and so is what there is not. */
	for (int i = 0; i < 1000; i++)
		assert_int_equal(devvm_in(&d, FW_CFG + 1, 1), 0);
	assert_int_equal(item(5, 8), 0x304);
	assert_int_equal(item(0, 4), 0);
	assert_int_equal(item(0xffff, 8), 0);
	/* A byte selects nothing, and the selector is not read. */
	item(5, 1);
	devvm_out(&d, FW_CFG, 3, 1);
	assert_int_equal(devvm_in(&d, FW_CFG + 1, 1), 3);
	assert_int_equal(devvm_in(&d, FW_CFG, 1), 0xff);
	assert_int_equal(devvm_in(&d, FW_CFG, 2), 0xffff);
	item(5, 0);
	vm_reset_devices(&d.vm);
	assert_int_equal(devvm_in(&d, FW_CFG + 1, 1), 0);
}

static void test_hint(void **state)
{
	vm_destroy(&d.vm);
	make(false);
	capture_begin();
	assert_int_equal(item(0, 2), 0xffff);
	assert_int_equal(item(0x19, 2), 0xffff);
	assert_string_equal(capture_end(), "");
	capture_begin();
	assert_int_equal(item(5, 2), 0xffff);
	assert_int_equal(item(3, 8), ~0ULL);
	assert_one_line(capture_end());
	assert_contains(captured, "number of CPUs");
	assert_contains(captured, "use --testdev");
}

static void test_hostile(void **state)
{
	devvm_batter(&d, &d.vm.pio, SCRATCH - 2, BYTES + 6, 20000);
	devvm_batter(&d, &d.vm.pio, LINES - 2, LINES + 30, 20000);
	devvm_batter(&d, &d.vm.pio, FW_CFG - 2, FW_CFG + 4, 20000);
	devvm_batter(&d, &d.vm.mmio, X86_TEST_MEM - 8, X86_TEST_MEM + 0x10008, 20000);
}

/* BARs of ports begin behind the pins. */
static void test_window(void **state)
{
	struct arch_pci_layout l = arch_platform.pci;

	arch_pci_make_room(&d.vm, &l);
	assert_int_equal(l.io_base, X86_PCI_IO_BASE);
	d.cfg.x86.testdev = true;
	arch_pci_make_room(&d.vm, &l);
	assert_true(l.io_base >= LINES + 24);
	assert_int_equal(l.io_base + l.io_size, X86_PCI_IO_BASE + X86_PCI_IO_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_scratch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flush, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fw_cfg, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hint, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_window, setup, teardown),
	};

	log_set_level(LOG_WARNING);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
