/* SPDX-License-Identifier: MIT */
/*
 * What only an open device tells: its migration, and the PASIDs of its IOMMU (Linux
 * include/uapi/linux/vfio.h, iommufd.h). It is opened as its driver's cdev and bound to an iommufd
 * of its own, without address space, so it can reach no memory; the kernel may reset it meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lkvm/util.h"
#include "lkvm/vfio-host.h"
#include "lkvm/vfio-pasid.h"
#include "lkvm/vfio.h"
#include "vfio-abi.h"

#define PCI "/sys/bus/pci/"

static void unknown(struct host_facts *out, const char *what, int ret)
{
	char *text = xasprintf("unknown: %s: %s", what, strerror(-ret));

	host_facts_add(out, "migration", text);
	free(text);
}

static void ask_migration(struct vfio_device *dev, struct host_facts *out)
{
	u64 flags = 0;
	int ret = vfio_device_feature(dev, VFIO_DEVICE_FEATURE_GET | VFIO_ABI_FEATURE_MIGRATION,
				      &flags, sizeof(flags));
	char *text;

	if (ret < 0 && ret != -ENOTTY) {
		unknown(out, "the device does not tell", ret);
		return;
	}
	text = xasprintf("%s%s%s", flags & VFIO_ABI_MIG_STOP_COPY ? "stop and copy" : "none",
			 flags & VFIO_ABI_MIG_P2P ? ", peer to peer" : "",
			 flags & VFIO_ABI_MIG_PRE_COPY ? ", precopy" : "");
	host_facts_add(out, "migration", text);
	free(text);
}

static void ask_iommu(struct vfio_device *dev, int iommufd, struct host_facts *out)
{
	struct iommu_abi_hw_info info;
	char text[32];

	if (vfio_hw_info(dev, iommufd, &info))
		return;
	if (!info.out_max_pasid_log2)
		strcpy(text, "none");
	else
		snprintf(text, sizeof(text), "%u bits", info.out_max_pasid_log2);
	host_facts_add(out, "usable PASIDs", text);
}

void host_facts_probe(const char *root, const struct vfio_calls *calls, void *opaque,
		      const char *sysfs, struct host_facts *out)
{
	struct vfio_device dev = { .calls = calls, .opaque = opaque };
	struct vfio_abi_bind_iommufd bind = { .argsz = sizeof(bind) };
	char *node, *iommu, name[32];
	int ret;

	if (!host_vfio_cdev(root, sysfs, name))
		return;
	node = xasprintf("%s/dev/vfio/devices/%s", root, name);
	iommu = xasprintf("%s/dev/iommu", root);
	dev.fd = calls->open(opaque, node, O_RDWR);
	bind.iommufd = calls->open(opaque, iommu, O_RDWR);
	if (dev.fd < 0)
		unknown(out, "cannot open its node", dev.fd);
	else if (bind.iommufd < 0)
		unknown(out, "cannot open /dev/iommu", bind.iommufd);
	else if ((ret = calls->ioctl(opaque, dev.fd, VFIO_ABI_BIND_IOMMUFD, &bind)) < 0)
		unknown(out, ret == -EBUSY ? "in use" : "cannot be bound", ret);
	else {
		dev.devid = bind.out_devid;
		ask_migration(&dev, out);
		/* Software has no IOMMU behind it. */
		if (!strncmp(sysfs, PCI, strlen(PCI)))
			ask_iommu(&dev, bind.iommufd, out);
	}
	/* The device unbinds itself. */
	if (dev.fd >= 0)
		calls->close(opaque, dev.fd);
	if (bind.iommufd >= 0)
		calls->close(opaque, bind.iommufd);
	free(node);
	free(iommu);
}
