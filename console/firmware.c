/* SPDX-License-Identifier: MIT */
/*
 * A console that firmware calls of the guest share with the device before it. Input is the
 * device's as long as it takes any: a caller gets what comes while the device has no room, and no
 * more of it than it asked for in vain, so that little is lost when the device's driver takes over.
 */
#include "lkvm/console.h"
#include "lkvm/util.h"

static struct console_firmware *to_firmware(struct console *con)
{
	return container_of(con, struct console_firmware, con);
}

static void lock(struct console_firmware *f)
{
	pthread_mutex_lock(&f->lock);
}

static void unlock(struct console_firmware *f)
{
	pthread_mutex_unlock(&f->lock);
}

/* Towards the device */

static void firmware_con_write(struct console *con, const u8 *buf, size_t len)
{
	struct console *to = to_firmware(con)->to;

	to->ops->write(to, buf, len);
}

static size_t firmware_con_offer(struct console *con, const u8 *buf, size_t len)
{
	return console_offer(to_firmware(con)->to, buf, len);
}

static void firmware_con_input_ready(struct console *con)
{
	struct console *to = to_firmware(con)->to;

	to->ops->input_ready(to);
}

/* From behind: what the device is told, with a part of it kept here. */

static size_t on_room(void *opaque)
{
	struct console_firmware *f = opaque;
	size_t room = f->client.room(f->client.opaque);

	/* Not remembered from when it fell asleep: that may be at any moment of this. */
	f->wakes = f->sleeper.asleep(f->sleeper.opaque);
	if (f->wakes)
		return 1;
	f->for_device = room;
	lock(f);
	if (room)
		f->wanted = 0;
	else
		room = f->wanted;
	unlock(f);
	return room;
}

static void on_input(void *opaque, const u8 *buf, size_t len)
{
	struct console_firmware *f = opaque;
	size_t n;

	if (f->wakes) {
		f->sleeper.wake(f->sleeper.opaque);
		return;
	}
	if (f->for_device) {
		f->client.input(f->client.opaque, buf, len);
		return;
	}
	lock(f);
	n = MIN(len, sizeof(f->kept) - f->nr_kept);
	memcpy(f->kept + f->nr_kept, buf, n);
	f->nr_kept += n;
	f->wanted -= MIN(f->wanted, n);
	unlock(f);
}

static void on_ended(void *opaque)
{
	const struct console_client *client = &((struct console_firmware *)opaque)->client;

	client->ended(client->opaque);
}

static bool on_interrupted(void *opaque)
{
	const struct console_client *client = &((struct console_firmware *)opaque)->client;

	return client->interrupted(client->opaque);
}

static void on_resized(void *opaque, u16 cols, u16 rows)
{
	const struct console_client *client = &((struct console_firmware *)opaque)->client;

	client->resized(client->opaque, cols, rows);
}

static void on_connected(void *opaque, bool on)
{
	const struct console_client *client = &((struct console_firmware *)opaque)->client;

	client->connected(client->opaque, on);
}

static void on_writable(void *opaque)
{
	const struct console_client *client = &((struct console_firmware *)opaque)->client;

	client->writable(client->opaque);
}

/* What the device does not want to hear, nobody is told. */
static void firmware_set_client(struct console *con, const struct console_client *client)
{
	struct console_firmware *f = to_firmware(con);
	struct console_client mine = { .room = on_room, .input = on_input, .opaque = f };

	if (!client) {
		f->to->ops->set_client(f->to, NULL);
		return;
	}
	f->client = *client;
	mine.ended = client->ended ? on_ended : NULL;
	mine.interrupted = client->interrupted ? on_interrupted : NULL;
	mine.resized = client->resized ? on_resized : NULL;
	mine.connected = client->connected ? on_connected : NULL;
	mine.writable = client->writable ? on_writable : NULL;
	f->to->ops->set_client(f->to, &mine);
}

/* The other one is somebody's, who ends it. */
static void firmware_nothing(struct console *con) {}

static const struct console_ops firmware_ops = {
	.write = firmware_con_write,
	.set_client = firmware_set_client,
	.input_ready = firmware_con_input_ready,
	.finish = firmware_nothing,
	.destroy = firmware_nothing,
	.offer = firmware_con_offer,
};

void console_firmware_init(struct console_firmware *f, struct console *to,
			   const struct console_sleeper *sleeper)
{
	*f = (struct console_firmware){ .con.ops = &firmware_ops, .to = to, .sleeper = *sleeper };
	pthread_mutex_init(&f->lock, NULL);
}

/* Towards the firmware */

void console_firmware_write(struct console_firmware *f, const u8 *buf, size_t len)
{
	f->to->ops->write(f->to, buf, len);
}

size_t console_firmware_read(struct console_firmware *f, u8 *buf, size_t len)
{
	bool ask = false;
	size_t n;

	lock(f);
	n = MIN(len, f->nr_kept);
	memcpy(buf, f->kept, n);
	f->nr_kept -= n;
	memmove(f->kept, f->kept + n, f->nr_kept);
	if (!n && !f->wanted) {
		f->wanted = MIN(len, sizeof(f->kept));
		ask = f->wanted;
	}
	unlock(f);
	if (ask)
		f->to->ops->input_ready(f->to);
	return n;
}

/* Who had no room for more was not asked since. */
void console_firmware_await_key(struct console_firmware *f)
{
	f->to->ops->input_ready(f->to);
}
