/* SPDX-License-Identifier: MIT */
/* Interrupt lines and message routes over a chip that records what reaches it. */
#include "unit.h"

#include <linux/kvm.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/irq.h"

struct chip {
	int highs, lows, msis;
	u64 last_addr;
	u32 last_data, last_gsi;
	int bound;
	u32 nr_routes;
	struct kvm_irq_routing_entry routes[64];
	int refuse;
};

static void set_level(void *opaque, u32 gsi, bool level)
{
	struct chip *c = opaque;

	c->last_gsi = gsi;
	if (level)
		c->highs++;
	else
		c->lows++;
}

static void send_msi(void *opaque, u64 addr, u32 data, u32 devid)
{
	struct chip *c = opaque;

	c->msis++;
	c->last_addr = addr;
	c->last_data = data;
}

static int bind_irqfd(void *opaque, int fd, u32 gsi, bool assign)
{
	struct chip *c = opaque;

	c->bound += assign ? 1 : -1;
	return 0;
}

static int no_irqfd(void *opaque, int fd, u32 gsi, bool assign)
{
	return -ENOTSUP;
}

static int set_routes(void *opaque, struct kvm_irq_routing *table)
{
	struct chip *c = opaque;

	if (c->refuse)
		return -EINVAL;
	assert_true(table->nr <= ARRAY_SIZE(c->routes));
	memcpy(c->routes, table->entries, table->nr * sizeof(c->routes[0]));
	c->nr_routes = table->nr;
	return 0;
}

static const struct irq_chip_ops with_irqfd = { set_level, send_msi, bind_irqfd, set_routes };
static const struct irq_chip_ops without_irqfd = { set_level, send_msi, no_irqfd, set_routes };

static void level_line_drives_changes_alone(void **state)
{
	struct chip c = { 0 };
	struct irqs irqs;
	struct irq_line line;

	assert_int_equal(irq_init(&irqs, &with_irqfd, &c), 0);
	assert_int_equal(irq_line_init(&line, &irqs, 7, false), 0);
	irq_line_set(&line, true);
	irq_line_set(&line, true);
	irq_line_set(&line, false);
	irq_line_set(&line, false);
	assert_int_equal(c.highs, 1);
	assert_int_equal(c.lows, 1);
	assert_int_equal(c.last_gsi, 7);
	assert_int_equal(c.bound, 0);
	irq_line_destroy(&line);
	irq_destroy(&irqs);
}

static void edge_line_writes_its_irqfd(void **state)
{
	struct chip c = { 0 };
	struct irqs irqs;
	struct irq_line line;
	u64 n = 0;

	assert_int_equal(irq_init(&irqs, &with_irqfd, &c), 0);
	assert_int_equal(irq_line_init(&line, &irqs, 4, true), 0);
	assert_int_equal(c.bound, 1);
	irq_line_pulse(&line);
	assert_int_equal(read(line.fd, &n, 8), 8);
	assert_int_equal(n, 1);
	assert_int_equal(c.highs, 0);
	irq_line_destroy(&line);
	assert_int_equal(c.bound, 0);
	irq_destroy(&irqs);
}

static void edge_line_without_irqfd_pulses_the_chip(void **state)
{
	struct chip c = { 0 };
	struct irqs irqs;
	struct irq_line line;

	assert_int_equal(irq_init(&irqs, &without_irqfd, &c), 0);
	assert_int_equal(irq_line_init(&line, &irqs, 4, true), 0);
	irq_line_pulse(&line);
	assert_int_equal(c.highs, 1);
	assert_int_equal(c.lows, 1);
	irq_line_destroy(&line);
	irq_destroy(&irqs);
}

static void routes_join_the_fixed_table(void **state)
{
	struct kvm_irq_routing_entry pins[2] = {
		{ .gsi = 0, .type = KVM_IRQ_ROUTING_IRQCHIP },
		{ .gsi = 1, .type = KVM_IRQ_ROUTING_IRQCHIP },
	};
	struct chip c = { 0 };
	struct irqs irqs;
	struct msi_route *a, *b;

	assert_int_equal(irq_init(&irqs, &with_irqfd, &c), 0);
	assert_int_equal(irq_set_fixed_routes(&irqs, pins, 2, 24), 0);
	assert_int_equal(msi_route_alloc(&irqs, 0, &a), 0);
	assert_int_equal(msi_route_alloc(&irqs, 0, &b), 0);
	assert_int_equal(a->gsi, 24);
	assert_int_equal(b->gsi, 25);
	/* Allocated, but masked: not in the table. */
	assert_int_equal(c.nr_routes, 2);
	assert_int_equal(msi_route_update(b, 0x1fee00000, 0x41), 0);
	assert_int_equal(c.nr_routes, 3);
	assert_int_equal(c.routes[2].gsi, 25);
	assert_int_equal(c.routes[2].u.msi.address_lo, 0xfee00000);
	assert_int_equal(c.routes[2].u.msi.address_hi, 1);
	assert_int_equal(c.routes[2].u.msi.data, 0x41);
	assert_int_equal(c.bound, 1);
	pins[1].type = KVM_IRQ_ROUTING_MSI;
	assert_int_equal(irq_update_fixed_route(&irqs, &pins[1]), 0);
	assert_int_equal(c.routes[1].type, KVM_IRQ_ROUTING_MSI);
	pins[1].gsi = 9;
	assert_int_equal(irq_update_fixed_route(&irqs, &pins[1]), -ENOENT);
	/* A GSI that was given back is used again. */
	msi_route_free(a);
	assert_int_equal(msi_route_alloc(&irqs, 0, &a), 0);
	assert_int_equal(a->gsi, 24);
	msi_route_free(a);
	msi_route_free(b);
	assert_int_equal(c.bound, 0);
	irq_destroy(&irqs);
}

static void a_refused_route_is_left_out(void **state)
{
	struct chip c = { .refuse = 1 };
	struct irqs irqs;
	struct msi_route *a, *b;

	assert_int_equal(irq_init(&irqs, &with_irqfd, &c), 0);
	assert_int_equal(msi_route_alloc(&irqs, 0, &a), 0);
	assert_int_equal(msi_route_alloc(&irqs, 0, &b), 0);
	assert_int_equal(msi_route_update(a, 1, 1), -EINVAL);
	c.refuse = 0;
	assert_int_equal(msi_route_update(b, 2, 2), 0);
	assert_int_equal(c.nr_routes, 1);
	assert_int_equal(c.routes[0].u.msi.address_lo, 2);
	msi_route_free(a);
	msi_route_free(b);
	irq_destroy(&irqs);
}

static void messages_without_irqfd_go_to_the_chip(void **state)
{
	struct chip c = { 0 };
	struct irqs irqs;
	struct msi_route *a;

	assert_int_equal(irq_init(&irqs, &without_irqfd, &c), 0);
	assert_int_equal(msi_route_alloc(&irqs, 0, &a), 0);
	msi_route_trigger(a); /* masked */
	assert_int_equal(c.msis, 0);
	assert_int_equal(msi_route_update(a, 0xfee01000, 0x55), 0);
	msi_route_trigger(a);
	assert_int_equal(c.msis, 1);
	assert_int_equal(c.last_addr, 0xfee01000);
	assert_int_equal(c.last_data, 0x55);
	msi_route_free(a);
	irq_destroy(&irqs);
}

static void routes_are_bounded(void **state)
{
	static struct msi_route *routes[IRQ_MAX_ROUTES];
	struct chip c = { 0 };
	struct irqs irqs;
	int n = 0;

	assert_int_equal(irq_init(&irqs, &with_irqfd, &c), 0);
	irqs.first_msi_gsi = IRQ_MAX_ROUTES - 40;
	while (n < 64 && !msi_route_alloc(&irqs, 0, &routes[n]))
		n++;
	assert_in_range(n, 16, 40);
	while (n)
		msi_route_free(routes[--n]);
	irq_destroy(&irqs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(level_line_drives_changes_alone),
		cmocka_unit_test(edge_line_writes_its_irqfd),
		cmocka_unit_test(edge_line_without_irqfd_pulses_the_chip),
		cmocka_unit_test(routes_join_the_fixed_table),
		cmocka_unit_test(a_refused_route_is_left_out),
		cmocka_unit_test(messages_without_irqfd_go_to_the_chip),
		cmocka_unit_test(routes_are_bounded),
	};

	return cmocka_run_group_tests_name("irq", tests, NULL, NULL);
}
