/* SPDX-License-Identifier: MIT */
/*
 * What the files of arm/ share. The VM and its vcpus: platform.c, vm.c, vcpu.c, exit.c,
 * dump.c. The interrupt controller: gic.c, gicv2m.c. The CPU model: cpu.c, psci.c, pvtime.c.
 * Loading and description: boot.c, image.c, fdt.c.
 */
#ifndef LKVM_ARM_H
#define LKVM_ARM_H

#include <linux/kvm.h>

#include "layout.h"
#include "lkvm/config.h"
#include "lkvm/debug.h"
#include "lkvm/one-reg.h"
#include "lkvm/plan.h"
#include "lkvm/types.h"

struct arm_realm;
struct boot_fdt_input;
struct boot_map;
struct fdtw;
struct guest_memory;
struct kvm;
struct vcpu;
struct vm;

struct arm_gic {
	enum arm_irqchip kind; /* never ARM_IRQCHIP_DEFAULT once made */
	int fd;		       /* -1: none */
	int its_fd;	       /* -1: none */
	u64 cpu_base;	       /* GICv2: CPU interface; GICv3: redistributors of all vcpus */
	u64 cpu_size;
	u64 msi_base; /* ITS, or GICv2m frame */
	u64 msi_size; /* 0: messages go nowhere */
};

/* Per-VM state of this architecture; zeroed by arch_add_memory, which allocates it. */
struct arch_vm {
	struct boot_start entry; /* written by arch_boot_plan, read by arch_vcpu_reset */
	u32 ipa_bits;
	u64 pmem_base, pci_mem64_base;
	struct arm_gic gic;
	struct kvm_vcpu_init init; /* of all vcpus; arm_cpu_init */
	void *pvtime;		   /* host mapping of ARM_PVTIME, or NULL */
	struct arm_psci *psci;	   /* --psci user, or NULL */
	struct arm_realm *realm;   /* --realm, or NULL */
	struct device *gpio;	   /* the power button's PL061 */
	u64 ram_end;
};

/* step.c: what a vcpu that steps was before it ran. */
struct arm_step {
	u64 added; /* bits of PSTATE that are not the guest's; 0: none */
	u64 pc;
	u32 insn;
};

/* Per-vcpu state; zeroed by arch_vcpu_init, which allocates it. */
struct arch_vcpu {
	u64 mpidr;
	bool pvtime; /* it has a record there */
	struct arm_step step;
};

/* vm.c */
void arm_map_memory(const struct vm_config *cfg, u64 pmem, struct boot_map *map);
/* The devices at fixed places besides the interrupt controller and those of every architecture. */
int arm_add_fixed_devices(struct vm *vm) __must_check;

/* vcpu.c: the affinity that KVM gives vcpu number @index. */
u64 arm_affinity(u32 index);

/* The id of a 64-bit member of struct kvm_regs (api.rst, 4.68). */
#define ARM_CORE_REG(name) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))

/* PSTATE as SPSR_EL1 has it (Arm DDI 0487, C5.2.18). */
#define PSTATE_SP      BIT_ULL(0)
#define PSTATE_AARCH32 BIT_ULL(4)
#define PSTATE_DAIF    (0xfULL << 6)
#define PSTATE_EL(p)   ((u32)((p) >> 2) & 3)

/* Rows of 64-bit registers; ARM64_SYS_REG's arguments. */
#define ARM_DEBUG_CORE(n, m)                                    \
	{                                                       \
		.name = n, .bytes = 8, .where = ARM_CORE_REG(m) \
	}
#define ARM_DEBUG_SYS(n, ...)                                              \
	{                                                                  \
		.name = n, .bytes = 8, .where = ARM64_SYS_REG(__VA_ARGS__) \
	}
/* regime.c: the registers of an exception level that dumps and debuggers show; the first named. */
enum arm_el_reg {
	ARM_EL_SCTLR,
	ARM_EL_TCR,
	ARM_EL_TTBR0,
	ARM_EL_TTBR1,
	ARM_EL_VBAR,
	ARM_EL_ESR,
	ARM_EL_FAR,
	ARM_EL_ELR,
	ARM_EL_SPSR,
	ARM_EL_SP,
	ARM_EL_REGS = 12
};
extern const struct debug_reg arm_el_regs[2][ARM_EL_REGS]; /* of EL1, and of EL2 */
/* A register of 64 bits, and PSTATE; what KVM does not tell is zero. */
u64 arm_get(const struct vcpu *vcpu, u64 id);
u64 arm_pstate(const struct vcpu *vcpu);

/*
 * step.c: keep interrupts from the vcpu, which is about to step, and undo that. @done: the step is
 * known to be over; otherwise that is seen by where the vcpu is. On its thread; no reader of memory
 * at the beginning. Nothing happens where nothing is to be undone.
 */
void arm_step_begin(struct vcpu *vcpu);
void arm_step_end(struct vcpu *vcpu, bool done);

/* translate.c: stage 1 of the guest's translation. */
struct arm_mmu {
	bool on;
	bool two_halves; /* TTBR1 for the upper half of the addresses, told by bit 55 */
	bool wide;	 /* 52-bit addresses with pages of 4 and 16 KiB */
	u64 tcr;	 /* TCR_EL1, or TCR_EL2 */
	u64 ttbr[2];
};
/* 0, or -EFAULT where @va is not mapped or a table is not in RAM. */
int arm_translate(const struct arm_mmu *mmu, const struct guest_memory *mem, u64 va,
		  u64 *pa) __must_check;
/* Those of the upper half, for a walk through all. 0, or -ENOTSUP: there are none. */
struct page_tables;
int arm_tables(const struct arm_mmu *mmu, struct page_tables *t) __must_check;

/*
 * gic.c. arm_gic_init creates the device (the best that the host has, or the one asked for) and
 * puts vm->irqs' operations in place; arm_gic_finish, after all vcpus exist, gives it its addresses
 * and initializes it. Both print. arm_gic_describe writes its node, with phandles, and fills the
 * interrupt fields of @fdt.
 */
int arm_gic_init(struct vm *vm) __must_check;
int arm_gic_finish(struct vm *vm) __must_check;
/* Without KVM: the kind and its places alone; a GICv3 with ITS where none is asked for. */
void arm_gic_sketch(struct vm *vm);
void arm_gic_describe(struct vm *vm, struct fdtw *fdt);
void arm_gic_destroy(struct vm *vm);
/* gic-reset.c: the device that brings the controller back to its power-on state at a reset; with a
 * GICv2m also gicv2m.c's. Prints. */
int arm_gic_add_devices(struct vm *vm) __must_check;
/* gicv2m.c: the frame's registers, which the guest reads (a device). Prints. */
int arm_gicv2m_create(struct vm *vm, u64 base) __must_check;
/* The shared interrupt that a message of @data to @addr raises at the frame at @base, as a GSI;
 * -EINVAL: none. */
int arm_gicv2m_gsi(u64 base, u64 addr, u32 data);

/*
 * cpu.c: the CPU model. arm_cpu_check: validate --cpu and the options that imply features, without
 * a host. arm_cpu_init: choose the features of KVM_ARM_VCPU_INIT for this VM (vm->arch->init);
 * needs the VM fd. arm_cpu_finish: after KVM_ARM_VCPU_INIT of one vcpu: SVE lengths,
 * KVM_ARM_VCPU_FINALIZE, ID registers, timers. arm_cpu_late: after arm_gic_finish, what needs an
 * initialized GIC: the PMU. All print what the host cannot do. arm_cpu_describe: properties that
 * the features bring to the tree, such as the PMU's node.
 */
int arm_cpu_check(const struct vm_config *cfg) __must_check;
int arm_cpu_init(struct vm *vm) __must_check;
/* Without KVM: the features that the device tree describes. */
int arm_cpu_sketch(struct vm *vm) __must_check;
int arm_cpu_finish(struct vcpu *vcpu) __must_check;
int arm_cpu_late(struct vm *vm) __must_check;
void arm_cpu_describe(struct vm *vm, struct fdtw *fdt);

/*
 * psci.c: PSCI in lkvm (--psci user), by KVM's SMCCC filter (DEN0022F). arm_psci_init after the VM
 * is created; arm_psci_call from KVM_EXIT_HYPERCALL, -ENOTSUP: not a PSCI call; arm_psci_event from
 * KVM_EXIT_SYSTEM_EVENT, -ENOTSUP: not one of its own. Reset: all back to off but vcpu 0. Nothing
 * to do with PSCI in the kernel.
 */
int arm_psci_init(struct vm *vm) __must_check;
int arm_psci_call(struct vcpu *vcpu);
int arm_psci_event(struct vcpu *vcpu);
void arm_psci_reset(struct vm *vm);
void arm_psci_destroy(struct vm *vm);

/* pvtime.c: stolen time (Arm DEN0057A). Silent where the host has none. */
int arm_pvtime_init(struct vm *vm) __must_check;
int arm_pvtime_vcpu(struct vcpu *vcpu) __must_check;
void arm_pvtime_destroy(struct vm *vm);

/*
 * Phandles of the tree; a device's own come from fdtw_phandle. The root names ARM_PHANDLE_GIC as
 * its interrupt parent, so the GIC's node has that one; its #address-cells is 2, if
 * arm_gic_describe does not change fdt->irq_address_cells.
 */
enum { ARM_PHANDLE_GIC = 1, ARM_PHANDLE_MSI, ARM_PHANDLE_CLOCK, ARM_PHANDLE_POOL };

/* fdt.c: what the architecture writes into the device tree, whose root is open. */
void arm_describe(struct vm *vm, const struct boot_fdt_input *in, struct fdtw *fdt);

#endif
