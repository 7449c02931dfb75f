/* SPDX-License-Identifier: MIT */
/* boot/machine.c: where kernel, device tree, initrds and firmware go in a machine of no
 * architecture.
 */
#include "fdt_loader.h"

#include <stdlib.h>

#define FILE_SIZE (64 * KiB)

static u8 file[FILE_SIZE];
static struct guest g;

#define RAM	0x80000000ULL
#define FDT_MAX (256 * KiB)

static const char *image_offset(const struct linux_image *image, u64 *offset)
{
	*offset = image->text_offset;
	return image->flags & LINUX_IMAGE_BIG_ENDIAN ? "of the wrong sort" : NULL;
}

static const struct boot_place_rules place = {
	.fdt_max = FDT_MAX,
	.fdt_align = 2 * MiB,
	.windows = { 256 * MiB, 32 * GiB },
};

static const struct boot_machine machine = {
	.ram = RAM,
	.place = &place,
	.firmware_offset = MiB,
	.image_magic = { 'T', 'O', 'Y', '1' },
	.image = image_offset,
};

static const struct boot_load automatic = { .machine = &machine };

static void build_image(u8 *buf, u64 text_offset, u64 image_size, u64 flags)
{
	static const u8 code[8] = "MZcode";

	build_image_header(buf, code, machine.image_magic,
			   &(struct linux_image){ text_offset, image_size, flags });
}

/* An initrd of that many bytes: one pattern for all. */
static u8 *add_initrd(u64 size)
{
	u8 *data = malloc(size);

	assert_non_null(data);
	for (u64 i = 0; i < size; i += 4096)
		data[i] = (u8)(i >> 12);
	data[size - 1] = 0x77;
	guest_add_initrd(&g, "dir/initrd", data, size);
	return data;
}

static struct load_result load(u64 memory, u64 image_size)
{
	build_image(file, 0, image_size, 0);
	return fdt_load_fresh(&g, memory, file, FILE_SIZE, automatic);
}

/* kvmtool's places: device tree at the last 2 MiB boundary of the first 256 MiB, initrd below. */
static void test_places(void **state)
{
	static const struct {
		u64 memory, fdt;
	} cases[] = {
		{ 4 * GiB, 254 * MiB }, { 256 * MiB, 254 * MiB }, { 255 * MiB, 254 * MiB },
		{ 64 * MiB, 62 * MiB }, { 17 * MiB, 16 * MiB },	  { 2 * MiB + 256 * KiB, 2 * MiB },
	};
	struct load_result r;
	u8 *initrd;

	g.boot.nr_initrds = 0;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		r = load(cases[i].memory, MiB);
		assert_loads(r);
		assert_int_equal(r.l.at.entry, RAM);
		assert_int_equal(r.l.at.fdt, RAM + cases[i].fdt);
		assert_int_equal(r.l.at.initrd_size, 0);
		assert_placed(&g, &r.l);
	}
	initrd = add_initrd(5000);
	r = load(512 * MiB, MiB);
	assert_loads(r);
	assert_placed(&g, &r.l);
	assert_int_equal(r.l.at.initrd, RAM + 254 * MiB - 8192);
	assert_int_equal(r.l.at.initrd_size, 5000);
	assert_guest_bytes(&g, r.l.at.initrd, initrd, 5000);
	free(initrd);
	g.boot.nr_initrds = 0;
}

/* What does not fit below 256 MiB goes to the end of RAM, within 32 GiB. */
static void test_large(void **state)
{
	struct load_result r = load(GiB, 255 * MiB);
	u8 *initrd;

	assert_loads(r);
	assert_placed(&g, &r.l);
	assert_int_equal(r.l.at.fdt, RAM + GiB - 2 * MiB);
	r = load(40 * GiB, 33 * GiB);
	assert_refused(r, -ENOMEM, "does not fit");
	r = load(40 * GiB, GiB);
	assert_loads(r);
	assert_int_equal(r.l.at.fdt, RAM + 32 * GiB - 2 * MiB);
	initrd = add_initrd(300 * MiB);
	r = load(GiB, MiB);
	assert_loads(r);
	assert_placed(&g, &r.l);
	assert_int_equal(r.l.at.initrd, RAM + GiB - 302 * MiB);
	assert_guest_bytes(&g, r.l.at.initrd, initrd, 300 * MiB);
	free(initrd);
	g.boot.nr_initrds = 0;
}

static void test_tight(void **state)
{
	u8 *initrd = add_initrd(4 * MiB);
	struct load_result r;

	/* 1 MiB kernel, 4 MiB initrd, device tree from 6 MiB on. */
	r = load(6 * MiB + 256 * KiB, MiB);
	assert_loads(r);
	assert_placed(&g, &r.l);
	assert_int_equal(r.l.at.initrd, RAM + 2 * MiB);
	r = load(6 * MiB + 256 * KiB, 2 * MiB);
	assert_loads(r);
	assert_placed(&g, &r.l);
	r = load(6 * MiB + 256 * KiB, 2 * MiB + 1);
	assert_refused(r, -ENOMEM, "initrd: does not fit");
	r = load(6 * MiB + 252 * KiB, MiB);
	assert_refused(r, -ENOMEM, "increase --mem");
	g.boot.nr_initrds = 0;
	r = load(128 * KiB, FILE_SIZE);
	assert_refused(r, -ENOMEM, "device tree: does not fit");
	r = load(60 * KiB, FILE_SIZE);
	assert_refused(r, -ENOMEM, "needs at least 1M of memory");
	free(initrd);
}

/* Sizes that do not add up. */
static void test_initrd_overflow(void **state)
{
	static u8 byte;
	struct load_result r;

	guest_add_initrd(&g, "a", &byte, ~0ULL - 8);
	r = load(64 * MiB, MiB);
	assert_refused(r, -ENOMEM, "initrd: does not fit");
	guest_add_initrd(&g, "b", &byte, ~0ULL - 8);
	r = load(64 * MiB, MiB);
	assert_refused(r, -EOVERFLOW, "initrd: does not fit");
	g.boot.nr_initrds = 0;
}

static void test_several_initrds(void **state)
{
	u8 *a = add_initrd(5), *b = add_initrd(4097);
	struct load_result r = load(64 * MiB, MiB);

	assert_loads(r);
	assert_int_equal(r.l.at.initrd_size, 8 + 4100);
	assert_guest_bytes(&g, r.l.at.initrd, a, 5);
	assert_guest_bytes(&g, r.l.at.initrd + 8, b, 4097);
	free(a);
	free(b);
	g.boot.nr_initrds = 0;
}

static struct load_result load_firmware_of(const struct boot_machine *m, u64 memory, u64 size,
					   u64 address)
{
	const struct boot_load how = { .machine = m, .firmware_address = address };

	fdt_guest_again(&g, RAM, memory);
	boot_image_from_buffer(&g.boot.firmware, "dir/fw", file, size);
	return fdt_load_guest(&g, how);
}

static struct load_result load_firmware(u64 memory, u64 size, u64 address)
{
	return load_firmware_of(&machine, memory, size, address);
}

static void test_firmware(void **state)
{
	struct load_result r;

	for (u32 i = 0; i < FILE_SIZE; i++)
		file[i] = (u8)(i * 11 + (i >> 8));
	r = load_firmware(64 * MiB, FILE_SIZE, 0);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, RAM + MiB);
	assert_int_equal(r.l.at.fdt, RAM + 2 * MiB);
	assert_guest_bytes(&g, RAM + MiB, file, FILE_SIZE);
	assert_placed(&g, &r.l);
	/* As raw as it is: no format is looked for. */
	build_image(file, 0x80000, MiB, 1);
	r = load_firmware(64 * MiB, FILE_SIZE, RAM + 0x200000);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, RAM + 0x200000);
	assert_int_equal(r.l.at.fdt, RAM + 0x400000);
	assert_guest_bytes(&g, r.l.at.entry, file, FILE_SIZE);
	assert_placed(&g, &r.l);
	assert_refused(load_firmware(64 * MiB, FILE_SIZE, 0x1000), -EINVAL,
		       "--firmware dir/fw: it must be loaded at 0x1000");
	assert_refused(load_firmware(64 * MiB, FILE_SIZE, RAM + 64 * MiB), -ENOMEM,
		       "needs at least 65M of memory");
	assert_refused(load_firmware(64 * MiB, FILE_SIZE, RAM + 2 * MiB + 2), -EINVAL,
		       "must be a multiple of 4");
	assert_refused(load_firmware(64 * MiB, FILE_SIZE, ~0ULL - 7), -EINVAL,
		       "never be guest memory");
	assert_refused(load_firmware(64 * MiB, FILE_SIZE, RAM + 64 * MiB - FILE_SIZE), -ENOMEM,
		       "increase --mem");
	assert_refused(load_firmware(2 * MiB, FILE_SIZE, 0), -ENOMEM, "needs at least 3M");
	/* What has nothing to run at its beginning, or is no firmware at all. */
	assert_loads(load_firmware(64 * MiB, 4, 0));
	memset(file, 0xff, 16);
	assert_refused(load_firmware(64 * MiB, FILE_SIZE, 0), -ENOEXEC,
		       "nothing to run at its beginning: 16 bytes of 0xff");
	memset(file, 0, 16);
	assert_refused(load_firmware(64 * MiB, FILE_SIZE, 0), -ENOEXEC, "16 bytes of 0x00");
	memcpy(file + 16, "\x8d\x2b\xf1\xff\x96\x76\x8b\x4c\xa9\x85\x27\x47\x07\x5b\x4f\x50", 16);
	assert_refused(load_firmware(64 * MiB, FILE_SIZE, 0), -ENOEXEC, "UEFI's variables");
	file[3] = 0x14;
	assert_loads(load_firmware(64 * MiB, FILE_SIZE, 0));
	memcpy(file, "\177ELF", 4);
	assert_refused(load_firmware(64 * MiB, FILE_SIZE, 0), -ENOEXEC, "objcopy -O binary");
	memcpy(file, "QFI\xfb", 4);
	assert_refused(load_firmware(64 * MiB, FILE_SIZE, 0), -ENOEXEC, "a qcow2 disk image");
	file[0] = 0;
	g.boot.firmware.path = NULL;
}

/* After the device tree, which says where they are. */
static void test_firmware_with_initrds(void **state)
{
	u8 *a = add_initrd(5), *b = add_initrd(MiB);
	struct load_result r = load_firmware(64 * MiB, FILE_SIZE, 0);
	u64 initrd = RAM + 2 * MiB + FDT_MAX;

	assert_loads(r);
	assert_int_equal(r.l.at.fdt, RAM + 2 * MiB);
	assert_int_equal(r.l.at.initrd, initrd);
	assert_int_equal(r.l.at.initrd_size, 8 + MiB);
	assert_guest_bytes(&g, initrd, a, 5);
	assert_guest_bytes(&g, initrd + 8, b, MiB);
	assert_placed(&g, &r.l);
	assert_refused(load_firmware(3 * MiB, FILE_SIZE, 0), -ENOMEM, "initrd: does not fit");
	g.boot.nr_initrds = 0;
	guest_add_initrd(&g, "a", a, ~0ULL - 8);
	assert_refused(load_firmware(64 * MiB, FILE_SIZE, 0), -ENOMEM, "initrd: does not fit");
	guest_add_initrd(&g, "b", b, ~0ULL - 8);
	assert_refused(load_firmware(64 * MiB, FILE_SIZE, 0), -EOVERFLOW, "initrd: does not fit");
	g.boot.nr_initrds = 0;
	g.boot.firmware.path = NULL;
	free(a);
	free(b);
}

#define ROM 0x20000000ULL

static void assert_in_rom(const struct load_result *r, u64 gpa)
{
	const struct memory_region *rom = memory_find(&g.mem, gpa);

	assert_loads(*r);
	assert_int_equal(r->l.at.entry, gpa);
	assert_non_null(rom);
	assert_int_equal(rom->kind, MEM_ROM);
	assert_int_equal(rom->size, FILE_SIZE);
	assert_memory_equal(rom->hva, file, FILE_SIZE);
	/* RAM is as empty as for a kernel that is not there. */
	assert_int_equal(r->l.at.fdt, RAM + 62 * MiB);
}

/* UEFI's runs where its volumes are, which is not RAM. */
static void test_firmware_in_place(void **state)
{
	struct boot_machine with_rom = machine;
	struct load_result r;

	with_rom.rom = ROM;
	with_rom.rom_size = 2 * FILE_SIZE;
	for (u32 i = 0; i < FILE_SIZE; i++)
		file[i] = (u8)(i * 11 + (i >> 8));
	/* What is not UEFI's goes there where somebody says so. */
	r = load_firmware_of(&with_rom, 64 * MiB, FILE_SIZE, 0);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, RAM + MiB);
	r = load_firmware_of(&with_rom, 64 * MiB, FILE_SIZE, ROM + 4 * KiB);
	assert_in_rom(&r, ROM + 4 * KiB);
	memcpy(file + 40, "_FVH", 4);
	r = load_firmware_of(&with_rom, 64 * MiB, FILE_SIZE, 0);
	assert_in_rom(&r, ROM);
	r = load_firmware_of(&with_rom, 64 * MiB, FILE_SIZE, RAM + 2 * MiB);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, RAM + 2 * MiB);
	assert_refused(load_firmware_of(&with_rom, 64 * MiB, FILE_SIZE - 1, 0), -EINVAL,
		       "multiples of 4K");
	assert_refused(load_firmware_of(&with_rom, 64 * MiB, FILE_SIZE, ROM + 8), -EINVAL,
		       "multiples of 4K");
	assert_refused(load_firmware_of(&with_rom, 64 * MiB, FILE_SIZE, ROM + 68 * KiB), -EFBIG,
		       "too large for the read-only memory of 128K that ends at 0x20020000");
	assert_refused(load_firmware_of(&with_rom, 64 * KiB, FILE_SIZE, 0), -ENOMEM,
		       "increase --mem");
	/* A machine that has no such memory. */
	r = load_firmware(64 * MiB, FILE_SIZE, 0);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, RAM + MiB);
	g.boot.firmware.path = NULL;
}

static void test_nothing(void **state)
{
	guest_destroy(&g);
	fdt_guest_init(&g, RAM, 64 * MiB);
	assert_refused(fdt_load_guest(&g, automatic), -EINVAL, "-k");
}

static void test_messages(void **state)
{
	struct load_result r = load(64 * MiB, MiB);

	assert_loads(r);
	build_image(file, 0, MiB, 1);
	g.boot.kernel.packed = "gzip";
	assert_refused(fdt_load_guest(&g, automatic), -ENOEXEC,
		       "--kernel dir/image, unpacked by gzip: of the wrong sort");
}

/* The EFI header of an Image says how much of it must be in the file. */
static void test_truncated(void **state)
{
	static const struct {
		u32 pe;	   /* where that header is said to be */
		u32 start; /* of the second section, in the file */
		u32 size;
		bool whole;
	} cases[] = {
		{ 0x40, 0x1000, FILE_SIZE - 0x1000, true },
		{ 0x40, 0x1000, FILE_SIZE - 0xfff, false },
		{ 0x40, 0xffffffff, 0xffffffff, false },
		{ 0x40, FILE_SIZE + 1, 0, false },
		{ FILE_SIZE - 24, 0, 0, true }, /* no "PE" there: not an EFI program */
		{ FILE_SIZE - 23, 0, 0, false },
		{ 0xfffffff0, 0, 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u8 *pe = file + 0x40;

		memset(file, 0, FILE_SIZE);
		build_image(file, 0, MiB, 0);
		put_le(file + 0x3c, 4, cases[i].pe);
		memcpy(pe, "PE\0\0", 4);
		put_le(pe + 6, 2, 2);
		put_le(pe + 20, 2, 8);
		put_le(pe + 32 + 40 + 16, 4, cases[i].size);
		put_le(pe + 32 + 40 + 20, 4, cases[i].start);
		if (cases[i].whole)
			assert_loads(fdt_load_fresh(&g, 64 * MiB, file, FILE_SIZE, automatic));
		else
			assert_refused(fdt_load_fresh(&g, 64 * MiB, file, FILE_SIZE, automatic),
				       -ENOEXEC, "truncated");
	}
	/* Its list of sections ends after the file. */
	memset(file, 0, FILE_SIZE);
	build_image(file, 0, MiB, 0);
	memcpy(file + 0x40, "PE\0\0", 4);
	put_le(file + 0x46, 2, 0xffff);
	assert_refused(fdt_load_fresh(&g, 64 * MiB, file, FILE_SIZE, automatic), -ENOEXEC,
		       "truncated");
}

static int teardown(void **state)
{
	guest_destroy(&g);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_tight),
		cmocka_unit_test(test_initrd_overflow),
		cmocka_unit_test(test_several_initrds),
		cmocka_unit_test(test_firmware),
		cmocka_unit_test(test_firmware_with_initrds),
		cmocka_unit_test(test_firmware_in_place),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_truncated),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
