/* SPDX-License-Identifier: MIT */
/* Capabilities over a KVM that is played: each is asked once, of the VM where there is one. */
#include "capture.h"
#include "fake_ioctl.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "lkvm/kvm.h"

static int vm_fd = -1;
static unsigned int asked_system, asked_vm;
static int answer;
/* By number; -1: @answer. */
static int nr_vcpus = -1, max_vcpus = -1, vcpu_ids = -1;

static int answer_to(u32 cap)
{
	int known = cap == KVM_CAP_NR_VCPUS	 ? nr_vcpus
		    : cap == KVM_CAP_MAX_VCPUS	 ? max_vcpus
		    : cap == KVM_CAP_MAX_VCPU_ID ? vcpu_ids
						 : -1;

	return known < 0 ? answer : known;
}

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	u32 cap = (u32)(uintptr_t)arg;

	switch (request) {
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_GET_VCPU_MMAP_SIZE:
		return 3 * 4096;
	case KVM_CREATE_VM:
		vm_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		return vm_fd;
	case KVM_CHECK_EXTENSION:
		*(fd == vm_fd ? &asked_vm : &asked_system) += 1;
		return answer_to(cap);
	}
	errno = ENOTTY;
	return -1;
}

static void expect(struct kvm *kvm, u32 cap, int value, unsigned int system, unsigned int vm)
{
	for (int i = 0; i < 3; i++)
		assert_int_equal(kvm_check_cap(kvm, cap), value);
	assert_int_equal(asked_system, system);
	assert_int_equal(asked_vm, vm);
}

static void test_asked_once(void **state)
{
	struct kvm kvm;

	assert_int_equal(kvm_open(&kvm, "/dev/null"), 0);
	answer = 7;
	expect(&kvm, KVM_CAP_IRQFD, 7, 1, 0);
	answer = 0; /* "no" is an answer too */
	expect(&kvm, KVM_CAP_NR_MEMSLOTS, 0, 2, 0);
	assert_int_equal(kvm_cap_or(&kvm, KVM_CAP_NR_MEMSLOTS, 32), 32);
	/* A VM may have others. */
	assert_int_equal(kvm_create_vm(&kvm, 0), 0);
	answer = 8;
	expect(&kvm, KVM_CAP_IRQFD, 8, 2, 1);
	kvm_close_vm(&kvm);
	answer = 9;
	expect(&kvm, KVM_CAP_IRQFD, 9, 3, 1);
	kvm_close(&kvm);
}

/* What is beyond all numbers of today is asked each time. */
static void test_far_number(void **state)
{
	struct kvm kvm;

	assert_int_equal(kvm_open(&kvm, "/dev/null"), 0);
	answer = 5;
	assert_int_equal(kvm_check_cap(&kvm, ~0U), 5);
	answer = 6;
	assert_int_equal(kvm_check_cap(&kvm, ~0U), 6);
	kvm_close(&kvm);
}

/* Says @text in one line ("": nothing) of @cpus where KVM answers these. */
static void vcpus(u32 cpus, int recommended, int max, int ids, int ret, const char *text)
{
	struct kvm kvm;

	nr_vcpus = recommended;
	max_vcpus = max;
	vcpu_ids = ids;
	assert_int_equal(kvm_open(&kvm, "/dev/null"), 0);
	capture_begin();
	assert_int_equal(kvm_check_vcpus(&kvm, cpus), ret);
	if (!ret)
		kvm_advise_vcpus(&kvm, cpus);
	capture_end();
	if (*text) {
		assert_one_line(captured);
		assert_contains(captured, text);
	} else {
		assert_string_equal(captured, "");
	}
	kvm_close(&kvm);
}

static void test_vcpus(void **state)
{
	vcpus(8, 8, 1024, 4096, 0, "");
	vcpus(9, 8, 1024, 4096, 0,
	      "warning: --cpus 9: is more than the 8 vcpus that KVM recommends");
	vcpus(1024, 1024, 1024, 4096, 0, "");
	vcpus(1025, 8, 1024, 4096, -EINVAL, "--cpus 1025: this host's KVM supports at most 1024");
	/* Fewer ids than vcpus; ids of which nothing is known are as many. */
	vcpus(256, 8, 1024, 255, -EINVAL, "--cpus 256: this host's KVM has ids for at most 255");
	vcpus(255, 255, 1024, 255, 0, "");
	vcpus(1024, 1024, 1024, 0, 0, "");
	/* Only what is recommended is known; nothing is. */
	vcpus(16, 16, 0, 0, 0, "");
	vcpus(17, 16, 0, 0, -EINVAL, "--cpus 17: this host's KVM supports at most 16");
	vcpus(4, 0, 0, 0, 0, "");
	vcpus(1, 0, 0, 0, 0, "");
	vcpus(5, 0, 0, 0, -EINVAL, "--cpus 5: this host's KVM supports at most 4");
	nr_vcpus = max_vcpus = vcpu_ids = -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asked_once),
		cmocka_unit_test(test_far_number),
		cmocka_unit_test(test_vcpus),
	};

	return cmocka_run_group_tests_name("kvm", tests, NULL, NULL);
}
