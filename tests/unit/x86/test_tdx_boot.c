/* SPDX-License-Identifier: MIT */
/* x86/tdx-boot.c and x86/tdx-firmware.c: the lists of trust domains, page by page, and what they
 * measure: known answers, and digests that are added up here by the rule. */
#include "capture.h"
#include "devvm.h"
#include "image_builder.h"
#include "vectors.h"

#include <asm/bootparam.h>
#include <stdlib.h>

#include "../../../x86/tdx.h"
#include "../../../x86/x86.h"
#include "lkvm/arch.h"
#include "lkvm/coco.h"
#include "lkvm/guest-tdx.h"
#include "lkvm/measure.h"
#include "lkvm/plan.h"

static struct devvm d;
static struct boot boot;
static struct boot_plan plan;
static u8 kernel[64 * KiB];
static u8 *firmware;
static size_t firmware_len;

static void begin(u64 memory)
{
	devvm_init(&d);
	d.cfg.cpus = 2;
	d.cfg.memory = memory;
	d.cfg.x86.tdx.on = true;
	assert_int_equal(arch_config_complete(&d.cfg), 0);
	d.vm.coco = arch_coco(&d.cfg);
	boot = (struct boot){ .kernel.fd = -1, .firmware.fd = -1 };
	assert_int_equal(arch_sketch(&d.vm, &boot), 0);
	boot_plan_init(&plan);
}

static void end(void)
{
	boot_plan_free(&plan);
	arch_vm_destroy(&d.vm);
	d.vm.coco = NULL;
	vm_destroy(&d.vm);
}

static void make_kernel(void)
{
	for (size_t i = 0; i < sizeof(kernel); i++)
		kernel[i] = (u8)(i * 11 + (i >> 8));
	boot_image_from_buffer(&boot.kernel, "kernel", kernel, sizeof(kernel));
	d.cfg.x86.kernel_format = X86_KERNEL_FLAT;
}

static int make_plan(void)
{
	int ret = arch_boot_plan(&d.vm, &boot, &plan);

	return ret ? ret : boot_plan_check(&plan, &d.vm.mem);
}

/* The MRTD as coco_measure has it. */
static void measure(u8 mrtd[MRTD_LEN])
{
	const struct coco_measure *ops = d.vm.coco->measure;
	struct measure m = { .vm = &d.vm };
	struct boot_run run = { 0 };

	assert_int_equal(ops->begin(&m, &plan), 0);
	while (boot_plan_next(&plan, &run))
		assert_int_equal(ops->place(&m, &plan, &run), 0);
	assert_int_equal(ops->finish(&m), 0);
	assert_int_equal(m.nr_results, 1);
	assert_string_equal(m.results[0].values[0].name, "mrtd");
	assert_int_equal(m.results[0].values[0].len, MRTD_LEN);
	memcpy(mrtd, m.results[0].values[0].bytes, MRTD_LEN);
	ops->destroy(&m);
	measure_free(&m);
}

/* By the rule alone (tests/vectors/README.md). */
static void by_hand(struct hash *h, u64 gpa, const u8 *page, bool measured)
{
	u8 add[128] = "MEM.PAGE.ADD";

	put_le(add + 16, 8, gpa);
	hash_add(h, add, sizeof(add));
	for (u32 at = 0; measured && at < 4096; at += 256) {
		u8 extend[128] = "MR.EXTEND";

		put_le(extend + 16, 8, gpa + at);
		hash_add(h, extend, sizeof(extend));
		hash_add(h, page + at, 256);
	}
}

static void assert_run(struct boot_run *run, u64 gpa, u64 len, bool measured)
{
	assert_true(boot_plan_next(&plan, run));
	assert_int_equal(run->gpa, gpa);
	assert_int_equal(run->len, len);
	assert_int_equal(run->measured, measured);
}

/* A kernel: all in the order of addresses, all measured, the first code last. */
static void test_kernel(void **state)
{
	struct boot_run run = { 0 };
	u64 last = 0;

	begin(256 * MiB);
	make_kernel();
	assert_int_equal(make_plan(), 0);
	assert_int_equal(plan.nr_regs, 0);
	assert_int_equal(d.vm.arch->tdx_hob, 0);
	while (boot_plan_next(&plan, &run)) {
		assert_true(run.gpa >= last);
		assert_true(run.measured);
		last = run.gpa + run.len;
	}
	assert_int_equal(last, 4 * GiB);
	end();
}

static struct tdx_info read_info(void)
{
	struct tdx_info info;

	assert_int_equal(boot_plan_read(&plan, TDX_CODE, &info, sizeof(info)), 0);
	return info;
}

/* Each page of RAM is either added or accepted, and none both. */
static void assert_covers(u64 start, u64 stop)
{
	struct tdx_info info = read_info();

	for (u64 gpa = start; gpa < stop; gpa += 4096) {
		u32 times = 0;
		struct boot_run run = { 0 };

		while (boot_plan_next(&plan, &run))
			times += gpa >= run.gpa && gpa < run.gpa + run.len;
		for (u32 i = 0; i < info.count; i++)
			times += gpa >= info.ranges[i].start && gpa < info.ranges[i].end;
		if (times != 1)
			fail_msg("page 0x%llx: %u times", gpa, times);
	}
}

static void test_ranges(void **state)
{
	struct tdx_info info;

	begin(64 * MiB);
	make_kernel();
	assert_int_equal(make_plan(), 0);
	assert_covers(0, 64 * MiB);
	info = read_info();
	assert_int_equal(info.ranges[info.count - 1].end, 64 * MiB);
	assert_int_equal(info.entry, 1 * MiB);
	assert_int_equal(info.params, X86_BOOT_PARAMS);
	end();
	begin(5 * GiB);
	make_kernel();
	assert_int_equal(make_plan(), 0);
	info = read_info();
	assert_int_equal(info.ranges[info.count - 2].end, 3 * GiB);
	assert_int_equal(info.ranges[info.count - 1].start, 4 * GiB);
	assert_int_equal(info.ranges[info.count - 1].end, 6 * GiB);
	assert_covers(0, 8 * MiB);
	end();
}

/* More pieces than the page has room for. */
static void test_too_many(void **state)
{
	struct tdx_info info;

	begin(64 * MiB);
	for (u32 i = 0; i < TDX_MAX_RANGES - 1; i++)
		boot_plan_add(&plan, BOOT_KERNEL, "piece", 0x100000 + i * 0x2000ULL, "x", 1);
	assert_true(x86_tdx_ranges(&plan, &d.vm.mem, &info));
	assert_int_equal(info.count, TDX_MAX_RANGES);
	boot_plan_add(&plan, BOOT_KERNEL, "piece", 0x1000000, "x", 1);
	assert_false(x86_tdx_ranges(&plan, &d.vm.mem, &info));
	/* What wraps is refused by the list's own check. */
	boot_plan_add(&plan, BOOT_KERNEL, "piece", ~0ULL, "xx", 2);
	assert_false(x86_tdx_ranges(&plan, &d.vm.mem, &info));
	end();
}

static u64 word(u64 gpa, u32 bytes)
{
	u8 b[8];

	assert_int_equal(boot_plan_read(&plan, gpa, b, bytes), 0);
	return get_le(b, bytes);
}

/* The pages below 4 GiB: an empty mailbox and stack, tables, code with its jump at the end. */
static void test_stub(void **state)
{
	u8 page[4096], digest[32];

	begin(64 * MiB);
	make_kernel();
	assert_int_equal(make_plan(), 0);
	for (u64 at = 0; at < 0x2000; at += 8)
		assert_int_equal(word(TDX_MAILBOX + at, 8), 0);
	assert_int_equal(word(TDX_TABLES, 8) & ~0xfffULL, TDX_TABLES + 0x1000);
	assert_int_equal(word(TDX_TABLES + 0x1018, 8) & ~0xfffULL, TDX_TABLES + 0x5000);
	assert_int_equal(word(TDX_TABLES + 0x5ff8, 8) & ~0xfffULL, 0xffe00000);
	assert_int_equal(word(0xfffffff0, 1), 0xe9);
	assert_int_equal(boot_plan_read(&plan, TDX_CODE, page, sizeof(page)), 0);
	/* It enters every measurement: whoever changes it changes them all. */
	memset(page, 0, TDX_INFO_SIZE);
	if (!hash_library()) {
		end();
		skip();
	}
	hash_bytes(HASH_SHA256, page, sizeof(page), digest);
	assert_int_equal(get_le(digest, 4), 0x38219e89U);
	end();
}

/* What Linux finds: tables and mailbox as what it maps as private, vcpus in the mailbox. */
static void test_description(void **state)
{
	struct boot_params bp;
	u8 tables[4096];
	const u8 *wakeup;

	begin(64 * MiB);
	make_kernel();
	assert_int_equal(make_plan(), 0);
	assert_int_equal(boot_plan_read(&plan, X86_BOOT_PARAMS, &bp, sizeof(bp)), 0);
	assert_int_equal(bp.e820_entries, 7);
	assert_int_equal(bp.e820_table[2].addr, X86_ACPI_BASE);
	assert_int_equal(bp.e820_table[2].addr + bp.e820_table[2].size, 1 * MiB);
	assert_int_equal(bp.e820_table[2].type, 3);
	assert_int_equal(bp.e820_table[5].addr, TDX_MAILBOX);
	assert_int_equal(bp.e820_table[5].size, 0x1000);
	assert_int_equal(bp.e820_table[5].type, 4);
	assert_int_equal(bp.e820_table[6].type, 2);
	assert_int_equal(bp.e820_table[6].addr + bp.e820_table[6].size, 4 * GiB);
	assert_int_equal(boot_plan_read(&plan, X86_ACPI_BASE, tables, sizeof(tables)), 0);
	wakeup = memmem(tables, sizeof(tables), "\x10\x10\0\0\0\0\0\0\0\x70\xff\xff\0\0\0\0", 16);
	assert_non_null(wakeup);
	end();
}

/* A 32-bit entry is none. */
static void test_formats(void **state)
{
	static u8 elf[64 * KiB];

	begin(64 * MiB);
	build_elf64(elf, true);
	boot_image_from_buffer(&boot.kernel, "kernel", elf, ELF_TEST_SIZE);
	capture_begin();
	assert_int_equal(make_plan(), -ENOEXEC);
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, "entered in 64-bit mode");
	/* Linux has a 64-bit one beside it. */
	boot_plan_free(&plan);
	memcpy(elf + 0x800, "\6\0\0\0\0\0\0\0\0\1\0\0Linux\0\0\0", 20);
	capture_begin();
	make_plan();
	capture_end();
	end();
}

static void load_tiny(void)
{
	firmware = vector_file("tiny-fw.bin", &firmware_len);
	boot_image_from_buffer(&boot.firmware, "tiny-fw.bin", firmware, firmware_len);
}

static void test_tiny(void **state)
{
	const struct json *mrtd;
	struct boot_run run = { 0 };
	struct vectors v;
	u8 got[MRTD_LEN];
	char text[2 * MRTD_LEN + 1];

	begin(64 * MiB);
	load_tiny();
	assert_int_equal(make_plan(), 0);
	assert_run(&run, 0xfffff000, 0x1000, true);
	assert_run(&run, 0xffffe000, 0x1000, false);
	assert_run(&run, 0x9000, 0x2000, false);
	assert_run(&run, 0xb000, 0x1000, false);
	assert_false(boot_plan_next(&plan, &run));
	assert_int_equal(d.vm.arch->tdx_hob, 0x9000);
	assert_int_equal(plan.rank, 0);
	if (hash_library()) {
		vectors_open(&v, "tdx-mrtd.json");
		measure(got);
		for (u32 i = 0; i < MRTD_LEN; i++)
			snprintf(text + 2 * (size_t)i, 3, "%02x", got[i]);
		mrtd = json_member(json_member(v.nodes, "firmware"), "mrtd");
		assert_string_equal(json_text(mrtd, ""), text);
		vectors_close(&v);
	}
	free(firmware);
	end();
}

/* The HOB of tiny-fw: what sections are in is there, the rest is to be accepted, all in order. */
static void test_hob(void **state)
{
	static const struct {
		u32 type;
		u64 start, end;
	} memory[] = {
		{ 7, 0, 0x9000 },
		{ 0, 0x9000, 0xb000 },
		{ 0, 0xb000, 0xc000 },
		{ 7, 0xc000, 3 * GiB },
		{ 7, 4 * GiB, 4 * GiB + 2 * GiB },
	};
	u64 at = 0x9000 + 56;

	begin(5 * GiB);
	load_tiny();
	assert_int_equal(make_plan(), 0);
	for (size_t i = 0; i < ARRAY_SIZE(memory); i++, at += 48) {
		assert_int_equal(word(at, 2), 3);
		assert_int_equal(word(at + 24, 4), memory[i].type);
		assert_int_equal(word(at + 32, 8), memory[i].start);
		assert_int_equal(word(at + 40, 8), memory[i].end - memory[i].start);
	}
	assert_int_equal(word(at, 2), 0xffff);
	free(firmware);
	end();
}

static void put_section(u32 i, u64 gpa, u64 size, u32 type)
{
	u8 *p = firmware + 0x1d10 + (size_t)32 * i;

	memset(p, 0, 32);
	put_le(p + 8, 8, gpa);
	put_le(p + 16, 8, size);
	put_le(p + 24, 4, type);
}

static void assert_refused(int ret, const char *part)
{
	capture_begin();
	assert_int_equal(make_plan(), ret);
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, part);
	boot_plan_free(&plan);
}

static void build_bzimage(void)
{
	struct setup_header *hdr = (struct setup_header *)(kernel + 0x1f1);

	memset(kernel, 0x11, sizeof(kernel));
	hdr->boot_flag = 0xaa55;
	hdr->header = 0x53726448;
	hdr->version = 0x020f;
	hdr->xloadflags = XLF_KERNEL_64;
	boot_image_from_buffer(&boot.kernel, "bzImage", kernel, sizeof(kernel));
}

static void test_payload(void **state)
{
	static char words[] = "console=ttyS0";
	struct boot_run run = { 0 };
	u8 text[14];

	begin(64 * MiB);
	load_tiny();
	put_section(2, 0x9000, 0x4000, 2);
	put_section(3, 0x1000000, 0x20000, 5);
	put_section(4, 0x2000000, 0x1000, 6);
	assert_refused(-EINVAL, "add -k");
	build_bzimage();
	boot.is_linux = true;
	d.cfg.cmdline = words;
	assert_int_equal(make_plan(), 0);
	assert_run(&run, 0xfffff000, 0x1000, true);
	assert_run(&run, 0xffffe000, 0x1000, false);
	assert_run(&run, 0x9000, 0x4000, false);
	assert_run(&run, 0x1000000, sizeof(kernel), false);
	assert_run(&run, 0x1000000 + sizeof(kernel), 0x10000, false);
	assert_run(&run, 0x2000000, 0x1000, false);
	assert_int_equal(word(0x1000000, 1), 0x11);
	assert_int_equal(boot_plan_read(&plan, 0x2000000, text, sizeof(text)), 0);
	assert_memory_equal(text, words, sizeof(words));
	/* PHIT, 7 ranges, then the payload, the DSDT and others. */
	assert_int_equal(word(0x9000 + 56 + 7 * 48, 4), 4 | 40 << 16);
	assert_int_equal(word(0x9000 + 56 + 7 * 48 + 32, 8), 0x1000000);
	assert_int_equal(word(0x9000 + 56 + 7 * 48 + 40 + 24, 4), 0x54445344);
	boot_plan_free(&plan);

	d.cfg.cpus = 200;
	put_section(2, 0x9000, 0x1000, 2);
	assert_refused(-ENOSPC, "does not fit");
	d.cfg.cpus = 2;
	put_section(2, 0x9000, 0x4000, 2);
	put_section(3, 0x1000000, 0xf000, 5);
	assert_refused(-E2BIG, "more than the 61440");
	put_section(3, 0x1000000, 0x20000, 5);
	memset(kernel, 0, 0x400);
	assert_refused(-ENOEXEC, "not a bzImage");
	free(firmware);
	end();
}

static void test_bad_firmware(void **state)
{
	static char words[] = "quiet";

	begin(64 * MiB);
	load_tiny();
	make_kernel();
	assert_refused(-EINVAL, "omit -k");
	boot.kernel.path = NULL;
	d.cfg.params = words;
	assert_refused(-EINVAL, "omit --params");
	d.cfg.params = NULL;
	/* Where there is no RAM; across its end; over another. */
	put_section(3, 0x10000000, 0x1000, 3);
	assert_refused(-ENOMEM, "increase --mem");
	put_section(3, 64 * MiB - 0x1000, 0x2000, 3);
	assert_refused(-ENOMEM, "increase --mem");
	put_section(3, 0xa000, 0x1000, 3);
	assert_refused(-EEXIST, "overlap");
	firmware[0x1d00]++;
	assert_refused(-ENOEXEC, "has no TDX metadata");
	firmware[0x1d00]--;
	firmware[0x1d08]++;
	assert_refused(-ENOEXEC, "a damaged table");
	free(firmware);
	end();
}

/* A small list of each kind of run, by the rule. */
static void test_by_hand(void **state)
{
	u8 page[4096], want[MRTD_LEN], got[MRTD_LEN];
	struct boot_run run = { 0 };
	struct hash h;

	if (!hash_library())
		skip();
	begin(64 * MiB);
	make_kernel();
	assert_int_equal(make_plan(), 0);
	measure(got);
	hash_begin(&h, HASH_SHA384);
	while (boot_plan_next(&plan, &run))
		for (u64 at = 0; at < run.len; at += 4096) {
			assert_int_equal(boot_plan_read(&plan, run.gpa + at, page, 4096), 0);
			by_hand(&h, run.gpa + at, page, true);
		}
	hash_end(&h, want);
	assert_memory_equal(got, want, MRTD_LEN);
	/* A byte of the kernel, or of what it is told, is another guest. */
	boot_plan_free(&plan);
	kernel[5000]++;
	assert_int_equal(make_plan(), 0);
	measure(want);
	assert_memory_not_equal(got, want, MRTD_LEN);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel),	    cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_too_many),    cmocka_unit_test(test_stub),
		cmocka_unit_test(test_description), cmocka_unit_test(test_formats),
		cmocka_unit_test(test_tiny),	    cmocka_unit_test(test_hob),
		cmocka_unit_test(test_payload),	    cmocka_unit_test(test_bad_firmware),
		cmocka_unit_test(test_by_hand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
