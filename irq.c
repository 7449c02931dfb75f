/* SPDX-License-Identifier: MIT */
/* Interrupt lines and message routes over an interrupt chip (see include/lkvm/irq.h). */
#include "lkvm/irq.h"

#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/util.h"

/* Routing */

int irq_init(struct irqs *irqs, const struct irq_chip_ops *ops, void *opaque)
{
	memset(irqs, 0, sizeof(*irqs));
	irqs->ops = ops;
	irqs->opaque = opaque;
	pthread_mutex_init(&irqs->lock, NULL);
	return 0;
}

void irq_destroy(struct irqs *irqs)
{
	if (!irqs->ops)
		return;
	free(irqs->fixed);
	free(irqs->routes);
	pthread_mutex_destroy(&irqs->lock);
	memset(irqs, 0, sizeof(*irqs));
}

static void fill_msi_entry(const struct irqs *irqs, const struct msi_route *route,
			   struct kvm_irq_routing_entry *e)
{
	memset(e, 0, sizeof(*e));
	e->gsi = route->gsi;
	e->type = KVM_IRQ_ROUTING_MSI;
	e->u.msi.address_lo = (u32)route->addr;
	e->u.msi.address_hi = (u32)(route->addr >> 32);
	e->u.msi.data = route->data;
	if (irqs->msi_devid) {
		e->flags = KVM_MSI_VALID_DEVID;
		e->u.msi.devid = route->devid;
	}
}

/* KVM knows only whole tables: build it anew from the fixed entries and the live routes. */
static int install_routes(struct irqs *irqs)
{
	size_t max = (size_t)irqs->nr_fixed + irqs->nr_routes;
	struct kvm_irq_routing *table;
	u32 n = irqs->nr_fixed;
	int ret;

	if (!irqs->ops->set_routes)
		return 0;
	table = malloc(sizeof(*table) + max * sizeof(table->entries[0]));
	if (!table)
		return -ENOMEM;
	if (n)
		memcpy(table->entries, irqs->fixed, n * sizeof(table->entries[0]));
	for (u32 i = 0; i < irqs->nr_routes; i++)
		if (irqs->routes[i] && irqs->routes[i]->live)
			fill_msi_entry(irqs, irqs->routes[i], &table->entries[n++]);
	table->nr = n;
	table->flags = 0;
	ret = irqs->ops->set_routes(irqs->opaque, table);
	free(table);
	return ret;
}

int irq_set_fixed_routes(struct irqs *irqs, const struct kvm_irq_routing_entry *entries, u32 count,
			 u32 first_msi_gsi)
{
	int ret;

	pthread_mutex_lock(&irqs->lock);
	free(irqs->fixed);
	irqs->fixed = xcalloc(count ? count : 1, sizeof(*entries));
	memcpy(irqs->fixed, entries, count * sizeof(*entries));
	irqs->nr_fixed = count;
	irqs->first_msi_gsi = first_msi_gsi;
	ret = install_routes(irqs);
	pthread_mutex_unlock(&irqs->lock);
	return ret;
}

int irq_update_fixed_route(struct irqs *irqs, const struct kvm_irq_routing_entry *entry)
{
	int ret = -ENOENT;

	pthread_mutex_lock(&irqs->lock);
	for (u32 i = 0; i < irqs->nr_fixed; i++) {
		if (irqs->fixed[i].gsi != entry->gsi)
			continue;
		irqs->fixed[i] = *entry;
		ret = install_routes(irqs);
		break;
	}
	pthread_mutex_unlock(&irqs->lock);
	return ret;
}

/* Lines */

int irq_line_init(struct irq_line *line, struct irqs *irqs, u32 gsi, bool edge)
{
	int ret;

	memset(line, 0, sizeof(*line));
	line->irqs = irqs;
	line->gsi = gsi;
	line->edge = edge;
	line->fd = -1;
	if (!edge || !irqs->ops->bind_irqfd)
		return 0;
	line->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (line->fd < 0)
		return -errno;
	ret = irqs->ops->bind_irqfd(irqs->opaque, line->fd, gsi, true);
	if (!ret)
		return 0;
	close(line->fd);
	line->fd = -1;
	return ret == -ENOTSUP ? 0 : ret;
}

void irq_line_destroy(struct irq_line *line)
{
	if (!line->irqs)
		return;
	if (line->fd >= 0) {
		line->irqs->ops->bind_irqfd(line->irqs->opaque, line->fd, line->gsi, false);
		close(line->fd);
	}
	line->fd = -1;
	line->irqs = NULL;
}

void irq_line_set(struct irq_line *line, bool level)
{
	if (atomic_exchange(&line->level, level) != level)
		line->irqs->ops->set_level(line->irqs->opaque, line->gsi, level);
}

void irq_line_pulse(struct irq_line *line)
{
	if (line->fd >= 0) {
		eventfd_raise(line->fd);
		return;
	}
	line->irqs->ops->set_level(line->irqs->opaque, line->gsi, true);
	line->irqs->ops->set_level(line->irqs->opaque, line->gsi, false);
}

/* Messages */

static int take_gsi(struct irqs *irqs, struct msi_route *route)
{
	struct msi_route **grown;
	u32 i;

	for (i = 0; i < irqs->nr_routes; i++)
		if (!irqs->routes[i])
			break;
	if (i == irqs->nr_routes) {
		u32 n = irqs->nr_routes ? irqs->nr_routes * 2 : 16;

		if (irqs->first_msi_gsi + n > IRQ_MAX_ROUTES)
			return -ENOSPC;
		grown = realloc(irqs->routes, n * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		memset(grown + irqs->nr_routes, 0, (n - irqs->nr_routes) * sizeof(*grown));
		irqs->routes = grown;
		irqs->nr_routes = n;
	}
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
	route->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (route->fd < 0) {
		ret = -errno;
		goto fail;
	}
	pthread_mutex_lock(&irqs->lock);
	ret = take_gsi(irqs, route);
	pthread_mutex_unlock(&irqs->lock);
	if (ret)
		goto fail_close;
	*out = route;
	return 0;
fail_close:
	close(route->fd);
fail:
	free(route);
	return ret;
}

int msi_route_update(struct msi_route *route, u64 addr, u32 data)
{
	struct irqs *irqs = route->irqs;
	bool was_live;
	int ret = 0;

	pthread_mutex_lock(&irqs->lock);
	was_live = route->live;
	if (was_live && route->addr == addr && route->data == data)
		goto out;
	route->addr = addr;
	route->data = data;
	route->live = true;
	ret = install_routes(irqs);
	if (ret) {
		/* KVM kept the old table; leave this route out of the next one. */
		route->live = false;
		if (was_live)
			install_routes(irqs);
		goto out;
	}
	if (!route->bound && irqs->ops->bind_irqfd) {
		ret = irqs->ops->bind_irqfd(irqs->opaque, route->fd, route->gsi, true);
		route->bound = !ret;
		if (ret == -ENOTSUP)
			ret = 0;
	}
out:
	pthread_mutex_unlock(&irqs->lock);
	return ret;
}

void msi_route_free(struct msi_route *route)
{
	struct irqs *irqs;

	if (!route)
		return;
	irqs = route->irqs;
	pthread_mutex_lock(&irqs->lock);
	if (route->bound)
		irqs->ops->bind_irqfd(irqs->opaque, route->fd, route->gsi, false);
	irqs->routes[route->gsi - irqs->first_msi_gsi] = NULL;
	pthread_mutex_unlock(&irqs->lock);
	close(route->fd);
	free(route);
}

void msi_route_trigger(struct msi_route *route)
{
	struct irqs *irqs = route->irqs;

	if (route->bound)
		eventfd_raise(route->fd);
	else if (route->live && irqs->ops->send_msi)
		irqs->ops->send_msi(irqs->opaque, route->addr, route->data, route->devid);
}
