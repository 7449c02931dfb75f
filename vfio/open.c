/* SPDX-License-Identifier: MIT */
/*
 * The set of devices that a machine has of the host's (see include/lkvm/vfio.h): from names to
 * nodes, and its life in the machine (Linux Documentation/driver-api/vfio.rst).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iommu.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vfio-host.h"
#include "lkvm/vfio.h"
#include "lkvm/vm.h"

static void close_fd(struct vfio_set *set, int *fd)
{
	if (*fd >= 0)
		set->host->calls->close(set->host->opaque, *fd);
	*fd = -1;
}

/* From names to nodes */

static int name_device(struct vfio_set *set, struct vfio_device *dev)
{
	const char *made = vfio_config_makes(dev->cfg->device);
	int ret;

	if (made)
		return vfio_set_make(set, dev, made);
	ret = vfio_name_read("--vfio", dev->cfg->device, &dev->name);
	for (struct vfio_device *d = set->devices; d < dev && !ret; d++) {
		if (strcmp(d->name.id, dev->name.id))
			continue;
		err("--vfio %s: is the same device as --vfio %s", dev->cfg->device, d->cfg->device);
		ret = -EINVAL;
	}
	if (!ret && dev->name.bus == VFIO_BUS_PCI)
		set->pins = true;
	return ret;
}

/* With what is not asked for by name: cdevs, if every device has one. */
static int choose_way(struct vfio_set *set)
{
	enum vfio_iommufd wanted = set->devices[0].cfg->iommufd;
	char name[32];

	set->iommu = &vfio_type1_ops;
	if (wanted == VFIO_IOMMUFD_OFF)
		return 0;
	for (u32 i = 0; i < set->nr_devices; i++) {
		const struct vfio_device *dev = &set->devices[i];

		if (host_vfio_cdev(set->host->root, dev->name.sysfs, name))
			continue;
		if (wanted == VFIO_IOMMUFD_AUTO) {
			debug("--vfio %s: has no character device; using groups", dev->name.id);
			return 0;
		}
		vfio_say_why_not(set, dev,
				 "iommufd=on: it has no character device; bind it ('lkvm vfio "
				 "bind'), on a kernel with CONFIG_VFIO_DEVICE_CDEV");
		return -ENODEV;
	}
	set->iommu = &vfio_iommufd_ops;
	return 0;
}

/* Without /dev/iommu, or where it is not this user's, iommufd=auto goes by groups. */
static int open_iommufd(struct vfio_set *set)
{
	const struct vfio_device *first = &set->devices[0];
	int fd = set->host->calls->open(set->host->opaque, "/dev/iommu", O_RDWR);
	bool missing = fd == -ENOENT || fd == -ENODEV || fd == -ENXIO;

	if (fd >= 0) {
		set->fd = fd;
		return 0;
	}
	if (first->cfg->iommufd == VFIO_IOMMUFD_AUTO &&
	    (missing || fd == -EACCES || fd == -EPERM)) {
		debug("--vfio: /dev/iommu: %s; using groups", strerror(-fd));
		set->iommu = &vfio_type1_ops;
	} else if (missing) {
		err("--vfio %s: iommufd=on: there is no /dev/iommu: load the module iommufd, or "
		    "boot a kernel with CONFIG_IOMMUFD",
		    first->cfg->device);
		return fd;
	} else {
		vfio_set_say_not_open(set, first, "/dev/iommu", fd);
		return fd;
	}
	return 0;
}

static int open_way(struct vfio_set *set)
{
	int ret = choose_way(set);

	if (!ret && set->iommu == &vfio_iommufd_ops)
		ret = open_iommufd(set);
	return ret ? ret : set->iommu->open(set);
}

int vfio_open_on(const struct vfio_host *host, const struct vm_config *cfg, struct vfio_set **out)
{
	struct vfio_set *set = xcalloc(1, sizeof(*set));
	int ret = 0;

	set->host = host;
	set->fd = -1;
	set->kvm = -1;
	set->nr_devices = cfg->nr_vfios;
	set->devices = xcalloc(cfg->nr_vfios, sizeof(set->devices[0]));
	set->files = xcalloc(cfg->nr_vfios, sizeof(set->files[0]));
	for (u32 i = 0; i < cfg->nr_vfios; i++) {
		set->files[i].fd = -1;
		set->devices[i] = (struct vfio_device){ .calls = host->calls,
							.opaque = host->opaque,
							.cfg = &cfg->vfios[i],
							.set = set,
							.fd = -1 };
	}
	for (u32 i = 0; i < cfg->nr_vfios && !ret; i++)
		ret = name_device(set, &set->devices[i]);
	if (!ret)
		ret = open_way(set);
	if (ret) {
		vfio_close(set);
		return ret;
	}
	debug("VFIO: %u devices by %s", set->nr_devices, set->iommu->name);
	*out = set;
	return 0;
}

int vfio_open(const struct vm_config *cfg, struct vfio_set **out)
{
	return vfio_open_on(&vfio_this_host, cfg, out);
}

void vfio_close(struct vfio_set *set)
{
	if (!set)
		return;
	if (set->iommu)
		set->iommu->close(set);
	/* Closing a cdev ends what was bound through it. */
	for (u32 i = 0; i < set->nr_devices; i++)
		close_fd(set, &set->files[i].fd);
	close_fd(set, &set->fd);
	vfio_set_unmake(set);
	free(set->files);
	free(set->devices);
	free(set);
}

struct vfio_device *vfio_set_device(struct vfio_set *set, u32 index)
{
	return &set->devices[index];
}

/* In the machine */

static struct vfio_set *to_set(struct device *dev)
{
	return container_of(dev, struct vfio_set, dev);
}

static void unmake(struct vfio_set *set)
{
	for (u32 i = 0; i < set->nr_devices; i++)
		vfio_device_forget(&set->devices[i]);
	set->iommu->unbind(set);
	vfio_kvm_remove(set);
}

static int set_realize(struct device *dev, struct vm *vm)
{
	struct vfio_set *set = to_set(dev);
	int ret = 0;

	/* Before anything is bound: drivers ask for the VM as soon as their device is opened. */
	vfio_kvm_add(set, vm->kvm.vm_fd);
	ret = set->iommu->bind(set);
	if (ret) {
		vfio_kvm_remove(set);
		return ret;
	}
	for (u32 i = 0; i < set->nr_devices && !ret; i++)
		ret = vfio_device_inspect(&set->devices[i]);
	if (!ret)
		ret = vfio_dma_start(set, &vm->mem);
	if (ret)
		unmake(set);
	return ret;
}

/* The machine's part goes; what was opened by name stays, for a VM that is made anew. */
static void set_destroy(struct device *dev)
{
	struct vfio_set *set = to_set(dev);

	vfio_dma_stop(set, &dev->vm->mem);
	unmake(set);
}

static const struct device_ops set_ops = {
	.realize = set_realize,
	.state = &no_state,
	.destroy = set_destroy,
};

int vfio_set_add(struct vm *vm, struct vfio_set *set)
{
	set->dev = (struct device){ .name = "vfio", .ops = &set_ops };
	return device_add(vm, &set->dev);
}
