/* SPDX-License-Identifier: MIT */
/* x86/snp-launch.c, snp-check.c and snp-cpuid.c against a KVM that is played. */
#include "fake_sev.h"

#include "../../../x86/tuning.h"
#include "lkvm/arch.h"

static int init(void)
{
	int ret;

	capture_begin();
	ret = x86_snp_init(&vm);
	capture_end();
	if (ret)
		assert_one_line(captured);
	return ret;
}

static void test_init(void **state)
{
	cfg.x86.snp.features = SNP_FEATURE_DEBUG_SWAP;
	assert_int_equal(init(), 0);
	assert_string_equal(captured, "");
	assert_int_equal(fake.hypercalls, 1 << 12);
	assert_int_equal(fake.nr_calls, 1);
	assert_int_equal(fake.calls[0].id, 22);
	assert_int_equal(fake.calls[0].u.init.vmsa_features, 0x20);
	assert_int_equal(fake.calls[0].u.init.flags, 0);
	assert_int_equal(fake.calls[0].u.init.ghcb_version, 0);
}

static void test_init_refused(void **state)
{
	static const struct {
		int error;
		u64 features;
		const char *why;
	} cases[] = {
		{ -EBUSY, 0, "no ASID is left" },
		{ -EINVAL, SNP_FEATURE_AVIC, "does not take these features: secure-avic" },
		{ -EINVAL, 0, "KVM_SEV_INIT2: Invalid argument" },
		{ -ENOTTY, 0, "kvm_amd with sev_snp=1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_teardown(NULL);
		fake_setup(NULL);
		cfg.x86.snp.features = cases[i].features;
		fake.fail_id = LKVM_SEV_INIT2;
		fake.fail_times = 1;
		fake.fail_fw = 0xffffffff;
		fake.fail_error = cases[i].error;
		assert_int_equal(init(), cases[i].error);
		assert_contains(captured, cases[i].why);
	}
}

/* 103 is sent for certificates only where it means them. */
static void test_certs(void **state)
{
	static char file[] = "certs";

	cfg.x86.snp.certs = file;
	assert_int_equal(init(), -EOPNOTSUPP);
	assert_contains(captured, "--snp-certs: this host's KVM does not ask");
	assert_int_equal(fake.nr_calls, 1);
	fake_teardown(NULL);
	fake_setup(NULL);
	cfg.x86.snp.certs = file;
	fake.attr[2] = 0;
	assert_int_equal(init(), -EOPNOTSUPP);
	assert_int_equal(fake.nr_calls, 1);
	fake_teardown(NULL);
	fake_setup(NULL);
	cfg.x86.snp.certs = file;
	fake.attr[2] = 1;
	assert_int_equal(init(), 0);
	assert_int_equal(fake.nr_calls, 2);
	assert_int_equal(fake.calls[1].id, 103);
	assert_false(fake.calls[1].has_data);
}

static void limit(s64 attr, bool kernel_has, u64 host_khz)
{
	fake_teardown(NULL);
	fake_setup(NULL);
	cfg.x86.snp.request_interval_ms = 2000;
	cfg.x86.snp.request_burst = 2;
	fake.attr[2] = attr;
	files.host_khz = host_khz;
	fake.fail_id = LKVM_SEV_SNP_SET_REQUEST_THROTTLE_RATE;
	fake.fail_times = !kernel_has;
	fake.fail_error = -EINVAL;
	fake.fail_fw = 0;
}

static void test_throttle(void **state)
{
	/* The patched kernel. */
	limit(-1, true, 0);
	assert_int_equal(init(), 0);
	assert_int_equal(fake.nr_calls, 2);
	assert_int_equal(fake.calls[1].id, 103);
	assert_int_equal(fake.calls[1].u.throttle.interval_ms, 2000);
	assert_int_equal(fake.calls[1].u.throttle.burst, 2);
	assert_false(arch.snp->throttle.cost_ns);
	/* Neither. */
	limit(-1, false, 0);
	assert_int_equal(init(), -EOPNOTSUPP);
	assert_contains(captured, "can neither limit a guest's requests nor");
	/* The host's own. */
	limit(-1, false, 5);
	assert_int_equal(init(), 0);
	assert_one_line(captured);
	assert_contains(captured, "has no effect");
	assert_contains(captured, "5 thousand requests");
	/* Certificates: 103 has no data, and lkvm counts. */
	limit(1, true, 0);
	assert_int_equal(init(), 0);
	assert_one_line(captured);
	assert_contains(captured, "no limit for plain ones");
	assert_int_equal(fake.nr_calls, 2);
	assert_false(fake.calls[1].has_data);
	assert_true(arch.snp->throttle.cost_ns == 1000000000ULL);
	/* The number has that meaning, whatever the value is. */
	limit(0, true, 5);
	assert_int_equal(init(), 0);
	assert_int_equal(fake.nr_calls, 1);
}

static struct boot_plan plan;

static int place(struct boot_run r)
{
	int ret;

	assert_int_equal(init(), 0);
	boot_plan_init(&plan);
	capture_begin();
	ret = x86_snp_place(&vm, &plan, &r);
	capture_end();
	return ret;
}

static struct boot_run pages(enum boot_kind kind, u64 count, bool measured)
{
	return (struct boot_run){
		.gpa = 0x10000, .len = count * 4096, .kind = kind, .measured = measured
	};
}

static const struct sev_call *update_number(u32 n)
{
	const struct sev_call *call = &fake.calls[2 + n]; /* INIT2, START */

	assert_true(2 + n < fake.nr_calls);
	assert_int_equal(call->id, LKVM_SEV_SNP_LAUNCH_UPDATE);
	return call;
}

static void test_page_types(void **state)
{
	static const struct {
		enum boot_kind kind;
		bool measured;
		u8 type;
	} cases[] = {
		{ BOOT_KERNEL, true, 1 },  { BOOT_KERNEL, false, 4 }, { BOOT_FIRMWARE, true, 1 },
		{ BOOT_TABLES, true, 1 },  { BOOT_STUB, true, 1 },    { BOOT_ZERO, true, 3 },
		{ BOOT_SECRETS, true, 5 }, { BOOT_CPUID, true, 6 },   { BOOT_INITRD, true, 1 },
		{ BOOT_INITRD, false, 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_teardown(NULL);
		fake_setup(NULL);
		assert_int_equal(place(pages(cases[i].kind, 1, cases[i].measured)), 0);
		assert_string_equal(captured, "");
		assert_int_equal(fake.nr_calls, 3);
		assert_int_equal(fake.calls[1].u.start.policy, 0x30000);
		assert_int_equal(update_number(0)->u.update.type, cases[i].type);
		assert_int_equal(update_number(0)->u.update.gfn_start, 0x10);
		assert_int_equal(update_number(0)->u.update.len, 4096);
		assert_int_equal(update_number(0)->u.update.flags, 0);
	}
	/* START is made once. */
	capture_begin();
	assert_int_equal(
		x86_snp_place(&vm, &plan, &(struct boot_run){ .len = 4096, .kind = BOOT_ZERO }), 0);
	capture_end();
	assert_int_equal(fake.nr_calls, 4);
}

/* KVM took a part: the rest is given again, from where it is. */
static void test_partial(void **state)
{
	fake.chunk = 3 * 4096;
	assert_int_equal(place(pages(BOOT_ZERO, 8, true)), 0);
	assert_int_equal(fake.nr_calls, 5);
	assert_int_equal(update_number(1)->u.update.gfn_start, 0x13);
	assert_int_equal(update_number(2)->u.update.gfn_start, 0x16);
	assert_int_equal(update_number(2)->u.update.len, 2 * 4096);
	assert_int_equal(update_number(2)->u.update.uaddr, 0);
	/* As long as there is progress. */
	fake_teardown(NULL);
	fake_setup(NULL);
	fake.chunk = 4096;
	assert_int_equal(place(pages(BOOT_ZERO, 20, true)), 0);
	assert_int_equal(fake.nr_calls, 22);
}

static void test_partial_bytes(void **state)
{
	u8 bytes[4 * 4096];

	for (u32 i = 0; i < sizeof(bytes); i++)
		bytes[i] = (u8)(i / 4096 + 1);
	fake.chunk = 4096;
	assert_int_equal(init(), 0);
	boot_plan_init(&plan);
	boot_plan_add(&plan, BOOT_KERNEL, "kernel", 0x10000, bytes, sizeof(bytes));
	assert_int_equal(x86_snp_place(&vm, &plan,
				       &(struct boot_run){ .gpa = 0x10000,
							   .len = sizeof(bytes),
							   .kind = BOOT_KERNEL,
							   .measured = true }),
			 0);
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(update_number(i)->first, i + 1);
	assert_int_equal(fake.nr_calls, 6);
	boot_plan_free(&plan);
}

/* EIO without the firmware's word is what an interruption looks like, too. */
static void test_interrupted(void **state)
{
	fake.fail_id = LKVM_SEV_SNP_LAUNCH_UPDATE;
	fake.fail_error = -EIO;
	fake.fail_times = 2;
	assert_int_equal(place(pages(BOOT_SECRETS, 1, true)), 0);
	assert_string_equal(captured, "");
	assert_int_equal(fake.nr_calls, 5);
	fake_teardown(NULL);
	fake_setup(NULL);
	fake.fail_id = LKVM_SEV_SNP_LAUNCH_UPDATE;
	fake.fail_error = -EIO;
	fake.fail_times = 1000;
	assert_int_equal(place(pages(BOOT_SECRETS, 1, true)), -EIO);
	assert_one_line(captured);
	assert_contains(captured, "LAUNCH_UPDATE of secrets pages (secrets) at 0x10000: "
				  "Input/output error");
	assert_true(fake.nr_calls < 10);
}

static void test_update_refused(void **state)
{
	fake.fail_id = LKVM_SEV_SNP_LAUNCH_UPDATE;
	fake.fail_error = -EIO;
	fake.fail_times = 1000;
	fake.fail_fw = 0x1a;
	assert_int_equal(place(pages(BOOT_KERNEL, 1, true)), -EIO);
	assert_one_line(captured);
	assert_contains(captured, "the firmware refuses: INVALID_PAGE_STATE (0x1a)");
	/* It is not asked again. */
	assert_int_equal(fake.nr_calls, 3);
}

static void start_fails(u64 policy, int error, u32 fw, const char *why)
{
	fake_teardown(NULL);
	fake_setup(NULL);
	cfg.x86.snp.policy = policy;
	files.smt = files.sockets = files.cxl = true;
	fake.fail_id = LKVM_SEV_SNP_LAUNCH_START;
	fake.fail_times = 1;
	fake.fail_error = error;
	fake.fail_fw = fw;
	assert_int_equal(place(pages(BOOT_ZERO, 1, true)), error);
	assert_one_line(captured);
	assert_contains(captured, why);
}

static void test_policy_refused(void **state)
{
	start_fails(0x20000, -EIO, 7, "POLICY_FAILURE (0x7); SMT is on in this host");
	start_fails(0x130000, -EIO, 7, "several sockets, and +single-socket wants one");
	assert_lacks(captured, "SMT is on");
	start_fails(0x30137, -EIO, 7, "older than ABI 1.55");
	start_fails(0x1430000, -EIO, 7, "what these ask for: mem-aes-256-xts, ciphertext-hiding");
	start_fails(0x40030000, -EINVAL, 0xffffffff, "does not take the policy 0x40030000");
	assert_contains(captured, "smt, bit 30");
	start_fails(0x30000, -EIO, 0x17, "RESOURCE_LIMIT (0x17)");
}

static void with_leaves(void)
{
	add_leaf(0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65);
	add_leaf(1, 0, 0xa00f11, 0, 0x81000001, 1);
	add_leaf(7, 0, 1, 0x0a, 0, 0xff);
	add_leaf(7, 1, 0, 0, 0, 0);
	add_leaf(0xd, 0, 7, 0x340, 0x340, 0);
	add_leaf(0xd, 1, 1, 0x340, 0, 0);
	add_leaf(0xd, 2, 0x100, 0x240, 0, 0);
	add_leaf(0x80000000, 0, 0x80000008, 1, 2, 3);
	add_leaf(0x80000008, 0, 0x3030, 0x2000001, 0, 0);
	add_leaf(0x80000021, 0, 0x205, 0, 5, 0);
}

static void cpuid_rejected(u32 times, bool fix)
{
	fake_teardown(NULL);
	fake_setup(NULL);
	with_leaves();
	cfg.x86.snp.cpuid_fix = fix;
	fake.fail_id = LKVM_SEV_SNP_LAUNCH_UPDATE;
	fake.fail_error = -EIO;
	fake.fail_fw = 0x16;
	fake.fail_times = times;
	fake.correct_cpuid = true;
}

static void test_cpuid_corrected(void **state)
{
	cpuid_rejected(1, false);
	assert_int_equal(place(pages(BOOT_CPUID, 1, true)), -EIO);
	assert_contains(captured, "CPUID 0x0.0 ECX: the firmware wants 0x444d4063 instead of "
				  "0x444d4163");
	assert_contains(captured, "take the corrections: --snp cpuid-fix");
	assert_int_equal(fake.nr_calls, 3);
	cpuid_rejected(1, true);
	assert_int_equal(place(pages(BOOT_CPUID, 1, true)), 0);
	assert_contains(captured, "CPUID 0x0.0 ECX");
	assert_int_equal(fake.nr_calls, 4);
	assert_int_equal(update_number(1)->u.update.type, 6);
	/* Once. */
	cpuid_rejected(2, true);
	assert_int_equal(place(pages(BOOT_CPUID, 1, true)), -EIO);
	assert_contains(captured, "INVALID_PARAM (0x16)");
	assert_int_equal(fake.nr_calls, 4);
	/* It says no without a correction. */
	cpuid_rejected(1, true);
	fake.correct_cpuid = false;
	assert_int_equal(place(pages(BOOT_CPUID, 1, true)), -EIO);
	assert_one_line(captured);
	assert_int_equal(fake.nr_calls, 3);
}

static const struct snp_cpuid_fn *find_fn(const struct snp_cpuid_page *page, u32 leaf, u32 index)
{
	for (u32 i = 0; i < le32_to_cpu(page->count); i++)
		if (le32_to_cpu(page->fn[i].eax_in) == leaf &&
		    le32_to_cpu(page->fn[i].ecx_in) == index)
			return &page->fn[i];
	return NULL;
}

static void test_cpuid_page(void **state)
{
	struct snp_cpuid_page page;

	with_leaves();
	assert_int_equal(x86_snp_add_leaf(&arch.cpuid), 0);
	assert_int_equal(x86_snp_cpuid_page(arch.cpuid, &page), 0);
	assert_int_equal(page.count, 10);
	assert_null(find_fn(&page, 7, 1));
	assert_int_equal(find_fn(&page, 1, 0)->ecx, 0x80000001);
	assert_int_equal(find_fn(&page, 7, 0)->ebx, 8);
	assert_int_equal(find_fn(&page, 7, 0)->edx, 0);
	assert_int_equal(find_fn(&page, 0xd, 0)->ebx, 0x240);
	assert_int_equal(find_fn(&page, 0xd, 0)->xcr0_in, 1);
	assert_int_equal(find_fn(&page, 0xd, 0)->xss_in, 0);
	assert_int_equal(find_fn(&page, 0xd, 1)->ebx, 0x240);
	assert_int_equal(find_fn(&page, 0xd, 2)->ebx, 0x240);
	assert_int_equal(find_fn(&page, 0xd, 2)->xcr0_in, 0);
	assert_int_equal(find_fn(&page, 0x80000000, 0)->eax, 0x8000001f);
	assert_int_equal(find_fn(&page, 0x80000008, 0)->ebx, 1);
	assert_int_equal(find_fn(&page, 0x80000021, 0)->eax, 5);
	assert_int_equal(find_fn(&page, 0x80000021, 0)->ecx, 0);
	assert_int_equal(find_fn(&page, 0x8000001f, 0)->eax, 0x1a);
	assert_int_equal(find_fn(&page, 0x8000001f, 0)->ebx, 51);
}

static void test_cpuid_full(void **state)
{
	struct snp_cpuid_page page;

	for (u32 i = 0; i < 64; i++)
		add_leaf(i + 0x20, 0, 1, 0, 0, 0);
	add_leaf(0x70, 0, 0, 0, 0, 0);
	assert_int_equal(x86_snp_cpuid_page(arch.cpuid, &page), 0);
	assert_int_equal(page.count, 64);
	add_leaf(0x71, 0, 0, 0, 0, 1);
	capture_begin();
	assert_int_equal(x86_snp_cpuid_page(arch.cpuid, &page), -E2BIG);
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, "65 leaves");
}

static void test_c_bit(void **state)
{
	add_leaf(0x8000001f, 0, 2, 51, 0, 0);
	assert_int_equal(x86_snp_check_c_bit(arch.cpuid), 0);
	arch.cpuid->entries[0].ebx = 47 | 1 << 6;
	capture_begin();
	assert_int_equal(x86_snp_check_c_bit(arch.cpuid), -EOPNOTSUPP);
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, "bit 47");
}

static int finish(void)
{
	int ret;

	assert_int_equal(init(), 0);
	capture_begin();
	ret = x86_snp_finish(&vm);
	capture_end();
	return ret;
}

static void test_finish(void **state)
{
	static char host_data[] =
		"01000000000000000000000000000000000000000000000000000000000000ff";
	const struct lkvm_sev_snp_launch_finish *f = &fake.calls[1].u.finish;

	cfg.x86.snp.host_data = host_data;
	assert_int_equal(finish(), 0);
	assert_int_equal(fake.calls[1].id, 102);
	assert_int_equal(f->id_block_en, 0);
	assert_int_equal(f->id_block_uaddr, 0);
	assert_int_equal(f->host_data[0], 1);
	assert_int_equal(f->host_data[31], 0xff);
	fake_teardown(NULL);
	fake_setup(NULL);
	files.has_id = true;
	files.auth.has_author_key = true;
	assert_int_equal(finish(), 0);
	assert_int_equal(f->id_block_en, 1);
	assert_int_equal(f->auth_key_en, 1);
	assert_true(f->id_block_uaddr == (uintptr_t)files.id_block);
	assert_true(f->id_auth_uaddr == (uintptr_t)files.id_auth);
	fake_teardown(NULL);
	fake_setup(NULL);
	files.has_id = true;
	assert_int_equal(finish(), 0);
	assert_int_equal(f->auth_key_en, 0);
}

/* What failed once is final. */
static void test_finish_refused(void **state)
{
	static const struct {
		u32 fw;
		const char *why;
	} cases[] = {
		{ 0xb, "is not what --snp-id-block names" },
		{ 0xa, "a signature in --snp-id-auth" },
		{ 0x7, "POLICY_FAILURE" },
		{ 0, "Input/output error" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_teardown(NULL);
		fake_setup(NULL);
		fake.fail_id = LKVM_SEV_SNP_LAUNCH_FINISH;
		fake.fail_times = 1;
		fake.fail_error = -EIO;
		fake.fail_fw = cases[i].fw;
		assert_int_equal(finish(), -EIO);
		assert_one_line(captured);
		assert_contains(captured, cases[i].why);
		assert_int_equal(fake.nr_calls, 2);
	}
}

static int check_host(void)
{
	int ret;

	capture_begin();
	ret = x86_snp_check_host(&vm.kvm, &cfg);
	capture_end();
	if (ret)
		assert_one_line(captured);
	return ret;
}

static void test_host(void **state)
{
	assert_int_equal(check_host(), -EOPNOTSUPP);
	assert_contains(captured, "has no SEV-SNP guests");
	fake.caps[KVM_CAP_VM_TYPES] = 1 << 4 | 1;
	fake.caps[KVM_CAP_USER_MEMORY2] = 1;
	assert_int_equal(check_host(), 0);
	/* KVM tells no masks: the launch will. */
	cfg.x86.snp.policy |= BIT_ULL(24) | BIT_ULL(40);
	cfg.x86.snp.features = SNP_FEATURE_AVIC;
	assert_int_equal(check_host(), 0);
	fake.attr[1] = 0x3bffff;
	assert_int_equal(check_host(), -EOPNOTSUPP);
	assert_contains(captured, "ciphertext-hiding-dram, bit 40; omit them");
	cfg.x86.snp.policy = 0x301ff; /* a version is no bit */
	fake.attr[1] = 0x30000;
	assert_int_equal(check_host(), 0);
	fake.attr[0] = 0x220;
	assert_int_equal(check_host(), -EOPNOTSUPP);
	assert_contains(captured, "no such feature: secure-avic; omit it");
	cfg.x86.snp.features = SNP_FEATURE_SECURE_TSC | SNP_FEATURE_DEBUG_SWAP;
	assert_int_equal(check_host(), 0);
}

/* What is read by KVM at the end is set, and not before by the usual start. */
static void test_vcpu(void **state)
{
	struct arch_vcpu part = { 0 };

	assert_int_equal(init(), 0);
	vcpu.arch = &part;
	arch.entry = (struct x86_entry){ .mode = X86_ENTRY_LONG64, .rip = 0xc8000 };
	assert_int_equal(arch_vcpu_reset(&vcpu), 0);
	assert_true(!fake.regs.rip);
	assert_int_equal(x86_snp_vcpu(&vcpu, &plan), 0);
	assert_true(fake.regs.rip == 0xc8000 && fake.sregs.cs.l);
	vcpu.id = 1;
	assert_int_equal(x86_snp_vcpu(&vcpu, &plan), 0);
	assert_true(fake.regs.rip == 0xfff0 && !fake.sregs.cs.l);
}

/* KVM refuses the frequency of a vcpu then: the VM has it. */
static void test_secure_tsc(void **state)
{
	cfg.x86.tuning.tsc_khz = 2000000;
	cfg.x86.snp.features = SNP_FEATURE_SECURE_TSC;
	assert_int_equal(x86_tsc_vcpu(&vcpu), 0);
}

static void test_no_node(void **state)
{
	static const struct {
		int error;
		const char *why;
	} cases[] = {
		{ ENOENT, "/dev/sev: no such device; load the module ccp" },
		{ EACCES, "/dev/sev: permission denied" },
		{ EBUSY, "/dev/sev: cannot open: Device or resource busy" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		files.sev_error = cases[i].error;
		capture_begin();
		assert_int_equal(x86_snp_ops(&cfg)->memory(&vm), -cases[i].error);
		capture_end();
		assert_one_line(captured);
		assert_contains(captured, cases[i].why);
		assert_int_equal(fake.nr_calls, 0);
	}
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_init),
		TEST(test_init_refused),
		TEST(test_certs),
		TEST(test_throttle),
		TEST(test_page_types),
		TEST(test_partial),
		TEST(test_partial_bytes),
		TEST(test_interrupted),
		TEST(test_update_refused),
		TEST(test_policy_refused),
		TEST(test_cpuid_corrected),
		TEST(test_cpuid_page),
		TEST(test_cpuid_full),
		TEST(test_c_bit),
		TEST(test_finish),
		TEST(test_finish_refused),
		TEST(test_host),
		TEST(test_vcpu),
		TEST(test_secure_tsc),
		TEST(test_no_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
