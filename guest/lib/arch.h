/* SPDX-License-Identifier: MIT */
/*
 * The contract between the runtime and an architecture, guest/ARCH: what it implements, what it
 * fills in, and what it calls once the machine is known.
 */
#ifndef GUEST_ARCH_H
#define GUEST_ARCH_H

#include "types.h"

/* MMIO. readN(address) and writeN(address, value), N bits, never split or merged. */
#include "mmio.h"

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

/* CPUs have an index from 0 (the first) to GUEST_MAX_CPUS - 1 (build.mk says it). */

/* What devices there are, as the machine describes them. */
bool arch_virtio_mmio(u32 nth, u64 *base, u32 *irq); /* false: that many there are not */
u64 arch_ecam(void);				     /* PCI's configuration space; 0: none */
u64 arch_pci_window(void);			     /* free addresses for 32-bit BARs */
u32 arch_pci_line(u32 slot, u32 pin);		     /* the interrupt that pin (1 to 4) raises */

/* Ports of @len bytes (1, 2 or 4), as PCI's I/O space has them. */
u32 arch_port_read(u32 port, u32 len);
void arch_port_write(u32 port, u32 len, u32 value);

void arch_putc(char c);
/* A key, or -1: none waits. */
int arch_getc(void);
/* Leave by the debug-exit device. */
void arch_exit(int status) __attribute__((noreturn));
void arch_pause(void);
/* A counter that never stands still, the same on every CPU. */
u64 arch_cycles(void);
/*
 * Whether what began at @since of it hangs: it takes half a minute or more. A host that is busy
 * takes its time with everything, so no wait ends sooner, nor by a number of rounds.
 */
bool arch_hangs(u64 since);
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
/* Where a device tree describes the machine (see guest.h), lib/ asks these as well: */

/* The serial port, a 16550 in memory: a fixed place until the tree is read. */
extern u64 arch_uart;
/* An interrupt of the machine's controller has that many cells in the tree; what they say. */
u32 arch_irq_cells(void);
u32 arch_irq_number(const void *cells, bool *edge);
/* This CPU, as the tree names it. */
u64 arch_cpu_id(void);
/* Make a CPU, the first one included, ready for interrupts. */
void arch_cpu_init(u32 index);
/* Start a CPU that calls cpus_secondary(index); what firmware says when it does not, or 0. */
long arch_cpu_start(u64 id, u32 index);

/* Map 1 GiB at @gpa (a multiple of it, above the first 4) to its own address. */
void arch_map_gib(u64 gpa);

#endif
