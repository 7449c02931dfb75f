/* SPDX-License-Identifier: MIT */
/* Message routes: an eventfd, a GSI and a message each (irq.c explains the model). */
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/irq.h"
#include "lkvm/log.h"
#include "lkvm/trace.h"
#include "lkvm/util.h"

/* Take what was written to @fd, which nobody else reads. */
static bool take_writes(int fd)
{
	u64 count;

	return fd >= 0 && read(fd, &count, sizeof(count)) == sizeof(count);
}

/* Under route->lock. */
static void send_message(struct msi_route *route)
{
	struct irqs *irqs = route->irqs;

	if (irqs->ops->send_msi)
		irqs->ops->send_msi(irqs->opaque, route->addr, route->data,
				    irqs->msi_devid ? route->devid : 0);
}

/* The main loop: what others wrote to an fd that KVM does not take. */
static void on_written(void *opaque, u32 events)
{
	struct msi_route *route = opaque;

	pthread_mutex_lock(&route->lock);
	/* A vcpu may have masked it after the loop woke: then the count is the pending bit. */
	if (route->watch.loop && take_writes(route->fd))
		send_message(route);
	pthread_mutex_unlock(&route->lock);
}

/* Open, and not bound. Under route->lock. */
static void watch(struct msi_route *route)
{
	int ret;

	if (!route->given || route->watch.loop || !route->irqs->loop)
		return;
	ret = event_add(route->irqs->loop, &route->watch);
	if (ret)
		guest_warn("message interrupt %u: cannot watch its eventfd: %s", route->gsi,
			   strerror(-ret));
}

static int bind_fd(struct msi_route *route, bool assign)
{
	const struct irq_chip_ops *ops = route->irqs->ops;

	if (route->fd < 0 || !ops->bind_irqfd || (assign && route->untabled))
		return -ENOTSUP;
	return ops->bind_irqfd(route->irqs->opaque, route->fd, route->gsi, assign);
}

/* Nothing reaches the guest any more; what comes stays in the fd. Under route->lock. */
static void detach(struct msi_route *route)
{
	event_del(&route->watch);
	if (route->bound)
		bind_fd(route, false);
	route->bound = false;
}

/* Let through what waits, once, and what comes. Under route->lock. */
static void attach(struct msi_route *route)
{
	bool waits;
	int ret;

	if (route->bound)
		return;
	/* Into the counter, where it and what others write meanwhile become one interrupt. */
	if (route->pending && route->fd >= 0)
		eventfd_raise(route->fd);
	ret = bind_fd(route, true);
	route->bound = !ret;
	if (ret) {
		if (ret != -ENOTSUP)
			guest_warn(
				"message interrupt %u: KVM_IRQFD: %s; it is delivered more slowly",
				route->gsi, strerror(-ret));
		waits = take_writes(route->fd) || route->pending;
		if (waits)
			send_message(route);
		watch(route);
	}
	route->pending = false;
}

/* Life */

static int take_gsi(struct irqs *irqs, struct msi_route *route)
{
	u32 i = 0;
	int ret;

	while (i < irqs->nr_routes && irqs->routes[i])
		i++;
	ret = irq_reserve_routes(irqs, i + 1);
	if (ret)
		return ret;
	irqs->routes[i] = route;
	route->gsi = irqs->first_msi_gsi + i;
	return 0;
}

int msi_route_alloc(struct irqs *irqs, u32 devid, struct msi_route **out)
{
	struct msi_route *route = calloc(1, sizeof(*route));
	int ret;

	if (!route)
		return -ENOMEM;
	route->irqs = irqs;
	route->devid = devid;
	pthread_mutex_init(&route->lock, NULL);
	pthread_mutex_lock(&irqs->lock);
	ret = take_gsi(irqs, route);
	pthread_mutex_unlock(&irqs->lock);
	if (ret) {
		pthread_mutex_destroy(&route->lock);
		free(route);
		return ret;
	}
	route->fd = irqs->ops->bind_irqfd ? irq_new_fd(irqs) : -ENOTSUP;
	route->watch.fd = route->fd;
	route->watch.events = EPOLLIN;
	route->watch.fn = on_written;
	route->watch.opaque = route;
	*out = route;
	return 0;
}

void msi_route_free(struct msi_route *route)
{
	struct irqs *irqs;

	if (!route)
		return;
	irqs = route->irqs;
	msi_route_set_mode(route, MSI_OFF);
	pthread_mutex_lock(&irqs->lock);
	irqs->routes[route->gsi - irqs->first_msi_gsi] = NULL;
	pthread_mutex_unlock(&irqs->lock);
	if (route->fd >= 0)
		close(route->fd);
	pthread_mutex_destroy(&route->lock);
	free(route);
}

/* The table */

void msi_route_stage(struct msi_route *route, u64 addr, u32 data)
{
	struct irqs *irqs = route->irqs;

	pthread_mutex_lock(&irqs->lock);
	route->staged =
		!route->live || route->untabled || route->addr != addr || route->data != data;
	route->next_addr = addr;
	route->next_data = data;
	route->next_live = true;
	pthread_mutex_unlock(&irqs->lock);
}

/* Between what the routes have and what is staged, there and back. Under irqs->lock. */
static u32 swap_staged(struct msi_route *const *routes, u32 count)
{
	u32 n = 0;

	for (u32 i = 0; i < count; i++) {
		struct msi_route *route = routes[i];
		u64 addr = route->next_addr;
		u32 data = route->next_data;
		bool live = route->next_live;

		if (!route->staged)
			continue;
		pthread_mutex_lock(&route->lock);
		route->next_addr = route->addr;
		route->next_data = route->data;
		route->next_live = route->live;
		route->addr = addr;
		route->data = data;
		route->live = live;
		pthread_mutex_unlock(&route->lock);
		n++;
	}
	return n;
}

/*
 * The chip took the staged routes, or refused the only one, or had no memory for their table: then
 * what is bound would send what was before. Under irqs->lock.
 */
static void settle(struct msi_route *const *routes, u32 count, bool live, bool untabled)
{
	for (u32 i = 0; i < count; i++) {
		struct msi_route *route = routes[i];

		if (!route->staged)
			continue;
		pthread_mutex_lock(&route->lock);
		route->staged = false;
		route->live = live;
		route->untabled = untabled;
		if (!live || untabled)
			detach(route);
		if (live && route->mode == MSI_OPEN)
			attach(route);
		pthread_mutex_unlock(&route->lock);
	}
}

/* Find what the chip refuses by halving: the rest is installed. Under irqs->lock. */
static int apply(struct irqs *irqs, struct msi_route *const *routes, u32 count)
{
	int ret, other;

	if (!swap_staged(routes, count))
		return 0;
	ret = irq_install_routes(irqs);
	if (!ret) {
		settle(routes, count, true, false);
		return 0;
	}
	if (ret == -ENOMEM && irqs->ops->send_msi) {
		guest_warn("interrupts: no memory for KVM's table of messages: %u are delivered "
			   "more slowly",
			   count);
		settle(routes, count, true, true);
		return 0;
	}
	swap_staged(routes, count);
	if (count == 1) {
		settle(routes, count, false, false);
		return ret;
	}
	ret = apply(irqs, routes, count / 2);
	other = apply(irqs, routes + count / 2, count - count / 2);
	return ret ? ret : other;
}

int msi_routes_commit(struct irqs *irqs, struct msi_route *const *routes, u32 count)
{
	int ret;

	pthread_mutex_lock(&irqs->lock);
	ret = apply(irqs, routes, count);
	pthread_mutex_unlock(&irqs->lock);
	return ret;
}

bool msi_route_live(struct msi_route *route)
{
	bool live;

	pthread_mutex_lock(&route->lock);
	live = route->live;
	pthread_mutex_unlock(&route->lock);
	return live;
}

/* Delivery */

void msi_route_set_mode(struct msi_route *route, enum msi_mode mode)
{
	pthread_mutex_lock(&route->lock);
	if (mode == route->mode)
		goto out;
	if (mode != MSI_OPEN)
		detach(route);
	/* What came while it was off was no message. */
	if (route->mode == MSI_OFF && route->given)
		take_writes(route->fd);
	if (mode == MSI_OFF)
		route->pending = false;
	route->mode = mode;
	if (mode == MSI_OPEN && route->live)
		attach(route);
out:
	pthread_mutex_unlock(&route->lock);
}

int msi_route_update(struct msi_route *route, u64 addr, u32 data)
{
	int ret;

	msi_route_stage(route, addr, data);
	ret = msi_routes_commit(route->irqs, &route, 1);
	msi_route_set_mode(route, MSI_OPEN);
	return ret;
}

void msi_route_trigger(struct msi_route *route)
{
	static const char *const modes[] = {
		[MSI_OFF] = "off",
		[MSI_MASKED] = "masked",
		[MSI_OPEN] = "sent",
	};

	pthread_mutex_lock(&route->lock);
	if (trace_wants(route->irqs->trace, TRACE_IRQ))
		trace_line(route->irqs->trace, "irq msi %u 0x%llx 0x%x %s", route->gsi, route->addr,
			   route->data, modes[route->mode]);
	if (route->mode == MSI_MASKED)
		route->pending = true;
	else if (route->mode == MSI_OPEN && route->bound)
		eventfd_raise(route->fd);
	else if (route->mode == MSI_OPEN && route->live)
		send_message(route);
	pthread_mutex_unlock(&route->lock);
}

bool msi_route_pending(struct msi_route *route)
{
	bool pending;

	pthread_mutex_lock(&route->lock);
	if (route->mode == MSI_MASKED && route->given && take_writes(route->fd))
		route->pending = true;
	pending = route->mode == MSI_MASKED && route->pending;
	pthread_mutex_unlock(&route->lock);
	return pending;
}

int msi_route_fd(struct msi_route *route)
{
	pthread_mutex_lock(&route->lock);
	route->given = route->fd >= 0;
	if (route->mode == MSI_OPEN && route->live && !route->bound)
		watch(route);
	pthread_mutex_unlock(&route->lock);
	return route->fd;
}
