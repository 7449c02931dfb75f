/* SPDX-License-Identifier: MIT */
/* Device trees (Devicetree Specification 0.4, chapter 5) by libfdt's sequential-write functions. */
#include "lkvm/dt.h"

#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_NAME 64

/* A call of libfdt is made only while all went well. */
#define CHECK(dt, call)                           \
	do {                                      \
		if (!(dt)->error)                 \
			note_error((dt), (call)); \
	} while (0)

static void note_error(struct dt *dt, int fdt_error)
{
	if (fdt_error)
		dt->error = fdt_error == -FDT_ERR_NOSPACE ? -ENOSPC : -EINVAL;
}

/* What libfdt lets pass, and readers stumble over. */
static void require(struct dt *dt, bool right)
{
	if (!dt->error && !right)
		dt->error = -EINVAL;
}

void dt_begin(struct dt *dt, size_t size)
{
	*dt = (struct dt){ .size = size };
	if (size > INT32_MAX) {
		dt->error = -EINVAL;
		return;
	}
	/* libfdt zeroes all of it, so the padding behind a property is always the same. */
	dt->buf = malloc(size);
	if (!dt->buf) {
		dt->error = -ENOMEM;
		return;
	}
	CHECK(dt, fdt_create(dt->buf, (int)size));
	CHECK(dt, fdt_finish_reservemap(dt->buf));
	CHECK(dt, fdt_begin_node(dt->buf, ""));
	dt->depth = 1;
}

int dt_finish(struct dt *dt, size_t *len)
{
	require(dt, dt->depth == 1);
	CHECK(dt, fdt_end_node(dt->buf));
	CHECK(dt, fdt_finish(dt->buf));
	*len = dt->error ? 0 : fdt_totalsize(dt->buf);
	return dt->error;
}

void dt_destroy(struct dt *dt)
{
	free(dt->buf);
	*dt = (struct dt){ 0 };
}

u32 dt_phandle(struct dt *dt)
{
	return DT_FIRST_PHANDLE + dt->nr_phandles++;
}

void dt_node(struct dt *dt, const char *name_fmt, ...)
{
	char name[MAX_NAME];
	va_list ap;
	int len;

	va_start(ap, name_fmt);
	len = vsnprintf(name, sizeof(name), name_fmt, ap);
	va_end(ap);
	require(dt, len > 0 && len < MAX_NAME);
	CHECK(dt, fdt_begin_node(dt->buf, name));
	dt->depth++;
	dt->past = false;
}

void dt_close(struct dt *dt)
{
	require(dt, dt->depth > 1);
	CHECK(dt, fdt_end_node(dt->buf));
	dt->depth--;
	dt->past = true;
}

/* Room for the value of a property of @len bytes; NULL after an error. */
static u8 *property(struct dt *dt, const char *name, size_t len)
{
	void *value = NULL;

	require(dt, !dt->past);
	if (!dt->error && len > dt->size)
		dt->error = -ENOSPC;
	CHECK(dt, fdt_property_placeholder(dt->buf, name, (int)len, &value));
	return dt->error ? NULL : value;
}

void dt_bytes(struct dt *dt, const char *name, const void *bytes, size_t len)
{
	u8 *value = property(dt, name, len);

	if (value && len)
		memcpy(value, bytes, len);
}

void dt_empty(struct dt *dt, const char *name)
{
	dt_bytes(dt, name, NULL, 0);
}

void dt_cells(struct dt *dt, const char *name, const u32 *cells, size_t n)
{
	u8 *value = property(dt, name, n > SIZE_MAX / 4 ? SIZE_MAX : 4 * n);

	for (size_t i = 0; value && i < n; i++)
		fdt32_st(value + 4 * i, cells[i]);
}

void dt_u32(struct dt *dt, const char *name, u32 value)
{
	dt_cells(dt, name, &value, 1);
}

void dt_u64(struct dt *dt, const char *name, u64 value)
{
	const u32 cells[] = { (u32)(value >> 32), (u32)value };

	dt_cells(dt, name, cells, ARRAY_SIZE(cells));
}

void dt_string(struct dt *dt, const char *name, const char *value)
{
	dt_bytes(dt, name, value, strlen(value) + 1);
}

void dt_strings(struct dt *dt, const char *name, const char *const *strings)
{
	size_t len = 0;
	u8 *value;

	for (size_t i = 0; strings[i]; i++)
		len += strlen(strings[i]) + 1;
	value = property(dt, name, len);
	for (size_t i = 0; value && strings[i]; i++) {
		len = strlen(strings[i]) + 1;
		memcpy(value, strings[i], len);
		value += len;
	}
}

void dt_reg(struct dt *dt, u64 base, u64 size)
{
	const u32 cells[] = { (u32)(base >> 32), (u32)base, (u32)(size >> 32), (u32)size };

	dt_cells(dt, "reg", cells, ARRAY_SIZE(cells));
}

void dt_irq(struct dt *dt, u32 gsi, bool edge)
{
	u32 cells[DT_MAX_IRQ_CELLS];

	require(dt, dt->irq_cells);
	if (dt->irq_cells)
		dt_cells(dt, "interrupts", cells, dt->irq_cells(gsi, edge, cells));
}

void dt_dma_pool(struct dt *dt)
{
	if (dt->dma_pool_phandle)
		dt_u32(dt, "memory-region", dt->dma_pool_phandle);
}
