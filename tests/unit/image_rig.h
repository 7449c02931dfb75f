/* SPDX-License-Identifier: MIT */
/*
 * For unit tests of the kernels that a machine with a device tree takes: a file to build them in, a
 * guest to load them into, and what holds for every architecture. The test says in `kind` what an
 * architecture has of its own.
 */
#ifndef TEST_IMAGE_RIG_H
#define TEST_IMAGE_RIG_H

#include "fdt_loader.h"

#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

#include "lkvm/arch.h"
#include "lkvm/config.h"

#define FILE_SIZE (64 * KiB)
#define MEMORY	  (64 * MiB)

struct image_kind {
	const struct boot_machine *machine;
	const char *name;
	u16 elf_machine;
	u64 flat; /* where a flat image goes */
	/* The header of an Image into the 64 bytes at @buf. */
	void (*build)(u8 *buf, u64 text_offset, u64 size);
	void (*add_memory)(struct guest *g); /* besides RAM; NULL: none */
};
static const struct image_kind kind;

static u8 file[FILE_SIZE];
static struct guest g;

static inline void fill_bytes(u8 *buf, u64 size)
{
	for (u64 i = 0; i < size; i++)
		buf[i] = (u8)(i * 13 + (i >> 7));
}

/* Nothing that has a format. */
static inline void fill(void)
{
	fill_bytes(file, FILE_SIZE);
}

static inline struct boot_load as(enum fdt_kernel_format format)
{
	return (struct boot_load){ .machine = kind.machine, .format = format };
}

/* A fresh guest, with the initrds of the one before. */
static inline void begin_guest(void)
{
	fdt_guest_again(&g, kind.machine->ram, MEMORY);
	if (kind.add_memory)
		kind.add_memory(&g);
}

/* The first @size bytes of the file as its kernel. */
static inline struct load_result load(u64 size, struct boot_load how)
{
	begin_guest();
	boot_image_from_buffer(&g.boot.kernel, "dir/image", file, size);
	return fdt_load_guest(&g, how);
}

static inline struct load_result load_auto(u64 size)
{
	return load(size, as(FDT_KERNEL_AUTO));
}

/* The file as its firmware. */
static inline struct load_result load_firmware(void)
{
	begin_guest();
	boot_image_from_buffer(&g.boot.firmware, "dir/firmware", file, FILE_SIZE);
	return fdt_load_guest(&g, as(FDT_KERNEL_AUTO));
}

static inline int end_guest(void **state)
{
	guest_destroy(&g);
	return 0;
}

/* Images go to where they say, whether one asks for them or not. */
static inline void check_image(const u64 *offsets, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		u64 base = kind.machine->ram + offsets[i];
		struct load_result r;

		fill();
		kind.build(file, offsets[i], 3 * MiB);
		r = load(FILE_SIZE, as(i & 1 ? FDT_KERNEL_IMAGE : FDT_KERNEL_AUTO));
		assert_loads(r);
		assert_int_equal(r.l.at.entry, base);
		assert_int_equal(r.l.at.low, base);
		assert_int_equal(r.l.at.high, base + 3 * MiB);
		assert_guest_bytes(&g, base, file, FILE_SIZE);
		assert_placed(&g, &r.l);
	}
	fill();
	assert_refused(load(FILE_SIZE, as(FDT_KERNEL_IMAGE)), -ENOEXEC, "omit --kernel-format");
}

struct bad_image {
	u64 offset, size;
	int error;
	const char *part; /* of what is said */
};

static inline void check_bad_images(const struct bad_image *bad, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		fill();
		kind.build(file, bad[i].offset, bad[i].size);
		assert_refused(load_auto(FILE_SIZE), bad[i].error, bad[i].part);
	}
}

/* The file has @magic, and little else. */
static inline void put_magic(u32 offset, const char *magic, u32 len)
{
	memset(file, 0, 4096);
	memcpy(file + offset, magic, len);
}

static inline void check_foreign(void)
{
	static const struct {
		u32 offset;
		const char *magic;
		u32 len;
		const char *arch; /* that Linux is for; NULL: @part is said */
		const char *part;
	} images[] = {
		{ 56, "ARM\x64", 4, "arm64", NULL },
		{ 56, "RSC\x05", 4, "riscv64", NULL },
		{ 56, "\xcd\x23\x82\x81", 4, "loongarch64", NULL },
		{ 0x202, "HdrS", 4, "x86-64", NULL },
		{ 36, "\x18\x28\x6f\x01", 4, NULL, "a Linux kernel for 32-bit Arm" },
		{ 4, "zimg", 4, NULL, "zboot" },
		{ 0, "\x1f\x8b\x08", 3, NULL, "compressed by gzip; unpack it with gunzip first" },
		{ 0, "070701", 6, NULL, "initrd" },
		{ 0, "QFI\xfb", 4, NULL, "a qcow2 disk image" },
		{ 0, "#!/bin/sh", 9, NULL, "script" },
		{ 0, "\xd0\x0d\xfe\xed", 4, NULL, "device tree" },
		{ 0, "\177ELF\x02\x02", 6, NULL, "not little-endian" },
	};
	char said[96];

	for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
		if (images[i].arch && !strcmp(images[i].arch, kind.name))
			continue;
		snprintf(said, sizeof(said), "a Linux kernel for %s, and the guest is %s",
			 images[i].arch, kind.name);
		put_magic(images[i].offset, images[i].magic, images[i].len);
		assert_refused(load_auto(4096), -ENOEXEC, images[i].arch ? said : images[i].part);
	}
	/* x86-64's kernels since 6.12 have what loongarch64's have as well. */
	put_magic(56, "\xcd\x23\x82\x81", 4);
	memcpy(file + 0x202, "HdrS", 4);
	assert_refused(load_auto(4096), -ENOEXEC, "a Linux kernel for x86-64");
}

/* The builder's segments, at @base and with @machine. */
static inline void make_elf(u64 base, u16 machine)
{
	Elf64_Ehdr *e = (Elf64_Ehdr *)file;
	Elf64_Phdr *p = (Elf64_Phdr *)(file + sizeof(*e));

	build_elf64(file, false);
	e->e_machine = machine;
	e->e_entry = base + 0x10;
	for (int i = 0; i < 2; i++)
		p[i].p_vaddr = p[i].p_paddr = base + (p[i].p_paddr - ELF_TEST_BASE);
}

/* One that is linked to @base goes there; and what is none. */
static inline void check_elf(u64 base)
{
	struct load_result r;

	make_elf(base, kind.elf_machine);
	r = load_auto(ELF_TEST_SIZE);
	assert_loads(r);
	assert_int_equal(r.l.at.entry, base + 0x10);
	assert_int_equal(r.l.at.low, base);
	assert_int_equal(r.l.at.high, base + 0x1000 + ELF_TEST_BSS);
	assert_guest_bytes(&g, base, file + 0x1000, 0x100);
	assert_guest_bytes(&g, base + 0x1000, file + 0x1100, 0x100);
	assert_placed(&g, &r.l);
	assert_loads(load(ELF_TEST_SIZE, as(FDT_KERNEL_ELF)));
	fill();
	assert_refused(load(ELF_TEST_SIZE, as(FDT_KERNEL_ELF)), -ENOEXEC, "not an ELF file");
	kind.build(file, 0, MiB);
	assert_refused(load(ELF_TEST_SIZE, as(FDT_KERNEL_ELF)), -ENOEXEC, "not an ELF file");
}

#ifdef HAVE_ZLIB
#define PACKED_SIZE (2 * MiB + 999)
static u8 big[PACKED_SIZE], packed[2 * PACKED_SIZE];

static inline u64 pack(void)
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

/* The kernel of a fresh guest, compressed, is unpacked to @base and starts there. */
static inline void check_unpacked(enum fdt_kernel_format format, u64 base)
{
	struct vm_config cfg = { .fdt.kernel_format = format };
	struct load_result r;

	begin_guest();
	boot_image_from_buffer(&g.boot.kernel, "dir/Image.gz", packed, pack());
	assert_int_equal(boot_image_decompress(&g.boot.kernel, "kernel", MEMORY), 0);
	assert_true(g.boot.kernel.size > GiB);
	assert_int_equal(boot_begin(&g.boot, &cfg, &g.mem), 0);
	assert_int_equal(g.boot.kernel.size, PACKED_SIZE);
	assert_guest_bytes(&g, base, big, PACKED_SIZE);
	r = fdt_load_guest(&g, as(format));
	assert_loads(r);
	assert_int_equal(r.l.at.entry, base);
	assert_guest_bytes(&g, base, big, PACKED_SIZE);
	assert_int_equal(boot_end(&g.boot, 0), 0);
	boot_image_close(&g.boot.kernel);
}
#endif

/* An Image says where it belongs, and is there before its size is known. */
static inline void check_packed(u64 text_offset)
{
#ifdef HAVE_ZLIB
	u64 base = kind.machine->ram + text_offset;

	for (u32 i = 0; i < PACKED_SIZE; i++)
		big[i] = (u8)(i * 13 + (i >> 7)) | 1;
	check_unpacked(FDT_KERNEL_AUTO, kind.flat);
	kind.build(big, text_offset, 3 * MiB);
	check_unpacked(FDT_KERNEL_AUTO, base);
	check_unpacked(FDT_KERNEL_IMAGE, base);
	check_unpacked(FDT_KERNEL_FLAT, kind.flat);
#endif
}

/* Linux's words are not for what is found to be something else. */
static inline void check_linux_words(void)
{
	struct vm_config cfg = { 0 };

	kind.build(file, 0, MiB);
	load_auto(FILE_SIZE);
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
}

/* Headers with wrong bytes: a load that succeeds is a right one, and others say why in one line. */
static inline void check_damaged(u64 text_offset, const struct boot_load *hows, size_t nr)
{
	u64 seed = 11;
	u32 good = 0;

	load_auto(FILE_SIZE);
	for (u32 i = 0; i < 6000; i++) {
		struct load_result r;

		if (i & 1)
			make_elf(kind.machine->ram + 0x4000, kind.elf_machine);
		else
			kind.build(file, text_offset, 3 * MiB);
		damage(file, i & 1 ? 176 : 64, &seed);
		boot_image_from_buffer(&g.boot.kernel, "dir/image", file, 0x2000);
		r = fdt_load_guest(&g, hows[i / 2 % nr]);
		if (r.ret) {
			assert_one_line(r.text);
			continue;
		}
		assert_placed(&g, &r.l);
		good++;
	}
	assert_true(good > 100);
}

#endif
