/* SPDX-License-Identifier: MIT */
/* The bus: placement, lookup at the edges, growth, and lookups while the table changes under them.
 */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "lkvm/bus.h"

struct probe {
	u64 offset;
	u32 len;
	u32 reads, writes;
	u64 value;
};

static void probe_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct probe *p = opaque;

	p->offset = offset;
	p->len = len;
	p->reads++;
	put_le(data, len, p->value);
}

static void probe_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct probe *p = opaque;

	p->offset = offset;
	p->len = len;
	p->writes++;
	p->value = get_le(data, len);
}

static const struct bus_ops probe_ops = { probe_read, probe_write };
static const struct bus_ops deaf_ops = { NULL, NULL };

static void refuses_bad_placement(void **state)
{
	struct bus bus;
	struct probe p = { 0 };

	assert_int_equal(bus_init(&bus, "pio", 65536), 0);
	assert_int_equal(bus_add(&bus, 0, 0, &probe_ops, &p, "a"), -EINVAL);
	assert_int_equal(bus_add(&bus, 65535, 2, &probe_ops, &p, "a"), -EINVAL);
	assert_int_equal(bus_add(&bus, ~0ULL, 2, &probe_ops, &p, "a"), -EINVAL);
	assert_int_equal(bus_add(&bus, 65536, 1, &probe_ops, &p, "a"), -EINVAL);
	assert_int_equal(bus_add(&bus, 100, 10, &probe_ops, &p, "a"), 0);
	assert_int_equal(bus_add(&bus, 109, 1, &probe_ops, &p, "b"), -EEXIST);
	assert_int_equal(bus_add(&bus, 90, 11, &probe_ops, &p, "b"), -EEXIST);
	assert_int_equal(bus_add(&bus, 90, 100, &probe_ops, &p, "b"), -EEXIST);
	assert_int_equal(bus_add(&bus, 110, 1, &probe_ops, &p, "b"), 0);
	assert_int_equal(bus_add(&bus, 99, 1, &probe_ops, &p, "b"), 0);
	assert_int_equal(bus_remove(&bus, 101), -ENOENT);
	assert_int_equal(bus_remove(&bus, 100), 0);
	assert_int_equal(bus_add(&bus, 100, 10, &probe_ops, &p, "again"), 0);
	bus_destroy(&bus);
}

struct seen {
	u32 names;
	u64 reads, writes;
};

static void see_count(const char *name, u64 reads, u64 writes, void *arg)
{
	struct seen *seen = arg;

	if (strcmp(name, "card") != 0)
		return;
	seen->names++;
	seen->reads += reads;
	seen->writes += writes;
}

static struct seen counts_of(struct bus *bus)
{
	struct seen seen = { 0 };

	bus_for_each_count(bus, see_count, &seen);
	return seen;
}

/* Of one region, wherever it lies; what nobody took is nobody's. */
static void counts_accesses(void **state)
{
	struct probe p = { 0 };
	char name[] = "card";
	struct bus bus;
	u8 data[4] = { 0 };

	assert_int_equal(bus_init(&bus, "mmio", ~0ULL), 0);
	assert_int_equal(bus_add(&bus, 0x1000, 0x10, &probe_ops, &p, name), 0);
	assert_int_equal(bus_add(&bus, 0x2000, 0x10, &deaf_ops, &p, "other"), 0);
	assert_int_equal(counts_of(&bus).names, 0);
	bus_read(&bus, 0x1000, data, 4);
	bus_read(&bus, 0x1004, data, 4);
	bus_write(&bus, 0x1000, data, 4);
	bus_write(&bus, 0x2000, data, 4);
	bus_read(&bus, 0x100e, data, 4);
	assert_int_equal(counts_of(&bus).reads, 2);
	assert_int_equal(counts_of(&bus).writes, 1);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(bus_remove(&bus, 0x1000), 0);
		assert_int_equal(bus_add(&bus, 0x1000, 0x10, &probe_ops, &p, name), 0);
		bus_write(&bus, 0x1000, data, 4);
	}
	assert_int_equal(counts_of(&bus).names, 1);
	assert_int_equal(counts_of(&bus).writes, 101);
	/* Its device went, and the name with it. */
	assert_int_equal(bus_remove(&bus, 0x1000), 0);
	memset(name, 'x', sizeof(name) - 1);
	assert_int_equal(counts_of(&bus).reads, 2);
	bus_destroy(&bus);
}

static void finds_whole_accesses_alone(void **state)
{
	struct probe p = { .value = 0x1122334455667788 };
	struct bus bus;
	u8 data[8] = { 0 };

	assert_int_equal(bus_init(&bus, "mmio", ~0ULL), 0);
	assert_int_equal(bus_add(&bus, 0x1000, 0x10, &probe_ops, &p, "p"), 0);
	assert_true(bus_read(&bus, 0x1008, data, 8));
	assert_int_equal(get_le(data, 8), 0x1122334455667788);
	assert_int_equal(p.offset, 8);
	assert_int_equal(p.len, 8);
	/* Over the edge and beside: all ones, and the device sees nothing. */
	assert_false(bus_read(&bus, 0x100e, data, 4));
	assert_int_equal(get_le(data, 4), 0xffffffff);
	assert_false(bus_read(&bus, 0xfff, data, 1));
	assert_false(bus_read(&bus, 0x1010, data, 1));
	assert_false(bus_read(&bus, ~0ULL, data, 8));
	assert_false(bus_write(&bus, 0xfff, data, 2));
	assert_int_equal(p.reads, 1);
	assert_int_equal(p.writes, 0);
	put_le(data, 4, 0xdeadbeef);
	assert_true(bus_write(&bus, 0x100c, data, 4));
	assert_int_equal(p.value, 0xdeadbeef);
	bus_destroy(&bus);
}

static void device_that_ignores_a_read_gives_ones(void **state)
{
	struct bus bus;
	u8 data[2] = { 0 };

	assert_int_equal(bus_init(&bus, "pio", 65536), 0);
	assert_int_equal(bus_add(&bus, 0, 8, &deaf_ops, NULL, "deaf"), 0);
	assert_true(bus_read(&bus, 0, data, 2));
	assert_int_equal(get_le(data, 2), 0xffff);
	assert_true(bus_write(&bus, 0, data, 2));
	bus_destroy(&bus);
}

static void count_region(const struct bus_region *region, void *arg)
{
	u64 *state = arg;

	assert_true(region->base >= state[1]);
	state[1] = region->base + region->size;
	state[0]++;
}

static void grows_and_stays_sorted(void **state)
{
	enum { N = 500 };
	static struct probe probes[N];
	u64 seen[2] = { 0 };
	struct bus bus;
	u8 byte;

	assert_int_equal(bus_init(&bus, "mmio", ~0ULL), 0);
	for (u64 i = 0; i < N; i++) {
		u64 slot = (i * 337) % N; /* 337 and 500 have no common factor: every slot once */

		probes[slot].value = slot & 0xff;
		assert_int_equal(bus_add(&bus, slot * 16, 16, &probe_ops, &probes[slot], "x"), 0);
	}
	bus_for_each(&bus, count_region, seen);
	assert_int_equal(seen[0], N);
	for (u64 i = 0; i < N; i++) {
		assert_true(bus_read(&bus, i * 16 + 15, &byte, 1));
		assert_int_equal(byte, i & 0xff);
		assert_int_equal(probes[i].reads, 1);
	}
	for (u64 i = 0; i < N; i += 2)
		assert_int_equal(bus_remove(&bus, i * 16), 0);
	for (u64 i = 0; i < N; i++)
		assert_int_equal(bus_read(&bus, i * 16, &byte, 1), i & 1);
	bus_destroy(&bus);
}

/* A device that moves while others look: they must find it whole or not at all, and never lose the
 * one that stays. */
struct mover {
	struct bus *bus;
	atomic_bool stop;
	u32 fixed_lost;
};

static void *look(void *arg)
{
	struct mover *m = arg;
	u8 data[4];

	while (!atomic_load(&m->stop)) {
		if (!bus_read(m->bus, 0x9000, data, 4) || get_le(data, 4) != 0x55aa)
			m->fixed_lost++;
		if (bus_read(m->bus, 0x1000, data, 4) && get_le(data, 4) != 0x1234)
			m->fixed_lost++;
	}
	return NULL;
}

static void const_read(void *opaque, u64 offset, void *data, u32 len)
{
	put_le(data, len, (uintptr_t)opaque);
}

static const struct bus_ops const_ops = { const_read, NULL };

static void lookups_survive_changes(void **state)
{
	struct bus bus;
	struct mover m = { .bus = &bus };
	pthread_t thread;

	assert_int_equal(bus_init(&bus, "mmio", ~0ULL), 0);
	assert_int_equal(bus_add(&bus, 0x9000, 4, &const_ops, (void *)0x55aaUL, "fixed"), 0);
	assert_int_equal(pthread_create(&thread, NULL, look, &m), 0);
	for (int i = 0; i < 20000; i++) {
		u64 base = 0x1000 + (u64)(i % 100) * 0x20;

		assert_int_equal(bus_add(&bus, base, 4, &const_ops, (void *)0x1234UL, "moving"), 0);
		assert_int_equal(bus_remove(&bus, base), 0);
	}
	atomic_store(&m.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(m.fixed_lost, 0);
	bus_destroy(&bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_bad_placement),
		cmocka_unit_test(counts_accesses),
		cmocka_unit_test(finds_whole_accesses_alone),
		cmocka_unit_test(device_that_ignores_a_read_gives_ones),
		cmocka_unit_test(grows_and_stays_sorted),
		cmocka_unit_test(lookups_survive_changes),
	};

	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
