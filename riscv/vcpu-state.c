/* SPDX-License-Identifier: MIT */
/* Saving and loading a vcpu (see include/lkvm/state.h). */
#include "lkvm/state.h"

#include "lkvm/arch.h"

const struct device_state arch_vcpu_state = { .version = 1 };

int arch_vcpu_state_new(struct vcpu *vcpu, void **out)
{
	*out = vcpu;
	return 0;
}

void arch_vcpu_state_free(void *state) {}
