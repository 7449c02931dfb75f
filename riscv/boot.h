/* SPDX-License-Identifier: MIT */
/* What boot/ has to know of riscv64's machine. image.c. */
#ifndef LKVM_RISCV_BOOT_H
#define LKVM_RISCV_BOOT_H

#include "lkvm/boot-fdt.h"
#include "riscv.h"

extern const struct boot_machine riscv_machine;

#endif
