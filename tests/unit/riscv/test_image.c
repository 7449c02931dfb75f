/* SPDX-License-Identifier: MIT */
/* riscv/image.c: the kernels of riscv64, those that are not, and where firmware goes. What does not
 * depend on the architecture is in tests/unit/test_boot_machine.c. */
#include "fdt_loader.h"

#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

#include "../../../riscv/boot.h"
#include "lkvm/arch.h"
#include "lkvm/config.h"

#define FILE_SIZE (64 * KiB)
#define FLAT	  (RISCV_RAM + 2 * MiB)

static u8 file[FILE_SIZE];
static struct guest g;

static const struct boot_load automatic = { .machine = &riscv_machine };
static const struct boot_load flat = { .machine = &riscv_machine, .format = FDT_KERNEL_FLAT };
static const struct boot_load as_image = { .machine = &riscv_machine, .format = FDT_KERNEL_IMAGE };
static const struct boot_load as_elf = { .machine = &riscv_machine, .format = FDT_KERNEL_ELF };

static void fill(void)
{
	for (u32 i = 0; i < FILE_SIZE; i++)
		file[i] = (u8)(i * 13 + (i >> 7));
}

/* As Linux has it: the older magic number at 48, too. */
static void build_image(u8 *buf, u64 text_offset, u64 image_size, u64 flags)
{
	/* c.li s4, -13: "MZ"; j 72 */
	static const u8 code[8] = { 0x4d, 0x5a, 0x6f, 0x00, 0x80, 0x04, 0x01, 0x00 };

	build_image_header(buf, code, "RSC\x05",
			   &(struct linux_image){ text_offset, image_size, flags });
	put_le(buf + 32, 4, 2); /* version 0.2 */
	memcpy(buf + 48, "RISCV\0\0\0", 8);
}

static struct load_result load(u64 size, struct boot_load how)
{
	return fdt_load_fresh(&g, 64 * MiB, file, size, how);
}

static void test_image(void **state)
{
	static const u64 offsets[] = { 2 * MiB, 0, 4 * MiB };

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		struct load_result r;

		fill();
		build_image(file, offsets[i], 3 * MiB, 0);
		r = load(FILE_SIZE, i & 1 ? as_image : automatic);
		assert_loads(r);
		assert_int_equal(r.l.at.entry, RISCV_RAM + offsets[i]);
		assert_int_equal(r.l.at.high, RISCV_RAM + offsets[i] + 3 * MiB);
		assert_guest_bytes(&g, r.l.at.entry, file, FILE_SIZE);
		assert_placed(&g, &r.l);
	}
}

/* The tree within what the kernel maps first, initrds below it. */
static void test_places(void **state)
{
	static u8 initrd[5000] = "070701";
	struct load_result r;

	build_image(file, 2 * MiB, 3 * MiB, 0);
	guest_add_initrd(&g, "dir/initrd", initrd, sizeof(initrd));
	r = fdt_load_fresh(&g, 6 * GiB, file, FILE_SIZE, automatic);
	g.boot.nr_initrds = 0;
	assert_loads(r);
	assert_int_equal(r.l.at.fdt, RISCV_RAM + 254 * MiB);
	assert_int_equal(r.l.at.initrd, RISCV_RAM + 254 * MiB - 8 * KiB);
	assert_placed(&g, &r.l);
}

static void test_hostile_images(void **state)
{
	static const struct {
		u64 offset, size, flags;
		int error;
		const char *part;
	} bad[] = {
		{ 2 * MiB, MiB, 1, -ENOEXEC, "big-endian" },
		{ 0x80000, MiB, 0, -ENOEXEC, "not a multiple of 2M" },
		{ ~0ULL, MiB, 0, -ENOEXEC, "not a multiple of 2M" },
		{ 0ULL - RISCV_RAM, 4096, 0, -ENOEXEC, "damaged" },
		{ 0ULL - 2 * MiB, 4096, 0, -ENOEXEC, "damaged" },
		{ 0ULL - RISCV_RAM - 2 * MiB, 2 * MiB, 0, -EINVAL, "never be guest memory" },
		{ 2 * MiB, ~0ULL, 0, -EINVAL, "never be guest memory" },
		{ 64 * MiB, 4096, 0, -ENOMEM, "needs at least 65M of memory" },
		{ 2 * MiB, 62 * MiB + 1, 0, -ENOMEM, "increase --mem" },
		{ 2 * MiB, 62 * MiB, 0, -ENOMEM, "device tree: does not fit" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		fill();
		build_image(file, bad[i].offset, bad[i].size, bad[i].flags);
		assert_refused(load(FILE_SIZE, automatic), bad[i].error, bad[i].part);
	}
	fill();
	assert_refused(load(FILE_SIZE, as_image), -ENOEXEC, "omit --kernel-format");
}

/* Test images are entered 2 MiB into RAM, as kvmtool does. */
static void test_flat(void **state)
{
	struct load_result r;

	fill();
	r = load(FILE_SIZE, automatic);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, FLAT);
	assert_guest_bytes(&g, FLAT, file, FILE_SIZE);
	assert_placed(&g, &r.l);
	build_image(file, 0, MiB, 1);
	r = load(FILE_SIZE, flat);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, FLAT);
}

static void test_foreign(void **state)
{
	static const struct {
		u32 offset;
		const char *magic;
		u32 len;
		const char *part;
	} images[] = {
		{ 56, "ARM\x64", 4, "a Linux kernel for arm64, and the guest is riscv64" },
		{ 56, "\xcd\x23\x82\x81", 4, "a Linux kernel for loongarch64" },
		{ 0x202, "HdrS", 4, "a Linux kernel for x86-64, and the guest is riscv64" },
		{ 36, "\x18\x28\x6f\x01", 4, "a Linux kernel for 32-bit Arm" },
		{ 4, "zimg", 4, "zboot" },
		{ 0, "\x1f\x8b\x08", 3, "compressed by gzip; unpack it with gunzip first" },
		{ 0, "070701", 6, "initrd" },
		{ 0, "#!/bin/sh", 9, "script" },
		{ 0, "\177ELF\x02\x02", 6, "not little-endian" },
	};

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

	make_elf(RISCV_RAM, EM_RISCV);
	r = load(ELF_TEST_SIZE, automatic);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, RISCV_RAM + 0x10);
	assert_guest_bytes(&g, RISCV_RAM + 0x1000, file + 0x1100, 0x100);
	assert_placed(&g, &r.l);
	assert_loads(load(ELF_TEST_SIZE, as_elf));
	make_elf(RISCV_RAM, EM_AARCH64);
	assert_refused(load(ELF_TEST_SIZE, automatic), -ENOEXEC,
		       "an ELF file for arm64, and the guest is RISC-V");
	/* Linux's vmlinux is linked to physical addresses from 0 on. */
	make_elf(0, EM_RISCV);
	assert_refused(load(ELF_TEST_SIZE, automatic), -ENOEXEC, "use Image instead of vmlinux");
	/* The machine's number is the same for 32 bits. */
	build_elf32(file, false);
	((Elf32_Ehdr *)file)->e_machine = EM_RISCV;
	assert_refused(load(ELF_TEST_SIZE, automatic), -ENOEXEC,
		       "a 32-bit ELF file, and the guest is riscv64");
	fill();
	assert_refused(load(ELF_TEST_SIZE, as_elf), -ENOEXEC, "not an ELF file");
}

#ifdef HAVE_ZLIB
#define PACKED_SIZE (2 * MiB + 999)
static u8 big[PACKED_SIZE], packed[2 * PACKED_SIZE];

static u64 pack(void)
{
	z_stream zs = { .next_in = big,
			.avail_in = PACKED_SIZE,
			.next_out = packed,
			.avail_out = sizeof(packed) };

	assert_int_equal(deflateInit2(&zs, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&zs, Z_FINISH), Z_STREAM_END);
	deflateEnd(&zs);
	return zs.total_out;
}
#endif

/* A gzip file is unpacked to where its Image wants to be before it is loaded. */
static void test_packed(void **state)
{
#ifdef HAVE_ZLIB
	for (int image = 0; image <= 1; image++) {
		u64 base = image ? RISCV_RAM + 4 * MiB : FLAT;
		struct vm_config cfg = { 0 };
		struct load_result r;

		for (u32 n = 0; n < PACKED_SIZE; n++)
			big[n] = (u8)(n * 13 + (n >> 7)) | 1;
		if (image)
			build_image(big, 4 * MiB, 3 * MiB, 0);
		guest_destroy(&g);
		fdt_guest_init(&g, RISCV_RAM, 64 * MiB);
		boot_image_from_buffer(&g.boot.kernel, "dir/Image.gz", packed, pack());
		assert_int_equal(boot_image_decompress(&g.boot.kernel, "kernel", 64 * MiB), 0);
		assert_int_equal(boot_begin(&g.boot, &cfg, &g.mem), 0);
		assert_guest_bytes(&g, base, big, PACKED_SIZE);
		r = fdt_load_guest(&g, automatic);
		assert_loads(r);
		assert_int_equal(r.l.at.entry, base);
		assert_int_equal(boot_end(&g.boot, 0), 0);
		boot_image_close(&g.boot.kernel);
	}
#endif
}

static void test_linux_words(void **state)
{
	struct vm_config cfg = { 0 };

	build_image(file, 2 * MiB, MiB, 0);
	load(FILE_SIZE, automatic);
	assert_true(arch_boots_linux(&cfg, NULL));
	assert_true(arch_boots_linux(&cfg, &g.boot));
	cfg.fdt.kernel_format = FDT_KERNEL_FLAT;
	assert_false(arch_boots_linux(&cfg, &g.boot));
	cfg.fdt.kernel_format = FDT_KERNEL_AUTO;
	fill();
	assert_false(arch_boots_linux(&cfg, &g.boot));
}

static struct load_result load_firmware(void)
{
	guest_destroy(&g);
	fdt_guest_init(&g, RISCV_RAM, 64 * MiB);
	boot_image_from_buffer(&g.boot.firmware, "dir/firmware", file, FILE_SIZE);
	return fdt_load_guest(&g, automatic);
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
	u64 seed = 15;
	u32 good = 0;

	load(FILE_SIZE, automatic);
	for (u32 i = 0; i < 6000; i++) {
		struct load_result r;

		if (i & 1)
			make_elf(RISCV_RAM + 0x4000, EM_RISCV);
		else
			build_image(file, 2 * MiB, 3 * MiB, 0);
		damage(file, i & 1 ? 176 : 64, &seed);
		boot_image_from_buffer(&g.boot.kernel, "dir/image", file, 0x2000);
		r = fdt_load_guest(&g, i & 2 ? automatic : as_image);
		if (r.ret) {
			assert_one_line(r.text);
			continue;
		}
		assert_placed(&g, &r.l);
		good++;
	}
	assert_true(good > 100);
}

static int teardown(void **state)
{
	guest_destroy(&g);
	return 0;
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

	return cmocka_run_group_tests(tests, NULL, teardown);
}
