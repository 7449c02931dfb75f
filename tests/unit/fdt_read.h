/* SPDX-License-Identifier: MIT */
/* For unit tests: what stands in a tree, read back by libfdt. */
#ifndef TEST_FDT_READ_H
#define TEST_FDT_READ_H

#include "unit.h"

#include <libfdt.h>
#include <string.h>

static inline int fdtw_path(const void *fdt, const char *path)
{
	int node = fdt_path_offset(fdt, path);

	if (node < 0)
		fail_msg("no node %s", path);
	return node;
}

static inline bool fdtw_has(const void *fdt, const char *path, const char *name)
{
	return fdt_getprop(fdt, fdtw_path(fdt, path), name, NULL) != NULL;
}

static inline const void *fdtw_prop(const void *fdt, const char *path, const char *name, u32 *len)
{
	int n;
	const void *value = fdt_getprop(fdt, fdtw_path(fdt, path), name, &n);

	if (!value)
		fail_msg("no property %s in %s", name, path);
	*len = (u32)n;
	return value;
}

/* Cell @i of a property. */
static inline u32 fdtw_cell(const void *fdt, const char *path, const char *name, u32 i)
{
	u32 len;
	const u8 *value = fdtw_prop(fdt, path, name, &len);

	assert_true(len >= 4 * (i + 1));
	return fdt32_ld((const fdt32_t *)(value + 4 * i));
}

static inline u64 fdtw_cell64(const void *fdt, const char *path, const char *name, u32 i)
{
	return (u64)fdtw_cell(fdt, path, name, i) << 32 | fdtw_cell(fdt, path, name, i + 1);
}

static inline u32 fdtw_nr_cells(const void *fdt, const char *path, const char *name)
{
	u32 len;

	fdtw_prop(fdt, path, name, &len);
	assert_int_equal(len % 4, 0);
	return len / 4;
}

static inline void assert_dt_cells(const void *fdt, const char *path, const char *name,
				   const u32 *cells, u32 n)
{
	assert_int_equal(fdtw_nr_cells(fdt, path, name), n);
	for (u32 i = 0; i < n; i++)
		assert_int_equal(fdtw_cell(fdt, path, name, i), cells[i]);
}

/* @len counts the NUL of each string of a list. */
static inline void assert_dt_bytes(const void *fdt, const char *path, const char *name,
				   const void *bytes, u32 len)
{
	u32 n;
	const void *value = fdtw_prop(fdt, path, name, &n);

	assert_int_equal(n, len);
	assert_memory_equal(value, bytes, len);
}

static inline void assert_dt_string(const void *fdt, const char *path, const char *name,
				    const char *value)
{
	assert_dt_bytes(fdt, path, name, value, (u32)strlen(value) + 1);
}

#endif
