/* SPDX-License-Identifier: MIT */
/* rootfs/modules.c, rootfs/module-file.c: trees of modules as depmod leaves them, and worse ones.
 */
#include "capture.h"
#include "folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../rootfs/modules.h"
#include "lkvm/util.h"

static char dir[] = "/tmp/lkvm-modules-XXXXXX";
static struct modules m;

static const char *in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void put_bytes(const char *name, const void *data, size_t len)
{
	assert_int_equal(write_file(in_dir(name), data, len), 0);
}

static void put(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text));
}

static int open_all(void)
{
	int ret;

	capture_begin();
	ret = modules_open(&m, dir);
	capture_end();
	return ret;
}

static int want(const char *name)
{
	int ret;

	capture_begin();
	ret = modules_want(&m, name);
	capture_end();
	if (ret)
		assert_one_line(captured);
	return ret;
}

/* "a b c": the files in the order of loading. */
static const char *order(void)
{
	static char text[4096];

	*text = '\0';
	for (u32 i = 0; i < m.nr_order; i++) {
		const struct module_path *p = &m.seen[m.order[i]];
		size_t n = strlen(text);

		snprintf(text + n, sizeof(text) - n, "%s%.*s", i ? " " : "", (int)p->len, p->path);
	}
	return text;
}

static int end(void **state)
{
	modules_close(&m);
	return 0;
}

static void test_order(void **state)
{
	put("modules.builtin", "kernel/drivers/virtio/virtio_pci.ko\nkernel/fs/netfs/netfs.ko\n");
	put("modules.dep", "kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz k/fscache.ko.xz\n"
			   "kernel/net/9p/9pnet.ko.xz:\n"
			   "kernel/net/9p/9pnet_virtio.ko.xz: kernel/net/9p/9pnet.ko.xz\n"
			   "k/fscache.ko.xz: k/last-of_all.ko.xz\n"
			   "k/x9p.ko:\n"
			   "k/last-of_all.ko.xz:");
	assert_int_equal(open_all(), 0);
	assert_true(modules_have(&m, "9p"));
	assert_true(modules_have(&m, "virtio-pci"));
	assert_true(modules_have(&m, "last_of-all"));
	assert_false(modules_have(&m, "9"));
	assert_false(modules_have(&m, "p"));
	assert_false(modules_have(&m, "overlay"));
	assert_int_equal(want("virtio_pci"), 0);
	assert_int_equal(want("overlay"), 0);
	assert_string_equal(order(), "");
	assert_int_equal(want("9pnet_virtio"), 0);
	assert_int_equal(want("9p"), 0);
	assert_int_equal(want("9p"), 0);
	assert_string_equal(order(), "kernel/net/9p/9pnet.ko.xz kernel/net/9p/9pnet_virtio.ko.xz "
				     "k/last-of_all.ko.xz k/fscache.ko.xz kernel/fs/9p/9p.ko.xz");
}

/* Nobody knows: all is in the kernel. */
static void test_none(void **state)
{
	unlink(in_dir("modules.builtin"));
	put("modules.dep", "9p.ko:\n");
	assert_int_equal(open_all(), 0);
	assert_false(modules_know(&m));
	assert_true(modules_have(&m, "virtio_pci"));
	assert_int_equal(want("9p"), 0);
	assert_int_equal(m.nr_order, 1);
	modules_close(&m);
	put("modules.builtin", "");
	assert_int_equal(open_all(), 0);
	assert_true(modules_have(&m, "virtio_pci"));
	modules_close(&m);

	assert_int_equal(modules_open(&m, NULL), 0);
	assert_true(modules_have(&m, "9p"));
	assert_int_equal(want("9p"), 0);
	assert_int_equal(m.nr_order, 0);
}

static void test_circle(void **state)
{
	put("modules.builtin", "");
	put("modules.dep", "a.ko: b.ko\nb.ko: c.ko a.ko\nc.ko: a.ko b.ko c.ko\n");
	assert_int_equal(open_all(), 0);
	assert_int_equal(want("a"), 0);
	assert_string_equal(order(), "c.ko b.ko a.ko");
}

static void test_paths(void **state)
{
	static const char *const bad[] = { "/etc/a.ko", "../a.ko", "k/../../a.ko",
					   "./a.ko",	"k//a.ko", "a.ko/" };
	char text[128];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "b.ko: %s\n", bad[i]);
		put("modules.dep", text);
		assert_int_equal(open_all(), 0);
		assert_int_equal(want("b"), -EINVAL);
		assert_contains(captured, "leads out");
		modules_close(&m);
	}
	put("modules.dep", "k/..a/b..ko.ko:\n");
	assert_int_equal(open_all(), 0);
	assert_int_equal(want("b..ko"), 0);
	assert_int_equal(m.nr_order, 1);
}

/* A chain without end, lines without colon or path, one line of a megabyte. */
static void test_sizes(void **state)
{
	const size_t room = MiB + 64;
	char *text = malloc(room);
	size_t n = 0;

	for (u32 i = 0; i < 300; i++)
		n += (size_t)snprintf(text + n, room - n, "m%u.ko: m%u.ko\n", i, i + 1);
	put("modules.dep", text);
	assert_int_equal(open_all(), 0);
	assert_int_equal(want("m0"), -E2BIG);
	modules_close(&m);

	put("modules.dep", "\n:\n: :\n \nd.ko\n\tx.ko: y.ko\ne.ko: : :\n");
	assert_int_equal(open_all(), 0);
	assert_int_equal(want("d"), 0);
	assert_int_equal(want("e"), -EINVAL);
	modules_close(&m);

	memset(text, 'x', MiB);
	memcpy(text, "a.ko: ", 6);
	text[MiB] = '\0';
	put("modules.dep", text);
	free(text);
	assert_int_equal(open_all(), 0);
	assert_int_equal(want("a"), -EINVAL);
}

/* Files */

static const char gzip_hello[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07"
				 "\x00\x86\xa6\x10\x36\x05\x00\x00\x00";
/* xz of "hello" */
static const u8 xz_hello[] = { 0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22,
			       0xde, 0x36, 0x02, 0x00, 0x21, 0x01, 0x16, 0x00, 0x00, 0x00,
			       0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x04, 0x68, 0x65, 0x6c,
			       0x6c, 0x6f, 0x00, 0x00, 0x00, 0x00, 0x86, 0xa6, 0x10, 0x36,
			       0x00, 0x01, 0x19, 0x05, 0xbc, 0xe8, 0xec, 0xcb, 0x90, 0x42,
			       0x99, 0x0d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x01, 0x59, 0x5a };

static int read_module(const char *file, char **name, u8 **data, size_t *len)
{
	char text[128];
	int ret;

	snprintf(text, sizeof(text), "%s:\n", file);
	put("modules.dep", text);
	modules_close(&m);
	assert_int_equal(open_all(), 0);
	assert_int_equal(want("m"), 0);
	capture_begin();
	ret = modules_read(&m, 0, name, data, len);
	capture_end();
	return ret;
}

static void assert_module(const char *file, const char *as)
{
	char *name;
	size_t len;
	u8 *data;

	assert_int_equal(read_module(file, &name, &data, &len), 0);
	assert_string_equal(name, as);
	assert_int_equal(len, 5);
	assert_memory_equal(data, "hello", 5);
	free(name);
	free(data);
}

static void test_files(void **state)
{
	char *name, *path = getenv("PATH") ? xstrdup(getenv("PATH")) : NULL;
	size_t len;
	u8 *data;

	put("m.ko", "hello");
	assert_module("m.ko", "00-m.ko");
#ifdef HAVE_ZLIB
	put_bytes("m.ko.gz", gzip_hello, sizeof(gzip_hello) - 1);
	assert_module("m.ko.gz", "00-m.ko");
	/* Cut off. */
	put_bytes("m.ko.gz", gzip_hello, sizeof(gzip_hello) - 9);
	assert_true(read_module("m.ko.gz", &name, &data, &len) < 0);
	assert_one_line(captured);
	assert_contains(captured, "--modules");
#endif
	/* Without xz it is the guest's. */
	put_bytes("m.ko.xz", xz_hello, 60);
	setenv("PATH", "/nowhere", 1);
	assert_int_equal(read_module("m.ko.xz", &name, &data, &len), 0);
	assert_string_equal(name, "00-m.ko.xz");
	assert_int_equal(len, 60);
	free(name);
	free(data);
	if (path)
		setenv("PATH", path, 1);
	free(path);
	assert_true(read_module("k/m.ko", &name, &data, &len) == -ENOENT);
	assert_one_line(captured);
}

/* There is an xz on most machines. */
static void test_xz(void **state)
{
	char *name;
	size_t len;
	u8 *data;

	if (access("/usr/bin/xz", X_OK))
		skip();
	put_bytes("m.ko.xz", xz_hello, sizeof(xz_hello));
	assert_module("m.ko.xz", "00-m.ko");
	put_bytes("m.ko.xz", xz_hello, 30);
	assert_int_equal(read_module("m.ko.xz", &name, &data, &len), -EBADMSG);
	assert_contains(captured, "xz cannot unpack it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_order, end),
		cmocka_unit_test_teardown(test_none, end),
		cmocka_unit_test_teardown(test_circle, end),
		cmocka_unit_test_teardown(test_paths, end),
		cmocka_unit_test_teardown(test_sizes, end),
		cmocka_unit_test_teardown(test_files, end),
		cmocka_unit_test_teardown(test_xz, end),
	};
	int ret;

	assert_non_null(mkdtemp(dir));
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	return remove_folder(dir) ? 1 : ret;
}
