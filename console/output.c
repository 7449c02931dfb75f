/* SPDX-License-Identifier: MIT */
/* The output half of a console: what a device says goes to the terminal, keys go to another. */
#include "lkvm/console.h"
#include "lkvm/util.h"

static void output_write(struct console *con, const u8 *buf, size_t len)
{
	struct console *to = container_of(con, struct console_output, con)->to;

	to->ops->write(to, buf, len);
}

static void output_set_client(struct console *con, const struct console_client *client) {}
static void output_nothing(struct console *con) {}

static const struct console_ops output_ops = {
	.write = output_write,
	.set_client = output_set_client,
	.input_ready = output_nothing,
	.destroy = output_nothing,
};

void console_output_init(struct console_output *o, struct console *to)
{
	o->con.ops = &output_ops;
	o->to = to;
}
