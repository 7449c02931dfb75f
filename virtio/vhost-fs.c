/* SPDX-License-Identifier: MIT */
/* virtio-fs (VIRTIO 1.3, 5.11) that a vhost-user back end (virtiofsd) serves: a queue for what
 * cannot wait and one for requests. */
#include <linux/fuse.h>
#include <linux/virtio_fs.h>

#include "lkvm/util.h"
#include "vhost.h"

/* Linux's driver makes requests of up to so many pages. */
#define QUEUE_SIZE 1024
#define NR_QUEUES  2

static const struct virtio_ops vhost_fs_ops = {
	.id = VIRTIO_ID_FS,
	.pci_class = 0x0180, /* mass storage, other */
	.config_len = sizeof(struct virtio_fs_config),
	VHOST_DEVICE_OPS,
};

/* The daemon is gone. Drivers of FUSE know that as ENOTCONN. What has no room for a reply (FORGET)
 * waits for none. */
static bool answer(struct virtio_device *vdev, u16 q, const struct virtq_request *req)
{
	struct fuse_in_header in = { 0 };
	struct fuse_out_header out = { .len = sizeof(out), .error = -ENOTCONN };
	u32 len = sizeof(out);

	iov_to_buf(virtq_out(req), req->nr_out, 0, &in, sizeof(in));
	out.unique = in.unique;
	if (req->in_len < sizeof(out))
		len = 0;
	else
		iov_from_buf(virtq_in(req), req->nr_in, 0, &out, sizeof(out));
	virtio_push(vdev, q, req, len);
	return true;
}

int virtio_vhost_fs_new(struct vm *vm, struct vhost *vhost, const char *tag, u32 index,
			struct virtio_device **out)
{
	struct virtio_fs_config cfg = { .num_request_queues = cpu_to_le32(NR_QUEUES - 1) };
	struct vhost_device *d;
	int ret = vhost_device_new(vm, vhost, &vhost_fs_ops, "virtio-fs", index, 0, NR_QUEUES,
				   QUEUE_SIZE, &d);

	if (ret)
		return ret;
	/* 5.11.4: padded with zeroes, without one when it fills the field. */
	memcpy(cfg.tag, tag, MIN(strlen(tag), sizeof(cfg.tag)));
	d->rings.answer = answer;
	memcpy(d->vdev.config, &cfg, sizeof(cfg));
	*out = &d->vdev;
	return 0;
}

int virtio_vhost_fs_create(struct vm *vm, struct vhost *vhost, const char *tag, u32 index)
{
	struct virtio_device *vdev;
	int ret = virtio_vhost_fs_new(vm, vhost, tag, index, &vdev);

	return ret ? ret : virtio_attach_or_destroy(vdev);
}
