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
/* The write cache's switch would be a byte that is handed on: it stays as the back end has it, and
 * drivers flush. */
#define FEATURES                                                          \
	(BIT_ULL(VIRTIO_BLK_F_SIZE_MAX) | BIT_ULL(VIRTIO_BLK_F_SEG_MAX) | \
	 BIT_ULL(VIRTIO_BLK_F_GEOMETRY) | BIT_ULL(VIRTIO_BLK_F_RO) |      \
	 BIT_ULL(VIRTIO_BLK_F_BLK_SIZE) | BIT_ULL(VIRTIO_BLK_F_FLUSH) |   \
	 BIT_ULL(VIRTIO_BLK_F_TOPOLOGY) | BIT_ULL(VIRTIO_BLK_F_DISCARD) | \
	 BIT_ULL(VIRTIO_BLK_F_WRITE_ZEROES))

static const struct virtio_ops vhost_blk_ops = {
	.id = VIRTIO_ID_BLOCK,
	.pci_class = 0x0180, /* mass storage, other */
	.config_len = CONFIG_LEN,
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
	cfg.wce = 1;
	ret = vhost_device_new(vm, vhost, &vhost_blk_ops, "virtio-blk", index, features, queues,
			       QUEUE_SIZE, &d);
	if (ret)
		return ret;
	d->rings.answer = answer;
	memcpy(d->vdev.config, &cfg, CONFIG_LEN);
	*out = &d->vdev;
	return 0;
}

int virtio_vhost_blk_create(struct vm *vm, struct vhost *vhost, bool readonly, u16 queues,
			    u32 index)
{
	struct virtio_device *vdev;
	int ret = virtio_vhost_blk_new(vm, vhost, readonly, queues, index, &vdev);

	return ret ? ret : vhost_device_attach(vdev);
}
