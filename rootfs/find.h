/* SPDX-License-Identifier: MIT */
/* Where the modules of a kernel are. */
#ifndef LKVM_ROOTFS_FIND_H
#define LKVM_ROOTFS_FIND_H

#include "lkvm/types.h"

struct vm_config;

/*
 * The directory of modules of the kernel @cfg->kernel, which is Linux @release (empty: nobody
 * knows). *dir is the caller's; NULL: there is none. Prints where --modules names none; 0 or
 * -ENOENT.
 */
int find_modules(const struct vm_config *cfg, const char *release, char **dir) __must_check;

#endif
