/* SPDX-License-Identifier: MIT */
/* The last words of a guest's console, kept in a ring (see lkvm/guest-command.h). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/guest-command.h"
#include "lkvm/util.h"

#define KEPT 4096

/* Before a guest is reset more may follow these words than is kept. */
static const char panic_words[] = "Kernel panic - not syncing";

struct kept {
	struct console con;
	bool live;
	pthread_mutex_t lock;
	u64 total;
	u32 matched; /* of panic_words, up to the last byte; all of them: it panicked */
	char ring[KEPT];
};

static struct kept *to_kept(struct console *con)
{
	return container_of(con, struct kept, con);
}

/* Their first letter is not among the others: so where they break off only it can begin anew. */
static void look_for_panic(struct kept *k, char c)
{
	if (panic_words[k->matched])
		k->matched = c == panic_words[k->matched] ? k->matched + 1 : c == panic_words[0];
}

static void kept_write(struct console *con, const u8 *buf, size_t len)
{
	struct kept *k = to_kept(con);

	pthread_mutex_lock(&k->lock);
	if (k->live && write(STDERR_FILENO, buf, len) < 0)
		k->live = false;
	for (size_t i = 0; i < len; i++) {
		look_for_panic(k, (char)buf[i]);
		k->ring[k->total++ % KEPT] = (char)buf[i];
	}
	pthread_mutex_unlock(&k->lock);
}

void kept_console_show(struct console *con)
{
	struct kept *k = to_kept(con);
	u64 at = k->total > KEPT ? k->total - KEPT : 0;
	char line[256];
	size_t len = 0;

	if (k->live)
		return;
	pthread_mutex_lock(&k->lock);
	for (; at <= k->total; at++) {
		char c = at < k->total ? k->ring[at % KEPT] : '\n';

		if (c != '\n' && len < sizeof(line) - 1) {
			line[len++] = c == '\r' ? ' ' : c;
			continue;
		}
		line[len] = '\0';
		text_mask(line);
		if (len)
			fprintf(stderr, "  | %s\n", line);
		len = 0;
	}
	pthread_mutex_unlock(&k->lock);
}

bool kept_console_panicked(struct console *con)
{
	const struct kept *k = to_kept(con);

	return !panic_words[k->matched];
}

static void kept_set_client(struct console *con, const struct console_client *client) {}
static void kept_nothing(struct console *con) {}

static void kept_destroy(struct console *con)
{
	struct kept *k = to_kept(con);

	pthread_mutex_destroy(&k->lock);
	free(k);
}

static const struct console_ops kept_ops = {
	.write = kept_write,
	.set_client = kept_set_client,
	.input_ready = kept_nothing,
	.finish = kept_nothing,
	.destroy = kept_destroy,
};

struct console *kept_console_new(bool live)
{
	struct kept *k = xcalloc(1, sizeof(*k));

	k->con.ops = &kept_ops;
	k->live = live;
	pthread_mutex_init(&k->lock, NULL);
	return &k->con;
}
