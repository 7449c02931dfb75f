/* SPDX-License-Identifier: MIT */
/*
 * Message routes: batches, what is refused, masks, and interrupts that somebody else raises while
 * the mask changes: each is delivered once, whichever way the race goes.
 */
#include "irq_chip.h"

#define ROUTES 64
/* Rounds of the races: the test is over when all interrupts have come, however long that takes. */
#define ROUNDS 5000
#define HANG   600 /* seconds */

struct fixture {
	struct irq_rig rig;
	struct chip *chip;
	struct irqs *irqs;
	struct msi_route *routes[ROUTES];
	u32 n;
};

static int setup(void **state)
{
	struct kvm_irq_routing_entry pin = { .gsi = 0, .type = KVM_IRQ_ROUTING_IRQCHIP };
	struct fixture *f = calloc(1, sizeof(*f));

	rig_init(&f->rig);
	f->chip = &f->rig.chip;
	f->irqs = &f->rig.irqs;
	assert_int_equal(irq_set_fixed_routes(f->irqs, &pin, 1, 24), 0);
	f->chip->tables = 0;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	event_loop_stop_thread(&f->rig.loop);
	for (u32 i = 0; i < f->n; i++)
		msi_route_free(f->routes[i]);
	rig_fini(&f->rig);
	free(f);
	return 0;
}

static void take_routes(struct fixture *f, u32 n)
{
	for (f->n = 0; f->n < n; f->n++)
		assert_int_equal(msi_route_alloc(f->irqs, 8, &f->routes[f->n]), 0);
}

static int commit(struct fixture *f)
{
	return msi_routes_commit(f->irqs, f->routes, f->n);
}

/* One route, open, whose message is 0x41. */
static struct msi_route *one_route(struct fixture *f)
{
	take_routes(f, 1);
	assert_int_equal(msi_route_update(f->routes[0], 0xfee01000, 0x41), 0);
	return f->routes[0];
}

static void a_batch_is_one_table(void **state)
{
	struct fixture *f = *state;

	take_routes(f, ROUTES);
	assert_int_equal(commit(f), 0);
	assert_int_equal(f->chip->tables, 0);
	for (u32 i = 0; i < ROUTES; i++)
		msi_route_stage(f->routes[i], 0xfee00000, 0x30 + i);
	assert_int_equal(commit(f), 0);
	assert_int_equal(f->chip->tables, 1);
	assert_int_equal(f->chip->nr_routes, 1 + ROUTES);
	assert_int_equal(f->chip->routes[1 + 5].u.msi.data, 0x35);
	/* Masks and what the table has already cost none. */
	for (int round = 0; round < 3; round++) {
		for (u32 i = 0; i < ROUTES; i++) {
			msi_route_set_mode(f->routes[i], MSI_OPEN);
			msi_route_stage(f->routes[i], 0xfee00000, 0x30 + i);
		}
		assert_int_equal(commit(f), 0);
		for (u32 i = 0; i < ROUTES; i++)
			msi_route_set_mode(f->routes[i], round ? MSI_OFF : MSI_MASKED);
	}
	assert_int_equal(f->chip->tables, 1);
	msi_route_stage(f->routes[7], 0xfee00000, 0x99);
	assert_int_equal(commit(f), 0);
	assert_int_equal(f->chip->tables, 2);
	assert_int_equal(f->chip->routes[1 + 7].u.msi.data, 0x99);
	/* Staged and taken back. */
	msi_route_stage(f->routes[7], 0xfee00000, 0x98);
	msi_route_stage(f->routes[7], 0xfee00000, 0x99);
	assert_int_equal(commit(f), 0);
	assert_int_equal(f->chip->tables, 2);
}

/* The tables keep their place: no change allocates. */
static void changes_allocate_nothing(void **state)
{
	struct fixture *f = *state;
	struct kvm_irq_routing *table;
	struct msi_route **routes;

	take_routes(f, ROUTES);
	table = f->irqs->table;
	routes = f->irqs->routes;
	for (u32 i = 0; i < ROUTES; i++)
		assert_int_equal(msi_route_update(f->routes[i], 0xfee00000, i), 0);
	assert_ptr_equal(f->irqs->table, table);
	assert_ptr_equal(f->irqs->routes, routes);
}

static void what_is_refused_is_alone(void **state)
{
	struct fixture *f = *state;
	struct chip *c = f->chip;

	take_routes(f, 9);
	for (u32 i = 0; i < 9; i++) {
		assert_int_equal(msi_route_update(f->routes[i], 0xfee00000, 0x30 + i), 0);
		msi_route_stage(f->routes[i], 0xfee00000, 0x50 + i);
	}
	msi_route_stage(f->routes[5], 0xfee00000, 0xbad);
	c->refuse_data = 0xbad;
	assert_int_equal(commit(f), -EINVAL);
	assert_in_range(c->refused_tables, 1, 5); /* found by halving */
	assert_int_equal(c->nr_routes, 1 + 8);
	for (u32 i = 0; i < 9; i++) {
		assert_int_equal(msi_route_live(f->routes[i]), i != 5);
		msi_route_trigger(f->routes[i]);
	}
	for (u32 i = 0; i < c->nr_routes; i++)
		assert_int_not_equal(c->routes[i].gsi, f->routes[5]->gsi);
	chip_settle(c);
	assert_int_equal(c->delivered, 8);
	assert_int_equal(c->by_gsi[f->routes[5]->gsi], 0);
	assert_int_equal(c->msis, 0);
	/* It can be corrected. */
	msi_route_stage(f->routes[5], 0xfee00000, 0x35);
	assert_int_equal(commit(f), 0);
	assert_true(msi_route_live(f->routes[5]));
	msi_route_trigger(f->routes[5]);
	chip_settle(c);
	assert_int_equal(c->by_gsi[f->routes[5]->gsi], 1);
}

/* No message is lost to a host that is out of memory, and none goes where it went before. */
static void without_memory_for_a_table(void **state)
{
	struct fixture *f = *state;
	struct chip *c = f->chip;

	take_routes(f, 2);
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(msi_route_update(f->routes[i], 0xfee00000, 0x30 + i), 0);
	c->no_memory = true;
	assert_int_equal(msi_route_update(f->routes[0], 0xfee00000, 0x50), 0);
	for (u32 i = 0; i < 2; i++)
		msi_route_trigger(f->routes[i]);
	chip_settle(c);
	assert_int_equal(c->msis, 1);
	assert_int_equal(c->last_data, 0x50);
	assert_int_equal(c->by_gsi[f->routes[0]->gsi], 0);
	assert_int_equal(c->by_gsi[f->routes[1]->gsi], 1);
	/* What comes while it is masked comes once. */
	msi_route_set_mode(f->routes[0], MSI_MASKED);
	msi_route_trigger(f->routes[0]);
	assert_int_equal(c->msis, 1);
	msi_route_set_mode(f->routes[0], MSI_OPEN);
	assert_int_equal(c->msis, 2);
	/* With memory the same message has its route again. */
	c->no_memory = false;
	assert_int_equal(msi_route_update(f->routes[0], 0xfee00000, 0x50), 0);
	msi_route_trigger(f->routes[0]);
	chip_settle(c);
	assert_int_equal(c->msis, 2);
	assert_int_equal(c->by_gsi[f->routes[0]->gsi], 1);
}

static void a_refused_route_is_left_out(void **state)
{
	struct fixture *f = *state;

	take_routes(f, 2);
	f->chip->refuse = true;
	assert_int_equal(msi_route_update(f->routes[0], 1, 1), -EINVAL);
	f->chip->refuse = false;
	assert_int_equal(msi_route_update(f->routes[1], 2, 2), 0);
	assert_int_equal(f->chip->nr_routes, 2);
	assert_int_equal(f->chip->routes[1].u.msi.address_lo, 2);
}

static void masked_is_pending_and_comes_once(void **state)
{
	struct fixture *f = *state;
	struct msi_route *r = one_route(f);
	int fd = msi_route_fd(r);

	assert_true(fd >= 0);
	msi_route_trigger(r);
	chip_settle(f->chip);
	assert_int_equal(f->chip->delivered, 1);
	/* By the device, by another process, by both. */
	for (int who = 1; who <= 3; who++) {
		msi_route_set_mode(r, MSI_MASKED);
		assert_false(msi_route_pending(r));
		assert_int_equal(f->chip->nr_bound, 0);
		if (who & 1)
			msi_route_trigger(r);
		if (who & 2)
			eventfd_raise(fd);
		if (who & 2)
			eventfd_raise(fd);
		assert_true(msi_route_pending(r));
		assert_true(msi_route_pending(r));
		if (who == 3)
			eventfd_raise(fd);
		chip_settle(f->chip);
		assert_int_equal(f->chip->delivered, who);
		msi_route_set_mode(r, MSI_OPEN);
		chip_settle(f->chip);
		assert_int_equal(f->chip->delivered, who + 1);
		assert_false(msi_route_pending(r));
		assert_int_equal(msi_route_fd(r), fd);
	}
	/* No second time. */
	msi_route_set_mode(r, MSI_MASKED);
	assert_false(msi_route_pending(r));
	msi_route_set_mode(r, MSI_OPEN);
	chip_settle(f->chip);
	assert_int_equal(f->chip->delivered, 4);
	assert_int_equal(f->chip->msis, 0);
}

static void off_drops(void **state)
{
	struct fixture *f = *state;
	struct msi_route *r = one_route(f);
	int fd = msi_route_fd(r);

	msi_route_set_mode(r, MSI_MASKED);
	msi_route_trigger(r);
	eventfd_raise(fd);
	msi_route_set_mode(r, MSI_OFF);
	msi_route_trigger(r);
	eventfd_raise(fd);
	assert_false(msi_route_pending(r));
	assert_int_equal(msi_route_fd(r), fd);
	msi_route_set_mode(r, MSI_MASKED);
	assert_false(msi_route_pending(r));
	msi_route_set_mode(r, MSI_OPEN);
	chip_settle(f->chip);
	assert_int_equal(f->chip->delivered, 0);
	eventfd_raise(fd);
	chip_settle(f->chip);
	assert_int_equal(f->chip->delivered, 1);
}

/* KVM_IRQFD may fail at any time: the message goes by a call, and the loop does it for others. */
static void without_irqfd_messages_are_sent(void **state)
{
	struct fixture *f = *state;
	struct chip *c = f->chip;
	struct msi_route *r;
	int fd;

	take_routes(f, 1);
	r = f->routes[0];
	f->irqs->msi_devid = true;
	msi_route_trigger(r); /* off */
	assert_int_equal(c->msis, 0);
	c->bind_error = -ENOMEM;
	assert_int_equal(msi_route_update(r, 0xfee01000, 0x55), 0);
	msi_route_trigger(r);
	assert_int_equal(c->msis, 1);
	assert_int_equal(c->last_addr, 0xfee01000);
	assert_int_equal(c->last_data, 0x55);
	assert_int_equal(c->last_devid, 8);
	fd = msi_route_fd(r);
	eventfd_raise(fd);
	rig_pump(&f->rig);
	assert_int_equal(c->msis, 2);
	msi_route_set_mode(r, MSI_MASKED);
	eventfd_raise(fd);
	rig_pump(&f->rig);
	r->watch.fn(r->watch.opaque, EPOLLIN); /* the loop woke before the mask was set */
	assert_int_equal(c->msis, 2);
	assert_true(msi_route_pending(r));
	msi_route_trigger(r);
	msi_route_set_mode(r, MSI_OPEN);
	rig_pump(&f->rig);
	assert_int_equal(c->msis, 3);
	/* Later it may work. */
	msi_route_set_mode(r, MSI_MASKED);
	c->bind_error = 0;
	msi_route_set_mode(r, MSI_OPEN);
	eventfd_raise(fd);
	chip_settle(c);
	assert_int_equal(c->delivered, 1);
	assert_int_equal(c->msis, 3);
}

/* At the limit of descriptors: the message goes by a call, as the mask says. */
static void without_fd_messages_are_sent(void **state)
{
	struct fixture *f = *state;
	struct rlimit old = fds_gone();
	struct msi_route *r = one_route(f);

	fds_back(&old);
	assert_int_equal(msi_route_fd(r), -EMFILE);
	msi_route_trigger(r);
	assert_int_equal(f->chip->msis, 1);
	assert_int_equal(f->chip->last_data, 0x41);
	assert_int_equal(f->chip->last_devid, 0); /* msi_devid is not set */
	msi_route_set_mode(r, MSI_MASKED);
	msi_route_trigger(r);
	msi_route_trigger(r);
	assert_int_equal(f->chip->msis, 1);
	assert_true(msi_route_pending(r));
	msi_route_set_mode(r, MSI_OPEN);
	assert_int_equal(f->chip->msis, 2);
}

/* Races */

struct race {
	struct fixture *f;
	struct msi_route *route;
	bool by_device; /* it calls trigger; else it writes the fd, as vhost does */
	atomic_int sent;
	atomic_bool done;
};

static int arrived(struct race *race)
{
	return race->f->chip->delivered + race->f->chip->msis;
}

/* One after the other: the next when the last has come. */
static void *send_and_wait(void *arg)
{
	struct race *race = arg;
	int fd = msi_route_fd(race->route);

	for (int i = 1; i <= ROUNDS; i++) {
		race->sent = i;
		if (race->by_device)
			msi_route_trigger(race->route);
		else
			eventfd_raise(fd);
		while (arrived(race) < i)
			sched_yield();
	}
	race->done = true;
	return NULL;
}

/* None was lost: all have come. And none came twice. */
static void finish_race(struct race *race, pthread_t thread)
{
	pthread_join(thread, NULL);
	msi_route_set_mode(race->route, MSI_MASKED);
	assert_false(msi_route_pending(race->route));
	msi_route_set_mode(race->route, MSI_OPEN);
	chip_settle(race->f->chip);
	assert_int_equal(arrived(race), ROUNDS);
	alarm(0);
}

/* The guest: masks, unmasks, looks at the pending bit. */
static void flip_until_done(struct race *race)
{
	struct msi_route *r = race->route;
	pthread_t thread;
	u64 seed = 1;

	alarm(HANG);
	assert_int_equal(pthread_create(&thread, NULL, send_and_wait, race), 0);
	while (!race->done) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		msi_route_set_mode(r, MSI_MASKED);
		if (seed >> 62)
			msi_route_pending(r);
		if (seed >> 60 & 1)
			sched_yield();
		msi_route_set_mode(r, MSI_OPEN);
		if (seed >> 61 & 1)
			chip_settle(race->f->chip);
	}
	finish_race(race, thread);
}

static void written_while_the_mask_flips(void **state)
{
	struct fixture *f = *state;
	struct race race = { .f = f, .route = one_route(f) };

	flip_until_done(&race);
	assert_int_equal(f->chip->msis, 0);
}

static void triggered_while_the_mask_flips(void **state)
{
	struct fixture *f = *state;
	struct race race = { .f = f, .route = one_route(f), .by_device = true };

	flip_until_done(&race);
	assert_int_equal(f->chip->msis, 0);
}

static void forwarded_while_the_mask_flips(void **state)
{
	struct fixture *f = *state;
	struct race race = { .f = f };

	f->chip->bind_error = -ENOTSUP;
	race.route = one_route(f);
	assert_int_equal(event_loop_start_thread(&f->rig.loop), 0);
	flip_until_done(&race);
	assert_int_equal(f->chip->delivered, 0);
}

/* KVM_IRQFD fails now and then. */
static void sometimes_bound_while_the_mask_flips(void **state)
{
	struct fixture *f = *state;
	struct race race = { .f = f, .route = one_route(f) };
	pthread_t thread;

	alarm(HANG);
	assert_int_equal(event_loop_start_thread(&f->rig.loop), 0);
	assert_int_equal(pthread_create(&thread, NULL, send_and_wait, &race), 0);
	for (u32 n = 0; !race.done; n++) {
		msi_route_set_mode(race.route, MSI_MASKED);
		f->chip->bind_error = n % 3 ? 0 : -ENOMEM;
		msi_route_set_mode(race.route, MSI_OPEN);
		sched_yield();
	}
	f->chip->bind_error = 0;
	finish_race(&race, thread);
}

static void *send_bursts(void *arg)
{
	struct race *race = arg;
	int fd = msi_route_fd(race->route);

	for (int i = 1; i <= 20 * ROUNDS; i++) {
		race->sent = i;
		eventfd_raise(fd);
	}
	race->done = true;
	return NULL;
}

/* Many become one, but after the last there is one more. Other routes change meanwhile. */
static void bursts_while_the_mask_flips(void **state)
{
	struct fixture *f = *state;
	struct race race = { .f = f };
	pthread_t thread;
	int before;

	alarm(HANG);
	take_routes(f, 2);
	race.route = f->routes[0];
	assert_int_equal(msi_route_update(race.route, 0xfee01000, 0x41), 0);
	assert_int_equal(pthread_create(&thread, NULL, send_bursts, &race), 0);
	for (u32 n = 0; !race.done; n++) {
		msi_route_set_mode(race.route, MSI_MASKED);
		msi_route_update(f->routes[1], 0xfee00000, n);
		msi_route_update(race.route, 0xfee01000, n);
	}
	pthread_join(thread, NULL);
	chip_settle(f->chip);
	before = arrived(&race);
	assert_in_range(before, 1, race.sent);
	msi_route_set_mode(race.route, MSI_MASKED);
	assert_false(msi_route_pending(race.route));
	eventfd_raise(msi_route_fd(race.route));
	msi_route_set_mode(race.route, MSI_OPEN);
	chip_settle(f->chip);
	assert_int_equal(arrived(&race), before + 1);
	alarm(0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_batch_is_one_table),
		TEST(changes_allocate_nothing),
		TEST(what_is_refused_is_alone),
		TEST(without_memory_for_a_table),
		TEST(a_refused_route_is_left_out),
		TEST(masked_is_pending_and_comes_once),
		TEST(off_drops),
		TEST(without_irqfd_messages_are_sent),
		TEST(without_fd_messages_are_sent),
		TEST(written_while_the_mask_flips),
		TEST(triggered_while_the_mask_flips),
		TEST(forwarded_while_the_mask_flips),
		TEST(sometimes_bound_while_the_mask_flips),
		TEST(bursts_while_the_mask_flips),
	};

	return cmocka_run_group_tests_name("msi", tests, NULL, NULL);
}
