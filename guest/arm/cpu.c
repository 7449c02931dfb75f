/* SPDX-License-Identifier: MIT */
/* arm64 guests: exceptions, interrupts, PSCI, other CPUs, waiting. */
#include "arm.h"

#define NR_VECTORS 0x50
/* Number of a vector in trap.S: IRQ from this exception level, by its own stack pointer. */
#define TRAP_IRQ 5
/* DEN0022F, 5.2.2 */
#define PSCI_SUCCESS 0
#define PAUSE_NS     500

/* What trap.S leaves on the stack. */
struct frame {
	u64 x[31], elr, spsr, unused;
};

static void (*handlers[NR_VECTORS])(void);
static bool psci_by_smc;

void arm_trap(u64 vector, const struct frame *f);
void arm_secondary(u32 index);
void arm_setup_cpus(void);

u32 arm_el(void)
{
	return sysreg_read("CurrentEL") >> 2;
}

void arm_trap(u64 vector, const struct frame *f)
{
	if (vector == TRAP_IRQ) {
		gic_dispatch(handlers, NR_VECTORS);
		return;
	}
	print("exception %lu at EL%u, ESR 0x%lx, ELR 0x%lx, FAR 0x%lx, LR 0x%lx, SPSR 0x%lx\n",
	      vector, arm_el(), sysreg_read("esr_el1"), f->elr, sysreg_read("far_el1"), f->x[30],
	      f->spsr);
	arch_exit(99);
}

void arch_set_handler(u32 vector, void (*fn)(void))
{
	handlers[vector] = fn;
}

/* By the clock: a hint takes a nanosecond on one CPU and a trap on the other. */
void arch_pause(void)
{
	static u64 ticks;
	u64 start;

	if (!ticks)
		ticks = sysreg_read("cntfrq_el0") * PAUSE_NS / 1000000000 + 1;
	start = sysreg_read("cntvct_el0");
	do {
		__asm__ volatile("yield" : : : "memory");
		isb();
	} while (sysreg_read("cntvct_el0") - start < ticks);
}

/* WFI ends by what is masked too, so none is missed. */
void arch_wait(void)
{
	__asm__ volatile("dsb sy; wfi; msr daifclr, #2; isb; msr daifset, #2" : : : "memory");
}

/* PSCI */

long arm_psci(u32 function, u64 a, u64 b, u64 c)
{
	register u64 x0 __asm__("x0") = function;
	register u64 x1 __asm__("x1") = a;
	register u64 x2 __asm__("x2") = b;
	register u64 x3 __asm__("x3") = c;

	/* SMC Calling Convention (DEN0028), 2.6: X4 to X17 are the callee's before version 1.1. */
#define CLOBBERS                                                                             \
	"x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", \
		"x17", "memory"
	if (psci_by_smc)
		__asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : CLOBBERS);
	else
		__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : CLOBBERS);
	return (long)x0;
}

/* CPUs: nodes of the tree, the one that we are first. */

static u64 affinities[MAX_CPUS];
static u32 nr_cpus;
static void (*secondary_fn)(u32 index);
static u32 secondaries;

static u64 my_affinity(void)
{
	return sysreg_read("mpidr_el1") & 0xff00ffffffULL;
}

u64 arm_affinity(u32 index)
{
	return affinities[index];
}

static void find_cpus(void)
{
	u64 me = my_affinity();

	affinities[0] = me;
	nr_cpus = 1;
	for (u32 n = 0, node; (node = fdt_find("device_type", "cpu", n)) != FDT_NONE; n++) {
		u32 len;
		const void *p = fdt_prop(node, "reg", &len);
		u64 affinity;

		if (!p || len < 4)
			continue;
		affinity = len < 8 ? fdt_cell(p, 0) : fdt_cells(p, 0);
		if (affinity != me && nr_cpus < MAX_CPUS)
			affinities[nr_cpus++] = affinity;
	}
}

void arm_setup_cpus(void)
{
	u32 psci = fdt_compatible("arm,psci-0.2", 0);

	if (psci == FDT_NONE)
		psci = fdt_compatible("arm,psci-1.0", 0);
	psci_by_smc = fdt_has_string(psci, "method", "smc");
	find_cpus();
	gic_cpu_init(0);
}

u32 arch_nr_cpus(void)
{
	return nr_cpus;
}

u32 arch_cpu_index(void)
{
	return (u32)sysreg_read("tpidr_el1");
}

void arm_secondary(u32 index)
{
	gic_cpu_init(index);
	atomic_add(&secondaries, 1);
	secondary_fn(index);
}

u32 arch_start_cpus(void (*fn)(u32 index))
{
	secondary_fn = fn;
	dsb();
	for (u32 i = 1; i < nr_cpus; i++) {
		u32 wanted = atomic_read(&secondaries) + 1;
		long ret = arm_psci(PSCI_CPU_ON, affinities[i], (u64)arm_secondary_entry, i);

		if (ret != PSCI_SUCCESS) {
			print("cpu %lx does not start: PSCI says %d\n", affinities[i], (int)ret);
			continue;
		}
		for (u32 k = 0; k < 2000000 && atomic_read(&secondaries) < wanted; k++)
			arch_pause();
		if (atomic_read(&secondaries) < wanted)
			print("cpu %lx does not start\n", affinities[i]);
	}
	return atomic_read(&secondaries);
}
