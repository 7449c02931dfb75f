/* SPDX-License-Identifier: MIT */
/*
 * Where everything lies in an x86 guest's physical address space. The conventional memory below
 * 640 KiB follows the PC: interrupt vectors, BIOS data area, free RAM, EBDA.
 */
#ifndef LKVM_X86_LAYOUT_H
#define LKVM_X86_LAYOUT_H

#include "lkvm/types.h"

/*
 * Page 0 and [X86_LOADER_BASE, X86_LOADER_END) hold what the loader hands to the guest; the rest of
 * conventional memory is free for images that want to be there. X86_LOADER_END stays below
 * 0x9d000: Linux's decompressor borrows the two pages below 0x9f000 for its 5-level trampoline
 * while it still runs on our page tables.
 */
#define X86_IVT		 0U	/* real mode's interrupt table: bios.c */
#define X86_BDA_EBDA_SEG 0x40eU /* u16: segment of the EBDA */
#define X86_BDA_BASE_KB	 0x413U /* u16: KiB of conventional memory */
#define X86_GDT		 0x500U
#define X86_FREE_BASE	 0x1000U  /* images may use from here ... */
#define X86_LOADER_BASE	 0x80000U /* ... to here; the first stack grows down from here */
#define X86_STACK_TOP	 0x80000U
#define X86_CMDLINE	 0x80000U
#define X86_CMDLINE_MAX	 0x10000U /* with the final NUL */
#define X86_BOOT_PARAMS	 0x90000U /* Linux's zero page */
#define X86_START_INFO	 0x91000U /* PVH start info or multiboot information, and their maps */
#define X86_PAGE_TABLES	 0x92000U /* PML4, PDPT, four PDs */
#define X86_MODULES	 0x98000U /* list of modules and their strings */
#define X86_MODULES_SIZE 0x4000U
#define X86_LOADER_END	 0x9c000U
#define X86_EBDA	 0x9fc00U
/*
 * What an SNP guest without firmware starts with (snp-stub.c), where a PC has ROMs: no kernel takes
 * that for memory of its own.
 */
#define X86_SNP_STUB	 0xc8000U /* its code, then its parameters */
#define X86_SNP_PARAMS	 0xc9000U
#define X86_SNP_TABLE	 0xca000U /* the page directory of its window */
#define X86_SNP_BLOB	 0xcb000U /* what leads a kernel to the next two */
#define X86_SNP_SECRETS	 0xcc000U
#define X86_SNP_CPUID	 0xcd000U
#define X86_MPTABLE	 0xde000U /* mptable.c: 6336 bytes at most */
#define X86_ACPI_BASE	 0xe0000U /* RSDP and tables: x86_acpi_plan */
#define X86_ACPI_SIZE	 0x1ff00U
#define X86_BIOS_IRET	 0xfff53U  /* F000:FF53, where PCs have an IRET for unused vectors */
#define X86_RESET_VECTOR 0xffff0U  /* F000:FFF0, where a PC's firmware starts */
#define X86_HIGH_BASE	 0x100000U /* extended memory: kernels */

/* RAM is [0, X86_HOLE_BASE) and, where there is more, from 4 GiB up. */
#define X86_HOLE_BASE	   0xc0000000ULL
#define X86_HOLE_END	   0x100000000ULL
#define X86_PCI_MEM32_BASE 0xc0000000ULL
#define X86_PCI_MEM32_SIZE 0x20000000ULL
/* Firecracker's boot timer, since 3 GiB of its guests' memory are below 4 GiB, and before. */
#define X86_BOOT_TIMER	   0xc0000000ULL
#define X86_BOOT_TIMER_OLD 0xd0000000ULL
#define X86_ECAM_BASE	   0xe0000000ULL
#define X86_ECAM_SIZE	   0x10000000ULL
#define X86_VIRTIO_MMIO	   0xfeb00000ULL
#define X86_VIRTIO_STRIDE  0x1000ULL
#define X86_IOAPIC	   0xfec00000ULL
#define X86_TEST_MEM	   0xff000000ULL /* testdev.c */
#define X86_TEST_MEM_SIZE  0x10000ULL
#define X86_IDENTITY_MAP   0xfeffc000ULL /* KVM's own page and, after it, three for its TSS */
#define X86_TSS		   0xfeffd000ULL
#define X86_LAPIC	   0xfee00000ULL
#define X86_ROM_MIN	   0x10000ULL	/* 64 KiB */
#define X86_ROM_MAX	   0x1000000ULL /* 16 MiB, ending at 4 GiB */

/* The window for 64-bit BARs lies above all RAM, aligned to its size. */
#define X86_PCI_MEM64_SIZE 0x400000000ULL /* 16 GiB */

/* Ports. */
#define X86_PORT_POST	    0x80U /* codes of firmware, and where Linux waits */
#define X86_PORT_PIC	    0x20U /* the second one at 0xa0 */
#define X86_PORT_PIC2	    0xa0U
#define X86_PORT_ELCR	    0x4d0U /* trigger of each of their inputs */
#define X86_PORT_PIT	    0x40U
#define X86_PORT_61	    0x61U /* gate and output of the PIT's counter 2 */
#define X86_PORT_COM1	    0x3f8U
#define X86_PORT_TEST	    0xe0U /* testdev.c: 12 ports, and what follows */
#define X86_PORT_DEBUG_EXIT 0xf4U
#define X86_PORT_DEBUG	    0x402U /* text of firmware */
#define X86_PORT_BOOT_MARK  0x504U
#define X86_PORT_PVPANIC    0x505U
#define X86_PORT_FW_CFG	    0x510U /* of QEMU's machines */
#define X86_PORT_PM	    0x600U /* pm.c */
#define X86_PM_RESET	    (X86_PORT_PM + 2)
#define X86_PM_RESET_VALUE  1U /* written there, it resets the machine */
/* PM1a registers (pm1.c): the control register where QEMU has it, which simple systems count on. */
#define X86_PM1A_CONTROL   (X86_PORT_PM + 4)
#define X86_PM_TIMER	   (X86_PORT_PM + 8) /* where edk2's CloudHv build reads it, unasked */
#define X86_PM1A_EVENT	   (X86_PORT_PM + 0xc)
#define X86_PM1A_EVENT_LEN 4U
#define X86_PCI_IO_BASE	   0x1000U
#define X86_PCI_IO_SIZE	   0xf000U
/* One port for each pin of the IOAPIC, where the window for BARs would be: it begins behind. */
#define X86_PORT_TEST_IRQ 0x2000U
#define X86_TEST_IO_BASE  0x3000U

/*
 * Interrupts: the 24 pins of the IOAPIC. virtio-mmio runs into the pins of INTA..INTD: no device
 * raises those while all virtio devices are on MMIO.
 */
#define X86_IOAPIC_PINS	       24U
#define X86_IOAPIC_VERSION     0x20U /* of ioapic.c's */
#define X86_IOAPIC_VERSION_KVM 0x11U
#define X86_GSI_PIT	       0U
#define X86_GSI_COM1	       4U
#define X86_GSI_SCI	       5U /* nothing raises it */
#define X86_GSI_GED	       9U
#define X86_GSI_VIRTIO_MMIO    10U
#define X86_GSI_INTX	       16U

#endif
