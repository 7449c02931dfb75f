/* SPDX-License-Identifier: MIT */
/* Pausing and resuming devices, and which request to stop wins. */
#include "devvm.h"
#include "lkvm/log.h"
#include "lkvm/state.h"

struct sleeper {
	struct device dev;
	int quiesced; /* how often, or -1 where it was resumed without */
	int resumed;
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

static const struct device_ops sleeper_ops = {
	.realize = sleeper_realize,
	.state = &no_state,
	.quiesce = sleeper_quiesce,
	.resume = sleeper_resume,
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
	vm_clear_stop(&d.vm);
	vm_resume(&d.vm);
	assert_true(d.vm.running);
	assert_int_equal(first.resumed, 2);
	d.vm.devices = NULL;
	vm_destroy(&d.vm);
}

/* A reboot yields to every end; of the ends the first stands. */
static void test_ranks(void **state)
{
	struct devvm d;

	devvm_init(&d);
	for (u32 first = VM_STOP_POWEROFF; first <= VM_STOP_SIGNAL; first++) {
		for (u32 second = VM_STOP_POWEROFF; second <= VM_STOP_SIGNAL; second++) {
			bool replaced = first == VM_STOP_RESET && second != VM_STOP_RESET;

			vm_request_stop(&d.vm, first, 1, 3);
			vm_request_stop(&d.vm, second, 2, 4);
			assert_int_equal(d.vm.stop, replaced ? second : first);
			assert_int_equal(d.vm.stop_status, replaced ? 2 : 1);
			assert_int_equal(d.vm.stop_vcpu, replaced ? 4 : 3);
			vm_clear_stop(&d.vm);
			assert_int_equal(d.vm.stop, VM_STOP_NONE);
		}
	}
	vm_destroy(&d.vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_ranks),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
