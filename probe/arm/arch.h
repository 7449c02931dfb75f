/* SPDX-License-Identifier: MIT */
/* What the files of this folder share: rows.c, caps.c, cpu.c. */
#ifndef LKVM_ARM_PROBE_H
#define LKVM_ARM_PROBE_H

#include "lkvm/types.h"

struct probe;

/* caps.c: the capabilities of KVM that only arm64 has. */
void arm_probe_caps(struct probe *h);
/* cpu.c: what a vcpu has: features by name, vector lengths, counters. It makes a vcpu in the
 * scratch VM. */
void arm_probe_cpu_rows(struct probe *h);

#endif
