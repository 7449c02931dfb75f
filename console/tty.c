/* SPDX-License-Identifier: MIT */
/* The terminal's modes (POSIX.1-2017, chapter 11 "General Terminal Interface"); see tty.h. */
#include "tty.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "lkvm/console.h"
#include "lkvm/log.h"
#include "lkvm/signals.h"

/*
 * The one thing that a signal handler has to find: which terminal is raw, and what it was before.
 * A process has one standard input, so there is never a second.
 */
static struct {
	atomic_bool raw;
	int fd;
	struct termios saved;
	bool at_exit; /* exit calls term_restore, once registered */
} tty;

bool tty_foreground(int fd)
{
	pid_t group = tcgetpgrp(fd);

	return group < 0 ? errno == ENOTTY : group == getpgrp();
}

int tty_enter_raw(int fd)
{
	struct termios modes;

	if (tcgetattr(fd, &modes) < 0)
		return -errno;
	if (!atomic_load(&tty.raw)) {
		tty.saved = modes;
		tty.fd = fd;
		if (!tty.at_exit)
			tty.at_exit = !atexit(term_restore);
		/* First, so that there is no moment in which a signal leaves it raw. */
		atomic_store(&tty.raw, true);
	}
	cfmakeraw(&modes);
	modes.c_cc[VMIN] = 1;
	modes.c_cc[VTIME] = 0;
	if (tcsetattr(fd, TCSANOW, &modes) < 0) {
		int ret = -errno;

		term_restore();
		return ret;
	}
	log_set_raw_terminal(true);
	return 0;
}

void tty_forget_raw(void)
{
	if (atomic_exchange(&tty.raw, false))
		log_set_raw_terminal(false);
}

void tty_obey_interrupt(char key)
{
	struct termios modes;

	if (!atomic_load(&tty.raw) || !tty_foreground(tty.fd) || tcgetattr(tty.fd, &modes) < 0)
		return;
	modes.c_lflag |= ISIG;
	modes.c_cc[VINTR] = key ? (cc_t)key : tty.saved.c_cc[VINTR];
	modes.c_cc[VQUIT] = modes.c_cc[VSUSP] = _POSIX_VDISABLE;
	tcsetattr(tty.fd, TCSANOW, &modes);
}

/* Async-signal-safe: atomics, tcgetpgrp, getpgrp and tcsetattr alone. */
void term_restore(void)
{
	int saved_errno = errno;

	if (atomic_exchange(&tty.raw, false)) {
		/* In the background the modes are the shell's, and SIGTTOU is ignored: it would
		 * not stop us. */
		if (tty_foreground(tty.fd))
			tcsetattr(tty.fd, TCSANOW, &tty.saved);
		log_set_raw_terminal(false);
	}
	errno = saved_errno;
}

/*
 * Stop for real, with the terminal as it was. It returns when the process is continued; whoever
 * wants the terminal then sets it anew.
 */
static void on_stop(int sig)
{
	struct sigaction stop = { .sa_handler = SIG_DFL }, own;
	int saved_errno = errno;
	sigset_t set, old;

	term_restore();
	sigemptyset(&stop.sa_mask);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigaction(sig, &stop, &own);
	raise(sig);
	pthread_sigmask(SIG_UNBLOCK, &set, &old);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	sigaction(sig, &own, NULL);
	errno = saved_errno;
}

void tty_guard(void)
{
	struct sigaction guard = { .sa_handler = on_stop, .sa_flags = SA_RESTART }, now;

	signals_guard(term_restore);
	sigemptyset(&guard.sa_mask);
	if (!sigaction(SIGTSTP, NULL, &now) && now.sa_handler == SIG_DFL)
		sigaction(SIGTSTP, &guard, NULL);
}

void tty_unguard(void)
{
	struct sigaction now;

	if (!sigaction(SIGTSTP, NULL, &now) && now.sa_handler == on_stop)
		signal(SIGTSTP, SIG_DFL);
	signals_guard(NULL);
}

bool tty_is_terminal(int fd)
{
	unsigned int number;

	return isatty(fd) && ioctl(fd, TIOCGPTN, &number) < 0;
}

bool tty_size(int fd, u16 *cols, u16 *rows)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size) < 0 || !size.ws_col || !size.ws_row)
		return false;
	*cols = size.ws_col;
	*rows = size.ws_row;
	return true;
}

int tty_reopen(int fd, int flags)
{
	char path[32];
	int new_fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	new_fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return new_fd < 0 ? -errno : new_fd;
}

bool tty_inherited(int fd)
{
	int flags = fcntl(fd, F_GETFD);

	return flags < 0 ? errno != EBADF : !(flags & FD_CLOEXEC);
}
