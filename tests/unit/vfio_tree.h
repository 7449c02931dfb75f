/* SPDX-License-Identifier: MIT */
/* A folder that stands for a host's /sys, /proc and /dev. */
#ifndef TEST_VFIO_TREE_H
#define TEST_VFIO_TREE_H

#include "folder.h"
#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char tree_root[64];

static inline void tree_begin(void)
{
	strcpy(tree_root, "/tmp/lkvm-vfio-XXXXXX");
	assert_non_null(mkdtemp(tree_root));
}

static inline void tree_end(void)
{
	assert_int_equal(remove_folder(tree_root), 0);
}

/* Both as a test's fixture. */
static inline int tree_setup(void **state)
{
	(void)state;
	tree_begin();
	return 0;
}

static inline int tree_teardown(void **state)
{
	(void)state;
	tree_end();
	return 0;
}

static inline const char *tree_path(const char *path)
{
	static char buf[PATH_MAX + 64];

	snprintf(buf, sizeof(buf), "%s%s", tree_root, path);
	return buf;
}

/* With all above it. */
static inline void tree_folder(const char *path)
{
	char buf[PATH_MAX + 64];

	snprintf(buf, sizeof(buf), "%s", tree_path(path));
	for (char *p = buf + strlen(tree_root) + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		assert_true(!mkdir(buf, 0755) || errno == EEXIST);
		*p = '/';
	}
	assert_true(!mkdir(buf, 0755) || errno == EEXIST);
}

static inline void tree_above(const char *path)
{
	char above[PATH_MAX];

	snprintf(above, sizeof(above), "%s", path);
	*strrchr(above, '/') = '\0';
	tree_folder(above);
}

static inline void tree_put(const char *path, const char *text)
{
	FILE *f;

	tree_above(path);
	f = fopen(tree_path(path), "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static inline void tree_get(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(tree_path(path), "r");
	size_t n = f ? fread(buf, 1, size - 1, f) : 0;

	buf[n] = '\0';
	if (f)
		fclose(f);
}

static inline bool tree_has(const char *path)
{
	struct stat st;

	return !lstat(tree_path(path), &st);
}

static inline void tree_gone(const char *path)
{
	(void)unlink(tree_path(path));
}

/* To a path of the host's: in sysfs they are relative, which nobody should need. */
static inline void tree_link(const char *path, const char *to)
{
	char target[PATH_MAX + 64];

	tree_above(path);
	tree_gone(path);
	snprintf(target, sizeof(target), "%s%s", tree_root, to);
	assert_int_equal(symlink(target, tree_path(path)), 0);
}

/* A device of PCI, in group @group ("": in none), which @driver has ("": none has it). */
static inline void tree_pci(const char *id, const char *class, const char *group,
			    const char *driver)
{
	char real[200], path[PATH_MAX], to[PATH_MAX];

	snprintf(real, sizeof(real), "/sys/devices/pci0000:00/%s", id);
	tree_folder(real);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", id);
	tree_link(path, real);
	snprintf(path, sizeof(path), "%s/class", real);
	tree_put(path, class);
	snprintf(path, sizeof(path), "%s/driver_override", real);
	tree_put(path, "(null)\n");
	if (*group) {
		snprintf(path, sizeof(path), "%s/iommu_group", real);
		snprintf(to, sizeof(to), "/sys/kernel/iommu_groups/%s", group);
		tree_link(path, to);
		snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%s/devices/%s", group, id);
		tree_link(path, real);
	}
	if (*driver) {
		snprintf(to, sizeof(to), "/sys/bus/pci/drivers/%s", driver);
		tree_folder(to);
		snprintf(path, sizeof(path), "%s/driver", real);
		tree_link(path, to);
	}
}

#endif
