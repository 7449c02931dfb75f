/* SPDX-License-Identifier: MIT */
/*
 * For interrupt controllers in this process: sources of level interrupts from outside. VFIO writes
 * a descriptor, once, when a device asserts INTx, and keeps the device's interrupt masked. The main
 * loop sees that and asserts the source. When the interrupt ends all sources of its pin fall, and
 * those behind them are asked to look again (resample_fd), as KVM does it for its own controllers:
 * a device that still asserts writes anew.
 */
#ifndef LKVM_IRQ_SOURCE_H
#define LKVM_IRQ_SOURCE_H

#include <pthread.h>

#include "lkvm/event.h"
#include "lkvm/types.h"

struct irq_sources;

struct irq_source {
	struct irq_source *next;
	struct irq_sources *sources;
	u32 pin;
	bool asserted;
	int resample_fd; /* borrowed */
	struct event event;
};

/* Filled by the controller. */
struct irq_sources {
	pthread_mutex_t *lock; /* the controller's, which guards all of this */
	/* In the main loop, under the lock: @source is written to. It is the controller's to set
	 * asserted, and to do what follows. */
	void (*written)(void *chip, struct irq_source *source);
	void *chip;
	struct irq_source *first;
};

#define IRQ_SOURCES_ALL (~0U)

/* Is one of @pin's asserted? Under the lock. */
static inline bool irq_sources_asserted(const struct irq_sources *sources, u32 pin)
{
	for (const struct irq_source *s = sources->first; s; s = s->next)
		if (s->pin == pin && s->asserted)
			return true;
	return false;
}

/* The interrupt of @pin, or of IRQ_SOURCES_ALL, has ended. Under the lock. */
void irq_sources_end(struct irq_sources *sources, u32 pin);
/*
 * For irq_chip_ops.bind_resample; without the lock. -ENOTSUP: there is no @loop; -ENOENT: there is
 * no such source to take away; or what the loop says.
 */
int irq_sources_bind(struct irq_sources *sources, struct event_loop *loop, int fd, int resample_fd,
		     u32 pin, bool assign) __must_check;

#endif
