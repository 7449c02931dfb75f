/* SPDX-License-Identifier: MIT */
/* Pausing and resuming devices, which request to stop wins, and how often vcpus are signalled. */
#include "devvm.h"

#include <dlfcn.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/thread.h"
#include "lkvm/vcpu.h"

struct sleeper {
	struct device dev;
	int quiesced; /* how often, or -1 where it was resumed without */
	int resumed;
	int finished;
	int order;
};

static int steps;

static int sleeper_realize(struct device *dev, struct vm *vm)
{
	return 0;
}

static void sleeper_quiesce(struct device *dev)
{
	struct sleeper *s = container_of(dev, struct sleeper, dev);

	s->quiesced++;
	s->order = ++steps;
}

static void sleeper_resume(struct device *dev)
{
	struct sleeper *s = container_of(dev, struct sleeper, dev);

	s->resumed++;
	s->order = ++steps;
}

static void sleeper_finish(struct device *dev)
{
	struct sleeper *s = container_of(dev, struct sleeper, dev);

	s->finished++;
	s->order = ++steps;
}

static const struct device_ops sleeper_ops = {
	.realize = sleeper_realize,
	.state = &no_state,
	.quiesce = sleeper_quiesce,
	.resume = sleeper_resume,
	.finish = sleeper_finish,
};
static const struct device_ops plain_ops = { .realize = sleeper_realize, .state = &no_state };

static void test_devices(void **state)
{
	struct sleeper first = { .dev = { .name = "first", .ops = &sleeper_ops } };
	struct sleeper plain = { .dev = { .name = "plain", .ops = &plain_ops } };
	struct sleeper last = { .dev = { .name = "last", .ops = &sleeper_ops } };
	struct devvm d;

	devvm_init(&d);
	assert_int_equal(device_add(&d.vm, &first.dev), 0);
	assert_int_equal(device_add(&d.vm, &plain.dev), 0);
	assert_int_equal(device_add(&d.vm, &last.dev), 0);
	steps = 0;
	/* A VM that begins to run has nothing to take up. */
	vm_resume(&d.vm);
	assert_true(d.vm.running);
	assert_int_equal(steps, 0);
	/* Backwards, and once. */
	vm_pause(&d.vm);
	vm_pause(&d.vm);
	assert_false(d.vm.running);
	assert_int_equal(last.order, 1);
	assert_int_equal(first.order, 2);
	assert_int_equal(first.quiesced, 1);
	/* In order, and once. */
	vm_resume(&d.vm);
	vm_resume(&d.vm);
	assert_true(d.vm.running);
	assert_int_equal(first.order, 3);
	assert_int_equal(last.order, 4);
	assert_int_equal(first.resumed, 1);
	/* What is to stop is not let go on. */
	vm_pause(&d.vm);
	vm_request_stop(&d.vm, VM_STOP_QUIT, 0, -1);
	vm_resume(&d.vm);
	assert_false(d.vm.running);
	assert_int_equal(first.resumed, 1);
	vm_clear_stop(&d.vm, d.vm.stop);
	vm_resume(&d.vm);
	assert_true(d.vm.running);
	assert_int_equal(first.resumed, 2);
	/* The process ends: backwards. */
	steps = 0;
	vm_finish_devices(&d.vm);
	assert_int_equal(last.order, 1);
	assert_int_equal(first.order, 2);
	assert_int_equal(first.finished, 1);
	d.vm.devices = NULL;
	/* The devices of a VM that is made anew were never quiesced. */
	vm_pause(&d.vm);
	vm_clear(&d.vm);
	assert_false(d.vm.quiesced);
	vm_destroy(&d.vm);
}

/* A reboot yields to every end; of the ends the first stands. */
static void test_ranks(void **state)
{
	struct devvm d;
	int status;
	s32 vcpu;

	devvm_init(&d);
	for (u32 first = VM_STOP_POWEROFF; first <= VM_STOP_SIGNAL; first++) {
		for (u32 second = VM_STOP_POWEROFF; second <= VM_STOP_SIGNAL; second++) {
			bool replaced = first == VM_STOP_RESET && second != VM_STOP_RESET;

			vm_request_stop(&d.vm, first, 1, 3);
			vm_request_stop(&d.vm, second, 2, 4);
			assert_int_equal(d.vm.stop, replaced ? second : first);
			assert_int_equal(d.vm.stop_status, replaced ? 2 : 1);
			assert_int_equal(d.vm.stop_vcpu, replaced ? 4 : 3);
			assert_int_equal(vm_stop_reason(&d.vm, &status, &vcpu), d.vm.stop);
			assert_int_equal(status, d.vm.stop_status);
			assert_int_equal(vcpu, d.vm.stop_vcpu);
			/* What came after the reset was answered stands. */
			vm_clear_stop(&d.vm, VM_STOP_RESET);
			if (first != VM_STOP_RESET || replaced)
				assert_int_not_equal(d.vm.stop, VM_STOP_NONE);
			vm_clear_stop(&d.vm, d.vm.stop);
			assert_int_equal(d.vm.stop, VM_STOP_NONE);
		}
	}
	vm_destroy(&d.vm);
}

/* A vcpu that is in the middle of a register access, which needs the main loop, as the VM pauses.
 */

struct busy {
	struct devvm d;
	struct vcpu vcpu, *list[1];
	struct kvm_run run;
	struct event_post post;
	unsigned int calls, waits;
	atomic_bool begun;
	bool by_removal;
};

static void test_holders(void **state)
{
	struct sleeper one = { .dev = { .name = "one", .ops = &sleeper_ops } };
	struct devvm d;

	devvm_init(&d);
	assert_int_equal(device_add(&d.vm, &one.dev), 0);
	/* Held before it ever ran. */
	vm_request_hold(&d.vm, VM_HOLD_GDB);
	vm_resume(&d.vm);
	assert_false(d.vm.running);
	vm_release(&d.vm, VM_HOLD_GDB);
	assert_true(d.vm.running);
	/* The last who holds it lets it go. */
	vm_hold(&d.vm, VM_HOLD_USER);
	vm_hold(&d.vm, VM_HOLD_GDB);
	assert_int_equal(vm_holders(&d.vm), VM_HOLD_USER | VM_HOLD_GDB);
	assert_int_equal(one.quiesced, 1);
	vm_release(&d.vm, VM_HOLD_USER);
	vm_resume(&d.vm);
	assert_false(d.vm.running);
	assert_int_equal(one.resumed, 0);
	vm_release(&d.vm, VM_HOLD_GDB);
	assert_true(d.vm.running);
	assert_int_equal(one.resumed, 1);
	/* A vcpu asks while it runs; the main thread follows. */
	vm_request_hold(&d.vm, VM_HOLD_GDB);
	assert_false(d.vm.running);
	vm_pause(&d.vm);
	assert_int_equal(one.quiesced, 2);
	vm_release(&d.vm, VM_HOLD_GDB);
	assert_true(d.vm.running);
	vm_destroy(&d.vm);
}

/* Counts its turns through the gate. */
struct kept {
	struct devvm d;
	struct vcpu vcpus[2], *list[2];
	struct kvm_run runs[2];
	atomic_uint turns[2];
};

static void *kept_vcpu(void *arg)
{
	struct vcpu *vcpu = arg;
	struct kept *k = container_of(vcpu->vm, struct kept, d.vm);

	while (vm_vcpu_gate(vcpu->vm, vcpu)) {
		atomic_fetch_add(&k->turns[vcpu->id], 1);
		while (atomic_load(&vcpu->vm->running))
			sched_yield();
	}
	return NULL;
}

/* Only one of two is let through, as long as that is wanted. */
static void test_kept_back(void **state)
{
	struct kept *k = calloc(1, sizeof(*k));
	struct vm *vm = &k->d.vm;

	devvm_init(&k->d);
	signal(THREAD_KICK_SIGNAL, SIG_IGN);
	vm->vcpus = k->list;
	vm->nr_vcpus = 2;
	for (u32 i = 0; i < 2; i++) {
		k->list[i] = &k->vcpus[i];
		k->vcpus[i] = (struct vcpu){ .vm = vm, .id = i, .run = &k->runs[i] };
		assert_int_equal(pthread_create(&k->vcpus[i].thread, NULL, kept_vcpu, &k->vcpus[i]),
				 0);
		k->vcpus[i].has_thread = true;
	}
	for (u32 i = 0; i < 100; i++) {
		vm_pause(vm);
		vm_keep_back(&k->vcpus[1], true);
		vm_resume(vm);
		while (atomic_load(&k->turns[0]) == i)
			sched_yield();
	}
	vm_pause(vm);
	assert_int_equal(atomic_load(&k->turns[1]), 0);
	vm_keep_back(&k->vcpus[1], false);
	vm_resume(vm);
	while (!atomic_load(&k->turns[1]))
		sched_yield();
	vm_pause(vm);
	vm_keep_back(&k->vcpus[0], true);
	/* The end is for all. */
	vm_stop_vcpus(vm);
	vm->nr_vcpus = 0;
	vm->vcpus = NULL;
	vm_destroy(vm);
	free(k);
}

static void count_call(void *opaque)
{
	((struct busy *)opaque)->calls++;
}

static void *busy_vcpu(void *arg)
{
	struct busy *b = arg;
	struct vm *vm = &b->d.vm;

	memory_add_reader(&vm->mem, &b->vcpu.reader);
	while (vm_vcpu_gate(vm, NULL)) {
		memory_read_begin(&b->vcpu.reader);
		atomic_store(&b->begun, true);
		while (!b->by_removal && atomic_load(&vm->running))
			sched_yield();
		while (b->by_removal && !atomic_load(&vm->mem.waiting))
			sched_yield();
		event_call_sync(&vm->loop, count_call, b);
		memory_read_end(&b->vcpu.reader);
		while (atomic_load(&vm->running))
			sched_yield();
	}
	memory_remove_reader(&b->vcpu.reader);
	return NULL;
}

static void count_wait(struct vm *vm, bool begin)
{
	container_of(vm, struct busy, d.vm)->waits++;
}

static void in_loop(void *opaque)
{
	struct busy *b = opaque;
	struct vm *vm = &b->d.vm;

	while (!atomic_load(&b->begun))
		sched_yield();
	if (b->by_removal) {
		const struct memory_desc more = { .gpa = GiB, .size = MiB, .name = "more" };

		assert_int_equal(memory_add(&vm->mem, &more), 0);
		assert_int_equal(vm_remove_memory(vm, GiB), 0);
	}
	vm_pause(vm);
	event_loop_stop(&vm->loop);
}

static void check_busy(bool by_removal)
{
	struct busy *b = calloc(1, sizeof(*b));
	struct vm *vm = &b->d.vm;

	devvm_init(&b->d);
	b->by_removal = by_removal;
	b->vcpu.vm = vm;
	b->vcpu.run = &b->run;
	b->list[0] = &b->vcpu;
	vm->vcpus = b->list;
	vm->nr_vcpus = 1;
	vm->waits = count_wait;
	signal(THREAD_KICK_SIGNAL, SIG_IGN);
	assert_int_equal(pthread_create(&b->vcpu.thread, NULL, busy_vcpu, b), 0);
	b->vcpu.has_thread = true;
	vm_park(vm);
	b->post = (struct event_post){ .fn = in_loop, .opaque = b };
	event_loop_post(&vm->loop, &b->post);
	vm_resume(vm);
	event_loop_run(&vm->loop);
	assert_int_equal(b->calls, 1);
	/* Whoever composed the VM heard of the wait, and of its end. */
	assert_int_equal(b->waits, 2);
	vm_stop_vcpus(vm);
	vm->nr_vcpus = 0;
	vm->vcpus = NULL;
	vm_destroy(vm);
	free(b);
}

static void test_busy_vcpu(void **state)
{
	check_busy(false);
	check_busy(true);
}

/* Each vcpu is signalled once when the VM stops, whoever asks for it and how often. */

#define CROWD 5

struct crowd {
	struct devvm d;
	struct member {
		struct vcpu vcpu;
		struct kvm_run run;
		struct crowd *crowd;
	} members[CROWD];
	struct vcpu *list[CROWD];
	atomic_int turns; /* threads that were let through */
	int asks;	  /* the vcpu that asks for an end; -1: none */
};

static atomic_int kicks;

int pthread_kill(pthread_t thread, int sig)
{
	static int (*real)(pthread_t, int);

	kicks += sig == THREAD_KICK_SIGNAL;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_kill");
	return real(thread, sig);
}

static void *crowd_vcpu(void *arg)
{
	struct member *m = arg;
	struct vm *vm = &m->crowd->d.vm;

	while (vm_vcpu_gate(vm, NULL)) {
		m->run.immediate_exit = 0;
		m->crowd->turns++;
		if ((int)m->vcpu.id == m->crowd->asks)
			vm_request_stop(vm, VM_STOP_POWEROFF, 0, -1);
		while (atomic_load(&vm->running))
			sched_yield();
	}
	return NULL;
}

static void crowd_start(struct crowd *c)
{
	devvm_init(&c->d);
	c->asks = -1;
	c->d.vm.vcpus = c->list;
	c->d.vm.nr_vcpus = CROWD;
	for (u32 i = 0; i < CROWD; i++) {
		struct member *m = &c->members[i];

		m->crowd = c;
		m->vcpu.vm = &c->d.vm;
		m->vcpu.id = i;
		m->vcpu.run = &m->run;
		c->list[i] = &m->vcpu;
		assert_int_equal(pthread_create(&m->vcpu.thread, NULL, crowd_vcpu, m), 0);
		m->vcpu.has_thread = true;
	}
}

/* Open the gate, and wait until all are through. */
static void crowd_go(struct crowd *c, int asks)
{
	vm_park(&c->d.vm);
	c->asks = asks;
	c->turns = 0;
	kicks = 0;
	vm_resume(&c->d.vm);
	while (c->turns < CROWD && (asks < 0 || c->d.vm.running))
		sched_yield();
}

static void test_kicks(void **state)
{
	struct crowd *c = calloc(1, sizeof(*c));
	struct vm *vm = &c->d.vm;

	signal(THREAD_KICK_SIGNAL, SIG_IGN);
	crowd_start(c);
	kicks = 0;
	/* Nobody has passed the gate. */
	vm_park(vm);
	assert_int_equal(kicks, 0);
	/* The main thread pauses. */
	crowd_go(c, -1);
	vm_pause(vm);
	assert_int_equal(kicks, CROWD);
	for (u32 i = 0; i < CROWD; i++)
		assert_int_equal(c->members[i].run.immediate_exit, 1);
	/* It ends by a signal, and by another. */
	crowd_go(c, -1);
	vm_request_stop(vm, VM_STOP_SIGNAL, SIGTERM, -1);
	vm_request_stop(vm, VM_STOP_SIGNAL, SIGHUP, -1);
	vm_park(vm);
	assert_int_equal(kicks, CROWD);
	/* A vcpu asks for it, which is not in KVM_RUN itself. */
	vm_clear_stop(vm, VM_STOP_SIGNAL);
	crowd_go(c, 2);
	vm_park(vm);
	vm_stop_vcpus(vm);
	assert_int_equal(kicks, CROWD - 1);
	vm->nr_vcpus = 0;
	vm->vcpus = NULL;
	vm_destroy(vm);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_devices),	  cmocka_unit_test(test_holders),
		cmocka_unit_test(test_kept_back), cmocka_unit_test(test_ranks),
		cmocka_unit_test(test_busy_vcpu), cmocka_unit_test(test_kicks),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
