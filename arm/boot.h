/* SPDX-License-Identifier: MIT */
/* What boot/ has to know of arm64's machines. image.c. */
#ifndef LKVM_ARM_BOOT_H
#define LKVM_ARM_BOOT_H

#include "arm.h"
#include "lkvm/boot-fdt.h"

extern const struct boot_machine arm_machine, arm_machine32; /* --aarch32 */
const struct boot_machine *arm_machine_of(const struct vm_config *cfg);

#endif
