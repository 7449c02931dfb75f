/* SPDX-License-Identifier: MIT */
/*
 * A whole machine without KVM, for tests of its threads: RAM in plain memory, an interrupt chip
 * that delivers what is written to eventfds, consoles that answer, and vcpu threads that park at
 * the VM's gate as real ones do, but run a function of the test instead of a guest.
 */
#ifndef TEST_THREADS_BOARD_H
#define TEST_THREADS_BOARD_H

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/console.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* A hang is all that it is for. */
#define LIMIT_SECONDS 1200

/* What is not so ends the test at once: the threads beside it have nothing to tell any more. */
#define must(cond, ...)                                         \
	do {                                                    \
		if (!(cond)) {                                  \
			printf("Bail out! " __VA_ARGS__);       \
			printf(" (%s: %s)\n", __func__, #cond); \
			fflush(stdout);                         \
			_exit(1);                               \
		}                                               \
	} while (0)

/* xorshift64*: the same numbers for the same seed. */
static inline u64 rnd(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * 0x2545f4914f6cdd1dULL) >> 16;
}

static inline u32 below(u64 *state, u32 n)
{
	return (u32)(rnd(state) % n);
}

/* What is written to standard error meanwhile. Anything of ThreadSanitizer's is shown in the end.
 */
struct quiet {
	int saved, fd;
};

static inline struct quiet quiet_begin(void)
{
	struct quiet q = { dup(STDERR_FILENO), memfd_create("stderr", MFD_CLOEXEC) };

	must(q.saved >= 0 && q.fd >= 0 && dup2(q.fd, STDERR_FILENO) >= 0, "no descriptor");
	return q;
}

/* How many of the lines have @texts[i] in them? The others are shown. */
static inline void quiet_end(struct quiet *q, const char *const texts[], u32 counts[], u32 n)
{
	FILE *f = fdopen(q->fd, "r");
	char line[1024];
	u32 i;

	dup2(q->saved, STDERR_FILENO);
	close(q->saved);
	rewind(f);
	while (fgets(line, sizeof(line), f)) {
		for (i = 0; i < n && !strstr(line, texts[i]); i++)
			;
		if (i < n)
			counts[i]++;
		else
			fputs(line, stderr);
	}
	fclose(f);
}

/* Interrupts */

#define CHIP_LINES  64
#define CHIP_ROUTES 4096
/* A message to this address with data n is counted in messages[n]; all others are dropped. */
#define CHIP_DOORBELL 0xfee00000ULL
#define CHIP_MESSAGES 1024

struct chip {
	atomic_int level[CHIP_LINES];
	atomic_uint messages[CHIP_MESSAGES];
	/* Under lock. */
	pthread_mutex_t lock;
	int epoll_fd; /* of all fds that are bound */
	struct {
		u64 addr;
		u32 data;
	} routes[CHIP_ROUTES];
};

static inline void chip_set_level(void *opaque, u32 gsi, bool level)
{
	struct chip *c = opaque;

	must(gsi < CHIP_LINES, "no such line");
	atomic_store(&c->level[gsi], level);
}

static inline void chip_send_msi(void *opaque, u64 addr, u32 data, u32 devid)
{
	struct chip *c = opaque;

	if (addr == CHIP_DOORBELL && data < CHIP_MESSAGES)
		atomic_fetch_add(&c->messages[data], 1);
}

/* What was written to a bound fd is delivered. Under lock. */
static inline void chip_look(struct chip *c, int fd, u32 gsi)
{
	u64 n;

	if (read(fd, &n, sizeof(n)) == sizeof(n))
		chip_send_msi(c, c->routes[gsi].addr, c->routes[gsi].data, 0);
}

static inline int chip_bind_irqfd(void *opaque, int fd, u32 gsi, bool assign)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = (u64)gsi << 32 | (u32)fd };
	struct chip *c = opaque;

	must(gsi < CHIP_ROUTES, "no such message");
	pthread_mutex_lock(&c->lock);
	must(!epoll_ctl(c->epoll_fd, assign ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &e),
	     "fd %d was %s", fd, assign ? "bound already" : "not bound");
	chip_look(c, fd, gsi);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

/* KVM's workers had their turn. Any thread. */
static inline void chip_deliver(struct chip *c)
{
	struct epoll_event batch[8];
	int n;

	pthread_mutex_lock(&c->lock);
	n = epoll_wait(c->epoll_fd, batch, ARRAY_SIZE(batch), 0);
	for (int i = 0; i < n; i++)
		chip_look(c, (int)(u32)batch[i].data.u64, (u32)(batch[i].data.u64 >> 32));
	pthread_mutex_unlock(&c->lock);
}

static inline int chip_set_routes(void *opaque, struct kvm_irq_routing *table)
{
	struct chip *c = opaque;

	pthread_mutex_lock(&c->lock);
	memset(c->routes, 0, sizeof(c->routes));
	for (u32 i = 0; i < table->nr; i++) {
		const struct kvm_irq_routing_entry *e = &table->entries[i];

		must(e->gsi < CHIP_ROUTES && e->type == KVM_IRQ_ROUTING_MSI, "a strange route");
		c->routes[e->gsi].addr = (u64)e->u.msi.address_hi << 32 | e->u.msi.address_lo;
		c->routes[e->gsi].data = e->u.msi.data;
	}
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static const struct irq_chip_ops chip_ops = {
	.set_level = chip_set_level,
	.send_msi = chip_send_msi,
	.bind_irqfd = chip_bind_irqfd,
	.set_routes = chip_set_routes,
};

/* A console that says what it heard */

struct echo {
	struct console con;
	struct event_loop *loop;
	struct event_post post;
	atomic_ulong bytes_in;
	pthread_mutex_t lock;
	struct console_client client;
	u8 heard[4096];
	size_t len;
	bool full; /* less was taken than was offered */
	u32 said;
};

static inline void echo_answer(void *opaque)
{
	struct echo *e = opaque;
	struct console_client client;
	size_t n = 0;
	u8 buf[256];
	bool full;

	pthread_mutex_lock(&e->lock);
	client = e->client;
	pthread_mutex_unlock(&e->lock);
	if (!client.room)
		return;
	n = client.room(client.opaque);
	pthread_mutex_lock(&e->lock);
	n = MIN(n, e->len);
	n = MIN(n, sizeof(buf));
	memcpy(buf, e->heard, n);
	e->len -= n;
	memmove(e->heard, e->heard + n, e->len);
	e->said++;
	/* What it cannot say for lack of buffers it forgets. */
	full = e->full;
	if (full)
		e->len = 0;
	e->full = false;
	pthread_mutex_unlock(&e->lock);
	if (n)
		client.input(client.opaque, buf, n);
	if (full)
		client.writable(client.opaque);
	atomic_fetch_add(&e->bytes_in, n);
	if (client.resized && e->said % 64 == 0)
		client.resized(client.opaque, (u16)e->said, 25);
}

static inline void echo_write(struct console *con, const u8 *buf, size_t len)
{
	struct echo *e = container_of(con, struct echo, con);

	pthread_mutex_lock(&e->lock);
	len = MIN(len, sizeof(e->heard) - e->len);
	memcpy(e->heard + e->len, buf, len);
	e->len += len;
	pthread_mutex_unlock(&e->lock);
	event_loop_post(e->loop, &e->post);
}

static inline size_t echo_offer(struct console *con, const u8 *buf, size_t len)
{
	struct echo *e = container_of(con, struct echo, con);
	size_t n;

	pthread_mutex_lock(&e->lock);
	n = MIN(len, sizeof(e->heard) - e->len);
	memcpy(e->heard + e->len, buf, n);
	e->len += n;
	e->full = n < len;
	pthread_mutex_unlock(&e->lock);
	event_loop_post(e->loop, &e->post);
	return n;
}

static inline void echo_set_client(struct console *con, const struct console_client *client)
{
	struct echo *e = container_of(con, struct echo, con);

	pthread_mutex_lock(&e->lock);
	e->client = client ? *client : (struct console_client){ 0 };
	pthread_mutex_unlock(&e->lock);
}

static inline void echo_input_ready(struct console *con)
{
	struct echo *e = container_of(con, struct echo, con);

	event_loop_post(e->loop, &e->post);
}

static const struct console_ops echo_ops = {
	.write = echo_write,
	.set_client = echo_set_client,
	.input_ready = echo_input_ready,
	.offer = echo_offer,
};

static inline void echo_init(struct echo *e, struct event_loop *loop)
{
	e->con.ops = &echo_ops;
	e->loop = loop;
	e->post = (struct event_post){ .fn = echo_answer, .opaque = e };
	pthread_mutex_init(&e->lock, NULL);
}

/* The machine */

#define RAM_BASE 0x40000000ULL
#define RAM_SIZE (4 * MiB)

struct board {
	struct vm vm;
	struct vm_config cfg;
	struct chip chip;
	u8 *ram;
	u8 *snapshot; /* of RAM, while it is paused */
	void (*step)(struct vcpu *vcpu, void *opaque);
	void *opaque;
};

struct board_thread {
	struct board *b;
	struct vcpu *vcpu;
};

static inline void board_init(struct board *b)
{
	memset(b, 0, sizeof(*b));
	log_set_level(LOG_ERROR);
	must(!vm_init(&b->vm, &b->cfg), "no VM");
	b->chip.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	pthread_mutex_init(&b->chip.lock, NULL);
	must(!irq_init(&b->vm.irqs, &chip_ops, &b->chip), "no interrupts");
	irq_set_loop(&b->vm.irqs, &b->vm.loop);
	b->vm.irqs.first_msi_gsi = CHIP_LINES;
	b->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(b->ram != MAP_FAILED, "no memory");
	b->snapshot = malloc(RAM_SIZE);
	must(!memory_add_borrowed(&b->vm.mem, RAM_BASE, RAM_SIZE, b->ram, MEM_RAM, "ram"),
	     "no RAM");
}

static inline void board_fini(struct board *b)
{
	vm_destroy(&b->vm);
	close(b->chip.epoll_fd);
	munmap(b->ram, RAM_SIZE);
	free(b->snapshot);
}

/* vcpu threads: vcpu.c's, with a step in the place of KVM_RUN and the handling of its exit. */

static inline void on_kick(int sig) {}

static inline void *board_vcpu(void *arg)
{
	struct board_thread t = *(struct board_thread *)arg;

	free(arg);
	while (vm_vcpu_gate(&t.b->vm, NULL)) {
		while (atomic_load(&t.b->vm.running)) {
			memory_read_begin(&t.vcpu->reader);
			t.b->step(t.vcpu, t.b->opaque);
			memory_read_end(&t.vcpu->reader);
		}
	}
	return NULL;
}

static inline void board_start(struct board *b, u32 nr,
			       void (*step)(struct vcpu *vcpu, void *opaque), void *opaque)
{
	struct sigaction action = { .sa_handler = on_kick };
	struct vm *vm = &b->vm;

	sigaction(THREAD_KICK_SIGNAL, &action, NULL);
	b->step = step;
	b->opaque = opaque;
	vm->vcpus = xcalloc(nr, sizeof(*vm->vcpus));
	for (u32 i = 0; i < nr; i++) {
		struct vcpu *vcpu = xcalloc(1, sizeof(*vcpu));

		vcpu->vm = vm;
		vcpu->id = i;
		vcpu->fd = -1;
		vcpu->run_size = 4096;
		vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		must(vcpu->run != MAP_FAILED, "no memory");
		memory_add_reader(&vm->mem, &vcpu->reader);
		vm->vcpus[vm->nr_vcpus++] = vcpu;
	}
	for (u32 i = 0; i < nr; i++) {
		struct board_thread *t = xcalloc(1, sizeof(*t));

		*t = (struct board_thread){ b, vm->vcpus[i] };
		must(!pthread_create(&vm->vcpus[i]->thread, NULL, board_vcpu, t), "no thread");
		vm->vcpus[i]->has_thread = true;
	}
}

/* From here to board_resume no byte of guest memory changes. */
static inline void board_pause(struct board *b)
{
	if (b->vm.quiesced)
		return;
	vm_pause(&b->vm);
	memcpy(b->snapshot, b->ram, RAM_SIZE);
}

static inline void board_check_paused(struct board *b)
{
	must(!memcmp(b->snapshot, b->ram, RAM_SIZE), "memory changed while the VM was paused");
}

#endif
