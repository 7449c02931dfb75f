/* SPDX-License-Identifier: MIT */
/* What signals do to a process that lkvm's code has prepared; each case in a process of its own. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lkvm/signals.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

static int report_fd;

static void report(char c)
{
	if (write(report_fd, &c, 1) != 1)
		_exit(99);
}

static void restore(void)
{
	report('r');
}

/* Run @fn(@sig) in a child that begins with default dispositions; what it reported, its status. */
static int in_child(void (*fn)(int sig), int sig, char said[16])
{
	struct rlimit no_core = { 0 };
	int fds[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		for (int i = 1; i <= SIGRTMAX; i++)
			signal(i, SIG_DFL);
		setrlimit(RLIMIT_CORE, &no_core);
		alarm(300);
		report_fd = fds[1];
		fn(sig);
		_exit(0);
	}
	close(fds[1]);
	while (len < 15 && (n = read(fds[0], said + len, 15 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Another process sends @sig to this one and is gone afterwards. */
static void from_outside(int sig)
{
	pid_t me = getpid(), other = fork();

	if (!other)
		_exit(kill(me, sig) < 0);
	while (waitpid(other, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Raised by what a thread does; an emulator takes those from outside for its own. */
static const int crashes[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTRAP, SIGSYS };

static bool is_ordinary(int sig)
{
	for (size_t i = 0; i < ARRAY_SIZE(crashes); i++)
		if (sig == crashes[i])
			return false;
	return true;
}

static bool ends_by_default(int sig)
{
	static const int others[] = { SIGKILL, SIGSTOP, SIGCHLD, SIGCONT, SIGTSTP,
				      SIGTTIN, SIGTTOU, SIGURG,	 SIGWINCH };

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (sig == others[i])
			return false;
	return true;
}

static void guarded(int sig)
{
	signals_init();
	signals_own(THREAD_KICK_SIGNAL, true);
	signals_guard(restore);
	from_outside(sig);
	report('l'); /* lives */
}

static void guarded_no_more(int sig)
{
	signals_guard(restore);
	signals_guard(NULL);
	from_outside(sig);
}

static void by_default(int sig)
{
	from_outside(sig);
	report('l');
}

/* Emulators keep some real-time signals for themselves. */
static bool is_delivered(int sig)
{
	char said[16];

	return WIFSIGNALED(in_child(by_default, sig, said));
}

static void each_ends_it_and_restores_first(void **state)
{
	struct sigaction now;
	char said[16];

	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		int status;

		/* What the C library keeps for itself is nobody's. */
		if (!ends_by_default(sig) || !is_ordinary(sig) || sigaction(sig, NULL, &now) ||
		    (sig > SIGRTMIN && !is_delivered(sig)))
			continue;
		status = in_child(guarded, sig, said);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != sig || strcmp(said, "r"))
			fail_msg("signal %d: status 0x%x, '%s'", sig, status, said);
		status = in_child(guarded_no_more, sig, said);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != sig || strcmp(said, ""))
			fail_msg("signal %d, unguarded: status 0x%x, '%s'", sig, status, said);
	}
}

static void forget(void)
{
	report('f');
}

static void with_a_name(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	signals_forget(&set, forget);
	from_outside(sig);
}

/* A terminal comes and goes meanwhile. */
static void with_a_terminal_too(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	signals_forget(&set, forget);
	signals_guard(restore);
	if (sig == SIGTERM)
		signals_guard(NULL);
	from_outside(sig);
}

static void without_it_again(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	signals_forget(&set, forget);
	signals_forget(NULL, NULL);
	from_outside(sig);
}

static void a_name_is_forgotten(void **state)
{
	static const struct {
		void (*fn)(int sig);
		int sig;
		const char *said;
	} cases[] = {
		{ with_a_name, SIGTERM, "f" },	       { with_a_name, SIGINT, "" },
		{ with_a_terminal_too, SIGTERM, "f" }, { with_a_terminal_too, SIGINT, "rf" },
		{ without_it_again, SIGTERM, "" },
	};
	char said[16];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int status = in_child(cases[i].fn, cases[i].sig, said);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), cases[i].sig);
		assert_string_equal(said, cases[i].said);
	}
}

static void others_do_not(void **state)
{
	static const int others[] = { SIGCHLD, SIGCONT, SIGURG, SIGWINCH };
	char said[16];

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_int_equal(in_child(guarded, others[i], said), 0);
		assert_string_equal(said, "l");
	}
}

static void ignored(int sig)
{
	signal(sig, SIG_IGN);
	guarded(sig);
}

static void the_ignored_stay_ignored(void **state)
{
	static const int signals[] = { SIGHUP,	SIGINT,	 SIGQUIT, SIGTERM,
				       SIGPIPE, SIGXFSZ, SIGUSR1, SIGTSTP };
	char said[16];

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		assert_int_equal(in_child(ignored, signals[i], said), 0);
		assert_string_equal(said, "l");
	}
}

static void *crash(void *arg)
{
	raise(*(int *)arg);
	return NULL;
}

static void on_a_thread(int sig)
{
	pthread_t thread;

	signals_guard(restore);
	if (thread_start(&thread, THREAD_WORKER, crash, &sig))
		_exit(98);
	pthread_join(thread, NULL);
}

static void a_crash_on_any_thread(void **state)
{
	char said[16];

	for (size_t i = 0; i < ARRAY_SIZE(crashes); i++) {
		int status = in_child(on_a_thread, crashes[i], said);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), crashes[i]);
		assert_string_equal(said, "r");
	}
}

/* @how: SIGPIPE, SIGXFSZ or the kick. */
static void raises_it_itself(int how)
{
	struct rlimit limit = { 4, 4 };
	int fds[2], error = 0, fd;

	guarded(SIGCONT);
	if (how == SIGPIPE) {
		if (pipe2(fds, O_CLOEXEC) < 0)
			_exit(98);
		close(fds[0]);
		error = write_full(fds[1], "text", 4);
	} else if (how == SIGXFSZ) {
		fd = memfd_create("small", MFD_CLOEXEC);
		setrlimit(RLIMIT_FSIZE, &limit);
		error = write_full(fd, "too long", 8);
	} else {
		pthread_kill(pthread_self(), how);
	}
	report(error == -EPIPE ? 'p' : error == -EFBIG ? 'f' : error ? '?' : 'l');
}

static void what_it_raises_itself_ends_nothing(void **state)
{
	char said[16];

	assert_int_equal(in_child(raises_it_itself, SIGPIPE, said), 0);
	assert_string_equal(said, "lp");
	assert_int_equal(in_child(raises_it_itself, SIGXFSZ, said), 0);
	assert_string_equal(said, "lf");
	assert_int_equal(in_child(raises_it_itself, THREAD_KICK_SIGNAL, said), 0);
	assert_string_equal(said, "ll");
}

static u8 *mending;

static bool mend(void *addr)
{
	report('m');
	return addr == mending + 1 &&
	       mmap(mending, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		    -1, 0) == mending;
}

/* @how: 0, the page is mended; 1, another one is touched; SIGBUS: somebody sends that. */
static void touches_no_memory(int how)
{
	int fd = memfd_create("empty", MFD_CLOEXEC);

	mending = mmap(NULL, 128 * KiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mending == MAP_FAILED || signals_mend(mend))
		_exit(98);
	guarded(SIGCONT);
	if (how == SIGBUS)
		from_outside(SIGBUS);
	*(volatile u8 *)(mending + (how ? 64 * KiB : 1)) = 1;
	report('l');
}

static void a_page_is_mended(void **state)
{
	char said[16];
	int status;

	assert_int_equal(in_child(touches_no_memory, 0, said), 0);
	assert_string_equal(said, "lml");
	/* What cannot be mended ends it as ever. */
	status = in_child(touches_no_memory, 1, said);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	assert_string_equal(said, "lmr");
	if (!is_delivered(SIGBUS))
		return;
	status = in_child(touches_no_memory, SIGBUS, said);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
	assert_string_equal(said, "lr");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_ends_it_and_restores_first),
		cmocka_unit_test(a_name_is_forgotten),
		cmocka_unit_test(others_do_not),
		cmocka_unit_test(the_ignored_stay_ignored),
		cmocka_unit_test(a_crash_on_any_thread),
		cmocka_unit_test(what_it_raises_itself_ends_nothing),
		cmocka_unit_test(a_page_is_mended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
