/* SPDX-License-Identifier: MIT */
/* What a KVM that is played is asked for clocks, idling and the PMU, and what it is told it lacks.
 */
#include "capture.h"
#include "fake_ioctl.h"

#include <kvm-compat.h>
#include <stdlib.h>

#include "../../../x86/tuning.h"
#include "../../../x86/vcpu-state.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define VM_FD	 1000
#define VCPU_FD	 2000 /* and up */
#define HOST_KHZ 2600000

static struct {
	int caps[512];
	struct {
		u32 cap;
		u64 arg;
	} enabled[8];
	u32 nr_enabled;
	int error;  /* of KVM_ENABLE_CAP, KVM_SET_PMU_EVENT_FILTER and KVM_SET_TSC_KHZ of a vcpu */
	int vm_khz; /* 0: it does not say */
	u32 vcpu_khz[2], default_khz, set_default;
	bool lies;
	u64 tsc[2];
	u32 filters;
} kvm;

static int get_khz(int fd)
{
	if (fd == VM_FD)
		return kvm.vm_khz ? (int)kvm.default_khz : -ENOTTY;
	return (int)kvm.vcpu_khz[fd - VCPU_FD] + kvm.lies;
}

static int answer(int fd, unsigned long request, unsigned long arg)
{
	const struct kvm_enable_cap *enable = (void *)arg;
	const struct kvm_msrs *msrs = (void *)arg;

	switch (request) {
	case KVM_CHECK_EXTENSION:
		return kvm.caps[arg];
	case KVM_ENABLE_CAP:
		assert_int_equal(fd, VM_FD);
		kvm.enabled[kvm.nr_enabled].cap = enable->cap;
		kvm.enabled[kvm.nr_enabled++].arg = enable->args[0];
		return -kvm.error;
	case KVM_SET_PMU_EVENT_FILTER:
		kvm.filters++;
		return -kvm.error;
	case KVM_GET_TSC_KHZ:
		return get_khz(fd);
	case KVM_SET_TSC_KHZ:
		if (fd == VM_FD)
			kvm.default_khz = kvm.set_default = (u32)arg;
		else
			kvm.vcpu_khz[fd - VCPU_FD] = (u32)arg;
		return fd == VM_FD ? 0 : -kvm.error;
	case KVM_SET_MSRS:
		assert_int_equal(msrs->entries[0].index, MSR_TSC);
		kvm.tsc[fd - VCPU_FD] = msrs->entries[0].data;
		return 1;
	}
	fail_msg("file %d was asked 0x%lx", fd, request);
	return -ENOTTY;
}

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	int ret = answer(fd, request, (unsigned long)arg);

	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

static struct vm_config cfg;
static struct vm vm;
static struct vcpu vcpus[2], *list[2] = { &vcpus[0], &vcpus[1] };
static struct kvm_cpuid2 *supported;

static int setup(void **state)
{
	memset(&kvm, 0, sizeof(kvm));
	cfg = (struct vm_config){ .cpus = 2 };
	vm = (struct vm){ .cfg = &cfg, .vcpus = list, .nr_vcpus = 2 };
	vm.kvm.vm_fd = vm.kvm.sys_fd = VM_FD;
	kvm.vm_khz = 1;
	kvm.default_khz = HOST_KHZ;
	for (u32 i = 0; i < 2; i++) {
		vcpus[i] = (struct vcpu){ .vm = &vm, .id = i, .fd = VCPU_FD + (int)i };
		kvm.vcpu_khz[i] = HOST_KHZ;
		kvm.tsc[i] = 77;
	}
	supported = xcalloc(1, sizeof(*supported) + 4 * sizeof(supported->entries[0]));
	return 0;
}

static int teardown(void **state)
{
	free(supported);
	return 0;
}

static void add_leaf(u32 function, u32 eax, u32 ebx, u32 ecx)
{
	supported->entries[supported->nent++] = (struct kvm_cpuid_entry2){
		.function = function,
		.eax = eax,
		.ebx = ebx,
		.ecx = ecx,
	};
}

#define assert_says(call, ret, text)             \
	do {                                     \
		capture_begin();                 \
		assert_int_equal((call), (ret)); \
		capture_end();                   \
		assert_one_line(captured);       \
		assert_contains(captured, text); \
	} while (0)

static void refused(const char *text)
{
	assert_says(x86_caps_check(&vm.kvm, &cfg, supported), -EOPNOTSUPP, text);
}

static void taken(void)
{
	capture_begin();
	assert_int_equal(x86_caps_check(&vm.kvm, &cfg, supported), 0);
	assert_int_equal(x86_caps_enable(&vm.kvm, &cfg), 0);
	capture_end();
	assert_string_equal(captured, "");
}

static void assert_enabled(u32 nth, u32 cap, u64 arg)
{
	assert_true(nth < kvm.nr_enabled);
	assert_int_equal(kvm.enabled[nth].cap, cap);
	assert_true(kvm.enabled[nth].arg == arg);
}

/* Of a KVM that has everything: nothing is asked for, nothing is enabled. */
static void test_default(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(kvm.caps); i++)
		kvm.caps[i] = -1;
	taken();
	assert_int_equal(x86_tsc_begin(&vm.kvm, &cfg), 0);
	assert_int_equal(x86_tsc_vcpu(&vcpus[0]), 0);
	assert_int_equal(x86_tsc_end(&vm), 0);
	assert_int_equal(x86_pmu_set_filter(&vm.kvm, &cfg, supported), 0);
	assert_int_equal(kvm.nr_enabled + kvm.filters + kvm.set_default, 0);
	assert_int_equal(x86_tsc_khz(&vcpus[0]), HOST_KHZ);
}

static void test_arguments(void **state)
{
	cfg.x86.tuning = (struct x86_tuning){
		.apic_bus_hz = 25000000,
		.disable_exits = X86_EXIT_HLT | X86_EXIT_PAUSE,
		.pmu = X86_PMU_OFF,
		.bus_lock_limit = 1,
		.notify_window = 0x80000000,
		.has_notify_window = true,
	};
	cfg.vcpu_affinity = (char *)"0-1";
	kvm.caps[KVM_CAP_X86_APIC_BUS_CYCLES_NS] = 1;
	kvm.caps[KVM_CAP_X86_DISABLE_EXITS] = 6;
	kvm.caps[KVM_CAP_PMU_CAPABILITY] = 1;
	kvm.caps[KVM_CAP_X86_BUS_LOCK_EXIT] = 3;
	kvm.caps[KVM_CAP_X86_NOTIFY_VMEXIT] = 3;
	taken();
	assert_int_equal(kvm.nr_enabled, 5);
	assert_enabled(0, KVM_CAP_X86_APIC_BUS_CYCLES_NS, 40);
	assert_enabled(1, KVM_CAP_X86_DISABLE_EXITS, 6);
	assert_enabled(2, KVM_CAP_PMU_CAPABILITY, 1);
	assert_enabled(3, KVM_CAP_X86_BUS_LOCK_EXIT, 2);
	assert_enabled(4, KVM_CAP_X86_NOTIFY_VMEXIT, 0x8000000000000003ULL);
	kvm.error = EBUSY;
	kvm.nr_enabled = 0;
	assert_says(x86_caps_enable(&vm.kvm, &cfg), -EBUSY,
		    "--apic-bus-hz: KVM_CAP_X86_APIC_BUS_CYCLES_NS: Device or resource busy");
}

static void test_lacking(void **state)
{
	static const struct {
		struct x86_tuning asked;
		const char *says;
	} cases[] = {
		{ { .apic_bus_hz = 25000000 }, "--apic-bus-hz: this host's KVM cannot" },
		{ { .disable_exits = X86_EXIT_HLT },
		  "--disable-exits hlt: this host's KVM does not" },
		{ { .bus_lock_limit = 1 }, "--bus-lock-limit: this host's KVM does not see" },
		{ { .has_notify_window = true }, "--notify-window: this host's KVM has no" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cfg.x86.tuning = cases[i].asked;
		refused(cases[i].says);
	}
	/* A bit that is not among the others. */
	kvm.caps[KVM_CAP_X86_BUS_LOCK_EXIT] = KVM_BUS_LOCK_DETECTION_OFF;
	kvm.caps[KVM_CAP_X86_NOTIFY_VMEXIT] = 1;
	refused(cases[3].says);
	cfg.x86.tuning = cases[2].asked;
	refused(cases[2].says);
	kvm.caps[KVM_CAP_X86_DISABLE_EXITS] = 0xe;
	cfg.x86.tuning = (struct x86_tuning){ .disable_exits = X86_EXIT_HLT | X86_EXIT_MWAIT };
	refused("--disable-exits mwait: this host's KVM does not offer it");
	assert_lacks(captured, "hlt:");
	assert_int_equal(kvm.nr_enabled, 0);
}

/* Unless as many CPUs are named as there are vcpus. */
static void test_shared_cpus(void **state)
{
	static const struct {
		const char *affinity;
		bool warned;
	} cases[] = { { NULL, true }, { "3", true }, { "0-1", false }, { "1,5,9", false } };

	kvm.caps[KVM_CAP_X86_DISABLE_EXITS] = 2;
	cfg.x86.tuning.disable_exits = X86_EXIT_HLT;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cfg.vcpu_affinity = (char *)cases[i].affinity;
		if (cases[i].warned)
			assert_says(x86_caps_check(&vm.kvm, &cfg, supported), 0,
				    "warning: --disable-exits: a vcpu that waits");
		else
			taken();
	}
}

static void test_pmu(void **state)
{
	/* None is offered, and none is wanted: an old KVM needs no switch for that. */
	cfg.x86.tuning.pmu = X86_PMU_OFF;
	taken();
	assert_int_equal(kvm.nr_enabled, 0);
	cfg.x86.tuning.pmu = X86_PMU_ON;
	refused("--pmu on: this host's KVM has no performance counters");
	/* Linux before 5.18: counters, and no switch. */
	add_leaf(0xa, 0x07300402, 0, 0);
	taken();
	cfg.x86.tuning.pmu = X86_PMU_OFF;
	refused("--pmu off: this host's KVM cannot take performance counters");
	supported->entries[0] = (struct kvm_cpuid_entry2){ .function = 0x80000001, .ecx = BIT(23) };
	refused("--pmu off: this host's KVM cannot take performance counters");
	kvm.caps[KVM_CAP_PMU_CAPABILITY] = KVM_PMU_CAP_DISABLE;
	taken();
	assert_enabled(0, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE);
}

static void test_filter(void **state)
{
	cfg.x86.tuning.pmu_filter = (char *)"allow:ref-cycles";
	refused("--pmu-filter: this host's KVM has no performance counters");
	kvm.caps[KVM_CAP_PMU_CAPABILITY] = 1;
	refused("--pmu-filter: this host's KVM cannot filter events");
	kvm.caps[KVM_CAP_PMU_EVENT_FILTER] = 1;
	taken();
	assert_int_equal(x86_pmu_set_filter(&vm.kvm, &cfg, supported), 0);
	assert_int_equal(kvm.filters, 1);
	cfg.x86.tuning.pmu_filter = (char *)"allow:c0:0/0";
	assert_says(x86_pmu_set_filter(&vm.kvm, &cfg, supported), -EOPNOTSUPP,
		    "takes no masks; they are new in Linux 6.3");
	assert_int_equal(kvm.filters, 1);
	kvm.caps[KVM_CAP_PMU_EVENT_MASKED_EVENTS] = 1;
	assert_int_equal(x86_pmu_set_filter(&vm.kvm, &cfg, supported), 0);
	kvm.error = EINVAL;
	assert_says(x86_pmu_set_filter(&vm.kvm, &cfg, supported), -EINVAL,
		    "it takes no such events on this CPU");
	/* The vendor's names. */
	add_leaf(0, 1, 0x68747541, 0);
	cfg.x86.tuning.pmu_filter = (char *)"allow:ref-cycles";
	assert_says(x86_pmu_set_filter(&vm.kvm, &cfg, supported), -EINVAL,
		    "is an event of Intel's CPUs");
}

/* The VM, each vcpu, and what they say then. */
static int set_tsc(u32 khz)
{
	int ret;

	cfg.x86.tuning.tsc_khz = khz;
	ret = x86_tsc_begin(&vm.kvm, &cfg);
	for (u32 i = 0; i < 2 && !ret; i++) {
		/* As KVM makes a vcpu. */
		kvm.vcpu_khz[i] = kvm.default_khz;
		ret = x86_tsc_vcpu(&vcpus[i]);
	}
	return ret ? ret : x86_tsc_end(&vm);
}

static void assert_khz(u32 khz)
{
	for (u32 i = 0; i < 2; i++) {
		assert_int_equal(kvm.vcpu_khz[i], khz);
		assert_int_equal(x86_tsc_khz(&vcpus[i]), khz);
	}
}

static void test_tsc(void **state)
{
	kvm.caps[KVM_CAP_TSC_CONTROL] = kvm.caps[KVM_CAP_VM_TSC_CONTROL] = 1;
	assert_says(set_tsc(1300000), 0, "info: the guest's TSC runs at 1300000 kHz");
	assert_int_equal(kvm.set_default, 1300000);
	assert_khz(1300000);
	assert_true(kvm.tsc[0] == 77 && kvm.tsc[1] == 77);
	/* KVM took it for the VM; a vcpu cannot have it. */
	kvm.error = EINVAL;
	assert_says(set_tsc(9999999), -EINVAL, "is more than this host's CPU can scale to");
	kvm.error = 0;
	kvm.lies = true;
	assert_says(set_tsc(1300000), -EIO, "KVM says that its frequency is 1300001 kHz");
}

/* Before Linux 5.19 there is no default of the VM: all begin anew when all are there. */
static void test_old_tsc(void **state)
{
	kvm.caps[KVM_CAP_TSC_CONTROL] = 1;
	kvm.vm_khz = 0;
	assert_says(set_tsc(1300000), 0, "info: the guest's TSC");
	assert_int_equal(kvm.set_default, 0);
	assert_khz(1300000);
	assert_true(kvm.tsc[0] == 0 && kvm.tsc[1] == 0);
}

/* 250 millionths of 2.6 GHz are 650 kHz. */
static void test_unscaled(void **state)
{
	for (int old = 0; old < 2; old++) {
		kvm.vm_khz = !old;
		assert_says(set_tsc(HOST_KHZ), 0, "info: the guest's TSC");
		assert_says(set_tsc(HOST_KHZ + 650), 0, "info: the guest's TSC");
		assert_says(set_tsc(HOST_KHZ - 650), 0, "info: the guest's TSC");
		assert_khz(HOST_KHZ - 650);
		assert_says(set_tsc(HOST_KHZ + 651), -EOPNOTSUPP,
			    "whose frequency is the host's, 2600000 kHz");
		assert_says(set_tsc(HOST_KHZ - 651), -EOPNOTSUPP, "cannot scale a guest's TSC");
		assert_int_equal(kvm.set_default, 0);
		assert_true(kvm.tsc[0] == 77);
	}
	kvm.default_khz = 0;
	assert_says(set_tsc(HOST_KHZ), -EOPNOTSUPP, "nor say the host's frequency");
}

static void test_words(void **state)
{
	cfg.x86.tuning.apic_bus_hz = 24000000;
	assert_says(x86_tuning_check(&cfg), -EINVAL, "near it is 25000000 (40 ns)");
	for (u32 hz = X86_APIC_BUS_HZ_MIN; hz <= X86_APIC_BUS_HZ_MAX; hz += 999983) {
		cfg.x86.tuning.apic_bus_hz = hz;
		capture_begin();
		assert_int_equal(x86_tuning_check(&cfg), 1000000000 % hz ? -EINVAL : 0);
		capture_end();
	}
	cfg.x86.tuning.apic_bus_hz = 0;
	cfg.halt = HALT_END;
	cfg.x86.tuning.disable_exits = X86_EXIT_HLT;
	assert_says(x86_tuning_check(&cfg), 0, "warning: --halt end: with --disable-exits hlt");
	cfg.halt = HALT_WAIT;
	cfg.x86.tuning.pmu_filter = (char *)"deny:fff:0,cycles";
	assert_int_equal(x86_tuning_check(&cfg), 0);
	cfg.x86.tuning.pmu = X86_PMU_OFF;
	assert_says(x86_tuning_check(&cfg), -EINVAL, "there is nothing to count");
	cfg.x86.tuning.pmu = X86_PMU_ON;
	cfg.x86.tuning.pmu_filter = (char *)"deny:";
	assert_says(x86_tuning_check(&cfg), -EINVAL, "must be allow:EVENT");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_default),	TEST(test_arguments), TEST(test_lacking),
		TEST(test_shared_cpus), TEST(test_pmu),	      TEST(test_filter),
		TEST(test_tsc),		TEST(test_old_tsc),   TEST(test_unscaled),
		TEST(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
