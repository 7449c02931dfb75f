/* SPDX-License-Identifier: MIT */
/*
 * The console on standard input: terminals (pty), their modes, menu, jobs and signals; pipes,
 * files, nothing at all.
 */
#include "refuse.h"
#include "termchild.h"

#include <pty.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

#define CTRL_A "\x01"

/* Terminals */

static int master, slave;
static struct termios before;

static int open_terminal(void **state)
{
	struct winsize size = { .ws_col = 80, .ws_row = 24 };

	assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
	fcntl(master, F_SETFD, FD_CLOEXEC);
	fcntl(slave, F_SETFD, FD_CLOEXEC);
	assert_int_equal(tcgetattr(slave, &before), 0);
	assert_true(before.c_lflag & ICANON);
	return 0;
}

static int close_terminal(void **state)
{
	close(master);
	close(slave);
	return 0;
}

static bool is_raw(void)
{
	struct termios now;

	assert_int_equal(tcgetattr(slave, &now), 0);
	return !(now.c_lflag & (ICANON | ECHO | ISIG)) && !(now.c_oflag & OPOST);
}

static void wait_raw(bool raw)
{
	for (unsigned int i = 0; i < hang_seconds() * 1000 && is_raw() != raw; i++)
		usleep(1000);
	assert_int_equal(is_raw(), raw);
}

static void assert_as_before(void)
{
	struct termios now;

	assert_int_equal(tcgetattr(slave, &now), 0);
	assert_int_equal(now.c_lflag, before.c_lflag);
	assert_int_equal(now.c_iflag, before.c_iflag);
	assert_int_equal(now.c_oflag, before.c_oflag);
	assert_int_equal(now.c_cflag, before.c_cflag);
}

static void interactive(void)
{
	struct guest g;

	guest_open(&g, 16);
	guest_print(&g, "login: ");
	guest_run(&g, 0);
	guest_print(&g, "bye");
	guest_close(&g);
}

static void keys_and_menu(void **state)
{
	struct child c = start(interactive, slave, slave, slave);

	expect(c.report, "<80x24>");
	expect(master, "login: ");
	wait_raw(true);
	send_text(master, "ls\r\x03\x1a\x7f");
	expect(c.report, "ls\r\x03\x1a\x7f");
	send_text(master, "a" CTRL_A CTRL_A "b");
	expect(c.report, "a" CTRL_A "b");
	send_text(master, "c" CTRL_A "ad" CTRL_A CTRL_A "e");
	expect(c.report, "c" CTRL_A "d" CTRL_A "e");
	send_text(master, CTRL_A "h");
	assert_non_null(strstr(expect(master, "Ctrl-A Ctrl-A)"), "Ctrl-A a  send"));
	send_text(master, CTRL_A "z");
	expect(master, "Ctrl-A h");
	send_text(master, CTRL_A "p");
	expect(c.report, "<power>");
	/* The two keys may come apart. */
	send_text(master, CTRL_A);
	usleep(20000);
	send_text(master, "x");
	assert_string_equal(expect(c.report, "<quit>"), "<quit>");
	expect(master, "bye");
	assert_ends_well(&c);
	assert_as_before();
}

static void a_paste_is_not_lost(void **state)
{
	struct child c = start(interactive, slave, slave, slave);
	char line[101], got[20001];
	size_t len = 0;

	wait_raw(true);
	expect(c.report, "<80x24>");
	memset(line, 'p', 100);
	line[100] = '\0';
	for (int i = 0; i < 200; i++) {
		line[0] = (char)('A' + i % 26);
		send_text(master, line);
		while (len < (size_t)(i + 1) * 100 - 50)
			len += (size_t)read(c.report, got + len, sizeof(got) - 1 - len);
	}
	while (len < 20000)
		len += (size_t)read(c.report, got + len, sizeof(got) - 1 - len);
	for (int i = 0; i < 200; i++)
		assert_int_equal(got[i * 100], 'A' + i % 26);
	send_text(master, CTRL_A "x");
	assert_ends_well(&c);
}

static void deaf(void)
{
	struct guest g;

	guest_open(&g, 0);
	guest_run(&g, 0);
	assert_waits(1000);
	guest_close(&g);
}

static void the_menu_answers_when_the_guest_is_stuck(void **state)
{
	struct child c = start(deaf, slave, slave, slave);

	wait_raw(true);
	send_text(master, "hello?" CTRL_A "p");
	expect(c.report, "<power>");
	for (int i = 0; i < 100; i++)
		send_text(master, "0123456789012345678901234567890123456789012345678901234567890");
	expect(master, "Ctrl-A x ends");
	send_text(master, CTRL_A "x");
	expect(c.report, "<quit>");
	assert_ends_well(&c);
	assert_as_before();
}

/* The test has looked at the terminal. */
static int looked[2];

static void wait_until_looked(void)
{
	char byte;

	report("<go>", 4);
	while (read(KEPT, &byte, 1) < 0 && errno == EINTR)
		;
}

static void abort_in_raw_mode(void)
{
	struct guest g;

	guest_open(&g, 16);
	wait_until_looked();
	raise(SIGABRT);
}

static void exit_in_raw_mode(void)
{
	struct guest g;

	guest_open(&g, 16);
	wait_until_looked();
	exit(0);
}

static struct child start_and_look(void (*fn)(void))
{
	struct child c;

	assert_int_equal(pipe(looked), 0);
	assert_int_equal(dup2(looked[0], KEPT), KEPT);
	c = start(fn, slave, slave, slave);
	expect(c.report, "<go>");
	assert_true(is_raw());
	assert_int_equal(write(looked[1], "x", 1), 1);
	close(looked[0]);
	close(looked[1]);
	close(KEPT);
	return c;
}

static void restored_when_it_crashes(void **state)
{
	struct child c = start_and_look(abort_in_raw_mode);
	int status;

	status = finish(&c);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_as_before();
}

static void restored_when_it_exits(void **state)
{
	struct child c = start_and_look(exit_in_raw_mode);

	assert_true(WIFEXITED(finish(&c)));
	assert_as_before();
}

/* test_signals.c tries all signals. */
static void restored_when_killed(void **state)
{
	const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGPIPE, SIGRTMIN + 3 };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct child c = start(interactive, slave, slave, slave);
		int status;

		wait_raw(true);
		kill(c.pid, signals[i]);
		status = finish(&c);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), signals[i]);
		assert_as_before();
	}
}

/* The loop has ended, for a reboot: nobody reads the signalfd. */
static void raw_without_a_loop(void)
{
	struct guest g;

	/* SIGTSTP stops nobody in an orphaned process group (POSIX, XSH 2.4.3), as CI's is. */
	setpgid(0, 0);
	guest_open(&g, 16);
	term_stop(g.con, 0);
	report("<go>", 4);
	for (;;)
		pause();
}

static void stopped_and_killed_outside_the_loop(void **state)
{
	struct child c = start(raw_without_a_loop, slave, slave, slave);
	int status;

	expect(c.report, "<go>");
	kill(c.pid, SIGTSTP);
	assert_int_equal(waitpid(c.pid, &status, WUNTRACED), c.pid);
	assert_true(WIFSTOPPED(status));
	assert_as_before();
	/* It comes while the process is stopped. */
	kill(c.pid, SIGUSR2);
	kill(c.pid, SIGCONT);
	status = finish(&c);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGUSR2);
	assert_as_before();
}

static void tells_the_size(void **state)
{
	struct child c = start(interactive, slave, slave, slave);
	struct winsize size = { .ws_col = 132, .ws_row = 50 };

	expect(c.report, "<80x24>");
	wait_raw(true);
	ioctl(master, TIOCSWINSZ, &size);
	kill(c.pid, SIGWINCH);
	expect(c.report, "<132x50>");
	send_text(master, CTRL_A "x");
	assert_ends_well(&c);
}

static void output_alone(void **state)
{
	int null = open_null();
	struct child c = start(interactive, null, slave, slave);

	expect(master, "login: ");
	assert_as_before();
	kill(c.pid, SIGTERM);
	finish(&c);
	close(null);
}

/*
 * A shell in small: session leader of the terminal, its job first in the background. The leader
 * lives until the terminal's state has been looked at.
 */
static pid_t shell_job;

/* fg and bg */
static void on_order(int sig)
{
	tcsetpgrp(STDIN_FILENO, sig == SIGUSR1 ? shell_job : getpid());
}

static void shell(void)
{
	struct sigaction order = { .sa_handler = on_order, .sa_flags = SA_RESTART };
	int told[2]; /* the job has its say after the shell */
	char byte;
	pid_t job;

	setsid();
	ioctl(STDIN_FILENO, TIOCSCTTY, 0);
	signal(SIGTTOU, SIG_IGN);
	if (pipe(told) < 0)
		_exit(1);
	job = fork();
	if (!job) {
		setpgid(0, 0);
		signal(SIGTTOU, SIG_DFL);
		if (read(told[0], &byte, 1) != 1)
			_exit(1);
		alarm(hang_seconds());
		interactive();
		_exit(0);
	}
	setpgid(job, job);
	shell_job = job;
	sigaction(SIGUSR1, &order, NULL);
	sigaction(SIGUSR2, &order, NULL);
	report(&job, sizeof(job));
	if (write(told[1], "", 1) != 1)
		_exit(1);
	for (;;) {
		int status;
		char event;

		if (waitpid(job, &status, WUNTRACED) != job)
			_exit(1);
		event = WIFSTOPPED(status) ? 'S' : WIFSIGNALED(status) ? 'K' : 'E';
		report(&event, 1);
		if (event != 'S')
			break;
	}
	pause();
}

static void jobs(void **state)
{
	struct child c = start(shell, slave, slave, slave);
	pid_t job;

	assert_int_equal(read(c.report, &job, sizeof(job)), sizeof(job));
	/* In the background: it prints and runs, but leaves the terminal alone. */
	expect(c.report, "<80x24>");
	expect(master, "login: ");
	assert_as_before();
	/* fg */
	kill(c.pid, SIGUSR1);
	wait_raw(true);
	send_text(master, "q");
	expect(c.report, "q");
	/* Stopped from outside, and continued */
	kill(job, SIGTSTP);
	expect(c.report, "S");
	assert_as_before();
	kill(job, SIGCONT);
	wait_raw(true);
	expect(c.report, "<80x24>");
	/* Stopped for sure; the shell takes the terminal and lets the job run on behind it: bg */
	kill(job, SIGSTOP);
	expect(c.report, "S");
	kill(c.pid, SIGUSR2);
	while (tcgetpgrp(master) != c.pid)
		usleep(1000);
	assert_int_equal(tcsetattr(slave, TCSANOW, &before), 0);
	kill(job, SIGCONT);
	usleep(200000);
	assert_as_before();
	kill(job, SIGTERM);
	expect(c.report, "K");
	assert_as_before();
	kill(c.pid, SIGKILL);
	finish(&c);
}

/* Input from elsewhere */

static void three_tenths(void)
{
	struct guest g;

	guest_open(&g, 16);
	guest_print(&g, "out\n");
	guest_run(&g, 300);
	/* 300 wake-ups of the refill timer are in this. */
	assert_waits(1000);
	guest_close(&g);
}

/* All that comes from @fd until its end. */
static const char *rest_of(int fd)
{
	static char text[4096];
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fd);
	return text;
}

/* With input from @in; lkvm says @told once, or nothing where it is NULL. */
static void runs_and_tells(int in, const char *told)
{
	int out[2], error[2];
	const char *text;
	struct child c;

	make_pipe(out);
	make_pipe(error);
	c = start(three_tenths, in, out[1], error[1]);
	close(out[1]);
	close(error[1]);
	expect(out[0], "out\n");
	expect(c.report, "<end>");
	assert_ends_well(&c);
	close(out[0]);
	text = rest_of(error[0]);
	if (!told) {
		assert_string_equal(text, "");
		return;
	}
	text = strstr(text, told);
	assert_non_null(text);
	assert_string_equal(text + strlen(told), "\n");
}

static void runs_with(int in)
{
	runs_and_tells(in, NULL);
}

static void input_closed(void **state)
{
	runs_with(-1);
}

static void input_null(void **state)
{
	int fd = open_null();

	runs_with(fd);
	close(fd);
}

static void input_for_writing_only(void **state)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	runs_and_tells(fd, "cannot read standard input: Bad file descriptor; the guest gets no "
			   "input");
	close(fd);
}

static void input_directory(void **state)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	runs_and_tells(fd, "cannot read standard input: Is a directory; the guest gets no input");
	close(fd);
}

/* Nothing is mapped at address 0. */
static void input_that_fails(void **state)
{
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	runs_and_tells(fd, "cannot read standard input: Input/output error; lkvm keeps trying");
	close(fd);
}

/* Too many watches already, once the console is there. */
static void without_watches(void)
{
	const struct refusal none = { __NR_epoll_ctl, EPOLL_CTL_ADD, ENOSPC };
	struct guest g;

	guest_open(&g, 16);
	if (!refuse(&none, 1)) {
		report("<none>", 6);
		pause();
	}
	guest_run(&g, 300);
	assert_waits(1000);
	guest_close(&g);
}

static void input_that_cannot_be_watched(void **state)
{
	int in[2], error[2];
	const char *text;
	struct child c;

	make_pipe(in);
	make_pipe(error);
	c = start(without_watches, in[0], STDOUT_FILENO, error[1]);
	close(error[1]);
	text = expect(c.report, ">");
	if (strstr(text, "<none>")) {
		kill(c.pid, SIGKILL);
		finish(&c);
		skip();
	}
	assert_ends_well(&c);
	text = strstr(rest_of(error[0]), "cannot watch standard input: No space left on device; "
					 "raise fs.epoll.max_user_watches\n");
	assert_non_null(text);
	assert_null(strstr(text + 1, "cannot watch"));
	close(in[0]);
	close(in[1]);
}

static void input_at_end(void **state)
{
	int fds[2];

	make_pipe(fds);
	close(fds[1]);
	runs_with(fds[0]);
	close(fds[0]);
}

/* How much input a test sends: from then on the child waits for a second, which costs no CPU. */
static size_t wanted;
static struct event_timer look;

static void on_look(void *opaque)
{
	struct guest *g = opaque;

	event_timer_set(g->room > 1000 - wanted ? &look : &g->end,
			g->room > 1000 - wanted ? 10000000 : 1000000000);
}

static void takes_words(void)
{
	struct guest g;

	guest_open(&g, 0);
	g.room = 1000;
	g.con->ops->input_ready(g.con);
	event_timer_init(&look, &g.loop, on_look, &g);
	event_timer_set(&look, 1);
	guest_print(&g, "hello\n");
	event_loop_run(&g.loop);
	assert_waits(10000);
}

static void send_all_and_go(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	send_text(fd, text);
	close(fd);
}

/* It has seen all that there is, an end too. */
static void wait_asleep(pid_t pid)
{
	char path[32], text[128] = "";

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	for (int i = 0; i < 100000 && !strstr(text, ") S "); i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = read(fd, text, sizeof(text) - 1);

		close(fd);
		text[n < 0 ? 0 : n] = '\0';
		usleep(1000);
	}
	assert_non_null(strstr(text, ") S "));
}

static void a_writer_of_a_fifo_comes_back(void **state)
{
	char dir[] = "/tmp/lkvm-test-term-XXXXXX", path[64];
	int null = open_null(), in;
	struct child c;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	wanted = strlen("one two ") * 5;
	c = start(takes_words, in, null, STDERR_FILENO);
	close(in);
	for (int i = 0; i < 5; i++) {
		send_all_and_go(path, "one ");
		expect(c.report, "one ");
		wait_asleep(c.pid);
		send_all_and_go(path, "two ");
		expect(c.report, "two ");
		wait_asleep(c.pid);
	}
	expect(c.report, "<end>");
	assert_ends_well(&c);
	unlink(path);
	rmdir(dir);
	close(null);
}

/* The other side of a terminal: a stream, whose end comes and goes with whoever has the terminal.
 */
static void input_from_a_master(void **state)
{
	const char *path = ptsname(master);
	struct child c;
	int other;

	wanted = strlen("hello\r\nfirst again again "); /* the first word is echoed */
	c = start(takes_words, master, master, STDERR_FILENO);
	expect(slave, "hello\n");
	send_text(slave, "first ");
	expect(c.report, "first ");
	close(slave);
	slave = -1;
	/* An EIO later, or before it: what is written then comes all the same. */
	for (int i = 0; i < 2; i++) {
		other = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
		assert_true(other >= 0);
		send_text(other, "again ");
		expect(c.report, "again ");
		close(other);
	}
	expect(c.report, "<end>");
	assert_ends_well(&c);
}

static void until_all_has_come(void)
{
	struct guest g;

	guest_open(&g, 16);
	guest_run(&g, 0);
}

static void *feed(void *arg)
{
	int fd = *(int *)arg;

	for (int i = 0; i < 1000; i++) {
		char line[32];
		size_t len = (size_t)snprintf(line, sizeof(line), "line \1%dx\n", i);

		if (write_full(fd, line, len))
			break;
	}
	close(fd);
	return NULL;
}

static void assert_all_comes(struct child *c)
{
	FILE *f = fdopen(dup(c->report), "r");
	char want[32], got[64];

	for (int i = 0; i < 1000; i++) {
		snprintf(want, sizeof(want), "line \1%dx\n", i);
		do
			assert_non_null(fgets(got, sizeof(got), f));
		while (got[0] == '<');
		assert_string_equal(got, want);
	}
	fclose(f);
	/* And it lives on. */
	assert_int_equal(waitpid(c->pid, NULL, WNOHANG), 0);
	kill(c->pid, SIGKILL);
	finish(c);
}

static void input_pipe_comes_whole(void **state)
{
	int fds[2], null = open_null();
	pthread_t thread;
	struct child c;

	make_pipe(fds);
	c = start(until_all_has_come, fds[0], null, STDERR_FILENO);
	close(fds[0]);
	pthread_create(&thread, NULL, feed, &fds[1]);
	assert_all_comes(&c);
	pthread_join(thread, NULL);
	close(null);
}

static void input_file_comes_whole(void **state)
{
	char path[] = "/tmp/lkvm-test-term-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC), null = open_null(), in;
	struct child c;

	assert_true(fd >= 0);
	in = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	feed(&fd);
	c = start(until_all_has_come, in, null, STDERR_FILENO);
	close(in);
	close(null);
	assert_all_comes(&c);
}

static void never_reads(void)
{
	struct guest g;

	guest_open(&g, 0);
	guest_run(&g, 300);
	assert_waits(100);
	/* It reads now: nothing is lost. */
	event_loop_rearm(&g.loop);
	g.room = 6;
	g.con->ops->input_ready(g.con);
	guest_run(&g, 100);
	guest_close(&g);
}

static void held_back_without_spinning(void **state)
{
	int fds[2], null = open_null();
	struct child c;

	make_pipe(fds);
	send_text(fds[1], "keep me");
	close(fds[1]); /* its end is already there */
	c = start(never_reads, fds[0], null, STDERR_FILENO);
	assert_string_equal(expect(c.report, "keep m"), "<end>keep m");
	assert_ends_well(&c);
	close(fds[0]);
	close(null);
}

#define TERMINAL(name) cmocka_unit_test_setup_teardown(name, open_terminal, close_terminal)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TERMINAL(keys_and_menu),
		TERMINAL(a_paste_is_not_lost),
		TERMINAL(the_menu_answers_when_the_guest_is_stuck),
		TERMINAL(restored_when_it_crashes),
		TERMINAL(restored_when_it_exits),
		TERMINAL(restored_when_killed),
		TERMINAL(stopped_and_killed_outside_the_loop),
		TERMINAL(tells_the_size),
		TERMINAL(output_alone),
		TERMINAL(jobs),
		cmocka_unit_test(input_closed),
		cmocka_unit_test(input_null),
		cmocka_unit_test(input_for_writing_only),
		cmocka_unit_test(input_directory),
		cmocka_unit_test(input_that_fails),
		cmocka_unit_test(input_that_cannot_be_watched),
		cmocka_unit_test(input_at_end),
		cmocka_unit_test(a_writer_of_a_fifo_comes_back),
		TERMINAL(input_from_a_master),
		cmocka_unit_test(input_pipe_comes_whole),
		cmocka_unit_test(input_file_comes_whole),
		cmocka_unit_test(held_back_without_spinning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
