/* SPDX-License-Identifier: MIT */
/* Sources of level interrupts from outside; see irq-source.h. */
#include "lkvm/irq-source.h"

#include <stdlib.h>

#include "lkvm/util.h"

void irq_sources_end(struct irq_sources *sources, u32 pin)
{
	for (struct irq_source *s = sources->first; s; s = s->next) {
		if (!s->asserted || (pin != IRQ_SOURCES_ALL && s->pin != pin))
			continue;
		s->asserted = false;
		eventfd_raise(s->resample_fd);
	}
}

/* The main loop. */
static void on_written(void *opaque, u32 events)
{
	struct irq_source *s = opaque;
	struct irq_sources *sources = s->sources;

	pthread_mutex_lock(sources->lock);
	/* What the loop saw may have been taken already. */
	if (eventfd_drain(s->event.fd))
		sources->written(sources->chip, s);
	pthread_mutex_unlock(sources->lock);
}

static int drop(struct irq_sources *sources, int fd, u32 pin)
{
	struct irq_source **at = &sources->first, *s;

	pthread_mutex_lock(sources->lock);
	while (*at && ((*at)->event.fd != fd || (*at)->pin != pin))
		at = &(*at)->next;
	s = *at;
	if (s)
		*at = s->next;
	pthread_mutex_unlock(sources->lock);
	if (!s)
		return -ENOENT;
	event_del(&s->event);
	free(s);
	return 0;
}

int irq_sources_bind(struct irq_sources *sources, struct event_loop *loop, int fd, int resample_fd,
		     u32 pin, bool assign)
{
	struct irq_source *s;
	int ret;

	if (!assign)
		return drop(sources, fd, pin);
	if (!loop)
		return -ENOTSUP;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct irq_source){
		.sources = sources,
		.pin = pin,
		.resample_fd = resample_fd,
		.event = { .fd = fd, .events = EPOLLIN, .fn = on_written, .opaque = s },
	};
	pthread_mutex_lock(sources->lock);
	s->next = sources->first;
	sources->first = s;
	pthread_mutex_unlock(sources->lock);
	ret = event_add(loop, &s->event);
	if (ret)
		drop(sources, fd, pin);
	return ret;
}
