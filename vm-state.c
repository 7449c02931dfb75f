/* SPDX-License-Identifier: MIT */
/*
 * The state of a whole paused VM: that of its vcpus, then that of its devices in their order (see
 * include/lkvm/state.h). Guest memory is apart.
 */
#include <stdio.h>

#include "lkvm/arch.h"
#include "lkvm/device.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* To @out, or from @in: one of them is NULL. */
static int transfer_vcpu(struct vcpu *vcpu, struct state_buf *out, struct state_reader *in)
{
	char name[16];
	void *state;
	int ret = arch_vcpu_state_new(vcpu, &state);

	if (ret)
		return ret;
	snprintf(name, sizeof(name), "vcpu%u", vcpu->id);
	ret = out ? state_save(&arch_vcpu_state, name, state, out)
		  : state_load(&arch_vcpu_state, name, state, in);
	arch_vcpu_state_free(state);
	return ret;
}

int vm_save(struct vm *vm, struct state_buf *out)
{
	int ret = 0;

	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = transfer_vcpu(vm->vcpus[i], out, NULL);
	for (struct device *dev = vm->devices; dev && !ret; dev = dev->next)
		ret = device_save(dev, out);
	return ret;
}

int vm_load(struct vm *vm, struct state_reader *in)
{
	int ret = 0;

	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = transfer_vcpu(vm->vcpus[i], NULL, in);
	for (struct device *dev = vm->devices; dev && !ret; dev = dev->next)
		ret = device_load(dev, in);
	if (ret || !in->len)
		return ret;
	err("state: %zu bytes follow the last device: is it that of another machine?", in->len);
	return -EINVAL;
}

const char *vm_state_differs(struct vm *vm, struct state_reader a, struct state_reader b,
			     const char **object)
{
	const char *differs = NULL;

	*object = "vcpu";
	for (u32 i = 0; i < vm->nr_vcpus && !differs; i++)
		differs = state_differs(&arch_vcpu_state, &a, &b);
	for (struct device *dev = vm->devices; dev && !differs; dev = dev->next) {
		*object = dev->name;
		differs = state_differs(dev->ops->state, &a, &b);
	}
	return differs;
}
