/* SPDX-License-Identifier: MIT */
/* Between the files of the x86 platform: CPUID, interrupt controllers, power management, ACPI. */
#ifndef LKVM_X86_PLATFORM_H
#define LKVM_X86_PLATFORM_H

#include <linux/kvm.h>

#include "lkvm/types.h"
#include "topology.h"

struct aml;
struct boot;
struct irqs;
struct kvm;
struct vcpu;
struct vm_config;
struct vm;
struct x86_ioapic;
struct x86_pm;

/*
 * One vcpu costs up to 46 bytes of ACPI tables, of which [X86_ACPI_BASE, +X86_ACPI_SIZE) holds 128
 * KiB.
 */
#define X86_MAX_VCPUS 2048U
/* A local APIC's id has 8 bits in a plain message; 255 is the broadcast. */
#define X86_XAPIC_MAX_VCPUS 255U

/*
 * x86/acpi.c: the tables by themselves, one after the other in @out, the DSDT first; where each
 * begins in @starts, whose last one is the end. How many.
 */
#define X86_ACPI_MAX_TABLES 8U
u32 x86_acpi_tables(struct aml *out, struct vm *vm, size_t starts[X86_ACPI_MAX_TABLES + 1]);

/* x86/cpuid.c */

/*
 * What KVM supports, as an owned copy; 0 or -errno, prints nothing. @get is KVM_GET_SUPPORTED_CPUID
 * on what @opaque stands for.
 */
int x86_cpuid_supported(int (*get)(void *opaque, struct kvm_cpuid2 *cpuid), void *opaque,
			struct kvm_cpuid2 **out) __must_check;
/* The entry for @function (and @index where it has subleaves), or NULL. */
struct kvm_cpuid_entry2 *x86_cpuid_find(struct kvm_cpuid2 *cpuid, u32 function, u32 index);
/* Is the vendor AMD, or Hygon? */
bool x86_cpuid_is_amd(struct kvm_cpuid2 *cpuid);
/* Usable bits of a guest physical address. */
u32 x86_cpuid_phys_bits(struct kvm_cpuid2 *supported);

struct x86_cpuid_params {
	u32 apic_id;
	struct x86_topology topology;
	u32 tsc_khz;	   /* 0: not known */
	bool tsc_deadline; /* the local APIC has that timer mode */
	bool msi_ext_dest;
};
/*
 * One vcpu's CPUID: what KVM supports, with the topology and identity of @p. The result, with room
 * for X86_CPU_SPARE more leaves, is the caller's (free); -ENOMEM.
 */
int x86_cpuid_build(const struct kvm_cpuid2 *supported, const struct x86_cpuid_params *p,
		    struct kvm_cpuid2 **out) __must_check;

/*
 * x86/irqchip.c: PIC, PIT, IOAPIC and local APICs as the configuration asks; before any vcpu. Then,
 * first of all devices, the one that resets them. Both print.
 */
int x86_irqchip_init(struct vm *vm, const struct boot *boot) __must_check;
/* Is the IOAPIC to be lkvm's own? That is the rule; vm->arch->split_irqchip is what came of it. */
bool x86_wants_split_irqchip(const struct vm_config *cfg, const struct boot *boot);
int x86_irqchip_create(struct vm *vm) __must_check;
/*
 * Without interrupt remapping a guest puts bits 8 to 14 of a destination into bits 5 to 11 of the
 * message's address (KVM_FEATURE_MSI_EXT_DEST_ID); KVM wants them in the upper half
 * (KVM_X2APIC_API_USE_32BIT_IDS).
 */
u64 x86_kvm_msi_address(u64 addr);

/* x86/ioapic.c: the split irqchip's IOAPIC, in userspace. */
int x86_ioapic_create(struct vm *vm, struct x86_ioapic **out) __must_check;
/* Drive an input pin. Any thread. */
void x86_ioapic_set_level(struct x86_ioapic *ioapic, u32 pin, bool level);
/*
 * irq_chip_ops.bind_resample of input @pin; @fd and @resample_fd are the caller's, until it is
 * unassigned. -ENOTSUP: nobody tells of the end of an interrupt, or no loop watches @fd; -ENOENT:
 * it was not assigned. Before the guest starts and after it ended.
 */
int x86_ioapic_bind_resample(struct x86_ioapic *ioapic, int fd, int resample_fd, u32 pin,
			     bool assign) __must_check;
/* A local APIC has ended the level-triggered interrupt @vector. Any thread. */
void x86_ioapic_eoi(struct x86_ioapic *ioapic, u8 vector);

/*
 * x86/pit.c and x86/pic.c: a PC's timer and what is left of its 8259s, beside the split irqchip.
 * Devices.
 */
int x86_pit_create(struct vm *vm) __must_check;
int x86_pic_create(struct vm *vm) __must_check;

/* x86/testdev.c: the test device of --testdev. Prints. */
int x86_testdev_create(struct vm *vm) __must_check;
/* x86/machine-cfg.c: what --testdev tells by fw_cfg's ports; without @answers they are silent, and
 * a guest that asks there gets its user a hint. Prints. */
int x86_machine_cfg_create(struct vm *vm, bool answers) __must_check;

/* x86/clock.c: the paravirtual clock of all vcpus, a device without registers. Prints. */
int x86_clock_create(struct vm *vm) __must_check;

/* x86/pm.c: ACPI's sleep, reset and event registers at X86_PORT_PM. */
#define X86_PM_SLEEP_CONTROL (X86_PORT_PM + 0)
#define X86_PM_SLEEP_STATUS  (X86_PORT_PM + 1)
#define X86_PM_EVENT	     (X86_PORT_PM + 3)
#define X86_PM_S5	     5U /* SLP_TYP of the off state */
int x86_pm_create(struct vm *vm, struct x86_pm **out) __must_check;
/* A device @name without a driver, which only claims @count ports from @port on. */
void x86_describe_ports(struct aml *aml, const char *name, const char *uid, u16 port, u16 count);

/* x86/boot.c: does what is started find its machine without being told of ACPI's tables? */
bool x86_expects_pc(const struct vm_config *cfg, const struct boot *boot);
/* Is it a multiboot image? */
bool x86_is_multiboot(const struct vm_config *cfg, const struct boot *boot);

/*
 * x86/words.c: Linux's parameters that take interrupts or devices away from it. Is the guest
 * Linux, and do they leave it nothing but the 8259s? With those ACPI is not hardware-reduced then,
 * since Linux leaves the 8259s and the PIT alone where it is.
 */
bool x86_loses_ioapic(const struct vm_config *cfg, const struct boot *boot);
/* One line for each word that leaves the guest without something that it was given. @pic: it has
 * 8259s. */
void x86_warn_words(const struct vm_config *cfg, const struct boot *boot, bool pic);

/* x86/pm1.c: PM1a control and event registers. */
int x86_pm1_create(struct vm *vm) __must_check;

/*
 * x86/acpi-tables.c, x86/acpi-dsdt.c: each appends one table to @out; the tables will lie at @base
 * plus their offset. A table starts at acpi_begin's offset.
 */
size_t acpi_begin(struct aml *out, const char *signature, u8 revision);
/* Fix length and checksum of the table that began at @start and ends here. */
void acpi_end(struct aml *out, size_t start);
size_t acpi_dsdt(struct aml *out, struct vm *vm);
/* @reduced: hardware-reduced, without SCI and fixed hardware. */
size_t acpi_fadt(struct aml *out, u64 dsdt_gpa, bool reduced);
/* @mailbox: where vcpus wait to be started (ACPI 6.5, 5.2.12.19); 0: they wait for a SIPI. */
size_t acpi_madt(struct aml *out, const struct x86_topology *topology, bool pic, u64 mailbox);
size_t acpi_mcfg(struct aml *out);
size_t acpi_spcr(struct aml *out);
size_t acpi_xsdt(struct aml *out, const u64 *tables, u32 count);
void acpi_rsdp(u8 rsdp[36], u64 xsdt_gpa);

#endif
