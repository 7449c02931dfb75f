/* SPDX-License-Identifier: MIT */
/* Device trees (Devicetree Specification 0.4, chapter 5) by libfdt's sequential-write functions. */
#include "lkvm/fdt.h"

#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_NAME 64

/* A call of libfdt is made only while all went well. */
#define CHECK(fdt, call)                           \
	do {                                       \
		if (!(fdt)->error)                 \
			note_error((fdt), (call)); \
	} while (0)

static void note_error(struct fdtw *fdt, int fdt_error)
{
	if (fdt_error)
		fdt->error = fdt_error == -FDT_ERR_NOSPACE ? -ENOSPC : -EINVAL;
}

/* What libfdt lets pass, and readers stumble over. */
static void require(struct fdtw *fdt, bool right)
{
	if (!fdt->error && !right)
		fdt->error = -EINVAL;
}

void fdtw_begin(struct fdtw *fdt, size_t size)
{
	*fdt = (struct fdtw){ .size = size };
	if (size > INT32_MAX) {
		fdt->error = -EINVAL;
		return;
	}
	/* libfdt zeroes all of it, so the padding after a property is always the same. */
	fdt->buf = malloc(size);
	if (!fdt->buf) {
		fdt->error = -ENOMEM;
		return;
	}
	CHECK(fdt, fdt_create(fdt->buf, (int)size));
	CHECK(fdt, fdt_finish_reservemap(fdt->buf));
	CHECK(fdt, fdt_begin_node(fdt->buf, ""));
	fdt->depth = 1;
}

int fdtw_finish(struct fdtw *fdt, size_t *len)
{
	require(fdt, fdt->depth == 1);
	CHECK(fdt, fdt_end_node(fdt->buf));
	CHECK(fdt, fdt_finish(fdt->buf));
	*len = fdt->error ? 0 : fdt_totalsize(fdt->buf);
	return fdt->error;
}

void fdtw_destroy(struct fdtw *fdt)
{
	free(fdt->buf);
	*fdt = (struct fdtw){ 0 };
}

u32 fdtw_phandle(struct fdtw *fdt)
{
	return FDTW_FIRST_PHANDLE + fdt->nr_phandles++;
}

void fdtw_node(struct fdtw *fdt, const char *name_fmt, ...)
{
	char name[MAX_NAME];
	va_list ap;
	int len;

	va_start(ap, name_fmt);
	len = vsnprintf(name, sizeof(name), name_fmt, ap);
	va_end(ap);
	require(fdt, len > 0 && len < MAX_NAME);
	CHECK(fdt, fdt_begin_node(fdt->buf, name));
	fdt->depth++;
	fdt->past = false;
}

void fdtw_close(struct fdtw *fdt)
{
	require(fdt, fdt->depth > 1);
	CHECK(fdt, fdt_end_node(fdt->buf));
	fdt->depth--;
	fdt->past = true;
}

/* Room for the value of a property of @len bytes; NULL after an error. */
static u8 *property(struct fdtw *fdt, const char *name, size_t len)
{
	void *value = NULL;

	require(fdt, !fdt->past);
	if (!fdt->error && len > fdt->size)
		fdt->error = -ENOSPC;
	CHECK(fdt, fdt_property_placeholder(fdt->buf, name, (int)len, &value));
	return fdt->error ? NULL : value;
}

void fdtw_bytes(struct fdtw *fdt, const char *name, const void *bytes, size_t len)
{
	u8 *value = property(fdt, name, len);

	if (value && len)
		memcpy(value, bytes, len);
}

void fdtw_empty(struct fdtw *fdt, const char *name)
{
	fdtw_bytes(fdt, name, NULL, 0);
}

void fdtw_cells(struct fdtw *fdt, const char *name, const u32 *cells, size_t n)
{
	u8 *value = property(fdt, name, n > SIZE_MAX / 4 ? SIZE_MAX : 4 * n);

	for (size_t i = 0; value && i < n; i++)
		fdt32_st(value + 4 * i, cells[i]);
}

void fdtw_u32(struct fdtw *fdt, const char *name, u32 value)
{
	fdtw_cells(fdt, name, &value, 1);
}

void fdtw_u64(struct fdtw *fdt, const char *name, u64 value)
{
	const u32 cells[] = { (u32)(value >> 32), (u32)value };

	fdtw_cells(fdt, name, cells, ARRAY_SIZE(cells));
}

void fdtw_string(struct fdtw *fdt, const char *name, const char *value)
{
	fdtw_bytes(fdt, name, value, strlen(value) + 1);
}

void fdtw_strings(struct fdtw *fdt, const char *name, const char *const *strings)
{
	size_t len = 0;
	u8 *value;

	for (size_t i = 0; strings[i]; i++)
		len += strlen(strings[i]) + 1;
	value = property(fdt, name, len);
	for (size_t i = 0; value && strings[i]; i++) {
		len = strlen(strings[i]) + 1;
		memcpy(value, strings[i], len);
		value += len;
	}
}

void fdtw_reg(struct fdtw *fdt, u64 base, u64 size)
{
	const u32 cells[] = { (u32)(base >> 32), (u32)base, (u32)(size >> 32), (u32)size };

	fdtw_cells(fdt, "reg", cells, ARRAY_SIZE(cells));
}

void fdtw_irq(struct fdtw *fdt, u32 gsi, bool edge)
{
	u32 cells[FDTW_MAX_IRQ_CELLS];

	require(fdt, fdt->irq_cells);
	if (fdt->irq_cells)
		fdtw_cells(fdt, "interrupts", cells, fdt->irq_cells(gsi, edge, cells));
}

void fdtw_dma_pool(struct fdtw *fdt)
{
	if (fdt->dma_pool_phandle)
		fdtw_u32(fdt, "memory-region", fdt->dma_pool_phandle);
}
