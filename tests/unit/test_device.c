/* SPDX-License-Identifier: MIT */
/* What devices do alike: claiming, in one wording. */
#include "capture.h"
#include "devvm.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/state.h"

struct claimer {
	struct device dev;
	struct arch_place place;
	struct irq_line line;
	bool refused;
};

static const struct bus_ops nothing = { 0 };

static int claimer_realize(struct device *dev, struct vm *vm)
{
	struct claimer *c = container_of(dev, struct claimer, dev);
	int ret = device_claim(dev, &c->place, &nothing, c);

	return ret ? ret : device_claim_irq(dev, &c->line, 5, false);
}

static const struct device_ops claimer_ops = { .realize = claimer_realize, .state = &no_state };

static void claim_twice(bool pio, const char *message)
{
	struct claimer a = { .dev = { .name = "first", .ops = &claimer_ops } };
	struct claimer b = { .dev = { .name = "second", .ops = &claimer_ops } };
	struct devvm d;

	devvm_init(&d);
	a.place = (struct arch_place){ .pio = pio, .base = 0x300, .size = 8 };
	b.place = (struct arch_place){ .pio = pio, .base = 0x307, .size = 1 };
	assert_int_equal(device_add(&d.vm, &a.dev), 0);
	capture_begin();
	assert_int_equal(device_add(&d.vm, &b.dev), -EEXIST);
	assert_non_null(strstr(capture_end(), message));
	assert_ptr_equal(d.vm.devices, &a.dev);
	assert_null(a.dev.next);
	/* The place is free again, and the rest is as it was. */
	device_release(&a.dev, &a.place);
	irq_line_destroy(&a.line);
	assert_int_equal(device_claim(&b.dev, &b.place, &nothing, &b), 0);
	device_release(&b.dev, &b.place);
	d.vm.devices = NULL;
	vm_destroy(&d.vm);
}

static void test_ports(void **state)
{
	claim_twice(true, "second: cannot claim port 0x307: File exists");
}

static void test_addresses(void **state)
{
	claim_twice(false, "second: cannot claim address 0x307: File exists");
}

/* What a device forgets to say, the programmer is told. */
static void test_no_state(void **state)
{
	static const struct device_ops ops = { .realize = claimer_realize };
	struct claimer c = { .dev = { .name = "silent", .ops = &ops } };
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct devvm d;

		capture_begin();
		signal(SIGABRT, SIG_DFL);
		devvm_init(&d);
		c.place = (struct arch_place){ .base = 0x300, .size = 8 };
		_exit(device_add(&d.vm, &c.dev));
	}
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_no_state),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
