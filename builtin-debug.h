/* SPDX-License-Identifier: MIT */
/* Between builtin-debug.c and builtin-debug-core.c. */
#ifndef LKVM_BUILTIN_DEBUG_H
#define LKVM_BUILTIN_DEBUG_H

#include "lkvm/control-client.h"

/* Write a core file of the machine's guest to @path, which must not exist. Prints; 0 or -errno, and
 * then there is no file. */
int debug_write_core(struct control_link *link, const char *path) __must_check;

#endif
