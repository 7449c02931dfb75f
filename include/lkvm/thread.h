/* SPDX-License-Identifier: MIT */
/* Threads: each is started here and says what it is for, which decides what it may do. */
#ifndef LKVM_THREAD_H
#define LKVM_THREAD_H

#include <pthread.h>
#include <signal.h>

#include "lkvm/types.h"

/* Interrupts KVM_RUN and blocking system calls of a vcpu thread; does nothing else when this
 * process sends it (signals_own). */
#define THREAD_KICK_SIGNAL SIGRTMIN

enum thread_role {
	THREAD_VCPU,   /* runs KVM_RUN; takes the kick signal */
	THREAD_LOOP,   /* an event loop: serves queues of a device, or writes for one */
	THREAD_WORKER, /* does a back end's blocking work */
};

/*
 * Run @fn(@opaque) on a new thread, which first of all says its thread_name. Signals are the main
 * thread's business: all are blocked but those of a crash, and for THREAD_VCPU the kick.
 * 0 or -errno; prints nothing: limit_hint(ret) says what to raise. The caller joins *out.
 */
int thread_start(pthread_t *out, enum thread_role role, void *(*fn)(void *opaque),
		 void *opaque) __must_check;
/* What the calling thread is called (the kernel keeps 15 characters). */
void thread_name(const char *name);

/*
 * The end of a message for an error that is a limit of this process ("; raise ..."), "" for others.
 * Knows what pthread_create, eventfd, epoll_create and open give: EAGAIN, EMFILE, ENFILE, ENOMEM.
 */
const char *limit_hint(int error);

#endif
