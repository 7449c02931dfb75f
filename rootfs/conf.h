/* SPDX-License-Identifier: MIT */
/* What the guest's init is told: the entries of its files (lkvm/guest-init.h). */
#ifndef LKVM_ROOTFS_CONF_H
#define LKVM_ROOTFS_CONF_H

#include "lkvm/types.h"

struct vm_config;

/* Entries that each end with NUL. */
struct conf {
	char *text; /* owned */
	size_t len;
};

void conf_add(struct conf *c, const char *name, const char *value);
/* An entry as it is. */
void conf_add_entry(struct conf *c, const char *entry);
/* What does not depend on how the root is reached: where to begin, the environment, shells. */
void conf_add_session(struct conf *c, const struct vm_config *cfg);

#endif
