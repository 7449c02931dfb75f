/* SPDX-License-Identifier: MIT */
/* What is in the file that a disk option names. */
#ifndef LKVM_DISK_FORMAT_H
#define LKVM_DISK_FORMAT_H

#include "lkvm/types.h"

struct disk_config;

/* Is @fd, of @size bytes, a raw disk, or does the user say so? Prints what it is and the remedy; 0
 * or -EINVAL. */
int disk_check_format(const struct disk_config *cfg, int fd, u64 size) __must_check;

#endif
