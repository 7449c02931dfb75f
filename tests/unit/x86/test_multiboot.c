/* SPDX-License-Identifier: MIT */
/* x86/multiboot.c. */
#include "loader_test.h"

#define HEADER 0x1000U /* offset of the header in raw images */
#define LOAD   0x200000U
#define SIZE   0x3000U

static u8 file[SIZE]; /* an ELF file of ELF_TEST_SIZE fits */
static struct guest g;

static void put_header(u32 at, u32 flags)
{
	put_le(file + at, 4, 0x1badb002);
	put_le(file + at + 4, 4, flags);
	put_le(file + at + 8, 4, -(0x1badb002 + flags));
}

/* Words of the a.out kludge: header, load, load end, bss end, entry address. */
static void put_kludge(u32 i, u32 value)
{
	put_le(file + HEADER + 12 + 4 * i, 4, value);
}

static void build_raw(void)
{
	for (u32 i = 0; i < SIZE; i++)
		file[i] = (u8)(i * 11 + (i >> 8));
	put_header(HEADER, BIT(16) | BIT(0) | BIT(1));
	put_kludge(0, LOAD + 0x800);
	put_kludge(1, LOAD); /* file offset 0x800 */
	put_kludge(2, LOAD + 0x2000);
	put_kludge(3, LOAD + 0x5000);
	put_kludge(4, LOAD + 0x820);
}

/* The header lies where no other test data is. */
static void build_elf(bool is64)
{
	if (is64)
		build_elf64(file, false);
	else
		build_elf32(file, false);
	put_header(0x900, 0);
}

static struct load_result load(u64 memory, enum x86_kernel_format format)
{
	return load_fresh(&g, memory, file, SIZE, format);
}

static u32 word(u64 gpa)
{
	const void *p = memory_ptr(&g.mem, gpa, 4);

	assert_non_null(p);
	return (u32)get_le(p, 4);
}

static void check_info(struct load_result r, const char *cmdline)
{
	u32 mbi = (u32)r.entry.rbx, mmap;

	assert_int_equal(r.entry.mode, X86_ENTRY_PROT32);
	assert_int_equal(r.entry.rax, 0x2badb002);
	assert_int_equal(word(mbi), 0x24d);
	assert_int_equal(word(mbi + 4), 639);
	assert_int_equal(word(mbi + 8), 63 * 1024);
	assert_guest_bytes(&g, word(mbi + 16), cmdline, strlen(cmdline) + 1);
	assert_int_equal(word(mbi + 44), 4 * 24);
	assert_guest_bytes(&g, word(mbi + 64), "lkvm", 5);
	mmap = word(mbi + 48);
	assert_int_equal(word(mmap), 20);
	assert_int_equal(word(mmap + 4), 0);
	assert_int_equal(word(mmap + 12), 0x9fc00);
	assert_int_equal(word(mmap + 20), 1);
	assert_int_equal(word(mmap + 24 + 20), 2);
	assert_int_equal(word(mmap + 2 * 24 + 4), MiB);
	assert_int_equal(word(mmap + 2 * 24 + 12), 63 * MiB);
}

static void test_elf(void **state)
{
	struct load_result r;

	for (int is64 = 0; is64 < 2; is64++) {
		build_elf(is64);
		r = load(64 * MiB, X86_KERNEL_AUTO);
		assert_loads(r);
		assert_int_equal(r.entry.rip, ELF_TEST_ENTRY);
		assert_guest_bytes(&g, ELF_TEST_BASE, file + 0x1000, 0x100);
		check_info(r, "image one two");
		assert_int_equal(word(r.entry.rbx + 20), 0);
		assert_loads(load(64 * MiB, X86_KERNEL_MULTIBOOT));
	}
	/* No words: the name alone. */
	r = load_guest(&g, X86_KERNEL_AUTO, "");
	assert_loads(r);
	check_info(r, "image");
	/* A screen is asked for: the guest is told of none, the user too. */
	put_header(0x900, BIT(2));
	r = load(64 * MiB, X86_KERNEL_AUTO);
	assert_int_equal(r.ret, 0);
	assert_one_line(r.text);
	assert_contains(r.text, "--kernel dir/image: its multiboot header asks for a screen");
	check_info(r, "image one two");
	put_header(0x900, BIT(2) | BIT(5));
	assert_refused(load(64 * MiB, X86_KERNEL_AUTO), -ENOTSUP,
		       "features that lkvm does not know");
	/* Bits above 15 ask for nothing. */
	put_header(0x900, BIT(17) | BIT(31));
	assert_loads(load(64 * MiB, X86_KERNEL_AUTO));
}

static void test_find(void **state)
{
	struct multiboot_header h;
	struct boot_image img;
	static u8 big[8192 + 32];

	boot_image_from_buffer(&img, "big", big, sizeof(big));
	for (u32 at = 8176; at <= 8200; at += 2) {
		memset(big, 0, sizeof(big));
		memset(file, 0, sizeof(file));
		put_header(0, 0);
		memcpy(big + at, file, 12);
		assert_int_equal(multiboot_find(&img, &h),
				 at + 12 <= 8192 && at % 4 == 0 ? 0 : -ENOENT);
	}
	/* Addresses announced, but cut off by the end of the search. */
	put_header(0, BIT(16));
	memset(big, 0, sizeof(big));
	memcpy(big + 8192 - 28, file, 12);
	assert_int_equal(multiboot_find(&img, &h), -ENOENT);
	/* A wrong checksum; an image shorter than a header. */
	file[8] ^= 1;
	boot_image_from_buffer(&img, "file", file, sizeof(file));
	assert_int_equal(multiboot_find(&img, &h), -ENOENT);
	boot_image_from_buffer(&img, "file", file, 11);
	assert_int_equal(multiboot_find(&img, &h), -ENOENT);
}

static void test_raw(void **state)
{
	struct load_result r;

	build_raw();
	r = load(64 * MiB, X86_KERNEL_AUTO);
	assert_loads(r);
	assert_int_equal(r.entry.rip, LOAD + 0x820);
	assert_guest_bytes(&g, LOAD, file + 0x800, 0x2000);
	assert_guest_bytes(&g, LOAD + 0x2000, "\0\0\0\0", 4);
	check_info(r, "image one two");
	/* To the end of the file; no bss. */
	put_kludge(2, 0);
	put_kludge(3, 0);
	assert_loads(load(64 * MiB, X86_KERNEL_MULTIBOOT));
	assert_guest_bytes(&g, LOAD, file + 0x800, SIZE - 0x800);
	/* Without addresses there is nothing to go by. */
	put_header(HEADER, 0);
	assert_refused(load(64 * MiB, X86_KERNEL_AUTO), -ENOEXEC, "neither an ELF file nor load");
	file[HEADER] = 0;
	assert_refused(load(64 * MiB, X86_KERNEL_MULTIBOOT), -ENOEXEC, "no multiboot header");
}

#define LIE(word, value, part)                        \
	do {                                          \
		struct load_result r_;                \
		build_raw();                          \
		put_kludge(word, value);              \
		r_ = load(64 * MiB, X86_KERNEL_AUTO); \
		assert_true(r_.ret < 0);              \
		assert_one_line(r_.text);             \
		assert_contains(r_.text, part);       \
	} while (0)

static void test_lies(void **state)
{
	LIE(0, LOAD - 1, "does not fit");
	LIE(0, LOAD + HEADER + 1, "does not fit");
	LIE(0, UINT32_MAX, "does not fit");
	LIE(1, LOAD + 0x801, "does not fit");
	LIE(1, 0, "does not fit");
	LIE(2, LOAD, "does not reach");
	LIE(2, LOAD - 1, "does not reach");
	LIE(2, LOAD + SIZE - 0x800 + 1, "does not reach");
	LIE(2, UINT32_MAX, "does not reach");
	LIE(3, LOAD + 0x1fff, "before its data");
	LIE(3, 0xbfffffff, "needs at least 3G of memory");
	LIE(3, UINT32_MAX, "can never be guest memory");
	LIE(4, LOAD - 1, "outside of it");
	LIE(4, LOAD + 0x5000, "outside of it");
	/* Over the low structures: 0x80000-0xfffff. */
	build_raw();
	put_kludge(0, 0x7f800);
	put_kludge(1, 0x7f000);
	put_kludge(2, 0x81000);
	put_kludge(3, 0);
	put_kludge(4, 0x7f000);
	assert_refused(load(64 * MiB, X86_KERNEL_AUTO), -EINVAL, "low memory structures");
	put_kludge(2, 0x80000);
	assert_loads(load(64 * MiB, X86_KERNEL_AUTO));
}

static void test_modules(void **state)
{
	static u8 one[5000], two[3] = "ab";
	struct load_result r;
	u32 mods;

	memset(one, 0x5a, sizeof(one));
	build_raw();
	guest_add_initrd(&g, "some/where/one", one, sizeof(one));
	guest_add_initrd(&g, "two", two, 3);
	r = load(64 * MiB, X86_KERNEL_AUTO);
	assert_loads(r);
	assert_int_equal(word(r.entry.rbx + 20), 2);
	mods = word(r.entry.rbx + 24);
	assert_int_equal(word(mods), LOAD + 0x5000);
	assert_int_equal(word(mods + 4), LOAD + 0x5000 + 5000);
	assert_guest_bytes(&g, word(mods + 8), "one", 4);
	assert_guest_bytes(&g, word(mods), one, sizeof(one));
	assert_int_equal(word(mods + 16), LOAD + 0x7000);
	assert_int_equal(word(mods + 20), LOAD + 0x7003);
	assert_guest_bytes(&g, word(mods + 24), "two", 4);
	assert_guest_bytes(&g, word(mods + 16), two, 3);
	/* The last that fits, and one byte more. */
	g.initrds[1].size = 64 * MiB - (LOAD + 0x7000) + 1;
	assert_refused(load(64 * MiB, X86_KERNEL_AUTO), -ENOMEM,
		       "--initrd two: does not fit: needs");
	g.initrds[1].size = UINT64_MAX;
	assert_refused(load(64 * MiB, X86_KERNEL_AUTO), -ENOMEM,
		       "--initrd two: does not fit: needs");
	g.boot.nr_initrds = 1;
	while (g.boot.nr_initrds < 64)
		guest_add_initrd(&g, "n", two, 1);
	assert_loads(load(64 * MiB, X86_KERNEL_AUTO));
	guest_add_initrd(&g, "n", two, 1);
	assert_refused(load(64 * MiB, X86_KERNEL_AUTO), -E2BIG, "65 modules");
	g.boot.nr_initrds = 0;
}

/* Words come after the name, as loaders pass them, and are never cut. */
static void test_words(void **state)
{
	static char many[X86_MODULES_SIZE];
	struct load_result r;
	u8 module[4] = { 0 };
	u32 mods;

	build_raw();
	guest_add_initrd(&g, "dir/vmlinuz", module, 4);
	guest_add_initrd(&g, "initrd", module, 4);
	g.initrds[0].words = "root=/dev/xvda console=hvc0";
	r = load(64 * MiB, X86_KERNEL_AUTO);
	assert_loads(r);
	mods = word(r.entry.rbx + 24);
	assert_guest_bytes(&g, word(mods + 8), "vmlinuz root=/dev/xvda console=hvc0", 36);
	assert_guest_bytes(&g, word(mods + 24), "initrd", 7);
	memset(many, 'w', sizeof(many) - 1);
	many[X86_MODULES_SIZE - 64 * 32 - 7 - 9] = '\0'; /* beside "initrd" and "vmlinuz " */
	g.initrds[0].words = many;
	r = load(64 * MiB, X86_KERNEL_AUTO);
	assert_loads(r);
	assert_guest_bytes(&g, word(mods + 24), "initrd", 7);
	many[X86_MODULES_SIZE - 64 * 32 - 7 - 9] = 'w';
	many[X86_MODULES_SIZE - 64 * 32 - 7 - 8] = '\0';
	assert_refused(load(64 * MiB, X86_KERNEL_AUTO), -E2BIG, "shorten them");
	g.boot.nr_initrds = 0;
}

static void test_long_names(void **state)
{
	static char name[4096];
	struct load_result r;
	u32 mods;

	build_raw();
	memset(name, 'n', sizeof(name) - 1);
	load(64 * MiB, X86_KERNEL_AUTO);
	g.boot.kernel.path = name;
	guest_add_initrd(&g, name, file, 4);
	r = load_guest(&g, X86_KERNEL_AUTO, "x");
	assert_loads(r);
	assert_guest_bytes(&g, word(r.entry.rbx + 16) + 126, " x", 3);
	mods = word(r.entry.rbx + 24);
	assert_guest_bytes(&g, word(mods + 8) + 126, "n", 2);
	g.boot.nr_initrds = 0;
}

static void test_random(void **state)
{
	u64 seed = 5;
	u8 module[8] = { 0 };

	build_raw();
	load(4 * MiB, X86_KERNEL_AUTO);
	guest_add_initrd(&g, "m", module, 8);
	for (u32 i = 0; i < 3000; i++) {
		build_raw();
		damage(file + HEADER + 12, 20, &seed);
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
		cmocka_unit_test(test_elf),	cmocka_unit_test(test_find),
		cmocka_unit_test(test_raw),	cmocka_unit_test(test_lies),
		cmocka_unit_test(test_modules), cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_words),	cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
