/* SPDX-License-Identifier: MIT */
/* vcpu.c over a KVM_RUN that answers as told. */
#include "capture.h"
#include "devvm.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "lkvm/coco.h"
#include "lkvm/log.h"
#include "lkvm/vcpu.h"

static struct kvm_run run;
static int runs, asked, handled;

/* In place of the C library's. */
int ioctl(int fd, unsigned long request, ...)
{
	errno = EBADF;
	if (request == KVM_RUN) {
		runs++;
		run.exit_reason = KVM_EXIT_MEMORY_FAULT;
		errno = EFAULT;
	}
	return -1;
}

/* The guest makes pages its own three times. */
static int convert(struct vcpu *vcpu)
{
	return ++asked <= handled ? 0 : -ENOTSUP;
}

static const struct coco_ops coco = { .exit = convert };

static void run_until_stop(const struct coco_ops *ops)
{
	struct devvm d;
	struct vcpu vcpu = { .vm = &d.vm, .fd = -1, .run = &run, .run_size = sizeof(run) };
	struct vcpu *vcpus[] = { &vcpu };

	devvm_init(&d);
	memory_add_reader(&d.vm.mem, &vcpu.reader);
	d.vm.coco = ops;
	d.vm.vcpus = vcpus;
	d.vm.nr_vcpus = 1;
	runs = asked = 0;
	capture_begin();
	assert_int_equal(vm_start_vcpus(&d.vm), 0);
	vm_resume(&d.vm);
	event_loop_run(&d.vm.loop);
	vm_stop_vcpus(&d.vm);
	capture_end();
	assert_int_equal(d.vm.stop, VM_STOP_KVM_ERROR);
	assert_int_equal(d.vm.stop_vcpu, 0);
	assert_contains(captured, "cannot back guest memory");
	d.vm.nr_vcpus = 0;
	d.vm.vcpus = NULL;
	memory_remove_reader(&vcpu.reader);
	vm_destroy(&d.vm);
}

/* KVM says it with an error; it is an exit of a confidential guest before it is one. */
static void test_memory_fault(void **state)
{
	run_until_stop(NULL);
	assert_int_equal(runs, 1);
	handled = 3;
	run_until_stop(&coco);
	assert_int_equal(asked, 4);
	assert_int_equal(runs, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_memory_fault) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
