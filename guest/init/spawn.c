/* SPDX-License-Identifier: MIT */
/* A process for the command: its streams, its terminal, its environment. */
#include <asm/ioctls.h>
#include <asm/signal.h>
#include <asm/termios.h>
#include <linux/fcntl.h>

#include "init.h"
#include "lkvm/guest-init.h"
#include "lkvm/guest-link.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define MAX_ENV	     256

static char *env[MAX_ENV + 1];
static u32 nr_env;

static const char *get_env(const char *name)
{
	size_t n = strlen(name);

	for (u32 i = 0; i < nr_env; i++)
		if (begins(env[i], name) && env[i][n] == '=')
			return env[i] + n + 1;
	return NULL;
}

static void add_env(const char *assignment)
{
	if (nr_env < MAX_ENV)
		env[nr_env++] = (char *)assignment;
}

static void make_env(void)
{
	const char *one;

	for (u32 i = 0; (one = conf_get(INIT_CONF_ENV, i)); i++)
		add_env(one);
	if (!get_env("PATH"))
		add_env("PATH=" DEFAULT_PATH);
	if (!get_env("HOME"))
		add_env("HOME=/root");
	if (!get_env("TERM"))
		add_env("TERM=linux");
}

/* In the child */

/* A file without a head that the kernel knows is the shell's, as with execvp(3). */
static long exec_script(const char *path, char **argv)
{
	static char shell[] = "/bin/sh";
	char *words[64] = { shell, (char *)path };
	u32 n = 1;

	while (argv[n] && n + 2 < ARRAY_SIZE(words)) {
		words[n + 1] = argv[n];
		n++;
	}
	return argv[n] ? -E2BIG : sys(execve, words[0], words, env);
}

static long exec_file(const char *path, char **argv)
{
	long ret = sys(execve, path, argv, env);

	return ret == -ENOEXEC ? exec_script(path, argv) : ret;
}

/* The first of PATH that can be executed; an error that is more than "not there" is kept. */
static long exec_command(char **argv)
{
	const char *path = get_env("PATH");
	long error = -ENOENT, ret;
	char file[4096];

	if (find_char(argv[0], '/'))
		return exec_file(argv[0], argv);
	while (*path) {
		char *colon = find_char(path, ':');
		size_t n = colon ? (size_t)(colon - path) : strlen(path);

		if (n && n + strlen(argv[0]) + 2 < sizeof(file)) {
			memcpy(file, path, n);
			format(file + n, sizeof(file) - n, "/%s", argv[0]);
			ret = exec_file(file, argv);
			if (ret != -ENOENT && ret != -ENOTDIR)
				error = ret;
		}
		path += colon ? n + 1 : n;
	}
	return error;
}

static bool is_executable(const char *path)
{
	return sys(faccessat, AT_FDCWD, path, 1 /* X_OK */) == 0;
}

static long exec_shell(void)
{
	static const char *const usual[] = { "/bin/bash", "/bin/sh", "/usr/bin/sh",
					     "/run/current-system/sw/bin/bash",
					     "/run/current-system/sw/bin/sh" };
	const char *path = get_env("SHELL");
	char *argv[2] = { NULL };

	for (u32 i = 0; (argv[0] = (char *)conf_get(INIT_CONF_SHELL, i)); i++)
		if (is_executable(argv[0]))
			exec_file(argv[0], argv);
	argv[0] = (char *)path;
	if (path && is_executable(path))
		exec_file(path, argv);
	for (u32 i = 0; i < ARRAY_SIZE(usual); i++) {
		argv[0] = (char *)usual[i];
		if (is_executable(argv[0]))
			exec_file(argv[0], argv);
	}
	return -ENOENT;
}

static long take_streams(const int fds[3], int terminal)
{
	long ret = 0;

	sys(setsid, 0);
	if (terminal >= 0)
		sys(ioctl, terminal, TIOCSCTTY, 0);
	for (int i = 0; i < 3 && ret >= 0; i++)
		ret = sys(dup3, fds[i], i, 0);
	return ret;
}

/* The child: it does not come back. What keeps it from running goes to @report. */
static _Noreturn void become(char **argv, const int fds[3], int terminal, int report)
{
	u64 none = 0;
	int error;
	long ret;

	ret = take_streams(fds, terminal);
	sys(rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
	if (ret >= 0)
		ret = argv ? exec_command(argv) : exec_shell();
	error = (int)-ret;
	sys(write, report, &error, sizeof(error));
	for (;;)
		sys(exit_group, STATUS_NOT_FOUND);
}

/* In init */

_Noreturn void become_init(const char *path)
{
	char *argv[2] = { (char *)path };

	make_env();
	end(STATUS_NOT_EXEC, "cannot start %s of the guest's root, which init= names: %s", path,
	    error_text(-exec_file(path, argv)));
}

static void cannot_run(char **argv, int error)
{
	const char *why = error_text(error);
	bool missing = error == ENOENT || error == ENOTDIR;

	if (!argv)
		end(STATUS_NOT_FOUND, "there is no shell in the guest's root");
	/* A script's interpreter, or a program's loader. */
	if (error == ENOENT && find_char(argv[0], '/') && is_executable(argv[0]))
		why = "the program that interprets it is not there";
	else if (missing && !find_char(argv[0], '/'))
		why = "there is no such command in the guest";
	end(missing ? STATUS_NOT_FOUND : STATUS_NOT_EXEC, "%s: %s", argv[0], why);
}

/* The kernel gave us none where the initramfs has no /dev/console: later ones must not be 0 to 2.
 */
static void fill_streams(void)
{
	long fd;

	do {
		fd = sys(openat, AT_FDCWD, "/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= 2);
	sys(close, fd);
}

static int start(char **argv, const int fds[3], int terminal)
{
	int report[2], error = 0;
	long pid, n;

	fill_streams();
	make_env();
	if (sys(pipe2, report, O_CLOEXEC) < 0)
		end(STATUS_FAILED, "cannot make a pipe in the guest");
	pid = sys(clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		become(argv, fds, terminal, report[1]);
	sys(close, report[1]);
	if (pid < 0)
		end(STATUS_FAILED, "cannot make a process in the guest: %s", error_text(-pid));
	do {
		n = sys(read, report[0], &error, sizeof(error));
	} while (n == -EINTR);
	sys(close, report[0]);
	if (n == sizeof(error))
		cannot_run(argv, error);
	return (int)pid;
}

void set_size(int fd, u32 cols, u32 rows)
{
	struct winsize size = { .ws_col = (__u16)cols, .ws_row = (__u16)rows };

	if (cols && rows)
		sys(ioctl, fd, TIOCSWINSZ, &size);
}

static void make_terminal(struct child *c, const struct link_size *size)
{
	long master = sys(openat, AT_FDCWD, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), ret;
	int unlock = 0;

	ret = master < 0 ? master : sys(ioctl, master, TIOCSPTLCK, &unlock);
	if (ret >= 0)
		ret = sys(ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (ret < 0)
		end(STATUS_FAILED, "cannot make a terminal in the guest: %s", error_text(-ret));
	sys(fcntl, master, F_SETFL, O_RDWR | O_NONBLOCK);
	c->fds[LINK_TERMINAL] = (int)master;
	c->slave = (int)ret;
	set_size(c->slave, size->cols, size->rows);
}

/* One end is the child's, the other ours and does not block. */
static int make_pipe(int *ours, bool we_write)
{
	int ends[2];

	if (sys(pipe2, ends, O_CLOEXEC) < 0)
		end(STATUS_FAILED, "cannot make a pipe in the guest");
	*ours = ends[we_write];
	sys(fcntl, *ours, F_SETFL, O_NONBLOCK | (we_write ? O_WRONLY : O_RDONLY));
	return ends[!we_write];
}

void spawn(struct child *c, char **command, const struct link_start *start_with)
{
	const u32 terminals = start_with->terminals;
	int theirs[3];

	*c = (struct child){ .fds = { -1, -1, -1, -1 }, .slave = -1 };
	fill_streams();
	if (terminals & BIT(LINK_STDIN))
		make_terminal(c, &start_with->size);
	for (int i = LINK_STDIN; i <= LINK_STDERR; i++) {
		if (c->slave >= 0 && (terminals & BIT(i)))
			theirs[i] = c->slave;
		else
			theirs[i] = make_pipe(&c->fds[i], i == LINK_STDIN);
	}
	c->pid = start(command, theirs, c->slave);
	for (int i = LINK_STDIN; i <= LINK_STDERR; i++)
		if (theirs[i] != c->slave)
			sys(close, theirs[i]);
}

int spawn_on_console(char **command)
{
	const char *size = conf_get(INIT_CONF_WINSIZE, 0);
	long fd = sys(openat, AT_FDCWD, "/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);
	int fds[3] = { (int)fd, (int)fd, (int)fd };

	if (fd < 0)
		end(STATUS_FAILED, "the guest has no console: %s", error_text(-fd));
	if (command) {
		fds[0] = (int)sys(openat, AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC);
		return start(command, fds, -1);
	}
	if (size && find_char(size, ' '))
		set_size((int)fd, to_number(size), to_number(find_char(size, ' ') + 1));
	return start(NULL, fds, (int)fd);
}
