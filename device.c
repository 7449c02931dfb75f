/* SPDX-License-Identifier: MIT */
/* The VM's list of devices (see include/lkvm/device.h). */
#include "lkvm/device.h"

#include "lkvm/vm.h"

int device_add(struct vm *vm, struct device *dev)
{
	int ret;

	dev->vm = vm;
	dev->next = NULL;
	ret = dev->ops->realize(dev, vm);
	if (ret)
		return ret;
	*vm->devices_tail = dev;
	vm->devices_tail = &dev->next;
	return 0;
}
