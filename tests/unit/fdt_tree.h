/* SPDX-License-Identifier: MIT */
/* For unit tests: the device tree of a VM's devices, and what is in it. */
#ifndef TEST_FDT_TREE_H
#define TEST_FDT_TREE_H

#include "unit.h"

#include <libfdt.h>
#include <stdlib.h>

#include "lkvm/device.h"
#include "lkvm/fdt.h"
#include "lkvm/vm.h"

#define TREE_CLOCK 7

static struct fdtw tree;

static inline u32 tree_irq_cells(u32 gsi, bool edge, u32 cells[FDTW_MAX_IRQ_CELLS])
{
	cells[0] = 0;
	cells[1] = gsi;
	cells[2] = edge ? 1 : 4;
	return 3;
}

static inline void tree_begin(struct vm *vm)
{
	size_t len;

	fdtw_begin(&tree, 64 * KiB);
	tree.irq_phandle = 1;
	tree.irq_cells = tree_irq_cells;
	tree.clock_phandle = TREE_CLOCK;
	for (struct device *dev = vm->devices; dev; dev = dev->next)
		if (dev->ops->describe_fdt)
			dev->ops->describe_fdt(dev, &tree);
	assert_int_equal(fdtw_finish(&tree, &len), 0);
}

static inline void tree_end(void)
{
	fdtw_destroy(&tree);
}

/* Cell @i of a property of the node at @path. */
static inline u32 tree_cell(const char *path, const char *name, int i)
{
	int node = fdt_path_offset(tree.buf, path), len = 0;
	const void *p = fdt_getprop(tree.buf, node, name, &len);

	if (node < 0 || !p || len < 4 * (i + 1))
		fail_msg("%s has no cell %d of '%s'", path, i, name);
	return fdt32_ld((const fdt32_t *)p + i);
}

static inline bool tree_has(const char *path, const char *name)
{
	return fdt_getprop(tree.buf, fdt_path_offset(tree.buf, path), name, NULL);
}

/* Is @word among the strings of the property? */
static inline bool tree_says(const char *path, const char *name, const char *word)
{
	int node = fdt_path_offset(tree.buf, path);

	return node >= 0 && fdt_stringlist_search(tree.buf, node, name, word) >= 0;
}

#endif
