/* SPDX-License-Identifier: MIT */
/*
 * Where things are on the arm64 machine. Up to the beginning of RAM this is kvmtool's map, which
 * test images, EDK2's ArmVirtKvmTool firmware and realm-measurement tools know; what kvmtool lacks
 * is in the gaps.
 */
#ifndef LKVM_ARM_LAYOUT_H
#define LKVM_ARM_LAYOUT_H

#include "lkvm/types.h"

#define ARM_PCI_IO	   0x00000000ULL /* the I/O window, as it appears in MMIO */
#define ARM_PCI_IO_SIZE	   (64 * KiB)
#define ARM_UART	   0x01000000ULL
#define ARM_DEBUG_UART	   0x01001000ULL /* kvmtool's second, for firmware */
#define ARM_RTC		   0x01010000ULL
#define ARM_PC_RTC	   0x01011000ULL /* MC146818, for firmware */
#define ARM_PVTIME	   0x01020000ULL /* RAM-backed: stolen time, 64 bytes for each vcpu */
#define ARM_PVTIME_SIZE	   (64 * KiB)
#define ARM_DEBUG_EXIT	   0x01030000ULL
#define ARM_GPIO	   0x01040000ULL /* PL061: the power button */
#define ARM_BOOT_MARK	   0x01050000ULL
#define ARM_FLASH	   0x02000000ULL
#define ARM_FLASH_MAX	   (16 * MiB)
#define ARM_VIRTIO_MMIO	   0x03000000ULL
#define ARM_VIRTIO_STRIDE  0x200ULL
#define ARM_GIC_DIST	   0x3fff0000ULL /* all other parts of the GIC grow downwards from here */
#define ARM_GIC_DIST_SIZE  (64 * KiB)
#define ARM_MAX_VCPUS	   4096U	 /* whose redistributors, 128 KiB each, have room there */
#define ARM_BOOT_TIMER	   0x40000000ULL /* Firecracker's */
#define ARM_ECAM	   0x40000000ULL
#define ARM_ECAM_SIZE	   (256 * MiB)
#define ARM_PCI_MEM32	   0x50000000ULL
#define ARM_PCI_MEM32_SIZE 0x30000000ULL
#define ARM_RAM		   0x80000000ULL
/*
 * The window for 64-bit BARs: above RAM, aligned to its size. Small, because there are CPUs with 36
 * bits of physical address, and because tearing down a nested guest walks all of its addresses.
 */
#define ARM_PCI_MEM64_SIZE (16 * GiB)

/* What lies in RAM at the start. */
#define ARM_FLAT_OFFSET	   0ULL	       /* raw images */
#define ARM_AARCH32_OFFSET 0x8000ULL   /* 32-bit ones */
#define ARM_FDT_ALIGN	   (2 * MiB)   /* Linux Documentation/arch/arm64/booting.rst, 2 */
#define ARM_FDT_MAX	   (256 * KiB) /* booting.rst allows 2 MiB; 512 CPUs take 60 KiB */
#define ARM_LOW_WINDOW	   (256 * MiB) /* device tree and initrds lie in it, if they fit */
#define ARM_IMAGE_WINDOW   (32 * GiB)  /* and with the kernel in this one, booting.rst, 3 */

/*
 * GSIs are numbers of shared peripheral interrupts: interrupt id minus 32. Lines first, then those
 * that a GICv2m frame raises.
 */
#define ARM_FIRST_SPI	    32U /* its interrupt id */
#define ARM_GSI_UART	    0
#define ARM_GSI_RTC	    1
#define ARM_GSI_GPIO	    2
#define ARM_GSI_DEBUG_UART  3
#define ARM_GSI_INTX	    4 /* 4 to 7 */
#define ARM_GSI_VIRTIO_MMIO 8
#define ARM_NR_LINES	    96
#define ARM_GSI_V2M	    ARM_NR_LINES
#define ARM_NR_V2M	    128
#define ARM_NR_SPIS	    (ARM_GSI_V2M + ARM_NR_V2M) /* 224: with 32 private ones a multiple of 32 */

/* Private peripheral interrupts, as interrupt ids (Arm Base System Architecture 1.0, 4.1.5). */
#define ARM_PPI_PMU	    23
#define ARM_PPI_GIC_MAINT   25
#define ARM_PPI_HYP_TIMER   26
#define ARM_PPI_VIRT_TIMER  27
#define ARM_PPI_HVIRT_TIMER 28
#define ARM_PPI_SEC_TIMER   29
#define ARM_PPI_PHYS_TIMER  30

#endif
