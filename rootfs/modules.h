/* SPDX-License-Identifier: MIT */
/*
 * The loadable modules of a kernel: which of its parts are in the kernel, which are files in its
 * directory of modules, and in which order these are loaded. What depmod(8) wrote there is
 * believed, but not where it leads out of the directory or around in a circle.
 */
#ifndef LKVM_ROOTFS_MODULES_H
#define LKVM_ROOTFS_MODULES_H

#include "lkvm/types.h"

/* More than any guest's devices need; what is in the lists of depmod cannot make it more. */
#define MODULES_MAX 256

struct module_path {
	const char *path; /* below the directory; not terminated, in the list's text */
	size_t len;
};

struct modules {
	char *dir; /* NULL: there is none */
	char *dep, *builtin;
	struct module_path seen[MODULES_MAX];
	u32 nr_seen;
	u16 order[MODULES_MAX]; /* of loading: what a module needs comes before it */
	u32 nr_order;
};

/* Is @dir the directory of modules of a kernel? */
bool modules_are_in(const char *dir);
/*
 * Read the lists of @dir, which may be NULL. Prints; 0 or -errno. To be closed in any case.
 */
int modules_open(struct modules *m, const char *dir) __must_check;
void modules_close(struct modules *m);
/* Is it known what the kernel has built in? */
bool modules_know(const struct modules *m);
/* Has the kernel the part called @name ("9p"), built in or loadable? Yes, if that is not known. */
bool modules_have(const struct modules *m, const char *name);
/*
 * It is needed: where it is a file, that one and all it depends on are to be loaded. Nothing
 * happens for what the kernel has built in, or has not. Prints; 0, -EINVAL or -E2BIG.
 */
int modules_want(struct modules *m, const char *name) __must_check;

/* rootfs/module-file.c */

/*
 * The module number @i in the order of loading, unpacked if that is possible here: a name for it
 * and its bytes, both to be freed. Prints; 0 or -errno.
 */
int modules_read(const struct modules *m, u32 i, char **name, u8 **data, size_t *len) __must_check;

#endif
