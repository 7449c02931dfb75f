/* SPDX-License-Identifier: MIT */
/*
 * What the files of x86/ share. Loading and entry: boot.c, place.c, bios.c, bzimage.c, linux.c,
 * pvh.c, multiboot.c, modules.c, firmware.c, e820.c, entry.c, reset.c. The platform: vm.c, cpuid.c,
 * acpi.c, ioapic.c and others.
 */
#ifndef LKVM_X86_H
#define LKVM_X86_H

#include <linux/kvm.h>

#include "cpu.h"
#include "layout.h"
#include "lkvm/rate.h"
#include "lkvm/types.h"
#include "topology.h"

struct boot_plan;
struct guest_memory;
struct vcpu;
struct vm;
struct x86_ioapic;
struct x86_nested;
struct x86_pm;
struct x86_pristine;
struct x86_snp;
struct x86_tdx;

/* How vcpu 0 starts. */
enum x86_entry_mode {
	X86_ENTRY_RESET,  /* at the architectural reset vector: firmware */
	X86_ENTRY_LONG64, /* 64-bit mode, first 4 GiB identity mapped */
	X86_ENTRY_PROT32, /* 32-bit protected mode, flat segments, paging off */
};

struct x86_entry {
	enum x86_entry_mode mode;
	u64 rip;
	u64 rax;
	u64 rbx;
	u64 rsi;
	/* Of an SNP guest's firmware. */
	u32 signature;	/* in RDX, of every vcpu */
	u32 ap_address; /* where vcpus other than the first begin; 0: at the reset vector, too */
	u64 c_bit;	/* of every entry of its page tables; 0: of an ordinary guest */
};

/* What KVM tells of one vcpu for all; vcpu.c asks vcpu 0. */
struct x86_shared {
	bool known;
	u32 tsc_khz; /* 0: not known */
	u32 nr_msrs;
	struct kvm_msr_entry msrs[2]; /* that firmware would have set */
};

/* Per-VM state of this architecture; zeroed by arch_add_memory, which allocates it. */
struct arch_vm {
	/* Loading: written by arch_boot_plan, read by arch_vcpu_reset. */
	struct x86_entry entry;
	bool told; /* of what is started, what there is to say: once, not at every reset */
	struct kvm_msr_list *msrs;     /* what vcpus have of them (vcpu-state.c) */
	struct x86_pristine *pristine; /* what a reset puts back (pristine.c); NULL at first */

	/* The platform: written by arch_add_memory, arch_vm_init and arch_add_devices. */
	struct x86_cpu_model cpu_model; /* what --cpu says */
	struct x86_topology topology;
	struct kvm_cpuid2 *cpuid;  /* what of that KVM supports */
	struct x86_nested *nested; /* what --nested, --vmx and --svm make of it (nested.c) */
	struct x86_shared shared;
	u32 phys_bits; /* of the guest's physical addresses */
	u64 pmem_base, pci_mem64_base;
	bool multiboot;		     /* what is started is such an image */
	struct rate_limit bus_locks; /* --bus-lock-limit (exit-limits.c) */
	bool split_irqchip;	     /* PIC, PIT and IOAPIC are not KVM's */
	bool msi_ext_dest; /* 15-bit destinations in messages (KVM_FEATURE_MSI_EXT_DEST_ID) */
	struct x86_ioapic *ioapic; /* the split irqchip's; a device */
	struct x86_pm *pm;	   /* a device */
	struct x86_snp *snp;	   /* NULL: no SNP guest (snp.h) */
	struct x86_tdx *tdx;	   /* a trust domain's (tdx.h); NULL: none */
	u64 tdx_hob;		   /* arch_boot_plan's: what its vcpus find in RCX and R8 */
};

/* Per-vcpu state; zeroed by arch_vcpu_init, which allocates it. */
struct arch_vcpu {
	bool used; /* started once: it may have run since */
};

/*
 * x86/vcpu.c: make @vcpu complete (CPUID, the MSRs that firmware would have set), when KVM has just
 * made it; of it only vm, id and fd are looked at. Prints.
 */
int x86_vcpu_setup(struct vcpu *vcpu) __must_check;
/* What CPUID tells it, to be freed by the caller. Prints. */
int x86_vcpu_cpuid(const struct vcpu *vcpu, struct kvm_cpuid2 **out) __must_check;

/*
 * x86/acpi.c: add all ACPI tables, within [X86_ACPI_BASE, +X86_ACPI_SIZE). Prints.
 */
int x86_acpi_plan(struct vm *vm, struct boot_plan *plan, bool reduced, u64 *rsdp_gpa) __must_check;

/* x86/mptable.c: the MP table, with the pins of a PCI bus where there is one. */
void x86_mptable_plan(const struct vm *vm, struct boot_plan *plan, bool pci);

/* x86/e820.c: the guest's memory map, by ascending address. */
enum x86_mem_type { /* the numbers of ACPI 6.5, 15.1 */
		    X86_MEM_RAM = 1,
		    X86_MEM_RESERVED = 2,
		    X86_MEM_ACPI = 3, /* tables */
		    X86_MEM_NVS = 4,
};
struct x86_mem_range {
	u64 base;
	u64 size;
	enum x86_mem_type type;
};
#define X86_MAX_MEM_RANGES 8
/* Fills @out (room for X86_MAX_MEM_RANGES); returns how many. */
u32 x86_memory_map(const struct guest_memory *mem, struct x86_mem_range *out);
/*
 * The same for a confidential guest: Linux maps what it finds outside of RAM as shared, unless the
 * map says that it is ACPI's. @mailbox: a page of that kind at the end of 4 GiB, below code that is
 * nobody's; 0: there is none.
 */
u32 x86_private_memory_map(const struct guest_memory *mem, u64 mailbox, struct x86_mem_range *out);

#endif
