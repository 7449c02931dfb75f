/* SPDX-License-Identifier: MIT */
/* arm/image.c: every format of a kernel, and what is none; where firmware goes. */
#include "image_rig.h"

#include "../../../arm/boot.h"

#define LE_4K 0xaULL /* flags: little-endian, 4 KiB pages, anywhere */

static const struct boot_load aarch32 = { .machine = &arm_machine32 };

static void build_flags(u8 *buf, u64 text_offset, u64 size, u64 flags)
{
	/* add x13, x18, #0x16: "MZ"; a branch */
	static const u8 code[8] = { 0x4d, 0x5a, 0x00, 0x91, 0, 0, 0, 0x14 };

	build_image_header(buf, code, "ARM\x64", &(struct linux_image){ text_offset, size, flags });
}

static void build_image(u8 *buf, u64 text_offset, u64 size)
{
	build_flags(buf, text_offset, size, LE_4K);
}

/* As the stolen time's. */
static void add_device_page(struct guest *guest)
{
	assert_int_equal(memory_add(&guest->mem, &(struct memory_desc){ .gpa = ARM_PVTIME,
									.size = ARM_PVTIME_SIZE,
									.name = "dev" }),
			 0);
}

static const struct image_kind kind = {
	.machine = &arm_machine,
	.name = "arm64",
	.elf_machine = EM_AARCH64,
	.flat = ARM_RAM + ARM_FLAT_OFFSET,
	.build = build_image,
	.add_memory = add_device_page,
};

static void test_image(void **state)
{
	static const u64 offsets[] = { 0, 0x80000, 0x1ff000 };

	check_image(offsets, ARRAY_SIZE(offsets));
}

/* Linux before 3.17: no size, and an offset that everybody knows. */
static void test_old_image(void **state)
{
	struct load_result r;

	fill();
	build_flags(file, 0x123000, 0, ~0ULL);
	r = load_auto(FILE_SIZE);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, ARM_RAM + 0x80000);
	assert_int_equal(r.l.at.high, ARM_RAM + 0x80000 + FILE_SIZE);
	assert_guest_bytes(&g, r.l.at.entry, file, FILE_SIZE);
}

/* A signature after the kernel makes the file longer than the header says. */
static void test_image_smaller_than_file(void **state)
{
	struct load_result r;

	fill();
	build_image(file, 0, 4096);
	r = load_auto(FILE_SIZE);
	assert_loads(r);
	assert_int_equal(r.l.at.high, ARM_RAM + FILE_SIZE);
	assert_guest_bytes(&g, ARM_RAM, file, FILE_SIZE);
}

static void test_hostile_images(void **state)
{
	static const struct bad_image bad[] = {
		{ ~0ULL, 4096, -ENOEXEC, "damaged" },
		{ ~0ULL - ARM_RAM + 1, 4096, -ENOEXEC, "damaged" },
		{ ~0ULL - ARM_RAM, 4096, -EINVAL, "never be guest memory" },
		{ 0, ~0ULL, -EINVAL, "never be guest memory" },
		{ 0x80000, ~0ULL - ARM_RAM, -EINVAL, "never be guest memory" },
		{ 64 * MiB, 4096, -ENOMEM, "needs at least 65M of memory and the guest has 64M" },
		{ 0, 64 * MiB + 1, -ENOMEM, "increase --mem" },
		{ 1ULL << 63, 4096, -ENOMEM, "increase --mem" },
		/* It fits, and nothing else does. */
		{ 0, 64 * MiB, -ENOMEM, "device tree: does not fit" },
		{ 64 * MiB - FILE_SIZE, 1, -ENOMEM, "device tree: does not fit" },
	};

	check_bad_images(bad, ARRAY_SIZE(bad));
	build_flags(file, 0, MiB, LE_4K | 1);
	assert_refused(load_auto(FILE_SIZE), -ENOEXEC, "big-endian");
	build_image(file, 0, MiB);
	assert_refused(load(FILE_SIZE, aarch32), -ENOEXEC, "--aarch32");
}

/* A header that is cut off is none. */
static void test_short_files(void **state)
{
	build_image(file, 0, MiB);
	for (u64 size = 1; size < 64; size++) {
		struct load_result r;

		assert_refused(load(size, as(FDT_KERNEL_IMAGE)), -ENOEXEC, "header");
		r = load(size, as(FDT_KERNEL_FLAT));
		assert_loads(r);
		assert_int_equal(r.l.at.high, ARM_RAM + size);
	}
	/* No EFI header. */
	put_le(file + 60, 4, 0);
	assert_loads(load(64, as(FDT_KERNEL_IMAGE)));
}

static void test_flat(void **state)
{
	struct load_result r;

	fill();
	r = load_auto(FILE_SIZE);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, ARM_RAM);
	assert_guest_bytes(&g, ARM_RAM, file, FILE_SIZE);
	assert_placed(&g, &r.l);
	r = load(FILE_SIZE, aarch32);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, ARM_RAM + 0x8000);
	assert_guest_bytes(&g, r.l.at.entry, file, FILE_SIZE);
	/* Asked for, whatever it looks like. */
	build_flags(file, 0x80000, MiB, LE_4K | 1);
	r = load(FILE_SIZE, as(FDT_KERNEL_FLAT));
	assert_loads(r);
	assert_int_equal(r.l.at.entry, ARM_RAM);
	/* A branch may begin as lzma's files do. */
	memset(file, 0, FILE_SIZE);
	memcpy(file, "\x5d\0\0\x14", 4);
	assert_loads(load_auto(FILE_SIZE));
}

static void test_foreign(void **state)
{
	struct load_result r;

	check_foreign();
	/* A 32-bit guest takes a zImage. */
	put_magic(36, "\x18\x28\x6f\x01", 4);
	r = load(4096, aarch32);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, ARM_RAM + 0x8000);
}

static void test_elf(void **state)
{
	check_elf(ARM_RAM + 0x4000);
	/* Other machines, places and entries. */
	make_elf(ARM_RAM, EM_X86_64);
	assert_refused(load_auto(ELF_TEST_SIZE), -ENOEXEC,
		       "an ELF file for x86-64, and the guest is arm64");
	make_elf(ARM_RAM, EM_ARM);
	assert_refused(load_auto(ELF_TEST_SIZE), -ENOEXEC, "32-bit Arm");
	make_elf(ARM_RAM, EM_AARCH64);
	assert_refused(load(ELF_TEST_SIZE, aarch32), -ENOEXEC, "arm64");
	make_elf(0x200000, EM_AARCH64);
	assert_refused(load_auto(ELF_TEST_SIZE), -ENOEXEC, "RAM begins at 0x80000000");
	make_elf(ARM_PVTIME, EM_AARCH64);
	assert_int_equal(load_auto(ELF_TEST_SIZE).ret, -EINVAL);
	make_elf(0xffff800000000000, EM_AARCH64);
	assert_refused(load_auto(ELF_TEST_SIZE), -ENOMEM, "needs at least");
	make_elf(ARM_RAM + 64 * MiB - 0x1000, EM_AARCH64);
	assert_refused(load_auto(ELF_TEST_SIZE), -ENOMEM, "increase --mem");
	make_elf(ARM_RAM, EM_AARCH64);
	((Elf64_Ehdr *)file)->e_entry = ARM_RAM + 8 * MiB;
	assert_refused(load_auto(ELF_TEST_SIZE), -ENOEXEC, "entry point");
}

/* A place in RAM is a stronger sign than what programs have, too. */
static void test_program(void **state)
{
	Elf64_Phdr *p = (Elf64_Phdr *)(file + sizeof(Elf64_Ehdr));

	make_elf(0x400000, EM_AARCH64);
	((Elf64_Ehdr *)file)->e_phnum = 3;
	p[2] = (Elf64_Phdr){ .p_type = PT_INTERP };
	assert_refused(load_auto(ELF_TEST_SIZE), -ENOEXEC, "a program or library");
	make_elf(ARM_RAM, EM_AARCH64);
	((Elf64_Ehdr *)file)->e_phnum = 3;
	p[2] = (Elf64_Phdr){ .p_type = PT_INTERP };
	assert_loads(load_auto(ELF_TEST_SIZE));
}

static void test_packed(void **state)
{
	check_packed(0x80000);
}

static void test_linux_words(void **state)
{
	struct vm_config cfg = { 0 };

	check_linux_words();
	memcpy(file + 36, "\x18\x28\x6f\x01", 4);
	assert_false(arch_boots_linux(&cfg, &g.boot));
	cfg.arm.aarch32 = true;
	assert_true(arch_boots_linux(&cfg, &g.boot));
	g.boot.kernel.path = NULL;
	assert_false(arch_boots_linux(&cfg, &g.boot));
}

static void test_random(void **state)
{
	const struct boot_load hows[] = { as(FDT_KERNEL_AUTO), as(FDT_KERNEL_IMAGE), aarch32 };

	check_damaged(0x80000, hows, ARRAY_SIZE(hows));
}

/* tests/unit/test_boot_machine.c has the rest. */
static void test_firmware(void **state)
{
	struct load_result r;

	fill();
	r = load_firmware();
	assert_loads(r);
	assert_int_equal(r.l.at.entry, ARM_RAM);
	assert_placed(&g, &r.l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_old_image),
		cmocka_unit_test(test_image_smaller_than_file),
		cmocka_unit_test(test_hostile_images),
		cmocka_unit_test(test_short_files),
		cmocka_unit_test(test_flat),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_elf),
		cmocka_unit_test(test_program),
		cmocka_unit_test(test_packed),
		cmocka_unit_test(test_linux_words),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_firmware),
	};

	return cmocka_run_group_tests(tests, NULL, end_guest);
}
