/* SPDX-License-Identifier: MIT */
/* vm_remove_memory: in which order devices, memory and vcpus hear of it, and who may call it. */
#include "devvm.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lkvm/state.h"
#include "lkvm/vcpu.h"

#define PAGE 4096ULL
#define GONE (16 * PAGE)

struct probe_device {
	struct device dev;
	char letter;
};

static struct devvm d;
static char history[64];
static struct probe_device devices[3];

static void note(char c)
{
	size_t len = strlen(history);

	assert_true(len + 1 < sizeof(history));
	history[len] = c;
}

static int realize(struct device *dev, struct vm *vm)
{
	return 0;
}

/* The memory is there when a device is quiesced. In the history its letter is small when the memory
 * is gone. */
static void on_quiesce(struct device *dev)
{
	struct probe_device *p = container_of(dev, struct probe_device, dev);

	assert_non_null(memory_ptr(&d.vm.mem, GONE, 1));
	note(p->letter);
}

static void on_resume(struct device *dev)
{
	struct probe_device *p = container_of(dev, struct probe_device, dev);

	note(memory_ptr(&d.vm.mem, GONE, 1) ? p->letter : (char)(p->letter + 'a' - 'A'));
}

static const struct device_ops ops = {
	.realize = realize,
	.state = &no_state,
	.quiesce = on_quiesce,
	.resume = on_resume,
};
static const struct device_ops silent_ops = { .realize = realize, .state = &no_state };

static void add_memory(void)
{
	assert_int_equal(
		memory_add(&d.vm.mem,
			   &(struct memory_desc){ .gpa = GONE, .size = PAGE, .name = "gone" }),
		0);
}

static int setup(void **state)
{
	devvm_init(&d);
	add_memory();
	memset(history, 0, sizeof(history));
	for (int i = 0; i < 3; i++) {
		devices[i] = (struct probe_device){ .letter = (char)('A' + i) };
		devices[i].dev.ops = i == 1 ? &silent_ops : &ops;
		assert_int_equal(device_add(&d.vm, &devices[i].dev), 0);
	}
	return 0;
}

static int teardown(void **state)
{
	d.vm.devices = NULL;
	vm_destroy(&d.vm);
	return 0;
}

static int refuse(struct memory_listener *l, const struct memory_region *region)
{
	return -EPERM;
}

static int accept(struct memory_listener *l, const struct memory_region *region)
{
	return 0;
}

static void test_order(void **state)
{
	struct memory_listener no = { .add = accept, .remove = refuse };
	void *hva = memory_ptr(&d.vm.mem, GONE, PAGE);
	unsigned char resident;

	assert_int_equal(memory_add_listener(&d.vm.mem, &no), 0);
	assert_int_equal(vm_remove_memory(&d.vm, GONE), -EPERM);
	assert_string_equal(history, "CAAC");
	assert_int_equal(vm_remove_memory(&d.vm, GONE + PAGE), -ENOENT);
	assert_non_null(memory_ptr(&d.vm.mem, GONE, 1));
	memory_remove_listener(&d.vm.mem, &no);
	memset(history, 0, sizeof(history));
	assert_int_equal(vm_remove_memory(&d.vm, GONE), 0);
	assert_string_equal(history, "CAac");
	assert_int_equal(mincore(hva, PAGE, &resident), -1);
}

/* Two vcpus in their handlers, at the moment when each takes memory away. */
struct handler {
	struct vcpu vcpu;
	u64 gpa;
	pthread_barrier_t *both;
};

static void *handle(void *arg)
{
	struct handler *h = arg;

	memory_read_begin(&h->vcpu.reader);
	pthread_barrier_wait(h->both);
	/* vcpu_start has noted the thread by now. */
	if (vm_remove_memory(&d.vm, h->gpa) || !(atomic_load(&h->vcpu.reader.count) & 1))
		abort();
	memory_read_end(&h->vcpu.reader);
	return NULL;
}

static void test_from_two_vcpus(void **state)
{
	struct handler h[2] = { { .gpa = GONE }, { .gpa = 32 * PAGE } };
	struct vcpu *vcpus[2] = { &h[0].vcpu, &h[1].vcpu };
	pthread_barrier_t both;

	/* Devices of their own would ask for the memory of the test above. */
	d.vm.devices = NULL;
	assert_int_equal(memory_add(&d.vm.mem, &(struct memory_desc){ .gpa = h[1].gpa,
								      .size = PAGE,
								      .name = "gone too" }),
			 0);
	pthread_barrier_init(&both, NULL, 3);
	d.vm.vcpus = vcpus;
	d.vm.nr_vcpus = 2;
	for (int i = 0; i < 2; i++) {
		h[i].both = &both;
		memory_add_reader(&d.vm.mem, &h[i].vcpu.reader);
		assert_int_equal(pthread_create(&h[i].vcpu.thread, NULL, handle, &h[i]), 0);
		h[i].vcpu.has_thread = true;
	}
	pthread_barrier_wait(&both);
	for (int i = 0; i < 2; i++) {
		pthread_join(h[i].vcpu.thread, NULL);
		memory_remove_reader(&h[i].vcpu.reader);
	}
	assert_null(memory_next(&d.vm.mem, NULL));
	pthread_barrier_destroy(&both);
	d.vm.vcpus = NULL;
	d.vm.nr_vcpus = 0;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_order),
		T(test_from_two_vcpus),
	};

	return cmocka_run_group_tests_name("vm, memory", tests, NULL, NULL);
}
