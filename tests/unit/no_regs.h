/* SPDX-License-Identifier: MIT */
/* For unit tests that stand in for one-reg.c: vcpus without registers. */
#ifndef TEST_NO_REGS_H
#define TEST_NO_REGS_H

#include <errno.h>

#include "lkvm/one-reg.h"

int vcpu_get_reg(const struct vcpu *vcpu, u64 id, void *value)
{
	return -ENOENT;
}

int vcpu_set_reg(const struct vcpu *vcpu, u64 id, const void *value)
{
	return -ENOENT;
}

int vcpu_list_regs(const struct vcpu *vcpu, struct kvm_reg_list **list)
{
	return -ENOENT;
}

#endif
