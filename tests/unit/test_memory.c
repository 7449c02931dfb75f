/* SPDX-License-Identifier: MIT */
/* Guest memory: placement, checked access across and beyond regions, listeners, discarding. */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

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

static int add(struct guest_memory *mem, u64 gpa, u64 size, enum memory_kind kind)
{
	return memory_add(mem, &(struct memory_desc){
				       .gpa = gpa, .size = size, .kind = kind, .name = "test" });
}

static void refuses_bad_placement(void **state)
{
	struct guest_memory *mem = *state;

	assert_int_equal(add(mem, 0, 0, 0), -EINVAL);
	assert_int_equal(add(mem, 1, PAGE, 0), -EINVAL);
	assert_int_equal(add(mem, 0, PAGE + 1, 0), -EINVAL);
	assert_int_equal(add(mem, 0 - PAGE, 2 * PAGE, 0), -EINVAL);
	assert_int_equal(add(mem, 4 * PAGE, 4 * PAGE, 0), 0);
	assert_int_equal(add(mem, 7 * PAGE, PAGE, 0), -EEXIST);
	assert_int_equal(add(mem, 0, 5 * PAGE, 0), -EEXIST);
	assert_int_equal(add(mem, 3 * PAGE, 8 * PAGE, 0), -EEXIST);
	assert_int_equal(add(mem, 3 * PAGE, PAGE, 0), 0);
	assert_int_equal(add(mem, 8 * PAGE, PAGE, 0), 0);
	assert_int_equal(memory_ram_size(mem), 6 * PAGE);
}

static void holds_any_number_of_regions(void **state)
{
	struct guest_memory *mem = *state;
	const u64 n = 500;

	/* Odd ones upwards, even ones downwards, each with a gap after it. */
	for (u64 i = 1; i < n; i += 2)
		assert_int_equal(add(mem, 2 * i * PAGE, PAGE, 0), 0);
	for (u64 i = n; i >= 2; i -= 2)
		assert_int_equal(add(mem, (2 * i - 4) * PAGE, PAGE, 0), 0);
	for (u64 i = 0; i < n; i++) {
		u8 *p = memory_ptr(mem, 2 * i * PAGE, PAGE);

		if (i == n - 1)
			break;
		assert_non_null(p);
		p[0] = (u8)i;
		assert_null(memory_ptr(mem, (2 * i + 1) * PAGE, 1));
		assert_int_equal(memory_find(mem, (2 * i + 1) * PAGE - 1)->gpa, 2 * i * PAGE);
	}
	for (u64 i = 0; i < n - 1; i++)
		assert_int_equal(*(u8 *)memory_ptr(mem, 2 * i * PAGE, 1), (u8)i);
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

/* A BAR that the guest reaches is nothing that a device may be sent to. */
static void a_device_is_no_ram(void **state)
{
	struct guest_memory *mem = *state;
	u8 byte = 1;

	assert_int_equal(add(mem, 0, PAGE, MEM_RAM), 0);
	assert_int_equal(add(mem, PAGE, PAGE, MEM_DEVICE), 0);
	assert_null(memory_ptr(mem, PAGE, 1));
	assert_null(memory_ptr(mem, 0, PAGE + 1));
	assert_false(memory_is_ram(mem, PAGE - 1, 2));
	assert_int_equal(memory_write(mem, PAGE, &byte, 1), -EFAULT);
	assert_int_equal(memory_read(mem, PAGE, &byte, 1), -EFAULT);
	assert_int_equal(memory_ram_size(mem), PAGE);
	assert_int_equal(memory_ram_end(mem, 0), PAGE);
	assert_int_equal(memory_find(mem, PAGE)->kind, MEM_DEVICE);
	/* Nor is it emptied at a reboot. */
	*(u8 *)memory_find(mem, PAGE)->hva = 5;
	memory_discard_all(mem);
	assert_int_equal(*(u8 *)memory_find(mem, PAGE)->hva, 5);
}

static void reaches_the_top_of_all_addresses(void **state)
{
	struct guest_memory *mem = *state;
	u64 top = 0 - 2 * PAGE;
	u8 in[2] = { 3, 4 };

	assert_int_equal(add(mem, top, 2 * PAGE, MEM_RAM), 0);
	assert_int_equal(add(mem, 0, PAGE, MEM_RAM), 0);
	assert_int_equal(add(mem, ~0ULL - PAGE + 1, PAGE, MEM_RAM), -EEXIST);
	assert_non_null(memory_ptr(mem, top, 2 * PAGE));
	assert_non_null(memory_ptr(mem, ~0ULL, 1));
	assert_non_null(memory_ptr(mem, ~0ULL, 0));
	assert_null(memory_ptr(mem, ~0ULL, 2));
	assert_true(memory_is_ram(mem, ~0ULL, 1));
	/* Address 0 does not follow the last one. */
	assert_false(memory_is_ram(mem, ~0ULL, 2));
	assert_false(memory_is_ram(mem, top, ~0ULL));
	assert_int_equal(memory_write(mem, ~0ULL, in, 2), -EFAULT);
	assert_int_equal(memory_write(mem, ~0ULL - 1, in, 2), 0);
	assert_int_equal(*(u8 *)memory_ptr(mem, ~0ULL, 1), 4);
	assert_int_equal(memory_ram_end(mem, top), 0);
	assert_ptr_equal(memory_find(mem, ~0ULL), memory_find(mem, top));
}

static void walks_in_the_order_of_addresses(void **state)
{
	static const u64 at[] = { 7, 3, 9, 1, 5 };
	struct guest_memory *mem = *state;
	const struct memory_region *r;
	u64 expect = 1;

	memory_for_each(mem, r)
		fail();
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		assert_int_equal(add(mem, at[i] * PAGE, PAGE, MEM_RAM), 0);
	memory_for_each(mem, r) {
		assert_int_equal(r->gpa, expect * PAGE);
		expect += 2;
	}
	assert_int_equal(expect, 11);
	assert_null(memory_find(mem, 2 * PAGE));
	assert_int_equal(memory_find(mem, 4 * PAGE - 1)->gpa, 3 * PAGE);
}

static int add_file(struct guest_memory *mem, u64 gpa, u64 size, int fd, u64 offset)
{
	return memory_add(mem, &(struct memory_desc){
				       .gpa = gpa,
				       .size = size,
				       .backing = MEM_FILE,
				       .fd = fd,
				       .offset = offset,
				       .name = "file",
			       });
}

static void a_file_holds_what_is_written(void **state)
{
	struct guest_memory *mem = *state;
	char path[64];
	u8 byte = 0;
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 3 * PAGE), 0);
	assert_int_equal(add_file(mem, 0, PAGE, -1, 0), -EBADF);
	assert_int_equal(add_file(mem, 0, PAGE, fd, 1), -EINVAL);
	/* It must not end within the region. */
	assert_int_equal(add_file(mem, 0, 2 * PAGE, fd, 2 * PAGE), -EINVAL);
	assert_int_equal(add_file(mem, 0, PAGE, fd, 0 - PAGE), -EINVAL);
	assert_int_equal(add_file(mem, 0, PAGE, fd, 2 * PAGE), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(memory_add(mem, &(struct memory_desc){ .gpa = PAGE,
								.size = PAGE,
								.backing = MEM_FILE,
								.path = path,
								.name = "named" }),
			 0);
	assert_int_equal(memory_write(mem, 7, "x", 1), 0);
	assert_int_equal(memory_write(mem, PAGE + 8, "y", 1), 0);
	assert_int_equal(pread(fd, &byte, 1, 2 * PAGE + 7), 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(pread(fd, &byte, 1, 8), 1);
	assert_int_equal(byte, 'y');
	/* Its part of the file alone is emptied. */
	assert_int_equal(pwrite(fd, "z", 1, PAGE), 1);
	memory_discard_all(mem);
	assert_int_equal(*(u8 *)memory_ptr(mem, 7, 1), 0);
	assert_int_equal(pread(fd, &byte, 1, PAGE), 1);
	assert_int_equal(byte, 'z');
	/* The descriptor is still the caller's. */
	memory_destroy(mem);
	assert_int_equal(close(fd), 0);
}

/* What is loaded may lie anywhere, and lies there whatever pages it is in. */
static void loading_changes_no_byte(void **state)
{
	struct guest_memory *mem = *state;
	const u64 at = 3 * MiB - PAGE, size = 8 * MiB;
	u8 *image = malloc(4 * MiB), *seen = malloc(4 * MiB);

	memset(image, 0x5a, 4 * MiB);
	memory_begin_load(mem);
	assert_int_equal(add(mem, PAGE, size, MEM_RAM), 0);
	assert_int_equal(add(mem, 64 * MiB, PAGE, MEM_ROM), 0);
	memory_expect(mem, 0, PAGE);
	memory_expect(mem, size, 64 * MiB);
	memory_expect(mem, ~0ULL, ~0ULL);
	memory_expect(mem, 64 * MiB, PAGE);
	memory_expect_few(mem, 0, 4 * MiB);
	memory_expect_few(mem, size, 2 * MiB);
	memory_expect_few(mem, PAGE, 0);
	memory_expect_few(mem, PAGE, ~0ULL);
	for (int round = 0; round < 2; round++) {
		memory_expect(mem, at, 4 * MiB);
		assert_int_equal(memory_write(mem, at, image, 4 * MiB), 0);
		memory_end_load(mem);
		assert_int_equal(memory_read(mem, at, seen, 4 * MiB), 0);
		assert_memory_equal(seen, image, 4 * MiB);
		memory_discard_all(mem);
		memory_begin_load(mem);
		assert_int_equal(memory_read(mem, at, seen, 1), 0);
		assert_int_equal(seen[0], 0);
	}
	free(image);
	free(seen);
}

static void discarding_zeroes_ram_alone(void **state)
{
	struct guest_memory *mem = *state;
	u8 *plain = aligned_alloc(PAGE, PAGE), *rom = aligned_alloc(PAGE, PAGE);

	memset(plain, 1, PAGE);
	memset(rom, 2, PAGE);
	assert_int_equal(add(mem, 0, PAGE, 0), 0);
	assert_int_equal(memory_add(mem, &(struct memory_desc){ .gpa = PAGE,
								.size = PAGE,
								.backing = MEM_MEMFD,
								.name = "shared" }),
			 0);
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

/* Pages that a device of the host's has the addresses of stay the guest's. */
static void discarding_keeps_pinned_pages(void **state)
{
	struct guest_memory *mem = *state;
	u8 in_core[2] = { 0 };

	assert_int_equal(add(mem, 0, 2 * PAGE, 0), 0);
	assert_int_equal(memory_write(mem, PAGE + 7, "x", 1), 0);
	assert_int_equal(memory_write(mem, 7, "x", 1), 0);
	atomic_store(&mem->pinned, true);
	memory_discard_all(mem);
	assert_int_equal(mincore(memory_ptr(mem, 0, PAGE), 2 * PAGE, in_core), 0);
	assert_true((in_core[0] & 1) && (in_core[1] & 1));
	assert_int_equal(*(u8 *)memory_ptr(mem, 7, 1), 0);
	assert_int_equal(*(u8 *)memory_ptr(mem, PAGE + 7, 1), 0);
	atomic_store(&mem->pinned, false);
	memory_discard_all(mem);
	assert_int_equal(mincore(memory_ptr(mem, 0, PAGE), 2 * PAGE, in_core), 0);
	assert_false((in_core[0] & 1) || (in_core[1] & 1));
	memory_destroy(mem);
}

struct recorder {
	struct memory_listener listener;
	int adds, removes;
	int fail_add, fail_remove; /* which call, counted from 0; -1: none */
	u64 known;		   /* a bit for each page that begins a region */
};

static int on_add(struct memory_listener *l, const struct memory_region *region)
{
	struct recorder *r = container_of(l, struct recorder, listener);

	if (r->fail_add == r->adds)
		return -EIO;
	r->adds++;
	assert_false(r->known & BIT_ULL(region->gpa / PAGE));
	r->known |= BIT_ULL(region->gpa / PAGE);
	return 0;
}

static int on_remove(struct memory_listener *l, const struct memory_region *region)
{
	struct recorder *r = container_of(l, struct recorder, listener);

	if (r->fail_remove == r->removes)
		return -EPERM;
	r->removes++;
	assert_true(r->known & BIT_ULL(region->gpa / PAGE));
	r->known &= ~BIT_ULL(region->gpa / PAGE);
	return 0;
}

#define RECORDER                                                                    \
	{                                                                           \
		.listener = { .add = on_add, .remove = on_remove }, .fail_add = -1, \
		.fail_remove = -1                                                   \
	}

static void listeners_see_every_region_once(void **state)
{
	struct guest_memory *mem = *state;
	struct recorder r = RECORDER, bad = RECORDER;

	bad.fail_add = 1;
	assert_int_equal(add(mem, 8 * PAGE, PAGE, 0), 0);
	assert_int_equal(memory_add_listener(mem, &r.listener), 0);
	assert_int_equal(add(mem, 0, PAGE, 0), 0);
	assert_int_equal(r.adds, 2);
	/* One that refuses the second region is unwound and not registered. */
	assert_int_equal(memory_add_listener(mem, &bad.listener), -EIO);
	assert_int_equal(bad.removes, 1);
	/* A listener that refuses a new region keeps it out. */
	r.fail_add = 2;
	assert_int_equal(add(mem, 4 * PAGE, PAGE, 0), -EIO);
	assert_null(memory_ptr(mem, 4 * PAGE, 1));
	memory_destroy(mem);
	assert_int_equal(r.removes, 2);
	assert_int_equal(r.known, 0);
}

/* Whichever of three says no, in the end all three know the same regions as before. */
static void a_refusal_is_undone(void **state)
{
	struct guest_memory *mem = *state;
	struct recorder r[3] = { RECORDER, RECORDER, RECORDER };

	for (int i = 0; i < 3; i++)
		assert_int_equal(memory_add_listener(mem, &r[i].listener), 0);
	assert_int_equal(add(mem, PAGE, PAGE, 0), 0);
	for (int i = 0; i < 3; i++) {
		r[i].fail_add = r[i].adds;
		assert_int_equal(add(mem, 2 * PAGE, PAGE, 0), -EIO);
		assert_null(memory_ptr(mem, 2 * PAGE, 1));
		r[i].fail_add = -1;
		r[i].fail_remove = r[i].removes;
		assert_int_equal(memory_remove(mem, PAGE), -EPERM);
		assert_non_null(memory_ptr(mem, PAGE, 1));
		r[i].fail_remove = -1;
		for (int k = 0; k < 3; k++)
			assert_int_equal(r[k].known, BIT(1));
	}
	assert_int_equal(memory_remove(mem, PAGE), 0);
	assert_int_equal(add(mem, 2 * PAGE, PAGE, 0), 0);
	for (int k = 0; k < 3; k++)
		assert_int_equal(r[k].known, BIT(2));
	/* One that leaves forgets all; the others do not notice. */
	memory_remove_listener(mem, &r[1].listener);
	assert_int_equal(r[1].known, 0);
	memory_remove_listener(mem, &r[1].listener);
	assert_int_equal(add(mem, 3 * PAGE, PAGE, 0), 0);
	assert_int_equal(r[1].known, 0);
	assert_int_equal(r[0].known, BIT(2) | BIT(3));
	assert_int_equal(r[2].known, BIT(2) | BIT(3));
	memory_destroy(mem);
	assert_int_equal(r[0].known, 0);
	assert_int_equal(r[2].known, 0);
}

static bool is_mapped(const void *p)
{
	unsigned char resident;

	return mincore((void *)p, PAGE, &resident) == 0;
}

static void a_removed_region_stays_mapped_until_it_is_reclaimed(void **state)
{
	struct guest_memory *mem = *state;
	u8 *gone, *kept;

	assert_int_equal(memory_remove(mem, 0), -ENOENT);
	assert_int_equal(add(mem, 0, 2 * PAGE, 0), 0);
	assert_int_equal(add(mem, 2 * PAGE, PAGE, 0), 0);
	gone = memory_ptr(mem, 0, 1);
	kept = memory_ptr(mem, 2 * PAGE, 1);
	assert_int_equal(memory_remove(mem, PAGE), -ENOENT);
	assert_int_equal(memory_remove(mem, 0), 0);
	assert_int_equal(memory_remove(mem, 0), -ENOENT);
	assert_null(memory_ptr(mem, 0, 1));
	assert_false(memory_is_ram(mem, 0, 3 * PAGE));
	assert_int_equal(memory_ram_size(mem), PAGE);
	assert_true(is_mapped(gone));
	memory_reclaim(mem);
	assert_false(is_mapped(gone));
	assert_true(is_mapped(kept));
	/* Its place is free. */
	assert_int_equal(add(mem, 0, 2 * PAGE, 0), 0);
	assert_int_equal(*(u8 *)memory_ptr(mem, 0, 1), 0);
	/* Nothing is left at all. */
	assert_int_equal(memory_remove(mem, 0), 0);
	assert_int_equal(memory_remove(mem, 2 * PAGE), 0);
	assert_null(memory_next(mem, NULL));
	assert_null(memory_find(mem, 0));
	memory_reclaim(mem);
	assert_false(is_mapped(kept));
}

struct reclaimer {
	struct guest_memory *mem;
	atomic_bool done;
};

static void *reclaim(void *arg)
{
	struct reclaimer *r = arg;

	memory_reclaim(r->mem);
	atomic_store(&r->done, true);
	return NULL;
}

/* Until a thread waits in memory_reclaim. */
static void wait_for_reclaimer(struct guest_memory *mem)
{
	while (!atomic_load(&mem->waiting))
		sched_yield();
	/* It lets go of the lock only when it sleeps. */
	pthread_mutex_lock(&mem->reader_lock);
	pthread_mutex_unlock(&mem->reader_lock);
}

static void readers_are_waited_for(void **state)
{
	struct memory_reader inside = { .mem = NULL }, outside = { .mem = NULL };
	struct memory_reader leaving = { .mem = NULL };
	struct guest_memory *mem = *state;
	struct reclaimer r = { .mem = mem };
	pthread_t thread;
	u8 *p;

	memory_add_reader(mem, &inside);
	memory_add_reader(mem, &outside);
	memory_add_reader(mem, &leaving);
	assert_int_equal(add(mem, 0, PAGE, 0), 0);
	memory_read_begin(&outside);
	memory_read_end(&outside);
	memory_read_begin(&leaving);
	memory_read_begin(&inside);
	p = memory_ptr(mem, 0, 1);
	assert_int_equal(memory_remove(mem, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, reclaim, &r), 0);
	wait_for_reclaimer(mem);
	/* One that began later does not count, nor does one that is gone. */
	memory_read_begin(&outside);
	memory_remove_reader(&leaving);
	memory_remove_reader(&leaving);
	assert_true(atomic_load(&mem->waiting));
	assert_false(atomic_load(&r.done));
	*p = 1;
	memory_read_end(&inside);
	memory_read_begin(&inside);
	pthread_join(thread, NULL);
	assert_false(is_mapped(p));
	memory_read_end(&inside);
	memory_read_end(&outside);
	memory_remove_reader(&inside);
	memory_remove_reader(&outside);
	memory_reclaim(mem);
}

static void hugetlbfs_wants_its_mount(void **state)
{
	struct guest_memory *mem = *state;

	assert_int_equal(memory_add(mem, &(struct memory_desc){ .gpa = 0,
								.size = 2 * MiB,
								.backing = MEM_HUGETLB,
								.path = "/nonexistent",
								.name = "huge" }),
			 -ENOENT);
	assert_null(memory_next(mem, NULL));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(refuses_bad_placement),
		T(holds_any_number_of_regions),
		T(pointers_stay_inside_one_region),
		T(copies_are_all_or_nothing),
		T(rom_is_no_ram),
		T(a_device_is_no_ram),
		T(reaches_the_top_of_all_addresses),
		T(walks_in_the_order_of_addresses),
		T(a_file_holds_what_is_written),
		T(discarding_zeroes_ram_alone),
		T(discarding_keeps_pinned_pages),
		T(loading_changes_no_byte),
		T(listeners_see_every_region_once),
		T(a_refusal_is_undone),
		T(a_removed_region_stays_mapped_until_it_is_reclaimed),
		T(readers_are_waited_for),
		T(hugetlbfs_wants_its_mount),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
