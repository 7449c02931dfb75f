/* SPDX-License-Identifier: MIT */
/*
 * Which driver has a device of the host's: why VFIO does not give it away, giving it to VFIO and
 * back to the host, and devices that a driver makes (mdev).
 *
 * All files are looked for below @root: "" for the host's own /sys, /proc and /dev.
 */
#ifndef LKVM_VFIO_BIND_H
#define LKVM_VFIO_BIND_H

#include <stdio.h>

#include "lkvm/vfio.h"

/* vfio/why-not.c */

/*
 * Why @name cannot be opened by VFIO: cause and remedy, without an end to the line, to be freed;
 * NULL: nothing in sysfs stands in the way.
 */
char *vfio_why_not(const char *root, const struct vfio_name *name) __must_check;
/* The same of a device that is in no IOMMU group. */
char *vfio_no_iommu(const char *root) __must_check;
/* "0000:00:1f.3 (snd_hda_intel), ...": what drivers of the host have in its group; to be freed.
 * NULL: nothing. */
char *vfio_group_others(const char *root, const struct vfio_name *name) __must_check;
bool vfio_is_bridge(const char *root, const char *sysfs);
bool vfio_is_vfio_driver(const char *driver);
/* May one of a group have it ("": none does) while another one is passed through? */
bool vfio_driver_is_harmless(const char *driver);

/* vfio/in-use.c */

/* What the host would lose with @name's driver: "its disk sda1 is mounted at /home"; to be freed.
 * NULL: nothing. */
char *vfio_in_use(const char *root, const struct vfio_name *name) __must_check;
/* The other process that has it open by VFIO: "process 812 (lkvm) uses it"; to be freed. NULL: none
 * whose files may be seen. */
char *vfio_user(const char *root, const struct vfio_name *name) __must_check;

/* vfio/driver.c */

/* How devices change their drivers. */
struct vfio_binder {
	const char *root;
	const char *driver; /* of VFIO's; NULL: vfio-pci */
	bool force;	    /* also what is in use */
	bool group;	    /* with all of its IOMMU group that are not bridges */
	FILE *out;	    /* a line for each device */
	/* Write @text to the file @path of sysfs, which begins with @root: 0 or -errno. */
	int (*write)(void *opaque, const char *path, const char *text);
	/* Load a module of the kernel: 0; -ENOENT: there is nothing that could; or -errno. */
	int (*load)(void *opaque, const char *module);
	void *opaque;
};

/*
 * Give devices to VFIO, or back to the driver that the kernel finds for them. All or none: after a
 * failure each has the driver that it had. Print; -errno.
 */
int vfio_bind(const struct vfio_binder *b, const struct vfio_name *names, u32 nr) __must_check;
int vfio_unbind(const struct vfio_binder *b, const struct vfio_name *names, u32 nr) __must_check;

/* vfio/mdev.c: devices that a driver makes */

/* How sysfs is written to; as struct vfio_binder has it. */
struct vfio_writer {
	const char *root;
	int (*write)(void *opaque, const char *path, const char *text);
	void *opaque;
};

/* Sorted; NULL-terminated. */
struct vfio_words {
	char **words;
	u32 nr;
};
void vfio_words_free(struct vfio_words *w);

/* What makes mdevs, which types one has, and the UUIDs that there are of one; to be freed. */
void vfio_mdev_parents(const char *root, struct vfio_words *out);
void vfio_mdev_types(const char *root, const char *parent, struct vfio_words *out);
void vfio_mdev_devices(const char *root, const char *parent, const char *type,
		       struct vfio_words *out);
/* What a type says of itself: "name", "device_api", "available_instances"; or "". */
void vfio_mdev_text(const char *root, const char *parent, const char *type, const char *name,
		    char *buf, size_t size);
/*
 * Make one, with @uuid or (NULL) one by chance, and remove it. @what begins messages; @parent: a
 * name of vfio_mdev_parents, or a PCI address or a path for such a one. Print; -errno, where
 * -EINVAL is for what is no UUID, and not of the driver.
 */
int vfio_mdev_create(const struct vfio_writer *w, const char *what, const char *parent,
		     const char *type, const char *uuid, struct vfio_name *out) __must_check;
int vfio_mdev_remove(const struct vfio_writer *w, const char *what,
		     const struct vfio_name *name) __must_check;

/* vfio/attr-write.c: the host's own @write and @load of a binder. */
int vfio_host_write(void *opaque, const char *path, const char *text);
int vfio_host_load(void *opaque, const char *module);

#endif
