/* SPDX-License-Identifier: MIT */
/* arm64 guests: the machine's fixed places, system registers, what its files share. Shared with
 * assembler. */
#ifndef GUEST_ARM_H
#define GUEST_ARM_H

/* lkvm's and kvmtool's map; the tree says it too, but these are needed before it is read. */
#define ARM_UART       0x01000000
#define ARM_DEBUG_EXIT 0x01030000

#define STACK_SIZE 4096

/* What trap.S saves: X0 to X30, the return address, the saved state. */
#define FRAME_SIZE 272

#ifndef __ASSEMBLER__
#include "guest.h"

#define MAX_CPUS GUEST_MAX_CPUS

#define sysreg_read(reg)                                                  \
	({                                                                \
		u64 v_;                                                   \
		__asm__ volatile("mrs %0, " reg : "=r"(v_) : : "memory"); \
		v_;                                                       \
	})
#define sysreg_write(reg, v) __asm__ volatile("msr " reg ", %x0" : : "rZ"((u64)(v)) : "memory")

static inline void isb(void)
{
	__asm__ volatile("isb" : : : "memory");
}

/* What the CPU and everything else that looks at memory agree on. */
static inline void dsb(void)
{
	__asm__ volatile("dsb sy" : : : "memory");
}

/*
 * The files below from the lowest up: each needs those before it alone. start.S, which nobody
 * needs, begins in platform.c; trap.S calls exception.c.
 */

/* cpu.c: the exception level that the first CPU was entered at, and the one that it runs at. */
extern u64 arm_entry_el;
u32 arm_el(void);

/* memory.c */
extern u64 page_table[512];

/* psci.c: after psci_init; other CPUs start at @secondary_entry. */
#define PSCI_VERSION	  0x84000000
#define PSCI_CPU_ON	  0xc4000003
#define PSCI_SYSTEM_OFF	  0x84000008
#define PSCI_SYSTEM_RESET 0x84000009
void psci_init(u64 secondary_entry);
long arm_psci(u32 function, u64 a, u64 b, u64 c);

/*
 * gic.c: GICv2 and GICv3 (Arm IHI 0048B, IHI 0069H), which arch_cpu_init makes ready on each CPU
 * after gic_init. The version is 0 where there is none.
 */
extern u32 gic_version;
void gic_init(void);
/* A private interrupt of this CPU leads to @vector; @quiet silences its source before. */
void gic_enable_private(u32 intid, u32 vector, void (*quiet)(void));
/* LPI @intid, FIRST_LPI and up, leads to @vector. */
#define FIRST_LPI 8192
#define MAX_LPIS  64
void gic_lead_lpi(u32 intid, u32 vector);
/* What waits first goes to its handler. */
void gic_dispatch(void);
/* Tell nobody: what an SGI costs its sender. */
void gic_send_to_nobody(void);
u64 gic_redistributor(void); /* the first CPU's; 0: none */

#endif
#endif
