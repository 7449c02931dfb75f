/* SPDX-License-Identifier: MIT */
/* Between builtin-stat.c and its views. */
#ifndef LKVM_BUILTIN_STAT_H
#define LKVM_BUILTIN_STAT_H

#include "lkvm/control-client.h"

/* builtin-stat-exits.c: the exits of the machine at @link, since it began; and again every @seconds
 * with what came meanwhile, until it has gone. 0: once. 0 or -errno (printed). */
int stat_show_exits(struct control_link *link, u32 seconds);

#endif
