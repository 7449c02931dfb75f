/* SPDX-License-Identifier: MIT */
/*
 * Loading and resetting a vcpu over a KVM that is played: the order of what is set, and MSRs that
 * KVM refuses.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>

#include "../../../x86/pristine.h"
#include "../../../x86/vcpu-state.h"
#include "../../../x86/x86.h"
#include "capture.h"
#include "fake_ioctl.h"
#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define MSR_STAR 0xc0000081
#define MSR_PAT	 0x277
#define MSR_NONE 0x4b564d00 /* KVM does not know it */

struct msr {
	u32 index;
	u64 value;
	bool readonly;
};

static struct msr msrs[] = {
	{ .index = MSR_STAR },	     { .index = MSR_PAT },	    { .index = MSR_TSC },
	{ .index = MSR_TSC_ADJUST }, { .index = MSR_TSC_DEADLINE },
};
static char order[64]; /* a letter for each that was set */

static void note(char c)
{
	size_t len = strlen(order);

	assert_true(len + 1 < sizeof(order));
	order[len] = c;
}

static struct msr *find(u32 index)
{
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		if (msrs[i].index == index)
			return &msrs[i];
	return NULL;
}

static int transfer(struct kvm_msrs *m, bool set)
{
	for (u32 i = 0; i < m->nmsrs; i++) {
		struct msr *msr = find(m->entries[i].index);

		if (!msr || (set && msr->readonly))
			return (int)i;
		if (!set) {
			m->entries[i].data = msr->value;
			continue;
		}
		msr->value = m->entries[i].data;
		note(msr->index == MSR_TSC	      ? 'c'
		     : msr->index == MSR_TSC_ADJUST   ? 'a'
		     : msr->index == MSR_TSC_DEADLINE ? 'd'
						      : 'm');
	}
	return (int)m->nmsrs;
}

static void list(struct kvm_msr_list *l)
{
	l->nmsrs = 3;
	l->indices[0] = MSR_STAR;
	l->indices[1] = MSR_NONE;
	l->indices[2] = MSR_PAT;
}

static unsigned int vms;
static bool refuses; /* to make a vcpu */

static int new_fd(void)
{
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	switch (request) {
	case KVM_GET_MSR_INDEX_LIST:
		if (((struct kvm_msr_list *)arg)->nmsrs < 3) {
			((struct kvm_msr_list *)arg)->nmsrs = 3;
			errno = E2BIG;
			return -1;
		}
		list(arg);
		return 0;
	case KVM_CREATE_VM:
		vms++;
		return new_fd();
	case KVM_CREATE_VCPU:
		return refuses ? (errno = ENOMEM, -1) : new_fd();
	case KVM_GET_MSRS:
		return transfer(arg, false);
	case KVM_SET_MSRS:
		return transfer(arg, true);
	case KVM_SET_SREGS:
		note('s');
		break;
	case KVM_SET_LAPIC:
		note('l');
		break;
	}
	return 0;
}

static struct vm vm;
static struct vcpu vcpu;
static struct vcpu *vcpus[] = { &vcpu };
static struct arch_vm arch_vm;
static struct arch_vcpu arch_vcpu;
static struct state_buf saved;
static struct kvm_cpuid2 no_cpuid;
static const struct vm_config cfg = { .cpus = 1 };

static int setup(void **state)
{
	memset(&vm, 0, sizeof(vm));
	vm.arch = &arch_vm;
	vm.vcpus = vcpus;
	vm.nr_vcpus = 1;
	vcpu = (struct vcpu){ .vm = &vm, .arch = &arch_vcpu };
	arch_vcpu = (struct arch_vcpu){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++) {
		msrs[i].readonly = false;
		msrs[i].value = 100 + i;
	}
	refuses = false;
	vms = 0;
	vm.kvm.vm_fd = vm.kvm.sys_fd = -1;
	vm.cfg = &cfg;
	arch_vm.cpuid = &no_cpuid;
	arch_vm.topology = (struct x86_topology){ 1, 1, 1, 1 };
	saved = (struct state_buf){ 0 };
	return vm_save(&vm, &saved);
}

static int teardown(void **state)
{
	state_buf_free(&saved);
	x86_pristine_destroy(&vm);
	x86_state_destroy(&vm);
	return 0;
}

static int load(void)
{
	memset(order, 0, sizeof(order));
	return vm_load(&vm, &(struct state_reader){ saved.data, saved.len });
}

/* The deadline counts only in the LAPIC's mode for it, and by the clock as it is then. */
static void test_order(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		msrs[i].value = 0;
	assert_int_equal(load(), 0);
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		assert_int_equal(msrs[i].value, 100 + i);
	assert_non_null(strstr(order, "smmlcad"));
	assert_int_equal(strlen(strchr(order, 'd')), 1);
}

static void test_refused(void **state)
{
	static const u32 each[] = { MSR_STAR, MSR_PAT, MSR_TSC, MSR_TSC_ADJUST, MSR_TSC_DEADLINE };

	for (size_t i = 0; i < ARRAY_SIZE(each); i++) {
		struct msr *msr = find(each[i]);
		char text[32];

		msr->readonly = true;
		assert_int_equal(load(), 0); /* it has that value */
		msr->value++;
		capture_begin();
		assert_int_equal(load(), -EINVAL);
		capture_end();
		assert_one_line(captured);
		snprintf(text, sizeof(text), "vcpu 0: MSR 0x%x ", each[i]);
		assert_contains(captured, text);
		msr->readonly = false;
		assert_int_equal(load(), 0);
	}
}

/* A reset lives with it. */
static void test_reset(void **state)
{
	const struct x86_pristine *p;

	arch_vcpu.used = true;
	find(MSR_PAT)->readonly = true;
	find(MSR_TSC_ADJUST)->value = 0;
	assert_int_equal(vms, 0);
	assert_int_equal(x86_pristine(&vm, &p), 0);
	find(MSR_PAT)->value++;
	find(MSR_STAR)->value++;
	assert_int_equal(arch_vcpu_reset(&vcpu), 0);
	assert_int_equal(find(MSR_STAR)->value, 100);
	assert_int_equal(arch_vcpu_reset(&vcpu), 0);
	assert_int_equal(vms, 1);
}

/* The first start sets registers alone, and only where the guest does not begin at the reset
 * vector. */
static void test_start(void **state)
{
	memset(order, 0, sizeof(order));
	arch_vm.entry.mode = X86_ENTRY_RESET;
	assert_int_equal(arch_vcpu_reset(&vcpu), 0);
	assert_string_equal(order, "");
	arch_vcpu.used = false;
	arch_vm.entry.mode = X86_ENTRY_PROT32;
	assert_int_equal(arch_vcpu_reset(&vcpu), 0);
	assert_string_equal(order, "s");
	assert_int_equal(vms, 0);
	arch_vm.entry.mode = X86_ENTRY_RESET;
}

/* What KVM makes cannot be learned: one line, from whoever asks first. */
static void test_not_told(void **state)
{
	const struct x86_pristine *p;

	arch_vcpu.used = true;
	refuses = true;
	capture_begin();
	assert_int_equal(x86_pristine(&vm, &p), -ENOMEM);
	assert_int_equal(arch_vcpu_reset(&vcpu), -ENOMEM);
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, "reset: vcpu 0: KVM_CREATE_VCPU: Cannot allocate memory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_told, setup, teardown),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
