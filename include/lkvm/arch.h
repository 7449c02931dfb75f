/* SPDX-License-Identifier: MIT */
/*
 * The contract between common code and an architecture (x86/, arm/). Exactly one is linked. Common
 * code never says #ifdef __x86_64__: what differs stands here, as data in arch_platform or as one
 * of the functions below, listed in the order in which machine.c calls them.
 */
#ifndef LKVM_ARCH_H
#define LKVM_ARCH_H

#include <stdio.h>

#include "lkvm/types.h"

struct boot;
struct boot_image;
struct boot_plan;
struct coco_ops;
struct device_state;
struct kvm;
struct vcpu;
struct vm;
struct vm_config;

/* Where a simple device sits. size 0: this architecture has none. */
struct arch_place {
	bool pio; /* on the port I/O bus, else MMIO */
	u64 base;
	u64 size;
	u32 gsi;   /* its interrupt, where it has one */
	bool edge; /* trigger of that interrupt */
};

struct arch_pci_layout {
	u64 ecam_base; /* bus 0 and up, 1 MiB each */
	u64 ecam_size;
	u64 mem32_base; /* window for 32-bit memory BARs */
	u64 mem32_size;
	u64 mem64_size; /* window for 64-bit memory BARs; its base is arch_pci_mem64_base() */
	u64 io_base;	/* window for I/O BARs: port numbers on x86, PCI addresses elsewhere */
	u64 io_size;
	bool io_in_mmio; /* the I/O window is in MMIO, at io_mmio_base; else ports are ports */
	u64 io_mmio_base;
	bool config_ports; /* type-1 configuration ports 0xcf8/0xcfc, and between them 0xcf9 */
	u32 intx_gsi[4];   /* INTA..INTD of slot 0; rotated by slot */
};

/*
 * Each file of persistent memory begins at a multiple of this: Linux divides such memory into
 * sections (of 128 MiB on x86-64, up to 512 MiB on arm64) that should not be other memory too, and
 * pages of any size fit.
 */
#define PMEM_ALIGN GiB

struct arch_platform {
	const char *name;		  /* "x86-64" */
	u32 option_mask;		  /* OPT_ARCH_*: which options exist here */
	const char *const *kernel_search; /* kvmtool's list, relative to the current directory; %r
					     is uname -r */
	const char *default_console;	  /* "ttyS0": for console= with --console serial */
	u64 ram_base;			  /* where guest memory begins */
	bool firmware_args;    /* firmware is told --params and --initrd, as a kernel is */
	bool firmware_console; /* firmware calls print to the guest's console and read from it */
	struct arch_place serial;
	u32 serial_reg_shift;
	bool pvpanic_pci; /* pvpanic is a PCI function, where there is PCI, and has no place */
	struct arch_place pvpanic;
	struct arch_place debug_exit;
	struct arch_place boot_mark;
	/* Firecracker's, for who asks for it; what they would lie in begins behind them then. */
	struct arch_place boot_timers[2];
	struct arch_place flash; /* of the largest; --flash is this architecture's option */
	struct arch_pci_layout pci;
	u64 virtio_mmio_base; /* 512 bytes of registers at each stride */
	u64 virtio_mmio_stride;
	u32 virtio_mmio_max;
	u32 virtio_mmio_gsi; /* of the first; one more for each next */
};

extern const struct arch_platform arch_platform;

/* Defaults and limits of this architecture for a configuration (config_complete calls it); prints,
 * -EINVAL. */
int arch_config_complete(struct vm_config *cfg) __must_check;
/* Is raw firmware told of a kernel, so that one may be given beside it? */
bool arch_firmware_takes_kernel(const struct vm_config *cfg);
/* What the words of --cpu mean, a line each: option_spec.list. */
void arch_cpu_list(FILE *out);
/* The words between the commas of --cpu, as option_spec.words has them. */
const char *const *arch_cpu_words(void);
/* What the guest of `lkvm selftest` is told about what @cfg, which is complete, asks, as words of
 * its command line, to be freed; NULL: nothing. */
char *arch_selftest_words(const struct vm_config *cfg);
/* Is the kernel Linux, by the format that @cfg names or that is found in @boot? Then it is given
 * Linux's words. @boot NULL: it is not open yet; may it be? */
bool arch_boots_linux(const struct vm_config *cfg, const struct boot *boot);
/* Is the kernel @img loaded in one piece, all of it and nothing else? Then where, as far as its
 * head says; false, too, where that is not known. What arch_boot_plan says is what counts. */
bool arch_image_base(const struct vm_config *cfg, const struct boot_image *img, u64 *gpa);
/* Are the capabilities there that this architecture needs? Asked of @kvm before it has a VM: a
 * protected one denies many that it has. Prints what is missing and why it matters. */
int arch_check_host(const struct kvm *kvm) __must_check;
/* The type argument of KVM_CREATE_VM. @pmem: vm->pmem_size. Prints what @kvm cannot do of what @cfg
 * asks. */
int arch_vm_type(const struct kvm *kvm, const struct vm_config *cfg, u64 pmem,
		 u64 *type) __must_check;
/* What makes the guest that @cfg asks for a confidential one (coco.h); NULL: an ordinary guest. */
const struct coco_ops *arch_coco(const struct vm_config *cfg);
/* vm->arch, and map guest RAM at its addresses. Prints. */
int arch_add_memory(struct vm *vm) __must_check;
/*
 * Instead of arch_add_memory, arch_vm_init and the making of vcpus, for a machine that is only
 * described and has no KVM: vm->arch, RAM that is not mapped, the interrupt controller as far as it
 * is described. Where the host would choose, it takes the newest kind. Prints.
 */
int arch_sketch(struct vm *vm, const struct boot *boot) __must_check;
/* The id of the PCI host bridge: vendor, and device << 16. */
u32 arch_pci_bridge_id(const struct vm *vm);
/* Something else of this machine lies in the windows @l: make it begin behind. */
void arch_pci_make_room(const struct vm *vm, struct arch_pci_layout *l);
/* Where vm->pmem_size bytes of persistent memory lie: above all RAM, in whole PMEM_ALIGN. */
u64 arch_pmem_base(const struct vm *vm);
/* Base of the window for 64-bit BARs: above all RAM and persistent memory. */
u64 arch_pci_mem64_base(const struct vm *vm);
/* After KVM_CREATE_VM, before any vcpu: interrupt controllers and the like, which may follow from
 * what is started. Prints. */
int arch_vm_init(struct vm *vm, const struct boot *boot) __must_check;
/* By which id KVM is to know vcpu number @index, for KVM_CREATE_VCPU. */
u32 arch_vcpu_kvm_id(const struct vm *vm, u32 index);
/* Per vcpu, after KVM_CREATE_VCPU. Prints. */
int arch_vcpu_init(struct vcpu *vcpu) __must_check;
/* After all vcpus exist: what must be initialized last. Prints. */
int arch_vm_late_init(struct vm *vm) __must_check;
/* Devices that only this architecture has, by device_add, in a fixed order. Prints. */
int arch_add_devices(struct vm *vm) __must_check;

/*
 * Turn configuration, images and devices into the list of what the guest starts from: kernel,
 * initrds or firmware, the machine's description (ACPI, FDT, boot parameters), registers; and note
 * the entry state for arch_vcpu_reset. Needs neither KVM nor vcpus, and touches no guest memory.
 * Called at the start and at every reset; prints.
 */
int arch_boot_plan(struct vm *vm, const struct boot *boot, struct boot_plan *plan) __must_check;
/* Registers to the state that the loaded guest starts in (secondary vcpus: waiting). The thread is
 * parked. Prints. */
int arch_vcpu_reset(struct vcpu *vcpu) __must_check;
/* The guest stood still, with this vcpu parked, and is about to go on: where its clock can be told,
 * tell it. */
void arch_vcpu_resumed(struct vcpu *vcpu);
/*
 * Does it wait for good, so that no interrupt can wake it, only another vcpu? False where that is
 * not known. vcpu parked.
 */
bool arch_vcpu_halted(struct vcpu *vcpu);
/*
 * An exit reason that is not port I/O, MMIO or one of the common ones, or an internal error of KVM
 * with which the guest may be able to live. 0: handled, run on; -ENOTSUP: not known here. Ends the
 * VM by vm_request_stop.
 */
int arch_vcpu_exit(struct vcpu *vcpu);
/* Registers, and the instruction bytes at the program counter where they can be read. vcpu parked,
 * or its own thread. */
void arch_vcpu_dump(struct vcpu *vcpu, FILE *out);

/*
 * The registers of a vcpu (lkvm/state.h), whose thread is parked: the table, and an object for it,
 * where they are while they are saved or loaded. The table's hooks read and write KVM's. Prints.
 */
extern const struct device_state arch_vcpu_state;
int arch_vcpu_state_new(struct vcpu *vcpu, void **out) __must_check;
void arch_vcpu_state_free(void *state);

/* Press the guest's power button; -ENOTSUP where there is none. Any thread. */
int arch_power_button(struct vm *vm) __must_check;

/* Give the vcpu, which is parked, a non-maskable interrupt: before its next instruction. -ENOTSUP:
 * this architecture has none; other -errno: KVM's. */
int arch_vcpu_nmi(struct vcpu *vcpu) __must_check;

/* Both are safe on what was never initialized. */
void arch_vcpu_destroy(struct vcpu *vcpu);
void arch_vm_destroy(struct vm *vm);

#endif
