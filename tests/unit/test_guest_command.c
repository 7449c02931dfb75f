/* SPDX-License-Identifier: MIT */
/* console/guest-command.c: what a guest's init says out of its turn, and what it is told. What goes
 * well is tests/native/command.t's. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "capture.h"
#include "lkvm/guest-command.h"
#include "lkvm/guest-link.h"
#include "lkvm/util.h"

#define WINDOW 49152 /* what the host keeps of an output */

/* Standard input, which says what it is told to. */
static struct console_client input;
static bool has_input;

static void term_set_client(struct console *con, const struct console_client *client)
{
	has_input = client;
	if (client)
		input = *client;
}
static void term_nothing(struct console *con) {}
static const struct console_ops term_ops = {
	.set_client = term_set_client,
	.input_ready = term_nothing,
};
static struct console term = { .ops = &term_ops };

static struct event_loop loop;
static struct guest_command *gc;
static struct console *port;
static int status, out[2];
static u8 said[65536];
static size_t nr_said, room;

static size_t port_room(void *opaque)
{
	return room;
}
static void port_input(void *opaque, const u8 *buf, size_t len)
{
	assert_true(len <= room && nr_said + len <= sizeof(said));
	memcpy(said + nr_said, buf, len);
	nr_said += len;
}
static const struct console_client client = { .room = port_room, .input = port_input };

static void on_ended(void *opaque, int code)
{
	assert_int_equal(status, -1);
	status = code;
}

static int begin(void **state)
{
	int saved = dup(STDOUT_FILENO);

	status = -1;
	nr_said = 0;
	room = 4096;
	assert_int_equal(pipe(out), 0);
	assert_int_equal(event_loop_init(&loop, "test"), 0);
	/* What it opens anew is the pipe. */
	fflush(stdout);
	dup2(out[1], STDOUT_FILENO);
	assert_int_equal(guest_command_create(&loop, &term, on_ended, NULL, &gc), 0);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	port = guest_command_port(gc);
	port->ops->set_client(port, &client);
	return 0;
}

static int end(void **state)
{
	if (out[0] >= 0)
		close(out[0]);
	guest_command_destroy(gc);
	event_loop_destroy(&loop);
	close(out[1]);
	return 0;
}

static void turn(void)
{
	while (event_loop_drain(&loop))
		;
}

static void tell_raw(const void *data, size_t len)
{
	assert_int_equal(console_offer(port, data, len), len);
	turn();
}

static void tell(u8 type, u8 stream, const void *data, u32 len)
{
	struct link_head head = { cpu_to_le32(len), type, stream, 0 };

	tell_raw(&head, sizeof(head));
	if (data)
		tell_raw(data, len);
}

static void tell_u32(u8 type, u8 stream, u32 value)
{
	__le32 v = cpu_to_le32(value);

	tell(type, stream, &v, sizeof(v));
}

/* The next message to the guest; its first number, where it has one. */
static u32 heard(u8 type, u8 stream)
{
	struct link_head head;
	__le32 value = 0;
	u32 len;

	assert_true(nr_said >= sizeof(head));
	memcpy(&head, said, sizeof(head));
	len = le32_to_cpu(head.len);
	assert_int_equal(head.type, type);
	assert_int_equal(head.stream, stream);
	assert_int_equal(head.zero, 0);
	assert_true(nr_said >= sizeof(head) + len);
	memcpy(&value, said + sizeof(head), MIN(len, (u32)sizeof(value)));
	nr_said -= sizeof(head) + len;
	memmove(said, said + sizeof(head) + len, nr_said);
	return le32_to_cpu(value);
}

static void hello(void)
{
	tell_u32(LINK_HELLO, 0, LINK_VERSION);
	assert_int_equal(heard(LINK_START, 0), LINK_VERSION);
	assert_int_equal(heard(LINK_WINDOW, LINK_STDOUT), WINDOW);
	assert_int_equal(heard(LINK_WINDOW, LINK_STDERR), WINDOW);
	assert_int_equal(nr_said, 0);
}

static void test_order(void **state)
{
	assert_int_equal(input.room(input.opaque), 0);
	assert_false(guest_command_signal(gc, 15));
	assert_false(guest_command_ask(gc));
	hello();
	assert_false(guest_command_ask(gc));
	assert_int_equal(input.room(input.opaque), 0);
	assert_false(guest_command_is_running(gc));
	tell(LINK_RUNNING, 0, NULL, 0);
	tell_u32(LINK_WINDOW, LINK_STDIN, 5);
	assert_int_equal(input.room(input.opaque), 5);
	input.input(input.opaque, (const u8 *)"word", 4);
	input.ended(input.opaque);
	turn();
	assert_int_equal(heard(LINK_DATA, LINK_STDIN), 0x64726f77);
	heard(LINK_EOF, LINK_STDIN);
	assert_int_equal(input.room(input.opaque), 1);
	assert_true(guest_command_signal(gc, 2));
	assert_false(guest_command_signal(gc, 2));
	turn();
	assert_int_equal(heard(LINK_SIGNAL, 0), 2);
	/* Whoever asks has a time limit of his own. */
	assert_true(guest_command_ask(gc));
	turn();
	assert_int_equal(heard(LINK_SIGNAL, 0), 15);
	input.resized(input.opaque, 80, 25);
	turn();
	assert_int_equal(heard(LINK_SIZE, 0), 80 | 25 << 16);
	assert_int_equal(guest_command_status(gc), -1);
	tell_u32(LINK_EXIT, 0, 0x12a);
	assert_int_equal(status, 0x2a);
	assert_int_equal(guest_command_status(gc), 0x2a);
	assert_false(guest_command_ask(gc));
	/* Nothing counts after it. */
	tell_u32(LINK_EXIT, 0, 1);
	tell_u32(LINK_HELLO, 0, 7);
	assert_int_equal(nr_said, 0);
}

/* A guest that does not listen: what there is to say waits, in no more room than before. */
static void test_deaf(void **state)
{
	room = 0;
	tell_u32(LINK_HELLO, 0, LINK_VERSION);
	tell(LINK_RUNNING, 0, NULL, 0);
	tell_u32(LINK_WINDOW, LINK_STDIN, 0xffffffff);
	tell_u32(LINK_WINDOW, LINK_STDIN, 0xffffffff);
	for (u16 i = 1; i < 1000; i++)
		input.resized(input.opaque, i, i);
	turn();
	assert_int_equal(nr_said, 0);
	/* A byte at a time. */
	room = 1;
	port->ops->input_ready(port);
	turn();
	heard(LINK_START, 0);
	heard(LINK_WINDOW, LINK_STDOUT);
	heard(LINK_WINDOW, LINK_STDERR);
	assert_int_equal(heard(LINK_SIZE, 0), 999 | 999 << 16);
	assert_int_equal(nr_said, 0);
	assert_int_equal(input.room(input.opaque), 4088);
}

/* Pieces of input wait for their way in a buffer, in their order. */
static void test_pieces(void **state)
{
	static u8 data[4088];
	u64 sent = 0;
	size_t n;

	hello();
	tell(LINK_RUNNING, 0, NULL, 0);
	tell_u32(LINK_WINDOW, LINK_STDIN, 65536);
	room = 0;
	for (u8 i = 0; (n = input.room(input.opaque)); i++) {
		memset(data, i, sizeof(data));
		assert_int_equal(n, sizeof(data));
		input.input(input.opaque, data, n);
		sent += n;
		turn();
	}
	assert_int_equal(sent, 4 * sizeof(data));
	assert_true(guest_command_signal(gc, 2));
	room = 65536;
	port->ops->input_ready(port);
	turn();
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(heard(LINK_DATA, LINK_STDIN), i * 0x01010101);
	assert_int_equal(heard(LINK_SIGNAL, 0), 2);
	assert_int_equal(nr_said, 0);
	assert_int_equal(input.room(input.opaque), 4088);
}

/* No more output than there is room for; more room when it was read. */
static void test_window(void **state)
{
	static u8 data[LINK_MAX];
	u64 got = 0;
	ssize_t n;

	hello();
	fcntl(out[0], F_SETPIPE_SZ, 4096);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	tell(LINK_DATA, LINK_STDOUT, data, 32768);
	tell(LINK_DATA, LINK_STDOUT, data, 16384);
	assert_int_equal(status, -1);
	assert_int_equal(nr_said, 0);
	/* Which keeps the end back. */
	tell_u32(LINK_EXIT, 0, 9);
	while (status < 0) {
		n = read(out[0], data, sizeof(data));
		if (n > 0)
			got += (u64)n;
		turn();
	}
	assert_int_equal(status, 9);
	while ((n = read(out[0], data, sizeof(data))) > 0)
		got += (u64)n;
	assert_int_equal(got, 49152);
}

static void test_reader_gone(void **state)
{
	hello();
	close(out[0]);
	out[0] = -1;
	close(out[1]);
	out[1] = -1;
	tell(LINK_DATA, LINK_STDOUT, "x\n", 2);
	heard(LINK_CLOSED, LINK_STDOUT);
	assert_int_equal(status, -1);
	tell(LINK_DATA, LINK_STDOUT, "x\n", 2);
	tell_u32(LINK_EXIT, 0, 141);
	assert_int_equal(status, 141);
}

/* What breaks the rules ends it, with a line. */

static void assert_breaks(const char *how)
{
	capture_end();
	assert_contains(captured, how);
	assert_one_line(captured);
	assert_int_equal(status, EXIT_FAILURE);
	assert_int_equal(guest_command_status(gc), EXIT_FAILURE);
}

static void test_too_much(void **state)
{
	hello();
	capture_begin();
	tell(LINK_DATA, LINK_STDERR, NULL, WINDOW + 1);
	assert_breaks("sends output that nobody asked for");
}

static void test_no_window(void **state)
{
	capture_begin();
	tell(LINK_DATA, LINK_STDOUT, NULL, 1);
	assert_breaks("sends output that nobody asked for");
}

static void test_no_stream(void **state)
{
	hello();
	capture_begin();
	/* There is no terminal. */
	tell(LINK_DATA, LINK_TERMINAL, NULL, 0);
	assert_breaks("sends output that nobody asked for");
}

static void test_wrong_stream(void **state)
{
	hello();
	capture_begin();
	tell(LINK_DATA, 255, NULL, 0);
	assert_breaks("sends output that nobody asked for");
}

static void test_long(void **state)
{
	capture_begin();
	tell(LINK_EXIT, 0, NULL, 0xffffffff);
	assert_breaks("sends a message that is too long");
}

static void test_short(void **state)
{
	capture_begin();
	tell(LINK_HELLO, 0, NULL, 3);
	assert_breaks("sends a message that is too short");
}

/* What has no place yet is not kept for later. */
static void test_running_first(void **state)
{
	capture_begin();
	tell(LINK_RUNNING, 0, NULL, 0);
	assert_breaks("does not say hello first");
	assert_false(guest_command_is_running(gc));
	assert_false(guest_command_signal(gc, 15));
}

static void test_exit_first(void **state)
{
	capture_begin();
	tell_u32(LINK_EXIT, 0, 0);
	assert_breaks("does not say hello first");
}

/* Messages that change nothing, without end: they cost nothing, and what counts is heard. */
static void test_flood(void **state)
{
	static const struct {
		u8 type, stream;
	} idle[] = {
		{ LINK_RUNNING, 0 },  { LINK_EOF, LINK_STDOUT }, { LINK_CLOSED, LINK_STDIN },
		{ LINK_SIGNAL, 0 },   { LINK_EOF, 255 },	 { 255, 255 },
		{ LINK_CLOSED, 255 }, { LINK_START, 0 },	 { LINK_DATA, LINK_STDERR },
	};

	hello();
	for (u32 i = 0; i < 10000; i++) {
		tell(idle[i % ARRAY_SIZE(idle)].type, idle[i % ARRAY_SIZE(idle)].stream, NULL, 0);
		tell_u32(LINK_WINDOW, (u8)i, i);
	}
	assert_int_equal(nr_said, 0);
	assert_int_equal(status, -1);
	assert_int_equal(input.room(input.opaque), 4088);
	tell_u32(LINK_EXIT, 0, 3);
	assert_int_equal(status, 3);
}

static void test_twice(void **state)
{
	hello();
	capture_begin();
	tell_u32(LINK_HELLO, 0, LINK_VERSION);
	assert_breaks("says hello twice");
}

static void test_version(void **state)
{
	capture_begin();
	tell_u32(LINK_HELLO, 0, LINK_VERSION + 1);
	assert_breaks("is another lkvm's");
}

/* Text of the guest is one line, and not obeyed. */
static void test_text(void **state)
{
	static const char text[] = "\x7f\0\0\0no\033[2J\nline";

	hello();
	capture_begin();
	tell(LINK_EXIT, 0, text, sizeof(text) - 1);
	capture_end();
	assert_one_line(captured);
	assert_null(strchr(captured, '\033'));
	assert_int_equal(status, 127);
}

static void test_kept(void **state)
{
	struct console *con = kept_console_new(false);

	for (int i = 0; i < 1000; i++)
		con->ops->write(con, (const u8 *)"a line\r\n", 8);
	assert_false(kept_console_panicked(con));
	con->ops->write(con, (const u8 *)"Kernel panic? ", 14);
	assert_false(kept_console_panicked(con));
	con->ops->write(con, (const u8 *)"KKernel panic - not ", 20);
	con->ops->write(con, (const u8 *)"syncing: \033x", 11);
	assert_true(kept_console_panicked(con));
	capture_begin();
	kept_console_show(con);
	capture_end();
	assert_contains(captured, "  | a line");
	assert_contains(captured, "KKernel panic - not syncing: ?x\n");
	assert_true(strlen(captured) < 8192);
	/* Whatever follows it. */
	for (int i = 0; i < 1000; i++)
		con->ops->write(con, (const u8 *)"a line\r\n", 8);
	assert_true(kept_console_panicked(con));
	con->ops->destroy(con);
}

#define WITH(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(test_order),     WITH(test_deaf),		WITH(test_pieces),
		WITH(test_window),    WITH(test_reader_gone),	WITH(test_too_much),
		WITH(test_no_window), WITH(test_no_stream),	WITH(test_wrong_stream),
		WITH(test_long),      WITH(test_short),		WITH(test_twice),
		WITH(test_version),   WITH(test_running_first), WITH(test_exit_first),
		WITH(test_flood),     WITH(test_text),		cmocka_unit_test(test_kept),
	};

	/* What is no terminal, wherever this runs. */
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
