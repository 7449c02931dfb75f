/* SPDX-License-Identifier: MIT */
/* Dispositions of signals (POSIX.1-2017, XSH 2.4.3 "Signal Actions"); see include/lkvm/signals.h.
 */
#include "lkvm/signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "lkvm/log.h"

/* A process has one terminal to put back, and one name to take away. */
static void (*_Atomic restore_fn)(void);
static void (*_Atomic forget_fn)(void);

static void restore(void)
{
	void (*put_back)(void) = atomic_load(&restore_fn);
	void (*forget)(void) = atomic_load(&forget_fn);

	if (put_back)
		put_back();
	if (forget)
		forget();
}

/* The default action is back in place: the signal ends the process when this handler returns, with
 * a core dump where it has one. */
static void on_fatal(int sig)
{
	restore();
	raise(sig);
}

/* The kernel names this process as the sender of the SIGPIPE and SIGXFSZ of its own writes. */
static void on_own(int sig, siginfo_t *info, void *context)
{
	int saved_errno = errno;

	if (info->si_pid != getpid()) {
		signal(sig, SIG_DFL);
		on_fatal(sig);
	}
	errno = saved_errno;
}

static int take_signal(int sig, bool interrupts, struct sigaction *before)
{
	struct sigaction action = {
		.sa_sigaction = on_own,
		.sa_flags = SA_SIGINFO | (interrupts ? 0 : SA_RESTART),
	};

	sigemptyset(&action.sa_mask);
	return sigaction(sig, &action, before) < 0 ? -errno : 0;
}

int signals_own(int sig, bool interrupts)
{
	return take_signal(sig, interrupts, NULL);
}

static bool (*_Atomic mend_fn)(void *addr);

/* A page that the hardware lost (BUS_MCEERR_*) is another matter. Sent by somebody (SI_USER), it
 * ends this process as ever. */
static void on_bus(int sig, siginfo_t *info, void *context)
{
	bool (*mend)(void *addr) = atomic_load(&mend_fn);
	int saved_errno = errno;

	if (info->si_code != BUS_ADRERR || !mend || !mend(info->si_addr)) {
		signal(sig, SIG_DFL);
		on_fatal(sig);
	}
	errno = saved_errno;
}

int signals_mend(bool (*mend)(void *addr))
{
	struct sigaction action = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_RESTART };

	sigemptyset(&action.sa_mask);
	atomic_store(&mend_fn, mend);
	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

void signals_init(void)
{
	static const int signals[] = { SIGPIPE, SIGXFSZ };
	struct sigaction before;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		if (take_signal(signals[i], false, &before))
			debug("signal %d keeps its action", signals[i]);
		/* One that is ignored stays so. */
		else if (before.sa_handler != SIG_DFL)
			sigaction(signals[i], &before, NULL);
	}
}

void signals_forget(const sigset_t *set, void (*fn)(void))
{
	struct sigaction guard = { .sa_handler = on_fatal, .sa_flags = SA_RESETHAND };

	sigemptyset(&guard.sa_mask);
	atomic_store(&forget_fn, fn);
	for (int sig = 1; fn && sig < SIGRTMIN; sig++)
		if (sigismember(set, sig) > 0)
			sigaction(sig, &guard, NULL);
}

/* signal(7): all but these end a process by default. */
static bool ends(int sig)
{
	switch (sig) {
	case SIGCHLD:
	case SIGCONT:
	case SIGSTOP:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
	case SIGURG:
	case SIGWINCH:
		return false;
	}
	return true;
}

void signals_guard(void (*fn)(void))
{
	struct sigaction guard = { .sa_handler = on_fatal, .sa_flags = SA_RESETHAND };
	struct sigaction none = { .sa_handler = SIG_DFL }, now;

	sigemptyset(&guard.sa_mask);
	sigemptyset(&none.sa_mask);
	/* First, or last: a signal that comes meanwhile finds what to call. */
	if (fn)
		atomic_store(&restore_fn, fn);
	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		/* The C library keeps some of the real-time ones for itself, and fails. */
		if (!ends(sig) || sigaction(sig, NULL, &now))
			continue;
		if (fn && now.sa_handler == SIG_DFL)
			sigaction(sig, &guard, NULL);
		else if (!fn && now.sa_handler == on_fatal && !atomic_load(&forget_fn))
			sigaction(sig, &none, NULL);
	}
	if (!fn)
		atomic_store(&restore_fn, NULL);
}
