/* SPDX-License-Identifier: MIT */
/* Between disk/open.c, which names and checks the file, and disk/raw.c, which reads and writes it.
 */
#ifndef LKVM_DISK_RAW_H
#define LKVM_DISK_RAW_H

#include <sys/stat.h>

#include "lkvm/disk.h"

/*
 * A raw image over @fd, a regular file or a block device, described by @st. With @direct, @fd was
 * opened with O_DIRECT. Takes @fd on success. Prints what is wrong; 0 or -errno.
 */
int raw_disk_create(const struct disk_config *cfg, int fd, const struct stat *st,
		    struct disk **out) __must_check;

#endif
