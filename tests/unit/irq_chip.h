/* SPDX-License-Identifier: MIT */
/*
 * An interrupt chip that records, and takes eventfds as KVM does: what an fd holds when it is bound
 * is delivered, and so is what was written until it is unbound; nothing that is written later.
 */
#ifndef TEST_IRQ_CHIP_H
#define TEST_IRQ_CHIP_H

#include "unit.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "fds.h"
#include "lkvm/irq.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define CHIP_FDS    512
#define CHIP_ROUTES 4096

struct chip {
	int highs, lows;
	u32 last_gsi;
	atomic_int msis; /* by send_msi */
	u64 last_addr;
	u32 last_data, last_devid;
	/* irqfds, under lock */
	pthread_mutex_t lock;
	struct {
		int fd, resample_fd;
		u32 gsi;
	} bound[CHIP_FDS];
	u32 nr_bound;
	atomic_int delivered; /* by irqfds */
	atomic_int by_gsi[CHIP_ROUTES];
	int bind_error;
	/* The routing table */
	u32 tables; /* that were taken */
	u32 refused_tables;
	u32 nr_routes;
	struct kvm_irq_routing_entry routes[CHIP_ROUTES];
	bool refuse;	 /* every table */
	bool no_memory;	 /* for any table */
	u32 refuse_data; /* tables with such a message */
	u32 max_routes;
};

static inline void chip_set_level(void *opaque, u32 gsi, bool level)
{
	struct chip *c = opaque;

	c->last_gsi = gsi;
	if (level)
		c->highs++;
	else
		c->lows++;
}

static inline void chip_send_msi(void *opaque, u64 addr, u32 data, u32 devid)
{
	struct chip *c = opaque;

	c->last_addr = addr;
	c->last_data = data;
	c->last_devid = devid;
	c->msis++;
}

/* Under lock. */
static inline void chip_look(struct chip *c, int fd, u32 gsi)
{
	u64 n;

	if (read(fd, &n, sizeof(n)) != sizeof(n))
		return;
	c->by_gsi[gsi]++;
	c->delivered++;
}

static inline int chip_bind(struct chip *c, int fd, int resample_fd, u32 gsi)
{
	assert_true(c->nr_bound < CHIP_FDS);
	for (u32 i = 0; i < c->nr_bound; i++)
		assert_int_not_equal(c->bound[i].fd, fd);
	c->bound[c->nr_bound].fd = fd;
	c->bound[c->nr_bound].resample_fd = resample_fd;
	c->bound[c->nr_bound++].gsi = gsi;
	chip_look(c, fd, gsi);
	return 0;
}

static inline int chip_unbind(struct chip *c, int fd, u32 gsi)
{
	for (u32 i = 0; i < c->nr_bound; i++) {
		if (c->bound[i].fd != fd || c->bound[i].gsi != gsi)
			continue;
		chip_look(c, fd, gsi);
		c->bound[i] = c->bound[--c->nr_bound];
		return 0;
	}
	fail_msg("fd %d is not bound to %u", fd, gsi);
	return -EINVAL;
}

static inline int chip_bind_irqfd(void *opaque, int fd, u32 gsi, bool assign)
{
	struct chip *c = opaque;
	int ret = c->bind_error;

	pthread_mutex_lock(&c->lock);
	if (!assign)
		ret = chip_unbind(c, fd, gsi);
	else if (!ret)
		ret = chip_bind(c, fd, -1, gsi);
	pthread_mutex_unlock(&c->lock);
	return ret;
}

static inline int chip_bind_resample(void *opaque, int fd, int resample_fd, u32 gsi, bool assign)
{
	struct chip *c = opaque;

	if (!assign)
		return chip_bind_irqfd(c, fd, gsi, false);
	return c->bind_error ? c->bind_error : chip_bind(c, fd, resample_fd, gsi);
}

/* KVM's workers ran: what was written to irqfds is delivered. */
static inline void chip_settle(struct chip *c)
{
	pthread_mutex_lock(&c->lock);
	for (u32 i = 0; i < c->nr_bound; i++)
		chip_look(c, c->bound[i].fd, c->bound[i].gsi);
	pthread_mutex_unlock(&c->lock);
}

static inline int chip_set_routes(void *opaque, struct kvm_irq_routing *table)
{
	struct chip *c = opaque;
	bool refuse = c->refuse;

	assert_true(table->nr <= CHIP_ROUTES);
	for (u32 i = 0; i < table->nr && c->refuse_data; i++)
		refuse |= table->entries[i].u.msi.data == c->refuse_data;
	if (c->no_memory)
		return -ENOMEM;
	if (refuse) {
		c->refused_tables++;
		return -EINVAL;
	}
	memcpy(c->routes, table->entries, table->nr * sizeof(c->routes[0]));
	c->nr_routes = table->nr;
	c->tables++;
	/* The table is the chip's to rewrite. */
	memset(table->entries, 0xff, table->nr * sizeof(c->routes[0]));
	return 0;
}

static inline u32 chip_max_routes(void *opaque)
{
	return ((struct chip *)opaque)->max_routes;
}

static const struct irq_chip_ops chip_ops = {
	.set_level = chip_set_level,
	.send_msi = chip_send_msi,
	.bind_irqfd = chip_bind_irqfd,
	.set_routes = chip_set_routes,
	.bind_resample = chip_bind_resample,
	.max_routes = chip_max_routes,
};

/* The chip, its table and a loop. */
struct irq_rig {
	struct chip chip;
	struct irqs irqs;
	struct event_loop loop;
};

static inline void rig_init(struct irq_rig *r)
{
	log_set_level(LOG_ERROR);
	pthread_mutex_init(&r->chip.lock, NULL);
	r->chip.max_routes = IRQ_MAX_ROUTES;
	assert_int_equal(irq_init(&r->irqs, &chip_ops, &r->chip), 0);
	assert_int_equal(event_loop_init(&r->loop, "test"), 0);
	irq_set_loop(&r->irqs, &r->loop);
}

static inline void rig_fini(struct irq_rig *r)
{
	assert_int_equal(r->chip.nr_bound, 0);
	irq_destroy(&r->irqs);
	event_loop_destroy(&r->loop);
	pthread_mutex_destroy(&r->chip.lock);
}

static inline void rig_stop_loop(void *opaque)
{
	event_loop_stop(opaque);
}

/* Run the loop until nothing is pending. */
static inline void rig_pump(struct irq_rig *r)
{
	for (int i = 0; i < 3; i++) {
		struct event_post post = { .fn = rig_stop_loop, .opaque = &r->loop };

		event_loop_post(&r->loop, &post);
		event_loop_run(&r->loop);
		event_loop_rearm(&r->loop);
	}
}

#endif
