/* SPDX-License-Identifier: MIT */
/* A disk of a vhost-user back end that is the peer of vhost_peer.h. */
#ifndef LKVM_TESTS_VHOST_RIG_H
#define LKVM_TESTS_VHOST_RIG_H

#include <fcntl.h>

#include "capture.h"
#include "lkvm/util.h"
#include "lkvm/vhost.h"
#include "vhost_peer.h"
#include "virtio_rig.h"

#define FEATURES                                                                   \
	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(30) | BIT_ULL(VIRTIO_BLK_F_FLUSH) | \
	 BIT_ULL(VIRTIO_BLK_F_MQ) | BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE) |             \
	 BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | BIT_ULL(34) | BIT_ULL(35) | BIT_ULL(38))
#define ACCEPTED BIT_ULL(VIRTIO_BLK_F_FLUSH)

static struct rig rig;
static struct peer peer;
static struct vhost *vhost;

/* The rig, with memory that can be shared. */
static inline void start_rig(void)
{
	struct memory_desc desc = {
		.gpa = RIG_BASE, .size = RIG_SIZE, .backing = MEM_MEMFD, .name = "ram"
	};
	u8 *old;

	rig_init(&rig);
	old = rig.ram;
	memory_destroy(&rig.vm.mem);
	munmap(old, RIG_SIZE);
	memory_init(&rig.vm.mem);
	assert_int_equal(memory_add(&rig.vm.mem, &desc), 0);
	rig.ram = memory_find(&rig.vm.mem, RIG_BASE)->hva;
}

static inline int open_peer(enum peer_sin sin, unsigned int at)
{
	peer_start(&peer, FEATURES, sin, at);
	/* As unix_connect makes it. */
	fcntl(peer.other, F_SETFL, O_NONBLOCK);
	return vhost_user_open(NULL, peer.other, "--disk x", &vhost);
}

static inline int open_device(enum peer_sin sin, unsigned int at)
{
	struct virtio_device *vdev;
	int ret = open_peer(sin, at);

	if (ret)
		return ret;
	ret = virtio_vhost_blk_new(&rig.vm, vhost, false, 2, 0, &vdev);
	if (ret)
		vhost->ops->close(vhost);
	else
		rig_start(&rig, vdev, ACCEPTED);
	return ret;
}

/* Memory goes last: a peer that was cut off may still be busy with the ring that it was given. */
static inline void stop(void)
{
	rig_stop_device(&rig);
	vhost->ops->close(vhost);
	peer_join(&peer);
	rig_free(&rig);
}

/* Nobody is told. */
static inline u16 offer(u16 q)
{
	u8 *status = rig_ptr(&rig, RIG_DATA + 64 * q);
	struct rig_buf bufs[] = { { .gpa = RIG_DATA + 0x1000, .len = 16 },
				  { .gpa = RIG_DATA + 64 * q, .len = 1, .in = true } };

	*status = 0xff;
	return rig_add(&rig, q, bufs, 2);
}

static inline u16 ask(u16 q)
{
	u16 head = offer(q);

	virtio_kick(rig.vdev, q);
	return head;
}

static inline int await_any(u16 q)
{
	u64 until = now_ns() + hang_seconds() * 1000000000ULL;
	int head;

	while ((head = rig_used(&rig, q, NULL)) < 0) {
		assert_true(now_ns() < until);
		sched_yield();
	}
	return head;
}

static inline void await_status(u16 q, u8 status)
{
	await_any(q);
	assert_int_equal(*(u8 *)rig_ptr(&rig, RIG_DATA + 64 * q), status);
}

static inline void await_reply(u16 q)
{
	await_status(q, 0);
}

static inline void await_interrupt(u16 q, unsigned int more_than)
{
	u64 until = now_ns() + hang_seconds() * 1000000000ULL;
	unsigned int n;

	do {
		assert_true(now_ns() < until);
		virtio_lock(rig.vdev);
		n = rig.queue_irqs[q];
		virtio_unlock(rig.vdev);
	} while (n <= more_than);
}

static inline unsigned int config_irqs(void)
{
	unsigned int n;

	virtio_lock(rig.vdev);
	n = rig.config_irqs;
	virtio_unlock(rig.vdev);
	return n;
}

#endif
