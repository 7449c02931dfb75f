/* SPDX-License-Identifier: MIT */
/*
 * Private guest memory: what the host may touch, page by page, and who is told. A memfd stands for
 * the guest_memfd: it gives pages back the same way.
 */
#include "unit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lkvm/memory.h"

#define PAGE  4096ULL
#define PAGES 200ULL /* more than three words of the map */
#define BASE  0x10000000ULL
#define END   (BASE + PAGES * PAGE)

struct recorder {
	struct memory_listener listener;
	bool shared[PAGES];
	u32 converts;
	int fail_convert; /* which call, counted from 0; -1: none */
};

static struct guest_memory mem;
static struct recorder rec[2];
static int guest_memfd;

static u64 first_page(const struct memory_region *r, u64 offset)
{
	return (r->gpa - BASE + offset) / PAGE;
}

static int on_add(struct memory_listener *l, const struct memory_region *r)
{
	struct recorder *me = container_of(l, struct recorder, listener);

	if (r->shared)
		memset(me->shared + first_page(r, 0), 0, r->size / PAGE);
	return 0;
}

static int on_remove(struct memory_listener *l, const struct memory_region *r)
{
	return 0;
}

static int on_convert(struct memory_listener *l, const struct memory_region *r, u64 offset, u64 len,
		      bool shared)
{
	struct recorder *me = container_of(l, struct recorder, listener);

	if (me->fail_convert == (int)me->converts)
		return -EIO;
	me->converts++;
	assert_true(range_within(offset, len, 0, r->size));
	for (u64 i = 0; i < len / PAGE; i++) {
		/* Told only of what changes. */
		assert_int_equal(me->shared[first_page(r, offset) + i], !shared);
		me->shared[first_page(r, offset) + i] = shared;
	}
	return 0;
}

static int add_private(u64 gpa, u64 pages)
{
	return memory_add(&mem, &(struct memory_desc){ .gpa = gpa,
						       .size = pages * PAGE,
						       .private = true,
						       .private_fd = guest_memfd,
						       .name = "private" });
}

static int setup(void **state)
{
	guest_memfd = memfd_create("private", MFD_CLOEXEC);
	assert_int_equal(ftruncate(guest_memfd, (off_t)(PAGES * PAGE)), 0);
	memory_init(&mem);
	for (int i = 0; i < 2; i++) {
		rec[i] = (struct recorder){ .fail_convert = -1 };
		rec[i].listener.add = on_add;
		rec[i].listener.remove = on_remove;
		rec[i].listener.convert = on_convert;
		assert_int_equal(memory_add_listener(&mem, &rec[i].listener), 0);
	}
	assert_int_equal(add_private(BASE, PAGES), 0);
	return 0;
}

static int teardown(void **state)
{
	memory_destroy(&mem);
	close(guest_memfd);
	return 0;
}

static int share(u64 page, u64 count)
{
	return memory_set_shared(&mem, BASE + page * PAGE, count * PAGE, true);
}

static int make_private(u64 page, u64 count)
{
	return memory_set_shared(&mem, BASE + page * PAGE, count * PAGE, false);
}

static void *page_ptr(u64 page)
{
	return memory_ptr(&mem, BASE + page * PAGE, PAGE);
}

static void test_nothing_is_shared_at_first(void **state)
{
	struct memory_desc d = {
		.size = PAGE, .private = true, .private_fd = guest_memfd, .name = "x"
	};
	u8 byte = 1;

	assert_null(memory_ptr(&mem, BASE, 1));
	assert_null(memory_ptr(&mem, BASE, 0));
	assert_null(memory_ptr(&mem, END - 1, 1));
	assert_false(memory_is_ram(&mem, BASE, 1));
	assert_true(memory_holds_ram(&mem, BASE, PAGES * PAGE));
	assert_false(memory_holds_ram(&mem, BASE, PAGES * PAGE + 1));
	assert_false(memory_holds_ram(&mem, BASE - 1, 2));
	assert_int_equal(memory_read(&mem, BASE, &byte, 1), -EFAULT);
	assert_int_equal(memory_write(&mem, BASE, &byte, 1), -EFAULT);
	assert_int_equal(memory_zero(&mem, BASE, 1), -EFAULT);
	/* It is the guest's RAM all the same. */
	assert_int_equal(memory_ram_size(&mem), PAGES * PAGE);
	assert_int_equal(memory_ram_end(&mem, BASE), END);
	d.kind = MEM_DEVICE;
	assert_int_equal(memory_add(&mem, &d), -EINVAL);
	d.kind = MEM_RAM;
	d.backing = MEM_GUEST_MEMFD;
	d.fd = guest_memfd;
	assert_int_equal(memory_add(&mem, &d), -EINVAL);
	d.backing = MEM_ANON;
	d.private_fd = -1;
	assert_int_equal(memory_add(&mem, &d), -EBADF);
}

static void test_edges(void **state)
{
	/* From a word of the map into the next but one. */
	assert_int_equal(share(63, 67), 0);
	assert_null(page_ptr(62));
	assert_null(page_ptr(130));
	assert_non_null(page_ptr(63));
	assert_non_null(page_ptr(129));
	assert_non_null(memory_ptr(&mem, BASE + 63 * PAGE, 67 * PAGE));
	assert_null(memory_ptr(&mem, BASE + 63 * PAGE, 67 * PAGE + 1));
	assert_null(memory_ptr(&mem, BASE + 63 * PAGE - 1, 2));
	assert_non_null(memory_ptr(&mem, BASE + 130 * PAGE - 1, 1));
	assert_null(memory_ptr(&mem, BASE + 130 * PAGE - 1, 2));
	assert_non_null(memory_ptr(&mem, BASE + 129 * PAGE + 7, PAGE - 7));
	assert_non_null(memory_ptr(&mem, BASE + 63 * PAGE, 0));
	assert_null(memory_ptr(&mem, BASE + 130 * PAGE, 0));
	assert_null(memory_ptr(&mem, BASE + 63 * PAGE, ~0ULL));
	/* A hole of one page at each end of a word. */
	assert_int_equal(make_private(64, 1), 0);
	assert_int_equal(make_private(127, 1), 0);
	assert_non_null(memory_ptr(&mem, BASE + 65 * PAGE, 62 * PAGE));
	assert_null(memory_ptr(&mem, BASE + 65 * PAGE, 62 * PAGE + 1));
	assert_null(memory_ptr(&mem, BASE + 63 * PAGE, 2 * PAGE));
	assert_true(memory_is_ram(&mem, BASE + 128 * PAGE, 2 * PAGE));
	assert_false(memory_is_ram(&mem, BASE + 126 * PAGE, 2 * PAGE));
	/* All of it, to the last page. */
	assert_int_equal(share(0, PAGES), 0);
	assert_non_null(memory_ptr(&mem, BASE, PAGES * PAGE));
	assert_null(memory_ptr(&mem, BASE, PAGES * PAGE + 1));
}

static void test_bad_ranges(void **state)
{
	assert_int_equal(memory_set_shared(&mem, BASE + 1, PAGE, true), -EINVAL);
	assert_int_equal(memory_set_shared(&mem, BASE, PAGE - 1, true), -EINVAL);
	assert_int_equal(memory_set_shared(&mem, 0 - PAGE, 2 * PAGE, true), -EINVAL);
	assert_int_equal(memory_set_shared(&mem, BASE - PAGE, 2 * PAGE, true), -EFAULT);
	assert_int_equal(share(PAGES - 1, 2), -EFAULT);
	assert_int_equal(memory_set_shared(&mem, BASE, 0, true), 0);
	assert_null(page_ptr(0));
	assert_null(page_ptr(PAGES - 1));
	assert_int_equal(rec[0].converts, 0);
	/* Ordinary RAM is not converted. */
	assert_int_equal(
		memory_add(&mem,
			   &(struct memory_desc){ .gpa = END, .size = PAGE, .name = "plain" }),
		0);
	assert_int_equal(share(PAGES - 1, 2), -EFAULT);
	assert_null(page_ptr(PAGES - 1));
	assert_non_null(page_ptr(PAGES));
}

/* Copies go through shared pages into ordinary RAM. */
static void test_copies(void **state)
{
	u8 out[16] = "fifteen letters", in[16];

	assert_int_equal(
		memory_add(&mem,
			   &(struct memory_desc){ .gpa = END, .size = PAGE, .name = "plain" }),
		0);
	assert_int_equal(memory_write(&mem, END - 8, out, 16), -EFAULT);
	assert_int_equal(*(u8 *)memory_ptr(&mem, END, 1), 0);
	assert_int_equal(share(PAGES - 1, 1), 0);
	assert_int_equal(memory_write(&mem, END - 8, out, 16), 0);
	assert_int_equal(memory_read(&mem, END - 8, in, 16), 0);
	assert_memory_equal(in, out, 16);
}

static u8 private_byte(u64 page)
{
	u8 byte = 0;

	assert_int_equal(pread(guest_memfd, &byte, 1, (off_t)(page * PAGE)), 1);
	return byte;
}

static void test_contents_are_lost(void **state)
{
	for (u64 i = 0; i < 3; i++)
		assert_int_equal(pwrite(guest_memfd, "p", 1, (off_t)(i * PAGE)), 1);
	assert_int_equal(share(0, 2), 0);
	assert_int_equal(private_byte(0), 0);
	assert_int_equal(private_byte(1), 0);
	assert_int_equal(private_byte(2), 'p');
	*(u8 *)page_ptr(0) = 's';
	*(u8 *)page_ptr(1) = 's';
	assert_int_equal(make_private(1, 1), 0);
	assert_int_equal(share(0, 2), 0);
	assert_int_equal(*(u8 *)page_ptr(0), 's');
	assert_int_equal(*(u8 *)page_ptr(1), 0);
	/* A reboot empties both sides, and leaves alone what is shared. */
	memory_discard_all(&mem);
	assert_int_equal(*(u8 *)page_ptr(0), 0);
	assert_int_equal(private_byte(2), 0);
	assert_null(page_ptr(2));
}

static void test_a_refusal_is_undone(void **state)
{
	assert_int_equal(share(10, 10), 0);
	*(u8 *)page_ptr(12) = 7;
	for (int i = 0; i < 2; i++) {
		rec[i].fail_convert = (int)rec[i].converts;
		assert_int_equal(share(30, 1), -EIO);
		assert_null(page_ptr(30));
		assert_int_equal(make_private(12, 1), -EIO);
		assert_int_equal(*(u8 *)page_ptr(12), 7);
		rec[i].fail_convert = -1;
		assert_memory_equal(rec[0].shared, rec[1].shared, PAGES);
		assert_true(rec[0].shared[12] && !rec[0].shared[30]);
	}
	/* In the second of two runs: the first is converted. */
	rec[0].fail_convert = (int)rec[0].converts + 1;
	assert_int_equal(share(5, 20), -EIO);
	assert_non_null(memory_ptr(&mem, BASE + 5 * PAGE, 15 * PAGE));
	assert_null(page_ptr(20));
	assert_memory_equal(rec[0].shared, rec[1].shared, PAGES);
	/* What the guest_memfd refuses (here: it is sealed). */
	rec[0].fail_convert = -1;
	assert_int_equal(memory_remove(&mem, BASE), 0);
	close(guest_memfd);
	guest_memfd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(guest_memfd, (off_t)(PAGES * PAGE)), 0);
	assert_int_equal(fcntl(guest_memfd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(add_private(BASE, PAGES), 0);
	assert_int_equal(share(1, 1), -EPERM);
	assert_null(page_ptr(1));
	assert_false(rec[0].shared[1] || rec[1].shared[1]);
}

static void test_who_comes_late_hears_what_is_shared(void **state)
{
	struct recorder late = { .fail_convert = -1 };

	late.listener.add = on_add;
	late.listener.remove = on_remove;
	late.listener.convert = on_convert;
	assert_int_equal(share(0, 3), 0);
	assert_int_equal(share(60, 10), 0);
	assert_int_equal(share(PAGES - 1, 1), 0);
	assert_int_equal(memory_add_listener(&mem, &late.listener), 0);
	assert_int_equal(late.converts, 3);
	assert_memory_equal(late.shared, rec[0].shared, PAGES);
	memory_remove_listener(&mem, &late.listener);
	late.fail_convert = (int)late.converts + 1;
	assert_int_equal(memory_add_listener(&mem, &late.listener), -EIO);
}

/* Against an array of what should be, over two regions that touch. */
static void test_random(void **state)
{
	static bool model[PAGES];
	u64 x = 88172645463325252ULL;

	assert_int_equal(memory_remove(&mem, BASE), 0);
	memset(model, 0, sizeof(model));
	assert_int_equal(add_private(BASE, 70), 0);
	assert_int_equal(add_private(BASE + 70 * PAGE, PAGES - 70), 0);
	for (int n = 0; n < 3000; n++) {
		u64 page, count;
		bool shared;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		page = x % PAGES;
		count = 1 + (x >> 20) % MIN(PAGES - page, x & BIT(18) ? 100ULL : 3ULL);
		shared = x & BIT(19);
		assert_int_equal(shared ? share(page, count) : make_private(page, count), 0);
		for (u64 i = page; i < page + count; i++)
			model[i] = shared;
		assert_memory_equal(model, rec[0].shared, PAGES);
		page = (x >> 32) % PAGES;
		for (count = 0; page + count < PAGES && model[page + count];)
			count++;
		assert_int_equal(memory_is_ram(&mem, BASE + page * PAGE, PAGE), count != 0);
		assert_true(memory_is_ram(&mem, BASE + page * PAGE, count * PAGE));
		assert_false(memory_is_ram(&mem, BASE + page * PAGE, count * PAGE + 1));
		if (page < 70)
			count = MIN(count, 70 - page);
		assert_int_equal(memory_ptr(&mem, BASE + page * PAGE, count * PAGE) != NULL,
				 count != 0);
		assert_null(memory_ptr(&mem, BASE + page * PAGE, count * PAGE + 1));
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_nothing_is_shared_at_first),
		T(test_edges),
		T(test_bad_ranges),
		T(test_copies),
		T(test_contents_are_lost),
		T(test_a_refusal_is_undone),
		T(test_who_comes_late_hears_what_is_shared),
		T(test_random),
	};

	return cmocka_run_group_tests_name("private memory", tests, NULL, NULL);
}
