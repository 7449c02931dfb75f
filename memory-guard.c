/* SPDX-License-Identifier: MIT */
/*
 * Files that end, or fail, under their mapping (see include/lkvm/memory.h). The kernel's calls that
 * reach such a page say EFAULT; an instruction of ours raises SIGBUS, and the handler here puts a
 * page of zeroes there: a device of a hostile or unlucky guest's goes on, and the machine ends
 * orderly.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lkvm/memory-map.h"
#include "lkvm/signals.h"

/* A signal handler can be given nothing: this is the process's. Changed under the lock, read by the
 * handler without; who leaves the list is not touched any more. */
static struct memory_guard *_Atomic guards;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool mend(void *addr)
{
	uintptr_t at = (uintptr_t)addr;
	struct memory_guard *g = atomic_load(&guards);
	unsigned long long none = 0;
	u64 one = 1;
	void *page;

	while (g && (at < g->begin || at >= g->end))
		g = g->next;
	if (!g)
		return false;
	page = (void *)ALIGN_DOWN(at, g->page);
	if (mmap(page, g->page, g->prot, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	    MAP_FAILED)
		return false;
	atomic_compare_exchange_strong(&g->lost, &none, at);
	return g->fd <= 0 || write(g->fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN;
}

int memory_guard_add(struct memory_guard *g)
{
	int ret = signals_mend(mend);

	if (ret)
		return ret;
	pthread_mutex_lock(&lock);
	g->next = atomic_load(&guards);
	atomic_store(&guards, g);
	pthread_mutex_unlock(&lock);
	return 0;
}

void memory_guard_remove(struct memory_guard *g)
{
	struct memory_guard *p;

	pthread_mutex_lock(&lock);
	p = atomic_load(&guards);
	if (p == g)
		atomic_store(&guards, g->next);
	while (p && p->next != g)
		p = p->next;
	if (p)
		p->next = g->next;
	pthread_mutex_unlock(&lock);
}
