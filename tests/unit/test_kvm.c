/* SPDX-License-Identifier: MIT */
/* Capabilities over a KVM that is played: each is asked once, of the VM where there is one. */
#include "unit.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "lkvm/kvm.h"

static int vm_fd = -1;
static unsigned int asked_system, asked_vm;
static int answer;

/* Instead of libc's. */
int ioctl(int fd, unsigned long request, ...)
{
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
		return answer;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asked_once),
		cmocka_unit_test(test_far_number),
	};

	return cmocka_run_group_tests_name("kvm", tests, NULL, NULL);
}
