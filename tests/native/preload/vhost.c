/* SPDX-License-Identifier: MIT */
/* Preloaded into lkvm: the host's kernel has vhost. */
#define _GNU_SOURCE
#include "../../lib/fake_vhost.h"

/* What programs call whose files may be large. */
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
