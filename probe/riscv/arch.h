/* SPDX-License-Identifier: MIT */
/* What the files of this folder share: rows.c and cpu.c. */
#ifndef LKVM_RISCV_PROBE_H
#define LKVM_RISCV_PROBE_H

#include "lkvm/probe.h"

/* An ioctl that takes a pointer. */
static inline int riscv_probe_ioctl(const struct probe *h, int fd, unsigned long request,
				    const void *arg)
{
	return h->sys->ioctl(h->sys->opaque, fd, request, (unsigned long)arg);
}
/* cpu.c: what a vcpu has: extensions by name, the SBI, timer, page tables, H. It makes a vcpu in
 * the scratch VM. */
void riscv_probe_cpu_rows(struct probe *h);

#endif
