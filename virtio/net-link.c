/* SPDX-License-Identifier: MIT */
/* The link of a virtio-net card (VIRTIO 1.3, 5.1.4, status); see net-link.h. */
#include "net-link.h"

#include <linux/virtio_net.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"

void net_link_init(struct net_link *l, struct virtio_device *vdev, const char *name)
{
	l->vdev = vdev;
	l->name = name;
	pthread_mutex_init(&l->lock, NULL);
}

void net_link_destroy(struct net_link *l)
{
	pthread_mutex_destroy(&l->lock);
}

bool net_link_is_removed(int error)
{
	return error == EBADFD || error == ENODEV || error == EPIPE;
}

bool net_link_is_down(int error)
{
	return error == EIO || error == ENETDOWN;
}

/* Under the lock. */
static void tell_driver(struct net_link *l)
{
	const __le16 status =
		cpu_to_le16((u16)((l->down ? 0 : VIRTIO_NET_S_LINK_UP) |
				  (atomic_load(&l->announce) ? VIRTIO_NET_S_ANNOUNCE : 0)));
	const u32 at = offsetof(struct virtio_net_config, status);
	bool same;

	virtio_lock(l->vdev);
	same = !memcmp(l->vdev->config + at, &status, sizeof(status));
	virtio_unlock(l->vdev);
	if (!same)
		virtio_config_set(l->vdev, at, &status, sizeof(status));
}

void net_link_refresh(struct net_link *l)
{
	pthread_mutex_lock(&l->lock);
	tell_driver(l);
	pthread_mutex_unlock(&l->lock);
}

void net_link_begin(struct net_link *l, bool down)
{
	l->down = down ? NET_LINK_HOST : 0;
	net_link_refresh(l);
}

void net_link_announce(struct net_link *l, bool announce)
{
	pthread_mutex_lock(&l->lock);
	atomic_store(&l->announce, announce);
	tell_driver(l);
	pthread_mutex_unlock(&l->lock);
}

void net_link_set(struct net_link *l, u64 side, bool down)
{
	u64 before;

	pthread_mutex_lock(&l->lock);
	before = l->down;
	l->down = down ? before | side : before & ~side;
	tell_driver(l);
	if (!before && l->down && side != NET_LINK_GONE)
		guest_warn("%s: interface '%s' is down, and so is the guest's link", l->vdev->name,
			   l->name);
	if (before && !l->down)
		guest_warn("%s: interface '%s' is up again", l->vdev->name, l->name);
	pthread_mutex_unlock(&l->lock);
}

void net_link_set_gone(struct net_link *l, int error)
{
	if (atomic_exchange(&l->gone, true))
		return;
	warn("%s: interface '%s' was removed (%s); the guest's link is down", l->vdev->name,
	     l->name, strerror(error));
	net_link_set(l, NET_LINK_GONE, true);
}
