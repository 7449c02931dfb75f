/* SPDX-License-Identifier: MIT */
/* Every device that exists on all architectures: used, saved, loaded, saved again. */
#include <stdio.h>
#include <unistd.h>

#include "device_state.h"
#include "devvm.h"
#include "lkvm/arch.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/pci.h"
#include "lkvm/util.h"

#define BASE 0x1000ULL

static const struct arch_place port = {
	.pio = true, .base = 0x3f8, .size = 8, .gsi = 4, .edge = true
};
static const struct arch_place mmio = { .base = BASE, .size = 0x1000, .gsi = 5 };

static int add_port_serial(struct vm *vm, const char *file)
{
	return serial_create(vm, &port, 0, NULL);
}

static int add_mmio_serial(struct vm *vm, const char *file)
{
	return serial_create(vm, &mmio, 2, NULL);
}

static int add_cmos(struct vm *vm, const char *file)
{
	return cmos_rtc_create(vm);
}

static int add_mc146818(struct vm *vm, const char *file)
{
	return mc146818_create(vm, &mmio);
}

static int add_i8042(struct vm *vm, const char *file)
{
	return i8042_create(vm);
}

static int add_reset_control(struct vm *vm, const char *file)
{
	return reset_control_create(vm);
}

static int add_pvpanic(struct vm *vm, const char *file)
{
	return pvpanic_create(vm, &port);
}

static int add_debug_exit(struct vm *vm, const char *file)
{
	return debug_exit_create(vm, &port);
}

static int add_boot_mark(struct vm *vm, const char *file)
{
	return boot_mark_create(vm, &port);
}

static int add_pl031(struct vm *vm, const char *file)
{
	return pl031_create(vm, &mmio);
}

static int add_pl061(struct vm *vm, const char *file)
{
	struct device *dev;
	int ret = pl061_create(vm, &mmio, &dev);

	return ret;
}

static int add_goldfish(struct vm *vm, const char *file)
{
	struct device *dev;
	int ret = goldfish_rtc_create(vm, &mmio, &dev);

	return ret;
}

static int add_syscon(struct vm *vm, const char *file)
{
	return syscon_create(vm, &mmio);
}

static char files[2][32];

static int add_flash(struct vm *vm, const char *file)
{
	static struct flash_file open[2];
	struct flash_file *f = &open[file == files[1]];

	flash_file_close(f);
	assert_int_equal(flash_file_open(f, file, 1 * MiB), 0);
	return cfi_flash_create(vm, BASE, f);
}

static const struct arch_pci_layout layout = {
	.ecam_base = BASE,
	.ecam_size = 1 * MiB,
	.mem32_base = 0x10000000,
	.mem32_size = 0x100000,
	.config_ports = true,
	.intx_gsi = { 16, 17, 18, 19 },
};

static int add_pci(struct vm *vm, const char *file)
{
	int ret = pci_host_add(vm, &layout, 0x100000000ULL);

	return ret ? ret : pvpanic_pci_create(vm);
}

struct row;
static void serial_driver(struct devvm *d, const struct row *r);
static void serial_divisor(struct devvm *d, const struct row *r);
static void pl061_driver(struct devvm *d, const struct row *r);
static void goldfish_driver(struct devvm *d, const struct row *r);
static void reset_control_driver(struct devvm *d, const struct row *r);

static const struct row {
	const char *name;
	int (*add)(struct vm *vm, const char *file);
	bool pio, mmio;
	u64 first, last; /* of its registers */
	bool clock;	 /* what is read depends on the time, or on a file */
	void (*driver)(struct devvm *d, const struct row *r);
	void (*expose)(struct devvm *d, const struct row *r); /* other registers */
	u32 shift;
} rows[] = {
	{ "serial at ports", add_port_serial, .pio = true, .first = 0x3f8, .last = 0x3ff,
	  .driver = serial_driver, .expose = serial_divisor },
	{ "serial", add_mmio_serial, .mmio = true, .first = BASE, .last = BASE + 0x20,
	  .driver = serial_driver, .expose = serial_divisor, .shift = 2 },
	{ "cmos", add_cmos, .pio = true, .first = 0x70, .last = 0x71, .clock = true },
	{ "mc146818", add_mc146818, .mmio = true, .first = BASE, .last = BASE + 1, .clock = true },
	{ "i8042", add_i8042, .pio = true, .first = 0x60, .last = 0x92 },
	{ "reset control", add_reset_control, .pio = true, .first = 0xcf9, .last = 0xcf9,
	  .driver = reset_control_driver },
	{ "pvpanic", add_pvpanic, .pio = true, .first = 0x3f8, .last = 0x3ff },
	{ "debug-exit", add_debug_exit, .pio = true, .first = 0x3f8, .last = 0x3ff },
	{ "boot-mark", add_boot_mark, .pio = true, .first = 0x3f9, .last = 0x3ff },
	{ "pl031", add_pl031, .mmio = true, .first = BASE, .last = BASE + 0x20, .clock = true },
	{ "pl061", add_pl061, .mmio = true, .first = BASE, .last = BASE + 0x420,
	  .driver = pl061_driver },
	{ "goldfish-rtc", add_goldfish, .mmio = true, .first = BASE, .last = BASE + 0x20,
	  .clock = true, .driver = goldfish_driver },
	{ "syscon", add_syscon, .mmio = true, .first = BASE, .last = BASE + 3 },
	{ "flash", add_flash, .mmio = true, .first = BASE, .last = BASE + 0x1ffff, .clock = true },
	{ "pci", add_pci, .mmio = true, .first = BASE, .last = BASE + 0x8100 },
	{ "pci at ports", add_pci, .pio = true, .first = 0xcf8, .last = 0xcff },
};

static void make(struct devvm *d, const struct row *r, const char *file)
{
	devvm_init(d);
	assert_int_equal(r->add(&d->vm, file), 0);
}

static struct bus *row_bus(struct devvm *d, const struct row *r)
{
	return r->pio ? &d->vm.pio : &d->vm.mmio;
}

static void put(struct devvm *d, const struct row *r, u32 reg, u8 value)
{
	bus_write(row_bus(d, r), r->first + ((u64)reg << r->shift), &value, 1);
}

/* What a driver does last, so that lines are held and buffers half full. */
static void serial_driver(struct devvm *d, const struct row *r)
{
	put(d, r, 3, 0x03); /* no divisor */
	put(d, r, 4, 0x1f); /* loopback */
	put(d, r, 1, 0x0f);
	for (u8 i = 0; i < 20; i++)
		put(d, r, 0, i);
}

/* The divisor is behind a bit of LCR. */
static void serial_divisor(struct devvm *d, const struct row *r)
{
	put(d, r, 3, 0x83);
}

/* The power key is an input that is high, by level. */
static void pl061_driver(struct devvm *d, const struct row *r)
{
	static const u32 words[][2] = { { 0x400, 0 }, { 0x404, 8 }, { 0x40c, 8 }, { 0x410, 8 } };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		bus_write(&d->vm.mmio, BASE + words[i][0], &words[i][1], 4);
	pl061_press(d->vm.devices);
}

/* An alarm in the past, whose interrupt is let out. */
static void goldfish_driver(struct devvm *d, const struct row *r)
{
	static const u32 words[][2] = { { 0x0c, 0 }, { 0x08, 1 }, { 0x10, 1 } };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		bus_write(&d->vm.mmio, BASE + words[i][0], &words[i][1], 4);
}

static void reset_control_driver(struct devvm *d, const struct row *r)
{
	put(d, r, 0, 0x0a);
}

static void drive(struct devvm *d, const struct row *r)
{
	devvm_batter(d, row_bus(d, r), r->first, r->last, 20000);
	if (r->driver)
		r->driver(d, r);
}

static void assert_reads_alike(struct devvm *a, struct devvm *b, const struct row *r)
{
	for (u64 at = r->first; at <= r->last; at++) {
		u8 in_a = 0, in_b = 0;

		bus_read(row_bus(a, r), at, &in_a, 1);
		bus_read(row_bus(b, r), at, &in_b, 1);
		if (in_a != in_b)
			fail_msg("%s: register 0x%llx reads %x, not %x", r->name, at, in_b, in_a);
	}
}

static void assert_alike(struct devvm *a, struct devvm *b, const struct row *r)
{
	assert_memory_equal(a->level, b->level, sizeof(a->level));
	if (r->clock)
		return;
	assert_reads_alike(a, b, r);
	if (!r->expose)
		return;
	r->expose(a, r);
	r->expose(b, r);
	assert_reads_alike(a, b, r);
}

struct at_work {
	struct devvm *d;
	const struct row *r;
};

static void batter_more(void *opaque)
{
	const struct at_work *w = opaque;

	devvm_batter(w->d, row_bus(w->d, w->r), w->r->first, w->r->last, 2000);
}

static void check_row(const struct row *r)
{
	struct devvm used, fresh;
	struct at_work work = { &fresh, r };

	make(&used, r, files[0]);
	make(&fresh, r, files[1]);
	drive(&used, r);
	check_state(&used.vm, &fresh.vm);
	assert_alike(&used, &fresh, r);
	/* And so they are under the same driver from here on. */
	drive(&used, r);
	drive(&fresh, r);
	assert_alike(&used, &fresh, r);
	drive(&used, r);
	check_bad_state(&used.vm, &fresh.vm);
	check_extreme_state(&used.vm, &fresh.vm, &(struct exercise){ batter_more, &work });
	/* Whatever was let in, it is still a device. */
	drive(&fresh, r);
	vm_destroy(&used.vm);
	vm_destroy(&fresh.vm);
}

static void test_rows(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_message("# %s\n", rows[i].name);
		check_row(&rows[i]);
	}
}

/* BARs are mapped where they were, and the functions hold the same lines. */
static void test_bars(void **state)
{
	static const u8 decode = 2;
	struct devvm used, fresh;
	struct row r = { .add = add_pci };
	const u32 moved = 0x10080000;
	u8 data[4] = { 0 };

	make(&used, &r, NULL);
	make(&fresh, &r, NULL);
	assert_int_equal(used.vm.pci->root.functions[8]->bars[0].addr, 0x10000000);
	bus_write(&used.vm.mmio, BASE + (8 << 12) + 0x10, &moved, 4);
	bus_write(&used.vm.mmio, BASE + (8 << 12) + 4, &decode, 1);
	pci_set_intx(used.vm.pci->root.functions[8], true);
	check_state(&used.vm, &fresh.vm);
	assert_int_equal(fresh.vm.pci->root.functions[8]->bars[0].addr, moved);
	assert_true(bus_read(&fresh.vm.mmio, moved, data, 1));
	assert_int_equal(data[0], 7);
	assert_false(bus_read(&fresh.vm.mmio, 0x10000000, data, 1));
	assert_memory_equal(used.level, fresh.level, sizeof(used.level));
	assert_true(fresh.level[17]);
	vm_destroy(&used.vm);
	vm_destroy(&fresh.vm);
}

static int make_files(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int fd;

		strcpy(files[i], "/tmp/lkvm-state.XXXXXX");
		fd = mkstemp(files[i]);
		if (fd < 0 || ftruncate(fd, 128 * KiB) < 0)
			return -1;
		close(fd);
	}
	return 0;
}

static int remove_files(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlink(files[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_bars),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, make_files, remove_files);
}
