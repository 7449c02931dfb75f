/* SPDX-License-Identifier: MIT */
/* x86/boot.c, identify.c, firmware.c, flat images, e820.c. */
#include "loader_test.h"

#include <asm/bootparam.h>

#include "lkvm/arch.h"

#define ROM_SIZE (256 * KiB)

#define UNKNOWN_SIZE (36 * KiB)

static u8 file[ROM_SIZE + 4096];
static struct guest g;

static struct load_result load(u64 size, enum x86_kernel_format format)
{
	return load_fresh(&g, 64 * MiB, file, size, format);
}

static void test_flat(void **state)
{
	struct boot_params bp;
	struct load_result r;
	char initrd[] = "data";

	for (u32 i = 0; i < 10000; i++)
		file[i] = (u8)(i * 13);
	guest_add_initrd(&g, "i", initrd, 4);
	r = load(10000, X86_KERNEL_FLAT);
	assert_loads(r);
	assert_int_equal(r.entry.mode, X86_ENTRY_LONG64);
	assert_int_equal(r.entry.rip, MiB);
	assert_int_equal(r.entry.rsi, X86_BOOT_PARAMS);
	assert_guest_bytes(&g, MiB, file, 10000);
	assert_int_equal(memory_read(&g.mem, X86_BOOT_PARAMS, &bp, sizeof(bp)), 0);
	assert_int_equal(bp.acpi_rsdp_addr, TEST_RSDP);
	assert_int_equal(bp.e820_entries, 4);
	assert_guest_bytes(&g, bp.hdr.cmd_line_ptr, "one two", 8);
	assert_int_equal(bp.hdr.ramdisk_size, 4);
	assert_guest_bytes(&g, bp.hdr.ramdisk_image, initrd, 4);
	g.boot.nr_initrds = 0;
	/* One byte is a program too. */
	assert_loads(load(1, X86_KERNEL_FLAT));
	assert_refused(load_fresh(&g, MiB + 4096, file, 4097, X86_KERNEL_FLAT), -ENOMEM,
		       "needs at least 2M");
}

static void test_unknown(void **state)
{
	static const struct {
		u32 offset;
		const char *magic;
		u32 len;
		const char *part;
	} images[] = {
		{ 0, "nothing", 7, "--kernel-format flat" },
		{ 56, "ARM\x64", 4, "arm64" },
		{ 56, "RSC\x05", 4, "riscv64" },
		{ 56, "\xcd\x23\x82\x81", 4, "loongarch64" },
		{ 4, "zimg", 4, "zboot" },
		{ 0, "\x1f\x8b\x08", 3, "compressed by gzip; unpack it with gunzip first" },
		{ 0,
		  "\xfd"
		  "7zXZ\0",
		  6, "xz" },
		{ 0, "070701", 6, "initrd" },
		{ 0, "QFI\xfb", 4, "a qcow2 disk image; pass disks with -d, after qemu-img" },
		{ 0x8001, "CD001", 5, "an ISO 9660 image; pass disks with -d" },
		{ 0, "hsqs", 4, "a squashfs file system; pass disks with -d" },
		{ 257, "ustar", 5, "a tar archive; use the file inside it" },
		{ 0, "\x27\x05\x19\x56", 4, "a U-Boot image" },
		{ 0, "\xd0\x0d\xfe\xed", 4, "FIT" },
		{ 0, "ANDROID!", 8, "an Android boot image" },
		{ 0x1000, "\xd6\x50\x52\xe8\0\0\0\0\x10\0\0\0\x1a\xaf\xad\x17", 16,
		  "a multiboot2 image" },
		/* Across what is read at a time. */
		{ 0xff8, "\xd6\x50\x52\xe8\0\0\0\0\x10\0\0\0\x1a\xaf\xad\x17", 16,
		  "a multiboot2 image" },
		{ 510, "\x55\xaa", 2, "too old to have a boot header; lkvm runs no 16-bit" },
		{ 0, "#!/bin/sh", 9, "script" },
		{ 0, "\177ELF\x02\x02", 6, "not little-endian" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
		memset(file, 0, UNKNOWN_SIZE);
		memcpy(file + images[i].offset, images[i].magic, images[i].len);
		assert_refused(load(UNKNOWN_SIZE, X86_KERNEL_AUTO), -ENOEXEC, images[i].part);
	}
	/* Short files of every kind. */
	for (u64 size = 1; size < 64; size++)
		assert_true(load(size, X86_KERNEL_AUTO).ret == -ENOEXEC);
}

static void build_pe(const char *section)
{
	memset(file, 0, 4096);
	memcpy(file, "MZ", 2);
	put_le(file + 0x3c, 4, 0x80);
	memcpy(file + 0x80, "PE\0\0", 4);
	put_le(file + 0x86, 2, 2);    /* sections, after */
	put_le(file + 0x94, 2, 0xf0); /* so much */
	memcpy(file + 0x188, ".text", 5);
	memcpy(file + 0x1b0, section, strlen(section));
}

static void test_pe(void **state)
{
	build_pe(".data");
	assert_refused(load(4096, X86_KERNEL_AUTO), -ENOEXEC, "an EFI or Windows program");
	build_pe(".linux");
	assert_refused(load(4096, X86_KERNEL_AUTO), -ENOEXEC,
		       "a unified kernel image; take the kernel out of it with: objcopy");
	/* Sections that are not there, a header that is not. */
	put_le(file + 0x86, 2, 0xffff);
	put_le(file + 0x94, 2, 0xffff);
	assert_refused(load(4096, X86_KERNEL_AUTO), -ENOEXEC, "an EFI or Windows program");
	put_le(file + 0x3c, 4, 0xffffffff);
	assert_refused(load(4096, X86_KERNEL_AUTO), -ENOEXEC, "neither bzImage");
	memcpy(file, "<!DOCTYPE html>\n<html>\n\t<p>Page not found, and so on and so forth", 66);
	assert_refused(load(66, X86_KERNEL_AUTO), -ENOEXEC, "a text file");
}

static Elf64_Phdr *phdr(u32 i)
{
	return (Elf64_Phdr *)(file + sizeof(Elf64_Ehdr)) + i;
}

/* One note instead of the builder's. */
static void put_note(u32 type, const char *name, const char *desc)
{
	memset(file + 0x800, 0, 0x200);
	put_le(file + 0x800, 4, strlen(name) + 1);
	put_le(file + 0x804, 4, strlen(desc) + 1);
	put_le(file + 0x808, 4, type);
	strcpy((char *)file + 0x80c, name);
	strcpy((char *)file + 0x80c + ALIGN_UP(strlen(name) + 1, 4UL), desc);
	phdr(2)->p_filesz = 0x40;
}

static void put_multiboot(u32 at, u32 flags)
{
	put_le(file + at, 4, 0x1badb002);
	put_le(file + at + 4, 4, flags);
	put_le(file + at + 8, 4, -(0x1badb002 + flags));
}

static void assert_enters(enum x86_kernel_format format, u64 rip, bool is_linux)
{
	struct vm_config cfg = { .x86.kernel_format = format };
	struct load_result r = load(ELF_TEST_SIZE, format);

	assert_loads(r);
	assert_int_equal(r.entry.rip, rip);
	assert_int_equal(arch_boots_linux(&cfg, &g.boot), is_linux);
}

static const char program[] = "a program or library for an operating system";

/* The strongest sign decides; the rest only explains. */
static void test_evidence(void **state)
{
	/* A dynamic linker is named by FreeBSD's kernels, too. */
	build_elf64(file, true);
	phdr(0)->p_type = PT_INTERP;
	phdr(0)->p_filesz = 0;
	((Elf64_Ehdr *)file)->e_entry = ELF_TEST_VIRTUAL + 0x1010;
	put_le(file + 0x800 + 36, 4, ELF_TEST_SEG2 + 0x40); /* the PVH entry */
	assert_enters(X86_KERNEL_AUTO, ELF_TEST_SEG2 + 0x40, false);
	put_note(1, "GNU", "x");
	assert_refused(load(ELF_TEST_SIZE, X86_KERNEL_AUTO), -ENOEXEC, program);
	assert_enters(X86_KERNEL_ELF, ELF_TEST_SEG2 + 0x10, true);
	put_multiboot(0x900, 0);
	assert_enters(X86_KERNEL_AUTO, ELF_TEST_SEG2 + 0x10, false);
	put_note(0x100, "Linux", "x");
	assert_enters(X86_KERNEL_AUTO, ELF_TEST_SEG2 + 0x10, true);

	build_elf64(file, true);
	put_note(1, "GNU", "x");
	assert_refused(load(ELF_TEST_SIZE, X86_KERNEL_AUTO), -ENOEXEC, program);
	put_note(6, "Xen", "mini-os");
	assert_refused(load(ELF_TEST_SIZE, X86_KERNEL_AUTO), -ENOEXEC, "Xen's PV guests");
	put_note(6, "Xen", "linux");
	assert_enters(X86_KERNEL_AUTO, ELF_TEST_ENTRY, true);
	put_note(3, "GNU", "x");
	assert_enters(X86_KERNEL_AUTO, ELF_TEST_ENTRY, true);
	put_le(file + 0x900, 8, 0xe85250d6);
	put_le(file + 0x908, 8, 0x17adaf1a00000010);
	assert_refused(load(ELF_TEST_SIZE, X86_KERNEL_AUTO), -ENOEXEC, "a multiboot2 image");
	assert_enters(X86_KERNEL_ELF, ELF_TEST_ENTRY, true);
	put_multiboot(0x980, 0);
	assert_enters(X86_KERNEL_AUTO, ELF_TEST_ENTRY, false);
	assert_enters(X86_KERNEL_MULTIBOOT, ELF_TEST_ENTRY, false);
}

/* Linux's words are not for what is found to be something else. */
static void test_linux_words(void **state)
{
	struct vm_config cfg = { .x86.kernel_format = X86_KERNEL_AUTO };

	build_elf64(file, true);
	assert_enters(X86_KERNEL_AUTO, ELF_TEST_PVH, false);
	assert_enters(X86_KERNEL_PVH, ELF_TEST_PVH, false);
	/* The builder's first note, 20 bytes, made one of Linux's. */
	memcpy(file + 0x800, "\6\0\0\0\0\0\0\0\0\1\0\0Linux\0\0\0", 20);
	assert_enters(X86_KERNEL_AUTO, ELF_TEST_PVH, true);
	assert_enters(X86_KERNEL_PVH, ELF_TEST_PVH, true);
	/* Before it is open, any may be. */
	assert_true(arch_boots_linux(&cfg, NULL));
	cfg.x86.kernel_format = X86_KERNEL_MULTIBOOT;
	assert_false(arch_boots_linux(&cfg, NULL));
	cfg.x86.kernel_format = X86_KERNEL_FLAT;
	assert_false(arch_boots_linux(&cfg, NULL));
	assert_false(arch_boots_linux(&cfg, &g.boot));
}

/* With addresses of its own a multiboot image needs no ELF headers, not even whole ones. */
static void test_broken_elf(void **state)
{
	struct load_result r;

	build_elf64(file, false);
	((Elf64_Ehdr *)file)->e_phnum = 0;
	put_multiboot(0x900, 0);
	assert_refused(load(ELF_TEST_SIZE, X86_KERNEL_AUTO), -ENOEXEC, "program headers");
	put_multiboot(0x900, BIT(16));
	for (u32 i = 0; i < 5; i++) /* header, load, ends, entry */
		put_le(file + 0x90c + 4 * i, 4,
		       (const u32[]){ 0x200000, 0x200000, 0, 0, 0x200040 }[i]);
	r = load(ELF_TEST_SIZE, X86_KERNEL_AUTO);
	assert_loads(r);
	assert_int_equal(r.entry.rip, 0x200040);
}

static void test_unpacked_name(void **state)
{
	memset(file, 0, 100);
	load(100, X86_KERNEL_AUTO);
	g.boot.kernel.packed = "gzip";
	assert_refused(load_guest(&g, X86_KERNEL_AUTO, ""), -ENOEXEC,
		       "--kernel dir/image, unpacked by gzip: neither");
}

static void test_nothing(void **state)
{
	load(100, X86_KERNEL_AUTO);
	g.boot.kernel.path = NULL;
	assert_refused(load_guest(&g, X86_KERNEL_AUTO, ""), -EINVAL, "-k");
}

static struct load_result load_firmware(u64 size)
{
	g.boot.kernel.path = NULL;
	boot_image_from_buffer(&g.boot.firmware, "rom", file, size);
	return load_guest(&g, X86_KERNEL_AUTO, "");
}

static void fresh(u64 memory)
{
	guest_destroy(&g);
	guest_init(&g, memory);
}

static void test_firmware(void **state)
{
	const struct memory_region *rom;
	struct load_result r;

	for (u32 i = 0; i < sizeof(file); i++)
		file[i] = (u8)(i * 17 + (i >> 9));
	fresh(16 * MiB);
	/* Twice: a reset loads again. */
	for (int i = 0; i < 2; i++) {
		r = load_firmware(ROM_SIZE);
		assert_loads(r);
		assert_true(x86_firmware_is_raw(&g.boot));
		assert_int_equal(r.entry.mode, X86_ENTRY_RESET);
		rom = memory_next(&g.mem, memory_next(&g.mem, NULL));
		assert_non_null(rom);
		assert_null(memory_next(&g.mem, rom));
		assert_int_equal(rom->gpa, 4 * GiB - ROM_SIZE);
		assert_int_equal(rom->size, ROM_SIZE);
		assert_int_equal(rom->kind, MEM_ROM);
		assert_memory_equal(rom->hva, file, ROM_SIZE);
		assert_guest_bytes(&g, 0xe0000, file + ROM_SIZE - 128 * KiB, 128 * KiB);
		memory_discard_all(&g.mem);
	}
	fresh(16 * MiB);
	assert_loads(load_firmware(64 * KiB));
	assert_guest_bytes(&g, 0xf0000, file, 64 * KiB);
	assert_guest_bytes(&g, 0xeff00, (u8[0x100]){ 0 }, 0x100);
	fresh(16 * MiB);
	assert_refused(load_firmware(64 * KiB - 4096), -EINVAL, "64K to 16M");
	assert_refused(load_firmware(64 * KiB + 1), -EINVAL, "--firmware rom: raw firmware must");
	assert_refused(load_firmware(16 * MiB + 4096), -EINVAL, "64K to 16M");
	assert_null(memory_next(&g.mem, memory_next(&g.mem, NULL)));
	/* The copy lies where the machine has RAM above 4 GiB, too. */
	fresh(4 * GiB);
	assert_loads(load_firmware(ROM_SIZE));
	g.boot.firmware.path = NULL;
}

/* Nothing, or something else, where the CPU begins. */
static void test_blank_firmware(void **state)
{
	static const u8 blank[] = { 0, 0xff, 0xf4 };

	for (u32 i = 0; i < sizeof(file); i++)
		file[i] = (u8)(i * 17 + (i >> 9));
	fresh(16 * MiB);
	for (size_t i = 0; i < ARRAY_SIZE(blank); i++) {
		memset(file + ROM_SIZE - 16, blank[i], 16);
		assert_refused(load_firmware(ROM_SIZE), -ENOEXEC,
			       "nothing to run at the reset vector: 16 bytes of 0x");
	}
	file[ROM_SIZE - 1] = 1;
	assert_loads(load_firmware(ROM_SIZE));
	/* Firmware may begin with the store of its variables; alone they are none. */
	memcpy(file + 16, "\x8d\x2b\xf1\xff\x96\x76\x8b\x4c\xa9\x85\x27\x47\x07\x5b\x4f\x50", 16);
	fresh(16 * MiB);
	assert_loads(load_firmware(ROM_SIZE));
	memset(file + ROM_SIZE - 16, 0xff, 16);
	fresh(16 * MiB);
	assert_refused(load_firmware(ROM_SIZE), -ENOEXEC, "UEFI's variables without its code");
	memcpy(file, "QFI\xfb", 4);
	assert_refused(load_firmware(ROM_SIZE), -ENOEXEC, "--firmware rom: a qcow2 disk image");
	memset(file, 0, 0x400);
	put_le(file + 0x1fe, 2, 0xaa55);
	memcpy(file + 0x202, "HdrS", 4);
	assert_refused(load_firmware(ROM_SIZE), -ENOEXEC, "a Linux kernel; pass kernels with -k");
	g.boot.firmware.path = NULL;
}

/* Where a vector of real mode leads. */
static u64 vector(u32 i)
{
	const u8 *p = memory_ptr(&g.mem, i * 4, 4);

	assert_non_null(p);
	return get_le(p, 2) + get_le(p + 2, 2) * 16;
}

/* Without firmware every vector leads to code in what the memory map reserves; firmware has its
 * own.
 */
static void test_vectors(void **state)
{
	struct x86_mem_range map[X86_MAX_MEM_RANGES];
	u32 count;

	memset(file, 0xf4, 100);
	assert_loads(load(100, X86_KERNEL_FLAT));
	count = x86_memory_map(&g.mem, map);
	for (u32 i = 0; i < 256; i++) {
		bool reserved = false;

		for (u32 j = 0; j < count; j++)
			reserved |= map[j].type == X86_MEM_RESERVED &&
				    range_within(vector(i), 1, map[j].base, map[j].size);
		assert_true(reserved);
		assert_int_equal(vector(i),
				 i < 0x10 || (i >= 0x70 && i < 0x78) ? 0xfff53 : 0xfff54);
	}
	assert_guest_bytes(&g, 0xfff53, "\xcf", 1);
	memset(file, 0xf4, ROM_SIZE);
	file[ROM_SIZE - 16] = 0xfa; /* cli: one byte alone would be taken for a blank chip */
	fresh(16 * MiB);
	assert_loads(load_firmware(ROM_SIZE));
	assert_int_equal(vector(0x15), 0);
	g.boot.firmware.path = NULL;
}

/* Firmware for QEMU's machines is known by what it holds. */
static void test_fw_cfg(void **state)
{
	static const u8 footer[16] = { 0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45,
				       0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d };
	struct boot_image img;

	boot_image_from_buffer(&img, "rom", file, ROM_SIZE);
	memset(file, 0xf4, ROM_SIZE);
	assert_false(fw_cfg_wanted(&img));
	capture_begin();
	fw_cfg_warn(&img);
	assert_string_equal(capture_end(), "");
	memcpy(file + ROM_SIZE - 0x30, footer, sizeof(footer));
	assert_true(fw_cfg_wanted(&img));
	capture_begin();
	fw_cfg_warn(&img);
	assert_one_line(capture_end());
	assert_contains(captured, "--firmware rom: is built for QEMU's machines");
	memset(file, 0xf4, ROM_SIZE);
	memcpy(file + 5000, "fw_cfg", 6);
	assert_true(fw_cfg_wanted(&img));
	memset(file, 0xf4, ROM_SIZE);
	memcpy(file + 5000, "\xba\x10\x05\0\0", 5);
	assert_false(fw_cfg_wanted(&img));
	memcpy(file + 6000, "\xba\x11\x05\0\0", 5);
	assert_true(fw_cfg_wanted(&img));
	img.size = 16;
	assert_false(fw_cfg_wanted(&img));
}

static void test_memory_map(void **state)
{
	struct x86_mem_range map[X86_MAX_MEM_RANGES];

	fresh(MiB);
	assert_int_equal(x86_memory_map(&g.mem, map), 3);
	fresh(3 * GiB);
	assert_int_equal(x86_memory_map(&g.mem, map), 4);
	fresh(3 * GiB + 4096);
	assert_int_equal(x86_memory_map(&g.mem, map), 5);
	assert_int_equal(map[4].size, 4096);
	for (u32 i = 1; i < 5; i++)
		assert_true(map[i].base >= map[i - 1].base + map[i - 1].size);
}

static int teardown(void **state)
{
	guest_destroy(&g);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flat),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_pe),
		cmocka_unit_test(test_evidence),
		cmocka_unit_test(test_linux_words),
		cmocka_unit_test(test_broken_elf),
		cmocka_unit_test(test_unpacked_name),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_firmware),
		cmocka_unit_test(test_memory_map),
		cmocka_unit_test(test_blank_firmware),
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_fw_cfg),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
