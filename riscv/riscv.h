/* SPDX-License-Identifier: MIT */
/*
 * What the files of riscv/ share. The VM and its vcpus: platform.c, vm.c, vcpu.c, vcpu-state.c,
 * exit.c, sbi.c, csr.c. The interrupt controllers: irqchip.c, irqchip-harts.c, aia.c, aia-state.c,
 * plic.c. The CPU model: isa.c, options.c, model.c, cpu.c. Loading and description: boot.c,
 * image.c, fdt.c. Debuggers and dumps: debug.c, step.c, insn.c, translate.c, dump.c, core.c.
 */
#ifndef LKVM_RISCV_H
#define LKVM_RISCV_H

#include <linux/kvm.h>
#include <pthread.h>

#include "layout.h"
#include "lkvm/config.h"
#include "lkvm/debug.h"
#include "lkvm/one-reg.h"
#include "lkvm/plan.h"
#include "lkvm/reg-set.h"
#include "lkvm/types.h"

struct boot_fdt_input;
struct boot_map;
struct device;
struct fdtw;
struct guest_memory;
struct kvm;
struct page_tables;
struct riscv_cpu;
struct riscv_plic;
struct vcpu;
struct vm;

struct riscv_irqchip {
	enum riscv_irqchip_kind kind; /* never RISCV_IRQCHIP_DEFAULT once made */
	int fd;			      /* of KVM's AIA device; -1: none */
	u32 num_ids;		      /* AIA: interrupt identities of an IMSIC */
	u32 num_sources;	      /* AIA: of the APLIC */
	struct riscv_plic *plic;      /* or NULL */
};

/* Instructions that are replaced while vcpus step (step.c). */
struct riscv_stop {
	u64 gpa;
	u16 old;
	u32 users; /* vcpus */
};
struct riscv_stops {
	pthread_mutex_t lock;
	struct riscv_stop *list;
	u32 nr;
};

/* Per-VM state of this architecture; zeroed by arch_add_memory, which allocates it. */
struct arch_vm {
	struct boot_start entry; /* written by arch_boot_plan, read by arch_vcpu_reset */
	u32 gpa_bits;		 /* the fewest that hold what the guest sees */
	u64 pmem_base, pci_mem64_base;
	struct riscv_irqchip irqchip;
	struct device *rtc;    /* goldfish; its alarm wakes a guest that sleeps */
	struct riscv_cpu *cpu; /* what all vcpus have; cpu.c's */
	struct riscv_stops stops;
	bool mp_state_reset; /* KVM_MP_STATE_INIT_RECEIVED resets a vcpu */
};

/* A step of a vcpu, at work from arch_debug_enter to arch_debug_leave. */
#define RISCV_STEP_ENDS 5
struct riscv_step {
	bool wanted;
	u64 pc;			       /* where it begins */
	bool arrived;		       /* it is done, and nobody was told: @pc is where it ended */
	u64 stops[RISCV_STEP_ENDS];    /* physical addresses */
	u64 stops_at[RISCV_STEP_ENDS]; /* the same as the vcpu has them */
	u32 nr_stops;
	bool masked; /* interrupts are off; @sie is the guest's own */
	u64 sie;
};

/* Per-vcpu state; zeroed by arch_vcpu_init, which allocates it. */
struct arch_vcpu {
	/* Of SBI's SUSP: when the vcpu, which is asleep, next runs, KVM resets it and lets it go on
	 * there. Nothing is pending of one that was loaded asleep. */
	bool resume_pending;
	u64 resume_pc, resume_opaque;
	/* Where KVM cannot reset vcpus: registers as they were before it ran. */
	struct reg_set first;
	struct riscv_step step;
	bool met_stop; /* of another vcpu's step; it tries again */
};

/* vm.c */
void riscv_map_memory(const struct vm_config *cfg, u64 pmem, struct boot_map *map);

/* Ids of registers (api.rst, 4.68); all but floating-point ones have 64 bits here. */
#define RISCV_REG(type, index)	(KVM_REG_RISCV | KVM_REG_SIZE_U64 | (type) | (u64)(index))
#define RISCV_CORE_REG(index)	RISCV_REG(KVM_REG_RISCV_CORE, index)
#define RISCV_CSR_REG(index)	RISCV_REG(KVM_REG_RISCV_CSR, index)
#define RISCV_CONFIG_REG(index) RISCV_REG(KVM_REG_RISCV_CONFIG, index)
#define RISCV_TIMER_REG(index)	RISCV_REG(KVM_REG_RISCV_TIMER, index)
/* Of the core registers, by their place in struct kvm_riscv_core. */
enum {
	RISCV_CORE_PC = 0,
	RISCV_CORE_SP = 2, /* X1 to X31 have their numbers */
	RISCV_CORE_A0 = 10,
	RISCV_CORE_A1 = 11,
	RISCV_CORE_MODE = 32, /* 1: S, 0: U */
};
/* Of the general CSRs, by their place in struct kvm_riscv_csr. */
enum {
	RISCV_CSR_SSTATUS,
	RISCV_CSR_SIE,
	RISCV_CSR_STVEC,
	RISCV_CSR_SSCRATCH,
	RISCV_CSR_SEPC,
	RISCV_CSR_SCAUSE,
	RISCV_CSR_STVAL,
	RISCV_CSR_SIP,
	RISCV_CSR_SATP,
	RISCV_CSR_SCOUNTEREN,
	RISCV_CSR_SENVCFG, /* Linux 6.7 */
};

#define RISCV_FP_REG(n) RISCV_REG(KVM_REG_RISCV_FP_D, n)
#define RISCV_FCSR	(KVM_REG_RISCV | KVM_REG_SIZE_U32 | KVM_REG_RISCV_FP_D | 32ULL)

/* debug.c: X0 to X31, then pc; the supervisor's CSRs. */
#define RISCV_X_REGS 33
#define RISCV_CSRS   11
extern const struct debug_reg riscv_x_regs[RISCV_X_REGS], riscv_csrs[RISCV_CSRS];

/* Bits of CSRs (The RISC-V Instruction Set Manual Volume II, 12.1.1 and 12.1.2). */
#define SSTATUS_SIE  BIT_ULL(1)
#define SSTATUS_SPIE BIT_ULL(5)
#define SSTATUS_SPP  BIT_ULL(8)
#define STVEC_MODE   3ULL /* which exceptions do not follow */

/* vcpu.c: the registers of a vcpu that is asleep as it will go on with them. Prints. */
int riscv_vcpu_set_resume(struct vcpu *vcpu) __must_check;

/* A register of 64 bits; what KVM does not tell is zero. */
u64 riscv_get(const struct vcpu *vcpu, u64 id);
/* vcpu.c: the vcpu takes an exception to S-mode, at its pc; @value is stval's. On its thread. 0 or
 * -errno; prints nothing. */
int riscv_enter_exception(struct vcpu *vcpu, u64 cause, u64 value) __must_check;

/*
 * irqchip.c. riscv_irqchip_check: --irqchip and --aia, without a host. riscv_irqchip_init, before
 * vcpus: chooses AIA or PLIC, as the host allows and the configuration says, and puts vm->irqs'
 * operations in place; riscv_irqchip_finish, after all vcpus exist. Both print.
 * riscv_irqchip_describe writes the nodes, with phandles, and fills the interrupt fields of @fdt.
 * riscv_irqchip_add_devices: the device that resets it, and saves its state.
 */
int riscv_irqchip_check(const struct vm_config *cfg) __must_check;
int riscv_irqchip_init(struct vm *vm) __must_check;
int riscv_irqchip_finish(struct vm *vm) __must_check;
/* Without KVM: an AIA where none is asked for. */
void riscv_irqchip_sketch(struct vm *vm);
void riscv_irqchip_describe(struct vm *vm, struct fdtw *fdt);
int riscv_irqchip_add_devices(struct vm *vm) __must_check;
void riscv_irqchip_destroy(struct vm *vm);

/* aia.c: the same, of the AIA in KVM. */
int riscv_aia_init(struct vm *vm) __must_check;
int riscv_aia_finish(struct vm *vm) __must_check;
void riscv_aia_sketch(struct vm *vm);
void riscv_aia_describe(struct vm *vm, struct fdtw *fdt);
/* aia-state.c: the device that resets and saves its registers. Prints. */
int riscv_aia_add_device(struct vm *vm) __must_check;

/*
 * plic.c: a PLIC of our own, a device, whose context n is hart n's supervisor level. @output drives
 * that hart's external interrupt; it is called under the PLIC's lock. riscv_plic_create prints; the
 * VM's devices own *out. The next two are for the lines of devices: any thread.
 */
typedef void (*riscv_plic_output)(void *opaque, u32 hart, bool level);
int riscv_plic_create(struct vm *vm, riscv_plic_output output, void *opaque,
		      struct riscv_plic **out) __must_check;
void riscv_plic_set_level(struct riscv_plic *plic, u32 gsi, bool level);
void riscv_plic_pulse(struct riscv_plic *plic, u32 gsi);
/* For irq_chip_ops.bind_resample. */
int riscv_plic_bind_resample(struct riscv_plic *plic, int fd, int resample_fd, u32 gsi,
			     bool assign) __must_check;
void riscv_plic_describe(struct vm *vm, struct fdtw *fdt);

/* irqchip-harts.c: "interrupts-extended" of what raises the external interrupt of every hart. */
void riscv_irqchip_parents(const struct vm *vm, struct fdtw *fdt);

/*
 * cpu.c: extensions of the ISA and of the SBI. riscv_cpu_check: the words of --cpu and --sbi,
 * without a host. riscv_cpu_init, once, before vcpus; riscv_cpu_vcpu for each vcpu, before it runs:
 * applies them, and the first one learns what there is. Print what the host cannot do.
 * riscv_cpu_describe: the properties of one node of /cpus, which is open.
 */
int riscv_cpu_check(const struct vm_config *cfg) __must_check;
int riscv_cpu_init(struct vm *vm) __must_check;
/* Without KVM: what the device tree describes. */
int riscv_cpu_sketch(struct vm *vm) __must_check;
int riscv_cpu_vcpu(struct vcpu *vcpu) __must_check;
void riscv_cpu_describe(const struct vm *vm, struct fdtw *fdt);
/* "timebase-frequency" of /cpus, Hz. */
u32 riscv_cpu_timebase(const struct vm *vm);
void riscv_cpu_destroy(struct vm *vm);

/* sbi.c: KVM_EXIT_RISCV_SBI, a call that KVM does not answer itself. Always answered. */
void riscv_sbi_call(struct vcpu *vcpu);
/* sbi.c: KVM_EXIT_SYSTEM_EVENT by a call of SRST, where all architectures' meaning is not all of
 * it. -ENOTSUP: it is. */
int riscv_sbi_event(struct vcpu *vcpu);
/* csr.c: KVM_EXIT_RISCV_CSR. 0: the guest has its answer, or an exception; -ENOTSUP: KVM takes
 * neither (printed). */
int riscv_csr_access(struct vcpu *vcpu);

/* translate.c: the guest's own translation, by @satp. 0, or -EFAULT: @va is not mapped or a table
 * is not in RAM. */
int riscv_translate(u64 satp, const struct guest_memory *mem, u64 va, u64 *pa) __must_check;
/* The upper half of its addresses (page-walk.h; @t was zeroed). 0; -ENOTSUP: there are none. */
int riscv_tables(u64 satp, struct page_tables *t) __must_check;

/*
 * step.c. Of a vcpu that wants a step: it stops after the next instruction until riscv_step_end.
 * riscv_step_met, where it met a breakpoint at @pc: its own step's, that of another's or one that
 * is gone, none of either.
 */
enum riscv_met { RISCV_MET_NONE, RISCV_MET_OWN, RISCV_MET_OTHER };
void riscv_step_begin(struct vcpu *vcpu);
void riscv_step_end(struct vcpu *vcpu);
enum riscv_met riscv_step_met(struct vcpu *vcpu, u64 pc);

/* Phandles of the tree; a device's own come from fdtw_phandle. Those of harts' interrupt
 * controllers are RISCV_PHANDLE_HART and up. */
enum {
	RISCV_PHANDLE_IRQCHIP = 1, /* APLIC or PLIC: lines */
	RISCV_PHANDLE_MSI,	   /* IMSICs */
	RISCV_PHANDLE_HART = 0x100000,
};

/* fdt.c: what the architecture writes into the device tree, whose root is open. */
void riscv_describe(struct vm *vm, const struct boot_fdt_input *in, struct fdtw *fdt);

#endif
