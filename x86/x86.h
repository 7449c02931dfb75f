/* SPDX-License-Identifier: MIT */
/*
 * What the files of x86/ share. Loading and entry: boot.c, place.c, bios.c, bzimage.c, linux.c,
 * pvh.c, multiboot.c, modules.c, firmware.c, e820.c, entry.c, reset.c. The platform: vm.c, cpuid.c,
 * acpi.c, ioapic.c and others.
 */
#ifndef LKVM_X86_H
#define LKVM_X86_H

#include <linux/kvm.h>

#include "layout.h"
#include "lkvm/types.h"

struct boot_plan;
struct guest_memory;
struct vcpu;
struct vm;
struct x86_ioapic;
struct x86_pm;

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
};

/* Per-VM state of this architecture; zeroed by arch_add_memory, which allocates it. */
struct arch_vm {
	/* Loading: written by arch_boot_plan, read by arch_vcpu_reset. */
	struct x86_entry entry;
	bool firmware_seen;	   /* what it seems to be was said */
	struct kvm_msr_list *msrs; /* what vcpus have of them (vcpu-state.c) */

	/* The platform: written by arch_add_memory, arch_vm_init and arch_add_devices. */
	struct kvm_cpuid2 *cpuid; /* all that KVM supports */
	u32 phys_bits;		  /* of the guest's physical addresses */
	u64 pci_mem64_base;
	bool split_irqchip; /* PIC, PIT and IOAPIC are not KVM's */
	bool msi_ext_dest;  /* 15-bit destinations in messages (KVM_FEATURE_MSI_EXT_DEST_ID) */
	struct x86_ioapic *ioapic; /* the split irqchip's; a device */
	struct x86_pm *pm;	   /* a device */
};

struct x86_vcpu_state;

/* Per-vcpu state; zeroed by arch_vcpu_init, which allocates it. */
struct arch_vcpu {
	struct x86_vcpu_state *reset; /* reset.c: the registers as they were at creation */
	bool used;		      /* reset once: it may have run since */

	/* The platform's own below. */
};

/*
 * x86/reset.c. arch_vcpu_init calls x86_reset_capture when the vcpu is complete (CPUID, MSR
 * defaults set): what it finds is what every later arch_vcpu_reset restores. Prints. Its end is
 * safe when nothing was captured.
 */
int x86_reset_capture(struct vcpu *vcpu) __must_check;
void x86_reset_release(struct vcpu *vcpu);

/*
 * x86/acpi.c: add all ACPI tables, within [X86_ACPI_BASE, +X86_ACPI_SIZE). Prints.
 */
int x86_acpi_plan(struct vm *vm, struct boot_plan *plan, u64 *rsdp_gpa) __must_check;

/* x86/mptable.c: the MP table, with the pins of a PCI bus where there is one. */
void x86_mptable_plan(const struct vm *vm, struct boot_plan *plan, bool pci);

/* x86/e820.c: the guest's memory map, by ascending address. */
enum x86_mem_type { X86_MEM_RAM = 1, X86_MEM_RESERVED = 2 }; /* the numbers of ACPI 6.5, 15.1 */
struct x86_mem_range {
	u64 base;
	u64 size;
	enum x86_mem_type type;
};
#define X86_MAX_MEM_RANGES 8
/* Fills @out (room for X86_MAX_MEM_RANGES); returns how many. */
u32 x86_memory_map(const struct guest_memory *mem, struct x86_mem_range *out);

#endif
