/* SPDX-License-Identifier: MIT */
/* How vcpu 0 starts where its registers have ids: a list's, kept for every reset. */
#include <assert.h>

#include "lkvm/boot-fdt.h"
#include "lkvm/log.h"
#include "lkvm/one-reg.h"
#include "lkvm/vcpu.h"

void boot_start_keep(struct boot_start *start, const struct boot_plan *plan)
{
	assert(plan->nr_regs <= ARRAY_SIZE(start->regs));
	start->nr_regs = plan->nr_regs;
	memcpy(start->regs, plan->regs, plan->nr_regs * sizeof(plan->regs[0]));
}

int boot_start_set(const struct boot_start *start, struct vcpu *vcpu, u64 (*id)(const char *name))
{
	int ret = 0;

	for (u32 i = 0; i < start->nr_regs && !ret; i++)
		ret = vcpu_set_reg(vcpu, id(start->regs[i].name), &start->regs[i].value);
	if (ret)
		err("vcpu %u: cannot set its registers: %s", vcpu->id, strerror(-ret));
	return ret;
}
