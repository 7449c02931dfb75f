/* SPDX-License-Identifier: MIT */
/* Channels of all kinds (see include/lkvm/channel.h). */
#include "lkvm/channel.h"

#include "channel.h"
#include "lkvm/config.h"

int channel_open(struct event_loop *loop, const struct port_config *cfg, struct console **out)
{
	static int (*const openers[])(struct channel * ch) = {
		[PORT_FILE] = channel_open_file,     [PORT_PIPE] = channel_open_pipe,
		[PORT_TTY] = channel_open_tty,	     [PORT_PTY] = channel_open_pty,
		[PORT_SOCKET] = channel_open_socket,
	};
	struct channel *ch = channel_new(loop, cfg);
	int ret = openers[cfg->kind](ch);

	if (ret)
		ch->con.ops->destroy(&ch->con);
	else
		*out = &ch->con;
	return ret;
}
