/* SPDX-License-Identifier: MIT */
/* riscv64 guests: the machine's fixed places, CSRs, what its files share. Shared with assembler. */
#ifndef GUEST_RISCV_H
#define GUEST_RISCV_H

/* lkvm's and kvmtool's map; the tree says it too, but these are needed before it is read. */
#define RISCV_UART	 0x10000000
#define RISCV_DEBUG_EXIT 0x10030000
/* Between flash and PCI's configuration space */
#define RISCV_NOWHERE 0x2f000000
/* Where Linux's header wants the image, in memory that begins at 0x80000000. */
#define TEXT_OFFSET 0x200000

#define STACK_SIZE 4096

/* RISC-V Supervisor Binary Interface 3.0: extensions */
#define SBI_BASE 0x10
#define SBI_TIME 0x54494d45
#define SBI_IPI	 0x735049
#define SBI_HSM	 0x48534d
#define SBI_SRST 0x53525354
#define SBI_PMU	 0x504d55
#define SBI_DBCN 0x4442434e
#define SBI_SUSP 0x53555350
#define SBI_FWFT 0x46574654

#ifndef __ASSEMBLER__
#include "guest.h"

#define MAX_CPUS GUEST_MAX_CPUS

#define csr_read(csr)                                                      \
	({                                                                 \
		u64 v_;                                                    \
		__asm__ volatile("csrr %0, " csr : "=r"(v_) : : "memory"); \
		v_;                                                        \
	})
#define csr_write(csr, v) __asm__ volatile("csrw " csr ", %0" : : "rK"((u64)(v)) : "memory")
#define csr_set(csr, v)	  __asm__ volatile("csrs " csr ", %0" : : "rK"((u64)(v)) : "memory")
#define csr_clear(csr, v) __asm__ volatile("csrc " csr ", %0" : : "rK"((u64)(v)) : "memory")

/* Not every assembler knows these by name. */
#define CSR_STIMECMP "0x14d"
#define CSR_SISELECT "0x150"
#define CSR_SIREG    "0x151"
#define CSR_STOPEI   "0x15c"

#define SSTATUS_SIE 0x2
/* Interrupts: bits of sie and sip, the cause without its highest bit (Privileged Architecture,
 * 12.1.3) */
enum { IRQ_SOFTWARE = 1, IRQ_TIMER = 5, IRQ_EXTERNAL = 9 };
/* Exceptions (12.1.8) */
enum { ILLEGAL_INSTRUCTION = 2, LOAD_MISALIGNED = 4, LOAD_FAULT = 5, STORE_MISALIGNED = 6 };

/* What memory and devices saw before what they see after. */
static inline void fence(void)
{
	__asm__ volatile("fence iorw, iorw" : : : "memory");
}

/*
 * The files below from the lowest up: each needs those before it alone. start.S, which nobody
 * needs, begins in platform.c; trap.S calls exception.c.
 */

/*
 * start.S: suspend to memory, on the first CPU (SBI 3.0, chapter 13): the error, or 0 after it has
 * been woken, with interrupts as they are at the start. What C keeps goes into @saved.
 */
#define SAVED_WORDS 14
long riscv_suspend(u64 saved[SAVED_WORDS]);

/* sbi.c */
enum { BASE_SPEC_VERSION = 0, BASE_PROBE = 3 };
enum { HSM_START = 0, HSM_STOP = 1, HSM_STATUS = 2 };
enum { SRST_SHUTDOWN = 0, SRST_COLD_REBOOT = 1 };
enum {
	SBI_NOT_SUPPORTED = -2,
	SBI_INVALID_PARAM = -3,
	SBI_DENIED = -4,
	SBI_ALREADY_AVAILABLE = -6,
};
struct sbi_ret {
	long error, value;
};
struct sbi_ret sbi_call(u32 extension, u32 function, u64 a, u64 b, u64 c);
/* Is that extension there? */
bool sbi_has(u32 extension);

/* cpu.c: the CPUs of the tree, by index, and this one. */
extern u64 riscv_hartid;   /* the first CPU's */
extern u64 riscv_timebase; /* ticks of the counter in a second */
/* After cpus_read: the frequency, and whose interrupt controllers are whose. */
void harts_read(void);
/* The CPU that the interrupt controller with that phandle is in; MAX_CPUS: none. */
u32 hart_of_controller(u32 phandle);
/* Does the tree say that the first CPU has the extension (lower case)? */
bool hart_has(const char *extension);
u32 hart_node(void);

/* plic.c: the PLIC (RISC-V Platform-Level Interrupt Controller 1.0.0); false: there is none. */
bool plic_init(void);
void plic_cpu_init(u32 index);
void plic_enable(u32 source, bool on); /* at the first CPU */
u32 plic_claim(void);		       /* of the first CPU; 0: none waits */
void plic_complete(u32 source);

/*
 * imsic.c: the incoming MSI controller of each CPU (RISC-V Advanced Interrupt Architecture 1.0,
 * chapter 3). Identities 1 to IMSIC_IDS are let through.
 */
#define IMSIC_IDS 63
bool imsic_init(void);
void imsic_cpu_init(void);
u64 imsic_file(u32 index);   /* where messages to that CPU go; 0: nowhere */
u32 imsic_number(u32 index); /* of its CPU, as the APLIC counts them */
u32 imsic_node(void);
u32 imsic_claim(void); /* the identity that waits first, which no longer does; 0: none */

/* aplic.c: the controller that turns interrupts into messages (chapter 4). */
bool aplic_init(void);
void aplic_route(u32 source, u32 identity, bool edge); /* to the first CPU */
void aplic_mask(u32 source);
/* After its handler: a line that is still raised raises its interrupt again. */
void aplic_again(u32 identity);

/* irq.c: which of them there is, and vectors. */
enum irqchip { IRQCHIP_NONE, IRQCHIP_PLIC, IRQCHIP_AIA };
enum irqchip irq_init(void);
extern enum irqchip riscv_irqchip;
/* Timer interrupts of this CPU lead to @vector; @quiet silences their source before. */
void irq_enable_timer(u32 vector, void (*quiet)(void));
/* Raise @vector by firmware, whatever interrupt controller there is. */
long irq_send_by_sbi(u32 index, u32 vector);
/* @cause, one of the three, has come. */
void irq_dispatch(u64 cause);

/*
 * exception.c: between the two calls an instruction of the first CPU that traps is skipped. What
 * it came to is its cause, or NO_TRAP.
 */
#define NO_TRAP (~0ULL)
void trap_expect(void);
u64 trap_seen(u64 *value); /* @value, unless NULL: stval */
#endif
#endif
