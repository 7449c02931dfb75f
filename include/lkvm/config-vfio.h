/* SPDX-License-Identifier: MIT */
/* config-vfio-name.c: what the user calls a device of the host's. */
#ifndef LKVM_CONFIG_VFIO_H
#define LKVM_CONFIG_VFIO_H

#include "lkvm/types.h"

enum vfio_bus { VFIO_BUS_PCI, VFIO_BUS_MDEV };

struct vfio_name {
	enum vfio_bus bus;
	char id[40];	/* "0000:03:00.0", or an mdev's UUID in lower case */
	char sysfs[96]; /* "/sys/bus/pci/devices/0000:03:00.0" */
};

/*
 * @text is [DOMAIN:]BB:DD.F, a UUID, or a path to a device in sysfs. Only the form is looked at,
 * and where a path leads. 0; -EINVAL: it is none of these; -ENOENT: such a path leads nowhere.
 */
int vfio_name_parse(const char *text, struct vfio_name *out) __must_check;
/* The same, and prints why not, as "@shown @text: ...". */
int vfio_name_read(const char *shown, const char *text, struct vfio_name *out) __must_check;

#endif
