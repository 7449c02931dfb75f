/* SPDX-License-Identifier: MIT */
/*
 * Writing a flattened device tree (Devicetree Specification 0.4) by libfdt's sequential functions.
 * The first error is kept: who writes need not look at each call, dt_finish tells.
 */
#ifndef LKVM_DT_H
#define LKVM_DT_H

#include <stddef.h>

#include "lkvm/types.h"

/* Cells of #address-cells and #size-cells of every bus here. */
#define DT_ADDRESS_CELLS 2
#define DT_SIZE_CELLS	 2
/* The most cells of an interrupt specifier. */
#define DT_MAX_IRQ_CELLS 4

struct dt {
	void *buf; /* owned */
	size_t size;
	int error; /* the first -errno */
	u32 depth; /* open nodes, the root included */
	bool past; /* a node was closed: properties come before it */
	/*
	 * Filled by the architecture when it begins: the interrupt controller to which lines lead,
	 * and how one is told: returns the number of cells.
	 */
	u32 irq_phandle;
	u32 irq_address_cells; /* its node's #address-cells, which interrupt maps count on */
	u32 (*irq_cells)(u32 gsi, bool edge, u32 cells[DT_MAX_IRQ_CELLS]);
	u32 msi_phandle;   /* where messages go; 0: nowhere */
	bool msi_devid;	   /* it wants the requester's id: msi-map instead of msi-parent */
	u32 clock_phandle; /* a fixed clock for devices that must name one; 0: none */
	/* Reserved memory that a protected guest shares with its devices; 0: they reach all. */
	u32 dma_pool_phandle;
	u32 nr_phandles; /* handed out by dt_phandle */
};

/* Phandles below are the architecture's own; those above come from dt_phandle. */
#define DT_FIRST_PHANDLE 0x100
/* A new phandle, for a node that another one refers to: dt_u32(dt, "phandle", ...). */
u32 dt_phandle(struct dt *dt);

/* A tree in a buffer of @size bytes; its root node is open, and dt_finish closes it. */
void dt_begin(struct dt *dt, size_t size);
/*
 * End the tree; dt->buf then holds *len bytes (its totalsize). 0 or the first error: -ENOSPC: the
 * buffer is too small; -EINVAL: wrongly used. The caller frees by dt_destroy either way.
 */
int dt_finish(struct dt *dt, size_t *len) __must_check;
void dt_destroy(struct dt *dt);

/* A node, closed by dt_close; the name may have a unit address. */
void dt_node(struct dt *dt, const char *name_fmt, ...) __printf(2, 3);
void dt_close(struct dt *dt);

/* Properties of the open node, before the nodes in it. */
void dt_empty(struct dt *dt, const char *name);
void dt_u32(struct dt *dt, const char *name, u32 value);
void dt_u64(struct dt *dt, const char *name, u64 value);
void dt_cells(struct dt *dt, const char *name, const u32 *cells, size_t n);
void dt_bytes(struct dt *dt, const char *name, const void *bytes, size_t len);
void dt_string(struct dt *dt, const char *name, const char *value);
/* @strings ends with NULL. */
void dt_strings(struct dt *dt, const char *name, const char *const *strings);
/* "reg" of one range. */
void dt_reg(struct dt *dt, u64 base, u64 size);
/* "interrupts" of one line, by dt->irq_cells. */
void dt_irq(struct dt *dt, u32 gsi, bool edge);
/* "memory-region" of a device that accesses memory itself, where dt->dma_pool_phandle says one. */
void dt_dma_pool(struct dt *dt);

#endif
