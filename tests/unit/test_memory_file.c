/* SPDX-License-Identifier: MIT */
/* Guest memory that is a file which outlives the guest, or does not. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture.h"
#include "lkvm/memory.h"

static u64 page_size;

static int setup(void **state)
{
	static struct guest_memory mem;

	page_size = (u64)sysconf(_SC_PAGESIZE);
	memory_init(&mem);
	*state = &mem;
	return 0;
}

static int teardown(void **state)
{
	memory_destroy(*state);
	return 0;
}

static int add_pmem(struct guest_memory *mem, u64 gpa, u64 size, int fd, bool ro, u64 file_len,
		    int lost_fd)
{
	return memory_add(mem, &(struct memory_desc){
				       .gpa = gpa,
				       .size = size,
				       .kind = ro ? MEM_PMEM_RO : MEM_PMEM,
				       .backing = MEM_FILE,
				       .fd = fd,
				       .align = 2 * MiB,
				       .file_len = file_len,
				       .lost_fd = lost_fd,
				       .name = "--pmem FILE",
			       });
}

/* Devices use it as RAM; nothing else takes it for RAM, and no byte of it is given back. */
static void a_file_that_stays(void **state)
{
	struct guest_memory *mem = *state;
	int fd = memfd_create("test", MFD_CLOEXEC);
	u8 *p;

	assert_int_equal(ftruncate(fd, 2 * page_size), 0);
	assert_int_equal(pwrite(fd, "kept", 4, page_size), 4);
	assert_int_equal(memory_add(mem, &(struct memory_desc){ .size = page_size, .name = "ram" }),
			 0);
	assert_int_equal(add_pmem(mem, page_size, 2 * page_size, fd, false, 0, 0), 0);
	p = memory_ptr(mem, page_size, 2 * page_size);
	assert_non_null(p);
	assert_true(IS_ALIGNED((uintptr_t)p, 2 * MiB));
	assert_memory_equal(p + page_size, "kept", 4);
	assert_ptr_equal(memory_source(mem, page_size, 2 * page_size), p);
	assert_null(memory_source(mem, page_size, 2 * page_size + 1));
	assert_int_equal(memory_write(mem, page_size - 1, "xyz", 3), 0);
	assert_memory_equal(p, "yz", 2);
	assert_false(memory_is_ram(mem, page_size, 1));
	assert_false(memory_is_ram(mem, 0, page_size + 1));
	assert_true(memory_is_ram(mem, 0, page_size));
	assert_int_equal(memory_ram_size(mem), page_size);
	assert_int_equal(memory_ram_end(mem, 0), page_size);
	memory_discard_all(mem);
	assert_int_equal(memory_give_back(mem, p + page_size, page_size), -EFAULT);
	assert_memory_equal(p, "yz", 2);
	assert_memory_equal(p + page_size, "kept", 4);
	close(fd);
}

/* A read-only one is what devices read; behind its end are zeroes, to the end of the region. */
static void a_file_that_is_only_read(void **state)
{
	struct guest_memory *mem = *state;
	int fd = memfd_create("test", MFD_CLOEXEC), ro;
	const u8 *p;
	char path[64];

	assert_int_equal(ftruncate(fd, (off_t)page_size + 9), 0);
	assert_int_equal(pwrite(fd, "end", 3, (off_t)page_size + 6), 3);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(ro >= 0);
	assert_int_equal(add_pmem(mem, page_size, 4 * page_size, ro, false, 0, 0), -EINVAL);
	assert_int_equal(add_pmem(mem, page_size, 4 * page_size, ro, true, page_size + 9, 0), 0);
	assert_null(memory_ptr(mem, page_size, 1));
	assert_int_equal(memory_write(mem, page_size, "x", 1), -EFAULT);
	assert_false(memory_is_ram(mem, page_size, 1));
	p = memory_source(mem, page_size, 4 * page_size);
	assert_non_null(p);
	assert_memory_equal(p + page_size + 6, "end", 4);
	assert_int_equal(p[4 * page_size - 1], 0);
	assert_null(memory_source(mem, 2 * page_size, 3 * page_size + 1));
	close(ro);
	close(fd);
}

/* The file ends under its mapping: zeroes instead of a crash, and word of it, once. */
static void a_file_that_ends(void **state)
{
	struct guest_memory *mem = *state;
	int fd = memfd_create("test", MFD_CLOEXEC), lost = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	volatile u8 *p;
	u64 events;

	assert_int_equal(ftruncate(fd, 4 * page_size), 0);
	assert_int_equal(pwrite(fd, "stays", 5, 0), 5);
	assert_int_equal(add_pmem(mem, page_size, 4 * page_size, fd, false, 0, lost), 0);
	assert_false(memory_say_lost(mem));
	p = memory_ptr(mem, page_size, 4 * page_size);
	p[2 * page_size] = 7;
	assert_int_equal(ftruncate(fd, 2 * page_size), 0);
	/* The kernel's own accesses end nothing. */
	assert_int_equal(pread(fd, (u8 *)p + 3 * page_size, 1, 0), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(read(lost, &events, 8), -1);
	assert_int_equal(p[2 * page_size], 0);
	p[2 * page_size + 1] = 8;
	assert_int_equal(p[2 * page_size + 1], 8);
	assert_int_equal(p[0], 's');
	assert_int_equal(read(lost, &events, 8), 8);
	assert_int_equal(events, 1);
	capture_begin();
	assert_true(memory_say_lost(mem));
	assert_true(memory_say_lost(mem));
	capture_end();
	assert_contains(captured, "--pmem FILE: the guest's memory is gone at byte");
	assert_one_line(captured);
	close(lost);
	close(fd);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_file_that_stays),
		T(a_file_that_is_only_read),
		T(a_file_that_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
