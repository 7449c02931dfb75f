/* SPDX-License-Identifier: MIT */
/* riscv/image.c: the kernels of riscv64, those that are not, and where firmware goes. What does not
 * depend on the architecture is in tests/unit/test_boot_machine.c. */
#include "image_rig.h"

#include "../../../riscv/boot.h"

/* As Linux has it: the older magic number at 48, too. */
static void build_flags(u8 *buf, u64 text_offset, u64 size, u64 flags)
{
	/* c.li s4, -13: "MZ"; j 72 */
	static const u8 code[8] = { 0x4d, 0x5a, 0x6f, 0x00, 0x80, 0x04, 0x01, 0x00 };

	build_image_header(buf, code, "RSC\x05", &(struct linux_image){ text_offset, size, flags });
	put_le(buf + 32, 4, 2); /* version 0.2 */
	memcpy(buf + 48, "RISCV\0\0\0", 8);
}

static void build_image(u8 *buf, u64 text_offset, u64 size)
{
	build_flags(buf, text_offset, size, 0);
}

static const struct image_kind kind = {
	.machine = &riscv_machine,
	.name = "riscv64",
	.elf_machine = EM_RISCV,
	.flat = RISCV_RAM + 2 * MiB,
	.build = build_image,
};

static void test_image(void **state)
{
	static const u64 offsets[] = { 2 * MiB, 0, 4 * MiB };

	check_image(offsets, ARRAY_SIZE(offsets));
}

/* The tree within what the kernel maps first, initrds below it. */
static void test_places(void **state)
{
	static u8 initrd[5000] = "070701";
	struct load_result r;

	build_image(file, 2 * MiB, 3 * MiB);
	guest_add_initrd(&g, "dir/initrd", initrd, sizeof(initrd));
	r = fdt_load_fresh(&g, 6 * GiB, file, FILE_SIZE, as(FDT_KERNEL_AUTO));
	g.boot.nr_initrds = 0;
	assert_loads(r);
	assert_int_equal(r.l.at.fdt, RISCV_RAM + 254 * MiB);
	assert_int_equal(r.l.at.initrd, RISCV_RAM + 254 * MiB - 8 * KiB);
	assert_placed(&g, &r.l);
}

static void test_hostile_images(void **state)
{
	static const struct bad_image bad[] = {
		{ 0x80000, MiB, -ENOEXEC, "not a multiple of 2M" },
		{ ~0ULL, MiB, -ENOEXEC, "not a multiple of 2M" },
		{ 0ULL - RISCV_RAM, 4096, -ENOEXEC, "damaged" },
		{ 0ULL - 2 * MiB, 4096, -ENOEXEC, "damaged" },
		{ 0ULL - RISCV_RAM - 2 * MiB, 2 * MiB, -EINVAL, "never be guest memory" },
		{ 2 * MiB, ~0ULL, -EINVAL, "never be guest memory" },
		{ 64 * MiB, 4096, -ENOMEM, "needs at least 65M of memory" },
		{ 2 * MiB, 62 * MiB + 1, -ENOMEM, "increase --mem" },
		{ 2 * MiB, 62 * MiB, -ENOMEM, "device tree: does not fit" },
	};

	check_bad_images(bad, ARRAY_SIZE(bad));
	build_flags(file, 2 * MiB, MiB, 1);
	assert_refused(load_auto(FILE_SIZE), -ENOEXEC, "big-endian");
}

/* Test images are entered 2 MiB into RAM, as kvmtool does. */
static void test_flat(void **state)
{
	struct load_result r;

	fill();
	r = load_auto(FILE_SIZE);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, kind.flat);
	assert_guest_bytes(&g, kind.flat, file, FILE_SIZE);
	assert_placed(&g, &r.l);
	build_flags(file, 0, MiB, 1);
	r = load(FILE_SIZE, as(FDT_KERNEL_FLAT));
	assert_loads(r);
	assert_int_equal(r.l.at.entry, kind.flat);
}

static void test_foreign(void **state)
{
	check_foreign();
}

static void test_elf(void **state)
{
	check_elf(RISCV_RAM);
	make_elf(RISCV_RAM, EM_AARCH64);
	assert_refused(load_auto(ELF_TEST_SIZE), -ENOEXEC,
		       "an ELF file for arm64, and the guest is RISC-V");
	/* Linux's vmlinux is linked to physical addresses from 0 on. */
	make_elf(0, EM_RISCV);
	assert_refused(load_auto(ELF_TEST_SIZE), -ENOEXEC, "use Image instead of vmlinux");
	/* The machine's number is the same for 32 bits. */
	build_elf32(file, false);
	((Elf32_Ehdr *)file)->e_machine = EM_RISCV;
	assert_refused(load_auto(ELF_TEST_SIZE), -ENOEXEC,
		       "a 32-bit ELF file, and the guest is riscv64");
}

static void test_packed(void **state)
{
	check_packed(4 * MiB);
}

static void test_linux_words(void **state)
{
	check_linux_words();
}

/* U-Boot for S-mode is linked to where OpenSBI would enter it, edk2 to QEMU's flash memory. */
static void test_firmware(void **state)
{
	struct load_result r;

	fill();
	r = load_firmware();
	assert_loads(r);
	assert_int_equal(r.l.at.entry, 0x80200000);
	assert_int_equal(r.l.at.fdt, 0x80400000);
	assert_guest_bytes(&g, r.l.at.entry, file, FILE_SIZE);
	assert_placed(&g, &r.l);
	memcpy(file + 40, "_FVH", 4);
	r = load_firmware();
	assert_loads(r);
	assert_int_equal(r.l.at.entry, 0x20000000);
	assert_int_equal(arch_platform.flash.base, 0x22000000);
}

static void test_random(void **state)
{
	const struct boot_load hows[] = { as(FDT_KERNEL_AUTO), as(FDT_KERNEL_IMAGE) };

	check_damaged(2 * MiB, hows, ARRAY_SIZE(hows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_image),	       cmocka_unit_test(test_places),
		cmocka_unit_test(test_hostile_images), cmocka_unit_test(test_flat),
		cmocka_unit_test(test_foreign),	       cmocka_unit_test(test_elf),
		cmocka_unit_test(test_packed),	       cmocka_unit_test(test_linux_words),
		cmocka_unit_test(test_firmware),       cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, end_guest);
}
