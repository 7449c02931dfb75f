/* SPDX-License-Identifier: MIT */
/* arm64's part of `lkvm host`: interrupt controllers, the CPU, nested and confidential guests. */
#include "fake_host.h"

#define GICV4  PROBE_SEC_INTERRUPTS, "gicv4"
#define NESTED PROBE_SEC_NESTED, "nested"
#define CCA    PROBE_SEC_CONFIDENTIAL, "cca"
#define PKVM   PROBE_SEC_CONFIDENTIAL, "pkvm"

static void test_nothing(void **state)
{
	struct fake *f = *state;

	/* A KVM that makes a VM and has nothing else. */
	probe(f);
	assert_true(f->host.usable);
	expect_text(f, PROBE_SEC_HOST, "cpu", "implementer 0x41, part 0xd4f");
	expect_no(f, PROBE_SEC_INTERRUPTS, "gicv3", "not a GICv3");
	expect_no(f, PROBE_SEC_CPU, "sve-lengths", "no SVE");
	expect_no(f, PROBE_SEC_CPU, "pmu", "firmware describes");
	expect_no(f, PROBE_SEC_CPU, "lse", "not in these CPUs");
	expect_no(f, PROBE_SEC_CPU, "sme", "Linux 7.3");
	expect_no(f, PROBE_SEC_LIMITS, "address-bits", "40 bits");
	expect_no(f, PROBE_SEC_EXECUTION, "smccc-filter", "does not offer it");
	expect_no(f, PROBE_SEC_CONFIDENTIAL, "cca", "realms");
	f->arch.smccc = true;
	probe(f);
	expect_yes(f, PROBE_SEC_EXECUTION, "smccc-filter");
	unlink_in(f, "/proc/cpuinfo");
	probe(f);
	assert_int_equal(row(f, PROBE_SEC_HOST, "cpu")->answer, PROBE_UNKNOWN);
}

static void test_no_kvm(void **state)
{
	struct fake *f = *state;

	remove_kvm(f);
	probe(f);
	expect_no(f, PROBE_SEC_KVM, "device", "not started at EL2");
	assert_true(row(f, PROBE_SEC_CPU, "lse")->unasked);
	assert_true(row(f, NESTED)->unasked);
	assert_true(row(f, CCA)->unasked);
	assert_true(row(f, GICV4)->unasked);
	assert_true(row(f, PROBE_SEC_EXECUTION, "smccc-filter")->unasked);
	put(f, "/proc/cmdline", "quiet kvm-arm.mode=none\n");
	probe(f);
	expect_no(f, PROBE_SEC_KVM, "device", "kvm-arm.mode=none: remove");
}

static void test_small_addresses(void **state)
{
	struct fake *f = *state;

	f->sys_caps[KVM_CAP_ARM_VM_IPA_SIZE] = 36;
	probe(f);
	assert_int_equal(f->arch.vm_type, 36);
	f->sys_caps[KVM_CAP_ARM_VM_IPA_SIZE] = 48;
	f->vm_caps[KVM_CAP_ARM_VM_IPA_SIZE] = 48;
	probe(f);
	assert_int_equal(f->arch.vm_type, 0);
	expect_number(f, PROBE_SEC_LIMITS, "address-bits", 48);
}

static void test_gic(void **state)
{
	struct fake *f = *state;

	f->arch.devices = BIT(5);
	probe(f);
	expect_yes(f, PROBE_SEC_INTERRUPTS, "gicv2");
	expect_no(f, PROBE_SEC_INTERRUPTS, "gicv3-its", "needs a GICv3");
	expect_no(f, GICV4, "needs a GICv3");
	f->arch.devices = BIT(7) | BIT(8) | BIT(16);
	probe(f);
	expect_no(f, PROBE_SEC_INTERRUPTS, "gicv2", "not a GICv2");
	expect_yes(f, PROBE_SEC_INTERRUPTS, "gicv3");
	expect_yes(f, PROBE_SEC_INTERRUPTS, "gicv3-its");
	expect_yes(f, PROBE_SEC_INTERRUPTS, "gicv5");
	expect_no(f, GICV4, "kvm-arm.vgic_v4_enable=1");
	put(f, "/proc/cmdline", "kvm-arm.vgic_v4_enable=1\n");
	probe(f);
	assert_int_equal(row(f, GICV4)->answer, PROBE_UNKNOWN);
	f->arch.gicv4 = 0;
	probe(f);
	expect_no(f, GICV4, "not a GICv4");
	f->arch.gicv4 = 2;
	probe(f);
	expect_yes(f, GICV4);
}

static void test_features(void **state)
{
	struct fake *f = *state;
	const u32 isar0 = ARM_ID_REG(6, 0), isar1 = ARM_ID_REG(6, 1);

	f->arch.regs.value[isar0] = 0x200020;
	probe(f);
	expect_yes(f, PROBE_SEC_CPU, "lse");
	expect_yes(f, PROBE_SEC_CPU, "aes");
	expect_yes(f, PROBE_SEC_CPU, "pmull");
	expect_no(f, PROBE_SEC_CPU, "lse128", "not in these CPUs");
	assert_null(row(f, PROBE_SEC_CPU, "lse")->note);
	assert_int_equal(f->arch.features, BIT(KVM_ARM_VCPU_PSCI_0_2));

	f->arch.regs.value[isar1] = 1;
	f->arch.regs.writable[isar0] = 0xf00000;
	f->vm_caps[KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES] = 1;
	probe(f);
	expect_text(f, PROBE_SEC_CPU, "writable-id-registers", "feature-ids");
	assert_null(row(f, PROBE_SEC_CPU, "lse")->note);
	assert_contains(row(f, PROBE_SEC_CPU, "aes")->note, "fixed");
	assert_contains(row(f, PROBE_SEC_CPU, "dpb")->note, "fixed");

	f->arch.create_vcpu = -ENOMEM;
	probe(f);
	assert_int_equal(row(f, PROBE_SEC_CPU, "lse")->answer, PROBE_UNKNOWN);
	assert_int_equal(row(f, PROBE_SEC_CPU, "pmu-counters")->answer, PROBE_UNKNOWN);
}

static void test_sve_and_pmu(void **state)
{
	struct fake *f = *state;

	f->vm_caps[KVM_CAP_ARM_SVE] = f->vm_caps[KVM_CAP_ARM_PMU_V3] = 1;
	f->vm_caps[KVM_CAP_ARM_PTRAUTH_ADDRESS] = 1;
	f->arch.vls = 1 | 2 | 8;
	f->arch.pmcr = 6 << 11 | 0x41;
	probe(f);
	expect_yes(f, PROBE_SEC_CPU, "sve");
	expect_text(f, PROBE_SEC_CPU, "sve-lengths", "128 256 512");
	expect_number(f, PROBE_SEC_CPU, "pmu-counters", 6);
	f->vm_caps[KVM_CAP_ARM_MTE] = 1;
	probe(f);
	assert_true(f->arch.mte);
	/* One kind of authentication is none. */
	assert_int_equal(f->arch.features, 1 << 2 | 1 << 3 | 1 << 4);
	f->vm_caps[KVM_CAP_ARM_PTRAUTH_GENERIC] = 1;
	probe(f);
	assert_int_equal(f->arch.features, 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6);
}

static void test_nested(void **state)
{
	struct fake *f = *state;

	probe(f);
	expect_no(f, NESTED, "Linux 6.16 brought it");
	expect_no(f, PROBE_SEC_NESTED, "e2h0", "needs nested");
	put(f, "/proc/sys/kernel/osrelease", "7.2.1\n");
	probe(f);
	expect_no(f, NESTED, "boot the kernel with kvm-arm.mode=nested");
	put(f, "/proc/cmdline", "quiet kvm-arm.mode=nested\n");
	probe(f);
	expect_no(f, NESTED, "it needs a GICv3");
	f->arch.devices = BIT(7);
	probe(f);
	expect_no(f, NESTED, "no FEAT_NV2");
	f->vm_caps[KVM_CAP_ARM_EL2] = 1;
	probe(f);
	expect_yes(f, NESTED);
	expect_no(f, PROBE_SEC_NESTED, "e2h0", "without VHE");
	f->vm_caps[KVM_CAP_ARM_EL2_E2H0] = 1;
	probe(f);
	expect_yes(f, PROBE_SEC_NESTED, "e2h0");
}

static void test_pkvm(void **state)
{
	struct fake *f = *state;

	probe(f);
	expect_no(f, PKVM, "Linux 7.1 brought it");
	put(f, "/proc/sys/kernel/osrelease", "7.2.1\n");
	probe(f);
	expect_no(f, PKVM, "kvm-arm.mode=protected");
	put(f, "/proc/cmdline", "kvm-arm.mode=protected\n");
	probe(f);
	expect_yes(f, PKVM);
}

static void test_realms(void **state)
{
	/* The numbers that answer beside its own mean something else. */
	static const struct {
		unsigned long type;
		u32 rme, caps[4];
		const char *text;
	} hosts[] = {
		{ 1UL << 8, 300, { 300 }, "v7, capability 300" },
		{ 1UL << 8, 300, { 240, 243, 244, 300 }, "v7, capability 300" },
		{ 1UL << 8, 240, { 240, 243 }, "v8, capability 240" },
		{ 1UL << 8, 243, { 240, 243 }, "v9, capability 243" },
		{ 1UL << 8, 244, { 240, 243, 244 }, "v10, capability 244" },
		{ 1UL << 8, 0, { 244, 247 }, "v12, capability 247" },
		{ 1UL << 8, 0, { 240, 244, 248 }, "v13, capability 248" },
		{ 1UL << 30, 0, { 244, 249 }, "v14, capability 249" },
	};
	struct fake *f = *state;

	probe(f);
	expect_no(f, CCA, "this host's KVM has no realms");
	put(f, "/proc/cmdline", "kvm-arm.mode=nvhe\n");
	probe(f);
	expect_no(f, CCA, "without kvm-arm.mode=nvhe");
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		memset(f->arch.realm_caps, 0, sizeof(f->arch.realm_caps));
		f->arch.realm_type = hosts[i].type;
		f->arch.realm_rme = hosts[i].rme;
		for (size_t k = 0; k < ARRAY_SIZE(hosts[i].caps); k++)
			f->arch.realm_caps[hosts[i].caps[k]] = 1;
		f->arch.realm_caps[0] = 0;
		probe(f);
		expect_text(f, CCA, hosts[i].text);
	}
	f->arch.realm_type = 1UL << 30;
	f->arch.realm_caps[251] = 1;
	probe(f);
	expect_no(f, CCA, "in place");
	f->arch.realm_caps[250] = 8;
	probe(f);
	expect_text(f, CCA, "v15, capability 251");
	/* A kernel that says its number, known and not. */
	put(f, "/sys/module/kvm/parameters/kvm_cap_arm_rmi", "249\n");
	probe(f);
	expect_text(f, CCA, "v14, capability 249");
	put(f, "/sys/module/kvm/parameters/kvm_cap_arm_rmi", "260\n");
	f->arch.realm_caps[260] = 1;
	probe(f);
	expect_text(f, CCA, "v15, capability 260");
	f->arch.realm_caps[KVM_CAP_MEMORY_ATTRIBUTES] = 8;
	probe(f);
	expect_text(f, CCA, "v14, capability 260");
	memset(f->arch.realm_caps, 0, sizeof(f->arch.realm_caps));
	probe(f);
	expect_no(f, CCA, "no number of their capability");
	f->arch.create_realm = -EPERM;
	probe(f);
	expect_no(f, CCA, "no RMM answers");
	f->arch.create_realm = -ENOMEM;
	probe(f);
	assert_int_equal(row(f, CCA)->answer, PROBE_UNKNOWN);
}

static void test_json(void **state)
{
	struct fake *f = *state;

	f->arch.regs.value[ARM_ID_REG(6, 0)] = 0x200020;
	f->arch.regs.writable[ARM_ID_REG(6, 0)] = 0xf00000;
	f->vm_caps[KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES] = 1;
	probe(f);
	assert_int_equal(probe_arch_nr_cpu(), arm_nr_cpu_props);
	expect_json(f, "\"lse\"", "\"offered\":true");
	expect_json(f, "\"aes\"", "fixed: --cpu cannot remove it");
	expect_json(f, "\"lse128\"", "\"offered\":false");
	expect_json(f, "\"lse128\"", "\"why\":\"not in these CPUs");
	f->arch.create_vcpu = -EINVAL;
	probe(f);
	expect_json(f, "\"lse\"", "\"offered\":null");
}

static void test_no_iommu(void **state)
{
	struct fake *f = *state;

	probe(f);
	expect_no(f, PROBE_SEC_DEVICES, "iommu-groups", "describes no SMMU");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROBE_TEST(test_nothing),  PROBE_TEST(test_no_kvm),
		PROBE_TEST(test_gic),	   PROBE_TEST(test_small_addresses),
		PROBE_TEST(test_features), PROBE_TEST(test_sve_and_pmu),
		PROBE_TEST(test_nested),   PROBE_TEST(test_pkvm),
		PROBE_TEST(test_no_iommu), PROBE_TEST(test_realms),
		PROBE_TEST(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
