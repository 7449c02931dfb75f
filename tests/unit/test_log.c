/* SPDX-License-Identifier: MIT */
/* util/log.c: levels, whole lines, raw terminals, the rate limit. */
#include "capture.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>

#include "lkvm/log.h"
#include "lkvm/util.h"

static void test_levels(void **state)
{
	enum log_level level = LOG_DEBUG;

	assert_int_equal(log_get_level(), LOG_INFO);
	capture_begin();
	err("e%d", 1);
	warn("w");
	info("i");
	debug("d");
	log_set_level(LOG_ERROR);
	err("e2");
	warn("w2");
	log_set_level(LOG_INFO);
	assert_string_equal(capture_end(), "lkvm: error: e1\nlkvm: warning: w\nlkvm: info: i\n"
					   "lkvm: error: e2\n");
	assert_int_equal(log_level_parse("warning", &level), 0);
	assert_int_equal(level, LOG_WARNING);
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
	assert_int_equal(log_level_parse("", &level), -EINVAL);
	assert_int_equal(level, LOG_WARNING);
}

static void test_long_and_control(void **state)
{
	static char path[5000];
	size_t len;
	int saved;

	memset(path, 'p', sizeof(path) - 1);
	capture_begin();
	errno = ENOENT;
	err("'%s': reason", path);
	assert_int_equal(errno, ENOENT);
	len = strlen(capture_end());
	/* Nor does a message that cannot be written touch errno. */
	saved = dup(STDERR_FILENO);
	close(STDERR_FILENO);
	errno = ENOENT;
	err("lost");
	assert_int_equal(errno, ENOENT);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_int_equal(len, strlen("lkvm: error: '': reason\n") + sizeof(path) - 1);
	assert_string_equal(captured + len - 9, ": reason\n");
	/* Every length around the size of the inner buffer. */
	for (size_t n = 470; n < 530; n++) {
		capture_begin();
		err("%.*s", (int)n, path);
		capture_end();
		assert_int_equal(strlen(captured), n + strlen("lkvm: error: \n"));
	}
	capture_begin();
	err("a\nb\033[2J\x7f\xc3\xa9");
	assert_string_equal(capture_end(), "lkvm: error: a?b?[2J?\xc3\xa9\n");
}

/* Each message is one packet of a SEQPACKET socket: one write. */
static void test_one_write(void **state)
{
	int saved = dup(STDERR_FILENO), fds[2];
	char buf[256];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	dup2(fds[1], STDERR_FILENO);
	warn("whole %s", "line");
	dup2(saved, STDERR_FILENO);
	assert_int_equal(read(fds[0], buf, sizeof(buf)), strlen("lkvm: warning: whole line\n"));
	close(saved);
	close(fds[0]);
	close(fds[1]);
}

static void test_raw_terminal(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave, saved = dup(STDERR_FILENO);
	struct termios tio;
	char buf[64] = "";

	if (master < 0)
		skip();
	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(slave >= 0);
	assert_int_equal(tcgetattr(slave, &tio), 0);
	cfmakeraw(&tio);
	assert_int_equal(tcsetattr(slave, TCSANOW, &tio), 0);
	dup2(slave, STDERR_FILENO);
	log_set_raw_terminal(true);
	err("x");
	log_set_raw_terminal(false);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_true(read(master, buf, sizeof(buf) - 1) > 0);
	assert_string_equal(buf, "lkvm: error: x\r\n");
	close(slave);
	close(master);
	/* No terminal, no carriage return. */
	capture_begin();
	log_set_raw_terminal(true);
	err("x");
	log_set_raw_terminal(false);
	assert_string_equal(capture_end(), "lkvm: error: x\n");
}

static void test_ratelimit(void **state)
{
	struct log_ratelimit rl = { 0 };
	int passed = 0;

	for (int i = 0; i < 1000; i++)
		passed += log_ratelimit_ok(&rl);
	assert_int_equal(passed, 10);
	rl.window_start_ns -= 6000000000ULL;
	capture_begin();
	assert_true(log_ratelimit_ok(&rl));
	assert_string_equal(capture_end(),
			    "lkvm: warning: 990 messages like the next one were omitted\n");
	capture_begin();
	assert_true(log_ratelimit_ok(&rl));
	assert_string_equal(capture_end(), "");
	capture_begin();
	for (int i = 0; i < 100; i++)
		guest_warn("queue %d", i);
	capture_end();
	assert_contains(captured, "queue 9\n");
	assert_lacks(captured, "queue 10\n");
}

static void *warn_much(void *opaque)
{
	for (int i = 0; i < 10000; i++)
		if (log_ratelimit_ok(opaque))
			debug("seldom");
	return NULL;
}

static void test_threads(void **state)
{
	struct log_ratelimit rl = { 0 };
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, warn_much, &rl), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(rl.printed, 10);
	assert_int_equal(rl.suppressed, 39990);
}

/* A pipe that nobody reads: messages are lost, the caller goes on. */
static void test_stuck_reader(void **state)
{
	int saved = dup(STDERR_FILENO), fds[2];
	u64 start;
	char byte;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	start = now_ns();
	for (int i = 0; i < 1000; i++)
		warn("a line of some length, so that the pipe is full after fewer than a thousand");
	dup2(saved, STDERR_FILENO);
	/* One wait of a second, not one for each line. */
	assert_in_range(now_ns() - start, 0, 10000000000ULL);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(byte, 'l');
	close(saved);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),	     cmocka_unit_test(test_long_and_control),
		cmocka_unit_test(test_one_write),    cmocka_unit_test(test_raw_terminal),
		cmocka_unit_test(test_ratelimit),    cmocka_unit_test(test_threads),
		cmocka_unit_test(test_stuck_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
