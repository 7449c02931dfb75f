/* SPDX-License-Identifier: MIT */
/* arm/image.c: every format of a kernel, and what is none; where firmware goes. */
#include "loader_test.h"

#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

#include "lkvm/arch.h"
#include "lkvm/config.h"

#define FILE_SIZE (64 * KiB)
#define LE_4K	  0xaULL /* flags: little-endian, 4 KiB pages, anywhere */

static u8 file[FILE_SIZE];
static struct guest g;

static const struct boot_load automatic = { .machine = &arm_machine };
static const struct boot_load flat = { .machine = &arm_machine, .format = FDT_KERNEL_FLAT };
static const struct boot_load as_image = { .machine = &arm_machine, .format = FDT_KERNEL_IMAGE };
static const struct boot_load as_elf = { .machine = &arm_machine, .format = FDT_KERNEL_ELF };
static const struct boot_load aarch32 = { .machine = &arm_machine32 };

static void fill(void)
{
	for (u32 i = 0; i < FILE_SIZE; i++)
		file[i] = (u8)(i * 13 + (i >> 7));
}

static struct load_result load(u64 size, struct boot_load how)
{
	return arm_load_fresh(&g, 64 * MiB, file, size, how);
}

static void test_image(void **state)
{
	static const u64 offsets[] = { 0, 0x80000, 0x1ff000 };

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		struct load_result r;

		fill();
		build_image(file, offsets[i], 3 * MiB, LE_4K);
		r = load(FILE_SIZE, i & 1 ? as_image : automatic);
		assert_loads(r);
		assert_int_equal(r.l.at.entry, ARM_RAM + offsets[i]);
		assert_int_equal(r.l.at.low, ARM_RAM + offsets[i]);
		assert_int_equal(r.l.at.high, ARM_RAM + offsets[i] + 3 * MiB);
		assert_guest_bytes(&g, r.l.at.entry, file, FILE_SIZE);
		assert_placed(&g, &r.l);
	}
}

/* Linux before 3.17: no size, and an offset that everybody knows. */
static void test_old_image(void **state)
{
	struct load_result r;

	fill();
	build_image(file, 0x123000, 0, ~0ULL);
	r = load(FILE_SIZE, automatic);
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
	build_image(file, 0, 4096, LE_4K);
	r = load(FILE_SIZE, automatic);
	assert_loads(r);
	assert_int_equal(r.l.at.high, ARM_RAM + FILE_SIZE);
	assert_guest_bytes(&g, ARM_RAM, file, FILE_SIZE);
}

static void test_hostile_images(void **state)
{
	static const struct {
		u64 offset, size;
		int error;
		const char *part;
	} bad[] = {
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

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		fill();
		build_image(file, bad[i].offset, bad[i].size, LE_4K);
		assert_refused(load(FILE_SIZE, automatic), bad[i].error, bad[i].part);
	}
	build_image(file, 0, MiB, LE_4K | 1);
	assert_refused(load(FILE_SIZE, automatic), -ENOEXEC, "big-endian");
	build_image(file, 0, MiB, LE_4K);
	assert_refused(load(FILE_SIZE, aarch32), -ENOEXEC, "--aarch32");
	fill();
	assert_refused(load(FILE_SIZE, as_image), -ENOEXEC, "omit --kernel-format");
}

/* A header that is cut off is none. */
static void test_short_files(void **state)
{
	build_image(file, 0, MiB, LE_4K);
	for (u64 size = 1; size < 64; size++) {
		struct load_result r;

		assert_refused(load(size, as_image), -ENOEXEC, "header");
		r = load(size, flat);
		assert_loads(r);
		assert_int_equal(r.l.at.high, ARM_RAM + size);
	}
	/* No EFI header. */
	put_le(file + 60, 4, 0);
	assert_loads(load(64, as_image));
}

static void test_flat(void **state)
{
	struct load_result r;

	fill();
	r = load(FILE_SIZE, automatic);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, ARM_RAM);
	assert_guest_bytes(&g, ARM_RAM, file, FILE_SIZE);
	assert_placed(&g, &r.l);
	r = load(FILE_SIZE, aarch32);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, ARM_RAM + 0x8000);
	assert_guest_bytes(&g, r.l.at.entry, file, FILE_SIZE);
	/* Asked for, whatever it looks like. */
	build_image(file, 0x80000, MiB, LE_4K | 1);
	r = load(FILE_SIZE, flat);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, ARM_RAM);
	/* A branch may begin as lzma's files do. */
	memset(file, 0, FILE_SIZE);
	memcpy(file, "\x5d\0\0\x14", 4);
	assert_loads(load(FILE_SIZE, automatic));
}

static void test_foreign(void **state)
{
	static const struct {
		u32 offset;
		const char *magic;
		u32 len;
		const char *part;
	} images[] = {
		{ 56, "RSC\x05", 4, "a Linux kernel for riscv64, and the guest is arm64" },
		{ 56, "\xcd\x23\x82\x81", 4, "a Linux kernel for loongarch64" },
		{ 0x202, "HdrS", 4, "a Linux kernel for x86-64, and the guest is arm64" },
		{ 36, "\x18\x28\x6f\x01", 4, "a Linux kernel for 32-bit Arm" },
		{ 4, "zimg", 4, "zboot" },
		{ 0, "\x1f\x8b\x08", 3, "compressed by gzip; unpack it with gunzip first" },
		{ 0, "070701", 6, "initrd" },
		{ 0, "QFI\xfb", 4, "a qcow2 disk image" },
		{ 0, "#!/bin/sh", 9, "script" },
		{ 0, "\xd0\x0d\xfe\xed", 4, "device tree" },
		{ 0, "\177ELF\x02\x02", 6, "not little-endian" },
	};
	struct load_result r;

	for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
		memset(file, 0, 4096);
		memcpy(file + images[i].offset, images[i].magic, images[i].len);
		assert_refused(load(4096, automatic), -ENOEXEC, images[i].part);
	}
	/* x86-64's kernels since 6.12 have what loongarch64's have as well. */
	memset(file, 0, 4096);
	memcpy(file + 56, "\xcd\x23\x82\x81", 4);
	memcpy(file + 0x202, "HdrS", 4);
	assert_refused(load(4096, automatic), -ENOEXEC, "a Linux kernel for x86-64");
	/* A 32-bit guest takes a zImage. */
	memset(file, 0, 4096);
	memcpy(file + 36, "\x18\x28\x6f\x01", 4);
	r = load(4096, aarch32);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, ARM_RAM + 0x8000);
}

/* The builder's segments, at @base and with @machine. */
static void make_elf(u64 base, u16 machine)
{
	Elf64_Ehdr *e = (Elf64_Ehdr *)file;
	Elf64_Phdr *p = (Elf64_Phdr *)(file + sizeof(*e));

	build_elf64(file, false);
	e->e_machine = machine;
	e->e_entry = base + 0x10;
	for (int i = 0; i < 2; i++)
		p[i].p_vaddr = p[i].p_paddr = base + (p[i].p_paddr - ELF_TEST_BASE);
}

static void test_elf(void **state)
{
	struct load_result r;

	make_elf(ARM_RAM + 0x4000, EM_AARCH64);
	r = load(ELF_TEST_SIZE, automatic);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, ARM_RAM + 0x4010);
	assert_int_equal(r.l.at.low, ARM_RAM + 0x4000);
	assert_int_equal(r.l.at.high, ARM_RAM + 0x4000 + 0x1000 + ELF_TEST_BSS);
	assert_guest_bytes(&g, ARM_RAM + 0x4000, file + 0x1000, 0x100);
	assert_guest_bytes(&g, ARM_RAM + 0x5000, file + 0x1100, 0x100);
	assert_placed(&g, &r.l);
	assert_loads(load(ELF_TEST_SIZE, as_elf));
	fill();
	assert_refused(load(ELF_TEST_SIZE, as_elf), -ENOEXEC, "not an ELF file");
	build_image(file, 0, MiB, LE_4K);
	assert_refused(load(ELF_TEST_SIZE, as_elf), -ENOEXEC, "not an ELF file");
	/* Other machines, places and entries. */
	make_elf(ARM_RAM, EM_X86_64);
	assert_refused(load(ELF_TEST_SIZE, automatic), -ENOEXEC,
		       "an ELF file for x86-64, and the guest is arm64");
	make_elf(ARM_RAM, EM_ARM);
	assert_refused(load(ELF_TEST_SIZE, automatic), -ENOEXEC, "32-bit Arm");
	make_elf(ARM_RAM, EM_AARCH64);
	assert_refused(load(ELF_TEST_SIZE, aarch32), -ENOEXEC, "arm64");
	make_elf(0x200000, EM_AARCH64);
	assert_refused(load(ELF_TEST_SIZE, automatic), -ENOEXEC, "RAM begins at 0x80000000");
	make_elf(ARM_PVTIME, EM_AARCH64);
	assert_int_equal(load(ELF_TEST_SIZE, automatic).ret, -EINVAL);
	make_elf(0xffff800000000000, EM_AARCH64);
	assert_refused(load(ELF_TEST_SIZE, automatic), -ENOMEM, "needs at least");
	make_elf(ARM_RAM + 64 * MiB - 0x1000, EM_AARCH64);
	assert_refused(load(ELF_TEST_SIZE, automatic), -ENOMEM, "increase --mem");
	make_elf(ARM_RAM, EM_AARCH64);
	((Elf64_Ehdr *)file)->e_entry = ARM_RAM + 8 * MiB;
	assert_refused(load(ELF_TEST_SIZE, automatic), -ENOEXEC, "entry point");
}

/* A place in RAM is a stronger sign than what programs have, too. */
static void test_program(void **state)
{
	Elf64_Phdr *p = (Elf64_Phdr *)(file + sizeof(Elf64_Ehdr));

	make_elf(0x400000, EM_AARCH64);
	((Elf64_Ehdr *)file)->e_phnum = 3;
	p[2] = (Elf64_Phdr){ .p_type = PT_INTERP };
	assert_refused(load(ELF_TEST_SIZE, automatic), -ENOEXEC, "a program or library");
	make_elf(ARM_RAM, EM_AARCH64);
	((Elf64_Ehdr *)file)->e_phnum = 3;
	p[2] = (Elf64_Phdr){ .p_type = PT_INTERP };
	assert_loads(load(ELF_TEST_SIZE, automatic));
}

#ifdef HAVE_ZLIB
#define PACKED_SIZE (2 * MiB + 999)
static u8 big[PACKED_SIZE], packed[2 * PACKED_SIZE];

/* The kernel of a fresh guest, compressed; the memory that it is unpacked to. */
static void begin_packed(struct vm_config *cfg)
{
	z_stream zs = { .next_in = big,
			.avail_in = PACKED_SIZE,
			.next_out = packed,
			.avail_out = sizeof(packed) };

	assert_int_equal(deflateInit2(&zs, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&zs, Z_FINISH), Z_STREAM_END);
	deflateEnd(&zs);
	guest_destroy(&g);
	arm_guest_init(&g, 64 * MiB);
	boot_image_from_buffer(&g.boot.kernel, "dir/Image.gz", packed, zs.total_out);
	assert_int_equal(boot_image_decompress(&g.boot.kernel, "kernel", 64 * MiB), 0);
	assert_true(g.boot.kernel.size > GiB);
	assert_int_equal(boot_begin(&g.boot, cfg, &g.mem), 0);
	assert_int_equal(g.boot.kernel.size, PACKED_SIZE);
}
#endif

/* An Image says where it belongs, and is there before its size is known. */
static void test_packed(void **state)
{
#ifdef HAVE_ZLIB
	static const struct {
		const struct boot_load *how;
		bool image;
		u64 base;
	} cases[] = {
		{ &automatic, true, ARM_RAM + 0x80000 },
		{ &as_image, true, ARM_RAM + 0x80000 },
		{ &automatic, false, ARM_RAM + ARM_FLAT_OFFSET },
		{ &flat, true, ARM_RAM + ARM_FLAT_OFFSET },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm_config cfg = { .fdt.kernel_format = cases[i].how->format };
		struct load_result r;

		for (u32 n = 0; n < PACKED_SIZE; n++)
			big[n] = (u8)(n * 13 + (n >> 7)) | 1;
		if (cases[i].image)
			build_image(big, 0x80000, 3 * MiB, LE_4K);
		begin_packed(&cfg);
		assert_guest_bytes(&g, cases[i].base, big, PACKED_SIZE);
		r = fdt_load_guest(&g, *cases[i].how);
		assert_loads(r);
		assert_int_equal(r.l.at.entry, cases[i].base);
		assert_guest_bytes(&g, cases[i].base, big, PACKED_SIZE);
		assert_int_equal(boot_end(&g.boot, 0), 0);
		boot_image_close(&g.boot.kernel);
	}
#endif
}

/* Linux's words are not for what is found to be something else. */
static void test_linux_words(void **state)
{
	struct vm_config cfg = { 0 };

	build_image(file, 0, MiB, LE_4K);
	load(FILE_SIZE, automatic);
	assert_true(arch_boots_linux(&cfg, NULL));
	assert_true(arch_boots_linux(&cfg, &g.boot));
	cfg.fdt.kernel_format = FDT_KERNEL_FLAT;
	assert_false(arch_boots_linux(&cfg, NULL));
	assert_false(arch_boots_linux(&cfg, &g.boot));
	cfg.fdt.kernel_format = FDT_KERNEL_ELF;
	assert_false(arch_boots_linux(&cfg, NULL));
	cfg.fdt.kernel_format = FDT_KERNEL_AUTO;
	fill();
	assert_false(arch_boots_linux(&cfg, &g.boot));
	memcpy(file + 36, "\x18\x28\x6f\x01", 4);
	assert_false(arch_boots_linux(&cfg, &g.boot));
	cfg.arm.aarch32 = true;
	assert_true(arch_boots_linux(&cfg, &g.boot));
	g.boot.kernel.path = NULL;
	assert_false(arch_boots_linux(&cfg, &g.boot));
}

static void test_random(void **state)
{
	static const struct boot_load *const hows[] = { &automatic, &as_image, &aarch32 };
	u64 seed = 11;
	u32 good = 0;

	arm_load_fresh(&g, 64 * MiB, file, FILE_SIZE, automatic);
	for (u32 i = 0; i < 6000; i++) {
		struct load_result r;

		if (i & 1)
			make_elf(ARM_RAM + 0x4000, EM_AARCH64);
		else
			build_image(file, 0x80000, 3 * MiB, LE_4K);
		damage(file, i & 1 ? 176 : 64, &seed);
		boot_image_from_buffer(&g.boot.kernel, "dir/image", file, 0x2000);
		r = fdt_load_guest(&g, *hows[i % ARRAY_SIZE(hows)]);
		if (r.ret) {
			assert_one_line(r.text);
			continue;
		}
		assert_placed(&g, &r.l);
		good++;
	}
	assert_true(good > 100);
}

/* tests/unit/test_boot_machine.c has the rest. */
static void test_firmware(void **state)
{
	struct load_result r;

	fill();
	guest_destroy(&g);
	arm_guest_init(&g, 64 * MiB);
	boot_image_from_buffer(&g.boot.firmware, "dir/fw", file, FILE_SIZE);
	r = fdt_load_guest(&g, automatic);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, ARM_RAM);
	assert_placed(&g, &r.l);
}

static int teardown(void **state)
{
	guest_destroy(&g);
	return 0;
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

	return cmocka_run_group_tests(tests, NULL, teardown);
}
