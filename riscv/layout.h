/* SPDX-License-Identifier: MIT */
/*
 * Where things are on the riscv64 machine. Up to the beginning of RAM this is kvmtool's map, which
 * test images know; what kvmtool lacks is in the gaps. Two places are QEMU's virt machine's, whose
 * firmware looks there.
 */
#ifndef LKVM_RISCV_LAYOUT_H
#define LKVM_RISCV_LAYOUT_H

#include "lkvm/types.h"

#define RISCV_PCI_IO	     0x00000000ULL /* the I/O window, as it appears in MMIO */
#define RISCV_PCI_IO_SIZE    (64 * KiB)
#define RISCV_IRQCHIP	     0x08000000ULL /* IMSICs and then the APLIC; or the PLIC */
#define RISCV_IRQCHIP_SIZE   (128 * MiB)
#define RISCV_APLIC	     0x09000000ULL /* behind RISCV_MAX_VCPUS pages of IMSICs */
#define RISCV_UART	     0x10000000ULL
#define RISCV_RTC	     0x10010000ULL /* goldfish */
#define RISCV_DEBUG_EXIT     0x10030000ULL
#define RISCV_BOOT_MARK	     0x10050000ULL
#define RISCV_SYSCON	     0x10060000ULL /* power-off and reboot */
#define RISCV_VIRTIO_MMIO    0x10100000ULL
#define RISCV_VIRTIO_STRIDE  0x200ULL
#define RISCV_ROM	     0x20000000ULL /* UEFI's code, and behind it its variables */
#define RISCV_ROM_SIZE	     (32 * MiB)
#define RISCV_FLASH	     0x22000000ULL
#define RISCV_FLASH_MAX	     (32 * MiB)
#define RISCV_ECAM	     0x30000000ULL
#define RISCV_ECAM_SIZE	     (256 * MiB)
#define RISCV_PCI_MEM32	     0x40000000ULL
#define RISCV_PCI_MEM32_SIZE GiB
#define RISCV_RAM	     0x80000000ULL
/* The window for 64-bit BARs: above RAM, aligned to its size; small, so that the addresses of
 * stage 2 are few. */
#define RISCV_PCI_MEM64_SIZE (16 * GiB)

/* What lies in RAM at the start. */
#define RISCV_FLAT_OFFSET (2 * MiB) /* raw images: as kvmtool has it */
/* Where OpenSBI enters what comes after it (FW_JUMP): firmware for S-mode is linked there. */
#define RISCV_FIRMWARE_OFFSET (2 * MiB)
#define RISCV_FDT_ALIGN	      (2 * MiB) /* one large page of the kernel's early map */
/* Linux maps two large pages from its begin (arch/riscv/mm/init.c): 1800 CPUs that have all. */
#define RISCV_FDT_MAX	   (2 * MiB)
#define RISCV_LOW_WINDOW   (256 * MiB) /* device tree and initrds lie in it, if they fit */
#define RISCV_IMAGE_WINDOW (32 * GiB)

/*
 * GSIs are numbers of sources of the APLIC or PLIC, where 0 is none (RISC-V Advanced Interrupt
 * Architecture 1.0, 4.3; RISC-V Platform-Level Interrupt Controller 1.0.0, 1.3).
 */
#define RISCV_GSI_UART	      1
#define RISCV_GSI_RTC	      2
#define RISCV_GSI_INTX	      4 /* 4 to 7 */
#define RISCV_GSI_VIRTIO_MMIO 8
#define RISCV_NR_LINES	      96U /* and those of messages come behind */

/* As many harts as have their page of the IMSIC before the APLIC, and fewer than a PLIC's contexts
 * leave room for. */
#define RISCV_MAX_VCPUS 4096U

/* The local interrupt of a hart that the controller raises (The RISC-V Instruction Set Manual
 * Volume II, 12.1.3). */
#define RISCV_IRQ_S_EXT 9

#endif
