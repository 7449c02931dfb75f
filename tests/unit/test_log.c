/* SPDX-License-Identifier: MIT */
/* util/log.c: levels, whole lines, raw terminals, the rate limit. */
#include "capture.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
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
	/* What another byte of the same line says, in C1 and in UTF-8, turned around, or cut. */
	capture_begin();
	err("a\x9b"
	    "b\xc2\x9b"
	    "c\xe2\x80\xae"
	    "d\xe2\x80\xa8"
	    "e\xc3");
	assert_string_equal(capture_end(), "lkvm: error: a?b?c?d?e?\n");
}

static void check_mask(const char *text, const char *want)
{
	char buf[64];

	strcpy(buf, text);
	assert_int_equal(text_mask(buf), strlen(want));
	assert_string_equal(buf, want);
}

static void test_mask(void **state)
{
	/* Letters, signs and pictures of all lengths stay. */
	check_mask("", "");
	check_mask("a ~\xc2\xa0\xdf\xbf\xe2\x82\xac\xed\x9f\xbf\xf0\x9f\x90\xa7",
		   "a ~\xc2\xa0\xdf\xbf\xe2\x82\xac\xed\x9f\xbf\xf0\x9f\x90\xa7");
	/* Every control code, as a byte and in UTF-8. */
	for (int c = 1; c < 0xa0; c++) {
		char byte[] = { (char)c, 0 }, two[] = { (char)0xc2, (char)c, 0 };

		if (c < 0x20 || c >= 0x7f)
			check_mask(byte, "?");
		if (c >= 0x80)
			check_mask(two, "?");
	}
	/* Marks, embeddings, overrides, isolates, separators. */
	check_mask(
		"\xd8\x9c\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\xaa\xe2\x80\xae\xe2\x81\xa6\xe2\x81\xa9",
		"???????");
	check_mask("\xe2\x80\xa8\xe2\x80\xa9|\xe2\x80\x8d", "??|\xe2\x80\x8d");
	/* Not UTF-8: cut short, longer than needed, surrogates, too large. */
	check_mask("\xe2\x80", "??");
	check_mask("\xe2\x80x", "??x");
	check_mask("\xc0\x9b\xc1\x9b", "????");
	check_mask("\xe0\x82\x9b", "???");
	check_mask("\xf0\x80\x82\x9b", "????");
	check_mask("\xed\xa0\x80", "???");
	check_mask("\xf4\x90\x80\x80", "????");
	check_mask("\xf5\xff", "??");
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

	capture_begin();
	for (int i = 0; i < 1000; i++)
		log_guest(&rl, LOG_WARNING, "seldom %d", i);
	capture_end();
	assert_contains(captured, "seldom 9\n");
	assert_lacks(captured, "seldom 10\n");
	rl.window_start_ns -= 6000000000ULL;
	capture_begin();
	log_guest(&rl, LOG_WARNING, "again");
	log_guest(&rl, LOG_WARNING, "again");
	assert_string_equal(capture_end(),
			    "lkvm: warning: 990 messages like the next one were omitted\n"
			    "lkvm: warning: again\nlkvm: warning: again\n");
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
		log_guest(opaque, LOG_INFO, "seldom");
	return NULL;
}

static void test_threads(void **state)
{
	struct log_ratelimit rl = { 0 };
	pthread_t threads[4];

	capture_begin();
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, warn_much, &rl), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	capture_end();
	assert_int_equal(rl.printed, 10);
	assert_int_equal(rl.suppressed, 39990);
}

#define SECOND 1000000000ULL

/* Lines of 100 bytes, one in each @step, over two days: no more than the budget is told of. */
static u64 bytes_of_two_days(u64 step, u64 *gaps)
{
	struct log_budget b = { 0 };
	u64 told = 0, dropped = 0, lines = 0;

	*gaps = 0;
	for (u64 now = SECOND; now < 2 * 86400 * SECOND; now += step) {
		enum log_verdict v = log_budget_ask(&b, now);

		lines++;
		if (v == LOG_PASS_AGAIN) {
			assert_true(b.dropped > 0);
			dropped += b.dropped;
			b.dropped = 0;
		}
		*gaps += v == LOG_NOW_SPENT;
		if (v == LOG_DROP)
			continue;
		b.left -= 100;
		told += 100;
	}
	assert_int_equal(dropped + b.dropped + told / 100, lines);
	return told;
}

static void test_budget(void **state)
{
	u64 gaps, told = bytes_of_two_days(SECOND / 4, &gaps);

	/* A full bucket, and what comes in over two days. */
	assert_in_range(told, 16 * MiB, 17 * MiB + 1000);
	/* Gaps are few: as much as makes the line about them readable. */
	assert_in_range(gaps, 100, 300);
	/* What is slower than the budget passes whole. */
	assert_int_equal(bytes_of_two_days(2 * SECOND, &gaps), (2 * 86400 - 1 + 1) / 2 * 100);
	assert_int_equal(gaps, 0);
}

/* All sites together, and what passes all the same. */
static void test_spent(void **state)
{
	static struct log_ratelimit sites[2000], other;
	static char text[1000];

	memset(text, 'x', sizeof(text) - 1);
	capture_begin();
	for (size_t i = 0; i < ARRAY_SIZE(sites); i++) {
		sites[i].first_ns = now_ns();
		log_guest(&sites[i], LOG_WARNING, "%s", text);
	}
	capture_end();
	capture_begin();
	err("the host's");
	log_guest(&other, LOG_ERROR, "the host's, too");
	log_guest(&sites[1], LOG_WARNING, "much");
	log_guest(&other, LOG_WARNING, "another kind");
	log_guest(&other, LOG_WARNING, "for the second time");
	assert_string_equal(capture_end(), "lkvm: error: the host's\nlkvm: error: the host's, too\n"
					   "lkvm: warning: another kind\n");
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
	/* One wait of a second, not one for each line, which would take a quarter of an hour. */
	assert_in_range(now_ns() - start, 0, 300 * 1000000000ULL);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(byte, 'l');
	close(saved);
	close(fds[0]);
	close(fds[1]);
}

/* What a terminal gets as standard error while @say runs. */
static char shown[4096];
static const char *on_terminal(void (*say)(void))
{
	int master, slave, saved = dup(STDERR_FILENO);
	struct termios raw;
	size_t len = 0;
	ssize_t n;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(slave, &raw), 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(slave, TCSANOW, &raw), 0);
	dup2(slave, STDERR_FILENO);
	close(slave);
	say();
	/* The last one who has it goes: then the end is read. */
	dup2(saved, STDERR_FILENO);
	close(saved);
	while ((n = read(master, shown + len, sizeof(shown) - 1 - len)) > 0)
		len += (size_t)n;
	shown[len] = '\0';
	close(master);
	return shown;
}

static void say_all(void)
{
	err("an error\033[2J");
	warn("a warning");
	info("news");
}

/* Colours for terminals alone that understand them, and unless they are not wanted. */
static void test_colours(void **state)
{
	static const char plain[] = "lkvm: error: an error?[2J\nlkvm: warning: a warning\n"
				    "lkvm: info: news\n";

	unsetenv("NO_COLOR");
	setenv("TERM", "xterm", 1);
	assert_string_equal(on_terminal(say_all), "lkvm: \033[1;31merror:\033[0m an error?[2J\n"
						  "lkvm: \033[1;35mwarning:\033[0m a warning\n"
						  "lkvm: info: news\n");
	capture_begin();
	say_all();
	assert_string_equal(capture_end(), plain);
	setenv("NO_COLOR", "", 1);
	assert_non_null(strstr(on_terminal(say_all), "\033[1;31m"));
	setenv("NO_COLOR", "1", 1);
	assert_string_equal(on_terminal(say_all), plain);
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	assert_string_equal(on_terminal(say_all), plain);
	unsetenv("TERM");
	assert_string_equal(on_terminal(say_all), plain);
}

/* Something that goes on until it is shown, however slow the machine is. */
static void take_long(void)
{
	u64 since = now_ns();

	while (now_ns() - since < 1500000000ULL)
		log_progress("reading", "a\033file", 1, 4);
}

static void progress_to_the_end(void)
{
	take_long();
	log_progress_end();
	log_progress_end();
	log_progress("reading", "another", 1, 4);
	log_progress_end();
}

static void progress_to_a_message(void)
{
	take_long();
	info("news");
	log_progress_end();
}

static void progress_in_raw_mode(void)
{
	log_set_raw_terminal(true);
	take_long();
	log_set_raw_terminal(false);
}

static void test_progress(void **state)
{
	static const char line[] = "\r\033[Klkvm: reading a?file: 25 %";
	const char *text;

	setenv("TERM", "xterm", 1);
	text = on_terminal(progress_to_the_end);
	assert_memory_equal(text, line, strlen(line));
	/* It goes, once, and what is short is not shown. */
	assert_string_equal(text + strlen(text) - 8, "25 %\r\033[K");
	assert_null(strstr(text, "another"));
	text = on_terminal(progress_to_a_message);
	assert_non_null(strstr(text, "25 %\r\033[Klkvm: info: news\n"));
	assert_string_equal(text + strlen(text) - 5, "news\n");
	assert_string_equal(on_terminal(progress_in_raw_mode), "");
	capture_begin();
	take_long();
	log_progress_end();
	assert_string_equal(capture_end(), "");
	log_set_level(LOG_WARNING);
	assert_string_equal(on_terminal(progress_to_the_end), "");
	log_set_level(LOG_INFO);
	setenv("TERM", "dumb", 1);
	assert_string_equal(on_terminal(progress_to_the_end), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),	     cmocka_unit_test(test_colours),
		cmocka_unit_test(test_progress),     cmocka_unit_test(test_long_and_control),
		cmocka_unit_test(test_one_write),    cmocka_unit_test(test_raw_terminal),
		cmocka_unit_test(test_mask),	     cmocka_unit_test(test_ratelimit),
		cmocka_unit_test(test_budget),	     cmocka_unit_test(test_threads),
		cmocka_unit_test(test_stuck_reader), cmocka_unit_test(test_spent),
	};

	setenv("TERM", "dumb", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
