/* SPDX-License-Identifier: MIT */
/* core-dump.c and memory-peek.c over a machine without vcpus: headers, holes, and memory of all
 * kinds that is looked at without being touched. */
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devvm.h"
#include "lkvm/core-dump.h"
#include "lkvm/debug.h"

static struct devvm d;

static int set_up(void **state)
{
	devvm_init(&d);
	return 0;
}

static int tear_down(void **state)
{
	vm_destroy(&d.vm);
	return 0;
}

static void add_ram(u64 gpa, u64 size)
{
	assert_int_equal(
		memory_add(&d.vm.mem,
			   &(struct memory_desc){ .gpa = gpa, .size = size, .name = "ram" }),
		0);
}

static void fill(u64 gpa, u8 value, size_t len)
{
	u8 *p = memory_ptr(&d.vm.mem, gpa, len);

	assert_non_null(p);
	memset(p, value, len);
}

/* Into a file, as a client does; returns how many bytes of memory came. */
static u64 write_all(struct core_dump *core, int fd)
{
	struct core_dump_piece piece;
	u64 sum = 0;

	while (core_dump_next(core, &piece)) {
		assert_true(piece.len <= CORE_DUMP_PIECE);
		assert_true(piece.offset + piece.len <= core_dump_size(core));
		assert_int_equal(pwrite(fd, piece.data, piece.len, (off_t)piece.offset), piece.len);
		sum += piece.len;
	}
	assert_int_equal(ftruncate(fd, (off_t)core_dump_size(core)), 0);
	return sum - 4096;
}

static void test_file(void **state)
{
	int fd = memfd_create("core", 0);
	struct core_dump *core;
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	u8 page[4096], want[4096];

	add_ram(0, 64 * MiB);
	add_ram(4 * GiB, 32 * MiB);
	fill(0x3000, 0x11, 1);
	fill(0x1fff, 0x22, 2); /* two pages */
	fill(64 * MiB - 1, 0x33, 1);
	fill(4 * GiB + 1 * MiB, 0x44, 300 * KiB);
	assert_int_equal(core_dump_begin(&d.vm, &core), 0);
	assert_int_equal(core_dump_size(core), 4096 + 96 * MiB);
	assert_int_equal(core_dump_left_out(core), 0);
	assert_int_equal(write_all(core, fd), 4 * 4096 + 300 * KiB);
	core_dump_free(core);

	assert_int_equal(pread(fd, &eh, sizeof(eh), 0), sizeof(eh));
	assert_memory_equal(eh.e_ident, "\177ELF\2\1\1", 7);
	assert_int_equal(eh.e_type, ET_CORE);
	assert_int_equal(eh.e_machine, arch_core.machine);
	assert_int_equal(eh.e_flags, arch_core.flags);
	assert_int_equal(eh.e_phnum, 3);
	assert_int_equal(pread(fd, ph, sizeof(ph), (off_t)eh.e_phoff), sizeof(ph));
	assert_int_equal(ph[0].p_type, PT_NOTE);
	assert_int_equal(ph[0].p_filesz, 0);
	assert_int_equal(ph[1].p_type, PT_LOAD);
	assert_int_equal(ph[1].p_offset, 4096);
	assert_int_equal(ph[1].p_filesz, 64 * MiB);
	assert_int_equal(ph[2].p_vaddr, 4 * GiB);
	assert_int_equal(ph[2].p_paddr, 4 * GiB);
	assert_int_equal(ph[2].p_memsz, 32 * MiB);
	assert_int_equal(ph[2].p_offset, 4096 + 64 * MiB);
	/* Every page is what it was. */
	for (u32 i = 1; i <= 2; i++)
		for (u64 at = 0; at < ph[i].p_filesz; at += 4096) {
			assert_int_equal(pread(fd, page, 4096, (off_t)(ph[i].p_offset + at)), 4096);
			assert_int_equal(memory_read(&d.vm.mem, ph[i].p_paddr + at, want, 4096), 0);
			assert_memory_equal(page, want, 4096);
		}
	close(fd);
}

static u64 allocated(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (u64)st.st_blocks * 512;
}

/* What nobody has touched is not made by looking; the end of a file that became shorter is zero. */
static void test_peek(void **state)
{
	int fd = memfd_create("ram", 0);
	u8 buf[8192];

	assert_int_equal(ftruncate(fd, MiB), 0);
	assert_int_equal(memory_add(&d.vm.mem, &(struct memory_desc){ .gpa = 0,
								      .size = MiB,
								      .backing = MEM_FILE,
								      .fd = fd,
								      .name = "file" }),
			 0);
	fill(0x5000, 0x55, 4096);
	assert_int_equal(memory_peek(&d.vm.mem, 0x4000, buf, sizeof(buf)), 0);
	assert_int_equal(buf[4095], 0);
	assert_int_equal(buf[4096], 0x55);
	for (u64 at = 0; at < MiB; at += sizeof(buf))
		assert_int_equal(memory_peek(&d.vm.mem, at, buf, sizeof(buf)), 0);
	assert_int_equal(allocated(fd), 4096);
	assert_int_equal(ftruncate(fd, 0x5800), 0);
	assert_int_equal(memory_peek(&d.vm.mem, 0x5000, buf, sizeof(buf)), 0);
	assert_int_equal(buf[0x7ff], 0x55);
	assert_int_equal(buf[0x800], 0);
	assert_int_equal(memory_peek(&d.vm.mem, MiB - 4096, buf, sizeof(buf)), -EFAULT);
	close(fd);
}

/* A page of anonymous memory that cannot be read, as one that the hardware lost. */
static void test_lost(void **state)
{
	u8 *hva = mmap(NULL, 0x4000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u8 buf[0x4000];

	/* qemu-user has no such call. */
	if (syscall(SYS_process_vm_readv, getpid(), NULL, 0UL, NULL, 0UL, 0UL) < 0)
		skip();
	assert_ptr_not_equal(hva, MAP_FAILED);
	memset(hva, 0x66, 0x4000);
	assert_int_equal(memory_add_borrowed(&d.vm.mem, 0, 0x4000, hva, MEM_RAM, "ram"), 0);
	assert_int_equal(mprotect(hva + 0x1000, 0x1000, PROT_NONE), 0);
	memset(buf, 1, sizeof(buf));
	assert_int_equal(memory_peek(&d.vm.mem, 0, buf, sizeof(buf)), 0);
	assert_int_equal(buf[0xfff], 0x66);
	assert_int_equal(buf[0x1000], 0);
	assert_int_equal(buf[0x1fff], 0);
	assert_int_equal(buf[0x2000], 0x66);
	memory_destroy(&d.vm.mem);
	memory_init(&d.vm.mem);
	munmap(hva, 0x4000);
}

/* Memory that is private to the guest, and none at all. */
static void test_refused(void **state)
{
	int fd = memfd_create("private", 0);
	struct core_dump_piece piece;
	struct core_dump *core;

	assert_int_equal(core_dump_begin(&d.vm, &core), 0);
	assert_true(core_dump_next(core, &piece));
	assert_int_equal(piece.len, 4096);
	assert_false(core_dump_next(core, &piece));
	core_dump_free(core);
	assert_int_equal(ftruncate(fd, MiB), 0);
	assert_int_equal(memory_add(&d.vm.mem, &(struct memory_desc){ .gpa = 0,
								      .size = MiB,
								      .private = true,
								      .private_fd = fd,
								      .name = "private" }),
			 0);
	assert_int_equal(core_dump_begin(&d.vm, &core), -ENOTSUP);
	assert_int_equal(memory_peek(&d.vm.mem, 0, &piece, 1), -EFAULT);
	close(fd);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_file),
		TEST(test_peek),
		TEST(test_lost),
		TEST(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
