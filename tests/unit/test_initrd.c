/* SPDX-License-Identifier: MIT */
/* boot/initrd.c. */
#include "capture.h"
#include "image_builder.h"
#include "lkvm/plan.h"

static void test_size(void **state)
{
	struct guest g;
	u8 byte;
	u64 size;

	guest_init(&g, MiB);
	assert_int_equal(boot_initrd_size(&g.boot, &size), 0);
	assert_int_equal(size, 0);
	guest_add_initrd(&g, "a", &byte, 5);
	guest_add_initrd(&g, "b", &byte, 4);
	guest_add_initrd(&g, "c", &byte, 1);
	assert_int_equal(boot_initrd_size(&g.boot, &size), 0);
	assert_int_equal(size, 16);
	capture_begin();
	g.initrds[1].size = UINT64_MAX - 11;
	assert_int_equal(boot_initrd_size(&g.boot, &size), -EOVERFLOW);
	g.initrds[1].size = UINT64_MAX;
	assert_int_equal(boot_initrd_size(&g.boot, &size), -EOVERFLOW);
	capture_end();
	/* Words have no place in an initrd that is joined to others. */
	g.initrds[1].size = 4;
	g.initrds[1].words = "root=/dev/vda";
	capture_begin();
	assert_int_equal(boot_initrd_size(&g.boot, &size), -EINVAL);
	assert_one_line(capture_end());
	assert_contains(captured, "--initrd b: words after the file ('root=/dev/vda')");
	guest_destroy(&g);
}

/* What Linux will not unpack is told, and given to it nevertheless. */
static void test_strangers(void **state)
{
	static const struct {
		u32 offset;
		const char *bytes, *part; /* NULL: nothing to tell */
	} files[] = {
		{ 0, "070701", NULL },
		{ 0, "\x1f\x8b\x08", NULL },
		{ 0, "\xfd\x37zXZ", NULL },
		{ 1080, "\x53\xef\x01", NULL },
		{ 4, "070701", NULL }, /* after padding */
		{ 0x202, "HdrS", "--initrd i: a Linux kernel, which Linux does not unpack" },
		{ 56, "ARM\x64", "a Linux kernel" },
		{ 0, "\177ELF", "an ELF file" },
		{ 0, "QFI\xfb", "a qcow2 disk image" },
		{ 257, "ustar", "a tar archive, which Linux does not unpack; use a cpio archive" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		u8 data[2048] = { 0 };
		struct guest g;
		const char *text;

		memcpy(data + files[i].offset, files[i].bytes, strlen(files[i].bytes));
		guest_init(&g, MiB);
		guest_add_initrd(&g, "i", data, sizeof(data));
		capture_begin();
		boot_check_initrds(&g.boot);
		text = capture_end();
		if (!files[i].part) {
			assert_string_equal(text, "");
		} else {
			assert_one_line(text);
			assert_contains(text, files[i].part);
		}
		guest_destroy(&g);
	}
}

static int load(struct guest *g, u64 gpa)
{
	struct boot_plan plan;
	int ret;

	boot_plan_init(&plan);
	boot_initrd_plan(&g->boot, &plan, gpa);
	ret = boot_plan_check(&plan, &g->mem);
	if (!ret)
		ret = boot_plan_load(&plan, &g->mem);
	boot_plan_free(&plan);
	return ret;
}

static void test_load(void **state)
{
	char a[] = "12345", b[] = "67";
	struct guest g;
	const char *text;
	int ret;

	guest_init(&g, MiB);
	/* Between them are zeroes, which memory has; nothing else is touched. */
	memset(memory_ptr(&g.mem, 0x100a, 0x100), 0xee, 0x100);
	guest_add_initrd(&g, "a", a, 5);
	guest_add_initrd(&g, "b", b, 2);
	assert_int_equal(load(&g, 0x1000), 0);
	assert_guest_bytes(&g, 0x1000,
			   "12345\0\0\0"
			   "67\xee\xee",
			   12);
	capture_begin();
	ret = load(&g, MiB - 3);
	text = capture_end();
	assert_int_equal(ret, -EFAULT);
	assert_contains(text, "initrd (a)");
	assert_one_line(text);
	guest_destroy(&g);
}

static void test_shrunk(void **state)
{
	char path[] = "/tmp/lkvm-initrd-XXXXXX";
	struct guest g;
	const char *text;
	int fd = mkstemp(path), ret;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "0123456789", 10), 10);
	guest_init(&g, MiB);
	assert_int_equal(boot_image_open(&g.initrds[g.boot.nr_initrds++], path, "initrd"), 0);
	assert_int_equal(load(&g, 0x1000), 0);
	assert_int_equal(ftruncate(fd, 3), 0);
	capture_begin();
	ret = load(&g, 0x1000);
	text = capture_end();
	assert_int_equal(ret, -ENODATA);
	assert_contains(text, "shorter than when it was opened");
	assert_one_line(text);
	boot_image_close(&g.initrds[0]);
	guest_destroy(&g);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_shrunk),
		cmocka_unit_test(test_strangers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
