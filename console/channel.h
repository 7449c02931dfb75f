/* SPDX-License-Identifier: MIT */
/* Between channel.c, through which bytes go, and the kinds of channels. */
#ifndef LKVM_CONSOLE_CHANNEL_H
#define LKVM_CONSOLE_CHANNEL_H

#include <termios.h>

#include "lkvm/console.h"
#include "lkvm/unix.h"

struct channel;
struct port_config;

/* All but ended may be NULL. */
struct channel_ops {
	/* A read said that there is no more (0), or an errno. */
	void (*ended)(struct channel *ch, int error);
	/* Something happened on the descriptors, before it is looked at. */
	void (*event)(struct channel *ch, u32 events);
	/* The process is about to end: names and modes as they were found. */
	void (*finish)(struct channel *ch);
	/* Also of one that was opened in part; in_fd and out_fd are closed after it. */
	void (*destroy)(struct channel *ch);
};

struct channel {
	struct console con;
	const struct channel_ops *ops; /* NULL: not opened */
	const struct port_config *cfg;
	struct event_loop *loop;
	struct console_client client;
	bool has_client;

	int in_fd, out_fd; /* the same, or two; -1: none */
	struct event in_ev, out_ev;
	struct event_post resume; /* read on */
	bool open;		  /* somebody is there */
	bool starved;		  /* the client had no room: input_ready goes on */
	bool refused;		  /* there was no room for output */
	bool failing;		  /* and that was told */

	/* Sockets: while nobody is connected the listener is watched, for EPOLLIN. */
	struct unix_listener listener;
	struct event accept_ev;
	struct event_timer accept_retry;
	/* Terminals: the modes to restore; pseudo-terminals: who opens and closes the other side.
	 */
	struct termios saved;
	struct event opens_ev;
	bool linked; /* the name that was asked for is a link to it */
};

/* One with nothing behind it; never NULL. Its console's destroy frees it. */
struct channel *channel_new(struct event_loop *loop, const struct port_config *cfg);
/* From here on both, which do not block, are watched and the channel's. 0 or epoll's -errno. */
int channel_watch(struct channel *ch, int in_fd, int out_fd) __must_check;
/* Close them. */
void channel_unwatch(struct channel *ch);
/* Somebody is there, or nobody any more. */
void channel_connected(struct channel *ch, bool on);

/* The kinds: open what ch->cfg says. Print; what was opened is undone by their destroy. */
int channel_open_file(struct channel *ch) __must_check;
int channel_open_pipe(struct channel *ch) __must_check;
int channel_open_tty(struct channel *ch) __must_check;
int channel_open_pty(struct channel *ch) __must_check;
int channel_open_socket(struct channel *ch) __must_check;

#endif
