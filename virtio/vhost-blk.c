/* SPDX-License-Identifier: MIT */
/* virtio-blk (VIRTIO 1.3, 5.2) that a vhost-user back end serves: it knows the disk and says what
 * the configuration space holds. */
#include <linux/virtio_blk.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "vhost.h"

#define CONFIG_LEN (offsetof(struct virtio_blk_config, unused1) + 3)
/* What such a program is made for: its limits on segments are below this. */
#define QUEUE_SIZE 128
#define FEATURES                                                          \
	(BIT_ULL(VIRTIO_BLK_F_SIZE_MAX) | BIT_ULL(VIRTIO_BLK_F_SEG_MAX) | \
	 BIT_ULL(VIRTIO_BLK_F_GEOMETRY) | BIT_ULL(VIRTIO_BLK_F_RO) |      \
	 BIT_ULL(VIRTIO_BLK_F_BLK_SIZE) | BIT_ULL(VIRTIO_BLK_F_FLUSH) |   \
	 BIT_ULL(VIRTIO_BLK_F_TOPOLOGY) | BIT_ULL(VIRTIO_BLK_F_DISCARD) | \
	 BIT_ULL(VIRTIO_BLK_F_WRITE_ZEROES) | BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE))

#define WCE offsetof(struct virtio_blk_config, wce)

static struct vhost_device *to_vhost(struct virtio_device *vdev)
{
	return container_of(vdev, struct vhost_device, vdev);
}

/* The write cache's switch (5.2.5) */

static void hand_wce_on(void *opaque)
{
	struct vhost_device *d = opaque;
	struct vhost *vhost = d->rings.vhost;
	u8 wce = virtio_config_byte(&d->vdev, WCE);

	if (vhost->gone || !vhost->ops->set_config(vhost, WCE, &wce, 1))
		return;
	debug("%s: its back end does not switch its write cache", d->vdev.name);
}

static void config_written(struct virtio_device *vdev, u32 offset, u32 len)
{
	if (!virtio_has(vdev, VIRTIO_BLK_F_CONFIG_WCE) || !range_within(WCE, 1, offset, len))
		return;
	event_loop_post(vdev->queues[0].loop, &to_vhost(vdev)->rings.own_post);
}

static void reset(struct virtio_device *vdev)
{
	struct vhost_device *d = to_vhost(vdev);

	if (vdev->config[WCE] == d->first_wce || !virtio_has(vdev, VIRTIO_BLK_F_CONFIG_WCE))
		return;
	vdev->config[WCE] = d->first_wce;
	event_loop_post(vdev->queues[0].loop, &d->rings.own_post);
}

/* Its size, that is: the rest does not change. */
static void config_changed(struct virtio_device *vdev)
{
	struct vhost *vhost = to_vhost(vdev)->rings.vhost;
	struct virtio_blk_config cfg;

	if (vhost->ops->get_config(vhost, &cfg, CONFIG_LEN))
		return;
	info("%s: %s: the disk has %llu sectors now", vdev->name, vhost->what,
	     (unsigned long long)le64_to_cpu(cfg.capacity));
	virtio_config_set(vdev, 0, &cfg.capacity, sizeof(cfg.capacity));
}

static const u8 config_mask[CONFIG_LEN] = { [WCE] = 1 };

static const struct virtio_ops vhost_blk_ops = {
	.id = VIRTIO_ID_BLOCK,
	.pci_class = 0x0180, /* mass storage, other */
	.config_len = CONFIG_LEN,
	.config_mask = config_mask,
	.config_written = config_written,
	.reset = reset,
	VHOST_DEVICE_OPS,
};

/* The back end is gone: 5.2.6, the last byte that the driver gave is the status. */
static bool answer(struct virtio_device *vdev, u16 q, const struct virtq_request *req)
{
	const struct iovec *last = virtq_in(req) + req->nr_in - 1;

	if (req->nr_in)
		virtio_push_status(vdev, q, req, 1, (u8 *)last->iov_base + last->iov_len - 1,
				   VIRTIO_BLK_S_IOERR);
	else
		virtio_push(vdev, q, req, 0);
	return true;
}

static int check(const struct vhost *vhost, bool readonly, u16 queues)
{
	if (readonly && !(vhost->features & BIT_ULL(VIRTIO_BLK_F_RO))) {
		err("%s: ro: the back end lets its disk be written; make it read-only there",
		    vhost->what);
		return -EINVAL;
	}
	if (queues > 1 && !(vhost->features & BIT_ULL(VIRTIO_BLK_F_MQ)))
		queues = 0;
	if (!queues || queues > vhost->max_queues) {
		err("%s: queues=: the back end has %u; decrease it, or start the back end with "
		    "more",
		    vhost->what,
		    vhost->features & BIT_ULL(VIRTIO_BLK_F_MQ) ? vhost->max_queues : 1);
		return -EINVAL;
	}
	return 0;
}

int virtio_vhost_blk_new(struct vm *vm, struct vhost *vhost, bool readonly, u16 queues, u32 index,
			 struct virtio_device **out)
{
	u64 features = FEATURES | (queues > 1 ? BIT_ULL(VIRTIO_BLK_F_MQ) : 0);
	struct virtio_blk_config cfg;
	struct vhost_device *d;
	int ret = check(vhost, readonly, queues ? queues : 1);

	if (ret)
		return ret;
	queues = queues ? queues : 1;
	ret = vhost->ops->get_config(vhost, &cfg, CONFIG_LEN);
	if (ret == -ENOTSUP)
		err("%s: the back end does not tell what disk it has (no CONFIG)", vhost->what);
	if (ret)
		return ret;
	cfg.num_queues = cpu_to_le16(queues);
	if (!(vhost->features & BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE)))
		cfg.wce = 1;
	ret = vhost_device_new(vm, vhost, &vhost_blk_ops, "virtio-blk", index, features, queues,
			       QUEUE_SIZE, &d);
	if (ret)
		return ret;
	d->rings.answer = answer;
	d->rings.own_post = (struct event_post){ .fn = hand_wce_on, .opaque = d };
	d->first_wce = cfg.wce;
	memcpy(d->vdev.config, &cfg, CONFIG_LEN);
	vhost_rings_tell(&d->rings, config_changed);
	*out = &d->vdev;
	return 0;
}

int virtio_vhost_blk_create(struct vm *vm, struct vhost *vhost, bool readonly, u16 queues,
			    u32 index)
{
	struct virtio_device *vdev;
	int ret = virtio_vhost_blk_new(vm, vhost, readonly, queues, index, &vdev);

	return ret ? ret : virtio_attach_or_destroy(vdev);
}
