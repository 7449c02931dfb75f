/* SPDX-License-Identifier: MIT */
/* What the files of arm/ that serve `lkvm host` share: host.c, host-caps.c, host-cpu.c. */
#ifndef LKVM_ARM_HOST_H
#define LKVM_ARM_HOST_H

#include "lkvm/types.h"

struct host;

/* host-caps.c: the capabilities of KVM that only arm64 has. */
void arm_host_caps(struct host *h);
/* host-cpu.c: what a vcpu has: features by name, vector lengths, counters. It makes a vcpu in the
 * scratch VM. */
void arm_host_cpu_rows(struct host *h);

#endif
