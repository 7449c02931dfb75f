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

#endif
