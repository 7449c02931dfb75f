/* SPDX-License-Identifier: MIT */
/*
 * Notices a guest that halted for good: every vcpu waits, and no interrupt can wake it. KVM does
 * not tell, since the local APIC is its own: such a vcpu sleeps in KVM_RUN. A device without
 * registers.
 *
 * A guest at work costs a look at the CPU time of its threads each second. Only where none used any
 * since the last look the vcpus are parked, which takes less than a guest's timer tick, and asked
 * for their state; the more seldom the more often the guest was found to be merely idle.
 */
#include <stdlib.h>
#include <time.h>

#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define LOOK_NS	  1000000000ULL
#define MAX_QUIET 8U /* looks without CPU time, before the vcpus are asked */

struct halt_watch {
	struct device dev;
	struct event_timer timer;
	u64 *used_ns;		    /* of each vcpu's thread */
	unsigned int quiet, needed; /* looks that found them asleep, before they are asked */
};

static struct halt_watch *to_watch(struct device *dev)
{
	return container_of(dev, struct halt_watch, dev);
}

static u64 thread_time(pthread_t thread)
{
	struct timespec ts = { 0 };
	clockid_t clock;

	if (!pthread_getcpuclockid(thread, &clock))
		clock_gettime(clock, &ts);
	return (u64)ts.tv_sec * 1000000000ULL + (u64)ts.tv_nsec;
}

/* Has no vcpu run since the last time, and is none handling an exit? */
static bool all_sleep(struct halt_watch *w)
{
	struct vm *vm = w->dev.vm;
	bool sleep = true;

	for (u32 i = 0; i < vm->nr_vcpus; i++) {
		struct vcpu *vcpu = vm->vcpus[i];
		u64 now = thread_time(vcpu->thread);

		if (now != w->used_ns[i] || atomic_load(&vcpu->reader.count) & 1)
			sleep = false;
		w->used_ns[i] = now;
	}
	return sleep;
}

/* Ask the vcpus, all at one moment: none can wake another meanwhile. */
static bool all_halted(struct vm *vm)
{
	bool aside = event_loop_step_aside(&vm->loop), halted = true;

	vm_park(vm);
	for (u32 i = 0; i < vm->nr_vcpus && halted; i++)
		halted = arch_vcpu_halted(vm->vcpus[i]);
	vm_resume(vm);
	event_loop_step_back(&vm->loop, aside);
	return halted;
}

static void halted(struct vm *vm)
{
	if (vm->cfg->halt == HALT_END)
		vm_request_stop(vm, VM_STOP_HALTED, 0, -1);
	else
		warn("the guest has halted for good: every vcpu waits with its interrupts off; "
		     "Ctrl-A x or a signal ends lkvm, --halt end makes it end by itself");
}

static void on_timer(void *opaque)
{
	struct halt_watch *w = opaque;
	struct vm *vm = w->dev.vm;

	if (vm_stop_reason(vm, NULL, NULL) != VM_STOP_NONE)
		return;
	w->quiet = all_sleep(w) && atomic_load(&vm->running) ? w->quiet + 1 : 0;
	if (w->quiet >= w->needed) {
		if (all_halted(vm)) {
			halted(vm);
			return;
		}
		w->quiet = 0;
		w->needed = MIN(w->needed * 2, MAX_QUIET);
	}
	event_timer_set(&w->timer, LOOK_NS);
}

static void begin(struct halt_watch *w)
{
	w->quiet = 0;
	w->needed = 1;
	event_timer_set(&w->timer, LOOK_NS);
}

static int realize(struct device *dev, struct vm *vm)
{
	struct halt_watch *w = to_watch(dev);

	event_timer_init(&w->timer, &vm->loop, on_timer, w);
	w->used_ns = xcalloc(vm->nr_vcpus ? vm->nr_vcpus : 1, sizeof(*w->used_ns));
	begin(w);
	return 0;
}

/* What was halted starts anew, or may have been changed. */
static void restart(struct device *dev)
{
	begin(to_watch(dev));
}

static void quiesce(struct device *dev)
{
	event_timer_set(&to_watch(dev)->timer, 0);
}

static void destroy(struct device *dev)
{
	struct halt_watch *w = to_watch(dev);

	event_timer_destroy(&w->timer);
	free(w->used_ns);
	free(w);
}

static const struct device_ops ops = {
	.realize = realize,
	.reset = restart,
	.quiesce = quiesce,
	.resume = restart,
	.state = &no_state,
	.destroy = destroy,
};

int halt_watch_create(struct vm *vm)
{
	struct halt_watch *w = xcalloc(1, sizeof(*w));
	int ret;

	w->dev.name = "halt-watch";
	w->dev.ops = &ops;
	ret = device_add(vm, &w->dev);
	if (ret)
		free(w);
	return ret;
}
