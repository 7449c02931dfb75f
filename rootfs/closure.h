/* SPDX-License-Identifier: MIT */
/* A program with all that it needs to run, as files of an initramfs. */
#ifndef LKVM_ROOTFS_CLOSURE_H
#define LKVM_ROOTFS_CLOSURE_H

#include "lkvm/types.h"

struct cpio;

/* Everything that was added, so that nothing is twice. */
struct closure {
	struct cpio *cpio;
	char **paths; /* owned */
	u32 nr_paths;
};

/*
 * The program @name of this host, a path or one of PATH, its interpreter and its libraries, each
 * under its own path with the directories above. Prints; 0 or -errno.
 */
int closure_add_program(struct closure *cl, const char *name) __must_check;
/* A shell: busybox, if there is one, for its other commands; else sh. In the same way. */
int closure_add_shell(struct closure *cl) __must_check;
/* A directory, with those above it. */
void closure_add_dir(struct closure *cl, const char *path);
void closure_free(struct closure *cl);

#endif
