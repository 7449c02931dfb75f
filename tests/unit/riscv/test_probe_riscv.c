/* SPDX-License-Identifier: MIT */
/* riscv64's part of `lkvm host`: extensions, the AIA, what KVM lets one change. */
#include "ext_set.h"
#include "fake_host.h"

#define AIA    PROBE_SEC_INTERRUPTS, "aia"
#define IDS    PROBE_SEC_INTERRUPTS, "aia-identities"
#define FILES  PROBE_SEC_INTERRUPTS, "guest-interrupt-files"
#define NESTED PROBE_SEC_NESTED, "nested"
#define FEWER  PROBE_SEC_LIMITS, "fewer-address-bits"

static void ask(struct fake *f)
{
	f->arch.has_vcpu = false;
	probe(f);
}

static void test_nothing(void **state)
{
	struct fake *f = *state;

	/* A KVM that makes a VM and has nothing else. */
	ask(f);
	assert_true(f->host.usable);
	expect_text(f, PROBE_SEC_HOST, "cpu", "mvendorid 0x5b7, marchid 0x10");
	expect_no(f, PROBE_SEC_LIMITS, "address-bits", "41 bits");
	expect_no(f, FEWER, "Linux 7.2");
	expect_no(f, PROBE_SEC_EXECUTION, "mp-state-reset", "6.16");
	expect_no(f, AIA, "no Ssaia");
	expect_no(f, IDS, "no Ssaia");
	expect_no(f, FILES, "no Ssaia");
	expect_no(f, PROBE_SEC_CPU, "zba", "not in these CPUs");
	expect_no(f, PROBE_SEC_CPU, "guest-page-tables", "6.6");
	expect_no(f, PROBE_SEC_CPU, "pmu", "CPUs with Sscofpmf");
	expect_no(f, PROBE_SEC_TIME, "steal-time", "CONFIG_SCHED_INFO");
	expect_no(f, PROBE_SEC_TIME, "timebase", "does not say");
	expect_no(f, PROBE_SEC_EXECUTION, "sbi", "older than Linux 6.4");
	expect_no(f, PROBE_SEC_EXECUTION, "system-suspend", "SUSP");
	expect_no(f, NESTED, "does not know the H extension");
	put(f, "/proc/sys/kernel/osrelease", "6.12.0-test\n");
	ask(f);
	expect_no(f, PROBE_SEC_MEMORY, "pre-fault", "only on x86-64");
	expect_no(f, PROBE_SEC_EXECUTION, "mp-state-reset", "Linux 6.16 brought it");
	put(f, "/proc/sys/kernel/osrelease", "7.2.0-test\n");
	ask(f);
	expect_no(f, PROBE_SEC_EXECUTION, "mp-state-reset", "not on this architecture");
	expect_no(f, PROBE_SEC_INTERRUPTS, "irqfd-resample", "not on this architecture");
	put(f, "/proc/sys/kernel/osrelease", "6.1.0-test\n");
	ask(f);
	expect_no(f, AIA, "Linux 6.5 brought it");
	put(f, "/proc/cpuinfo", "processor\t: 0\nuarch\t\t: sifive,u74-mc\n");
	ask(f);
	expect_text(f, PROBE_SEC_HOST, "cpu", "sifive,u74-mc");
	unlink_in(f, "/proc/cpuinfo");
	ask(f);
	assert_int_equal(row(f, PROBE_SEC_HOST, "cpu")->answer, PROBE_UNKNOWN);
}

static void test_no_kvm(void **state)
{
	struct fake *f = *state;

	remove_kvm(f);
	ask(f);
	expect_no(f, PROBE_SEC_KVM, "device", "modprobe kvm");
	assert_true(row(f, PROBE_SEC_CPU, "zba")->unasked);
	assert_true(row(f, PROBE_SEC_CPU, "guest-page-tables")->unasked);
	assert_true(row(f, NESTED)->unasked);
	assert_true(row(f, AIA)->unasked);
	assert_true(row(f, FEWER)->unasked);
	/* An "h" elsewhere is none of the letters. */
	put(f, "/proc/cpuinfo", "isa\t\t: rv64imafdc_zihpm\n");
	ask(f);
	expect_no(f, PROBE_SEC_KVM, "device", "the CPUs have no H extension");
}

static void test_extensions(void **state)
{
	struct fake *f = *state;

	f->arch.there = set_of("i m a f d c h zba zicbom svadu v");
	f->arch.on = set_of("i m a f d c zba zicbom");
	f->arch.can = set_of("f d zicbom svadu");
	ask(f);
	expect_yes(f, PROBE_SEC_CPU, "zba");
	assert_contains(row(f, PROBE_SEC_CPU, "zba")->note, "fixed");
	expect_yes(f, PROBE_SEC_CPU, "zicbom");
	assert_null(row(f, PROBE_SEC_CPU, "zicbom")->note);
	expect_yes(f, PROBE_SEC_CPU, "svadu");
	assert_contains(row(f, PROBE_SEC_CPU, "svadu")->note, "host,+svadu");
	expect_no(f, PROBE_SEC_CPU, "v", "riscv_v_default_allow");
	assert_true(row(f, PROBE_SEC_CPU, "v")->withheld);
	assert_false(row(f, PROBE_SEC_CPU, "zbb")->withheld);
	expect_no(f, NESTED, "no KVM up to Linux 7.3");
	/* What was tried is as it was. */
	assert_memory_equal(&f->arch.on, &f->arch.was, sizeof(f->arch.on));
	f->arch.can = set_of("h");
	ask(f);
	expect_yes(f, NESTED);

	f->arch.create_vcpu = -ENOMEM;
	ask(f);
	assert_int_equal(row(f, PROBE_SEC_CPU, "zba")->answer, PROBE_UNKNOWN);
	assert_int_equal(row(f, NESTED)->answer, PROBE_UNKNOWN);
}

static void test_rows(void **state)
{
	struct fake *f = *state;

	f->vm_caps[KVM_CAP_VM_GPA_BITS] = 50;
	f->arch.fewer_bits = f->arch.mp_reset = 0;
	f->arch.sbi = 1 << 5 | 1 << 6 | 1 << 10 | 1 << 11 | 1ULL << 40;
	f->arch.satp_mode = 9;
	f->arch.timebase = 10000000;
	ask(f);
	expect_number(f, PROBE_SEC_LIMITS, "address-bits", 50);
	expect_yes(f, FEWER);
	expect_yes(f, PROBE_SEC_EXECUTION, "mp-state-reset");
	expect_text(f, PROBE_SEC_EXECUTION, "sbi", "hsm pmu sta susp");
	expect_yes(f, PROBE_SEC_EXECUTION, "system-suspend");
	expect_yes(f, PROBE_SEC_CPU, "pmu");
	expect_text(f, PROBE_SEC_CPU, "guest-page-tables", "sv48");
	expect_number(f, PROBE_SEC_TIME, "timebase", 10000000);
	expect_yes(f, PROBE_SEC_TIME, "steal-time");
}

static void test_aia(void **state)
{
	struct fake *f = *state;

	f->arch.create_aia = 0;
	f->arch.aia_ids = 255;
	ask(f);
	expect_yes(f, AIA);
	expect_number(f, IDS, 255);
	expect_no(f, FILES, "KVM emulates the AIA");
	f->arch.aia_mode = 2;
	ask(f);
	expect_yes(f, FILES);
	f->arch.aia_attr = -ENXIO;
	ask(f);
	assert_int_equal(row(f, IDS)->answer, PROBE_UNKNOWN);
	assert_int_equal(row(f, FILES)->answer, PROBE_UNKNOWN);
	f->arch.create_aia = -ENOMEM;
	ask(f);
	assert_int_equal(row(f, AIA)->answer, PROBE_UNKNOWN);
}

static void test_json(void **state)
{
	struct fake *f = *state;

	f->arch.there = f->arch.on = set_of("i zbb");
	ask(f);
	assert_int_equal(probe_arch_nr_cpu(), riscv_nr_exts);
	expect_json(f, "\"zbb\"", "true");
	expect_json(f, "\"zbb\"", "fixed");
	expect_json(f, "\"zba\"", "false");
	expect_json(f, "\"zba\"", "not in these CPUs");
	f->arch.create_vcpu = -EINVAL;
	ask(f);
	expect_json(f, "\"zba\"", "null");
}

static void test_no_iommu(void **state)
{
	struct fake *f = *state;

	ask(f);
	expect_no(f, PROBE_SEC_DEVICES, "iommu-groups", "CONFIG_RISCV_IOMMU");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROBE_TEST(test_nothing),  PROBE_TEST(test_no_kvm), PROBE_TEST(test_extensions),
		PROBE_TEST(test_rows),	   PROBE_TEST(test_aia),    PROBE_TEST(test_json),
		PROBE_TEST(test_no_iommu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
