/* SPDX-License-Identifier: MIT */
/*
 * Why the kernel refused to open a file or a device: found out by looking at it, since the error
 * alone does not tell a file's mode from a container's rules. For messages; nothing is opened but
 * what /etc and /proc say.
 */
#ifndef LKVM_ACCESS_H
#define LKVM_ACCESS_H

#include <sys/types.h>

#include "lkvm/types.h"

#define ACCESS_WHY_LEN 320

/* Who asks. */
struct access_who {
	uid_t uid;
	const gid_t *groups; /* the effective one, too */
	size_t nr_groups;
	bool override; /* CAP_DAC_OVERRIDE: modes do not count */
};

/*
 * What stands in the way of opening @path for @want (R_OK, W_OK, both), after @error (EACCES or
 * EPERM), and the remedy: "it is for group 'kvm'; ...". @who NULL: this process. Files are looked
 * for below @root ("" for the host itself), and @path is shown without it. @buf is returned.
 */
const char *access_why(const char *root, const struct access_who *who, const char *path, int want,
		       int error, char *buf, size_t len);

/*
 * Has the kernel a driver for the misc device @name ("kvm", "tun"), whether or not its node is
 * there? 1 or 0; -ENOENT: neither /proc/misc nor /sys tells.
 */
int access_misc_driver(const char *root, const char *name);

#endif
