/* SPDX-License-Identifier: MIT */
/* Flushing a page of guest memory: it stays what it is, and within reach all the time. */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/memory.h"

#define BASE   0x100000ULL
#define SIZE   0x10000ULL
#define ROUNDS 2000

static struct guest_memory mem;

static void add(enum memory_backing backing, enum memory_kind kind)
{
	memory_init(&mem);
	assert_int_equal(memory_add(&mem,
				    &(struct memory_desc){
					    .gpa = BASE,
					    .size = SIZE,
					    .kind = kind,
					    .backing = backing,
					    .name = "test",
				    }),
			 0);
}

/* The mapping that holds @p, as the kernel shows it: its protection and its bounds. */
static void find_mapping(const void *p, char prot[5], u64 *begin, u64 *end)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512], *at;

	assert_non_null(maps);
	*prot = '\0';
	while (!*prot && fgets(line, sizeof(line), maps)) {
		*begin = strtoull(line, &at, 16);
		*end = strtoull(at + 1, &at, 16);
		if ((uintptr_t)p < *begin || (uintptr_t)p >= *end)
			continue;
		memcpy(prot, at + 1, 4);
		prot[4] = '\0';
	}
	fclose(maps);
}

static void flush_all(enum memory_backing backing)
{
	char prot[5];
	u64 begin, end;
	u8 *p;

	add(backing, MEM_RAM);
	p = memory_ptr(&mem, BASE, SIZE);
	assert_non_null(p);
	for (u64 i = 0; i < SIZE; i++)
		p[i] = (u8)(i * 7);
	for (u64 at = 0; at < SIZE; at += 0x800)
		assert_int_equal(memory_flush_page(&mem, BASE + at), 0);
	for (u64 i = 0; i < SIZE; i++)
		assert_int_equal(p[i], (u8)(i * 7));
	/* Nothing can be executed there, and no page is a mapping of its own. */
	find_mapping(p, prot, &begin, &end);
	assert_memory_equal(prot, "rw-", 3);
	assert_true(end - begin >= SIZE);
	memory_destroy(&mem);
}

static void test_contents_stay(void **state)
{
	flush_all(MEM_ANON);
	flush_all(MEM_MEMFD);
}

static void test_what_is_no_ram(void **state)
{
	static u8 borrowed[SIZE] __attribute__((aligned(65536)));

	add(MEM_ANON, MEM_ROM);
	assert_int_equal(memory_add_borrowed(&mem, 2 * BASE, SIZE, borrowed, MEM_RAM, "borrowed"),
			 0);
	assert_int_equal(memory_flush_page(&mem, BASE), -EFAULT);
	assert_int_equal(memory_flush_page(&mem, 2 * BASE), -EFAULT);
	assert_int_equal(memory_flush_page(&mem, BASE + SIZE), -EFAULT);
	assert_int_equal(memory_flush_page(&mem, BASE - 1), -EFAULT);
	assert_int_equal(memory_flush_page(&mem, ~0ULL), -EFAULT);
	memory_destroy(&mem);
}

static atomic_bool ended;

/* Another vcpu, or a device, that uses the page: one that is out of reach would kill the test. */
static void *use(void *arg)
{
	volatile u64 *p = arg;

	while (!atomic_load(&ended))
		*p = *p + 1;
	return NULL;
}

static void test_in_use(void **state)
{
	pthread_t threads[2];

	add(MEM_ANON, MEM_RAM);
	atomic_store(&ended, false);
	for (u32 i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use,
						memory_ptr(&mem, BASE + i * 0x1000ULL, 8)),
				 0);
	for (u32 i = 0; i < ROUNDS; i++)
		assert_int_equal(memory_flush_page(&mem, BASE + i % 2 * 0x1000ULL), 0);
	atomic_store(&ended, true);
	for (u32 i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	memory_destroy(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_contents_stay),
		cmocka_unit_test(test_what_is_no_ram),
		cmocka_unit_test(test_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
