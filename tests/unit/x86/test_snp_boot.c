/* SPDX-License-Identifier: MIT */
/* What an SNP guest starts from: x86/snp-firmware.c, snp-stub.c, snp-state.c, and the measurement
 * of it by snp-measure.c. */
#include "vectors.h"

#include "capture.h"
#include "image_builder.h"

#include <asm/bootparam.h>

#include "../../../x86/boot.h"
#include "../../../x86/snp.h"
#include "lkvm/coco.h"
#include "lkvm/config-snp.h"
#include "lkvm/guest-snp.h"
#include "lkvm/plan.h"
#include "lkvm/vm.h"

static struct guest g;
static struct boot_plan plan;
static struct x86_boot b;

static void begin(u64 memory)
{
	guest_init(&g, memory);
	boot_plan_init(&plan);
	b = (struct x86_boot){
		.boot = &g.boot,
		.mem = &g.mem,
		.plan = &plan,
		.cmdline = "quiet",
		.rsdp = 0xe0000,
		.snp = true,
		.confidential = true,
		.signature = SNP_SIGNATURE_DEFAULT,
	};
}

static void end(void)
{
	boot_plan_free(&plan);
	guest_destroy(&g);
}

static int make_list(void)
{
	int ret;

	capture_begin();
	ret = x86_boot_list(&b);
	if (!ret)
		ret = boot_plan_check(&plan, &g.mem);
	capture_end();
	if (ret)
		assert_one_line(captured);
	return ret;
}

/* Of a guest with @cpus vcpus. */
static void measure(u32 cpus, u64 features, u8 ld[SNP_DIGEST_LEN])
{
	struct arch_vm arch = { .entry = b.entry };
	struct vm_config cfg = { .x86.snp = { .on = true, .features = features } };
	struct vm vm = { .cfg = &cfg, .arch = &arch };
	struct measure m = { .vm = &vm };
	const struct coco_measure *ops = &x86_snp_measure;
	struct boot_run run = { 0 };

	assert_int_equal(ops->begin(&m, &plan), 0);
	while (boot_plan_next(&plan, &run))
		assert_int_equal(ops->place(&m, &plan, &run), 0);
	for (u32 i = 0; i < cpus; i++)
		assert_int_equal(ops->vcpu(&m, i, &plan), 0);
	assert_int_equal(ops->finish(&m), 0);
	assert_int_equal(m.nr_results, 1);
	assert_string_equal(m.results[0].values[0].name, "launch-digest");
	memcpy(ld, m.results[0].values[0].bytes, SNP_DIGEST_LEN);
	ops->destroy(&m);
	measure_free(&m);
}

/* As QEMU's tools compute it. */
static void test_firmware_digest(void **state)
{
	const struct json *all, *v;
	struct vectors file;
	const char *kernel;
	size_t len;
	u8 *image, ld[SNP_DIGEST_LEN];
	u32 done = 0;

	NEEDS_HASH();
	image = vector_file("tiny-fw.bin", &len);
	vectors_open(&file, "snp-firmware.json");
	all = json_member(file.nodes, "vectors");
	for_each_vector(v, all)
	{
		const struct json *args = json_member(v, "args");

		kernel = json_text(json_member(args, "kernel"), NULL);
		if (json_member(args, "vmm"))
			continue;
		begin(16 * MiB);
		b.cmdline = NULL;
		if (kernel)
			boot_image_from_buffer(&g.boot.kernel, "kernel", (u8 *)kernel,
					       strlen(kernel));
		b.signature = (u32)vector_u64(v, "signature");
		boot_image_from_buffer(&g.boot.firmware, "fw", image, len);
		assert_int_equal(make_list(), 0);
		measure((u32)vector_u64(args, "vcpus"), vector_u64(args, "features"), ld);
		assert_hex(ld, sizeof(ld), json_text(json_member(v, "ld"), ""));
		end();
		done++;
	}
	assert_true(done >= 4);
	vectors_close(&file);
	free(image);
}

/* The last vector of its kind counts two vcpus: the second begins where the firmware says. */
static void test_reset_state(void **state)
{
	struct x86_entry entry = { .mode = X86_ENTRY_RESET,
				   .signature = 0xa00f11,
				   .ap_address = 0xfffff004 };
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	x86_snp_state(&entry, 0, &sregs, &regs);
	assert_true(sregs.cs.base == 0xffff0000 && regs.rip == 0xfff0 && regs.rdx == 0xa00f11);
	assert_int_equal(sregs.cs.type, 0xb);
	assert_int_equal(sregs.ss.type, 3);
	assert_int_equal(sregs.tr.type, 0xb);
	assert_true(sregs.apic_base == 0xfee00900);
	x86_snp_state(&entry, 1, &sregs, &regs);
	assert_true(sregs.cs.base == 0xffff0000 && regs.rip == 0xf004 && regs.rdx == 0xa00f11);
	assert_true(sregs.apic_base == 0xfee00800);
	entry.ap_address = 0;
	x86_snp_state(&entry, 1, &sregs, &regs);
	assert_true(sregs.cs.base == 0xffff0000 && regs.rip == 0xfff0);
	entry = (struct x86_entry){ .mode = X86_ENTRY_LONG64, .rip = 0xc8000, .rbx = 0xc9000 };
	x86_snp_state(&entry, 0, &sregs, &regs);
	assert_true(regs.rip == 0xc8000 && regs.rbx == 0xc9000 && sregs.cs.l && sregs.cr3);
	assert_int_equal(sregs.efer, 0x500);
	x86_snp_state(&entry, 1, &sregs, &regs);
	assert_true(!sregs.cs.l && regs.rip == 0xfff0 && !regs.rbx);
}

/* tiny-fw.bin with one field of its metadata changed. */
static int damaged(u64 at, u32 value)
{
	size_t len;
	u8 *image = vector_file("tiny-fw.bin", &len);
	int ret;

	begin(16 * MiB);
	put_le(image + at, 4, value);
	boot_image_from_buffer(&g.boot.firmware, "fw", image, len);
	ret = make_list();
	end();
	free(image);
	return ret;
}

#define ASEV 0x1c00U /* of 0x2000 bytes: 0x400 before the end */

static void test_firmware_damaged(void **state)
{
	static const struct {
		u64 at;
		u32 value;
		const char *why;
	} cases[] = {
		{ ASEV, 0, "its signature or its version" },
		{ ASEV + 4, 12, "reach beyond its end" },
		{ ASEV + 8, 2, "its signature or its version" },
		{ ASEV + 12, 0, "the number of its sections" },
		{ ASEV + 12, 65, "the number of its sections" },
		{ ASEV + 12, ~0U, "the number of its sections" },
		{ ASEV + 16, 0x1001, "not of whole pages" },
		{ ASEV + 20, 0, "not of whole pages" },
		{ ASEV + 20, 0x10, "not of whole pages" },
		{ ASEV + 24, 7, "type 7, which is unknown" },
		{ ASEV + 24, 2, "CPUID or secrets section is not one page" },
		{ ASEV + 16, 0x2000, "" },     /* over another section */
		{ ASEV + 16, 0xf0000000, "" }, /* no memory */
		{ ASEV + 20, 0xfffff000, "" },
	};

	assert_int_equal(damaged(0, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(damaged(cases[i].at, cases[i].value) < 0);
		assert_contains(captured, cases[i].why);
	}
}

/* Whatever any byte of the tables says. */
static void test_firmware_bytes(void **state)
{
	static const u32 values[] = { 0, 1, 0x7fffffff, 0x80000000, ~0U };

	for (u64 at = ASEV; at < 0x2000 - 16; at++)
		for (size_t i = 0; i < ARRAY_SIZE(values); i++)
			damaged(at, values[i]);
}

/* tests/vectors/snp-hashes-page.json: the page that the firmware finds. */
static void test_kernel_hashes(void **state)
{
	static char kernel[] = "KERNEL CONTENT", initrd[] = "INITRD CONTENT";
	const struct boot_entry *e;
	struct vectors file;
	size_t len;
	u8 *image = vector_file("tiny-fw.bin", &len), hash[48];

	NEEDS_HASH();
	vectors_open(&file, "snp-hashes-page.json");
	begin(16 * MiB);
	b.cmdline = "console=ttyS0";
	boot_image_from_buffer(&g.boot.firmware, "fw", image, len);
	boot_image_from_buffer(&g.boot.kernel, "kernel", (u8 *)kernel, strlen(kernel));
	guest_add_initrd(&g, "initrd", initrd, strlen(initrd));
	assert_int_equal(make_list(), 0);
	e = boot_plan_find(&plan, "kernel hashes");
	assert_true(e->gpa == 0x6000 && e->len == 4096);
	hash_bytes(HASH_SHA384, e->bytes, e->len, hash);
	assert_hex(hash, sizeof(hash), json_text(json_member(file.nodes, "sha384"), ""));
	end();
	/* Two: which would it be? */
	begin(16 * MiB);
	boot_image_from_buffer(&g.boot.firmware, "fw", image, len);
	boot_image_from_buffer(&g.boot.kernel, "kernel", (u8 *)kernel, strlen(kernel));
	guest_add_initrd(&g, "initrd", initrd, strlen(initrd));
	guest_add_initrd(&g, "initrd", initrd, strlen(initrd));
	assert_int_equal(make_list(), -EINVAL);
	assert_contains(captured, "one initrd at most");
	end();
	/* The section is another, or its table's place is. */
	for (u32 i = 0; i < 2; i++) {
		begin(16 * MiB);
		if (i)
			put_le(image + 0x2000 - 32 - 18 - 22 - 26, 4, 0x6fff);
		else
			put_le(image + ASEV + 16 + 4 * 12 + 8, 4, 1);
		boot_image_from_buffer(&g.boot.firmware, "fw", image, len);
		boot_image_from_buffer(&g.boot.kernel, "kernel", (u8 *)kernel, strlen(kernel));
		assert_int_equal(make_list(), -EINVAL);
		assert_contains(captured, i ? "the place of the kernel's hashes"
					    : "no place for a kernel's hashes");
		end();
		put_le(image + ASEV + 16 + 4 * 12 + 8, 4, 0x10);
	}
	vectors_close(&file);
	free(image);
}

static void test_firmware_without(void **state)
{
	static u8 image[64 * KiB];

	memset(image, 0x90, sizeof(image));
	put_le(image + sizeof(image) - 2, 2, 0xfeeb);
	begin(16 * MiB);
	boot_image_from_buffer(&g.boot.firmware, "fw", image, sizeof(image));
	assert_int_equal(make_list(), -ENOEXEC);
	assert_contains(captured, "it has no SEV metadata");
	end();
}

/* A kernel */

static u8 elf[ELF_TEST_SIZE];

static u64 param(const u8 *params, u32 at)
{
	return get_le(params + at, 8);
}

static const u8 *params_of(void)
{
	const struct boot_entry *e = boot_plan_find(&plan, "SNP stub's parameters");

	assert_non_null(e);
	assert_int_equal(e->gpa, X86_SNP_PARAMS);
	return e->bytes;
}

static bool is_launched(u64 page)
{
	struct boot_run run = { 0 };

	while (boot_plan_next(&plan, &run))
		if (page >= run.gpa && page < run.gpa + run.len)
			return true;
	return false;
}

/* Each page of memory is launched, or the stub accepts it: once. */
static void check_ranges(u64 memory)
{
	const u8 *params = params_of();
	u64 count = param(params, SNP_PARAMS_COUNT), last = 0, accepted = 0, launched = 0;
	struct boot_run run = { 0 };

	assert_true(count && count <= SNP_PARAMS_MAX);
	for (u64 i = 0; i < count; i++) {
		u64 base = param(params, (u32)(SNP_PARAMS_RANGES + i * 16));
		u64 to = param(params, (u32)(SNP_PARAMS_RANGES + i * 16 + 8));

		assert_true(base >= last && base < to && IS_ALIGNED(base | to, 4096ULL));
		assert_true(memory_holds_ram(&g.mem, base, to - base));
		assert_false(is_launched(base) || is_launched(to - 4096));
		accepted += to - base;
		last = to;
	}
	while (boot_plan_next(&plan, &run))
		launched += run.len;
	assert_true(accepted + launched == memory);
}

static void start_kernel(u64 memory)
{
	build_elf64(elf, false);
	begin(memory);
	boot_image_from_buffer(&g.boot.kernel, "vmlinux", elf, sizeof(elf));
	b.format = X86_KERNEL_ELF;
}

static void test_stub(void **state)
{
	static const u64 sizes[] = { 16 * MiB, 3 * GiB, 5 * GiB, 64 * GiB };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		start_kernel(sizes[i]);
		assert_int_equal(make_list(), 0);
		assert_true(b.entry.rip == X86_SNP_STUB && b.entry.rbx == X86_SNP_PARAMS);
		assert_true(param(params_of(), SNP_PARAMS_ENTRY) == ELF_TEST_ENTRY);
		assert_true(param(params_of(), SNP_PARAMS_RSI) == X86_BOOT_PARAMS);
		assert_true(param(params_of(), SNP_PARAMS_C_BIT) == BIT_ULL(51));
		assert_true(param(params_of(), SNP_PARAMS_TABLE) == X86_SNP_TABLE);
		/* The entry of the fifth GiB. */
		assert_true(param(params_of(), SNP_PARAMS_WINDOW) == X86_PAGE_TABLES + 0x1020);
		check_ranges(sizes[i]);
		end();
	}
}

/* Initrds that leave gaps, as many as there may be. */
static void test_stub_many(void **state)
{
	static u8 piece[0x1801];

	start_kernel(64 * MiB);
	for (u32 i = 0; i < 60; i++)
		guest_add_initrd(&g, "initrd", piece, sizeof(piece));
	assert_int_equal(make_list(), 0);
	check_ranges(64 * MiB);
	end();
}

static void test_kernel_tables(void **state)
{
	const struct boot_entry *e;
	const struct boot_params *bp;
	u64 setup, blob;

	start_kernel(5 * GiB);
	assert_int_equal(make_list(), 0);
	e = boot_plan_find(&plan, "page tables");
	for (u32 i = 0; i < e->len; i += 8)
		assert_true(!get_le(e->bytes + i, 8) || get_le(e->bytes + i, 8) & BIT_ULL(51));
	bp = (const void *)boot_plan_find(&plan, "boot parameters")->bytes;
	assert_true(bp->hdr.setup_data == X86_SNP_BLOB);
	/* RAM, reserved, tables, RAM, ECAM, RAM. */
	assert_int_equal(bp->e820_entries, 6);
	assert_int_equal(bp->e820_table[1].type, 2);
	assert_true(bp->e820_table[2].addr == X86_ACPI_BASE && bp->e820_table[2].type == 3);
	assert_true(bp->e820_table[2].addr + bp->e820_table[2].size == 0x100000);
	e = boot_plan_find(&plan, "setup data");
	assert_true(e->gpa == X86_SNP_BLOB && get_le(e->bytes + 8, 4) == 7);
	assert_int_equal(get_le(e->bytes + 12, 4), 4);
	setup = get_le(e->bytes + 16, 4);
	e = boot_plan_find(&plan, "confidential computing blob");
	blob = e->gpa;
	assert_true(setup == blob && get_le(e->bytes, 4) == 0x45444d41 && e->len == 40);
	assert_true(get_le(e->bytes + 8, 8) == X86_SNP_SECRETS);
	assert_int_equal(get_le(e->bytes + 16, 4), 4096);
	assert_true(get_le(e->bytes + 24, 8) == X86_SNP_CPUID);
	assert_int_equal(get_le(e->bytes + 32, 4), 4096);
	assert_int_equal(boot_plan_find(&plan, "secrets page")->kind, BOOT_SECRETS);
	assert_int_equal(boot_plan_find(&plan, "CPUID page")->kind, BOOT_CPUID);
	end();
}

/* The assembler has no say in what is measured. */
static void test_stub_bytes(void **state)
{
	u8 hash[32];

	NEEDS_HASH();
	start_kernel(16 * MiB);
	assert_int_equal(make_list(), 0);
	hash_bytes(HASH_SHA256, boot_plan_find(&plan, "SNP stub")->bytes,
		   boot_plan_find(&plan, "SNP stub")->len, hash);
	end();
	assert_hex(hash, sizeof(hash),
		   "f756975b63584adf27610594cc0436f9a96afbdefdecbb3660e75fee23d4bd48");
}

/* A vmlinux that has a PVH entry, too, is entered at its 64-bit one. */
static void test_pvh_kernel(void **state)
{
	start_kernel(16 * MiB);
	build_elf64(elf, true);
	b.format = X86_KERNEL_AUTO;
	if (make_list())
		assert_contains(captured, "not entered in 64-bit mode");
	else
		assert_true(b.entry.rip == X86_SNP_STUB);
	end();
}

/* The digest of a whole list, step by step by hand. */
static void test_kernel_digest(void **state)
{
	struct snp_digest d = { 0 };
	struct boot_run run = { 0 };
	u8 ld[SNP_DIGEST_LEN], page[4096], again[SNP_DIGEST_LEN];

	NEEDS_HASH();
	start_kernel(16 * MiB);
	assert_int_equal(make_list(), 0);
	measure(0, 0, ld);
	while (boot_plan_next(&plan, &run)) {
		for (u64 at = run.gpa; at < run.gpa + run.len; at += 4096) {
			enum snp_page_type type = run.kind == BOOT_ZERO	     ? SNP_PAGE_ZERO
						  : run.kind == BOOT_SECRETS ? SNP_PAGE_SECRETS
						  : run.kind == BOOT_CPUID   ? SNP_PAGE_CPUID
									     : SNP_PAGE_NORMAL;

			assert_int_equal(boot_plan_read(&plan, at, page, sizeof(page)), 0);
			snp_digest_page(&d, type, at, page);
		}
	}
	assert_memory_equal(ld, d.ld, sizeof(ld));
	measure(1, 0, ld);
	assert_memory_not_equal(ld, d.ld, sizeof(ld));
	measure(1, SNP_FEATURE_DEBUG_SWAP, again);
	assert_memory_not_equal(ld, again, sizeof(ld));
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_firmware_digest),	 cmocka_unit_test(test_reset_state),
		cmocka_unit_test(test_firmware_damaged), cmocka_unit_test(test_firmware_bytes),
		cmocka_unit_test(test_firmware_without), cmocka_unit_test(test_stub),
		cmocka_unit_test(test_stub_many),	 cmocka_unit_test(test_kernel_tables),
		cmocka_unit_test(test_kernel_hashes),	 cmocka_unit_test(test_stub_bytes),
		cmocka_unit_test(test_pvh_kernel),	 cmocka_unit_test(test_kernel_digest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
