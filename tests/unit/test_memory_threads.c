/* SPDX-License-Identifier: MIT */
/*
 * Guest memory while regions come and go: threads look up and write through what they found, as
 * vcpus do, while others add and remove. A pointer that is used after its region was unmapped kills
 * the test; ThreadSanitizer and AddressSanitizer see the rest.
 */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lkvm/memory.h"

#define PAGE	4096ULL
#define READERS 3
#define WRITERS 2
#define ROUNDS	2000
/* What always is; what is private, but shared for moments; and what comes and goes, a place for
 * each writer. */
#define FIXED	 0x100000ULL
#define PRIVATE	 0x180000ULL
#define COMES(i) (0x200000ULL + (i)*0x10000ULL)

struct stress {
	struct guest_memory mem;
	atomic_bool end;
	atomic_uint seen[WRITERS]; /* how often a reader found the region */
};

/* For threads beside cmocka's own, which cannot jump out of theirs. */
static void must_equal(s64 is, s64 expected)
{
	if (is == expected)
		return;
	print_error("%lld is not %lld\n", is, expected);
	abort();
}

struct worker {
	struct stress *s;
	u64 index;
	pthread_t thread;
};

static void write_to(const struct guest_memory *mem, u64 gpa, u64 value)
{
	u64 *p = memory_ptr(mem, gpa, sizeof(*p));

	if (p)
		__atomic_store_n(p, value, __ATOMIC_RELAXED);
}

static void *read_all(void *arg)
{
	struct worker *w = arg;
	struct stress *s = w->s;
	struct memory_reader reader = { .mem = NULL };
	u64 mine = FIXED + w->index * sizeof(u64), buf[4];

	memory_add_reader(&s->mem, &reader);
	for (u64 n = 0; !atomic_load(&s->end); n++) {
		u64 comes = COMES(n % WRITERS), back;

		memory_read_begin(&reader);
		write_to(&s->mem, mine, n);
		must_equal(memory_read(&s->mem, mine, &back, sizeof(back)), 0);
		must_equal(back, n);
		write_to(&s->mem, PRIVATE + n % 3 * PAGE + w->index * 64, n);
		write_to(&s->mem, comes + w->index * 64, n);
		write_to(&s->mem, comes + PAGE + w->index * 64, n);
		/* Whole or not at all, even when it goes in between. */
		if (!memory_zero(&s->mem, comes + 1024 + w->index * 64, sizeof(buf)))
			atomic_fetch_add(&s->seen[n % WRITERS], 1);
		memory_read_end(&reader);
	}
	memory_remove_reader(&reader);
	return NULL;
}

static void *come_and_go(void *arg)
{
	struct worker *w = arg;
	struct stress *s = w->s;
	struct guest_memory *mem = &s->mem;
	u64 gpa = COMES(w->index);

	for (u32 n = 0; n < ROUNDS; n++) {
		unsigned int seen = atomic_load(&s->seen[w->index]);
		struct memory_desc d = { .gpa = gpa, .size = 2 * PAGE, .name = "comes" };

		d.backing = n & 1 ? MEM_MEMFD : MEM_ANON;
		must_equal(memory_add(mem, &d), 0);
		/* Now and then until somebody really used it. */
		while (n % 16 == 0 && atomic_load(&s->seen[w->index]) == seen)
			sched_yield();
		must_equal(memory_remove(mem, gpa), 0);
		memory_reclaim(mem);
	}
	return NULL;
}

static void *share_and_take_back(void *arg)
{
	struct worker *w = arg;
	struct guest_memory *mem = &w->s->mem;

	for (u32 n = 0; n < ROUNDS; n++) {
		u64 pages = 1 + n % 3;

		must_equal(memory_set_shared(mem, PRIVATE, pages * PAGE, true), 0);
		must_equal(memory_set_shared(mem, PRIVATE, pages * PAGE, false), 0);
	}
	return NULL;
}

static void start(struct stress *s, struct worker *w, u64 index, void *(*fn)(void *))
{
	*w = (struct worker){ .s = s, .index = index };
	assert_int_equal(pthread_create(&w->thread, NULL, fn, w), 0);
}

static void lookups_survive_changes(void **state)
{
	struct worker readers[READERS], writers[WRITERS], sharer;
	int private_fd = memfd_create("private", MFD_CLOEXEC);
	static struct stress s;

	memory_init(&s.mem);
	assert_int_equal(
		memory_add(&s.mem,
			   &(struct memory_desc){ .gpa = FIXED, .size = PAGE, .name = "fixed" }),
		0);
	assert_int_equal(ftruncate(private_fd, 3 * PAGE), 0);
	assert_int_equal(memory_add(&s.mem, &(struct memory_desc){ .gpa = PRIVATE,
								   .size = 3 * PAGE,
								   .private = true,
								   .private_fd = private_fd,
								   .name = "private" }),
			 0);
	close(private_fd);
	for (u64 i = 0; i < READERS; i++)
		start(&s, &readers[i], i, read_all);
	for (u64 i = 0; i < WRITERS; i++)
		start(&s, &writers[i], i, come_and_go);
	start(&s, &sharer, 0, share_and_take_back);
	pthread_join(sharer.thread, NULL);
	for (u64 i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
	atomic_store(&s.end, true);
	for (u64 i = 0; i < READERS; i++)
		pthread_join(readers[i].thread, NULL);
	assert_int_equal(memory_ram_size(&s.mem), 4 * PAGE);
	memory_destroy(&s.mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lookups_survive_changes),
	};

	return cmocka_run_group_tests_name("memory, threads", tests, NULL, NULL);
}
