/* SPDX-License-Identifier: MIT */
/* How a serial port is described to the guest. */
#ifndef LKVM_SERIAL_DESCRIBE_H
#define LKVM_SERIAL_DESCRIBE_H

#include "lkvm/types.h"

struct aml;
struct arch_place;
struct fdtw;

#define SERIAL_MAX_PORTS 4

/* Port @number, below SERIAL_MAX_PORTS. */
void serial_describe_acpi(struct aml *aml, const struct arch_place *place, unsigned int number);
/* One in MMIO; nothing happens for others. */
void serial_describe_fdt(struct fdtw *fdt, const struct arch_place *place, u32 reg_shift, u32 hz);

#endif
