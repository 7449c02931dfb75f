/* SPDX-License-Identifier: MIT */
/* x86/bzimage.c, and what x86/linux.c writes to boot_params. */
#include "loader_test.h"

#include <asm/bootparam.h>

#define SETUP_SECTS 3U
#define SETUP_SIZE  ((SETUP_SECTS + 1) * 512U)
#define PAYLOAD	    4096U
#define FILE_SIZE   (SETUP_SIZE + PAYLOAD)
#define PREF	    0x1000000ULL
#define INIT_SIZE   0x800000U

static u8 file[FILE_SIZE + 64];
static struct guest g;

static struct setup_header *hdr(void)
{
	return (struct setup_header *)(file + 0x1f1);
}

static void build(void)
{
	memset(file, 0xaa, sizeof(file));
	for (u32 i = 0; i < PAYLOAD; i++)
		file[SETUP_SIZE + i] = (u8)(i * 3 + (i >> 8));
	memset(hdr(), 0, sizeof(*hdr()));
	*hdr() = (struct setup_header){
		.setup_sects = SETUP_SECTS,
		.syssize = PAYLOAD / 16,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb, /* jmp +0x6a: the header ends at 0x26c */
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.setup_data = 0x1234,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G,
		.cmdline_size = 2047,
		.pref_address = PREF,
		.init_size = INIT_SIZE,
	};
}

static struct load_result load(u64 memory)
{
	return load_fresh(&g, memory, file, FILE_SIZE, X86_KERNEL_AUTO);
}

static void boot_params(struct boot_params *bp)
{
	assert_int_equal(memory_read(&g.mem, X86_BOOT_PARAMS, bp, sizeof(*bp)), 0);
}

static u64 initrd_address(void)
{
	struct boot_params bp;

	boot_params(&bp);
	return bp.hdr.ramdisk_image | (u64)bp.ext_ramdisk_image << 32;
}

static void test_good(void **state)
{
	struct boot_params bp;
	struct load_result r;

	build();
	r = load(64 * MiB);
	assert_loads(r);
	assert_int_equal(r.entry.mode, X86_ENTRY_LONG64);
	assert_int_equal(r.entry.rip, PREF + 0x200);
	assert_int_equal(r.entry.rsi, X86_BOOT_PARAMS);
	assert_guest_bytes(&g, PREF, file + SETUP_SIZE, PAYLOAD);
	assert_guest_bytes(&g, X86_CMDLINE, "one two", 8);
	boot_params(&bp);
	assert_int_equal(bp.hdr.header, 0x53726448);
	assert_int_equal(bp.hdr.version, 0x020f);
	assert_int_equal(bp.hdr.type_of_loader, 0xff);
	assert_int_equal(bp.hdr.cmd_line_ptr, X86_CMDLINE);
	assert_int_equal(bp.hdr.setup_data, 0);
	assert_int_equal(bp.hdr.ramdisk_size, 0);
	assert_int_equal(bp.hdr.ramdisk_image, 0);
	assert_int_equal(bp.acpi_rsdp_addr, TEST_RSDP);
	assert_int_equal(bp.sentinel, 0);
	/* Nothing of what lies around the header in the file. */
	assert_int_equal(bp.edd_mbr_sig_buffer[0], 0);
	assert_int_equal(bp.e820_entries, 4);
	assert_int_equal(bp.e820_table[0].addr, 0);
	assert_int_equal(bp.e820_table[0].size, 0x9fc00);
	assert_int_equal(bp.e820_table[0].type, 1);
	assert_int_equal(bp.e820_table[1].addr, 0x9fc00);
	assert_int_equal(bp.e820_table[1].type, 2);
	assert_int_equal(bp.e820_table[2].addr, 0x100000);
	assert_int_equal(bp.e820_table[2].size, 63 * MiB);
	assert_int_equal(bp.e820_table[3].addr, X86_ECAM_BASE);
	assert_int_equal(bp.e820_table[3].type, 2);
	/* BIOS data area: EBDA and conventional memory. */
	assert_guest_bytes(&g, 0x40e, "\xc0\x9f", 2);
	assert_guest_bytes(&g, 0x413, "\x7f\x02", 2);
}

static void test_explicit_format(void **state)
{
	build();
	assert_loads(load_fresh(&g, 64 * MiB, file, FILE_SIZE, X86_KERNEL_BZIMAGE));
	hdr()->header = 0;
	assert_refused(load_fresh(&g, 64 * MiB, file, FILE_SIZE, X86_KERNEL_BZIMAGE), -ENOEXEC,
		       "--kernel dir/image: no Linux boot header");
	build();
	assert_refused(load_fresh(&g, 64 * MiB, file, FILE_SIZE, X86_KERNEL_PVH), -ENOEXEC,
		       "not an ELF file");
	assert_refused(load_fresh(&g, 64 * MiB, file, FILE_SIZE, X86_KERNEL_MULTIBOOT), -ENOEXEC,
		       "no multiboot header");
}

static void test_high_memory(void **state)
{
	struct boot_params bp;

	build();
	assert_loads(load(5 * GiB));
	boot_params(&bp);
	assert_int_equal(bp.e820_entries, 5);
	assert_int_equal(bp.e820_table[2].size, 3 * GiB - MiB);
	assert_int_equal(bp.e820_table[4].addr, 4 * GiB);
	assert_int_equal(bp.e820_table[4].size, 2 * GiB);
	assert_int_equal(bp.e820_table[4].type, 1);
}

static void test_initrd(void **state)
{
	static u8 initrd[0x12345];
	struct boot_params bp;
	u64 gpa;

	for (u32 i = 0; i < sizeof(initrd); i++)
		initrd[i] = (u8)(i * 5);
	build();
	guest_add_initrd(&g, "i", initrd, sizeof(initrd));
	guest_add_initrd(&g, "j", initrd, 3);
	assert_loads(load(64 * MiB));
	boot_params(&bp);
	gpa = 64 * MiB - 0x13000; /* 0x12348 + 4 bytes, to a page's begin */
	assert_int_equal(bp.hdr.ramdisk_image, gpa);
	assert_int_equal(bp.hdr.ramdisk_size, 0x12348 + 4);
	assert_guest_bytes(&g, gpa, initrd, sizeof(initrd));
	assert_guest_bytes(&g, gpa + 0x12348, initrd, 3);
	/* Below the hole where the kernel allows any address, below its limit where not. */
	assert_loads(load(5 * GiB));
	assert_int_equal(initrd_address(), 3 * GiB - 0x13000);
	hdr()->xloadflags = XLF_KERNEL_64;
	assert_loads(load(5 * GiB));
	assert_int_equal(initrd_address(), 2 * GiB - 0x13000);
	hdr()->initrd_addr_max = 0x37ffffff;
	assert_loads(load(5 * GiB));
	assert_int_equal(initrd_address(), 0x38000000 - 0x13000);
	g.boot.nr_initrds = 0;
}

static void test_initrd_too_big(void **state)
{
	u8 byte = 0;

	build();
	/* 64M - (16M + 8M) is the room; the lie is found before a byte is read. */
	guest_add_initrd(&g, "i", &byte, 40 * MiB + 1);
	assert_refused(load(64 * MiB), -ENOMEM,
		       "--initrd: does not fit: needs 40964K, has 40M; increase --mem");
	g.initrds[0].size = UINT64_MAX;
	assert_refused(load(64 * MiB), -EOVERFLOW, "initrd: does not fit");
	g.initrds[0].size = UINT64_MAX - 4096;
	assert_refused(load(64 * MiB), -ENOMEM, "initrd: does not fit");
	/* Larger than all of the low part: above 4 GiB, if the kernel can. */
	g.initrds[0].size = 3 * GiB;
	hdr()->xloadflags = XLF_KERNEL_64;
	assert_refused(load(8 * GiB), -ENOMEM, "needs 3G, has 2024M");
	hdr()->xloadflags |= XLF_CAN_BE_LOADED_ABOVE_4G;
	/* The place is found; the buffer is not that large. */
	g.initrds[0].size = 3 * GiB;
	assert_refused(load(5 * GiB), -ENOMEM, "needs 3G, has 3048M");
	g.boot.nr_initrds = 0;
}

/* A sparse file that only fits above 4 GiB. */
static void test_initrd_above_4g(void **state)
{
	char path[] = "/tmp/lkvm-initrd-XXXXXX";
	int fd = mkstemp(path);
	u64 room = 3 * GiB - (PREF + INIT_SIZE);
	struct boot_params bp;

	assert_true(fd >= 0);
	unlink(path);
	/* Room in the low part is made small by a kernel that wants almost all of it. */
	build();
	hdr()->init_size = (u32)(room + INIT_SIZE - 64 * KiB);
	assert_int_equal(ftruncate(fd, 128 * KiB), 0);
	g.initrds[0] = (struct boot_image){ .path = "i", .fd = fd, .size = 128 * KiB };
	g.boot.nr_initrds = 1;
	assert_loads(load(4 * GiB));
	assert_int_equal(initrd_address(), 5 * GiB - 128 * KiB);
	boot_params(&bp);
	assert_int_equal(bp.ext_ramdisk_image, 1);
	assert_int_equal(bp.hdr.ramdisk_size, 128 * KiB);
	hdr()->xloadflags = XLF_KERNEL_64;
	hdr()->initrd_addr_max = UINT32_MAX;
	assert_refused(load(4 * GiB), -ENOMEM, "needs 128K, has 64K");
	g.boot.nr_initrds = 0;
	close(fd);
}

static void test_memory_too_small(void **state)
{
	build();
	assert_refused(load(23 * MiB), -ENOMEM,
		       "needs at least 24M of memory and the guest has 23M; increase --mem");
	assert_loads(load(24 * MiB));
	assert_refused(load(512 * KiB), -ENOMEM, "less than 1M of memory");
	/* init_size smaller than the code itself does not help. */
	hdr()->init_size = 0;
	assert_refused(load(16 * MiB), -ENOMEM, "needs at least 17M");
}

static void test_place(void **state)
{
	struct load_result r;

	build();
	hdr()->kernel_alignment = 0x1000000;
	hdr()->pref_address = 0x100000;
	r = load(64 * MiB);
	assert_loads(r);
	assert_int_equal(r.entry.rip, 0x1000200);
	hdr()->relocatable_kernel = 0;
	r = load(64 * MiB);
	assert_loads(r);
	assert_int_equal(r.entry.rip, 0x100200);
	hdr()->pref_address = 0x90000;
	assert_refused(load(64 * MiB), -ENOEXEC, "below 1 MiB");
}

static void test_truncated(void **state)
{
	build();
	for (u32 size = 1; size <= FILE_SIZE - 16; size++) {
		struct load_result r = load_fresh(&g, 64 * MiB, file, size, X86_KERNEL_AUTO);

		assert_true(r.ret < 0);
		assert_one_line(r.text);
	}
	assert_refused(load_fresh(&g, 64 * MiB, file, FILE_SIZE - 16, X86_KERNEL_AUTO), -ENODATA,
		       "truncated: its header says 6144 bytes, the file has 6128");
	/* The header counts paragraphs; builders do not always fill the last one. */
	for (u32 size = FILE_SIZE - 15; size < FILE_SIZE; size++) {
		assert_loads(load_fresh(&g, 64 * MiB, file, size, X86_KERNEL_AUTO));
		assert_guest_bytes(&g, PREF, file + SETUP_SIZE, size - SETUP_SIZE);
		assert_guest_bytes(&g, PREF + size - SETUP_SIZE, "", 1);
	}
	/* A signature after the kernel is not part of it. */
	assert_loads(load_fresh(&g, 64 * MiB, file, FILE_SIZE + 64, X86_KERNEL_AUTO));
	assert_guest_bytes(&g, PREF + PAYLOAD, "\0\0\0\0", 4);
}

#define LIE(field, value, error, part)                       \
	do {                                                 \
		build();                                     \
		(field) = (value);                           \
		assert_refused(load(64 * MiB), error, part); \
	} while (0)

static void test_lies(void **state)
{
	LIE(hdr()->version, 0x0201, -ENOEXEC,
	    "only 16-bit boot code can start (boot protocol 2.01)");
	LIE(hdr()->version, 0, -ENOEXEC, "only 16-bit boot code can start");
	LIE(hdr()->loadflags, 0, -ENOEXEC, "(boot protocol 2.15, loaded below 1 MiB)");
	LIE(hdr()->jump, 0x00eb, -ENOEXEC, "only 16-bit boot code can start");
	LIE(hdr()->setup_sects, 0, -ENODATA, "truncated");
	LIE(hdr()->setup_sects, 255, -ENODATA, "truncated");
	LIE(hdr()->syssize, UINT32_MAX, -ENODATA, "truncated");
	LIE(hdr()->syssize, 0, -ENOEXEC, "no code");
	LIE(hdr()->syssize, 0x200 / 16, -ENOEXEC, "no code");
	LIE(hdr()->kernel_alignment, 0, -ENOEXEC, "not a power of two");
	LIE(hdr()->kernel_alignment, 3, -ENOEXEC, "not a power of two");
	LIE(hdr()->kernel_alignment, 0x80000000, -ENOMEM, "needs at least 2056M");
	LIE(hdr()->pref_address, UINT64_MAX, -EINVAL, "can never be guest memory");
	LIE(hdr()->pref_address, UINT64_MAX - 0x7fffff, -EINVAL, "can never be guest memory");
	LIE(hdr()->pref_address, 0xc0000000, -EINVAL, "can never be guest memory");
	LIE(hdr()->init_size, UINT32_MAX, -EINVAL, "can never be guest memory");
	LIE(hdr()->cmdline_size, 6, -E2BIG,
	    "the command line has 7 characters; the maximum here is 6");
	build();
	hdr()->cmdline_size = 7;
	assert_loads(load(64 * MiB));
	/* A jump that says a longer header than there is room for: cut. */
	hdr()->jump = 0xffeb;
	assert_loads(load(64 * MiB));
	assert_guest_bytes(&g, X86_BOOT_PARAMS + 0x290, "\0\0\0\0", 4);
}

/* A 32-bit kernel, and 64-bit ones from before the 64-bit entry was in the protocol. */
static void test_32bit_entry(void **state)
{
	static u8 initrd[0x1000];
	struct boot_params bp;
	struct load_result r;

	build();
	hdr()->xloadflags = 0;
	hdr()->initrd_addr_max = 0x37ffffff;
	guest_add_initrd(&g, "i", initrd, sizeof(initrd));
	r = load(5 * GiB);
	assert_loads(r);
	assert_int_equal(r.entry.mode, X86_ENTRY_PROT32);
	assert_int_equal(r.entry.rip, PREF);
	assert_int_equal(r.entry.rsi, X86_BOOT_PARAMS);
	assert_true(r.entry.rax == 0 && r.entry.rbx == 0);
	assert_guest_bytes(&g, PREF, file + SETUP_SIZE, PAYLOAD);
	assert_int_equal(initrd_address(), 0x38000000 - 0x1000);
	boot_params(&bp);
	assert_int_equal(bp.hdr.code32_start, PREF);
	assert_int_equal(bp.acpi_rsdp_addr, TEST_RSDP);
	/* The last paragraph is not filled, as in memtest86+'s. */
	assert_loads(load_fresh(&g, 64 * MiB, file, FILE_SIZE - 8, X86_KERNEL_AUTO));
	assert_guest_bytes(&g, PREF, file + SETUP_SIZE, PAYLOAD - 8);
	/* Code that is shorter than a 64-bit entry's offset. */
	hdr()->syssize = 0x200 / 16;
	assert_loads(load(64 * MiB));
	g.boot.nr_initrds = 0;
}

/* What a field's absence means, by the protocol's version; what lies there is no field. */
static void test_old_protocols(void **state)
{
	static const struct {
		u16 version;
		u64 base, initrd;
		const char *too_long; /* of 256 characters */
	} cases[] = {
		{ 0x0202, 0x100000, 0x38000000, "the maximum here is 255" },
		{ 0x0203, 0x100000, 0x30000000, "the maximum here is 255" },
		{ 0x0205, 0x200000, 0x30000000, "the maximum here is 255" },
		{ 0x0206, 0x200000, 0x30000000, NULL },
		{ 0x0209, 0x200000, 0x30000000, NULL },
		{ 0x020a, PREF, 0x30000000, NULL },
		{ 0x020b, PREF, 0x30000000, NULL },
	};
	static u8 initrd[0x1000];
	char line[257];

	memset(line, 'x', sizeof(line) - 1);
	line[256] = '\0';
	guest_add_initrd(&g, "i", initrd, sizeof(initrd));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct load_result r;

		build();
		hdr()->version = cases[i].version;
		hdr()->initrd_addr_max = 0x2fffffff;
		r = load(2 * GiB);
		assert_loads(r);
		assert_int_equal(r.entry.mode, X86_ENTRY_PROT32);
		assert_int_equal(r.entry.rip, cases[i].base);
		assert_int_equal(initrd_address(), cases[i].initrd - 0x1000);
		if (cases[i].too_long)
			assert_refused(load_guest(&g, X86_KERNEL_AUTO, line), -E2BIG,
				       cases[i].too_long);
		else
			assert_loads(load_guest(&g, X86_KERNEL_AUTO, line));
	}
	/* Before 2.04 the size has 16 bits; what follows is not a part of it. */
	build();
	hdr()->version = 0x0203;
	hdr()->syssize |= 0x7fff0000;
	assert_loads(load(64 * MiB));
	g.boot.nr_initrds = 0;
}

static void test_cmdline(void **state)
{
	static char line[X86_CMDLINE_MAX + 8];

	build();
	hdr()->cmdline_size = UINT32_MAX;
	load(64 * MiB);
	memset(line, 'x', sizeof(line) - 1);
	assert_refused(load_guest(&g, X86_KERNEL_AUTO, line), -E2BIG, "the maximum here is 65535");
	line[X86_CMDLINE_MAX - 1] = '\0';
	assert_loads(load_guest(&g, X86_KERNEL_AUTO, line));
	assert_guest_bytes(&g, X86_CMDLINE, line, X86_CMDLINE_MAX);
	assert_loads(load_guest(&g, X86_KERNEL_AUTO, NULL));
	assert_guest_bytes(&g, X86_CMDLINE, "", 1);
}

static void test_random(void **state)
{
	u64 seed = 7;

	build();
	load(64 * MiB);
	guest_add_initrd(&g, "i", file, 100);
	for (u32 i = 0; i < 3000; i++) {
		build();
		damage(file + 0x1e0, 0xa0, &seed);
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
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_explicit_format),
		cmocka_unit_test(test_high_memory),
		cmocka_unit_test(test_initrd),
		cmocka_unit_test(test_initrd_too_big),
		cmocka_unit_test(test_initrd_above_4g),
		cmocka_unit_test(test_memory_too_small),
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_32bit_entry),
		cmocka_unit_test(test_old_protocols),
		cmocka_unit_test(test_cmdline),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
