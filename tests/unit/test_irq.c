/* SPDX-License-Identifier: MIT */
/* Interrupt lines and the routing table over a chip that records what reaches it. */
#include "irq_chip.h"

#include <sys/eventfd.h>
#include <unistd.h>

static int setup(void **state)
{
	struct irq_rig *r = calloc(1, sizeof(*r));

	rig_init(r);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	free(*state);
	return 0;
}

static void level_line_drives_changes_alone(void **state)
{
	struct irq_rig *r = *state;
	struct irq_line line;

	assert_int_equal(irq_line_init(&line, &r->irqs, 7, false), 0);
	irq_line_set(&line, true);
	irq_line_set(&line, true);
	irq_line_set(&line, false);
	irq_line_set(&line, false);
	assert_int_equal(r->chip.highs, 1);
	assert_int_equal(r->chip.lows, 1);
	assert_int_equal(r->chip.last_gsi, 7);
	assert_int_equal(r->chip.nr_bound, 0);
	assert_int_equal(irq_line_fd(&line), -ENOTSUP);
	irq_line_destroy(&line);
}

static void edge_line_writes_its_irqfd(void **state)
{
	struct irq_rig *r = *state;
	struct irq_line line;

	assert_int_equal(irq_line_init(&line, &r->irqs, 4, true), 0);
	assert_int_equal(r->chip.nr_bound, 1);
	irq_line_pulse(&line);
	chip_settle(&r->chip);
	assert_int_equal(r->chip.by_gsi[4], 1);
	eventfd_raise(irq_line_fd(&line));
	chip_settle(&r->chip);
	assert_int_equal(r->chip.by_gsi[4], 2);
	assert_int_equal(r->chip.highs, 0);
	irq_line_destroy(&line);
	assert_int_equal(r->chip.nr_bound, 0);
}

/* The split irqchip's pins: pulses are calls, and the loop forwards what others write. */
static void edge_line_without_irqfd_pulses_the_chip(void **state)
{
	struct irq_rig *r = *state;
	struct irq_line line;
	int fd;

	r->chip.bind_error = -ENOTSUP;
	assert_int_equal(irq_line_init(&line, &r->irqs, 4, true), 0);
	irq_line_pulse(&line);
	assert_int_equal(r->chip.highs, 1);
	assert_int_equal(r->chip.lows, 1);
	fd = irq_line_fd(&line);
	assert_true(fd >= 0);
	assert_int_equal(irq_line_fd(&line), fd);
	eventfd_raise(fd);
	rig_pump(r);
	assert_int_equal(r->chip.highs, 2);
	assert_int_equal(r->chip.lows, 2);
	irq_line_pulse(&line);
	assert_int_equal(r->chip.highs, 3);
	irq_line_destroy(&line);
}

static void chip_pulse(void *opaque, u32 gsi)
{
	struct chip *c = opaque;

	assert_int_equal(gsi, 4);
	c->by_gsi[gsi]++;
}

/* A chip that tells an edge from a level that rises and falls. */
static void edge_line_says_a_pulse_as_one(void **state)
{
	static const struct irq_chip_ops ops = {
		.set_level = chip_set_level,
		.pulse = chip_pulse,
	};
	struct irq_rig *r = *state;
	struct irq_line line;

	r->irqs.ops = &ops;
	assert_int_equal(irq_line_init(&line, &r->irqs, 4, true), 0);
	irq_line_pulse(&line);
	assert_int_equal(r->chip.by_gsi[4], 1);
	eventfd_raise(irq_line_fd(&line));
	rig_pump(r);
	assert_int_equal(r->chip.by_gsi[4], 2);
	assert_int_equal(r->chip.highs + r->chip.lows, 0);
	irq_line_destroy(&line);
}

static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* Such pins are known: no eventfd is made for them before somebody else is to write to it. */
static void known_pins_take_no_fd(void **state)
{
	static const struct irq_chip_ops ops = {
		.set_level = chip_set_level,
		.bind_irqfd = chip_bind_irqfd,
		.first_irqfd_gsi = 24,
	};
	struct irq_rig *r = *state;
	struct irq_line pin, beyond;
	int before = next_fd();

	r->irqs.ops = &ops;
	assert_int_equal(irq_line_init(&pin, &r->irqs, 23, true), 0);
	assert_int_equal(next_fd(), before);
	assert_int_equal(r->chip.nr_bound, 0);
	irq_line_pulse(&pin);
	assert_int_equal(r->chip.highs, 1);
	eventfd_raise(irq_line_fd(&pin));
	rig_pump(r);
	assert_int_equal(r->chip.highs, 2);
	assert_int_equal(irq_line_init(&beyond, &r->irqs, 24, true), 0);
	assert_int_equal(r->chip.nr_bound, 1);
	irq_line_destroy(&beyond);
	irq_line_destroy(&pin);
}

static void level_line_with_resample(void **state)
{
	struct irq_rig *r = *state;
	int resample = eventfd(0, EFD_NONBLOCK);
	struct irq_line line;
	u64 n = 0;

	assert_int_equal(irq_line_init(&line, &r->irqs, 17, false), 0);
	assert_int_equal(irq_line_set_resample(&line, resample), 0);
	assert_int_equal(irq_line_set_resample(&line, resample), -EINVAL);
	assert_int_equal(r->chip.nr_bound, 1);
	assert_int_equal(r->chip.bound[0].gsi, 17);
	assert_int_equal(r->chip.bound[0].resample_fd, resample);
	assert_int_equal(r->chip.bound[0].fd, irq_line_fd(&line));
	eventfd_raise(irq_line_fd(&line));
	chip_settle(&r->chip);
	assert_int_equal(r->chip.by_gsi[17], 1);
	irq_line_destroy(&line);
	assert_int_equal(r->chip.nr_bound, 0);
	/* The other side's fd is still open. */
	eventfd_raise(resample);
	assert_int_equal(read(resample, &n, 8), 8);
	close(resample);
}

static void resample_may_be_refused(void **state)
{
	static const struct irq_chip_ops plain = { .set_level = chip_set_level };
	struct irq_rig *r = *state;
	struct irq_line line;

	assert_int_equal(irq_line_init(&line, &r->irqs, 4, true), 0);
	assert_int_equal(irq_line_set_resample(&line, 0), -EINVAL);
	irq_line_destroy(&line);
	assert_int_equal(irq_line_init(&line, &r->irqs, 17, false), 0);
	r->chip.bind_error = -ENOTSUP;
	assert_int_equal(irq_line_set_resample(&line, 0), -ENOTSUP);
	assert_int_equal(irq_line_fd(&line), -ENOTSUP);
	r->irqs.ops = &plain;
	assert_int_equal(irq_line_set_resample(&line, 0), -ENOTSUP);
	irq_line_set(&line, true);
	assert_int_equal(r->chip.highs, 1);
	irq_line_destroy(&line);
}

static void a_line_without_fd_works(void **state)
{
	struct irq_rig *r = *state;
	struct irq_line line, level;
	struct rlimit old = fds_gone();

	assert_int_equal(irq_line_init(&line, &r->irqs, 4, true), 0);
	assert_int_equal(irq_line_init(&level, &r->irqs, 17, false), 0);
	assert_int_equal(irq_line_set_resample(&level, 0), -EMFILE);
	fds_back(&old);
	irq_line_pulse(&line);
	assert_int_equal(r->chip.highs, 1);
	assert_int_equal(r->chip.lows, 1);
	assert_int_equal(irq_line_fd(&line), -EMFILE);
	irq_line_destroy(&level);
	irq_line_destroy(&line);
}

static void routes_join_the_fixed_table(void **state)
{
	struct kvm_irq_routing_entry pins[2] = {
		{ .gsi = 0, .type = KVM_IRQ_ROUTING_IRQCHIP },
		{ .gsi = 1, .type = KVM_IRQ_ROUTING_IRQCHIP },
	};
	struct irq_rig *r = *state;
	struct chip *c = &r->chip;
	struct msi_route *a, *b;

	assert_int_equal(irq_set_fixed_routes(&r->irqs, pins, 2, 24), 0);
	assert_int_equal(msi_route_alloc(&r->irqs, 0, &a), 0);
	assert_int_equal(msi_route_alloc(&r->irqs, 0, &b), 0);
	assert_int_equal(a->gsi, 24);
	assert_int_equal(b->gsi, 25);
	/* Allocated, but off: not in the table. */
	assert_int_equal(c->nr_routes, 2);
	assert_int_equal(msi_route_update(b, 0x1fee00000, 0x41), 0);
	assert_int_equal(c->nr_routes, 3);
	assert_int_equal(c->routes[2].gsi, 25);
	assert_int_equal(c->routes[2].u.msi.address_lo, 0xfee00000);
	assert_int_equal(c->routes[2].u.msi.address_hi, 1);
	assert_int_equal(c->routes[2].u.msi.data, 0x41);
	assert_int_equal(c->nr_bound, 1);
	/* A GSI that was given back is used again. */
	msi_route_free(a);
	assert_int_equal(msi_route_alloc(&r->irqs, 0, &a), 0);
	assert_int_equal(a->gsi, 24);
	msi_route_free(a);
	msi_route_free(b);
	assert_int_equal(c->nr_bound, 0);
}

static void fixed_routes_change_together(void **state)
{
	struct kvm_irq_routing_entry pins[3] = {
		{ .gsi = 0, .type = KVM_IRQ_ROUTING_IRQCHIP },
		{ .gsi = 1, .type = KVM_IRQ_ROUTING_IRQCHIP },
		{ .gsi = 2, .type = KVM_IRQ_ROUTING_IRQCHIP },
	};
	struct kvm_irq_routing_entry msis[2] = {
		{ .gsi = 1, .type = KVM_IRQ_ROUTING_MSI, .u.msi.data = 0x31 },
		{ .gsi = 2, .type = KVM_IRQ_ROUTING_MSI, .u.msi.data = 0x32 },
	};
	struct irq_rig *r = *state;
	struct chip *c = &r->chip;

	assert_int_equal(irq_set_fixed_routes(&r->irqs, pins, 3, 24), 0);
	assert_int_equal(c->tables, 1);
	assert_int_equal(irq_update_fixed_routes(&r->irqs, msis, 2), 0);
	assert_int_equal(c->tables, 2);
	assert_int_equal(c->routes[0].type, KVM_IRQ_ROUTING_IRQCHIP);
	assert_int_equal(c->routes[1].u.msi.data, 0x31);
	assert_int_equal(c->routes[2].u.msi.data, 0x32);
	/* All or none. */
	msis[0].u.msi.data = 0x41;
	msis[1].gsi = 9;
	assert_int_equal(irq_update_fixed_routes(&r->irqs, msis, 2), -ENOENT);
	assert_int_equal(c->tables, 2);
	/* What is refused does not stand in the tables that follow. */
	msis[1].gsi = 2;
	msis[1].u.msi.data = c->refuse_data = 0xbad;
	assert_int_equal(irq_update_fixed_routes(&r->irqs, msis, 2), -EINVAL);
	assert_int_equal(irq_update_fixed_routes(&r->irqs, pins, 1), 0);
	assert_int_equal(c->routes[1].u.msi.data, 0x31);
	assert_int_equal(c->routes[2].u.msi.data, 0x32);
}

/* By GSIs or by entries, whichever end first. */
static void routes_are_bounded(void **state)
{
	static struct kvm_irq_routing_entry pins[38];
	static struct msi_route *routes[64];
	struct irq_rig *r = *state;

	for (u32 max = 40; max <= 80; max += 40) {
		u32 room = max - 38, n = 0;

		r->chip.max_routes = max;
		assert_int_equal(irq_set_fixed_routes(&r->irqs, pins, 38, 24), 0);
		assert_int_equal(irq_room_for_routes(&r->irqs), room);
		while (n < 64 && !msi_route_alloc(&r->irqs, 0, &routes[n])) {
			assert_int_equal(msi_route_update(routes[n], n, n), 0);
			n++;
		}
		assert_int_equal(n, room);
		assert_int_equal(msi_route_alloc(&r->irqs, 0, &routes[n]), -ENOSPC);
		while (n)
			msi_route_free(routes[--n]);
	}
	assert_int_equal(irq_set_fixed_routes(&r->irqs, pins, 2, 100), 0);
	assert_int_equal(irq_room_for_routes(&r->irqs), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(level_line_drives_changes_alone),
		TEST(edge_line_writes_its_irqfd),
		TEST(edge_line_without_irqfd_pulses_the_chip),
		TEST(edge_line_says_a_pulse_as_one),
		TEST(known_pins_take_no_fd),
		TEST(level_line_with_resample),
		TEST(resample_may_be_refused),
		TEST(a_line_without_fd_works),
		TEST(routes_join_the_fixed_table),
		TEST(fixed_routes_change_together),
		TEST(routes_are_bounded),
	};

	return cmocka_run_group_tests_name("irq", tests, NULL, NULL);
}
