/* SPDX-License-Identifier: MIT */
/* A console between a device and its own: whoever watches sees what the guest writes. */
#include "lkvm/console.h"
#include "lkvm/util.h"

static struct console_watch *to_watch(struct console *con)
{
	return container_of(con, struct console_watch, con);
}

/* Shown first: what follows from it may be that the machine ends. */
static void watch_write(struct console *con, const u8 *buf, size_t len)
{
	struct console_watch *w = to_watch(con);

	w->to->ops->write(w->to, buf, len);
	w->seen(w->opaque, w->nr, buf, len);
}

/* What is not taken is offered again. */
static size_t watch_offer(struct console *con, const u8 *buf, size_t len)
{
	struct console_watch *w = to_watch(con);
	size_t n = console_offer(w->to, buf, len);

	if (n)
		w->seen(w->opaque, w->nr, buf, n);
	return n;
}

static void watch_set_client(struct console *con, const struct console_client *client)
{
	struct console *to = to_watch(con)->to;

	to->ops->set_client(to, client);
}

static void watch_input_ready(struct console *con)
{
	struct console *to = to_watch(con)->to;

	to->ops->input_ready(to);
}

/* The other one is somebody's, who ends it. */
static void watch_nothing(struct console *con) {}

static const struct console_ops watch_ops = {
	.write = watch_write,
	.set_client = watch_set_client,
	.input_ready = watch_input_ready,
	.finish = watch_nothing,
	.destroy = watch_nothing,
	.offer = watch_offer,
};

void console_watch_init(struct console_watch *w, struct console *to, u32 nr,
			void (*seen)(void *opaque, u32 nr, const u8 *buf, size_t len), void *opaque)
{
	*w = (struct console_watch){
		.con.ops = &watch_ops, .to = to, .nr = nr, .seen = seen, .opaque = opaque
	};
}
