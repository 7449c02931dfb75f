/* SPDX-License-Identifier: MIT */
/* What a device can do of migration and what hangs on it: see include/lkvm/vfio-state.h. */
#include "lkvm/vfio-state.h"

#include <errno.h>
#include <stdio.h>

#include "attr.h"
#include "iommu.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vfio-migration.h"
#include "lkvm/vfio-pasid.h"
#include "vfio-abi.h"

static bool has(struct vfio_device *dev, u32 flags)
{
	return !vfio_device_feature(dev, flags | VFIO_DEVICE_FEATURE_PROBE, NULL, 0);
}

static bool can_set(struct vfio_device *dev, u32 feature)
{
	return has(dev, VFIO_DEVICE_FEATURE_SET | feature);
}

static void look_at_migration(struct vfio_device *dev, struct vfio_state_report *out)
{
	struct vfio_migration m;

	/* It fails for want of what the command line asks for, and here that is nothing. */
	if (vfio_migration_init(&m, dev, NULL))
		return;
	out->migration = m.flags;
	out->state = vfio_migration_state_name(m.state);
	if (m.flags &&
	    vfio_device_feature(dev, VFIO_DEVICE_FEATURE_GET | VFIO_ABI_FEATURE_MIG_DATA_SIZE,
				&out->length, sizeof(out->length)) >= 0)
		out->has_length = true;
	vfio_migration_destroy(&m);
}

/* What its IOMMU has, as iommufd tells. */
static void look_at_iommu(struct vfio_device *dev, struct vfio_state_report *out)
{
	struct iommu_abi_hw_info info;

	/* An mdev has none. */
	if (dev->name.bus == VFIO_BUS_MDEV || vfio_set_hw_info(dev, &info))
		return;
	out->dirty_by_iommu = info.out_capabilities & IOMMU_ABI_HW_DIRTY_TRACKING;
	out->pasid_bits = info.out_max_pasid_log2;
}

void vfio_state_look(struct vfio_device *dev, struct vfio_state_report *out)
{
	*out = (struct vfio_state_report){ 0 };
	snprintf(out->id, sizeof(out->id), "%s", dev->name.id);
	if (dev->set) {
		out->way = dev->set->iommu->name;
		vfio_attr_link(dev->set->host->root, dev->name.sysfs, "driver", out->driver,
			       sizeof(out->driver));
	}
	look_at_migration(dev, out);
	out->precopy_v2 = can_set(dev, VFIO_ABI_FEATURE_MIG_PRECOPY_INFOv2);
	out->dirty_by_device =
		can_set(dev, VFIO_ABI_FEATURE_DMA_LOGGING_START) &&
		can_set(dev, VFIO_ABI_FEATURE_DMA_LOGGING_STOP) &&
		has(dev, VFIO_DEVICE_FEATURE_GET | VFIO_ABI_FEATURE_DMA_LOGGING_REPORT);
	out->low_power = can_set(dev, VFIO_ABI_FEATURE_LOW_POWER);
	out->wakes = can_set(dev, VFIO_ABI_FEATURE_LOW_POWER_WAKEUP);
	look_at_iommu(dev, out);
}

int vfio_state_ask(const char *device, struct vfio_state_report *out)
{
	struct vfio_config vc = { .device = (char *)device };
	struct vm_config cfg = { .vfios = &vc, .nr_vfios = 1 };
	struct vfio_set *set;
	struct vfio_device *dev;
	int ret = vfio_open(&cfg, &set);

	if (ret)
		return ret;
	dev = vfio_set_device(set, 0);
	ret = set->iommu->bind(set);
	if (!ret) {
		ret = vfio_device_inspect(dev);
		if (!ret)
			vfio_state_look(dev, out);
		vfio_device_forget(dev);
		set->iommu->unbind(set);
	}
	vfio_close(set);
	return ret;
}
