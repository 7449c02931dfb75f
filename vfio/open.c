/* SPDX-License-Identifier: MIT */
/* The set of devices that a machine has of the host's (see include/lkvm/vfio.h). */
#include <errno.h>
#include <stdlib.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/vfio.h"
#include "lkvm/vm.h"

int vfio_open(const struct vm_config *cfg, struct vfio_set **out)
{
	err("--vfio %s: not yet", cfg->vfios[0].device);
	return -ENOTSUP;
}

void vfio_close(struct vfio_set *set) {}

int vfio_set_add(struct vm *vm, struct vfio_set *set)
{
	return -ENOTSUP;
}

struct vfio_device *vfio_set_device(struct vfio_set *set, u32 index)
{
	return NULL;
}
