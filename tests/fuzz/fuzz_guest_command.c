/* SPDX-License-Identifier: MIT */
/*
 * console/guest-command.c against a guest whose init says anything, in any pieces, while standard
 * input, signals and a reader of the output come and go. What the guest is told is a stream of
 * whole messages, never asks for more output than is kept, and sends no more input than was asked
 * for.
 */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "fuzz.h"
#include "lkvm/guest-command.h"
#include "lkvm/guest-link.h"
#include "lkvm/util.h"

#define MAX_OPS 512
#define KEPT	49152

static struct event_loop loop;
static struct guest_command *gc;
static struct console_client input;
static int out, status;
static bool over;
static size_t room;
/* What the guest was told, as far as it is no whole message yet. */
static u8 told[32768];
static size_t nr_told;
/* What it may send of each stream (below zero: it did before it was told), and get of standard
 * input. */
static s64 granted[LINK_NR_STREAMS];
static u64 asked;
/* Its message at hand, whose pieces may be of different steps. */
static struct {
	struct link_head head;
	size_t head_len, body_len;
	u8 number[4];
} sent;

static void term_set_client(struct console *con, const struct console_client *client)
{
	if (client)
		input = *client;
}
static void term_nothing(struct console *con) {}
static const struct console_ops term_ops = {
	.set_client = term_set_client,
	.input_ready = term_nothing,
};
static struct console term = { .ops = &term_ops };

static void check_message(const struct link_head *head, const u8 *body)
{
	fz_check(head->stream < LINK_NR_STREAMS && !head->zero);
	switch (head->type) {
	case LINK_WINDOW:
		fz_check(head->len == 4 && head->stream);
		granted[head->stream] += (s64)get_le(body, 4);
		fz_check(granted[head->stream] <= KEPT);
		break;
	case LINK_DATA:
		fz_check(head->stream == LINK_STDIN && head->len <= asked);
		asked -= head->len;
		break;
	case LINK_START:
		fz_check(head->len == sizeof(struct link_start));
		break;
	default:
		fz_check(head->type >= LINK_SIGNAL && head->type <= LINK_CLOSED && head->len <= 4);
	}
}

static size_t port_room(void *opaque)
{
	return room;
}

static void port_input(void *opaque, const u8 *buf, size_t len)
{
	struct link_head head;

	fz_check(len && len <= room && nr_told + len <= sizeof(told));
	room -= len;
	memcpy(told + nr_told, buf, len);
	nr_told += len;
	while (nr_told >= sizeof(head)) {
		memcpy(&head, told, sizeof(head));
		fz_check(head.len <= 4088);
		if (nr_told < sizeof(head) + head.len)
			break;
		check_message(&head, told + sizeof(head));
		nr_told -= sizeof(head) + head.len;
		memmove(told, told + sizeof(head) + head.len, nr_told);
	}
}

static const struct console_client client = { .room = port_room, .input = port_input };

static void on_ended(void *opaque, int code)
{
	fz_check(!over && code >= 0 && code < 256);
	over = true;
	status = code;
}

static void account_body(const u8 *p, size_t len)
{
	u8 i = sent.head.stream;

	for (size_t at = 0; at < len && sent.body_len + at < sizeof(sent.number); at++)
		sent.number[sent.body_len + at] = p[at];
	sent.body_len += len;
	if (sent.head.type == LINK_DATA && i < LINK_NR_STREAMS)
		granted[i] -= (s64)len;
	if (sent.body_len < sent.head.len)
		return;
	if (sent.head.type == LINK_WINDOW && i == LINK_STDIN)
		asked += get_le(sent.number, 4);
	sent.head_len = sent.body_len = 0;
}

/* Says bytes, and keeps the accounts of what a guest that understands itself would know. */
static void say(const u8 *p, size_t len)
{
	const u8 *end = p + len;

	fz_check(console_offer(guest_command_port(gc), p, len) == len);
	while (p < end || (sent.head_len == sizeof(sent.head) && !sent.head.len)) {
		size_t n = MIN((size_t)(end - p), sizeof(sent.head) - sent.head_len);

		if (sent.head_len < sizeof(sent.head)) {
			memcpy((u8 *)&sent.head + sent.head_len, p, n);
			sent.head_len += n;
		} else {
			n = MIN((size_t)(end - p), sent.head.len - sent.body_len);
			account_body(p, n);
		}
		p += n;
	}
}

/* A message with a head that is mostly a good one, whole or cut off. */
static void send_message(struct fz *f)
{
	static const u8 types[] = { LINK_HELLO, LINK_RUNNING, LINK_EXIT, LINK_WINDOW,
				    LINK_DATA,	LINK_DATA,    LINK_EOF,	 LINK_CLOSED };
	static u8 bytes[sizeof(struct link_head) + 65536];
	u8 how = fz_u8(f), type = types[how & 7];
	struct link_head head = { .type = type, .stream = fz_u8(f) & (how & 8 ? 255 : 3) };
	u32 len = type == LINK_DATA ? fz_u16(f) : how & 16 ? fz_u8(f) : 4, cut;

	head.len = how & 32 ? fz_u32(f) : len;
	memcpy(bytes, &head, sizeof(head));
	memset(bytes + sizeof(head), 0, len);
	put_le(bytes + sizeof(head), 4, fz_u16(f));
	cut = how & 64 ? fz_u16(f) % (len + 8) : len + 8;
	say(bytes, cut);
	if (!(how & 128))
		say(bytes + cut, len + 8 - cut);
}

static void drain(void)
{
	static u8 buf[65536];

	while (out >= 0 && read(out, buf, sizeof(buf)) > 0)
		;
}

static void feed(struct fz *f)
{
	size_t n = MIN(input.room(input.opaque), (size_t)fz_u16(f));
	static const u8 data[4096];

	if (n)
		input.input(input.opaque, data, n);
}

static void step(struct fz *f)
{
	u8 op = fz_u8(f), bytes[16];

	switch (op & 7) {
	case 0:
	case 1:
		send_message(f);
		break;
	case 2:
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = fz_u8(f);
		say(bytes, op >> 4);
		break;
	case 3:
		feed(f);
		break;
	case 4:
		input.resized(input.opaque, fz_u16(f), fz_u16(f));
		break;
	case 5:
		guest_command_signal(gc, (s8)fz_u8(f));
		break;
	case 6:
		if (op & 8)
			input.ended(input.opaque);
		drain();
		break;
	case 7:
		room += fz_u16(f);
		guest_command_port(gc)->ops->input_ready(guest_command_port(gc));
	}
	while (event_loop_drain(&loop))
		;
}

/* Both outputs are a pipe that is read now and then. */
static void begin(void)
{
	int saved[2] = { dup(1), dup(2) }, ends[2];

	fz_check(!pipe2(ends, O_CLOEXEC | O_NONBLOCK));
	out = ends[0];
	over = false;
	status = -1;
	room = nr_told = 0;
	asked = 0;
	memset(&sent, 0, sizeof(sent));
	memset(granted, 0, sizeof(granted));
	fflush(stdout);
	for (int i = 0; i < 2; i++)
		dup2(ends[1], i + 1);
	fz_check(!event_loop_init(&loop, "fuzz"));
	fz_check(!guest_command_create(&loop, &term, on_ended, NULL, &gc));
	for (int i = 0; i < 2; i++) {
		dup2(saved[i], i + 1);
		close(saved[i]);
	}
	close(ends[1]);
	guest_command_port(gc)->ops->set_client(guest_command_port(gc), &client);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);

	signal(SIGPIPE, SIG_IGN);
	begin();
	for (int i = 0; i < MAX_OPS && fz_more(&f); i++)
		step(&f);
	fz_check(over == (guest_command_status(gc) >= 0) || !over);
	/* Or what is left of the output would be waited for. */
	close(out);
	guest_command_destroy(gc);
	event_loop_destroy(&loop);
	return 0;
}
