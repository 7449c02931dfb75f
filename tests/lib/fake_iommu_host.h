/* SPDX-License-Identifier: MIT */
/* The host that fake_iommu.h answers for: made, given devices and links of sysfs, looked over. */
#ifndef FAKE_IOMMU_HOST_H
#define FAKE_IOMMU_HOST_H

#include <sys/stat.h>

#include "fake_iommu.h"

static inline void fake_iommu_init(struct fake_iommu *f)
{
	memset(f, 0, sizeof(*f));
	snprintf(f->root, sizeof(f->root), "/tmp/lkvm-iommu-XXXXXX");
	if (!mkdtemp(f->root))
		abort();
	f->api = VFIO_API_VERSION;
	f->lock_room = ~0ULL;
	f->max_maps = FAKE_MAPS;
	f->host = (struct vfio_host){
		.calls = &fake_iommu_calls,
		.opaque = f,
		.root = f->root,
		.lock_room = fake_lock_room,
		.clock = fake_clock,
	};
}

/* A file, or (@to) a link, below the root, with the folders before it. */
static inline void fake_iommu_put(const struct fake_iommu *f, const char *name, const char *to,
				  const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s%s", f->root, name);
	for (char *p = path + strlen(f->root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			abort();
		*p = '/';
	}
	if (to && symlink(to, path) < 0)
		abort();
	if (!text)
		return;
	file = fopen(path, "w");
	if (!file || fputs(text, file) < 0 || fclose(file))
		abort();
}

/* @group 0: it is in none. Then fake_vfio_region and so on of ->vfio. */
static inline struct fake_iommu_device *fake_iommu_add(struct fake_iommu *f, const char *id,
						       u32 group, bool cdev)
{
	struct fake_iommu_device *dev = &f->devices[f->nr_devices];
	char name[128], to[64];

	dev->id = id;
	dev->group = group;
	dev->cdev = cdev;
	dev->mdev = strlen(id) > 20;
	fake_vfio_init(&dev->vfio, 256);
	snprintf(name, sizeof(name), "/sys/kernel/iommu_groups/%u/devices/%s", group, id);
	if (group)
		fake_iommu_put(f, name, NULL, "");
	snprintf(to, sizeof(to), "../../../../kernel/iommu_groups/%u", group);
	snprintf(name, sizeof(name), "/sys/bus/%s/devices/%s/iommu_group",
		 dev->mdev ? "mdev" : "pci", id);
	fake_iommu_put(f, name, group ? to : NULL, NULL);
	snprintf(to, sizeof(to), "../../drivers/%s", dev->mdev ? "vfio_mdev" : "vfio-pci");
	snprintf(name, sizeof(name), "/sys/bus/%s/devices/%s/driver", dev->mdev ? "mdev" : "pci",
		 id);
	fake_iommu_put(f, name, to, NULL);
	/* Without CONFIG_VFIO_DEVICE_CDEV the folder is there, but is no device. */
	snprintf(name, sizeof(name), "/sys/bus/%s/devices/%s/vfio-dev/vfio%u/%s",
		 dev->mdev ? "mdev" : "pci", id, f->nr_devices, cdev ? "dev" : "uevent");
	fake_iommu_put(f, name, NULL, cdev ? "510:0\n" : "");
	f->nr_devices++;
	return dev;
}

/* Is every descriptor closed, and nothing mapped? */
static inline bool fake_iommu_is_clean(const struct fake_iommu *f)
{
	for (u32 i = 0; i < FAKE_FILES; i++)
		if (f->files[i].kind)
			return false;
	return !f->nr_maps && !f->live_ioas;
}

static inline void fake_iommu_destroy(struct fake_iommu *f)
{
	char command[128];

	for (u32 i = 0; i < f->nr_devices; i++)
		fake_vfio_destroy(&f->devices[i].vfio);
	snprintf(command, sizeof(command), "rm -r '%s' </dev/null", f->root);
	if (system(command))
		abort();
}

#endif
