/* SPDX-License-Identifier: MIT */
/*
 * VFIO, iommufd and the part of sysfs that tells of them, as the model has them (docs/model.md), by
 * Linux's Documentation/driver-api/vfio.rst, userspace-api/iommufd.rst and the headers of 7.3.
 *
 * What has a name is a tree of files below LKVM_MODEL_ROOT (vfio-tree.c), to which names below /sys
 * and /dev are led, so that it outlives a process and can be listed. Descriptors are the core's, of
 * types MODEL_VFIO_*, with one of these objects.
 */
#ifndef LKVM_TESTS_MODEL_VFIO_H
#define LKVM_TESTS_MODEL_VFIO_H

#include "model.h"
#include "vfio-uapi.h"

#pragma GCC visibility push(hidden)

#define VDEV_REGIONS	   9U /* up to and with VGA's */
#define VDEV_IRQS	   5U
#define VDEV_VECTORS	   64U
#define VDEV_MAX	   32U
#define VDEV_MSI_SIZE	   0x100000ULL
#define VDEV_REGION(index) ((u64)(index) << 40) /* where it is in the device's descriptor */

/* What LKVM_MODEL says of VFIO. */
struct vfio_settings {
	bool on;
	char devices[128]; /* vfio=edu+nvme */
	char host[64];	   /* host=nvme: bound to the host's own driver */
	char loose[64];	   /* loose=edu: bound to none */
	char busy[64];	   /* busy=edu: somebody else has it */
	char tells[16];	   /* tells=req+err: at once, of each device */
	bool together;	   /* all in one group */
	bool no_iommufd, no_cdev, no_iommu, no_resize, no_reset, no_dmabuf;
	u64 max_map, memlock; /* 0: any */
	u32 dma_avail;
	u32 aperture; /* address bits */
	u64 msi;      /* where the window of messages is */
	u32 pasid;    /* bits; 0: none */
	u64 mig;      /* VFIO_MIGRATION_* of mtty */
	bool mig_fails, mig_old;
};
extern struct vfio_settings vfio_settings;

/* Addresses that devices see: an IOAS, or what a type 1 container maps. */
struct vspace {
	struct vspace_map {
		u64 iova, size, va;
		bool readable, writable;
		struct vdev *of; /* of whose BAR it is; NULL: memory */
	} * maps;
	u32 n;
	u32 physical; /* devices behind the IOMMU that use it: its reserved ranges hold */
	u32 users;    /* all of them */
};

struct vcontainer {
	struct vspace space;
	u32 groups, fds;
	bool open;
	u32 type; /* of SET_IOMMU; 0: not yet */
};

struct vgroup {
	u32 number;
	struct vcontainer *container;
	bool open, told;
	u32 devices; /* open ones */
};

struct vobject;
struct viommufd {
	struct vobject *objects;
	u32 next_id;
	bool closed;
};

/* A kind of devices: tables in vfio-kinds.c. */
struct vdev;
struct vdev_kind {
	const char *name, *driver; /* the host's own */
	bool mdev;
	void (*make)(struct vdev *d);
	/* Trapped accesses to regions but the configuration space; false: plain bytes. */
	bool (*read)(struct vdev *d, u32 region, u64 offset, void *buf, u32 len);
	bool (*write)(struct vdev *d, u32 region, u64 offset, const void *buf, u32 len);
	void (*reset)(struct vdev *d);
};
extern const struct vdev_kind vdev_kinds[]; /* ended by a NULL name */

struct vdev_region {
	u64 size;
	u32 flags;
	u8 *bytes; /* NULL: there are none that last */
	int memfd; /* -1: it cannot be mapped */
	bool msix_mappable;
};

struct vdev {
	const struct vdev_kind *kind;
	char id[40]; /* 0000:01:00.0, or a UUID */
	u32 number;  /* vfioN */
	u32 group;
	struct vdev_region regions[VDEV_REGIONS];
	u8 config[4096], initial[4096], writable[4096];
	u32 config_size;
	u32 irq_count[VDEV_IRQS];
	u32 irq_flags[VDEV_IRQS];
	int fds[VDEV_IRQS][VDEV_VECTORS]; /* duplicates; -1: none */
	u32 nr_bound[VDEV_IRQS];	  /* 0: the kind is off */
	bool pending[VDEV_VECTORS];	  /* MSI-X: nobody gets it yet */
	bool masked, line;		  /* INTx */
	int unmask_fd;
	/* open */
	bool open, told, bound, made;
	struct vgroup *in; /* opened through it */
	struct viommufd *iommufd;
	u32 devid;
	struct vspace *space; /* what it is attached to; NULL: nothing */
	u32 pt_id;
	/* registers of edu, mtty */
	u32 regs[64];
	/* migration */
	u32 state;
	int data_fd; /* the caller's, or -1 */
	bool data_saves;
	u64 precopy_end;
	u32 faults; /* DMA that went nowhere */
};

/* vfio.c */
struct vdev *vdev_nth(u32 i); /* NULL: no more */
struct vdev *vdev_find(const char *id);
bool vfio_in_list(const char *list, const char *name);
/* What KVM has to know before a device is used; a broken rule when it does not. */
void vfio_must_be_told(bool told, const char *what);
const char *vfio_name_call(const struct model_call *c);
long vfio_ioctl(struct model_call *c);
/* KVM's own device of type VFIO; MODEL_PASS for all else. */
long vfio_kvm(struct model_call *c);
void vfio_closed(struct model_file *f);
/* The structure at @arg: at least @min bytes by its first word, the rest of @len zero. 0 or
 * -errno. */
long vfio_get(const struct model_call *c, void *to, u32 min, u32 len);
long vfio_put(const struct model_call *c, const void *from, u32 len);

/* vfio-tree.c */
void vtree_make(void);
/* The tree's name for @path, in @buf of PATH_MAX; or @path. */
const char *vtree_path(const char *path, char *buf);
/* The host's name for one in the tree. */
const char *vtree_strip(const char *path);
bool vtree_has(const char *path);
bool vtree_driver(const char *id, char *name, size_t len); /* false: it has none */
void vtree_scan_mdevs(void (*found)(const char *uuid, u32 number));
/* What was written to a file of sysfs: 0 or -errno. */
long vtree_write(const char *path, const char *text);
__attribute__((format(printf, 3, 4))) void vtree_format(char *buf, size_t len, const char *format,
							...);

/* vfio-space.c */
long vspace_map(struct vspace *s, const struct vspace_map *map, const char *what);
/* *@done: bytes; with @exact a mapping must not be cut, and nothing is an error. */
long vspace_unmap(struct vspace *s, u64 iova, u64 size, bool all, u64 *done);
bool vspace_is_reserved(u64 iova, u64 size);
bool vspace_has_reserved(const struct vspace *s);
/* The ranges that may be used: up to @n, start and last of each; how many there are. */
u32 vspace_ranges(u64 (*ranges)[2], u32 n);
void vspace_clear(struct vspace *s);
/* A device's access: 0, or -EFAULT. */
long vspace_access(struct vdev *d, u64 iova, void *buf, u32 len, bool write);
/* BARs that lkvm has mapped: what is pinned there is no RAM. */
void vspace_bar_mapped(u64 va, u64 size);
void vspace_unmapped(u64 va, u64 size);
bool vspace_is_bar(u64 va, u64 size);

/* vfio-dmabuf.c */
bool vdmabuf_has(const struct vdev *d, u32 feature);
/* The descriptor or -errno. */
long vdmabuf_export(struct vdev *d, const void *data, u32 len);
long vdmabuf_map(struct model_call *c, struct vspace *s, const struct m_map_file *m);

/* vfio-type1.c, vfio-iommufd.c: calls on a container, a group, /dev/iommu */
long vcontainer_ioctl(struct model_call *c);
long vgroup_ioctl(struct model_call *c);
void vcontainer_closed(struct vcontainer *container);
void vgroup_closed(struct vgroup *group);
struct vgroup *vgroup_find(u32 number);
/* Every device of the group is VFIO's or nobody's. */
bool vgroup_is_viable(u32 number);
long viommufd_ioctl(struct model_call *c);
/* BIND, ATTACH, DETACH of a device. */
long viommufd_bind(struct model_call *c, struct vdev *d);
long viommufd_attach(struct model_call *c, struct vdev *d);
long viommufd_detach(struct model_call *c, struct vdev *d);
void viommufd_unbind(struct vdev *d);
void viommufd_closed(struct viommufd *fd);

/* vfio-device.c */
long vdev_ioctl(struct model_call *c);
void vdev_closed(struct vdev *d);
long vdev_opened(struct vdev *d); /* 0 or -errno */
ssize_t vdev_read(struct vdev *d, void *buf, size_t len, u64 at);
ssize_t vdev_write(struct vdev *d, const void *buf, size_t len, u64 at);
void *vdev_mmap(struct vdev *d, void *at, size_t len, int prot, int flags, u64 offset);
void vdev_reset(struct vdev *d);

/* vfio-irq.c */
long vdev_set_irqs(struct model_call *c, struct vdev *d);
void vdev_irqs_off(struct vdev *d);
/* The device raises a message, by what is on; false: messages are off. */
bool vdev_message(struct vdev *d, u32 vector);
/* The level of its line, and what was unmasked meanwhile. */
void vdev_line(struct vdev *d, bool level);

/* vfio-mig.c */
long vmig_feature(struct vdev *d, u32 feature, bool set, void *data, u32 len);
bool vmig_has(const struct vdev *d, u32 feature);
long vmig_ioctl(struct model_call *c);
long vmig_may_read(struct model_file *f, int fd);
void vmig_reset(struct vdev *d);

#pragma GCC visibility pop

#endif
