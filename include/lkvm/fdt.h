/* SPDX-License-Identifier: MIT */
/*
 * Writing a flattened device tree (Devicetree Specification 0.4) by libfdt's sequential functions;
 * the prefix says writer, since fdt_ is libfdt's own.
 * The first error is kept: who writes need not look at each call, fdtw_finish tells.
 */
#ifndef LKVM_FDT_H
#define LKVM_FDT_H

#include <stddef.h>

#include "lkvm/types.h"

/* Cells of #address-cells and #size-cells of every bus here. */
#define FDTW_ADDRESS_CELLS 2
#define FDTW_SIZE_CELLS	   2
/* The maximum of cells of an interrupt specifier. */
#define FDTW_MAX_IRQ_CELLS 4

struct fdtw {
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
	u32 (*irq_cells)(u32 gsi, bool edge, u32 cells[FDTW_MAX_IRQ_CELLS]);
	u32 msi_phandle;   /* where messages go; 0: nowhere */
	bool msi_devid;	   /* it wants the requester's id: msi-map instead of msi-parent */
	u32 clock_phandle; /* a fixed clock for devices that must name one; 0: none */
	/* Reserved memory that a protected guest shares with its devices; 0: they reach all. */
	u32 dma_pool_phandle;
	u32 nr_phandles; /* handed out by fdtw_phandle */
};

/* Phandles below are the architecture's own; those above come from fdtw_phandle. */
#define FDTW_FIRST_PHANDLE 0x100
/* A new phandle, for a node that another one refers to: fdtw_u32(fdt, "phandle", ...). */
u32 fdtw_phandle(struct fdtw *fdt);

/* A tree in a buffer of @size bytes; its root node is open, and fdtw_finish closes it. */
void fdtw_begin(struct fdtw *fdt, size_t size);
/*
 * End the tree; fdt->buf then holds *len bytes (its totalsize). 0 or the first error: -ENOSPC: the
 * buffer is too small; -EINVAL: wrongly used. The caller frees by fdtw_destroy either way.
 */
int fdtw_finish(struct fdtw *fdt, size_t *len) __must_check;
void fdtw_destroy(struct fdtw *fdt);

/* A node, closed by fdtw_close; the name may have a unit address. */
void fdtw_node(struct fdtw *fdt, const char *name_fmt, ...) __printf(2, 3);
void fdtw_close(struct fdtw *fdt);

/* Properties of the open node, before the nodes in it. */
void fdtw_empty(struct fdtw *fdt, const char *name);
void fdtw_u32(struct fdtw *fdt, const char *name, u32 value);
void fdtw_u64(struct fdtw *fdt, const char *name, u64 value);
void fdtw_cells(struct fdtw *fdt, const char *name, const u32 *cells, size_t n);
void fdtw_bytes(struct fdtw *fdt, const char *name, const void *bytes, size_t len);
void fdtw_string(struct fdtw *fdt, const char *name, const char *value);
/* @strings ends with NULL. */
void fdtw_strings(struct fdtw *fdt, const char *name, const char *const *strings);
/* "reg" of one range. */
void fdtw_reg(struct fdtw *fdt, u64 base, u64 size);
/* "interrupts" of one line, by fdt->irq_cells. */
void fdtw_irq(struct fdtw *fdt, u32 gsi, bool edge);
/* "memory-region" of a device that accesses memory itself, where fdt->dma_pool_phandle says one. */
void fdtw_dma_pool(struct fdtw *fdt);

#endif
