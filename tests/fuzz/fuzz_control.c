/* SPDX-License-Identifier: MIT */
/*
 * control.c: clients of a machine's control socket that say anything, in any pieces, pass
 * descriptors, do not read, and go. The socket is a real one, the loop is turned here. Each step of
 * the input is a byte: its lower half says what is done, its upper half to which of some clients
 * and how much of it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "lkvm/control.h"
#include "lkvm/util.h"

#define CLIENTS 3

static struct event_loop loop;
static struct control control;
static char path[64];
static int fds[CLIENTS];
/* Calls that were put off: one a client. */
static struct control_call *later[CONTROL_MAX_CLIENTS];
static u32 pieces;

static void forget(struct control_call *call)
{
	for (u32 i = 0; i < CONTROL_MAX_CLIENTS; i++)
		if (later[i] == call)
			later[i] = NULL;
}

static int run_echo(struct control_call *call, void *opaque)
{
	json_put(call->result, "back", control_arg(call, "value"));
	return 0;
}

static int run_later(struct control_call *call, void *opaque)
{
	for (u32 i = 0; i < CONTROL_MAX_CLIENTS; i++) {
		if (later[i])
			continue;
		later[i] = call;
		call->gone = forget;
		return CONTROL_LATER;
	}
	return control_fail(call, "failed", "%s", "too many");
}

static int run_big(struct control_call *call, void *opaque)
{
	char text[4096];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	json_open(call->result, "texts", '[');
	for (u64 n = MIN(json_number(control_arg(call, "n"), 0), 4096ULL); n; n--)
		json_put_text(call->result, NULL, text);
	json_close(call->result, ']');
	return 0;
}

static int more_data(struct control_call *call)
{
	static const char bytes[64 * KiB];

	if (pieces) {
		control_data(call, pieces, bytes, pieces % 2 ? sizeof(bytes) : 5);
		pieces--;
		return CONTROL_LATER;
	}
	control_end_data(call);
	return control_fail(call, "failed", "over");
}

static int run_data(struct control_call *call, void *opaque)
{
	pieces = (u32)MIN(json_number(control_arg(call, "n"), 0), 16ULL);
	call->more = more_data;
	return CONTROL_LATER;
}

static int run_subscribe(struct control_call *call, void *opaque)
{
	control_subscribe(call);
	return 0;
}

static const struct control_arg echo_args[] = { { "value", JSON_STRING, true, "text" }, { 0 } };
static const struct control_arg n_args[] = { { "n", JSON_NUMBER, false, "how many" }, { 0 } };
static const struct control_command commands[] = {
	{ "echo", "the same", echo_args, run_echo },
	{ "later", "in a while", NULL, run_later },
	{ "big", "much", n_args, run_big },
	{ "data", "bytes", n_args, run_data },
	{ "subscribe", "events", NULL, run_subscribe },
	{ 0 },
};

static void clean(void)
{
	control_close(&control);
	rmdir(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
}

/* Once: a name in the file system is slow to make. */
static void begin(void)
{
	static const struct control_table table = { .commands = commands };
	static char dir[] = "/tmp/lkvm-fuzz-control-XXXXXX";
	sigset_t none;

	fz_check(mkdtemp(dir));
	setenv("XDG_RUNTIME_DIR", dir, 1);
	sigemptyset(&none);
	fz_check(!event_loop_init(&loop, "fuzz"));
	fz_check(!control_open(&control, &loop, "vm", true, &table, &none));
	snprintf(path, sizeof(path), "%s/lkvm", dir);
	atexit(clean);
}

static void turn(void)
{
	for (u32 i = 0; i < 64 && event_loop_drain(&loop); i++)
		;
	fz_check(control.nr_clients <= CONTROL_MAX_CLIENTS);
}

static void leave(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* With as many descriptors as @nr. */
static void say(int fd, const void *bytes, size_t len, u32 nr)
{
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(16 * sizeof(int))];
	} room = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nr) {
		msg.msg_control = room.buf;
		msg.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		room.align = (struct cmsghdr){ .cmsg_len = CMSG_LEN(nr * sizeof(int)),
					       .cmsg_level = SOL_SOCKET,
					       .cmsg_type = SCM_RIGHTS };
		for (u32 i = 0; i < nr; i++)
			memcpy(CMSG_DATA(&room.align) + i * sizeof(int), &fd, sizeof(int));
	}
	(void)!sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void hear(int fd, size_t len)
{
	static char text[256 * KiB];

	(void)!recv(fd, text, MIN(len, sizeof(text)), MSG_DONTWAIT);
}

static void request(struct fz *f, int fd)
{
	static const char *const lines[] = {
		"{\"lkvm\":1,\"id\":1,\"command\":\"echo\",\"arguments\":{\"value\":\"a\"}}\n",
		"{\"lkvm\":1,\"command\":\"later\"}\n",
		"{\"lkvm\":1,\"command\":\"big\",\"arguments\":{\"n\":200}}\n",
		"{\"lkvm\":1,\"id\":\"d\",\"command\":\"data\",\"arguments\":{\"n\":9}}\n",
		"{\"lkvm\":1,\"command\":\"subscribe\"}\n",
		"{\"lkvm\":1,\"command\":\"help\"}\n",
		"{\"lkvm\":1,\"command\":\"big\",\"arguments\":{\"n\":4096}}\n",
		"{\"lkvm\":1,\"command\":\"nonsense\"}\n",
	};
	const char *line = lines[fz_u8(f) % ARRAY_SIZE(lines)];

	say(fd, line, strlen(line), 0);
}

static void step(struct fz *f)
{
	u8 op = fz_u8(f);
	int *fd = &fds[(op >> 4) % CLIENTS];
	const u8 *data;
	size_t len;

	if (*fd < 0)
		*fd = unix_connect(control.path);
	if (*fd < 0)
		return;
	switch (op & 15) {
	case 0:
		leave(fd);
		break;
	case 1:
		shutdown(*fd, SHUT_WR);
		break;
	case 2:
		hear(*fd, fz_u16(f));
		break;
	case 3:
		hear(*fd, 256 * KiB);
		break;
	case 4:
		control_event(&control, "event", ",\"n\":1");
		break;
	case 5:
		for (u32 i = 0; i < 300; i++)
			control_event(&control, "many", "");
		break;
	case 6:
		for (u32 i = 0; i < CONTROL_MAX_CLIENTS; i++) {
			struct control_call *call = later[i];

			later[i] = NULL;
			if (call)
				control_finish(call, 0);
		}
		break;
	case 7:
		data = fz_bytes(f, 8, &len);
		say(*fd, data, len, 1 + fz_u8(f) % 16);
		break;
	case 8:
	case 9:
	case 10:
		request(f, *fd);
		break;
	case 11:
		say(*fd, "\n", 1, 0);
		break;
	default:
		data = fz_bytes(f, fz_u8(f), &len);
		say(*fd, data, len, 0);
		break;
	}
	turn();
}

static int next_fd(void)
{
	int fd = dup(control.listener.fd);

	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	int before;

	if (!control.path)
		begin();
	before = next_fd();
	for (u32 i = 0; i < CLIENTS; i++)
		fds[i] = -1;
	while (fz_more(&f))
		step(&f);
	for (u32 i = 0; i < CLIENTS; i++)
		leave(&fds[i]);
	turn();
	turn();
	/* Nobody is left, nothing is owed to anybody, and no descriptor stayed. */
	fz_check(!control.nr_clients && !control.clients);
	for (u32 i = 0; i < CONTROL_MAX_CLIENTS; i++)
		fz_check(!later[i]);
	fz_check(next_fd() == before);
	return 0;
}
