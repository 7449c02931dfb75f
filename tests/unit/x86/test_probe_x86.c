/* SPDX-License-Identifier: MIT */
/* x86's part of `lkvm host`: CPU properties, nested virtualization, confidential guests. */
#include "fake_host.h"

#include "../../../probe/x86/arch.h"

static void add_leaf(struct fake *f, u32 function, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	f->arch.cpuid[f->arch.nr_cpuid++] = (struct kvm_cpuid_entry2){
		.function = function,
		.eax = eax,
		.ebx = ebx,
		.ecx = ecx,
		.edx = edx,
	};
}

static void test_cpu(void **state)
{
	struct fake *f = *state;
	struct kvm_cpuid2 *hardware = calloc(1, sizeof(*hardware) + sizeof(hardware->entries[0]));
	struct kvm_cpuid2 *supported = calloc(1, sizeof(*supported));

	add_leaf(f, 0, 0x20, 0x68747541, 0x444d4163, 0x69746e65);
	add_leaf(f, 1, 0x00b20f21, 0, 1U << 21, 0); /* family 0x1a, model 0x22, x2apic */
	add_leaf(f, 0x80000008, 0x2f3034, 0, 0, 0);
	f->vm_caps[KVM_CAP_TSC_DEADLINE_TIMER] = 1;
	f->arch.tsc_khz = 2600000;
	probe(f);
	expect_text(f, PROBE_SEC_CPU, "vendor", "AuthenticAMD");
	expect_number(f, PROBE_SEC_CPU, "family", 0x1a);
	expect_number(f, PROBE_SEC_CPU, "model", 0x22);
	expect_number(f, PROBE_SEC_CPU, "stepping", 1);
	expect_number(f, PROBE_SEC_CPU, "phys-bits", 0x34);
	expect_number(f, PROBE_SEC_CPU, "guest-phys-bits", 0x2f);
	expect_yes(f, PROBE_SEC_CPU, "x2apic");
	/* Not in CPUID: KVM tells it by a capability. */
	expect_yes(f, PROBE_SEC_CPU, "tsc-deadline");
	expect_number(f, PROBE_SEC_TIME, "tsc-khz", 2600000);

	/* Another host, whose CPU has movbe: KVM withholds it, and popcnt is not there at all. */
	hardware->nent = 1;
	hardware->entries[0].function = 1;
	hardware->entries[0].ecx = 1U << 22;
	probe_destroy(&f->host);
	f->vm_caps[KVM_CAP_TSC_DEADLINE_TIMER] = 0;
	f->host = (struct probe){ .sys = &f->sys, .kvm_fd = FD_KVM, .vm_fd = FD_VM };
	x86_probe_cpu_rows(&f->host, supported, hardware);
	expect_no(f, PROBE_SEC_CPU, "movbe", "KVM does not pass it on");
	assert_true(row(f, PROBE_SEC_CPU, "movbe")->withheld);
	expect_no(f, PROBE_SEC_CPU, "popcnt", "not in this CPU");
	assert_false(row(f, PROBE_SEC_CPU, "popcnt")->withheld);
	expect_no(f, PROBE_SEC_CPU, "kvmclock", "this KVM");
	expect_no(f, PROBE_SEC_CPU, "tsc-deadline", "not in this CPU");
	free(hardware);
	free(supported);
}

static void test_nested(void **state)
{
	struct fake *f = *state;

	add_leaf(f, 1, 0, 0, 0, 0);
	probe(f);
	expect_no(f, PROBE_SEC_NESTED, "nested", "neither kvm_intel nor kvm_amd");
	put(f, "/sys/module/kvm_intel/parameters/nested", "N\n");
	probe(f);
	expect_no(f, PROBE_SEC_NESTED, "nested", "kvm_intel.nested is off (/sys/module/kvm_intel");
	expect_no(f, PROBE_SEC_NESTED, "vmx-mbec", "no nested VMX");
	unlink_in(f, "/sys/module/kvm_intel");
	put(f, "/sys/module/kvm_amd/parameters/nested", "0\n");
	probe(f);
	expect_no(f, PROBE_SEC_NESTED, "nested", "modprobe kvm_amd nested=1");

	f->arch.cpuid[0].ecx = 1U << 5;
	f->arch.vmx_msr = 1ULL << (32 + 22);
	probe(f);
	expect_text(f, PROBE_SEC_NESTED, "nested", "vmx");
	/* The MSR is read only where KVM says that it may be. */
	assert_int_equal(row(f, PROBE_SEC_NESTED, "vmx-mbec")->answer, PROBE_UNKNOWN);
	f->sys_caps[KVM_CAP_GET_MSR_FEATURES] = 1;
	probe(f);
	expect_yes(f, PROBE_SEC_NESTED, "vmx-mbec");
	expect_no(f, PROBE_SEC_NESTED, "vmx-ept", "does not offer it");
	put(f, "/proc/cpuinfo", "vendor_id\t: GenuineIntel\nvmx flags\t: vnmi ept\n");
	probe(f);
	expect_no(f, PROBE_SEC_NESTED, "vmx-ept", "though the CPU has it");
	expect_no(f, PROBE_SEC_NESTED, "vmx-vpid", "the CPU lacks it");
	/* An MSR that this KVM does not have. */
	expect_no(f, PROBE_SEC_NESTED, "vmx-ipi-virt", "does not offer it");
	expect_no(f, PROBE_SEC_NESTED, "svm-asids", "no nested SVM");

	f->arch.cpuid[0].ecx = 0;
	add_leaf(f, 0x80000001, 0, 0, 1U << 2, 0);
	add_leaf(f, 0x8000000a, 1, 8, 0, 1);
	probe(f);
	expect_text(f, PROBE_SEC_NESTED, "nested", "svm");
	expect_yes(f, PROBE_SEC_NESTED, "npt");
	expect_no(f, PROBE_SEC_NESTED, "vgif", "does not offer it");
	expect_number(f, PROBE_SEC_NESTED, "svm-asids", 8);
}

#define SNP PROBE_SEC_CONFIDENTIAL, "sev-snp"
static void test_snp(void **state)
{
	static const char param[] = "/sys/module/kvm_amd/parameters/sev_snp";
	struct fake *f = *state;

	probe(f);
	expect_no(f, SNP, "needs a CPU by AMD");
	put(f, "/proc/cpuinfo", "vendor_id\t: AuthenticAMD\nflags : svm sev\n");
	probe(f);
	expect_no(f, SNP, "Linux 6.11 brought it");
	expect_no(f, PROBE_SEC_CONFIDENTIAL, "tdx", "needs a CPU by Intel");
	put(f, "/proc/sys/kernel/osrelease", "6.18.1\n");
	probe(f);
	expect_no(f, SNP, "not kvm_amd");
	put(f, "/sys/module/kvm_amd/parameters/sev", "Y\n");
	probe(f);
	expect_no(f, SNP, "no parameter 'sev_snp'");
	put(f, param, "N\n");
	probe(f);
	expect_no(f, SNP, "has no sev_snp");
	put(f, "/proc/cpuinfo", "vendor_id\t: AuthenticAMD\nflags : svm sev sev_snp\n");
	probe(f);
	expect_no(f, SNP, "kvm_amd.sev_snp is off");
	put(f, param, "Y\n");
	probe(f);
	expect_no(f, SNP, "see the kernel's log");

	f->sys_caps[KVM_CAP_VM_TYPES] = 1 << 4;
	probe(f);
	expect_no(f, SNP, "a launch needs /dev/sev: not loaded: modprobe ccp");
	put(f, "/dev/sev", "");
	put(f, "/sys/class/misc/sev/dev", "");
	f->denied = "/dev/sev";
	probe(f);
	expect_no(f, SNP, "/dev/sev: permission denied");
	f->denied = NULL;
	probe(f);
	expect_yes(f, SNP);
	expect_no(f, PROBE_SEC_CONFIDENTIAL, "sev-es", "built without it");
	put(f, "/sys/fs/cgroup/misc.capacity", "sev 410\nsev_es 99\n");
	probe(f);
	expect_text(f, SNP, "99 guests at once");
}

static void test_sev_attributes(void **state)
{
	struct fake *f = *state;

	f->arch.sev_attr[0] = 1 << 5 | 1 << 9;
	probe(f);
	expect_no(f, PROBE_SEC_CONFIDENTIAL, "sev-vmsa-features", "no SEV here");
	f->sys_caps[KVM_CAP_VM_TYPES] = 1 << 4;
	f->sys_caps[KVM_CAP_SYS_ATTRIBUTES] = 1;
	probe(f);
	expect_text(f, PROBE_SEC_CONFIDENTIAL, "sev-vmsa-features", "debug-swap secure-tsc");
	expect_no(f, PROBE_SEC_CONFIDENTIAL, "snp-policy", "does not say");
	f->arch.sev_attr[1] = 0xffff | 1 << 16 | 1 << 17 | 1 << 19;
	f->arch.sev_attr[2] = 1;
	probe(f);
	expect_text(f, PROBE_SEC_CONFIDENTIAL, "snp-policy", "smt debug");
	expect_yes(f, PROBE_SEC_CONFIDENTIAL, "snp-certificates");

	put(f, "/sys/module/kvm_amd/parameters/ciphertext_hiding_asids", "0\n");
	probe(f);
	expect_no(f, PROBE_SEC_CONFIDENTIAL, "snp-ciphertext-hiding", "is 0 (/sys/module");
	expect_no(f, PROBE_SEC_CONFIDENTIAL, "snp-request-throttle", "no release");
}

static void test_asids(void **state)
{
	static const struct {
		u32 ecx, edx;
		u64 hiding;
		const char *text;
	} cases[] = {
		{ 509, 100, 0, "SNP and SEV-ES 1-99, SEV 100-509" },
		{ 509, 100, 40, "SNP 1-40, SEV-ES 41-99, SEV 100-509" },
		{ 509, 100, 1000, "SNP 1-99, SEV 100-509" },
		{ 509, 1, 0, "SEV 1-509" },
		{ 15, 16, 0, "SNP and SEV-ES 1-15" },
		{ 0, 0, 0, "" },
	};
	char text[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		x86_probe_asids(cases[i].ecx, cases[i].edx, cases[i].hiding, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
	}
	/* No more than there is room for. */
	x86_probe_asids(509, 100, 0, text, 8);
	assert_int_equal(strlen(text), 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROBE_TEST(test_cpu),	      PROBE_TEST(test_nested),
		PROBE_TEST(test_snp),	      PROBE_TEST(test_sev_attributes),
		cmocka_unit_test(test_asids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
