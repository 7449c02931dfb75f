/* SPDX-License-Identifier: MIT */
/* What is in the file that a disk option names. */
#ifndef LKVM_DISK_FORMAT_H
#define LKVM_DISK_FORMAT_H

#include "file.h"
#include "lkvm/config.h"

/*
 * What @f is: what the user (or an image that the user trusts) said, else what it looks like; never
 * DISK_FORMAT_AUTO. @insist: how to say it, for messages. Prints what it is if that is not
 * supported, and the remedy; 0 or -EINVAL.
 */
int disk_find_format(const struct disk_file *f, enum disk_format said, const char *insist,
		     enum disk_format *out) __must_check;

#endif
