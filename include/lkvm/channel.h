/* SPDX-License-Identifier: MIT */
/* Consoles beside lkvm's own terminal (console/channel*.c): what --port names. */
#ifndef LKVM_CHANNEL_H
#define LKVM_CHANNEL_H

#include "lkvm/console.h"

struct port_config;

/*
 * Open what @cfg (which outlives it) names and serve it by @loop, which does not run yet. Prints
 * what is wrong; 0 or -errno. The caller owns *out: its destroy takes away the names that were
 * made, and so does its finish.
 */
int channel_open(struct event_loop *loop, const struct port_config *cfg,
		 struct console **out) __must_check;

#endif
