/* SPDX-License-Identifier: MIT */
/*
 * Guest output to the host: in whole lines, to readers that are slow, asleep or gone, to full
 * devices and to files.
 */
#include "termchild.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

static void two_lines(void)
{
	struct guest g;

	guest_open(&g, 0);
	for (const char *s = "first\nsecond\n$ "; *s; s++)
		g.con->ops->write(g.con, (const u8 *)s, 1);
	guest_run(&g, 100);
	guest_close(&g);
}

static void a_line_is_one_write(void **state)
{
	int fds[2], null = open_null();
	struct child c;
	char buf[64];

	/* A socket that keeps the borders of writes. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	c = start(two_lines, null, fds[1], STDERR_FILENO);
	close(fds[1]);
	assert_int_equal(read(fds[0], buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "first\n", 6);
	assert_int_equal(read(fds[0], buf, sizeof(buf)), 7);
	assert_memory_equal(buf, "second\n", 7);
	assert_int_equal(read(fds[0], buf, sizeof(buf)), 2); /* the prompt, a moment later */
	expect(c.report, "<end>");
	assert_ends_well(&c);
	close(fds[0]);
	close(null);
}

/* Bytes one by one from a vcpu, while the loop sleeps: what that costs. */

#define BURST	   65536
#define BURST_LINE 64

static bool with_lines;

static void *write_burst(void *arg)
{
	struct guest *g = arg;
	char text[32];
	u64 wakes = 0;

	for (int i = 0; i < BURST; i++) {
		bool end = with_lines && i % BURST_LINE == BURST_LINE - 1;

		/* It sleeps each time anew, and its timers never fire. */
		g->loop.asleep_until = UINT64_MAX;
		guest_print(g, end ? "\n" : "x");
	}
	if (read(g->loop.wake_fd, &wakes, sizeof(wakes)) < 0)
		wakes = 0;
	report(text, (size_t)snprintf(text, sizeof(text), "<woken %llu>", wakes));
	return NULL;
}

static void bursts(void)
{
	struct guest g;
	pthread_t thread;

	guest_open(&g, 0);
	pthread_create(&thread, NULL, write_burst, &g);
	pthread_join(thread, NULL);
	guest_close(&g);
}

/* In @writes at most; and the loop is woken once, to look for a line that does not end. */
static void assert_burst(bool lines, unsigned int writes)
{
	int fds[2], null = open_null();
	unsigned int n = 0;
	struct child c;
	char buf[BURST];
	size_t len = 0;

	with_lines = lines;
	/* It keeps the borders of writes. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	c = start(bursts, null, fds[1], STDERR_FILENO);
	close(fds[1]);
	for (; len < BURST; n++) {
		ssize_t got = read(fds[0], buf + len, BURST - len);

		assert_true(got > 0);
		len += (size_t)got;
	}
	for (size_t i = 0; i < BURST; i++)
		assert_int_equal(buf[i], lines && i % BURST_LINE == BURST_LINE - 1 ? '\n' : 'x');
	assert_in_range(n, 1, writes);
	expect(c.report, "<woken 1>");
	assert_ends_well(&c);
	close(fds[0]);
	close(null);
}

static void a_burst_is_a_write_for_each_line(void **state)
{
	assert_burst(true, BURST / BURST_LINE);
}

static void a_burst_without_lines_is_few_writes(void **state)
{
	assert_burst(false, BURST / 1024);
}

static void *write_much(void *arg)
{
	struct guest *g = arg;

	for (int i = 0; i < 30000; i++) {
		char line[32];

		snprintf(line, sizeof(line), "line %d\n", i);
		guest_print(g, line);
	}
	event_timer_set(&g->end, 1);
	return NULL;
}

static void writes_much(void)
{
	struct guest g;
	pthread_t thread;

	guest_open(&g, 0);
	pthread_create(&thread, NULL, write_much, &g);
	event_loop_run(&g.loop);
	pthread_join(thread, NULL);
	guest_close(&g);
	assert_waits(10000);
}

static void check_much(int out)
{
	FILE *f = fdopen(out, "r");
	char want[32], got[32];

	for (int i = 0; i < 30000; i++) {
		snprintf(want, sizeof(want), "line %d\n", i);
		assert_non_null(fgets(got, sizeof(got), f));
		assert_string_equal(got, want);
		if (i % 1000 == 0)
			usleep(10000);
	}
	assert_null(fgets(got, sizeof(got), f));
	fclose(f);
}

/* The child can write no more. */
static void wait_full(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	while (poll(&pfd, 1, 0) == 1)
		usleep(1000);
}

static void a_slow_reader_gets_all(void **state)
{
	int fds[2], null = open_null();
	struct child c;

	make_pipe(fds);
	c = start(writes_much, null, fds[1], STDERR_FILENO);
	wait_full(fds[1]);
	/* The pipe is shared: its flags are not ours. */
	assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	close(fds[1]);
	check_much(fds[0]);
	assert_ends_well(&c);
	close(null);
}

/* Who may not wait offers, and is told when there is room. */

static struct {
	struct guest g;
	char line[32];
	size_t at, len;
	int number;
	atomic_uint *refused; /* shared with the reader's process */
} offering;

static void offer_on(void *opaque)
{
	for (;;) {
		size_t left = offering.len - offering.at, n;

		n = console_offer(offering.g.con, (const u8 *)offering.line + offering.at, left);
		offering.at += n;
		if (n < left) {
			atomic_fetch_add(offering.refused, 1);
			return;
		}
		if (offering.number == 30000)
			break;
		offering.at = 0;
		offering.len = (size_t)snprintf(offering.line, sizeof(offering.line), "line %d\n",
						offering.number++);
	}
	event_timer_set(&offering.g.end, 1);
}

static void offers_much(void)
{
	const struct console_client client = {
		.room = guest_room,
		.input = guest_input,
		.writable = offer_on,
		.opaque = &offering.g,
	};
	struct event_post begin = { .fn = offer_on };

	guest_open(&offering.g, 0);
	offering.g.con->ops->set_client(offering.g.con, &client);
	event_loop_post(&offering.g.loop, &begin);
	event_loop_run(&offering.g.loop);
	guest_close(&offering.g);
	/* In vain now and then, but not all the time: after each there is room for many lines. */
	if (!*offering.refused || *offering.refused > 3000)
		_exit(3);
}

static void what_is_offered_comes_whole(void **state)
{
	int fds[2], null = open_null();
	struct child c;

	make_pipe(fds);
	offering.refused = mmap(NULL, sizeof(*offering.refused), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(offering.refused, MAP_FAILED);
	c = start(offers_much, null, fds[1], STDERR_FILENO);
	/* A reader that is faster than it would leave room all the time. */
	while (!atomic_load(offering.refused))
		usleep(1000);
	close(fds[1]);
	check_much(fds[0]);
	assert_ends_well(&c);
	munmap(offering.refused, sizeof(*offering.refused));
	close(null);
}

static void a_slow_socket_gets_all(void **state)
{
	int fds[2], null = open_null();
	struct child c;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	c = start(writes_much, null, fds[1], STDERR_FILENO);
	wait_full(fds[1]);
	close(fds[1]);
	check_much(fds[0]);
	assert_ends_well(&c);
	close(null);
}

static void prints_and_idles(void)
{
	struct guest g;
	char line[101];

	memset(line, '.', 99);
	line[99] = '\n';
	line[100] = '\0';
	guest_open(&g, 0);
	for (int i = 0; i < 300; i++)
		guest_print(&g, line);
	guest_print(&g, "last");
	guest_run(&g, 0);
}

/* The guest is silent, the reader late: the main loop has to bring the rest, without spinning. */
static void the_rest_follows(void **state)
{
	int fds[2], null = open_null();
	struct child c;
	size_t len = 0;
	char buf[512];

	make_pipe(fds);
	assert_int_equal(fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096);
	c = start(prints_and_idles, null, fds[1], STDERR_FILENO);
	wait_full(fds[1]);
	close(fds[1]);
	while (len < 30004) {
		struct pollfd pfd = { .fd = fds[0], .events = POLLIN };
		ssize_t n;

		assert_int_equal(poll(&pfd, 1, 300000), 1); /* for hangs */
		n = read(fds[0], buf, sizeof(buf));
		assert_true(n > 0);
		len += (size_t)n;
	}
	assert_int_equal(len, 30004);
	kill(c.pid, SIGKILL);
	finish(&c);
	close(fds[0]);
	close(null);
}

static void stop_soon(void)
{
	struct guest g;
	pthread_t thread;

	guest_open(&g, 0);
	pthread_create(&thread, NULL, write_much, &g);
	guest_run(&g, 200);
	/* Nobody reads: the writer must come back all the same, and so must destroy. */
	pthread_join(thread, NULL);
	guest_close(&g);
}

static void pause_soon(void)
{
	struct guest g;
	pthread_t thread;

	guest_open(&g, 0);
	pthread_create(&thread, NULL, write_much, &g);
	wait_full(STDOUT_FILENO);
	/* The signal of the one who pauses comes to nothing, and the loop is not stopped. */
	atomic_store(&g.paused, true);
	pthread_join(thread, NULL);
	guest_close(&g);
}

/* @fn, a child, ends although nobody reads what it writes, and says so. */
static void assert_not_held(void (*fn)(void))
{
	int fds[2], null = open_null(), error[2];
	struct child c;

	make_pipe(fds);
	make_pipe(error);
	c = start(fn, null, fds[1], error[1]);
	close(error[1]);
	expect(error[0], "not read");
	assert_ends_well(&c);
	close(error[0]);
	close(fds[0]);
	close(fds[1]);
	close(null);
}

static void a_pause_waits_for_no_reader(void **state)
{
	assert_not_held(pause_soon);
}

static void a_reader_that_sleeps_holds_nobody(void **state)
{
	assert_not_held(stop_soon);
}

static void prints_on(void)
{
	struct guest g;

	guest_open(&g, 0);
	for (int i = 0; i < 1000; i++)
		guest_print(&g, "nobody hears\n");
	guest_run(&g, 100);
	guest_print(&g, "still\n");
	guest_close(&g);
}

static void runs_without_reader(int out, const char *complaint)
{
	int error[2], null = open_null();
	struct child c;
	const char *text;

	make_pipe(error);
	c = start(prints_on, null, out, error[1]);
	close(error[1]);
	expect(c.report, "<end>");
	if (complaint) {
		text = expect(error[0], "\n");
		assert_non_null(strstr(text, complaint));
		assert_null(strchr(text, '\n')[1] ? text : NULL);
	}
	assert_ends_well(&c);
	/* Once is enough. */
	assert_int_equal(read(error[0], &(char){ 0 }, 1), 0);
	close(error[0]);
	close(null);
}

static void output_to_a_closed_pipe(void **state)
{
	int fds[2];

	make_pipe(fds);
	close(fds[0]);
	runs_without_reader(fds[1], "Broken pipe");
	close(fds[1]);
}

static void output_closed(void **state)
{
	runs_without_reader(-1, NULL);
}

static void output_to_a_full_device(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	runs_without_reader(fd, "No space left");
	close(fd);
}

/* Readers that come back, and space */

static struct event_timer ticks;

static void on_tick(void *opaque)
{
	guest_print(opaque, "tick\n");
	event_timer_set(&ticks, 1000000);
}

static void talks_on(void)
{
	struct guest g;

	guest_open(&g, 0);
	event_timer_init(&ticks, &g.loop, on_tick, &g);
	event_timer_set(&ticks, 1000000);
	guest_run(&g, 0);
}

/* A line that begins after now. */
static void expect_tick(int fd)
{
	assert_non_null(strstr(expect(fd, "\ntick\n"), "\ntick\n"));
}

static void end_talk(struct child *c)
{
	assert_int_equal(waitpid(c->pid, NULL, WNOHANG), 0);
	kill(c->pid, SIGKILL);
	finish(c);
}

static void a_reader_of_a_fifo_comes_back(void **state)
{
	char dir[] = "/tmp/lkvm-test-outq-XXXXXX", path[64];
	int null = open_null(), error[2], in, out;
	struct child c;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	make_pipe(error);
	in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* without it nobody may write */
	out = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(in >= 0 && out >= 0);
	c = start(talks_on, null, out, error[1]);
	close(error[1]);
	close(out);
	for (int i = 0; i < 3; i++) {
		expect_tick(in);
		close(in);
		expect(error[0], "Broken pipe; guest output is dropped\n");
		in = open(path, O_RDONLY | O_CLOEXEC);
		assert_true(in >= 0);
		expect(error[0], "takes guest output again");
	}
	expect_tick(in);
	close(in);
	end_talk(&c);
	close(error[0]);
	unlink(path);
	rmdir(dir);
	close(null);
}

static void talks_on_with_a_limit(void)
{
	struct rlimit limit = { 100, 100 };

	setrlimit(RLIMIT_FSIZE, &limit);
	talks_on();
}

/* Somebody makes room in a log that is full. */
static void space_comes_back(void **state)
{
	char path[] = "/tmp/lkvm-test-outq-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC | O_APPEND), null = open_null(), error[2];
	struct stat st = { 0 };
	struct child c;

	unlink(path);
	make_pipe(error);
	c = start(talks_on_with_a_limit, null, fd, error[1]);
	close(error[1]);
	for (int i = 0; i < 3; i++) {
		expect(error[0], "File too large; guest output is dropped\n");
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, 100);
		assert_int_equal(ftruncate(fd, 0), 0);
		expect(error[0], "takes guest output again");
	}
	end_talk(&c);
	close(error[0]);
	close(fd);
	close(null);
}

static void output_to_a_file_is_appended_where_it_stands(void **state)
{
	char path[] = "/tmp/lkvm-test-term-XXXXXX", buf[32] = "";
	int fd = mkostemp(path, O_CLOEXEC), null = open_null();
	struct child c;

	unlink(path);
	send_text(fd, "before\n");
	c = start(two_lines, null, fd, STDERR_FILENO);
	assert_ends_well(&c);
	assert_int_equal(pread(fd, buf, sizeof(buf), 0), 22);
	assert_string_equal(buf, "before\nfirst\nsecond\n$ ");
	close(fd);
	close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_one_write),
		cmocka_unit_test(a_burst_is_a_write_for_each_line),
		cmocka_unit_test(a_burst_without_lines_is_few_writes),
		cmocka_unit_test(a_slow_reader_gets_all),
		cmocka_unit_test(what_is_offered_comes_whole),
		cmocka_unit_test(a_slow_socket_gets_all),
		cmocka_unit_test(the_rest_follows),
		cmocka_unit_test(a_reader_that_sleeps_holds_nobody),
		cmocka_unit_test(a_pause_waits_for_no_reader),
		cmocka_unit_test(output_to_a_closed_pipe),
		cmocka_unit_test(output_closed),
		cmocka_unit_test(output_to_a_full_device),
		cmocka_unit_test(a_reader_of_a_fifo_comes_back),
		cmocka_unit_test(space_comes_back),
		cmocka_unit_test(output_to_a_file_is_appended_where_it_stands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
