/* SPDX-License-Identifier: MIT */
/* Constructors of the emulated devices in hw/ and pci/. Each adds its device to @vm or prints why
 * not. */
#ifndef LKVM_HW_H
#define LKVM_HW_H

#include "lkvm/arch.h"
#include "lkvm/types.h"

struct console;
struct vm;

/* 16550A UART at @place; @con NULL: an unconnected port (output is dropped). */
int serial_create(struct vm *vm, const struct arch_place *place, u32 reg_shift,
		  struct console *con) __must_check;
/* pvpanic (QEMU docs/specs/pvpanic): a panic ends the VM. */
int pvpanic_create(struct vm *vm, const struct arch_place *place) __must_check;
/* A write of N ends lkvm with status N & 0xff. */
int debug_exit_create(struct vm *vm, const struct arch_place *place) __must_check;
/* MC146818 RTC at ports 0x70/0x71. */
int cmos_rtc_create(struct vm *vm) __must_check;
/* The part of the i8042 that resets a PC: ports 0x60 and 0x64. */
int i8042_create(struct vm *vm) __must_check;

/* The PCI host bridge of @layout; at most one in a VM. */
int pci_host_create(struct vm *vm, const struct arch_pci_layout *layout) __must_check;

#endif
