/* SPDX-License-Identifier: MIT */
/*
 * For tests of vcpu.c: one vcpu over a KVM_RUN that answers as the test says, with a clock of its
 * own and pauses that take no time. In place of the C library's functions.
 */
#ifndef TEST_FAKE_RUN_H
#define TEST_FAKE_RUN_H

#include "capture.h"
#include "devvm.h"
#include "fake_ioctl.h"

#include <stdlib.h>
#include <time.h>

#include "lkvm/coco.h"
#include "lkvm/log.h"
#include "lkvm/vcpu.h"

static struct {
	struct devvm d;
	struct vcpu vcpu, *list[1];
	struct kvm_run run;
	/* What KVM_RUN gives the @runs-th time (from 1): 0 or an errno. */
	int (*answer)(unsigned int runs);
	unsigned int runs, pauses, told;
	u32 mp_state;
	u64 clock_ns;
} fake;

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	errno = EBADF;
	switch (request) {
	case KVM_RUN:
		errno = fake.answer(++fake.runs);
		return errno ? -1 : 0;
	case KVM_GET_MP_STATE:
		((struct kvm_mp_state *)arg)->mp_state = fake.mp_state;
		return 0;
	case KVM_KVMCLOCK_CTRL:
		fake.told++;
		return 0;
	}
	return -1;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	fake.clock_ns += 1000;
	ts->tv_sec = (time_t)(fake.clock_ns / 1000000000);
	ts->tv_nsec = (long)(fake.clock_ns % 1000000000);
	return 0;
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
	fake.pauses++;
	fake.clock_ns += (u64)time->tv_nsec;
	return 0;
}

/* Until the VM stops; what was printed is in captured[]. */
static void fake_run(int (*answer)(unsigned int runs), const struct coco_ops *coco)
{
	u32 mp_state = fake.mp_state;

	memset(&fake, 0, sizeof(fake));
	fake.mp_state = mp_state;
	fake.answer = answer;
	fake.vcpu.vm = &fake.d.vm;
	fake.vcpu.fd = -1;
	fake.vcpu.run = &fake.run;
	fake.vcpu.run_size = sizeof(fake.run);
	fake.list[0] = &fake.vcpu;
	devvm_init(&fake.d);
	memory_add_reader(&fake.d.vm.mem, &fake.vcpu.reader);
	fake.d.vm.coco = coco;
	fake.d.vm.vcpus = fake.list;
	fake.d.vm.nr_vcpus = 1;
	capture_begin();
	assert_int_equal(vm_start_vcpus(&fake.d.vm), 0);
	vm_resume(&fake.d.vm);
	event_loop_run(&fake.d.vm.loop);
	vm_stop_vcpus(&fake.d.vm);
	capture_end();
	fake.d.vm.nr_vcpus = 0;
	fake.d.vm.vcpus = NULL;
	memory_remove_reader(&fake.vcpu.reader);
	vm_destroy(&fake.d.vm);
}

#endif
