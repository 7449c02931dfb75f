/* SPDX-License-Identifier: MIT */
/* boot/aim.c: a compressed ELF kernel on its way into guest memory. */
#include "capture.h"
#include "image_builder.h"
#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/plan.h"

#ifdef HAVE_ZLIB
#include <zlib.h>

#include "../../boot/stream.h"

/* Two segments, the notes at the end of the first; all beyond what is kept of the head. */
#define SEG1	 0x1000U
#define SEG1_LEN 0x70000U
#define NOTES	 (SEG1 + SEG1_LEN - 0x100)
#define SEG2	 0x80000U
#define SEG2_LEN 0x90000U
#define BSS	 0x5000U
#define TAIL	 0x8000U /* what is behind them */
#define SIZE	 (SEG2 + SEG2_LEN + TAIL)
#define BASE1	 (RAM_BASE + 2 * MiB)
#define BASE2	 (RAM_BASE + 4 * MiB)
#define RAM_BASE (arch_platform.ram_base)

static u8 file[SIZE], packed[2 * SIZE];
static struct guest g;
static struct vm_config cfg;
static struct boot_plan plan;

static Elf64_Phdr *phdr(u32 i)
{
	return (Elf64_Phdr *)(file + sizeof(Elf64_Ehdr)) + i;
}

static void add_phdr(u32 i, u32 type, u64 offset, u64 len, u64 paddr, u64 memsz)
{
	*phdr(i) = (Elf64_Phdr){ .p_type = type,
				 .p_offset = offset,
				 .p_vaddr = paddr,
				 .p_paddr = paddr,
				 .p_filesz = len,
				 .p_memsz = memsz };
}

static void build(void)
{
	Elf64_Ehdr *e = (Elf64_Ehdr *)file;
	u64 seed = 3;

	for (u32 i = 0; i < SIZE; i++)
		file[i] = i % 3 ? (u8)(i >> 9) | 1 : (u8)next_random(&seed) | 1;
	memset(file, 0, SEG1);
	memcpy(e->e_ident, ELFMAG, SELFMAG);
	e->e_ident[EI_CLASS] = ELFCLASS64;
	e->e_ident[EI_DATA] = ELFDATA2LSB;
	e->e_type = ET_EXEC;
	e->e_machine = EM_X86_64;
	e->e_entry = BASE1;
	e->e_phoff = sizeof(*e);
	e->e_phentsize = sizeof(Elf64_Phdr);
	e->e_phnum = 3;
	add_phdr(0, PT_LOAD, SEG1, SEG1_LEN, BASE1, SEG1_LEN);
	add_phdr(1, PT_LOAD, SEG2, SEG2_LEN, BASE2, SEG2_LEN + BSS);
	add_phdr(2, PT_NOTE, NOTES, 0x100, BASE1 + NOTES - SEG1, 0x100);
	memset(file + NOTES, 0, 0x100);
	elf_test_note(file + NOTES);
}

/* The kernel of a fresh guest: @len bytes of the file, packed. */
static u32 begin(u32 len)
{
	z_stream zs = {
		.next_in = file, .avail_in = len, .next_out = packed, .avail_out = sizeof(packed)
	};

	assert_int_equal(deflateInit2(&zs, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&zs, Z_FINISH), Z_STREAM_END);
	deflateEnd(&zs);
	memset(&g, 0, sizeof(g));
	memory_init(&g.mem);
	assert_int_equal(
		memory_add(&g.mem,
			   &(struct memory_desc){ .gpa = RAM_BASE, .size = 16 * MiB, .name = "m" }),
		0);
	config_init(&cfg);
	boot_plan_init(&plan);
	boot_image_from_buffer(&g.boot.kernel, "dir/vmlinux.gz", packed, zs.total_out);
	assert_int_equal(boot_image_decompress(&g.boot.kernel, "kernel", 16 * MiB), 0);
	return (u32)zs.total_out;
}

static void end(void)
{
	boot_plan_free(&plan);
	boot_image_close(&g.boot.kernel);
	config_destroy(&cfg);
	guest_destroy(&g);
}

static void make_plan(struct elf_image *elf, struct guest_memory *mem)
{
	const char *why;

	boot_plan_free(&plan);
	assert_int_equal(boot_begin(&g.boot, &cfg, mem), 0);
	assert_int_equal(elf_parse(&g.boot.kernel, elf, &why), 0);
	assert_int_equal(elf->pvh_entry, ELF_TEST_PVH);
	assert_int_equal(elf_plan(&g.boot.kernel, elf, "kernel", &plan), 0);
	assert_int_equal(boot_plan_check(&plan, &g.mem), 0);
}

static void assert_loaded(void)
{
	static const u8 zeroes[BSS];

	assert_guest_bytes(&g, BASE1, file + SEG1, SEG1_LEN);
	assert_guest_bytes(&g, BASE2, file + SEG2, SEG2_LEN);
	assert_guest_bytes(&g, BASE2 + SEG2_LEN, zeroes, BSS);
}

/* Twice: a reboot reads the file again. */
static void test_load(void **state)
{
	const struct stream_aim *aim;
	struct elf_image elf;

	build();
	begin(SIZE);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(g.boot.kernel.size, STREAM_LONG);
		make_plan(&elf, &g.mem);
		/* The notes were found where they are to be. */
		aim = stream_aim_get(g.boot.kernel.stream, 0);
		assert_int_equal(aim->gpa, BASE1);
		assert_int_equal(aim->done, SEG1_LEN);
		assert_guest_bytes(&g, BASE1, file + SEG1, SEG1_LEN);
		boot_settle(&g.boot, &plan, &g.mem);
		assert_int_equal(boot_plan_load(&plan, &g.mem), 0);
		aim = stream_aim_get(g.boot.kernel.stream, 1);
		assert_int_equal(aim->gpa, BASE2);
		assert_int_equal(aim->done, SEG2_LEN);
		assert_int_equal(boot_end(&g.boot, 0), 0);
		assert_null(stream_aim_get(g.boot.kernel.stream, 0));
		assert_loaded();
		memory_discard_all(&g.mem);
	}
	end();
}

/* A table of program headers behind all that it tells of. */
static void test_late_headers(void **state)
{
	struct elf_image elf;

	build();
	memcpy(file + SIZE - TAIL, phdr(0), 3 * sizeof(Elf64_Phdr));
	((Elf64_Ehdr *)file)->e_phoff = SIZE - TAIL;
	memset(phdr(0), 0, 3 * sizeof(Elf64_Phdr));
	begin(SIZE);
	make_plan(&elf, &g.mem);
	boot_settle(&g.boot, &plan, &g.mem);
	assert_int_equal(boot_plan_load(&plan, &g.mem), 0);
	assert_int_equal(boot_end(&g.boot, 0), 0);
	assert_loaded();
	end();
}

/* Without memory to fill, as a list that is only written to files. */
static void test_describe(void **state)
{
	static u8 buf[SEG1_LEN];
	struct elf_image elf;

	build();
	begin(SIZE);
	make_plan(&elf, NULL);
	assert_int_equal(boot_plan_read(&plan, BASE1, buf, SEG1_LEN), 0);
	assert_memory_equal(buf, file + SEG1, SEG1_LEN);
	assert_int_equal(boot_plan_read(&plan, BASE2 + 5, buf, SEG1_LEN), 0);
	assert_memory_equal(buf, file + SEG2 + 5, SEG1_LEN);
	assert_int_equal(boot_end(&g.boot, 0), 0);
	end();
}

/* What the list has elsewhere does not stay where it was unpacked first. */
static void test_elsewhere(void **state)
{
	static const u8 zeroes[SEG1_LEN];
	struct elf_image elf;

	build();
	begin(SIZE);
	make_plan(&elf, &g.mem);
	boot_plan_free(&plan);
	assert_int_equal(boot_plan_add_image(&plan, BOOT_KERNEL, "kernel", BASE1 + MiB,
					     &g.boot.kernel, SEG1, SEG1_LEN),
			 0);
	/* Shorter than what is aimed, and nothing of it was unpacked yet. */
	assert_int_equal(boot_plan_add_image(&plan, BOOT_KERNEL, "kernel", BASE2, &g.boot.kernel,
					     SEG2, SEG2_LEN - BSS),
			 0);
	assert_int_equal(boot_plan_check(&plan, &g.mem), 0);
	boot_settle(&g.boot, &plan, &g.mem);
	assert_guest_bytes(&g, BASE1, zeroes, SEG1_LEN);
	assert_int_equal(boot_plan_load(&plan, &g.mem), 0);
	assert_int_equal(boot_end(&g.boot, 0), 0);
	assert_guest_bytes(&g, BASE1, zeroes, SEG1_LEN);
	assert_guest_bytes(&g, BASE1 + MiB, file + SEG1, SEG1_LEN);
	assert_guest_bytes(&g, BASE2, file + SEG2, SEG2_LEN - BSS);
	assert_guest_bytes(&g, BASE2 + SEG2_LEN - BSS, zeroes, BSS);
	end();
}

/* Nor where the decoder has begun anew meanwhile. */
static void test_elsewhere_again(void **state)
{
	static const u8 zeroes[SEG2_LEN];
	struct elf_image elf;
	u64 size;
	u8 byte;

	build();
	begin(SIZE);
	make_plan(&elf, &g.mem);
	assert_int_equal(boot_image_measure(&g.boot.kernel, &size), 0);
	assert_guest_bytes(&g, BASE2, file + SEG2, SEG2_LEN);
	assert_int_equal(boot_image_read(&g.boot.kernel, SEG2 - 1, &byte, 1), 0);
	boot_plan_free(&plan);
	boot_settle(&g.boot, &plan, &g.mem);
	assert_guest_bytes(&g, BASE1, zeroes, SEG1_LEN);
	assert_guest_bytes(&g, BASE2, zeroes, SEG2_LEN);
	assert_int_equal(boot_end(&g.boot, 0), 0);
	end();
}

/* Segments from the same bytes of the file, and one that is not in memory. */
static void test_odd_segments(void **state)
{
	struct elf_image elf;

	build();
	add_phdr(1, PT_LOAD, SEG1 + 0x1000, 0x20000, BASE2, 0x20000);
	begin(SIZE);
	make_plan(&elf, &g.mem);
	boot_settle(&g.boot, &plan, &g.mem);
	assert_int_equal(boot_plan_load(&plan, &g.mem), 0);
	assert_int_equal(boot_end(&g.boot, 0), 0);
	assert_guest_bytes(&g, BASE1, file + SEG1, SEG1_LEN);
	assert_guest_bytes(&g, BASE2, file + SEG1 + 0x1000, 0x20000);
	end();
	add_phdr(1, PT_LOAD, SEG2, SEG2_LEN, RAM_BASE + 16 * MiB - 0x1000, SEG2_LEN);
	begin(SIZE);
	assert_int_equal(boot_begin(&g.boot, &cfg, &g.mem), 0);
	end();
}

static void assert_fails(int ret, int error, const char *part)
{
	const char *text = capture_end();

	assert_int_equal(ret, error);
	assert_one_line(text);
	assert_contains(text, "--kernel dir/vmlinux.gz");
	assert_contains(text, part);
}

static int load_all(void)
{
	struct elf_image elf;

	make_plan(&elf, &g.mem);
	boot_settle(&g.boot, &plan, &g.mem);
	capture_begin();
	return boot_plan_load(&plan, &g.mem);
}

static void test_failures(void **state)
{
	u32 len;

	build();
	/* Its headers promise more. */
	begin(SEG2 + 0x1000);
	assert_fails(load_all(), -ENODATA, "shorter than its headers say");
	end();
	/* The file ends early, is damaged, and its checksum is wrong. */
	len = begin(SIZE);
	boot_image_close(&g.boot.kernel);
	boot_image_from_buffer(&g.boot.kernel, "dir/vmlinux.gz", packed, len * 3 / 4);
	assert_int_equal(boot_image_decompress(&g.boot.kernel, "kernel", 16 * MiB), 0);
	assert_fails(load_all(), -ENODATA, "ends too early (truncated file?)");
	end();
	len = begin(SIZE);
	memset(packed + len * 3 / 4, 0xff, 4 * KiB);
	assert_fails(load_all(), -EBADMSG, "its gzip data is damaged");
	end();
	len = begin(SIZE);
	packed[len - 8] ^= 1;
	assert_int_equal(load_all(), 0);
	assert_fails(boot_end(&g.boot, 0), -EBADMSG, "its gzip data is damaged");
	/* Who has failed already says so. */
	assert_int_equal(boot_end(&g.boot, -EIO), -EIO);
	end();
}
#endif

int main(void)
{
#ifdef HAVE_ZLIB
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_describe),
		cmocka_unit_test(test_elsewhere),
		cmocka_unit_test(test_odd_segments),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_late_headers),
		cmocka_unit_test(test_elsewhere_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
#else
	return 0;
#endif
}
