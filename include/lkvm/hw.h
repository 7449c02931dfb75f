/* SPDX-License-Identifier: MIT */
/* Constructors of the emulated devices in hw/ and pci/. Each adds its device to @vm or prints why
 * not. */
#ifndef LKVM_HW_H
#define LKVM_HW_H

#include <stdatomic.h>

#include "lkvm/arch.h"
#include "lkvm/types.h"

struct console;
struct device;
struct vm;

/* 16550A UART at @place; @con NULL: an unconnected port (output is dropped). */
int serial_create(struct vm *vm, const struct arch_place *place, u32 reg_shift,
		  struct console *con) __must_check;
/* pvpanic (QEMU docs/specs/pvpanic): a panic ends the VM. */
int pvpanic_create(struct vm *vm, const struct arch_place *place) __must_check;
/* The same as a PCI function, 1b36:0011; the VM has a PCI host bridge. */
int pvpanic_pci_create(struct vm *vm) __must_check;
/* A write of N ends lkvm with status N & 0xff. */
int debug_exit_create(struct vm *vm, const struct arch_place *place) __must_check;
/* No registers: notices that every vcpu halted for good, and does what --halt says. */
int halt_watch_create(struct vm *vm) __must_check;
/* A write of a byte prints it with the time since lkvm's start, or the last reset. */
int boot_mark_create(struct vm *vm, const struct arch_place *place) __must_check;
/* Two that say nothing and leave a mark (marks.h): Firecracker's boot timer, for the byte 123
 * alone, and a port of POST codes, for each that differs from the one before. */
int boot_timer_create(struct vm *vm, const struct arch_place *place) __must_check;
int post_code_create(struct vm *vm, const struct arch_place *place) __must_check;
/* A port of one byte whose text becomes lines of the log, at debug level and at most 1 MiB. */
int debug_port_create(struct vm *vm, u16 port) __must_check;
/* Arm PrimeCell RTC (PL031) in MMIO: the host's UTC, with its alarm. */
int pl031_create(struct vm *vm, const struct arch_place *place) __must_check;
/* Arm PrimeCell GPIO (PL061) in MMIO, with a power key on one of its pins. *@out lives as long as
 * the VM's devices. */
int pl061_create(struct vm *vm, const struct arch_place *place, struct device **out) __must_check;
/* Press that key and let it go soon after. Any thread. */
void pl061_press(struct device *dev);
/* Goldfish RTC in MMIO: the host's UTC, with its alarm, which wakes a guest that sleeps. *@out
 * lives as long as the VM's devices. */
int goldfish_rtc_create(struct vm *vm, const struct arch_place *place,
			struct device **out) __must_check;
/* Is its interrupt raised? Any thread. */
bool goldfish_rtc_rings(struct device *dev);
/* A register of 32 bits in MMIO, by which a guest switches off and resets. */
int syscon_create(struct vm *vm, const struct arch_place *place) __must_check;

/* What a flash holds. hw/flash-file.c. */
#define FLASH_BLOCK_SIZE (64 * KiB) /* of two chips side by side; EDK2 and kvmtool say so */
struct flash_file {
	const char *path; /* owned by the configuration; NULL: none */
	int fd;		  /* -1: only measured */
	u64 size;	  /* that the guest sees: a power of two */
	bool readonly;
};
/* Open and lock the image, which says the flash's size: at most @max. Prints; 0 or -errno. */
int flash_file_open(struct flash_file *file, const char *path, u64 max) __must_check;
/* Only its size, for a machine that is described: neither opens nor locks. Prints; 0 or -errno. */
int flash_file_measure(struct flash_file *file, const char *path, u64 max) __must_check;
/* Safe on what is zeroed or closed. */
void flash_file_close(struct flash_file *file);
/*
 * NOR flash with the Intel command set (CFI) at @base over @file, which the caller closes after the
 * device went. What the guest writes goes to the file.
 */
int cfi_flash_create(struct vm *vm, u64 base, const struct flash_file *file) __must_check;

/* MC146818 RTC at ports 0x70/0x71. */
int cmos_rtc_create(struct vm *vm) __must_check;
/* The same at @place: index and data in two bytes. */
int mc146818_create(struct vm *vm, const struct arch_place *place) __must_check;
/* The part of the i8042 that resets a PC: ports 0x60 and 0x64. */
int i8042_create(struct vm *vm) __must_check;
/* A PC's reset control register at its port, where there is no PCI host bridge. */
int reset_control_create(struct vm *vm) __must_check;
/* The bridge's is a part of it: a write to the register @reg, which a reset clears. Any thread. */
#define PORT_RESET_CONTROL 0xcf9
void reset_control_write(struct vm *vm, atomic_uint *reg, u8 value);

#endif
