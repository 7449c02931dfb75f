/* SPDX-License-Identifier: MIT */
/* Guest memory: placement, checked access across and beyond regions, listeners, discarding. */
#include "unit.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "lkvm/memory.h"

#define PAGE 4096ULL

static int setup(void **state)
{
	struct guest_memory *mem = malloc(sizeof(*mem));

	memory_init(mem);
	*state = mem;
	return 0;
}

static int teardown(void **state)
{
	memory_destroy(*state);
	free(*state);
	return 0;
}

static int add(struct guest_memory *mem, u64 gpa, u64 size, u32 flags)
{
	return memory_add(mem, gpa, size, MEM_ANON, NULL, flags, "test");
}

static void refuses_bad_placement(void **state)
{
	struct guest_memory *mem = *state;

	assert_int_equal(add(mem, 0, 0, 0), -EINVAL);
	assert_int_equal(add(mem, 1, PAGE, 0), -EINVAL);
	assert_int_equal(add(mem, 0, PAGE + 1, 0), -EINVAL);
	assert_int_equal(add(mem, ~0ULL - PAGE + 1, 2 * PAGE, 0), -EINVAL);
	assert_int_equal(add(mem, 4 * PAGE, 4 * PAGE, 0), 0);
	assert_int_equal(add(mem, 7 * PAGE, PAGE, 0), -EEXIST);
	assert_int_equal(add(mem, 0, 5 * PAGE, 0), -EEXIST);
	assert_int_equal(add(mem, 3 * PAGE, 8 * PAGE, 0), -EEXIST);
	assert_int_equal(add(mem, 3 * PAGE, PAGE, 0), 0);
	assert_int_equal(add(mem, 8 * PAGE, PAGE, 0), 0);
	assert_int_equal(memory_ram_size(mem), 6 * PAGE);
}

static void is_full_after_the_last_region(void **state)
{
	struct guest_memory *mem = *state;

	for (u64 i = 0; i < MEM_MAX_REGIONS; i++)
		assert_int_equal(add(mem, 2 * i * PAGE, PAGE, 0), 0);
	assert_int_equal(add(mem, 2 * MEM_MAX_REGIONS * PAGE, PAGE, 0), -ENOSPC);
}

static void pointers_stay_inside_one_region(void **state)
{
	struct guest_memory *mem = *state;
	u8 *base;

	/* Added out of order: the set sorts. */
	assert_int_equal(add(mem, 8 * PAGE, 2 * PAGE, 0), 0);
	assert_int_equal(add(mem, 2 * PAGE, 2 * PAGE, 0), 0);
	base = memory_ptr(mem, 2 * PAGE, 2 * PAGE);
	assert_non_null(base);
	assert_ptr_equal(memory_ptr(mem, 2 * PAGE + 5, 1), base + 5);
	assert_non_null(memory_ptr(mem, 4 * PAGE - 1, 1));
	assert_null(memory_ptr(mem, 4 * PAGE - 1, 2));
	assert_null(memory_ptr(mem, 2 * PAGE - 1, 1));
	assert_null(memory_ptr(mem, 4 * PAGE, 0));
	assert_null(memory_ptr(mem, 2 * PAGE, ~0ULL));
	assert_null(memory_ptr(mem, ~0ULL, 1));
	assert_non_null(memory_ptr(mem, 9 * PAGE, PAGE));
}

static void copies_are_all_or_nothing(void **state)
{
	struct guest_memory *mem = *state;
	u8 out[64], in[64];

	memset(out, 0xa5, sizeof(out));
	assert_int_equal(add(mem, 0, PAGE, 0), 0);
	assert_int_equal(add(mem, PAGE, PAGE, 0), 0);
	/* Across two regions that touch. */
	assert_int_equal(memory_write(mem, PAGE - 32, out, 64), 0);
	assert_int_equal(memory_read(mem, PAGE - 32, in, 64), 0);
	assert_memory_equal(in, out, 64);
	/* Over the end: nothing is written. */
	assert_int_equal(memory_write(mem, 2 * PAGE - 32, out, 64), -EFAULT);
	assert_int_equal(*(u8 *)memory_ptr(mem, 2 * PAGE - 32, 1), 0);
	assert_int_equal(memory_read(mem, 2 * PAGE - 32, in, 64), -EFAULT);
	assert_int_equal(memory_zero(mem, PAGE - 32, 64), 0);
	assert_int_equal(*(u8 *)memory_ptr(mem, PAGE - 1, 1), 0);
	assert_int_equal(*(u8 *)memory_ptr(mem, PAGE, 1), 0);
	assert_true(memory_is_ram(mem, 0, 2 * PAGE));
	assert_false(memory_is_ram(mem, 0, 2 * PAGE + 1));
	assert_false(memory_is_ram(mem, PAGE, ~0ULL));
}

static void rom_is_no_ram(void **state)
{
	struct guest_memory *mem = *state;

	assert_int_equal(add(mem, 0, PAGE, MEM_ROM), 0);
	assert_null(memory_ptr(mem, 0, 1));
	assert_int_equal(memory_zero(mem, 0, 1), -EFAULT);
	assert_int_equal(memory_ram_size(mem), 0);
}

static void discarding_zeroes_ram_alone(void **state)
{
	struct guest_memory *mem = *state;
	u8 *plain = aligned_alloc(PAGE, PAGE), *rom = aligned_alloc(PAGE, PAGE);

	memset(plain, 1, PAGE);
	memset(rom, 2, PAGE);
	assert_int_equal(add(mem, 0, PAGE, 0), 0);
	assert_int_equal(memory_add(mem, PAGE, PAGE, MEM_MEMFD, NULL, 0, "shared"), 0);
	assert_int_equal(memory_add_borrowed(mem, 2 * PAGE, PAGE, plain, 0, "buffer"), 0);
	assert_int_equal(memory_add_borrowed(mem, 3 * PAGE, PAGE, rom, MEM_ROM, "rom"), 0);
	for (u64 gpa = 0; gpa < 3 * PAGE; gpa += PAGE)
		assert_int_equal(memory_write(mem, gpa + 7, "x", 1), 0);
	memory_discard_all(mem);
	for (u64 gpa = 0; gpa < 3 * PAGE; gpa += PAGE)
		assert_int_equal(*(u8 *)memory_ptr(mem, gpa + 7, 1), 0);
	assert_int_equal(rom[0], 2);
	memory_destroy(mem);
	free(plain);
	free(rom);
}

struct recorder {
	struct mem_listener listener;
	int adds, removes, fail_at;
	u32 ids;
};

static int on_add(struct mem_listener *l, const struct mem_region *region)
{
	struct recorder *r = container_of(l, struct recorder, listener);

	if (r->fail_at == r->adds)
		return -EIO;
	r->adds++;
	assert_false(r->ids & BIT(region->id));
	r->ids |= BIT(region->id);
	return 0;
}

static void on_remove(struct mem_listener *l, const struct mem_region *region)
{
	struct recorder *r = container_of(l, struct recorder, listener);

	r->removes++;
	assert_true(r->ids & BIT(region->id));
	r->ids &= ~BIT(region->id);
}

static void listeners_see_every_region_once(void **state)
{
	struct guest_memory *mem = *state;
	struct recorder r = { .listener = { on_add, on_remove, NULL }, .fail_at = -1 };
	struct recorder bad = { .listener = { on_add, on_remove, NULL }, .fail_at = 1 };

	assert_int_equal(add(mem, 8 * PAGE, PAGE, 0), 0);
	assert_int_equal(memory_add_listener(mem, &r.listener), 0);
	assert_int_equal(add(mem, 0, PAGE, 0), 0);
	assert_int_equal(r.adds, 2);
	/* One that refuses the second region is unwound and not registered. */
	assert_int_equal(memory_add_listener(mem, &bad.listener), -EIO);
	assert_int_equal(bad.removes, 1);
	/* A listener that refuses a new region keeps it out, and the others forget it. */
	r.fail_at = 2;
	assert_int_equal(add(mem, 4 * PAGE, PAGE, 0), -EIO);
	assert_null(memory_ptr(mem, 4 * PAGE, 1));
	memory_destroy(mem);
	assert_int_equal(r.removes, 2);
	assert_int_equal(r.ids, 0);
}

static void hugetlbfs_wants_its_mount(void **state)
{
	struct guest_memory *mem = *state;

	assert_int_equal(memory_add(mem, 0, 2 * MiB, MEM_HUGETLB, "/nonexistent", 0, "huge"),
			 -ENOENT);
	assert_int_equal(mem->count, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(refuses_bad_placement),
		T(is_full_after_the_last_region),
		T(pointers_stay_inside_one_region),
		T(copies_are_all_or_nothing),
		T(rom_is_no_ram),
		T(discarding_zeroes_ram_alone),
		T(listeners_see_every_region_once),
		T(hugetlbfs_wants_its_mount),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
