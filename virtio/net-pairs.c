/* SPDX-License-Identifier: MIT */
/* What the queues of a virtio-net card share: watching the back end, the locks of the rules. */
#include <poll.h>

#include "net.h"

void net_watch_fd(struct virtio_net *net, struct event *ev, u32 events)
{
	if (atomic_load(&net->link.gone))
		event_del(ev);
	else if (ev->loop)
		event_mod(ev, events);
}

bool net_lost(struct virtio_net *net, struct event *ev, u16 pair, u32 events)
{
	struct pollfd p = { .fd = ev->fd };
	bool now;

	/* With this lock the pair stays in use, or out of it. */
	pthread_mutex_lock(&net->rx[pair].lock);
	now = poll(&p, 1, 0) > 0 && p.revents & (POLLERR | POLLHUP);
	if (now && pair >= atomic_load(&net->pairs)) {
		/* It has no packets, and says so as long as that is so: hear it once. */
		net_watch_fd(net, ev, EPOLLET);
		now = false;
	}
	pthread_mutex_unlock(&net->rx[pair].lock);
	if (!now)
		return false;
	net_link_set_gone(&net->link, ENODEV);
	event_del(ev);
	return true;
}

void net_take_back(struct virtio_net *net, u16 pair)
{
	vhost_rings_stopped(&net->rings, net->rx[pair].q);
	vhost_rings_stopped(&net->rings, net->tx[pair].q);
}

void net_read_news(struct virtio_net *net)
{
	int up = net->nb->ops->link ? net->nb->ops->link(net->nb) : -ENOTSUP;

	net_link_set(&net->link, NET_LINK_HOST, !up);
	/* Where we move no packets nothing else tells. */
	if (up < 0 && net->nb->vhost && net->rx[0].ev.loop)
		net_lost(net, &net->rx[0].ev, 0, 0);
}

void net_on_news(void *opaque, u32 events)
{
	struct virtio_net *net = opaque;

	/* A device that stands still tells its driver nothing; it looks when it goes on. */
	if (!virtio_queue_live(&net->vdev, net->rx[0].q)) {
		event_mod(&net->news, 0);
		return;
	}
	net_read_news(net);
}

void net_rules_lock(struct virtio_net *net)
{
	for (u16 i = 0; i < net->nr_pairs; i++)
		pthread_mutex_lock(&net->rx[i].lock);
}

void net_rules_unlock(struct virtio_net *net)
{
	for (u16 i = 0; i < net->nr_pairs; i++)
		pthread_mutex_unlock(&net->rx[i].lock);
}
