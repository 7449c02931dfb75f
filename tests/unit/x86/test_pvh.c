/* SPDX-License-Identifier: MIT */
/* x86/pvh.c and the 64-bit entry of ELF kernels in x86/linux.c. */
#include "loader_test.h"

#include <asm/bootparam.h>

static u8 file[ELF_TEST_SIZE];
static struct guest g;

static struct load_result load(u64 memory, enum x86_kernel_format format)
{
	return load_fresh(&g, memory, file, sizeof(file), format);
}

static Elf64_Phdr *phdr(u32 i)
{
	return (Elf64_Phdr *)(file + sizeof(Elf64_Ehdr)) + i;
}

static u64 word(u64 gpa, unsigned int size)
{
	const void *p = memory_ptr(&g.mem, gpa, size);

	assert_non_null(p);
	return get_le(p, size);
}

static void check_start_info(struct load_result r, u32 nr_modules)
{
	u64 info = r.entry.rbx, map;

	assert_int_equal(r.entry.mode, X86_ENTRY_PROT32);
	assert_int_equal(r.entry.rip, ELF_TEST_PVH);
	assert_int_equal(word(info, 4), 0x336ec578);
	assert_int_equal(word(info + 4, 4), 1);
	assert_int_equal(word(info + 8, 4), 0);
	assert_int_equal(word(info + 12, 4), nr_modules);
	assert_guest_bytes(&g, word(info + 24, 8), "one two", 8);
	assert_int_equal(word(info + 32, 8), TEST_RSDP);
	assert_int_equal(word(info + 48, 4), 4);
	map = word(info + 40, 8);
	assert_int_equal(word(map, 8), 0);
	assert_int_equal(word(map + 8, 8), 0x9fc00);
	assert_int_equal(word(map + 16, 4), 1);
	assert_int_equal(word(map + 2 * 24, 8), MiB);
	assert_int_equal(word(map + 2 * 24 + 8, 8), 63 * MiB);
	assert_int_equal(word(map + 3 * 24 + 16, 4), 2);
}

static void test_pvh(void **state)
{
	struct load_result r;

	build_elf64(file, true);
	r = load(64 * MiB, X86_KERNEL_AUTO);
	assert_loads(r);
	check_start_info(r, 0);
	assert_guest_bytes(&g, ELF_TEST_BASE, file + 0x1000, 0x100);
	build_elf32(file, true);
	r = load(64 * MiB, X86_KERNEL_PVH);
	assert_loads(r);
	check_start_info(r, 0);
}

static void test_pvh_initrd(void **state)
{
	char data[] = "0123456789";
	struct load_result r;
	u64 mod;

	build_elf64(file, true);
	guest_add_initrd(&g, "i", data, 5);
	guest_add_initrd(&g, "j", data, 10);
	r = load(64 * MiB, X86_KERNEL_AUTO);
	assert_loads(r);
	check_start_info(r, 1);
	mod = word(r.entry.rbx + 16, 8);
	assert_int_equal(word(mod, 8), 64 * MiB - 4096);
	assert_int_equal(word(mod + 8, 8), 8 + 12);
	assert_guest_bytes(&g, 64 * MiB - 4096,
			   "01234\0\0\0"
			   "0123456789",
			   18);
	/* Never above 4 GiB. */
	r = load(8 * GiB, X86_KERNEL_AUTO);
	assert_loads(r);
	assert_int_equal(word(word(r.entry.rbx + 16, 8), 8), 3 * GiB - 4096);
	g.initrds[0].size = 3 * GiB;
	assert_refused(load(8 * GiB, X86_KERNEL_AUTO), -ENOMEM, "initrd: does not fit");
	g.initrds[0].size = 63 * MiB;
	assert_refused(load(64 * MiB, X86_KERNEL_AUTO), -ENOMEM, "initrd: does not fit");
	g.boot.nr_initrds = 0;
}

/* Where one of them has words, each is a module; Linux, which knows one alone, has none. */
static void test_pvh_modules(void **state)
{
	char data[] = "0123456789";
	struct load_result r;
	u64 mods;

	build_elf64(file, true);
	guest_add_initrd(&g, "i", data, 5);
	guest_add_initrd(&g, "j", data, 10);
	g.initrds[0].words = "root=/dev/xvda console=hvc0";
	r = load(64 * MiB, X86_KERNEL_AUTO);
	assert_loads(r);
	check_start_info(r, 2);
	mods = word(r.entry.rbx + 16, 8);
	assert_int_equal(word(mods + 8, 8), 5);
	assert_guest_bytes(&g, word(mods, 8), data, 5);
	assert_guest_bytes(&g, word(mods + 16, 8), "root=/dev/xvda console=hvc0", 28);
	assert_int_equal(word(mods + 32 + 8, 8), 10);
	assert_guest_bytes(&g, word(mods + 32, 8), data, 10);
	assert_guest_bytes(&g, word(mods + 32 + 16, 8), "", 1);
	/* Entered by another protocol they have no place. */
	assert_refused(load(64 * MiB, X86_KERNEL_ELF), -EINVAL, "--initrd i: words after");
	g.boot.nr_initrds = 0;
}

static void test_firmware_by_pvh(void **state)
{
	struct load_result r;

	build_elf64(file, true);
	load(64 * MiB, X86_KERNEL_AUTO);
	boot_image_from_buffer(&g.boot.firmware, "fw", file, sizeof(file));
	g.boot.kernel.path = NULL;
	assert_false(x86_firmware_is_raw(&g.boot));
	r = load_guest(&g, X86_KERNEL_AUTO, "one two");
	assert_loads(r);
	check_start_info(r, 0);
	build_elf64(file, false);
	assert_refused(load_guest(&g, X86_KERNEL_AUTO, NULL), -ENOEXEC,
		       "--firmware fw: it has no PVH");
}

static void test_elf64(void **state)
{
	struct boot_params bp;
	struct load_result r;

	build_elf64(file, false);
	r = load(64 * MiB, X86_KERNEL_AUTO);
	assert_loads(r);
	assert_int_equal(r.entry.mode, X86_ENTRY_LONG64);
	assert_int_equal(r.entry.rip, ELF_TEST_ENTRY);
	assert_int_equal(r.entry.rsi, X86_BOOT_PARAMS);
	assert_int_equal(memory_read(&g.mem, X86_BOOT_PARAMS, &bp, sizeof(bp)), 0);
	assert_int_equal(bp.hdr.header, 0x53726448);
	assert_int_equal(bp.hdr.type_of_loader, 0xff);
	assert_int_equal(bp.hdr.cmd_line_ptr, X86_CMDLINE);
	assert_int_equal(bp.hdr.cmdline_size, sizeof("one two"));
	assert_int_equal(bp.acpi_rsdp_addr, TEST_RSDP);
	assert_int_equal(bp.e820_entries, 4);
	/* With a PVH note too, when asked for. */
	build_elf64(file, true);
	r = load(64 * MiB, X86_KERNEL_ELF);
	assert_loads(r);
	assert_int_equal(r.entry.mode, X86_ENTRY_LONG64);
	/* A virtual entry address. */
	((Elf64_Ehdr *)file)->e_entry = ELF_TEST_VIRTUAL + 4;
	r = load(64 * MiB, X86_KERNEL_ELF);
	assert_loads(r);
	assert_int_equal(r.entry.rip, ELF_TEST_BASE + 4);
}

static void test_refused(void **state)
{
	Elf64_Ehdr *e = (Elf64_Ehdr *)file;

	build_elf64(file, false);
	assert_refused(load(64 * MiB, X86_KERNEL_PVH), -ENOEXEC, "no PVH entry note");
	assert_refused(load(64 * MiB, X86_KERNEL_MULTIBOOT), -ENOEXEC, "no multiboot header");
	e->e_entry = 5;
	assert_refused(load(64 * MiB, X86_KERNEL_AUTO), -ENOEXEC, "entry point 0x5 is in none");
	build_elf32(file, false);
	assert_refused(load(64 * MiB, X86_KERNEL_AUTO), -ENOEXEC, "a 32-bit ELF file without");
	assert_refused(load(64 * MiB, X86_KERNEL_ELF), -ENOEXEC, "a 32-bit ELF file without");
	build_elf64(file, true);
	e->e_machine = EM_AARCH64;
	assert_refused(load(64 * MiB, X86_KERNEL_AUTO), -ENOEXEC, "an ELF file for arm64");
	build_elf64(file, true);
	e->e_phnum = 0;
	assert_refused(load(64 * MiB, X86_KERNEL_AUTO), -ENOEXEC, "it has no program headers");
	/* A PVH entry beyond the image. */
	build_elf64(file, true);
	put_le(file + 0x800 + 20 + 16, 4, ELF_TEST_HIGH);
	assert_refused(load(64 * MiB, X86_KERNEL_AUTO), -ENOEXEC, "PVH entry 0x204000 is in none");
	/* Between its segments. */
	build_elf64(file, true);
	phdr(0)->p_paddr = 0x1000;
	put_le(file + 0x800 + 20 + 16, 4, X86_BOOT_PARAMS);
	assert_refused(load(64 * MiB, X86_KERNEL_AUTO), -ENOEXEC, "PVH entry 0x90000 is in none");
	e->e_entry = X86_BOOT_PARAMS;
	assert_refused(load(64 * MiB, X86_KERNEL_ELF), -ENOEXEC, "entry point 0x90000 is in none");
	build_elf64(file, true);
	assert_refused(load(2 * MiB, X86_KERNEL_AUTO), -ENOMEM, "needs at least 3M of memory");
}

static void test_low_structures(void **state)
{
	static const struct {
		u64 paddr;
		bool ok;
	} places[] = {
		{ 0, false },	       { 0xfff, false },     { 0x1000, true },
		{ 0x7ff00, true },     { 0x7ff01, false },   { X86_CMDLINE, false },
		{ 0x91000, false },    { 0x9d000, false },   { 0xa0000, false },
		{ 0xe0000, false },    { 0xfff80, false },   { 0x100000, true },
		{ 0x3ffff00, true },   { 0x3ffff01, false }, { 0xbfffff01, false },
		{ 0xfee00000, false }, { 4 * GiB, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct load_result r;

		build_elf64(file, true);
		phdr(0)->p_paddr = places[i].paddr;
		/* The entry, which has to be in the image's span, is in the second segment. */
		put_le(file + 0x800 + 20 + 16, 4, ELF_TEST_SEG2);
		r = load(64 * MiB, X86_KERNEL_AUTO);
		assert_int_equal(r.ret == 0, places[i].ok);
		if (!places[i].ok)
			assert_one_line(r.text);
	}
}

static void test_random(void **state)
{
	char data[] = "initrd";
	u64 seed = 99;

	build_elf64(file, true);
	load(4 * MiB, X86_KERNEL_AUTO);
	guest_add_initrd(&g, "i", data, 6);
	for (u32 i = 0; i < 3000; i++) {
		if (i & 1)
			build_elf64(file, i & 2);
		else
			build_elf32(file, i & 2);
		damage(file, 0x100, &seed);
		if (i & 4)
			damage(file + 0x800, 0x28, &seed);
		assert_entry_sane(&g, load_guest(&g, X86_KERNEL_AUTO, "word"));
	}
	g.boot.nr_initrds = 0;
}

static int teardown(void **state)
{
	guest_destroy(&g);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pvh),
		cmocka_unit_test(test_pvh_initrd),
		cmocka_unit_test(test_pvh_modules),
		cmocka_unit_test(test_firmware_by_pvh),
		cmocka_unit_test(test_elf64),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_low_structures),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
