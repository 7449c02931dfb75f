/* SPDX-License-Identifier: MIT */
/*
 * The state of a whole paused VM: that of its vcpus, then that of its devices in their order (see
 * include/lkvm/state.h). Guest memory is apart.
 */
#include "lkvm/arch.h"
#include "lkvm/device.h"
#include "lkvm/state.h"
#include "lkvm/vm.h"

int vm_save(struct vm *vm, struct state_buf *out)
{
	int ret = 0;

	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = arch_vcpu_save(vm->vcpus[i], out);
	for (struct device *dev = vm->devices; dev && !ret; dev = dev->next)
		ret = device_save(dev, out);
	return ret;
}

int vm_load(struct vm *vm, struct state_reader *in)
{
	int ret = 0;

	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = arch_vcpu_load(vm->vcpus[i], in);
	for (struct device *dev = vm->devices; dev && !ret; dev = dev->next)
		ret = device_load(dev, in);
	return ret;
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
