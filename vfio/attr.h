/* SPDX-License-Identifier: MIT */
/*
 * Files of sysfs, a line each (Linux Documentation/filesystems/sysfs.rst). A name is @dir, a path
 * as the host has it, and a file in it, looked for below @root ("" for the host's own).
 */
#ifndef LKVM_VFIO_ATTR_H
#define LKVM_VFIO_ATTR_H

#include "lkvm/types.h"

/* The first line, without its end: 0 or -errno, and @buf is "" then. */
int vfio_attr_read(const char *root, const char *dir, const char *name, char *buf, size_t size);
/* A number, in any of C's notations; @other where there is none. */
u64 vfio_attr_number(const char *root, const char *dir, const char *name, u64 other);
/* The last part of where a link leads: 0 or -errno, and @buf is "" then. */
int vfio_attr_link(const char *root, const char *dir, const char *name, char *buf, size_t size);
/* The part before that one: the directory in which the thing really is. */
int vfio_attr_above(const char *root, const char *dir, const char *name, char *buf, size_t size);
/* Of the device at @sysfs: the number of its IOMMU group; -errno: it is in none. */
int vfio_attr_group(const char *root, const char *sysfs, u32 *number) __must_check;
bool vfio_attr_exists(const char *root, const char *dir, const char *name);
/* Call @fn with each entry of @dir, in no order, until it returns other than 0, which is returned
 * then. 0: all were seen, or there is no such directory. */
int vfio_attr_each(const char *root, const char *dir, int (*fn)(void *opaque, const char *entry),
		   void *opaque);

#endif
