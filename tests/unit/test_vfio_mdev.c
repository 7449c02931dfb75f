/* SPDX-License-Identifier: MIT */
/* vfio/mdev.c: devices that a driver makes, over a tree of files that stands for sysfs. */
#include "unit.h"

#include <stdlib.h>

#include "capture.h"
#include "lkvm/util.h"
#include "lkvm/vfio-bind.h"
#include "vfio_tree.h"

#define BUS   "/sys/class/mdev_bus/"
#define DEV   "/sys/bus/mdev/devices/"
#define UUID  "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
#define OTHER "83b8f4f2-509f-382f-3c1e-e6bfe0fa1002"

static char wrote_to[PATH_MAX], wrote[64];
static int answer;

static int write_file_of_sysfs(void *opaque, const char *path, const char *text)
{
	assert_memory_equal(path, tree_root, strlen(tree_root));
	snprintf(wrote_to, sizeof(wrote_to), "%s", path + strlen(tree_root));
	snprintf(wrote, sizeof(wrote), "%s", text);
	return answer;
}

static const struct vfio_writer writer = { .root = tree_root, .write = write_file_of_sysfs };

static void parent(const char *name, const char *type, const char *available)
{
	char real[200], path[PATH_MAX];

	snprintf(real, sizeof(real), "/sys/devices/%s", name);
	snprintf(path, sizeof(path), "%s/mdev_supported_types/%s/available_instances", real, type);
	tree_put(path, available);
	snprintf(path, sizeof(path), BUS "%s", name);
	tree_link(path, real);
}

static void device(const char *uuid, const char *of, const char *type)
{
	char path[PATH_MAX], real[300], to[300];

	snprintf(real, sizeof(real), "/sys/devices/%s/%s", of, uuid);
	snprintf(to, sizeof(to), "/sys/devices/%s/mdev_supported_types/%s", of, type);
	snprintf(path, sizeof(path), "%s/mdev_type", real);
	tree_link(path, to);
	snprintf(path, sizeof(path), DEV "%s", uuid);
	tree_link(path, real);
}

static int begin(void **state)
{
	tree_begin();
	*wrote_to = *wrote = '\0';
	answer = 0;
	return 0;
}

static const char *create(const char *of, const char *type, const char *uuid, int want,
			  struct vfio_name *out)
{
	const char *said;
	int ret;

	capture_begin();
	ret = vfio_mdev_create(&writer, "here", of, type, uuid, out);
	said = capture_end();
	if (ret != want)
		fail_msg("%d and not %d: %s", ret, want, said);
	if (ret)
		assert_one_line(said);
	else
		assert_string_equal(said, "");
	return said;
}

static void test_create(void **state)
{
	struct vfio_name name, other;

	parent("mtty", "mtty-1", "24\n");
	create("mtty", "mtty-1", "83B8F4F2-509f-382f-3c1e-e6bfe0fa1001", 0, &name);
	assert_string_equal(wrote_to, BUS "mtty/mdev_supported_types/mtty-1/create");
	assert_string_equal(wrote, UUID);
	assert_string_equal(name.id, UUID);
	assert_string_equal(name.sysfs, DEV UUID);
	assert_int_equal(name.bus, VFIO_BUS_MDEV);

	/* RFC 9562: version 4 of the variant 10x. */
	create("/sys/class/mdev_bus/mtty", "mtty-1", NULL, 0, &name);
	assert_string_equal(wrote, name.id);
	assert_int_equal(name.id[14], '4');
	assert_non_null(strchr("89ab", name.id[19]));
	create("mtty", "mtty-1", NULL, 0, &other);
	assert_string_not_equal(name.id, other.id);
}

static void test_parent_by_address(void **state)
{
	struct vfio_name name;

	parent("0000:03:00.0", "i915-GVTg_V5_4", "1\n");
	create("03:00.0", "i915-GVTg_V5_4", UUID, 0, &name);
	assert_string_equal(wrote_to,
			    BUS "0000:03:00.0/mdev_supported_types/i915-GVTg_V5_4/create");
}

static void test_no_such(void **state)
{
	struct vfio_name name;

	assert_contains(create("mtty", "mtty-1", NULL, -ENOENT, &name),
			"nothing on this host makes mdevs");
	parent("mtty", "mtty-1", "24\n");
	parent("mdpy", "mdpy-hd", "24\n");
	assert_contains(create("mttx", "mtty-1", NULL, -ENOENT, &name),
			"here: 'mttx' makes no mdevs; what does: mdpy, mtty");
	/* No way out of the class. */
	create("..", "mtty-1", NULL, -ENOENT, &name);
	create("x/", "mtty-1", NULL, -ENOENT, &name);
	assert_contains(create("mtty", "mttx-1", NULL, -ENOENT, &name), "did you mean 'mtty-1'");
	assert_contains(create("mtty", "other", NULL, -ENOENT, &name), "it has: mtty-1");
	create("mtty", "mtty-1/../mtty-1", NULL, -ENOENT, &name);
	assert_contains(create("mtty", "mtty-1", "03:00.0", -EINVAL, &name), "is not a UUID");
	assert_string_equal(wrote_to, "");
}

static void test_refused(void **state)
{
	struct vfio_name name;

	parent("mtty", "mtty-1", "0\n");
	assert_contains(create("mtty", "mtty-1", NULL, -ENOSPC, &name), "no more of type mtty-1");
	assert_string_equal(wrote_to, "");
	parent("mtty", "mtty-1", "1\n");
	answer = -EACCES;
	assert_contains(create("mtty", "mtty-1", NULL, -EACCES, &name), "; root may do that");
	answer = -EROFS;
	assert_contains(create("mtty", "mtty-1", NULL, -EROFS, &name), "read-only here");
	answer = -EEXIST;
	assert_contains(create("mtty", "mtty-1", UUID, -EEXIST, &name), "has that UUID already");
	answer = -EUSERS;
	assert_contains(create("mtty", "mtty-1", NULL, -EUSERS, &name), "remove one");
	/* The driver's, not of wrong usage. */
	answer = -EINVAL;
	assert_contains(create("mtty", "mtty-1", NULL, -EIO, &name), "mtty-1: Invalid argument");
}

static const char *take_away(int want)
{
	struct vfio_name name;
	const char *said;
	int ret;

	assert_int_equal(vfio_name_parse(UUID, &name), 0);
	capture_begin();
	ret = vfio_mdev_remove(&writer, "here", &name);
	said = capture_end();
	if (ret != want)
		fail_msg("%d and not %d: %s", ret, want, said);
	return said;
}

static void test_remove(void **state)
{
	assert_contains(take_away(-ENOENT), "there is no mdev " UUID "; 'lkvm vfio mdev list'");
	device(UUID, "mtty", "mtty-1");
	take_away(0);
	assert_string_equal(wrote_to, DEV UUID "/remove");
	assert_string_equal(wrote, "1");
	answer = -EACCES;
	assert_contains(take_away(-EACCES), "Permission denied; root");
	answer = -EINVAL;
	assert_contains(take_away(-EIO), "Invalid argument");

	/* The kernel would wait. */
	*wrote_to = '\0';
	tree_put("/sys/devices/mtty/" UUID "/vfio-dev/vfio3/dev", "510:3\n");
	tree_put("/proc/812/comm", "lkvm\n");
	tree_folder("/proc/812/fd");
	assert_int_equal(symlink("/dev/vfio/devices/vfio3", tree_path("/proc/812/fd/10")), 0);
	assert_contains(take_away(-EBUSY), "process 812 (lkvm) uses it; end that first");
	assert_string_equal(wrote_to, "");
}

static void assert_words(struct vfio_words *w, const char *want)
{
	char *text = xstrdup("");

	for (u32 i = 0; i < w->nr; i++)
		xappendf(&text, "%s ", w->words[i]);
	assert_null(w->words[w->nr]);
	assert_string_equal(text, want);
	free(text);
	vfio_words_free(w);
}

static void test_lists(void **state)
{
	struct vfio_words w;
	char text[8];

	vfio_mdev_parents(tree_root, &w);
	assert_words(&w, "");
	parent("mtty", "mtty-2", "12\n");
	parent("mtty", "mtty-1", "24\n");
	parent("mdpy", "mtty-1", "24\n");
	vfio_mdev_parents(tree_root, &w);
	assert_words(&w, "mdpy mtty ");
	vfio_mdev_types(tree_root, "mtty", &w);
	assert_words(&w, "mtty-1 mtty-2 ");
	device(OTHER, "mtty", "mtty-1");
	device(UUID, "mtty", "mtty-1");
	device("83b8f4f2-509f-382f-3c1e-e6bfe0fa1003", "mtty", "mtty-2");
	device("83b8f4f2-509f-382f-3c1e-e6bfe0fa1004", "mdpy", "mtty-1");
	vfio_mdev_devices(tree_root, "mtty", "mtty-1", &w);
	assert_words(&w, UUID " " OTHER " ");
	/* What a terminal would obey is masked; what is long is cut. */
	tree_put("/sys/devices/mtty/mdev_supported_types/mtty-1/name", "a\033bcdefghijk\n");
	vfio_mdev_text(tree_root, "mtty", "mtty-1", "name", text, sizeof(text));
	assert_string_equal(text, "a?bcdef");
	vfio_mdev_text(tree_root, "mtty", "mtty-1", "nothing", text, sizeof(text));
	assert_string_equal(text, "");
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, begin, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_create),  CASE(test_parent_by_address),
		CASE(test_no_such), CASE(test_refused),
		CASE(test_remove),  CASE(test_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
