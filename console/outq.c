/* SPDX-License-Identifier: MIT */
/*
 * Guest output to the host (see outq.h). Bytes come one by one from a serial port: a line goes out
 * as it ends, written by the thread that it came from; an unfinished line a moment later, by the
 * loop. So a line costs one write(2), a prompt is not late, and a byte costs the host nothing: the
 * loop looks again by itself while more comes, and is woken only after a pause.
 */
#include "outq.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "tty.h"

#define RING_SIZE 65536
/*
 * From here on a thread waits for the reader. The rest is for what may not wait: the main loop, and
 * vcpus that are to stop.
 */
#define RING_HIGH    49152
#define RING_LOW     16384 /* what was refused is asked for again */
#define WRITE_EARLY  1024  /* go out even without an end of line */
#define GATHER_NS    2000000ULL
#define LOOK_NS	     8000000ULL /* the same while output flows */
#define RETRY_NS     20000000ULL
#define WAIT_MS	     50
#define PACED_MAX    256
#define LAST_WAIT_MS 2000

/* Whoever was refused may offer it again. */
static void tell_room(struct outq *q)
{
	if (!q->refused || q->len > q->low)
		return;
	q->refused = false;
	event_loop_post(q->loop, &q->room);
}

/*
 * Space may come back, a pipe may get another reader, a terminal another line: what is there now is
 * dropped, and what comes is tried again. A descriptor that is not for writing never will be.
 */
static void fail(struct outq *q, int error)
{
	q->dropped += q->len;
	q->len = 0;
	q->dead = q->once || error == EBADF;
	q->error = error;
	/* Who does not hear of it otherwise is to ask. */
	q->refused |= q->once;
	tell_room(q);
	if (q->once)
		return;
	if (!q->failing)
		guest_warn("console: cannot write to standard output: %s; guest output is dropped",
			   strerror(error));
	q->failing = true;
}

static void wrote(struct outq *q, size_t n)
{
	q->head = (q->head + n) % RING_SIZE;
	q->len -= n;
	tell_room(q);
	if (!q->failing)
		return;
	guest_log(LOG_INFO,
		  "console: standard output takes guest output again; %llu bytes were dropped",
		  q->dropped);
	q->failing = false;
	q->dropped = 0;
}

static ssize_t write_some(struct outq *q, const u8 *p, size_t len)
{
	struct pollfd pfd = { .fd = q->fd, .events = POLLOUT };

	if (q->socket)
		return send(q->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (q->paced) {
		if (poll(&pfd, 1, 0) == 0) {
			errno = EAGAIN;
			return -1;
		}
		len = MIN(len, (size_t)PACED_MAX);
	}
	return write(q->fd, p, len);
}

static void flush_locked(struct outq *q)
{
	while (q->len) {
		size_t chunk = MIN(q->len, RING_SIZE - q->head);
		ssize_t n = write_some(q, q->buf + q->head, chunk);

		if (n >= 0) {
			wrote(q, (size_t)n);
		} else if (errno == EAGAIN) {
			q->blocked = true;
			return;
		} else if (errno != EINTR) {
			fail(q, errno);
		}
	}
	q->blocked = false;
}

static void arm_timer(struct outq *q, u64 ns)
{
	q->timer_armed = true;
	q->busy = false;
	event_timer_set(&q->timer, ns);
}

static void on_ready(void *opaque, u32 events)
{
	struct outq *q = opaque;

	pthread_mutex_lock(&q->lock);
	flush_locked(q);
	if (!q->len)
		event_del(&q->ready);
	pthread_mutex_unlock(&q->lock);
}

static void on_timer(void *opaque)
{
	struct outq *q = opaque;

	pthread_mutex_lock(&q->lock);
	q->timer_armed = false;
	flush_locked(q);
	if (q->len) {
		/* The rest goes when the reader has made room. */
		if (!q->ready.loop && event_add(q->loop, &q->ready))
			arm_timer(q, RETRY_NS);
	} else if (q->busy) {
		arm_timer(q, LOOK_NS);
	}
	pthread_mutex_unlock(&q->lock);
}

/* Into the ring, which has room, and on if it is due. */
static void put(struct outq *q, const u8 *buf, size_t len)
{
	size_t tail = (q->head + q->len) % RING_SIZE;
	size_t first = MIN(len, RING_SIZE - tail);

	memcpy(q->buf + tail, buf, first);
	memcpy(q->buf, buf + first, len - first);
	q->len += len;
	if (!q->blocked && (q->len >= WRITE_EARLY || memchr(buf, '\n', len)))
		flush_locked(q);
}

/* After all was put: what is left goes out in a while. */
static void settle(struct outq *q)
{
	q->busy = true;
	if (q->len && !q->timer_armed && !q->ready.loop)
		arm_timer(q, GATHER_NS);
}

/*
 * Wait a little for the reader. False: this thread may not wait. A vcpu that is to park has been
 * asked to before its signal interrupts poll, which may come too early for that.
 */
static bool wait_for_reader(struct outq *q)
{
	struct pollfd pfd = { .fd = q->fd, .events = POLLOUT };
	int n, error;

	if (pthread_equal(pthread_self(), q->main) || q->wanted(q->room.opaque))
		return false;
	pthread_mutex_unlock(&q->lock);
	n = poll(&pfd, 1, WAIT_MS);
	error = errno;
	pthread_mutex_lock(&q->lock);
	if (n > 0)
		flush_locked(q);
	return n >= 0 || error != EINTR;
}

void outq_write(struct outq *q, const u8 *buf, size_t len)
{
	pthread_mutex_lock(&q->lock);
	while (len && !q->dead) {
		size_t n = q->len < RING_HIGH ? MIN(len, RING_HIGH - q->len) : 0;

		if (!n && wait_for_reader(q))
			continue;
		if (!n) {
			n = MIN(len, RING_SIZE - q->len);
			if (n < len)
				guest_warn("console: standard output is not read; %zu bytes of "
					   "guest output are dropped",
					   len - n);
			put(q, buf, n);
			break;
		}
		put(q, buf, n);
		buf += n;
		len -= n;
	}
	settle(q);
	pthread_mutex_unlock(&q->lock);
}

size_t outq_offer(struct outq *q, const u8 *buf, size_t len)
{
	size_t done = 0;

	pthread_mutex_lock(&q->lock);
	while (done < len && !q->dead && q->len < RING_HIGH) {
		size_t n = MIN(len - done, RING_HIGH - q->len);

		put(q, buf + done, n);
		done += n;
	}
	if (q->dead)
		done = len;
	q->refused = done < len;
	settle(q);
	pthread_mutex_unlock(&q->lock);
	return done;
}

size_t outq_room(struct outq *q)
{
	size_t room;

	pthread_mutex_lock(&q->lock);
	room = q->len < RING_HIGH ? RING_HIGH - q->len : 0;
	q->refused |= q->len > 0;
	pthread_mutex_unlock(&q->lock);
	return room;
}

int outq_lost(struct outq *q)
{
	int error;

	pthread_mutex_lock(&q->lock);
	error = q->dead && q->once ? q->error : 0;
	pthread_mutex_unlock(&q->lock);
	return error;
}

bool outq_drained(struct outq *q)
{
	bool empty;

	pthread_mutex_lock(&q->lock);
	q->low = 0;
	flush_locked(q);
	settle(q);
	empty = !q->len;
	q->refused = !empty;
	pthread_mutex_unlock(&q->lock);
	return empty;
}

void outq_flush(struct outq *q)
{
	pthread_mutex_lock(&q->lock);
	flush_locked(q);
	pthread_mutex_unlock(&q->lock);
}

/*
 * A terminal or pipe is opened once more without blocking: O_NONBLOCK on the shared one would hit
 * the shell and every other process that has it, and would outlive us.
 */
static void open_output(struct outq *q, int fd)
{
	struct stat st;

	q->fd = -1;
	if (!tty_inherited(fd)) {
		q->dead = true;
		q->error = EBADF;
		return;
	}
	/* What cannot be looked at is written to as a file is. */
	if (fstat(fd, &st) < 0)
		memset(&st, 0, sizeof(st));
	q->fd = fd;
	q->socket = S_ISSOCK(st.st_mode);
	if (!S_ISFIFO(st.st_mode) && !isatty(fd))
		return;
	q->paced = true;
	if (!S_ISFIFO(st.st_mode) && !tty_is_terminal(fd))
		return;
	q->fd = tty_reopen(fd, O_WRONLY);
	q->owned = q->fd >= 0;
	if (q->owned)
		q->paced = false;
	else
		q->fd = fd;
}

int outq_init(struct outq *q, struct event_loop *loop, int fd, const struct outq_owner *owner)
{
	memset(q, 0, sizeof(*q));
	q->loop = loop;
	q->main = pthread_self();
	q->room = (struct event_post){ .fn = owner->room, .opaque = owner->opaque };
	q->wanted = owner->wanted;
	q->once = owner->once;
	q->low = RING_LOW;
	event_timer_init(&q->timer, loop, on_timer, q);
	q->buf = malloc(RING_SIZE);
	if (!q->buf)
		return -ENOMEM;
	pthread_mutex_init(&q->lock, NULL);
	open_output(q, fd);
	q->ready = (struct event){
		.fd = q->fd,
		.events = EPOLLOUT,
		.fn = on_ready,
		.opaque = q,
	};
	return 0;
}

void outq_finish(struct outq *q)
{
	struct pollfd pfd = { .fd = q->fd, .events = POLLOUT };
	u64 last = now_ns();

	pthread_mutex_lock(&q->lock);
	while (q->len && now_ns() - last < LAST_WAIT_MS * 1000000ULL) {
		size_t before = q->len;

		flush_locked(q);
		if (q->len < before)
			last = now_ns();
		else
			poll(&pfd, 1, WAIT_MS);
	}
	if (q->len)
		warn("console: standard output is not read; the last %zu bytes of guest output are "
		     "dropped",
		     q->len);
	q->len = 0;
	pthread_mutex_unlock(&q->lock);
}

void outq_destroy(struct outq *q)
{
	event_del(&q->ready);
	event_timer_destroy(&q->timer);
	/* The last write may have made room. */
	outq_finish(q);
	event_loop_unpost(q->loop, &q->room);
	if (q->owned)
		close(q->fd);
	pthread_mutex_destroy(&q->lock);
	free(q->buf);
}
