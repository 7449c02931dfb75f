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
	const char *protocol; /* "linux64", "pvh", "multiboot" */
	const char *cmdline;
	u64 rsdp; /* 0: not told */
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

/* MMIO */
static inline u8 read8(u64 addr)
{
	return *(volatile u8 *)(uintptr_t)addr;
}
static inline u16 read16(u64 addr)
{
	return *(volatile u16 *)(uintptr_t)addr;
}
static inline u32 read32(u64 addr)
{
	return *(volatile u32 *)(uintptr_t)addr;
}
static inline void write8(u64 addr, u8 v)
{
	*(volatile u8 *)(uintptr_t)addr = v;
}
static inline void write16(u64 addr, u16 v)
{
	*(volatile u16 *)(uintptr_t)addr = v;
}
static inline void write32(u64 addr, u32 v)
{
	*(volatile u32 *)(uintptr_t)addr = v;
}
static inline void write64(u64 addr, u64 v)
{
	*(volatile u64 *)(uintptr_t)addr = v;
}

/* lib/acpi.c: the table of that signature, checksums verified; NULL: none. */
const void *acpi_find(const char *signature);
/* The DSDT that the FADT names, the same way. */
const void *acpi_dsdt(void);
/* The @nth virtio-mmio device of the DSDT; false: there is none. */
bool acpi_virtio_mmio(u32 nth, u64 *base, u32 *irq);

/* Architecture */
struct arch_devices {
	u64 virtio_mmio, virtio_mmio_stride;
	u32 virtio_mmio_count, virtio_mmio_irq;
	u64 pci_window; /* free addresses for 32-bit BARs */
};
extern const struct arch_devices arch_devices;
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
/* Lead a level-triggered interrupt of the platform to @vector of the first CPU. */
void arch_route_irq(u32 irq, u32 vector);
/* Address and data of the message that raises @vector on the first CPU. */
void arch_msi_message(u32 vector, u64 *addr, u32 *data);
/* Map 1 GiB at @gpa (a multiple of it, above the first 4) to its own address. */
void arch_map_gib(u64 gpa);

#endif
