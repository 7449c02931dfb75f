/* SPDX-License-Identifier: MIT */
/* The CFI flash: probed as Linux does, written as EDK2 and Linux do, and over files that fail. */
#include "devvm.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture.h"
#include "fdt_tree.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/signals.h"
#include "lkvm/state.h"
#include "lkvm/util.h"

#define BASE	0x2000000ULL
#define SIZE	(256 * KiB)
#define BLOCK	(64 * KiB)
#define DUAL(x) ((u32)(x) << 16 | (u32)(x))
#define READY	0x80
/* Both ways to fail, and the lock. */
#define LOCK_ERROR  0x02
#define PROG_ERROR  0x10
#define ERASE_ERROR 0x20

static struct devvm d;
static char path[64];
static struct flash_file file;
static int fd;

static void make_file(u64 size)
{
	snprintf(path, sizeof(path), "/tmp/lkvm-flash-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
}

static int create(u64 max)
{
	int ret;

	flash_file_close(&file);
	ret = flash_file_open(&file, path, max);

	return ret ? ret : cfi_flash_create(&d.vm, BASE, &file);
}

static int begin(void **state)
{
	devvm_init(&d);
	fd = -1;
	path[0] = '\0';
	return 0;
}

static int setup(void **state)
{
	begin(state);
	make_file(SIZE);
	for (u32 i = 0; i < SIZE; i += 4)
		assert_int_equal(pwrite(fd, &i, 4, i), 4);
	assert_int_equal(create(16 * MiB), 0);
	return 0;
}

static int teardown(void **state)
{
	vm_destroy(&d.vm);
	flash_file_close(&file);
	if (fd >= 0)
		close(fd);
	if (path[0])
		unlink(path);
	return 0;
}

static u64 get_len(u64 offset, u32 len)
{
	u8 data[8] = { 0 };

	assert_true(bus_read(&d.vm.mmio, BASE + offset, data, len));
	return get_le(data, len);
}

static u32 get(u64 offset)
{
	return (u32)get_len(offset, 4);
}

static void put(u64 offset, u32 value)
{
	u8 data[4];

	put_le(data, 4, value);
	assert_true(bus_write(&d.vm.mmio, BASE + offset, data, 4));
}

static void command(u64 offset, u8 cmd)
{
	put(offset, DUAL(cmd));
}

/* The status as one chip's; both say the same. Reads the array again afterwards. */
static u8 status(void)
{
	u32 value;

	command(0, 0x70);
	value = get(0);
	command(0, 0x50);
	command(0, 0xff);
	assert_int_equal(value >> 16, value & 0xffff);
	return (u8)value;
}

static u32 in_file(u64 offset)
{
	u8 data[4];

	assert_int_equal(pread(fd, data, 4, (off_t)offset), 4);
	return (u32)get_le(data, 4);
}

static void erase(u64 offset)
{
	command(offset, 0x20);
	command(offset, 0xd0);
}

static void program(u64 offset, u32 value)
{
	command(offset, 0x40);
	put(offset, value);
}

static void reads_the_file(void **state)
{
	assert_int_equal(get(0), 0);
	assert_int_equal(get(0x1234), 0x1234);
	assert_int_equal(get(SIZE - 4), SIZE - 4);
	assert_int_equal(get_len(0x1235, 1), 0x12);
	assert_int_equal(get_len(0x1002, 2), 0);
	assert_true(get_len(0x1004, 8) == 0x100800001004ULL);
	assert_false(bus_read(&d.vm.mmio, BASE + SIZE, &(u32){ 0 }, 4));
}

/* Linux drivers/mtd/chips/cfi_probe.c: two chips of 16 bits in a bank of 32. */
static u8 query(u32 index)
{
	u32 value = get(index * 4);

	assert_int_equal(value >> 16, value & 0xffff);
	assert_true((value & 0xffff) < 0x100);
	return (u8)value;
}

static void linux_probes_it(void **state)
{
	command(0, 0xf0);
	command(0, 0xff);
	command(0x55 * 4, 0x98);
	assert_int_equal(get(0x10 * 4), DUAL('Q'));
	assert_int_equal(query(0x11), 'R');
	assert_int_equal(query(0x12), 'Y');
	assert_int_equal(query(0x13) | query(0x14) << 8, 1);
	assert_int_equal(query(0x15) | query(0x16) << 8, 0x31);
	/* One chip: 128 KiB; four blocks of 32 KiB; 64 bytes at once. */
	assert_int_equal(query(0x27), 17);
	assert_int_equal(query(0x28), 1);
	assert_int_equal(query(0x2a) | query(0x2b) << 8, 6);
	assert_int_equal(query(0x2c), 1);
	assert_int_equal(query(0x2d) | query(0x2e) << 8, 3);
	assert_int_equal(query(0x2f) | query(0x30) << 8, 128);
	assert_int_equal(query(0x31), 'P');
	assert_int_equal(query(0x32), 'R');
	assert_int_equal(query(0x33), 'I');
	assert_int_equal(query(0x34), '1');
	assert_int_equal(query(0x35), '0');
	assert_int_equal(query(0x36), 0x20);
	assert_int_equal(query(0x3b), 3);
	assert_int_equal(query(0x3f), 1);
	assert_int_equal(get(SIZE - 4), 0);
	assert_int_equal(get_len(0x10 * 4, 1), 'Q');
	assert_int_equal(get_len(0x10 * 4 + 1, 1), 0);
	assert_int_equal(get_len(0x10 * 4 + 2, 2), 'Q');
	assert_true(get_len(0x10 * 4, 8) == ((u64)DUAL('R') << 32 | DUAL('Q')));
	command(0, 0x90);
	assert_int_equal(get(0), DUAL(0x89));
	assert_int_equal(get(4), DUAL(0x18));
	command(0, 0xff);
	assert_int_equal(get(4), 4);
}

static void many_blocks(void **state)
{
	make_file(16 * MiB);
	assert_int_equal(create(16 * MiB), 0);
	command(0, 0x98);
	assert_int_equal(query(0x27), 23);
	assert_int_equal(query(0x2d) | query(0x2e) << 8, 255);
}

static void words(void **state)
{
	erase(BLOCK + 0x100);
	assert_int_equal(get(BLOCK), DUAL(READY));
	assert_int_equal(status(), READY);
	assert_int_equal(get(BLOCK), 0xffffffff);
	assert_int_equal(get(2 * BLOCK - 4), 0xffffffff);
	assert_int_equal(in_file(2 * BLOCK - 4), 0xffffffff);
	/* Its neighbours stay. */
	assert_int_equal(get(BLOCK - 4), BLOCK - 4);
	assert_int_equal(get(2 * BLOCK), 2 * BLOCK);

	program(BLOCK + 8, 0x12345678);
	assert_int_equal(get(BLOCK + 8), DUAL(READY));
	assert_int_equal(status(), READY);
	assert_int_equal(get(BLOCK + 8), 0x12345678);
	assert_int_equal(in_file(BLOCK + 8), 0x12345678);
	assert_int_equal(get(BLOCK + 12), 0xffffffff);
	/* Bits are only cleared. */
	command(0, 0x10);
	put(BLOCK + 8, 0xf0f0f0f0);
	assert_int_equal(status(), READY);
	assert_int_equal(get(BLOCK + 8), 0x10305070);
	assert_int_equal(in_file(BLOCK + 8), 0x10305070);
}

/* EDK2's NorFlashWriteBuffer: the confirmation goes to the device's first word. */
static void buffers(void **state)
{
	erase(BLOCK);
	command(BLOCK + 128, 0xe8);
	assert_int_equal(get(BLOCK + 128), DUAL(READY));
	command(BLOCK + 128, 31);
	for (u32 i = 0; i < 32; i++)
		put(BLOCK + 128 + 4 * i, 0xabcd0000 + i);
	command(0, 0xd0);
	assert_int_equal(status(), READY);
	for (u32 i = 0; i < 32; i++) {
		assert_int_equal(get(BLOCK + 128 + 4 * i), 0xabcd0000 + i);
		assert_int_equal(in_file(BLOCK + 128 + 4 * i), 0xabcd0000 + i);
	}
	assert_int_equal(get(BLOCK + 124), 0xffffffff);
	assert_int_equal(get(BLOCK + 256), 0xffffffff);
	/* Two words; the other's place is left as it is. */
	command(BLOCK, 0xe8);
	command(BLOCK, 2);
	put(BLOCK + 512, 1);
	put(BLOCK + 520, 3);
	put(BLOCK + 520, 2);
	command(BLOCK, 0xd0);
	assert_int_equal(status(), READY);
	assert_int_equal(get(BLOCK + 512), 1);
	assert_int_equal(get(BLOCK + 516), 0xffffffff);
	assert_int_equal(get(BLOCK + 520), 2);
}

static void wrong_sequences(void **state)
{
	const u8 sequence = READY | PROG_ERROR | ERASE_ERROR;

	command(0, 0x20);
	command(0, 0x55);
	assert_int_equal(status(), sequence);
	command(0, 0x60);
	command(0, 0x55);
	assert_int_equal(status(), sequence);
	/* Too many words; words elsewhere; no confirmation; over the end of a block. */
	command(0, 0xe8);
	command(0, 32);
	assert_int_equal(status(), sequence);
	command(0, 0xe8);
	command(0, 1);
	put(0x100, 0);
	put(0x108, 0);
	assert_int_equal(status(), sequence);
	command(0, 0xe8);
	command(0, 1);
	put(0x100, 0);
	put(0xfc, 0);
	assert_int_equal(status(), sequence);
	command(0, 0xe8);
	command(0, 0);
	put(0x100, 0);
	command(0, 0xff);
	assert_int_equal(status(), sequence);
	command(0, 0xe8);
	command(0, 1);
	put(BLOCK - 4, 0);
	put(BLOCK, 0);
	command(0, 0xd0);
	assert_int_equal(status(), sequence);
	/* Protection registers. */
	command(0, 0xc0);
	put(0x100, 0);
	assert_int_equal(status(), READY | PROG_ERROR | LOCK_ERROR);
	for (u32 i = 0; i < SIZE; i += 4)
		assert_int_equal(get(i), i);
}

/* What a guest can make of it is saved, and taken back. */
static void assert_saves(void)
{
	struct state_buf buf = { 0 };
	struct state_reader in;

	assert_int_equal(vm_save(&d.vm, &buf), 0);
	in = (struct state_reader){ buf.data, buf.len };
	assert_int_equal(vm_load(&d.vm, &in), 0);
	state_buf_free(&buf);
}

static void buffers_at_the_end(void **state)
{
	/* The last word; then a long one begins, and nobody knows yet where. */
	command(SIZE - 4, 0xe8);
	command(SIZE - 4, 0);
	put(SIZE - 4, 0);
	assert_saves();
	command(SIZE - 4, 0xd0);
	assert_int_equal(status(), READY);
	assert_int_equal(in_file(SIZE - 4), 0);
	assert_saves();
	command(0, 0xe8);
	command(0, 31);
	assert_saves();
	put(128, 0xffffffff);
	assert_saves();
	put(0, 0);
	assert_saves();
	assert_int_equal(status(), READY | PROG_ERROR | ERASE_ERROR);
	/* One that would leave the chip. */
	command(0, 0xe8);
	command(0, 31);
	put(SIZE - 4, 0);
	assert_int_equal(get(SIZE - 4), DUAL(READY | PROG_ERROR | ERASE_ERROR));
	assert_saves();
	status();
	/* A reset forgets. */
	command(SIZE - 4, 0xe8);
	command(SIZE - 4, 0);
	put(SIZE - 4, 0);
	vm_reset_devices(&d.vm);
	command(0, 0xe8);
	command(0, 31);
	assert_saves();
}

/* Instead of libc's: the host is slow, and somebody reads meanwhile. */
static bool slow;
static u32 seen_status = ~0U;
static int slow_writes;

static void *read_meanwhile(void *arg)
{
	u8 data[4];

	bus_read(&d.vm.mmio, BASE + 8, data, 4);
	seen_status = (u32)get_le(data, 4);
	return NULL;
}

ssize_t pwrite(int where, const void *buf, size_t len, off_t offset)
{
	if (slow) {
		pthread_t reader;

		slow_writes++;
		assert_int_equal(pthread_create(&reader, NULL, read_meanwhile, NULL), 0);
		pthread_join(reader, NULL);
	}
	return syscall(SYS_pwrite64, where, buf, len, offset);
}

static void reading_does_not_wait(void **state)
{
	slow = true;
	program(BLOCK, 0);
	slow = false;
	assert_int_equal(slow_writes, 1);
	/* Busy. */
	assert_int_equal(seen_status, DUAL(0));
	assert_int_equal(get(0), DUAL(READY));
	assert_int_equal(status(), READY);
	assert_int_equal(get(BLOCK), 0);
}

static void the_status_is_sticky(void **state)
{
	command(0, 0x20);
	command(0, 0x55);
	erase(0);
	assert_int_equal(get(0), DUAL(READY | PROG_ERROR | ERASE_ERROR));
	command(0, 0x50);
	assert_int_equal(get(0), DUAL(READY));
}

static u32 block_lock(u64 offset)
{
	u32 value;

	command(offset, 0x90);
	value = get(offset + 8);
	command(offset, 0xff);
	assert_int_equal(value >> 16, value & 0xffff);
	return value & 0xffff;
}

static void locks(void **state)
{
	assert_int_equal(block_lock(BLOCK), 0);
	command(BLOCK, 0x60);
	command(BLOCK, 0x01);
	assert_int_equal(status(), READY);
	assert_int_equal(block_lock(BLOCK), 1);
	assert_int_equal(block_lock(0), 0);
	assert_int_equal(block_lock(2 * BLOCK), 0);
	erase(BLOCK);
	assert_int_equal(status(), READY | ERASE_ERROR | LOCK_ERROR);
	program(BLOCK, 0);
	assert_int_equal(status(), READY | PROG_ERROR | LOCK_ERROR);
	/* Eight bytes that reach into it are two words. */
	command(0, 0x40);
	assert_true(bus_write(&d.vm.mmio, BASE + BLOCK - 2, "\0\0\0\0", 4));
	assert_int_equal(status(), READY | PROG_ERROR | LOCK_ERROR);
	assert_int_equal(get(BLOCK), BLOCK);
	command(BLOCK, 0x60);
	command(BLOCK, 0xd0);
	assert_int_equal(block_lock(BLOCK), 0);
	program(BLOCK, 0);
	assert_int_equal(status(), READY);
	/* Down until a reset. */
	command(BLOCK, 0x60);
	command(BLOCK, 0x2f);
	command(BLOCK, 0x60);
	command(BLOCK, 0xd0);
	assert_int_equal(block_lock(BLOCK), 3);
	vm_reset_devices(&d.vm);
	assert_int_equal(block_lock(BLOCK), 0);
	command(BLOCK, 0x60);
	command(BLOCK, 0x03);
	assert_int_equal(status(), READY);
	assert_int_equal(block_lock(BLOCK), 0);
}

static void reset_reads_the_array(void **state)
{
	erase(0);
	command(0, 0x55);
	command(0, 0x20);
	vm_reset_devices(&d.vm);
	assert_int_equal(get(0), 0xffffffff);
	command(BLOCK, 0xd0);
	assert_int_equal(status(), READY);
	assert_int_equal(get(BLOCK), BLOCK);
}

static void a_second_start_sees_it(void **state)
{
	erase(0);
	program(0x40, 0xcafe);
	vm_destroy(&d.vm);
	devvm_init(&d);
	assert_int_equal(create(16 * MiB), 0);
	assert_int_equal(get(0x40), 0xcafe);
	assert_int_equal(get(0x44), 0xffffffff);
}

/* A file that cannot be written any more: a limit stands for a full disk. What is printed stays
 * below it. */
static void the_hosts_errors(void **state)
{
	struct rlimit old, none = { .rlim_cur = 16 * KiB };

	signals_init();
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none.rlim_max = old.rlim_max;
	capture_begin();
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	program(BLOCK, 0);
	assert_int_equal(get(0), DUAL(READY | PROG_ERROR));
	assert_int_equal(status(), READY | PROG_ERROR);
	erase(BLOCK);
	assert_int_equal(status(), READY | ERASE_ERROR);
	for (int i = 0; i < 1000; i++)
		program(BLOCK, 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	status();
	capture_end();
	assert_contains(captured, path);
	assert_contains(captured, "cannot write at 0x10000: File too large");
	assert_true(strlen(captured) < 2000);
	assert_int_equal(get(BLOCK), BLOCK);
	program(BLOCK, 0);
	assert_int_equal(status(), READY);
	assert_int_equal(in_file(BLOCK), 0);
}

/* Whether root or not: the descriptor is opened anew. */
static void a_file_that_is_read_only(void **state)
{
	int ro;

	/* A sealed memfd may be opened for reading only. */
	ro = memfd_create("flash", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(ro, SIZE), 0);
	assert_int_equal(fchmod(ro, 0400), 0);
	assert_int_equal(fcntl(ro, F_ADD_SEALS, F_SEAL_WRITE), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ro);
	capture_begin();
	assert_int_equal(create(16 * MiB), 0);
	capture_end();
	if (geteuid()) {
		assert_one_line(captured);
		assert_contains(captured, "may only be read");
		assert_int_equal(block_lock(BLOCK), 3);
		command(BLOCK, 0x60);
		command(BLOCK, 0xd0);
		assert_int_equal(status(), READY);
		program(BLOCK, 0);
		assert_int_equal(status(), READY | PROG_ERROR | LOCK_ERROR);
		erase(BLOCK);
		assert_int_equal(status(), READY | ERASE_ERROR | LOCK_ERROR);
	} else {
		/* Root opens what it may not write: the error comes later. */
		capture_begin();
		program(BLOCK, 0);
		assert_int_equal(status(), READY | PROG_ERROR);
		capture_end();
		assert_contains(captured, "cannot write");
	}
	assert_int_equal(get(BLOCK), 0);
	path[0] = '\0';
	close(ro);
}

static void refused_with(const char *bytes, u64 size, u64 max, const char *why)
{
	make_file(size);
	assert_int_equal(pwrite(fd, bytes, strlen(bytes), 0), strlen(bytes));
	capture_begin();
	assert_true(create(max) < 0);
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, path);
	assert_contains(captured, why);
	unlink(path);
	close(fd);
	assert_null(d.vm.devices);
}

static void refused(u64 size, u64 max, const char *why)
{
	refused_with("", size, max, why);
}

static void sizes(void **state)
{
	refused(0, 16 * MiB, "truncate -s 16M");
	refused(1, 16 * MiB, "not a multiple of the block size, 64K");
	refused(BLOCK + 512, 16 * MiB, "truncate -s %64K");
	refused(16 * MiB + BLOCK, 16 * MiB, "the maximum is 16M");
	refused(1 * GiB, 16 * MiB, "the maximum is 16M");
	/* The guest would write over it; whatever its size, making it longer is no remedy. */
	refused_with("QFI\xfb", BLOCK + 512, 16 * MiB, "qcow2, not a raw image; make it one with");
	refused_with("\x1f\x8b\x08", BLOCK, 16 * MiB, "gunzip");
	/* 768 KiB: two powers of two. */
	make_file(768 * KiB);
	capture_begin();
	assert_int_equal(create(16 * MiB), 0);
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, "first 512K of 768K");
	command(0, 0x98);
	assert_int_equal(query(0x27), 18);
	assert_int_equal(query(0x2d), 7);
	assert_false(bus_read(&d.vm.mmio, BASE + 512 * KiB, &(u32){ 0 }, 4));
}

static void no_file(void **state)
{
	capture_begin();
	snprintf(path, sizeof(path), "/nonexistent/flash");
	assert_int_equal(create(16 * MiB), -ENOENT);
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, "truncate -s 16M");
	capture_begin();
	snprintf(path, sizeof(path), "/dev/null");
	assert_int_equal(create(16 * MiB), -EINVAL);
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, "not a regular file");
	path[0] = '\0';
}

static void one_vm_at_a_time(void **state)
{
	struct flash_file other;

	capture_begin();
	assert_int_equal(flash_file_open(&other, path, 16 * MiB), -EBUSY);
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, "locked");
	/* To be described it needs no lock, and takes none. */
	assert_int_equal(flash_file_measure(&other, path, 16 * MiB), 0);
	assert_int_equal(other.size, SIZE);
	assert_int_equal(other.fd, -1);
}

static void its_node(void **state)
{
	tree_begin(&d.vm);
	assert_true(tree_says("/flash@2000000", "compatible", "cfi-flash"));
	assert_true(tree_says("/flash@2000000", "label", "System-firmware"));
	assert_int_equal(tree_cell("/flash@2000000", "bank-width", 0), 4);
	assert_int_equal(tree_cell("/flash@2000000", "reg", 1), BASE);
	assert_int_equal(tree_cell("/flash@2000000", "reg", 3), SIZE);
	tree_end();
}

static void hostile(void **state)
{
	/* Every command at both ends, with every width. */
	for (u32 cmd = 0; cmd < 256; cmd++) {
		for (u32 second = 0; second < 256; second++) {
			u64 at = second & 1 ? SIZE - 4 : 0;
			u8 data[8] = { (u8)second };

			command(at, (u8)cmd);
			assert_true(bus_write(&d.vm.mmio, BASE + at, data, 1U << (second & 1)));
			get(at);
			vm_reset_devices(&d.vm);
		}
	}
	devvm_batter(&d, &d.vm.mmio, BASE - 8, BASE + SIZE + 8, 20000);
	devvm_batter(&d, &d.vm.mmio, BASE + SIZE - 16, BASE + SIZE + 8, 20000);
	vm_reset_devices(&d.vm);
	for (u32 i = 0; i < SIZE; i += 4)
		assert_int_equal(get(i), in_file(i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_probes_it, setup, teardown),
		cmocka_unit_test_setup_teardown(many_blocks, begin, teardown),
		cmocka_unit_test_setup_teardown(words, setup, teardown),
		cmocka_unit_test_setup_teardown(buffers, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_sequences, setup, teardown),
		cmocka_unit_test_setup_teardown(buffers_at_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(reading_does_not_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(the_status_is_sticky, setup, teardown),
		cmocka_unit_test_setup_teardown(locks, setup, teardown),
		cmocka_unit_test_setup_teardown(reset_reads_the_array, setup, teardown),
		cmocka_unit_test_setup_teardown(a_second_start_sees_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_is_read_only, begin, teardown),
		cmocka_unit_test_setup_teardown(the_hosts_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(sizes, begin, teardown),
		cmocka_unit_test_setup_teardown(no_file, begin, teardown),
		cmocka_unit_test_setup_teardown(one_vm_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(its_node, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile, setup, teardown),
	};

	/* A hang is all that it is for. */
	alarm(300);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
