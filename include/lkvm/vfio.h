/* SPDX-License-Identifier: MIT */
/*
 * VFIO: devices of the host's that are the guest's (Linux Documentation/driver-api/vfio.rst,
 * userspace-api/iommufd.rst).
 *
 * A machine has one set of them (vfio/open.c, vfio/iommu*.c): it knows how they are reached (cdevs
 * and iommufd, or groups and a type 1 container), and maps all guest memory for them, as a listener
 * of guest memory. A device (vfio/device.c) is regions, interrupts and features, and knows no
 * guest; what the guest sees of it is a function on PCI (vfio/pci*.c).
 *
 * What has a name is opened in the open stage (vfio_open). While the machine is built, the set's
 * device is added first (vfio_set_add): KVM is told of each file, then devices are bound and memory
 * is mapped; after it the functions (vfio_pci_add). Both are undone backwards.
 *
 * All reach the host through struct vfio_calls, so that tests can stand in for it.
 */
#ifndef LKVM_VFIO_H
#define LKVM_VFIO_H

#include <sys/types.h>

#include "lkvm/config-vfio.h"
#include "lkvm/types.h"

struct vfio_config;
struct vfio_set;
struct vm;
struct vm_config;

/* The host's system calls as VFIO's code makes them: results as in C, but -errno for an error. */
struct vfio_calls {
	int (*open)(void *opaque, const char *path, int flags);
	void (*close)(void *opaque, int fd);
	int (*ioctl)(void *opaque, int fd, unsigned long request, void *arg);
	ssize_t (*pread)(void *opaque, int fd, void *buf, size_t len, u64 offset);
	ssize_t (*pwrite)(void *opaque, int fd, const void *buf, size_t len, u64 offset);
	/* Of a stream, which has no offsets. */
	ssize_t (*read)(void *opaque, int fd, void *buf, size_t len);
	ssize_t (*write)(void *opaque, int fd, const void *buf, size_t len);
	/* MAP_SHARED; NULL: refused, with errno. */
	void *(*mmap)(void *opaque, size_t len, int prot, int fd, u64 offset);
	void (*munmap)(void *opaque, void *p, size_t len);
};

/* vfio/calls.c: the system's own; opaque: NULL. */
extern const struct vfio_calls vfio_host_calls;

/* vfio/device.c: an open device */

/* A part of a region that may be mapped; offsets within the region. */
struct vfio_area {
	u64 offset, size;
};

struct vfio_region {
	u64 size;   /* 0: there is none */
	u64 offset; /* of the device's fd */
	u32 flags;  /* VFIO_REGION_INFO_FLAG_* */
	/* What may be mapped: VFIO_REGION_INFO_CAP_SPARSE_MMAP's areas, or the whole; none without
	 * VFIO_REGION_INFO_FLAG_MMAP. Of whole pages, ordered, apart. */
	u32 nr_areas;
	struct vfio_area *areas;
};

struct vfio_irq {
	u32 flags; /* VFIO_IRQ_INFO_* */
	u32 count; /* 0: there is none */
};

/* A part of a region that is mapped here. */
struct vfio_mapped {
	u8 *hva;
	u64 size;
	u32 region;
	u64 offset; /* in it */
};

/* Enough for vfio-pci's own; what a driver adds behind them is of no use here. */
#define VFIO_MAX_REGIONS 9U
#define VFIO_MAX_IRQS	 5U

struct vfio_device {
	const struct vfio_calls *calls;
	void *opaque;		       /* of @calls */
	const struct vfio_config *cfg; /* what the user asked of it */
	struct vfio_name name;
	struct vfio_set *set;			      /* NULL: it stands alone (tests) */
	bool made;				      /* an mdev that vfio_close removes */
	int fd;					      /* -1: not bound */
	u32 devid;				      /* iommufd's; 0: by a group */
	u32 flags;				      /* VFIO_DEVICE_FLAGS_* */
	u32 nr_regions, nr_irqs;		      /* of those below */
	struct vfio_region regions[VFIO_MAX_REGIONS]; /* VFIO_PCI_*_REGION_INDEX */
	struct vfio_irq irqs[VFIO_MAX_IRQS];	      /* VFIO_PCI_*_IRQ_INDEX */
	u32 nr_mapped;
	struct vfio_mapped *mapped; /* by vfio_device_map */
};

/* Ask @dev->fd what the device is. Prints, as --vfio NAME; -errno. vfio_device_forget frees what it
 * allocated, and is safe on a zeroed device. */
int vfio_device_inspect(struct vfio_device *dev) __must_check;
void vfio_device_forget(struct vfio_device *dev);
/* @len bytes at @offset of a region: 0 or -errno (-EINVAL: beyond it; a short transfer is -EIO).
 * Any thread. */
int vfio_device_read(struct vfio_device *dev, u32 region, u64 offset, void *buf, u32 len);
int vfio_device_write(struct vfio_device *dev, u32 region, u64 offset, const void *buf, u32 len);
/* Map a part of a region; the caller's until vfio_device_unmap. NULL, with errno. Both while the
 * machine is made or unmade: nobody looks maps up then. */
void *vfio_device_map(struct vfio_device *dev, u32 region, u64 offset, u64 size);
void vfio_device_unmap(struct vfio_device *dev, void *p, u64 size);
/* The map that holds [p, p+size), or NULL. */
const struct vfio_mapped *vfio_device_find_map(const struct vfio_device *dev, const void *p,
					       u64 size) __must_check;
/*
 * VFIO_DEVICE_SET_IRQS. Interrupts [start, start+count) of kind @index write to @fds; -1 for one
 * that is not to. @count 0: the kind is switched off. 0; -errno; or, where the host has fewer, how
 * many it could have given: none is bound then.
 */
int vfio_device_set_irqs(struct vfio_device *dev, u32 index, u32 start, const s32 *fds,
			 u32 count) __must_check;
/* Mask or unmask interrupt @start of a kind: @action is VFIO_IRQ_SET_ACTION_MASK or _UNMASK; with
 * @fd (-1: at once), whenever that is written. 0 or -errno. */
int vfio_device_irq_action(struct vfio_device *dev, u32 index, u32 start, u32 action,
			   int fd) __must_check;
/* VFIO_DEVICE_RESET: 0, -ENOTTY: it has none, or -errno. */
int vfio_device_reset(struct vfio_device *dev) __must_check;
/* VFIO_DEVICE_FEATURE: @flags with VFIO_DEVICE_FEATURE_GET, SET or PROBE; @data (@len bytes) goes
 * there and comes back. 0 or -errno; -ENOTTY: the device has no such feature. */
int vfio_device_feature(struct vfio_device *dev, u32 flags, void *data, u32 len) __must_check;

/* vfio/open.c: the set */

/* Open all that --vfio names, for vfio_close. Prints; -errno. Nothing is bound yet. */
int vfio_open(const struct vm_config *cfg, struct vfio_set **out) __must_check;
void vfio_close(struct vfio_set *set);
/* Is there something that the end of the process does not take away, so that vfio_close has to? */
bool vfio_must_close(const struct vfio_set *set);
/*
 * Tell KVM, bind each device and map guest memory for them, as one struct device of the machine
 * ("vfio"), whose destruction undoes it. Before the functions, after memory. Prints; -errno.
 */
int vfio_set_add(struct vm *vm, struct vfio_set *set) __must_check;
struct vfio_device *vfio_set_device(struct vfio_set *set, u32 index);
/* node.c: the file of group @number; -1: it is not the set's, or there is no set. Not of a set that
 * uses iommufd, which has no groups. */
int vfio_set_group_fd(const struct vfio_set *set, u32 number);

/* vfio/pci.c: what the guest sees of @dev, a function on PCI. Prints; -errno. */
int vfio_pci_add(struct vm *vm, struct vfio_device *dev, u32 index) __must_check;

#endif
