/* SPDX-License-Identifier: MIT */
/*
 * The host's side of the link with lkvm's init (lkvm/guest-link.h): messages of the guest are taken
 * apart here, and bounded: what it sends beyond the room that it was given, or out of its turn,
 * ends the machine. What there is to say is kept as flags and counts, never as a list, so a guest
 * that does not listen costs nothing.
 */
#include "lkvm/guest-command.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/guest-link.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "outq.h"
#include "tty.h"

#define HEAD	 sizeof(struct link_head)
#define PIECE	 4096 /* a buffer of Linux's driver is a page */
#define OUT_SIZE (4 * PIECE)
/* Of messages that are not passed on as they come: text, at most. */
#define KEEP (sizeof(struct link_exit) + 1024)
/* Room is told of when there is that much more of it. */
#define GRANT_STEP 16384u

enum phase { WAITING, STARTED, RUNNING, ENDED, OVER };

struct guest_command {
	struct console con;
	struct event_loop *loop;
	struct console *term;
	void (*ended)(void *opaque, int status);
	void *opaque;
	struct console_client client;
	bool has_client;
	enum phase phase;
	int status;

	u32 terminals; /* BIT(enum link_stream) */
	struct outq out[LINK_NR_STREAMS];
	u32 window[LINK_NR_STREAMS]; /* what the guest may send of each; of input, we */
	bool made[LINK_NR_STREAMS];  /* there is an out */
	u32 closed;		     /* BIT(stream): it was lost, which is told */

	/* From the guest: the message at hand. */
	struct link_head head;
	size_t head_len, body_len;
	u8 body[KEEP];

	/* To the guest: what is to be said, and what goes out now. */
	struct {
		bool start, eof, size;
		u32 signals; /* BIT(number) */
		u32 closed;  /* BIT(stream) */
		u32 grant[LINK_NR_STREAMS];
	} news;
	u16 cols, rows;
	bool eof; /* of standard input; told after all of it */
	bool starved;
	bool signalled;
	struct event_post push;
	size_t out_at, out_len;
	u8 out_buf[OUT_SIZE];
};

static struct guest_command *to_command(struct console *con)
{
	return container_of(con, struct guest_command, con);
}

/* To the guest */

static void put_message(struct guest_command *gc, u8 type, u8 stream, const void *data, size_t len)
{
	struct link_head head = {
		.len = cpu_to_le32((u32)len),
		.type = type,
		.stream = stream,
	};

	memcpy(gc->out_buf + gc->out_len, &head, HEAD);
	if (len)
		memcpy(gc->out_buf + gc->out_len + HEAD, data, len);
	gc->out_len += HEAD + len;
}

static struct link_size size_of(const struct guest_command *gc)
{
	return (struct link_size){ cpu_to_le16(gc->cols), cpu_to_le16(gc->rows) };
}

static void put_start(struct guest_command *gc)
{
	struct link_start start = {
		.version = cpu_to_le32(LINK_VERSION),
		.terminals = cpu_to_le32(gc->terminals),
		.size = size_of(gc),
	};

	put_message(gc, LINK_START, 0, &start, sizeof(start));
}

static void put_streams(struct guest_command *gc)
{
	for (u32 i = 0; i < LINK_NR_STREAMS; i++) {
		struct link_window window = { cpu_to_le32(gc->news.grant[i]) };

		if (gc->news.closed & BIT(i))
			put_message(gc, LINK_CLOSED, (u8)i, NULL, 0);
		if (gc->news.grant[i])
			put_message(gc, LINK_WINDOW, (u8)i, &window, sizeof(window));
		gc->news.grant[i] = 0;
	}
	gc->news.closed = 0;
}

/* All that there is to say, which fits into the buffer. */
static void put_news(struct guest_command *gc)
{
	struct link_size size = size_of(gc);

	gc->out_at = gc->out_len = 0;
	if (gc->phase == WAITING || gc->phase >= ENDED)
		return;
	if (gc->news.start)
		put_start(gc);
	gc->news.start = false;
	for (u32 sig = 1; sig < 32; sig++) {
		struct link_signal msg = { cpu_to_le32(sig) };

		if (gc->news.signals & BIT(sig))
			put_message(gc, LINK_SIGNAL, 0, &msg, sizeof(msg));
	}
	gc->news.signals = 0;
	if (gc->news.size)
		put_message(gc, LINK_SIZE, 0, &size, sizeof(size));
	gc->news.size = false;
	put_streams(gc);
	if (gc->news.eof)
		put_message(gc, LINK_EOF, LINK_STDIN, NULL, 0);
	gc->news.eof = false;
}

static void on_push(void *opaque)
{
	struct guest_command *gc = opaque;

	while (gc->has_client) {
		size_t n;

		if (gc->out_at == gc->out_len)
			put_news(gc);
		if (gc->out_at == gc->out_len)
			break;
		n = MIN(gc->client.room(gc->client.opaque), gc->out_len - gc->out_at);
		if (!n)
			return;
		gc->client.input(gc->client.opaque, gc->out_buf + gc->out_at, n);
		gc->out_at += n;
	}
	if (gc->starved) {
		gc->starved = false;
		gc->term->ops->input_ready(gc->term);
	}
}

/* Not at once: whoever calls may be the device, in the middle of something. */
static void push_soon(struct guest_command *gc)
{
	event_loop_post(gc->loop, &gc->push);
}

/* Standard input */

static size_t input_room(void *opaque)
{
	struct guest_command *gc = opaque;
	size_t room = OUT_SIZE - (gc->out_at < gc->out_len ? gc->out_len : 0);

	gc->starved = true;
	if (!gc->has_client || gc->phase != RUNNING || !gc->window[LINK_STDIN] || room <= HEAD)
		return 0;
	gc->starved = false;
	room = MIN(room, (size_t)PIECE) - HEAD;
	return MIN((size_t)gc->window[LINK_STDIN], room);
}

static void input_data(void *opaque, const u8 *buf, size_t len)
{
	struct guest_command *gc = opaque;

	if (gc->out_at == gc->out_len)
		gc->out_at = gc->out_len = 0;
	put_message(gc, LINK_DATA, LINK_STDIN, buf, len);
	gc->window[LINK_STDIN] -= (u32)len;
	push_soon(gc);
}

static void input_ended(void *opaque)
{
	struct guest_command *gc = opaque;

	gc->news.eof = true;
	push_soon(gc);
}

/* As long as nobody in the guest hears of it: as if the terminal were not raw. */
static bool input_interrupted(void *opaque)
{
	const struct guest_command *gc = opaque;

	return gc->phase < RUNNING && !kill(getpid(), SIGINT);
}

static void input_resized(void *opaque, u16 cols, u16 rows)
{
	struct guest_command *gc = opaque;

	gc->cols = cols;
	gc->rows = rows;
	gc->news.size = gc->phase >= STARTED;
	push_soon(gc);
}

/* Output */

static const char *const stream_names[] = {
	[LINK_STDIN] = "standard input",
	[LINK_STDOUT] = "standard output",
	[LINK_STDERR] = "standard error",
	[LINK_TERMINAL] = "the terminal",
};

/* A reader that has gone is no failure: the command hears of it, as in a pipeline. */
static void look_for_loss(struct guest_command *gc, u32 i)
{
	int error = outq_lost(&gc->out[i]);

	if (!error || (gc->closed & BIT(i)))
		return;
	gc->closed |= BIT(i);
	gc->news.closed |= BIT(i);
	if (error != EPIPE && error != EBADF && error != EIO)
		err("cannot write to %s: %s; it is closed to the command", stream_names[i],
		    strerror(error));
	push_soon(gc);
}

static void grant(struct guest_command *gc, u32 i)
{
	size_t room = outq_room(&gc->out[i]);
	u32 more = room > gc->window[i] ? (u32)room - gc->window[i] : 0;

	if (more < GRANT_STEP)
		return;
	gc->window[i] += more;
	gc->news.grant[i] += more;
	push_soon(gc);
}

static bool all_drained(struct guest_command *gc)
{
	bool drained = true;

	for (u32 i = 0; i < LINK_NR_STREAMS; i++)
		if (gc->made[i] && !outq_drained(&gc->out[i]))
			drained = false;
	return drained;
}

/* Once, and only when no more output is on its way. */
static void end_when_drained(struct guest_command *gc)
{
	if (gc->phase != ENDED || !all_drained(gc))
		return;
	gc->phase = OVER;
	gc->ended(gc->opaque, gc->status);
}

/* An outq wrote what it had, or can write no more. */
static void on_room(void *opaque)
{
	struct guest_command *gc = opaque;

	for (u32 i = 0; i < LINK_NR_STREAMS; i++) {
		if (!gc->made[i])
			continue;
		look_for_loss(gc, i);
		if (gc->phase == STARTED || gc->phase == RUNNING)
			grant(gc, i);
	}
	end_when_drained(gc);
}

/* From the guest */

static void end_with(struct guest_command *gc, int status)
{
	gc->phase = ENDED;
	gc->status = status;
	end_when_drained(gc);
}

static void break_off(struct guest_command *gc, const char *why)
{
	if (gc->phase >= ENDED)
		return;
	err("the guest's init %s; the machine ends", why);
	end_with(gc, EXIT_FAILURE);
}

static void on_hello(struct guest_command *gc)
{
	struct link_hello hello;

	memcpy(&hello, gc->body, sizeof(hello));
	if (gc->phase != WAITING) {
		break_off(gc, "says hello twice");
		return;
	}
	if (le32_to_cpu(hello.version) != LINK_VERSION) {
		break_off(gc, "is another lkvm's");
		return;
	}
	gc->phase = STARTED;
	gc->news.start = true;
	on_room(gc);
	push_soon(gc);
}

static void on_exit_message(struct guest_command *gc)
{
	size_t len = gc->body_len - sizeof(struct link_exit);
	struct link_exit msg;

	memcpy(&msg, gc->body, sizeof(msg));
	if (len)
		err("%.*s", (int)len, (const char *)gc->body + sizeof(msg));
	end_with(gc, (int)(le32_to_cpu(msg.status) & 0xff));
}

static void on_message(struct guest_command *gc)
{
	struct link_window window;

	switch (gc->head.type) {
	case LINK_HELLO:
		on_hello(gc);
		break;
	case LINK_RUNNING:
		if (gc->phase == STARTED)
			gc->phase = RUNNING;
		push_soon(gc);
		break;
	case LINK_EXIT:
		on_exit_message(gc);
		break;
	case LINK_WINDOW:
		memcpy(&window, gc->body, sizeof(window));
		/* More than it keeps is never open. */
		if (gc->head.stream == LINK_STDIN)
			gc->window[LINK_STDIN] =
				MIN(gc->window[LINK_STDIN] + (u64)le32_to_cpu(window.bytes),
				    (u64)LINK_STDIN_ROOM);
		push_soon(gc);
		break;
	}
}

/* Of a message whose head is whole. */
static void check_head(struct guest_command *gc)
{
	static const u8 least[] = {
		[LINK_HELLO] = sizeof(struct link_hello),
		[LINK_EXIT] = sizeof(struct link_exit),
		[LINK_WINDOW] = sizeof(struct link_window),
	};
	u32 len = le32_to_cpu(gc->head.len);
	u8 i = gc->head.stream;

	if (gc->head.type == LINK_DATA) {
		if (i >= LINK_NR_STREAMS || !gc->made[i] || len > gc->window[i])
			break_off(gc, "sends output that nobody asked for");
		return;
	}
	if (len > KEEP)
		break_off(gc, "sends a message that is too long");
	else if (gc->head.type < ARRAY_SIZE(least) && len < least[gc->head.type])
		break_off(gc, "sends a message that is too short");
	else if (gc->phase == WAITING && gc->head.type != LINK_HELLO)
		break_off(gc, "does not say hello first");
}

/* The queue has room for all that the guest may send, so it takes it. */
static void pass_on(struct guest_command *gc, u32 i, const u8 *buf, size_t len)
{
	if (outq_offer(&gc->out[i], buf, len) < len)
		warn("%zu bytes of the command's output are lost", len);
	gc->window[i] -= (u32)len;
	grant(gc, i);
}

/* Output is passed on as it comes, the rest when it is whole. Returns how much of @buf that was. */
static size_t take_body(struct guest_command *gc, const u8 *buf, size_t len)
{
	u32 total = le32_to_cpu(gc->head.len);
	u8 i = gc->head.stream;

	len = MIN(len, total - gc->body_len);
	if (gc->head.type != LINK_DATA)
		memcpy(gc->body + gc->body_len, buf, len);
	else
		pass_on(gc, i, buf, len);
	gc->body_len += len;
	return len;
}

static size_t command_offer(struct console *con, const u8 *buf, size_t len)
{
	struct guest_command *gc = to_command(con);
	size_t at = 0;

	while (gc->phase < ENDED) {
		if (gc->head_len < HEAD) {
			size_t n = MIN(len - at, HEAD - gc->head_len);

			if (!n)
				break;
			memcpy((u8 *)&gc->head + gc->head_len, buf + at, n);
			gc->head_len += n;
			at += n;
			if (gc->head_len == HEAD)
				check_head(gc);
			continue;
		}
		at += take_body(gc, buf + at, len - at);
		if (gc->body_len < le32_to_cpu(gc->head.len))
			break;
		if (gc->head.type != LINK_DATA)
			on_message(gc);
		else
			look_for_loss(gc, gc->head.stream);
		gc->head_len = gc->body_len = 0;
	}
	/* What comes after the end is of no interest. */
	return len;
}

/* The console behind the port */

static void command_write(struct console *con, const u8 *buf, size_t len)
{
	(void)command_offer(con, buf, len);
}

static void command_set_client(struct console *con, const struct console_client *client)
{
	struct guest_command *gc = to_command(con);

	gc->has_client = client;
	if (client)
		gc->client = *client;
}

static void command_input_ready(struct console *con)
{
	push_soon(to_command(con));
}

static void command_finish(struct console *con) {}

static const struct console_ops command_ops = {
	.write = command_write,
	.set_client = command_set_client,
	.input_ready = command_input_ready,
	.finish = command_finish,
	.destroy = command_finish,
	.offer = command_offer,
};

struct console *guest_command_port(struct guest_command *gc)
{
	return &gc->con;
}

static bool send_signal(struct guest_command *gc, int sig)
{
	if (gc->phase != RUNNING || sig < 1 || sig > 31)
		return false;
	gc->news.signals |= BIT(sig);
	push_soon(gc);
	return true;
}

bool guest_command_signal(struct guest_command *gc, int sig)
{
	if (gc->signalled || !send_signal(gc, sig))
		return false;
	gc->signalled = true;
	return true;
}

bool guest_command_ask(struct guest_command *gc)
{
	return send_signal(gc, SIGTERM);
}

int guest_command_status(const struct guest_command *gc)
{
	return gc->phase >= ENDED ? gc->status : -1;
}

bool guest_command_is_running(const struct guest_command *gc)
{
	return gc->phase == RUNNING;
}

/* Its life */

/* Where the terminal is shown: standard input was opened for reading alone perhaps. */
static int terminal_fd(u32 terminals)
{
	if (terminals & BIT(LINK_STDOUT))
		return STDOUT_FILENO;
	return terminals & BIT(LINK_STDERR) ? STDERR_FILENO : STDIN_FILENO;
}

static int open_outputs(struct guest_command *gc)
{
	bool tty = gc->terminals & BIT(LINK_STDIN);
	const struct outq_owner owner = { .room = on_room, .once = true, .opaque = gc };

	for (u32 i = LINK_STDOUT; i < LINK_NR_STREAMS; i++) {
		int fd = i == LINK_TERMINAL ? terminal_fd(gc->terminals) : (int)i, ret;

		if (i == LINK_TERMINAL ? !tty : tty && (gc->terminals & BIT(i)))
			continue;
		ret = outq_init(&gc->out[i], gc->loop, fd, &owner);
		if (ret)
			return ret;
		gc->made[i] = true;
	}
	return 0;
}

int guest_command_create(struct event_loop *loop, struct console *term,
			 void (*ended)(void *opaque, int status), void *opaque,
			 struct guest_command **out)
{
	struct guest_command *gc = xcalloc(1, sizeof(*gc));
	const struct console_client input = {
		.room = input_room,
		.input = input_data,
		.ended = input_ended,
		.interrupted = input_interrupted,
		.resized = input_resized,
		.opaque = gc,
	};
	int ret;

	gc->con.ops = &command_ops;
	gc->loop = loop;
	gc->term = term;
	gc->ended = ended;
	gc->opaque = opaque;
	gc->status = -1;
	gc->push = (struct event_post){ .fn = on_push, .opaque = gc };
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (tty_inherited(fd) && tty_is_terminal(fd))
			gc->terminals |= BIT(fd);
	ret = open_outputs(gc);
	if (ret) {
		guest_command_destroy(gc);
		return ret;
	}
	term->ops->set_client(term, &input);
	*out = gc;
	return 0;
}

void guest_command_finish(struct guest_command *gc)
{
	for (u32 i = 0; i < LINK_NR_STREAMS; i++)
		if (gc->made[i])
			outq_finish(&gc->out[i]);
}

void guest_command_destroy(struct guest_command *gc)
{
	if (!gc)
		return;
	event_loop_unpost(gc->loop, &gc->push);
	for (u32 i = 0; i < LINK_NR_STREAMS; i++)
		if (gc->made[i])
			outq_destroy(&gc->out[i]);
	free(gc);
}
