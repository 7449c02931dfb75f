/* SPDX-License-Identifier: MIT */
/*
 * Interrupts are descriptors.
 *
 * Who raises an interrupt writes to an eventfd, be it a device here, a vhost worker, a vhost-user
 * process or VFIO; who delivers it is KVM, to which the eventfd is bound (an irqfd). A message
 * (MSI) or an edge line has its eventfd from its creation on, whatever the guest does with masks
 * and resets, so the writer is told once and never again. Four cases:
 *
 *   - open:   the fd is bound, and a write reaches the vcpu without passing through this process;
 *   - masked: the fd is not bound. Writes stay in its counter, which is the pending bit: looking
 *             at the bit reads the counter, and opening binds the fd again, when KVM delivers what
 *             the counter holds. Unbinding takes the fd from KVM's queue and empties the counter in
 *             one step, so in neither direction is a write lost or seen twice;
 *   - open, but KVM does not take the fd: the main loop watches it, if anybody else writes to it,
 *             and sends the message by a call (KVM_SIGNAL_MSI, KVM_IRQ_LINE);
 *   - no fd is left: interrupts of devices here go by the same call.
 *
 * Level lines are driven by calls. One that is raised from outside has a second fd (resample): KVM
 * writes it when the guest ends the interrupt, so that the other side looks whether there is more.
 *
 * What a GSI means is KVM's routing table: the architecture's pins first, then one GSI for each
 * message, taken when its device is made. KVM knows only whole tables, and replacing one costs up
 * to milliseconds: msi.c stages changes and installs them together. A table that KVM refuses
 * changes nothing there.
 */
#include "lkvm/irq.h"

#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/trace.h"
#include "lkvm/util.h"

int irq_init(struct irqs *irqs, const struct irq_chip_ops *ops, void *opaque)
{
	memset(irqs, 0, sizeof(*irqs));
	irqs->ops = ops;
	irqs->opaque = opaque;
	irqs->max_routes = IRQ_MAX_ROUTES;
	pthread_mutex_init(&irqs->lock, NULL);
	return 0;
}

void irq_set_loop(struct irqs *irqs, struct event_loop *loop)
{
	irqs->loop = loop;
}

void irq_destroy(struct irqs *irqs)
{
	if (!irqs->ops)
		return;
	free(irqs->fixed);
	free(irqs->routes);
	free(irqs->table);
	pthread_mutex_destroy(&irqs->lock);
	memset(irqs, 0, sizeof(*irqs));
}

int irq_new_fd(struct irqs *irqs)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd >= 0)
		return fd;
	fd = -errno;
	if (!irqs->fds_ran_out)
		warn("interrupts: cannot create an eventfd for each: %s; some are delivered more "
		     "slowly%s",
		     strerror(-fd), fd == -EMFILE ? "; raise 'ulimit -n'" : "");
	irqs->fds_ran_out = true;
	return fd;
}

/* The routing table */

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

int irq_install_routes(struct irqs *irqs)
{
	struct kvm_irq_routing *table = irqs->table;
	u32 n = irqs->nr_fixed;

	if (!irqs->ops->set_routes)
		return 0;
	if (n)
		memcpy(table->entries, irqs->fixed, n * sizeof(table->entries[0]));
	for (u32 i = 0; i < irqs->nr_routes; i++)
		if (irqs->routes[i] && irqs->routes[i]->live)
			fill_msi_entry(irqs, irqs->routes[i], &table->entries[n++]);
	table->nr = n;
	table->flags = 0;
	return irqs->ops->set_routes(irqs->opaque, table);
}

static int reserve_table(struct irqs *irqs, u32 entries)
{
	struct kvm_irq_routing *table =
		realloc(irqs->table, sizeof(*table) + entries * sizeof(table->entries[0]));

	if (!table)
		return -ENOMEM;
	irqs->table = table;
	return 0;
}

u32 irq_room_for_routes(const struct irqs *irqs)
{
	u32 taken = MAX(irqs->first_msi_gsi, irqs->nr_fixed);

	return irqs->max_routes > taken ? irqs->max_routes - taken : 0;
}

int irq_reserve_routes(struct irqs *irqs, u32 nr_routes)
{
	u32 n = irqs->nr_routes ? irqs->nr_routes : 16;
	struct msi_route **grown;
	int ret;

	if (nr_routes <= irqs->nr_routes)
		return 0;
	if (nr_routes > irq_room_for_routes(irqs))
		return -ENOSPC;
	while (n < nr_routes)
		n *= 2;
	n = MIN(n, irq_room_for_routes(irqs));
	ret = reserve_table(irqs, irqs->nr_fixed + n);
	if (ret)
		return ret;
	grown = realloc(irqs->routes, n * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memset(grown + irqs->nr_routes, 0, (n - irqs->nr_routes) * sizeof(*grown));
	irqs->routes = grown;
	irqs->nr_routes = n;
	return 0;
}

static int take_fixed_routes(struct irqs *irqs, const struct kvm_irq_routing_entry *entries,
			     u32 count, u32 first_msi_gsi, bool install)
{
	int ret;

	pthread_mutex_lock(&irqs->lock);
	if (irqs->ops->max_routes)
		irqs->max_routes = MIN(irqs->ops->max_routes(irqs->opaque), IRQ_MAX_ROUTES);
	free(irqs->fixed);
	irqs->fixed = xcalloc(count ? 2 * (size_t)count : 1, sizeof(*entries));
	memcpy(irqs->fixed, entries, count * sizeof(*entries));
	irqs->nr_fixed = count;
	irqs->first_msi_gsi = first_msi_gsi;
	ret = reserve_table(irqs, count + irqs->nr_routes);
	if (!ret && install)
		ret = irq_install_routes(irqs);
	pthread_mutex_unlock(&irqs->lock);
	return ret;
}

int irq_set_fixed_routes(struct irqs *irqs, const struct kvm_irq_routing_entry *entries, u32 count,
			 u32 first_msi_gsi)
{
	return take_fixed_routes(irqs, entries, count, first_msi_gsi, true);
}

int irq_adopt_fixed_routes(struct irqs *irqs, const struct kvm_irq_routing_entry *entries,
			   u32 count, u32 first_msi_gsi)
{
	return take_fixed_routes(irqs, entries, count, first_msi_gsi, false);
}

static struct kvm_irq_routing_entry *find_fixed(struct irqs *irqs, u32 gsi)
{
	for (u32 i = 0; i < irqs->nr_fixed; i++)
		if (irqs->fixed[i].gsi == gsi)
			return &irqs->fixed[i];
	return NULL;
}

int irq_update_fixed_routes(struct irqs *irqs, const struct kvm_irq_routing_entry *entries,
			    u32 count)
{
	struct kvm_irq_routing_entry *old;
	size_t size;
	int ret = 0;

	pthread_mutex_lock(&irqs->lock);
	for (u32 i = 0; i < count && !ret; i++)
		ret = find_fixed(irqs, entries[i].gsi) ? 0 : -ENOENT;
	if (ret)
		goto out;
	old = irqs->fixed + irqs->nr_fixed;
	size = irqs->nr_fixed * sizeof(*old);
	memcpy(old, irqs->fixed, size);
	for (u32 i = 0; i < count; i++)
		*find_fixed(irqs, entries[i].gsi) = entries[i];
	ret = irq_install_routes(irqs);
	/* What the chip refused must not stand in the tables to come. */
	if (ret)
		memcpy(irqs->fixed, old, size);
out:
	pthread_mutex_unlock(&irqs->lock);
	return ret;
}

/* Lines */

static void drop_fd(struct irq_line *line, int error)
{
	close(line->fd);
	line->fd = error;
}

int irq_line_init(struct irq_line *line, struct irqs *irqs, u32 gsi, bool edge)
{
	int ret;

	memset(line, 0, sizeof(*line));
	line->irqs = irqs;
	line->gsi = gsi;
	line->edge = edge;
	line->fd = -ENOTSUP;
	if (!edge || !irqs->ops->bind_irqfd || gsi < irqs->ops->first_irqfd_gsi)
		return 0;
	line->fd = irq_new_fd(irqs);
	if (line->fd < 0)
		return 0;
	ret = irqs->ops->bind_irqfd(irqs->opaque, line->fd, gsi, true);
	line->bound = !ret;
	if (ret)
		drop_fd(line, ret);
	return ret == -ENOTSUP ? 0 : ret;
}

void irq_line_destroy(struct irq_line *line)
{
	struct irqs *irqs = line->irqs;

	if (!irqs)
		return;
	event_del(&line->watch);
	if (line->bound && line->edge)
		irqs->ops->bind_irqfd(irqs->opaque, line->fd, line->gsi, false);
	else if (line->bound)
		irqs->ops->bind_resample(irqs->opaque, line->fd, line->resample_fd, line->gsi,
					 false);
	if (line->fd >= 0)
		drop_fd(line, -EBADF);
	line->irqs = NULL;
}

void irq_line_set(struct irq_line *line, bool level)
{
	if (atomic_exchange(&line->level, level) == level)
		return;
	if (trace_wants(line->irqs->trace, TRACE_IRQ))
		trace_line(line->irqs->trace, "irq line %u %s", line->gsi, level ? "high" : "low");
	line->irqs->ops->set_level(line->irqs->opaque, line->gsi, level);
}

void irq_line_pulse(struct irq_line *line)
{
	if (trace_wants(line->irqs->trace, TRACE_IRQ))
		trace_line(line->irqs->trace, "irq line %u pulse", line->gsi);
	if (line->bound) {
		eventfd_raise(line->fd);
		return;
	}
	if (line->irqs->ops->pulse) {
		line->irqs->ops->pulse(line->irqs->opaque, line->gsi);
		return;
	}
	line->irqs->ops->set_level(line->irqs->opaque, line->gsi, true);
	line->irqs->ops->set_level(line->irqs->opaque, line->gsi, false);
}

int irq_line_set_resample(struct irq_line *line, int resample_fd)
{
	struct irqs *irqs = line->irqs;
	int ret;

	if (line->edge || line->bound)
		return -EINVAL;
	if (!irqs->ops->bind_resample)
		return -ENOTSUP;
	line->fd = irq_new_fd(irqs);
	if (line->fd < 0)
		return line->fd;
	ret = irqs->ops->bind_resample(irqs->opaque, line->fd, resample_fd, line->gsi, true);
	line->bound = !ret;
	line->resample_fd = resample_fd;
	if (ret)
		drop_fd(line, ret);
	return ret;
}

/* The main loop: what was written to the fd of a line that KVM does not raise by itself. */
static void on_line_written(void *opaque, u32 events)
{
	struct irq_line *line = opaque;

	eventfd_drain(line->fd);
	irq_line_pulse(line);
}

int irq_line_fd(struct irq_line *line)
{
	int ret;

	if (line->fd >= 0 || !line->edge || line->fd != -ENOTSUP || !line->irqs->loop)
		return line->fd;
	/* The chip takes no fd for this line: the loop does. */
	line->fd = irq_new_fd(line->irqs);
	if (line->fd < 0)
		return line->fd;
	line->watch = (struct event){
		.fd = line->fd,
		.events = EPOLLIN,
		.fn = on_line_written,
		.opaque = line,
	};
	ret = event_add(line->irqs->loop, &line->watch);
	if (ret)
		drop_fd(line, ret);
	return line->fd;
}
