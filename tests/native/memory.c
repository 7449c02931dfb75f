/* SPDX-License-Identifier: MIT */
/*
 * A VM of two vcpus whose guest (guests/memory.c) uses memory that is added and removed thousands
 * of times meanwhile. The handler of the guest's doorbell, on the vcpu, and a queue, on a loop of
 * its own, use it through host pointers: one that outlives the mapping kills this program. Prints
 * one line; its status is the guest's. Usage: memory GUEST ROUNDS
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../arch-config.h"
#include "lkvm/bus.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/event.h"
#include "lkvm/log.h"
#include "lkvm/machine.h"
#include "lkvm/state.h"
#include "lkvm/util.h"

#define RAM	 (32 * MiB)
#define STOP	 (RAM - 4 * KiB)
#define COMES	 0x10000000ULL
#define COMES_SZ (8 * KiB)
#define BELL	 0x18000000ULL
#define TOUCHES	 100000 /* tens of microseconds: long enough to be met */
#define HOLES	 32

struct stress {
	struct machine machine;
	struct device dev;
	struct event_loop loop;
	struct event notify;
	bool quiet; /* of the loop */
	atomic_uint by_vcpu, by_queue;
	atomic_bool ended; /* the guest, so nobody uses the memory any more */
	unsigned int rounds;
	int error;
};

/* For a while, through one pointer, as a device does that fills a buffer. */
static void touch(struct stress *s, u64 offset, atomic_uint *count)
{
	u64 *p = memory_ptr(&s->machine.vm.mem, COMES + offset, sizeof(*p));

	if (!p)
		return;
	for (u64 i = 0; i < TOUCHES; i++)
		__atomic_store_n(p, i, __ATOMIC_RELAXED);
	atomic_fetch_add(count, 1);
}

static void on_bell(void *opaque, u64 offset, const void *data, u32 len)
{
	struct stress *s = opaque;

	eventfd_raise(s->notify.fd);
	touch(s, 1024 + 64 * (u64)(*(const u8 *)data & 1), &s->by_vcpu);
}

static const struct bus_ops bell_ops = { .write = on_bell };

static void on_notify(void *opaque, u32 events)
{
	struct stress *s = opaque;

	eventfd_drain(s->notify.fd);
	if (!s->quiet)
		touch(s, 2048, &s->by_queue);
}

static void set_quiet(void *opaque)
{
	((struct stress *)opaque)->quiet = true;
}

static void clear_quiet(void *opaque)
{
	((struct stress *)opaque)->quiet = false;
}

static void stress_quiesce(struct device *dev)
{
	struct stress *s = container_of(dev, struct stress, dev);

	event_call_sync(&s->loop, set_quiet, s);
}

static void stress_resume(struct device *dev)
{
	struct stress *s = container_of(dev, struct stress, dev);

	event_call_sync(&s->loop, clear_quiet, s);
}

static int stress_realize(struct device *dev, struct vm *vm)
{
	struct stress *s = container_of(dev, struct stress, dev);
	int ret;

	s->notify.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->notify.events = EPOLLIN;
	s->notify.fn = on_notify;
	s->notify.opaque = s;
	ret = event_loop_init(&s->loop, "stress");
	if (!ret)
		ret = event_add(&s->loop, &s->notify);
	if (!ret)
		ret = event_loop_start_thread(&s->loop);
	return ret ? ret : bus_add(&vm->mmio, BELL, 4, &bell_ops, s, "bell");
}

static void stress_destroy(struct device *dev)
{
	struct stress *s = container_of(dev, struct stress, dev);

	event_loop_stop_thread(&s->loop);
	event_loop_destroy(&s->loop);
	close(s->notify.fd);
}

static const struct device_ops stress_ops = {
	.realize = stress_realize,
	.quiesce = stress_quiesce,
	.resume = stress_resume,
	.state = &no_state,
	.destroy = stress_destroy,
};

/* Nothing may be mapped where memory was, so that a stale pointer hits a hole: for some rounds. */
static void keep_hole(void **holes, unsigned int round, void *hva)
{
	void **hole = &holes[round % HOLES];

	if (*hole)
		munmap(*hole, COMES_SZ);
	*hole = mmap(hva, COMES_SZ, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		     -1, 0);
	if (*hole == MAP_FAILED)
		*hole = NULL;
}

static void *come_and_go(void *arg)
{
	struct stress *s = arg;
	struct vm *vm = &s->machine.vm;
	void *holes[HOLES] = { NULL }, *hva;
	u32 one = 1;

	for (unsigned int i = 0; i < s->rounds && !s->error; i++) {
		const struct memory_desc d = { .gpa = COMES, .size = COMES_SZ, .name = "comes" };
		unsigned int by_vcpu = atomic_load(&s->by_vcpu);
		unsigned int by_queue = atomic_load(&s->by_queue);

		s->error = memory_add(&vm->mem, &d);
		/* Now and then it stays until both have used it. */
		while (!s->error && !atomic_load(&s->ended) && i % 32 == 0 &&
		       (by_vcpu == atomic_load(&s->by_vcpu) ||
			by_queue == atomic_load(&s->by_queue)))
			sched_yield();
		if (s->error)
			break;
		hva = memory_ptr(&vm->mem, COMES, COMES_SZ);
		s->error = vm_remove_memory(vm, COMES);
		keep_hole(holes, i, hva);
	}
	if (memory_write(&vm->mem, STOP, &one, sizeof(one)))
		s->error = -EFAULT;
	return NULL;
}

static int configure(struct vm_config *cfg, const char *guest)
{
	config_init(cfg);
	cfg->kernel = xstrdup(guest);
	set_flat_image(cfg);
	cfg->memory = RAM;
	cfg->cpus = 2;
	cfg->nodefaults = true;
	cfg->rng = true;
	cfg->params = xasprintf("stop=0x%llx comes=0x%llx bell=0x%llx", STOP, COMES, BELL);
	return config_complete(cfg);
}

int main(int argc, char **argv)
{
	static struct vm_config cfg;
	static struct stress s;
	pthread_t changer;
	int status, sig;

	if (argc != 3 || configure(&cfg, argv[1]))
		return 2;
	s.rounds = (unsigned int)atoi(argv[2]);
	if (machine_create(&s.machine, &cfg))
		return 1;
	s.dev.name = "stress";
	s.dev.ops = &stress_ops;
	if (device_add(&s.machine.vm, &s.dev) || pthread_create(&changer, NULL, come_and_go, &s))
		return 1;
	status = machine_run(&s.machine, &sig);
	atomic_store(&s.ended, true);
	pthread_join(changer, NULL);
	if (s.error)
		err("memory that comes and goes: %s", strerror(-s.error));
	printf("%u rounds, used %u times by vcpus, %u times by a queue\n", s.rounds,
	       atomic_load(&s.by_vcpu), atomic_load(&s.by_queue));
	machine_destroy(&s.machine);
	config_destroy(&cfg);
	return s.error ? 1 : status;
}
