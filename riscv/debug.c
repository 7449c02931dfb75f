/* SPDX-License-Identifier: MIT */
/* What a debugger sees of a riscv64 vcpu (include/lkvm/debug.h). */
#include "lkvm/debug.h"

#include "lkvm/vm.h"

const struct arch_debug arch_debug = {
	.architecture = "riscv:rv64",
	.breakpoint = { 0x73, 0x00, 0x10, 0x00 }, /* ebreak */
	.breakpoint_len = 4,
};

const struct debug_feature *arch_debug_features(const struct vm *vm, u32 *nr)
{
	*nr = 0;
	return NULL;
}

int arch_debug_get(struct vcpu *vcpu, const struct debug_reg *reg, u32 index, u8 *value)
{
	return -ENOTSUP;
}

int arch_debug_set(struct vcpu *vcpu, const struct debug_reg *reg, u32 index, const u8 *value)
{
	return -ENOTSUP;
}

int arch_debug_check(const struct vm *vm, const struct debug_point *points, u32 nr)
{
	return nr ? -ENOTSUP : 0;
}

int arch_debug_apply(struct vcpu *vcpu, const struct debug_setup *setup)
{
	return -ENOTSUP;
}

void arch_debug_event(struct vcpu *vcpu, struct debug_event *event)
{
	event->stop = DEBUG_STOP_NONE;
}

void arch_debug_enter(struct vcpu *vcpu) {}

void arch_debug_leave(struct vcpu *vcpu) {}

int arch_debug_reinject(struct vcpu *vcpu, const struct debug_event *event)
{
	return -ENOTSUP;
}
