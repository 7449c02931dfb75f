/* SPDX-License-Identifier: MIT */
/* boot/place.c, boot/linux-image.c, boot/fdt.c with the numbers of another machine than arm64's. */
#include "capture.h"
#include "fdt_read.h"
#include "image_builder.h"
#include "lkvm/boot-fdt.h"
#include "lkvm/config.h"
#include "lkvm/fdt.h"

#define RAM 0x40000000ULL

static u8 file[8192];
static const struct boot_place_rules rules = {
	.fdt_max = 64 * KiB,
	.fdt_align = 8,
	.windows = { 64 * MiB, 1 * GiB },
};

struct fixture {
	struct guest_memory mem;
	struct boot boot;
	struct boot_image kernel, initrd;
	struct boot_plan plan;
	struct boot_place at;
};

static void begin(struct fixture *f, u64 memory, u64 initrd_size)
{
	memset(f, 0, sizeof(*f));
	memory_init(&f->mem);
	assert_int_equal(
		memory_add(&f->mem,
			   &(struct memory_desc){ .gpa = RAM, .size = memory, .name = "ram" }),
		0);
	boot_image_from_buffer(&f->kernel, "dir/image", file, sizeof(file));
	boot_image_from_buffer(&f->initrd, "dir/initrd", file, initrd_size);
	f->boot.initrds = &f->initrd;
	f->boot.nr_initrds = initrd_size ? 1 : 0;
	boot_plan_init(&f->plan);
	f->at = (struct boot_place){ .image = &f->kernel, .what = "kernel", .ram = RAM };
	boot_place_ram(&f->at, &f->mem);
	assert_int_equal(f->at.ram_end, RAM + memory);
}

static void end(struct fixture *f)
{
	boot_plan_free(&f->plan);
	memory_destroy(&f->mem);
}

static void test_place(void **state)
{
	static const struct {
		u64 memory, kernel, initrd, fdt_at, initrd_at;
	} cases[] = {
		{ 256 * MiB, MiB, 5000, 64 * MiB - 64 * KiB, 64 * MiB - 64 * KiB - 8192 },
		{ 16 * MiB, MiB, 0, 16 * MiB - 64 * KiB, 16 * MiB - 64 * KiB },
		/* Beyond the first window. */
		{ 2 * GiB, 64 * MiB, 4096, GiB - 64 * KiB, GiB - 64 * KiB - 4096 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture f;

		begin(&f, cases[i].memory, cases[i].initrd);
		assert_int_equal(
			boot_place_raw(&f.at, &f.plan, BOOT_KERNEL, RAM + 4096, cases[i].kernel),
			0);
		assert_int_equal(f.at.entry, RAM + 4096);
		assert_int_equal(f.at.high, RAM + 4096 + cases[i].kernel);
		assert_int_equal(boot_place_rest(&f.at, &f.boot, &rules), 0);
		assert_int_equal(f.at.fdt, RAM + cases[i].fdt_at);
		assert_int_equal(f.at.initrd, RAM + cases[i].initrd_at);
		assert_int_equal(f.plan.nr_entries, 1);
		assert_int_equal(f.plan.entries[0].len, sizeof(file));
		end(&f);
	}
}

static void test_refused(void **state)
{
	struct fixture f;

	begin(&f, MiB, 4096);
	capture_begin();
	assert_int_equal(boot_place_check(&f.at, RAM - 1, 1), -EINVAL);
	assert_contains(capture_end(), "--kernel dir/image: it must be loaded at 0x3fffffff");
	capture_begin();
	assert_int_equal(boot_place_check(&f.at, RAM, 2 * MiB), -ENOMEM);
	assert_contains(capture_end(), "needs at least 2M of memory");
	assert_int_equal(boot_place_raw(&f.at, &f.plan, BOOT_KERNEL, RAM, MiB), 0);
	capture_begin();
	assert_int_equal(boot_place_rest(&f.at, &f.boot, &rules), -ENOMEM);
	assert_contains(capture_end(), "initrd: does not fit");
	end(&f);
}

static void test_image(void **state)
{
	struct linux_image image;
	struct boot_image img;

	memset(file, 0, sizeof(file));
	put_le(file + 8, 8, 0x200000);
	put_le(file + 16, 8, 0x1234000);
	put_le(file + 24, 8, LINUX_IMAGE_BIG_ENDIAN);
	memcpy(file + 56, "RSC\x05", 4);
	boot_image_from_buffer(&img, "dir/image", file, 64);
	assert_int_equal(linux_image_parse(&img, "RSC\x05", &image), 0);
	assert_int_equal(image.text_offset, 0x200000);
	assert_int_equal(image.size, 0x1234000);
	assert_int_equal(image.flags, LINUX_IMAGE_BIG_ENDIAN);
	assert_int_equal(linux_image_parse(&img, "ARM\x64", &image), -ENOEXEC);
	img.size = 63;
	assert_int_equal(linux_image_parse(&img, "RSC\x05", &image), -ENOEXEC);
}

static void test_nodes(void **state)
{
	const struct boot_fdt_input in = { .initrd = 0x41000000,
					   .initrd_size = 0x100,
					   .cmdline = "some words" };
	struct vm_config cfg = { .fdt.kaslr_seed = 0x1122334455667788ULL };
	struct guest_memory mem;
	struct fdtw fdt;
	size_t len;

	memory_init(&mem);
	assert_int_equal(
		memory_add(&mem,
			   &(struct memory_desc){ .gpa = 0x1000, .size = 4096, .name = "device" }),
		0);
	assert_int_equal(
		memory_add(&mem, &(struct memory_desc){ .gpa = RAM, .size = MiB, .name = "ram" }),
		0);
	fdtw_begin(&fdt, 16 * KiB);
	boot_fdt_root(&fdt, "a machine", 7);
	boot_fdt_chosen(&fdt, &cfg, &in, "/serial@10000000");
	boot_fdt_memory(&fdt, &mem, RAM);
	boot_fdt_clock(&fdt, 9);
	boot_fdt_pool(&fdt, 8 * MiB, 11);
	assert_int_equal(fdt.clock_phandle, 9);
	assert_int_equal(fdt.dma_pool_phandle, 11);
	assert_int_equal(fdtw_finish(&fdt, &len), 0);
	assert_dt_string(fdt.buf, "/", "model", "a machine");
	assert_int_equal(fdtw_cell(fdt.buf, "/", "interrupt-parent", 0), 7);
	assert_dt_string(fdt.buf, "/chosen", "bootargs", "some words");
	assert_dt_string(fdt.buf, "/chosen", "stdout-path", "/serial@10000000");
	assert_int_equal(fdtw_cell64(fdt.buf, "/chosen", "linux,initrd-end", 0), 0x41000100);
	assert_int_equal(fdtw_cell64(fdt.buf, "/chosen", "kaslr-seed", 0), cfg.fdt.kaslr_seed);
	assert_int_equal(fdtw_cell64(fdt.buf, "/memory@40000000", "reg", 2), MiB);
	assert_true(fdt_path_offset(fdt.buf, "/memory@1000") < 0);
	assert_int_equal(fdtw_cell(fdt.buf, "/apb-pclk", "phandle", 0), 9);
	assert_int_equal(fdtw_cell64(fdt.buf, "/reserved-memory/restricted-dma-pool", "size", 0),
			 8 * MiB);
	fdtw_destroy(&fdt);
	memory_destroy(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
