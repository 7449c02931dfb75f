/* SPDX-License-Identifier: MIT */
/* What reaches the PLIC at once: sources from outside beside lines, and harts that claim. */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lkvm/irq.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "plic_rig.h"

/* As riscv/irqchip.c leads lines to it. */

static void to_plic(void *opaque, u32 gsi, bool level)
{
	riscv_plic_set_level(((struct fixture *)opaque)->plic, gsi, level);
}

static int resample_to_plic(void *opaque, int fd, int resample_fd, u32 gsi, bool assign)
{
	return riscv_plic_bind_resample(((struct fixture *)opaque)->plic, fd, resample_fd, gsi,
					assign);
}

static const struct irq_chip_ops chip_ops = {
	.set_level = to_plic,
	.bind_resample = resample_to_plic,
};

/* What VFIO's INTx is: two fds of a device that looks again when it is asked to. */
struct intx {
	struct irq_line line;
	int resample_fd;
};

static void intx_init(struct fixture *f, struct intx *x, u32 source)
{
	f->d.vm.irqs.ops = &chip_ops;
	f->d.vm.irqs.opaque = f;
	irq_set_loop(&f->d.vm.irqs, &f->d.vm.loop);
	x->resample_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(x->resample_fd >= 0);
	assert_int_equal(irq_line_init(&x->line, &f->d.vm.irqs, source, false), 0);
	assert_int_equal(irq_line_set_resample(&x->line, x->resample_fd), 0);
}

static void intx_fini(struct intx *x)
{
	irq_line_destroy(&x->line);
	close(x->resample_fd);
}

static void intx_raise(struct fixture *f, struct intx *x)
{
	eventfd_raise(irq_line_fd(&x->line));
	while (event_loop_drain(&f->d.vm.loop))
		;
}

static bool asked_again(struct intx *x)
{
	return eventfd_drain(x->resample_fd);
}

static void test_resample(void **state)
{
	struct fixture *f = *state;
	struct intx x;

	open_source(f, 0, 4, 1);
	intx_init(f, &x, 4);
	intx_raise(f, &x);
	assert_true(f->raised[0]);
	assert_int_equal(claim(f, 0), 4);
	assert_false(asked_again(&x));
	/* The level falls when it is completed; a device that still asserts raises it again. */
	complete(f, 0, 4);
	assert_true(asked_again(&x));
	assert_false(f->raised[0]);
	intx_raise(f, &x);
	assert_int_equal(claim(f, 0), 4);
	/* Whoever claimed it before a reset, or a load, will not complete it. */
	vm_reset_devices(&f->d.vm);
	assert_true(asked_again(&x));
	open_source(f, 0, 4, 1);
	assert_false(f->raised[0]);
	intx_raise(f, &x);
	assert_int_equal(f->d.vm.devices->ops->state->load(f->plic), 0);
	assert_true(asked_again(&x));
	intx_fini(&x);
	assert_int_equal(riscv_plic_bind_resample(f->plic, 0, 0, 0, true), -EINVAL);
	assert_int_equal(riscv_plic_bind_resample(f->plic, 0, 0, 4, false), -ENOENT);
}

/* A line of a device here and two of the host's on one source. */
static void test_shared_source(void **state)
{
	struct fixture *f = *state;
	struct intx x, y;

	open_source(f, 0, 4, 1);
	intx_init(f, &x, 4);
	intx_init(f, &y, 4);
	intx_raise(f, &x);
	intx_raise(f, &y);
	riscv_plic_set_level(f->plic, 4, true);
	assert_int_equal(claim(f, 0), 4);
	riscv_plic_set_level(f->plic, 4, false);
	complete(f, 0, 4);
	assert_true(asked_again(&x) && asked_again(&y));
	assert_false(f->raised[0]);
	/* At its end the line is high, which no end lets fall. */
	intx_raise(f, &y);
	assert_int_equal(claim(f, 0), 4);
	riscv_plic_set_level(f->plic, 4, true);
	complete(f, 0, 4);
	assert_false(asked_again(&x));
	assert_true(asked_again(&y));
	assert_true(f->raised[0]);
	riscv_plic_set_level(f->plic, 4, false);
	assert_int_equal(claim(f, 0), 4);
	/* One that comes meanwhile is asked to look again, and no more; one that goes is nothing.
	 */
	intx_raise(f, &x);
	complete(f, 0, 4);
	assert_true(asked_again(&x));
	assert_false(f->raised[0]);
	intx_raise(f, &x);
	assert_int_equal(claim(f, 0), 4);
	intx_raise(f, &y);
	intx_fini(&y);
	intx_fini(&x);
	complete(f, 0, 4);
	assert_false(f->raised[0]);
}

/* Harts that claim at once while lines move: a source is with one hart at a time, and none gets
 * lost. */

#define PULSES 2000

struct race {
	struct fixture *f;
	u32 hart;
	atomic_int *owner;  /* of each source: harts that have it */
	atomic_uint *taken; /* interrupts in all */
	atomic_bool *over;
};

static void *race_hart(void *opaque)
{
	struct race *r = opaque;

	for (;;) {
		bool over = atomic_load(r->over);
		u32 source = claim(r->f, r->hart);

		if (!source && over)
			return NULL;
		if (!source)
			continue;
		assert_int_equal(atomic_fetch_add(&r->owner[source], 1), 0);
		atomic_fetch_add(r->taken, 1);
		atomic_fetch_sub(&r->owner[source], 1);
		complete(r->f, r->hart, source);
	}
}

static void test_races(void **state)
{
	struct fixture *f = *state;
	atomic_int owner[RISCV_NR_LINES] = { 0 };
	atomic_uint taken = 0;
	atomic_bool over = false;
	struct race races[HARTS];
	pthread_t threads[HARTS];

	for (u32 hart = 0; hart < HARTS; hart++) {
		open_source(f, hart, 4, 1);
		open_source(f, hart, 64, 2);
	}
	for (u32 hart = 0; hart < HARTS; hart++) {
		races[hart] = (struct race){ f, hart, owner, &taken, &over };
		assert_int_equal(pthread_create(&threads[hart], NULL, race_hart, &races[hart]), 0);
	}
	for (u32 i = 0; i < PULSES; i++)
		riscv_plic_pulse(f->plic, i & 1 ? 4 : 64);
	atomic_store(&over, true);
	for (u32 hart = 0; hart < HARTS; hart++)
		assert_int_equal(pthread_join(threads[hart], NULL), 0);
	/* Some are one interrupt, but the last of each source was seen. */
	assert_true(taken >= 2 && taken <= PULSES);
	assert_false(pending(f, 4) || pending(f, 64));
	assert_false(f->raised[0] || f->raised[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_resample),
		TEST(test_shared_source),
		TEST(test_races),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
