/* SPDX-License-Identifier: MIT */
/*
 * The small world of code that runs in a guest without an operating system: the built-in guest of
 * `lkvm selftest` (guest/selftest) and test guests. Common code uses this header alone; guest/ARCH
 * implements what stands under "architecture".
 *
 * Code here may run interpreted, at a few million instructions a second: general registers only,
 * loops short.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* What the loader told us, in whatever protocol. */
#define GUEST_MAX_RANGES  32
#define GUEST_MAX_MODULES 8
#define GUEST_RAM	  1 /* struct guest_range.type */

struct guest_range {
	u64 base, size;
	u32 type;
};

struct guest_boot {
	const char *protocol; /* "linux64", "pvh", "multiboot", "fdt" */
	const char *cmdline;
	u64 rsdp; /* 0: not told */
	u64 ram_base;
	u64 keep, keep_end; /* RAM that we and what the loader left are in */
	struct guest_range map[GUEST_MAX_RANGES];
	u32 nr_ranges;
	struct guest_range modules[GUEST_MAX_MODULES]; /* initrds */
	u32 nr_modules;
};

extern struct guest_boot boot;

/* The test itself: runs on the first CPU; what it returns is lkvm's exit status. */
int guest_main(void);

/* lib/print.c: %s %c %d %u %x, each with l or ll, and %%; one line at a time between CPUs. */
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* lib/string.c */
void *memset(void *p, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
/* Is the word (delimited by blanks) in the command line? */
bool has_word(const char *word);
/* The number behind "name=" in the command line (decimal or 0x), or @def. */
u64 word_value(const char *name, u64 def);
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

/* Architecture: MMIO. readN(address) and writeN(address, value), N bits, never split or merged. */
#include "mmio.h"

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
bool fdt_has_string(u32 node, const char *name, const char *value);
bool fdt_reg(u32 node, u32 nth, u64 *base, u64 *size);
/* Cell @n of a property, and the 64-bit number that begins there. */
u32 fdt_cell(const void *cells, u32 n);
u64 fdt_cells(const void *cells, u32 n);

/* Architecture. CPUs have an index from 0 (the first) to GUEST_MAX_CPUS - 1 (the compiler is told).
 */

/* What devices there are, as the machine describes them. */
bool arch_virtio_mmio(u32 nth, u64 *base, u32 *irq); /* false: that many there are not */
u64 arch_ecam(void);				     /* PCI's configuration space; 0: none */
u64 arch_pci_window(void);			     /* free addresses for 32-bit BARs */
u32 arch_pci_line(u32 slot, u32 pin);		     /* the interrupt that pin (1 to 4) raises */

void arch_putc(char c);
/* A key, or -1: none waits. */
int arch_getc(void);
/* Leave by the debug-exit device. */
void arch_exit(int status) __attribute__((noreturn));
void arch_pause(void);
/* Wait for an interrupt, with interrupts on; they are off again on return. */
void arch_wait(void);
u32 arch_nr_cpus(void);
/* Run @fn(index) on every other CPU, index from 1; the number that came up. */
u32 arch_start_cpus(void (*fn)(u32 index));
/* Raise @vector on the CPU that came up as @index (0: the first CPU). */
void arch_send_ipi(u32 index, u32 vector);
u32 arch_cpu_index(void);
/* Call @fn at each interrupt @vector (0x20 to 0x4f) on the CPU that it comes to. */
void arch_set_handler(u32 vector, void (*fn)(void));
/* Lead an interrupt of the platform to @vector of the first CPU. */
void arch_route_irq(u32 irq, u32 vector, bool edge);
void arch_mask_irq(u32 irq);
/*
 * Address and data of the message that raises @vector on the first CPU when @requester (PCI: bus,
 * device and function) writes it; false: messages go nowhere.
 */
bool arch_msi_message(u32 vector, u32 requester, u64 *addr, u32 *data);
/* Map 1 GiB at @gpa (a multiple of it, above the first 4) to its own address. */
void arch_map_gib(u64 gpa);

#endif
