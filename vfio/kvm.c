/* SPDX-License-Identifier: MIT */
/*
 * KVM's device of type VFIO (Linux Documentation/virt/kvm/devices/vfio.rst): KVM learns whose DMA
 * is not coherent, and drivers learn which VM their device belongs to.
 */
#include <kvm-compat.h>
#include <string.h>

#include "iommu.h"
#include "lkvm/log.h"
#include "vfio-abi.h"

static int set_attr(struct vfio_set *set, u64 attr, int fd)
{
	s32 file = fd;
	struct kvm_device_attr a = {
		.group = KVM_DEV_VFIO_FILE,
		.attr = attr,
		.addr = (uintptr_t)&file,
	};

	return vfio_set_ioctl(set, set->kvm, KVM_SET_DEVICE_ATTR, &a);
}

void vfio_kvm_add(struct vfio_set *set, int vm_fd)
{
	struct kvm_create_device create = { .type = KVM_DEV_TYPE_VFIO };
	int ret = vfio_set_ioctl(set, vm_fd, KVM_CREATE_DEVICE, &create);

	if (ret < 0) {
		debug("VFIO: KVM is not told of the devices: KVM_CREATE_DEVICE: %s",
		      strerror(-ret));
		return;
	}
	set->kvm = (int)create.fd;
	for (u32 i = 0; i < set->nr_files; i++) {
		struct vfio_file *f = &set->files[i];

		ret = set_attr(set, KVM_DEV_VFIO_FILE_ADD, f->fd);
		f->told = ret >= 0;
		/* Kernels before 6.2 know groups alone. */
		if (ret < 0)
			debug("VFIO: KVM is not told of a device: %s", strerror(-ret));
	}
}

void vfio_kvm_remove(struct vfio_set *set)
{
	if (set->kvm < 0)
		return;
	for (u32 i = set->nr_files; i-- > 0;) {
		struct vfio_file *f = &set->files[i];

		if (f->told)
			(void)set_attr(set, KVM_DEV_VFIO_FILE_DEL, f->fd);
		f->told = false;
	}
	set->host->calls->close(set->host->opaque, set->kvm);
	set->kvm = -1;
}
