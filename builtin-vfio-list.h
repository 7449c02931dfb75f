/* SPDX-License-Identifier: MIT */
/* `lkvm vfio list`: between what is listed (builtin-vfio-list.c) and how. */
#ifndef LKVM_BUILTIN_VFIO_LIST_H
#define LKVM_BUILTIN_VFIO_LIST_H

#include "lkvm/vfio-host.h"

/* The host itself: below it are /sys and /dev. */
#define VFIO_LIST_ROOT ""

struct vfio_list {
	bool verbose;
	struct host_pci_tree tree;
	struct host_mdevs mdevs;
	bool *shown; /* of each device */
	bool *mdev_shown;
	bool types_shown;
	u32 nr_groups;
	u32 *groups;	/* of the devices that are shown, once each, ordered */
	char *no_group; /* why some of them are in none; NULL: all are in one */
};

/* builtin-vfio-list-print.c */
void vfio_list_print_text(const struct vfio_list *list);
void vfio_list_print_json(const struct vfio_list *list);

#endif
