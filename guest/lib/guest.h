/* SPDX-License-Identifier: MIT */
/*
 * The small world of code that runs in a guest without an operating system: the built-in guest of
 * `lkvm selftest` (guest/selftest) and test guests. Common code uses this header alone; guest/ARCH
 * implements what stands in arch.h.
 *
 * Code here may run interpreted, at a few million instructions a second: general registers only,
 * loops short.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>

#include "arch.h"

/* lib/print.c: %s %c %d %u %x, each with l or ll, and %%; one line at a time between CPUs. */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* lib/string.c */
void *memset(void *p, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
/* Is the word (delimited by blanks) in the command line? */
bool has_word(const char *word);
/* The number after "name=" in the command line (decimal or 0x), or @def. */
u64 word_value(const char *name, u64 def);
/* What stands behind "NAME=", up to a blank or the end; NULL: it is not there. */
const char *word_text(const char *name);
/* FNV-1a over 32-bit words (an eighth of the work of bytes; @n is a multiple of 4). */
u32 checksum(const void *p, size_t n);

/* lib/lock.c */
struct spinlock {
	u32 held;
};
void spin_lock(struct spinlock *lock);
void spin_unlock(struct spinlock *lock);

static inline u32 atomic_add(u32 *p, u32 n)
{
	return __atomic_add_fetch(p, n, __ATOMIC_SEQ_CST);
}
static inline u32 atomic_read(const u32 *p)
{
	return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}

/* lib/acpi.c: the table of that signature, checksums verified; NULL: none. */
const void *acpi_find(const char *signature);
/* The DSDT that the FADT names, the same way. */
const void *acpi_dsdt(void);
/* The @nth virtio-mmio device of the DSDT; false: there is none. */
bool acpi_virtio_mmio(u32 nth, u64 *base, u32 *irq);

/*
 * lib/fdt.c: the device tree, one at a time. Buses have two cells for addresses and two for sizes.
 * fdt_size: of a tree that begins there, 0: none does. fdt_open: false: it is damaged, and has no
 * nodes then. Nodes are found by a string of a property (which may be a list of them), by their
 * "compatible", by phandle; FDT_NONE: there is none.
 */
#define FDT_NONE (~0u)
u32 fdt_size(const void *blob);
bool fdt_open(const void *blob);
u32 fdt_find(const char *name, const char *value, u32 nth);
u32 fdt_compatible(const char *compatible, u32 nth);
u32 fdt_child_of_root(const char *name);
u32 fdt_phandle(u32 phandle);
u32 fdt_next(u32 node);
const void *fdt_prop(u32 node, const char *name, u32 *len);
u32 fdt_u32(u32 node, const char *name, u32 def);
/* A number of one cell or two. */
bool fdt_number(u32 node, const char *name, u64 *value);
bool fdt_has_string(u32 node, const char *name, const char *value);
bool fdt_reg(u32 node, u32 nth, u64 *base, u64 *size);
/* Cell @n of a property, and the 64-bit number that begins there. */
u32 fdt_cell(const void *cells, u32 n);
u64 fdt_cells(const void *cells, u32 n);

/* For architectures whose machines a device tree describes */

/* lib/heap.c: zeroed memory after the image that is never freed; NULL: there is no more. */
void *heap_alloc(size_t size, size_t align);

/*
 * lib/tree.c: fill in boot, find arch_uart and what arch.h says of devices. tree_irq: interrupt
 * @nth of @node; false: there is none.
 */
void tree_read(const void *tree);
bool tree_irq(u32 node, u32 nth, u32 *irq, bool *edge);

/*
 * lib/cpus.c: which CPUs there are, once, on the first; what each other one calls, with its index,
 * when it is started; the id of a CPU's node.
 */
void cpus_read(void);
void cpus_secondary(u32 index);
u64 cpus_id(u32 index);

#endif
