/* SPDX-License-Identifier: MIT */
/*
 * A directory of the host's as a Linux guest's root file system (rootfs/): shared by 9P or
 * virtio-fs, with a small initramfs that holds the built-in init (lkvm/guest-init.h), the kernel's
 * modules that are needed to reach it, and what is to be done there.
 */
#ifndef LKVM_ROOTFS_H
#define LKVM_ROOTFS_H

#include "lkvm/types.h"

struct vm_config;

/* guest/embed.S: the init, a static program for Linux on this architecture. */
extern const u8 guest_init_image[];
extern const u32 guest_init_image_len;

/*
 * Make the directory @dir a root that has files of its own for what a user changes, and links into
 * /host for programs and libraries, which are the host's (config_root_path). @dir must not exist;
 * nothing is left behind after a failure. Prints; 0 or -errno.
 */
int rootfs_setup(const char *dir, const char *hostname) __must_check;
/* Will rootfs_prepare make something of @cfg (complete)? 1 or 0; or -errno (printed): the kernel
 * cannot be read. */
int rootfs_wanted(const struct vm_config *cfg) __must_check;
/*
 * Before the machine of @cfg (complete) is opened: where a directory or a command was asked for, or
 * where a Linux kernel would have no root at all, make the initramfs (cfg->root.image) and add the
 * share. Anything else is left alone. Prints; 0 or -errno.
 */
int rootfs_prepare(struct vm_config *cfg) __must_check;

#endif
