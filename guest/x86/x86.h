/* SPDX-License-Identifier: MIT */
/* x86-64 guests: instructions, ports, selectors. Shared with assembler. */
#ifndef GUEST_X86_H
#define GUEST_X86_H

/* Linux's __BOOT_CS and __BOOT_DS, as lkvm enters 64-bit images. */
#define SEL_CODE64 0x10
#define SEL_DATA   0x18
#define SEL_CODE32 0x20

#define FROM_LINUX     0
#define FROM_PVH       1
#define FROM_MULTIBOOT 2

/* Where other CPUs start: the SIPI's vector is the page number. */
#define AP_START   0x8000
#define MAX_CPUS   GUEST_MAX_CPUS
#define STACK_SIZE 4096

#define NR_VECTORS 0x50

#ifndef __ASSEMBLER__
#include "guest.h"

/* The PC's ports. */
#define COM1	   0x3f8
#define DEBUG_EXIT 0xf4
#define BOOT_MARK  0x504
#define PVPANIC	   0x505

#define LAPIC_BASE  0xfee00000ULL
#define IOAPIC_BASE 0xfec00000ULL

/* Intel SDM volume 3, 11.4.1 (xAPIC register offsets) */
#define LAPIC_ID     0x20
#define LAPIC_EOI    0xb0
#define LAPIC_SPIV   0xf0
#define LAPIC_ICR    0x300
#define LAPIC_ICR_HI 0x310
#define LAPIC_LVTT   0x320
#define LAPIC_TMICT  0x380
#define LAPIC_TMCCT  0x390
#define LAPIC_TDCR   0x3e0

static inline void outb(u16 port, u8 v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}
static inline void outw(u16 port, u16 v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}
static inline void outl(u16 port, u32 v)
{
	__asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}
static inline u8 inb(u16 port)
{
	u8 v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline u16 inw(u16 port)
{
	u16 v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline void wrmsr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}
static inline u64 rdmsr(u32 msr)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return low | (u64)high << 32;
}
static inline void cpuid_index(u32 leaf, u32 index, u32 r[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
			 : "a"(leaf), "c"(index));
}
static inline void cpuid(u32 leaf, u32 r[4])
{
	cpuid_index(leaf, 0, r);
}
static inline u32 inl(u16 port)
{
	u32 v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
/*
 * Files from the lowest up: each needs those before it alone. io.c, trap.S, gdt.S, ap.S, cpu.c,
 * platform.c; the entries, which nobody needs.
 */

/* cpu.c: exceptions and interrupts, from here on. */
void x86_setup_traps(void);
/* The local APIC of this CPU, in MMIO, or by MSRs once it is an x2APIC (10.12.1.2). */
u32 lapic_read(u32 reg);
void lapic_write(u32 reg, u32 v);
u32 lapic_id(void);
/* From now on pins and messages are led to the CPU with APIC id @id (at first 0). */
void x86_lead_irqs_to(u32 id);
/* An IOAPIC pin to @vector on that CPU; @flags are bits of the low word (level, polarity). */
void ioapic_route(u32 pin, u32 vector, u32 flags);
void lapic_enable(void);
/* Write the low word @what of the interrupt command register, for the CPU with APIC id @id; wait
 * until it is on its way. */
void send_ipi(u32 id, u32 what);

#endif
#endif
