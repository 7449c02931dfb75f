/* SPDX-License-Identifier: MIT */
/* control.c over a loop that the test turns: requests, answers that come later, clients that go, do
 * not read, or are too many. */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture.h"
#include "lkvm/control.h"
#include "lkvm/log.h"
#include "unit.h"

static char dir[] = "/tmp/lkvm-test-control-XXXXXX";
static char path[128];
static struct event_loop loop;
static struct control control;
static sigset_t none;
static struct control_call *later;
static unsigned int gone;

static int run_echo(struct control_call *call, void *opaque)
{
	assert_ptr_equal(opaque, dir);
	json_put(call->result, "back", control_arg(call, "value"));
	return 0;
}

static void on_gone(struct control_call *call)
{
	assert_ptr_equal(call, later);
	later = NULL;
	gone++;
}

static int run_later(struct control_call *call, void *opaque)
{
	later = call;
	call->gone = on_gone;
	return CONTROL_LATER;
}

static int run_big(struct control_call *call, void *opaque)
{
	char text[1025];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	json_open(call->result, "texts", '[');
	for (u64 n = json_number(control_arg(call, "kib"), 0); n; n--)
		json_put_text(call->result, NULL, text);
	json_close(call->result, ']');
	return 0;
}

/* Bytes before the reply, as many pieces as @pieces says, of which each but the first is large. */
static u32 pieces;

static int more_data(struct control_call *call)
{
	static u8 bytes[256 * KiB];

	memset(bytes, 'd', sizeof(bytes));
	if (pieces == 1)
		control_data(call, 7, "\n{}\n", 4);
	else if (pieces)
		control_data(call, 1000, bytes, sizeof(bytes));
	if (pieces && pieces--)
		return CONTROL_LATER;
	control_end_data(call);
	if (!call->priv)
		return control_fail(call, "failed", "lost");
	json_put_u64(call->result, "size", 11);
	return 0;
}

static int run_data(struct control_call *call, void *opaque)
{
	json_put_u64(call->result, "never", 1);
	pieces = (u32)json_number(control_arg(call, "pieces"), 0);
	call->priv = control_arg(call, "fail") ? NULL : call;
	later = call;
	call->more = more_data;
	call->gone = on_gone;
	return CONTROL_LATER;
}

static int run_subscribe(struct control_call *call, void *opaque)
{
	control_subscribe(call);
	return 0;
}

static int run_fail(struct control_call *call, void *opaque)
{
	json_open(call->result, "half", '{');
	return control_fail(call, "failed", "no %s", "luck");
}

static const struct control_arg echo_args[] = { { "value", JSON_NUMBER, true, "a number" }, { 0 } };
static const struct control_arg big_args[] = { { "kib", JSON_NUMBER, false, "size" }, { 0 } };
static const struct control_arg data_args[] = {
	{ "pieces", JSON_NUMBER, false, "how many" },
	{ "fail", JSON_NULL, false, "at the end" },
	{ 0 },
};
static const struct control_command commands[] = {
	{ "echo", "the same", echo_args, run_echo },
	{ "later", "in a while", NULL, run_later },
	{ "big", "much", big_args, run_big },
	{ "fail", "never works", NULL, run_fail },
	{ "data", "bytes", data_args, run_data },
	{ "subscribe", "events", NULL, run_subscribe },
	{ 0 },
};
static const struct control_table table = { .commands = commands, .opaque = dir };

static int set_up(void **state)
{
	assert_non_null(mkdtemp(dir));
	setenv("XDG_RUNTIME_DIR", dir, 1);
	snprintf(path, sizeof(path), "%s/lkvm/vm.sock", dir);
	return 0;
}

static int tear_down(void **state)
{
	char folder[64];

	snprintf(folder, sizeof(folder), "%s/lkvm", dir);
	return rmdir(folder) || rmdir(dir); /* nothing is left there */
}

static int open_one(void **state)
{
	sigemptyset(&none);
	gone = 0;
	later = NULL;
	assert_int_equal(event_loop_init(&loop, "test"), 0);
	return control_open(&control, &loop, "vm", true, &table, &none);
}

static int close_one(void **state)
{
	control_close(&control);
	event_loop_destroy(&loop);
	return !access(path, F_OK);
}

static void turn(void)
{
	while (event_loop_drain(&loop))
		;
}

static int join(void)
{
	int fd = unix_connect(path);

	assert_true(fd >= 0);
	turn();
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	turn();
}

/* All that came, as text; "": nothing, "end": the connection's end. */
static const char *hear(int fd)
{
	static char text[8192];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	if (!n || (n < 0 && errno == ECONNRESET))
		return "end";
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void test_requests(void **state)
{
	int fd = join();

	say(fd,
	    "{\"lkvm\":1,\"id\":\"a\\u00e9\",\"command\":\"echo\",\"arguments\":{\"value\":5}}\n");
	assert_string_equal(hear(fd),
			    "{\"lkvm\":1,\"id\":\"a\xc3\xa9\",\"result\":{\"back\":5}}\n");
	say(fd, "{\"lkvm\":1,\"id\":-3,\"command\":\"fail\"}\n");
	assert_string_equal(
		hear(fd),
		"{\"lkvm\":1,\"id\":-3,\"error\":{\"code\":\"failed\",\"text\":\"no luck\"}}\n");
	say(fd, "{\"lkvm\":1,\"command\":\"echo\"}\n");
	assert_string_equal(hear(fd), "{\"lkvm\":1,\"error\":{\"code\":\"bad-argument\",\"text\":"
				      "\"echo: needs the argument 'value'\"}}\n");
	say(fd, "{\"lkvm\":1,\"command\":\"help\"}\n");
	assert_non_null(
		strstr(hear(fd),
		       "\"echo\":{\"text\":\"the same\",\"arguments\":{\"value\":\"a number\"}}"));
	close(fd);
	turn();
	assert_int_equal(control.nr_clients, 0);
}

static void test_later(void **state)
{
	int fd = join();

	/* The second waits for the first. */
	say(fd, "{\"lkvm\":1,\"id\":1,\"command\":\"later\"}\n{\"lkvm\":1,\"id\":2,\"command\":"
		"\"fail\"}\n");
	assert_string_equal(hear(fd), "");
	assert_non_null(later);
	json_put_u64(later->result, "n", 7);
	control_finish(later, 0);
	assert_string_equal(hear(fd),
			    "{\"lkvm\":1,\"id\":1,\"result\":{\"n\":7}}\n{\"lkvm\":1,\"id\":2,"
			    "\"error\":{\"code\":\"failed\",\"text\":\"no luck\"}}\n");
	say(fd, "{\"lkvm\":1,\"id\":3,\"command\":\"later\"}\n");
	control_finish(later, control_fail(later, "failed", "late"));
	assert_string_equal(
		hear(fd),
		"{\"lkvm\":1,\"id\":3,\"error\":{\"code\":\"failed\",\"text\":\"late\"}}\n");
	/* Who has said all still gets the answer. */
	say(fd, "{\"lkvm\":1,\"id\":4,\"command\":\"later\"}\n");
	shutdown(fd, SHUT_WR);
	turn();
	assert_int_equal(gone, 0);
	control_finish(later, 0);
	assert_string_equal(hear(fd), "{\"lkvm\":1,\"id\":4,\"result\":{}}\n");
	turn();
	assert_string_equal(hear(fd), "end");
	close(fd);
}

static void test_gone(void **state)
{
	int fd = join();

	say(fd, "{\"lkvm\":1,\"command\":\"later\"}\n");
	assert_non_null(later);
	close(fd);
	turn();
	assert_int_equal(gone, 1);
	/* And at the end of all. */
	fd = join();
	say(fd, "{\"lkvm\":1,\"command\":\"later\"}\n");
	control_close(&control);
	assert_int_equal(gone, 2);
	assert_string_equal(hear(fd), "end");
	close(fd);
}

static void test_unread(void **state)
{
	static char text[64 * KiB];
	int fd = join(), other = join();
	size_t total = 0;
	ssize_t n;

	say(fd, "{\"lkvm\":1,\"command\":\"big\",\"arguments\":{\"kib\":2048}}\n{\"lkvm\":1,"
		"\"command\":\"fail\"}\n");
	say(other, "{\"lkvm\":1,\"command\":\"fail\"}\n");
	assert_non_null(strstr(hear(other), "no luck"));
	/* It reads after all. */
	while ((n = recv(fd, text, sizeof(text), MSG_DONTWAIT)) > 0) {
		total += (size_t)n;
		turn();
	}
	assert_true(total > 2 * MiB);
	assert_int_equal(errno, EAGAIN);
	say(fd, "{\"lkvm\":1,\"id\":1,\"command\":\"big\",\"arguments\":{\"kib\":8192}}\n");
	assert_string_equal(
		hear(fd),
		"{\"lkvm\":1,\"id\":1,\"error\":{\"code\":\"too-large\",\"text\":\"the reply "
		"is too large, or memory is short\"}}\n");
	/* Or goes in the middle. */
	say(fd, "{\"lkvm\":1,\"command\":\"big\",\"arguments\":{\"kib\":2048}}\n");
	close(fd);
	turn();
	assert_int_equal(control.nr_clients, 1);
	close(other);
}

static void test_data(void **state)
{
	int fd = join();

	/* In one go: bytes of any kind, the reply, and that of the request behind it. */
	say(fd, "{\"lkvm\":1,\"id\":1,\"command\":\"data\",\"arguments\":{\"pieces\":1}}\n"
		"{\"lkvm\":1,\"id\":2,\"command\":\"fail\"}\n");
	assert_string_equal(
		hear(fd),
		"{\"lkvm\":1,\"id\":1,\"data\":{\"offset\":7,\"length\":4}}\n\n{}\n"
		"{\"lkvm\":1,\"id\":1,\"result\":{\"size\":11}}\n"
		"{\"lkvm\":1,\"id\":2,\"error\":{\"code\":\"failed\",\"text\":\"no luck\"}}\n");
	say(fd, "{\"lkvm\":1,\"command\":\"data\",\"arguments\":{\"fail\":null}}\n");
	assert_string_equal(hear(fd),
			    "{\"lkvm\":1,\"error\":{\"code\":\"failed\",\"text\":\"lost\"}}\n");
	/* Who has said all gets all. */
	say(fd, "{\"lkvm\":1,\"command\":\"data\",\"arguments\":{\"pieces\":1}}\n");
	shutdown(fd, SHUT_WR);
	turn();
	assert_non_null(strstr(hear(fd), "\"size\":11}}\n"));
	assert_string_equal(hear(fd), "end");
	assert_int_equal(gone, 0);
	close(fd);
}

/* Who takes its time holds up nobody; who goes in the middle ends it. */
static void test_data_unread(void **state)
{
	int fd = join(), other = join();
	static char text[64 * KiB];
	size_t total = 0;
	ssize_t n;

	say(fd, "{\"lkvm\":1,\"command\":\"data\",\"arguments\":{\"pieces\":9}}\n");
	assert_true(pieces > 5);
	say(other, "{\"lkvm\":1,\"command\":\"fail\"}\n");
	assert_non_null(strstr(hear(other), "no luck"));
	while ((n = recv(fd, text, sizeof(text), MSG_DONTWAIT)) > 0) {
		total += (size_t)n;
		turn();
	}
	assert_int_equal(pieces, 0);
	assert_true(total > 8 * 256 * KiB);
	say(fd, "{\"lkvm\":1,\"command\":\"data\",\"arguments\":{\"pieces\":9}}\n");
	assert_int_equal(gone, 0);
	close(fd);
	turn();
	assert_int_equal(gone, 1);
	assert_int_equal(control.nr_clients, 1);
	close(other);
}

/* Between replies, never within one; also to who has said all. */
static void test_events(void **state)
{
	int fd = join(), other = join();

	control_event(&control, "early", "");
	say(fd, "{\"lkvm\":1,\"command\":\"subscribe\"}\n");
	assert_string_equal(hear(fd), "{\"lkvm\":1,\"result\":{}}\n");
	control_event(&control, "one", "");
	assert_string_equal(hear(fd), "{\"lkvm\":1,\"event\":\"one\"}\n");
	say(fd, "{\"lkvm\":1,\"command\":\"later\"}\n");
	control_event(&control, "two", ",\"n\":2");
	control_event(&control, "three", "");
	assert_string_equal(hear(fd), "");
	control_finish(later, 0);
	assert_string_equal(hear(fd), "{\"lkvm\":1,\"result\":{}}\n"
				      "{\"lkvm\":1,\"event\":\"two\",\"n\":2}\n"
				      "{\"lkvm\":1,\"event\":\"three\"}\n");
	shutdown(fd, SHUT_WR);
	turn();
	control_event(&control, "four", "");
	assert_string_equal(hear(fd), "{\"lkvm\":1,\"event\":\"four\"}\n");
	/* Nobody else hears of it. */
	assert_string_equal(hear(other), "");
	close(fd);
	turn();
	assert_int_equal(control.nr_clients, 1);
	control_event(&control, "five", "");
	close(other);
}

/* Who does not read loses some, and hears how many. */
static void test_events_lost(void **state)
{
	static char all[8 * MiB];
	int fd = join();
	u32 told = 0, sent = 0;
	size_t len = 0;
	ssize_t n;

	say(fd, "{\"lkvm\":1,\"command\":\"subscribe\"}\n");
	hear(fd);
	for (; sent < 100000; sent++)
		control_event(&control, "much", ",\"text\":\"0123456789012345678901234567890123\"");
	while ((n = recv(fd, all + len, sizeof(all) - 1 - len, MSG_DONTWAIT)) > 0) {
		len += (size_t)n;
		turn();
	}
	control_event(&control, "last", "");
	len += (size_t)recv(fd, all + len, sizeof(all) - 1 - len, MSG_DONTWAIT);
	all[len] = '\0';
	for (const char *p = all; (p = strstr(p, "\"much\"")); p++)
		told++;
	assert_in_range(told, 100, sent - 1);
	assert_non_null(strstr(all, "{\"lkvm\":1,\"event\":\"last\",\"lost\":"));
	assert_int_equal(atoi(strstr(all, "\"lost\":") + 7), sent - told);
	close(fd);
}

/* Descriptors that a client passes are nobody's, and closed. */
static void test_descriptors(void **state)
{
	static const char request[] = "{\"lkvm\":1,\"command\":\"fail\"}\n";
	struct iovec iov = { .iov_base = (void *)request, .iov_len = sizeof(request) - 1 };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(200 * sizeof(int))];
	} control_buf = { 0 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control_buf.buf,
			      .msg_controllen = sizeof(control_buf.buf) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
	int fd = join(), before, after, ends[2];
	char c;

	assert_int_equal(pipe(ends), 0);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(200 * sizeof(int));
	for (u32 i = 0; i < 200; i++)
		memcpy(CMSG_DATA(head) + i * sizeof(int), &ends[1], sizeof(int));
	before = dup(0);
	close(before);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), sizeof(request) - 1);
		turn();
		assert_non_null(strstr(hear(fd), "no luck"));
	}
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
	close(ends[1]);
	/* Nobody holds the other end. */
	assert_int_equal(read(ends[0], &c, 1), 0);
	close(ends[0]);
	close(fd);
}

static void test_too_many(void **state)
{
	int fds[CONTROL_MAX_CLIENTS + 2];

	for (size_t i = 0; i < ARRAY_SIZE(fds) - 2; i++)
		fds[i] = join();
	/* The first has something to say; the second is the most silent one then. */
	say(fds[0], "{\"lkvm\":1,\"command\":\"fail\"}\n");
	fds[CONTROL_MAX_CLIENTS] = join();
	fds[CONTROL_MAX_CLIENTS + 1] = join();
	assert_int_equal(control.nr_clients, CONTROL_MAX_CLIENTS);
	assert_non_null(strstr(hear(fds[0]), "no luck"));
	assert_string_equal(hear(fds[1]), "end");
	assert_string_equal(hear(fds[2]), "end");
	say(fds[3], "{\"lkvm\":1,\"command\":\"fail\"}\n");
	assert_non_null(strstr(hear(fds[3]), "no luck"));
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	turn();
	assert_int_equal(control.nr_clients, 0);
}

static void test_long_line(void **state)
{
	static char text[CONTROL_MAX_LINE + 1];
	int fd = join();

	/* As long as it may be. */
	memset(text, ' ', sizeof(text));
	memcpy(text, "{\"lkvm\":1,\"command\":\"fail\"}", 27);
	text[CONTROL_MAX_LINE - 1] = '\n';
	text[CONTROL_MAX_LINE] = '\0';
	say(fd, text);
	assert_non_null(strstr(hear(fd), "no luck"));
	text[CONTROL_MAX_LINE - 1] = ' ';
	say(fd, text);
	assert_non_null(strstr(hear(fd), "the line is too long"));
	assert_string_equal(hear(fd), "end");
	close(fd);
}

static void test_name_in_use(void **state)
{
	struct control second;

	capture_begin();
	assert_int_equal(control_open(&second, &loop, "vm", true, &table, &none), -EADDRINUSE);
	assert_contains(capture_end(), "--name vm: cannot listen on");
	assert_int_equal(control_open(&second, &loop, "vm", false, &table, &none), 0);
	assert_int_equal(second.listener.fd, -1);
	control_close(&second);
	assert_int_equal(access(path, F_OK), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, open_one, close_one)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_requests),	TEST(test_later),    TEST(test_gone),
		TEST(test_unread),	TEST(test_too_many), TEST(test_long_line),
		TEST(test_name_in_use), TEST(test_data),     TEST(test_data_unread),
		TEST(test_descriptors), TEST(test_events),   TEST(test_events_lost),
	};

	log_set_level(LOG_INFO);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
