/* SPDX-License-Identifier: MIT */
/*
 * The console on standard input and output, and the menu after Ctrl-A. Input goes to the device as
 * fast as the device takes it; a terminal is read beyond that, so that the menu answers although
 * the guest is stuck.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs.h"
#include "lkvm/console.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "outq.h"
#include "tty.h"

#define CTRL_A	      0x01
#define CTRL_C	      0x03
#define HOLD_SIZE     4096
#define READ_ROUNDS   16 /* of a file, before other events have a turn */
#define BACKGROUND_NS 1000000000ULL
#define STALLED_NS    2000000000ULL /* a guest that takes nothing for so long is stuck */
#define DROP_NS	      250000000ULL

struct term {
	struct console con;
	struct event_loop *loop;
	struct term_hooks hooks;
	struct console_client client;
	bool has_client;
	struct outq out;

	int in_fd;     /* -1: none */
	bool in_owned; /* opened here */
	bool in_tty;   /* obeys Ctrl-A */
	bool in_fifo;
	bool in_always; /* a file: epoll does not know it, a read never waits */
	bool in_ended;
	bool in_edge;	     /* a FIFO without a writer: only news of it count */
	bool in_later;	     /* reading failed: try again in a while */
	bool in_failing;     /* and that was told */
	bool attached;	     /* the terminal is ours to read: we are in its foreground */
	bool escape;	     /* Ctrl-A was typed */
	bool stalled;	     /* the guest takes nothing and hold is full */
	atomic_bool starved; /* the client had no room: input_ready goes on */
	struct event in_ev;
	struct event_post resume; /* go on reading now */
	struct event_timer slow;  /* look again: foreground, stalled guest */
	u8 hold[HOLD_SIZE];	  /* read, but not taken by the client */
	size_t hold_at, hold_len;

	struct jobs jobs;
	u16 cols, rows; /* as the client knows them; 0: not yet */
};

/* Words to the person at the terminal, between what the guest writes. */
static void notice(struct term *t, const char *text)
{
	size_t len = strlen(text);

	outq_flush(&t->out);
	/* A terminal that was opened for reading alone; standard error is likely to be it too. */
	if (write(t->in_fd, text, len) < 0 && errno == EBADF && write(STDERR_FILENO, text, len) < 0)
		debug("console: cannot show: %s", text);
}

static void hold_put(struct term *t, u8 byte)
{
	if (t->hold_at + t->hold_len < HOLD_SIZE)
		t->hold[t->hold_at + t->hold_len++] = byte;
}

static void menu(struct term *t, u8 key)
{
	switch (key) {
	case 'x':
		notice(t, "\r\n");
		if (t->hooks.quit)
			t->hooks.quit(t->hooks.opaque);
		break;
	case 'p':
		if (t->hooks.power_button)
			t->hooks.power_button(t->hooks.opaque);
		break;
	case 'h':
	case '?':
		notice(t, "\r\n"
			  "Ctrl-A x  end the virtual machine at once\r\n"
			  "Ctrl-A p  press its power button\r\n"
			  "Ctrl-A h  this help\r\n"
			  "Ctrl-A a  send Ctrl-A to the guest (also Ctrl-A Ctrl-A)\r\n");
		break;
	case 'a': /* as in screen and QEMU */
	case CTRL_A:
		hold_put(t, CTRL_A);
		break;
	default:
		notice(t, "\r\nCtrl-A: unknown key; Ctrl-A h shows the keys\r\n");
	}
}

static bool is_interrupt(struct term *t, u8 key)
{
	return t->in_tty && key == CTRL_C && t->has_client && t->client.interrupted &&
	       t->client.interrupted(t->client.opaque);
}

static void take_input(struct term *t, const u8 *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (t->escape) {
			t->escape = false;
			menu(t, buf[i]);
		} else if (t->in_tty && buf[i] == CTRL_A) {
			t->escape = true;
		} else if (!is_interrupt(t, buf[i])) {
			hold_put(t, buf[i]);
		}
	}
}

/* What the client takes. When it is nothing, input_ready will tell, whichever comes first. */
static size_t client_room(struct term *t)
{
	size_t room;

	if (!t->has_client)
		return 0;
	atomic_store(&t->starved, true);
	room = t->client.room(t->client.opaque);
	if (room)
		atomic_store(&t->starved, false);
	return room;
}

static void feed_client(struct term *t)
{
	while (t->hold_len) {
		size_t n = client_room(t);

		if (!n)
			break;
		n = MIN(n, t->hold_len);
		t->client.input(t->client.opaque, t->hold + t->hold_at, n);
		t->hold_at += n;
		t->hold_len -= n;
	}
	memmove(t->hold, t->hold + t->hold_at, t->hold_len);
	t->hold_at = 0;
}

/* How much to read now. A pipe or file is left alone until the client takes what comes. */
static size_t read_space(struct term *t)
{
	size_t room;

	if (t->in_tty)
		return HOLD_SIZE - t->hold_len;
	if (t->hold_len)
		return 0;
	room = client_room(t);
	return MIN(room, (size_t)HOLD_SIZE);
}

/* Not event_mod(0): epoll would go on reporting the end of a pipe. */
static void unwatch(struct term *t)
{
	event_del(&t->in_ev);
}

static void tell_end(struct term *t)
{
	if (t->in_ended && t->has_client && t->client.ended)
		t->client.ended(t->client.opaque);
}

/* For good. */
static void end_input(struct term *t)
{
	unwatch(t);
	t->in_ended = true;
	tell_end(t);
}

static void retry_later(struct term *t)
{
	unwatch(t);
	t->in_later = true;
	event_timer_set(&t->slow, BACKGROUND_NS);
}

/* Once, until something is read again. */
static void tell_failure(struct term *t, const char *what, int error, const char *more)
{
	if (!t->in_failing)
		guest_warn("console: cannot %s standard input: %s; %s", what, strerror(error),
			   more);
	t->in_failing = true;
}

static void watch(struct term *t)
{
	int ret;

	if (t->in_ev.loop)
		return;
	t->in_ev.events = t->in_edge ? EPOLLIN | EPOLLET : EPOLLIN;
	ret = event_add(t->loop, &t->in_ev);
	if (ret == -EPERM) {
		t->in_always = true;
		event_loop_post(t->loop, &t->resume);
	} else if (ret) {
		tell_failure(t, "watch", -ret,
			     ret == -ENOSPC ? "raise fs.epoll.max_user_watches"
					    : "lkvm keeps trying");
		retry_later(t);
	}
}

static void detach(struct term *t)
{
	unwatch(t);
	t->attached = false;
	event_timer_set(&t->slow, BACKGROUND_NS);
}

/* The terminal is ours while we are in its foreground; nothing tells when that comes to be. */
static void attach(struct term *t)
{
	int ret;

	if (!tty_foreground(t->in_fd)) {
		tty_forget_raw();
		detach(t);
		return;
	}
	ret = tty_enter_raw(t->in_fd);
	if (ret)
		debug("console: cannot set raw mode: %s", strerror(-ret));
	t->attached = true;
}

/*
 * Of a terminal: it belongs to another job, or was hung up. It is looked at again in a while; the
 * modes from before raw mode are kept where it is still ours.
 */
static void lose_terminal(struct term *t)
{
	if (!tty_foreground(t->in_fd))
		tty_forget_raw();
	detach(t);
}

static void read_failed(struct term *t, int error)
{
	if (error == EAGAIN || error == EINTR)
		return;
	if (error == EBADF || error == EISDIR || error == EINVAL) {
		tell_failure(t, "read", error, "the guest gets no input");
		end_input(t);
		return;
	}
	/* A terminal says EIO to who is in its background, and once it was hung up. */
	if (!t->in_tty || error != EIO)
		tell_failure(t, "read", error, "lkvm keeps trying");
	if (t->in_tty)
		lose_terminal(t);
	else
		retry_later(t);
}

/* The writers of a pipe are gone, but with a name it may get others; without our own O_NONBLOCK a
 * read would wait for them. */
static void read_end(struct term *t)
{
	if (t->in_tty) {
		lose_terminal(t);
	} else if (!t->in_fifo || !t->in_owned || t->client.ended) {
		end_input(t);
	} else if (!t->in_edge) {
		t->in_edge = true;
		unwatch(t);
	}
}

static void read_some(struct term *t, const u8 *buf, size_t len)
{
	if (t->in_edge)
		unwatch(t);
	t->in_edge = false;
	if (t->in_failing)
		guest_info("console: standard input can be read again");
	t->in_failing = false;
	take_input(t, buf, len);
}

/* One read of at most @len bytes; what does not fit into hold is dropped. */
static void read_once(struct term *t, size_t len)
{
	u8 buf[HOLD_SIZE];
	ssize_t n = read(t->in_fd, buf, MIN(len, sizeof(buf)));

	if (n > 0)
		read_some(t, buf, (size_t)n);
	else if (n == 0)
		read_end(t);
	else
		read_failed(t, errno);
}

/* Move input along. @readable: a read will not block. */
static void pump(struct term *t, bool readable)
{
	for (int i = 0; i < READ_ROUNDS; i++) {
		size_t space;

		feed_client(t);
		if (t->in_ended || t->in_later || !t->attached)
			return;
		space = read_space(t);
		if (!space) {
			unwatch(t);
			if (t->in_tty)
				event_timer_set(&t->slow, STALLED_NS);
			return;
		}
		t->stalled = false;
		if (!readable)
			break;
		read_once(t, space);
		readable = t->in_always;
	}
	if (t->in_ended || t->in_later || !t->attached)
		return;
	if (t->in_always)
		event_loop_post(t->loop, &t->resume);
	else
		watch(t);
}

static void on_input(void *opaque, u32 events)
{
	pump(opaque, true);
}

static void on_resume(void *opaque)
{
	struct term *t = opaque;

	pump(t, t->in_always);
}

/*
 * The guest has taken nothing for a while and hold is full. Now typed characters are dropped, as a
 * terminal does, but the menu is still obeyed: it may be the only way out.
 */
static void read_stalled(struct term *t)
{
	struct pollfd pfd = { .fd = t->in_fd, .events = POLLIN };

	if (!t->stalled)
		notice(t, "\r\nThe guest reads no input: what is typed is dropped; Ctrl-A x ends "
			  "the VM\r\n");
	t->stalled = true;
	event_timer_set(&t->slow, DROP_NS);
	if (poll(&pfd, 1, 0) > 0)
		read_once(t, HOLD_SIZE);
}

static void on_slow(void *opaque)
{
	struct term *t = opaque;

	if (t->in_ended)
		return;
	t->in_later = false;
	if (!t->in_tty) {
		pump(t, t->in_always);
		return;
	}
	if (!t->attached)
		attach(t);
	feed_client(t);
	if (t->attached && t->hold_len == HOLD_SIZE)
		read_stalled(t);
	else
		pump(t, false);
}

/* Signals that concern the terminal */

static bool find_size(struct term *t, u16 *cols, u16 *rows)
{
	return tty_size(STDOUT_FILENO, cols, rows) || (t->in_tty && tty_size(t->in_fd, cols, rows));
}

static void tell_size(struct term *t)
{
	if (t->has_client && t->client.resized && find_size(t, &t->cols, &t->rows))
		t->client.resized(t->client.opaque, t->cols, t->rows);
}

/* Nobody heard of it while the loop did not run. */
static void tell_new_size(struct term *t)
{
	u16 cols, rows;

	if (find_size(t, &cols, &rows) && (cols != t->cols || rows != t->rows))
		tell_size(t);
}

static void on_signal(void *opaque, int sig)
{
	struct term *t = opaque;

	if (sig == SIGTSTP) {
		outq_flush(&t->out);
		jobs_suspend();
	}
	if (sig == SIGCONT && t->hooks.continued)
		t->hooks.continued(t->hooks.opaque);
	if (sig != SIGWINCH && t->in_tty && !t->in_ended) {
		/* Continued: the shell may have changed the modes, or left us in the background. */
		attach(t);
		pump(t, false);
	}
	tell_size(t);
}

/* The console */

static struct term *to_term(struct console *con)
{
	return container_of(con, struct term, con);
}

static void term_write(struct console *con, const u8 *buf, size_t len)
{
	outq_write(&to_term(con)->out, buf, len);
}

static size_t term_offer(struct console *con, const u8 *buf, size_t len)
{
	return outq_offer(&to_term(con)->out, buf, len);
}

static void on_room(void *opaque)
{
	struct term *t = opaque;

	if (t->has_client && t->client.writable)
		t->client.writable(t->client.opaque);
}

static bool is_wanted(void *opaque)
{
	const struct term *t = opaque;

	return t->hooks.wanted ? t->hooks.wanted(t->hooks.opaque) : atomic_load(&t->loop->stop);
}

static void term_set_client(struct console *con, const struct console_client *client)
{
	struct term *t = to_term(con);

	t->has_client = client;
	if (!client)
		return;
	t->client = *client;
	tell_size(t);
	tell_end(t);
	event_loop_post(t->loop, &t->resume);
}

static void term_input_ready(struct console *con)
{
	struct term *t = to_term(con);

	if (atomic_exchange(&t->starved, false))
		event_loop_post(t->loop, &t->resume);
}

/* The guest's last words go out by the modes that they were written for. */
static void term_finish(struct console *con)
{
	outq_finish(&to_term(con)->out);
	term_restore();
}

static void term_destroy(struct console *con)
{
	struct term *t = to_term(con);

	event_loop_unpost(t->loop, &t->resume);
	event_timer_destroy(&t->slow);
	unwatch(t);
	term_finish(con);
	outq_destroy(&t->out);
	if (t->in_owned)
		close(t->in_fd);
	if (t->in_tty)
		tty_unguard();
	jobs_destroy(&t->jobs);
	free(t);
}

static const struct console_ops term_ops = {
	.write = term_write,
	.set_client = term_set_client,
	.input_ready = term_input_ready,
	.finish = term_finish,
	.destroy = term_destroy,
	.offer = term_offer,
};

static void open_input(struct term *t)
{
	struct stat st;

	t->in_fd = -1;
	if (t->hooks.no_input || !tty_inherited(STDIN_FILENO)) {
		t->in_ended = true;
		return;
	}
	if (fstat(STDIN_FILENO, &st) < 0)
		memset(&st, 0, sizeof(st));
	t->in_tty = tty_is_terminal(STDIN_FILENO);
	t->in_fifo = S_ISFIFO(st.st_mode);
	if (t->in_tty)
		t->in_fd = tty_reopen(STDIN_FILENO, O_RDWR);
	else if (t->in_fifo)
		t->in_fd = tty_reopen(STDIN_FILENO, O_RDONLY);
	t->in_owned = t->in_fd >= 0;
	if (!t->in_owned)
		t->in_fd = STDIN_FILENO;
	t->in_ev = (struct event){
		.fd = t->in_fd,
		.events = EPOLLIN,
		.fn = on_input,
		.opaque = t,
	};
	t->attached = !t->in_tty;
}

void term_start(struct console *con)
{
	struct term *t = to_term(con);

	jobs_begin(&t->jobs);
	tell_new_size(t);
	if (!t->in_tty || t->in_ended)
		return;
	tty_guard();
	attach(t);
	/* The menu works before any device listens. */
	event_loop_post(t->loop, &t->resume);
}

void term_stop(struct console *con, char key)
{
	struct term *t = to_term(con);

	/* What is said about the end comes after the guest's words. */
	outq_flush(&t->out);
	if (t->in_tty && t->attached)
		tty_obey_interrupt(key);
	jobs_end(&t->jobs);
}

int term_create(struct event_loop *loop, const struct term_hooks *hooks, struct console **out)
{
	static const int outputs[] = {
		[TERM_STDOUT] = STDOUT_FILENO,
		[TERM_STDERR] = STDERR_FILENO,
		[TERM_NOWHERE] = -1,
	};
	struct term *t = xcalloc(1, sizeof(*t));
	int ret;

	t->con.ops = &term_ops;
	t->loop = loop;
	t->hooks = *hooks;
	t->resume = (struct event_post){ .fn = on_resume, .opaque = t };
	event_timer_init(&t->slow, loop, on_slow, t);
	ret = outq_init(&t->out, loop, outputs[hooks->output],
			&(struct outq_owner){ .room = on_room, .wanted = is_wanted, .opaque = t });
	if (ret)
		goto fail;
	ret = jobs_init(&t->jobs, loop, on_signal, t);
	if (ret)
		goto fail_out;
	open_input(t);
	*out = &t->con;
	return 0;
fail_out:
	outq_destroy(&t->out);
fail:
	free(t);
	return ret;
}
