/* SPDX-License-Identifier: MIT */
/*
 * virtio-console (VIRTIO 1.3, 5.3): one port. Output is written on a thread of its own and without
 * the device's lock, since the reader of the console may be slow; input comes in on the main loop.
 */
#include <linux/virtio_console.h>
#include <stdlib.h>

#include "lkvm/console.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"

enum { RX, TX, NR_QUEUES };

#define QUEUE_SIZE 64
#define CONFIG_LEN sizeof(struct virtio_console_config)
/* Output is copied out of the guest in pieces of this size. */
#define PIECE 4096u
/* Chains before the loop looks whether it was asked to stop. */
#define BATCH 16

struct virtio_con {
	struct virtio_device vdev;
	struct console *con;
	struct console_client client;
	struct virtio_console_config cfg; /* little-endian */

	/* The input buffer that waits for a key. */
	struct virtq_chain rx;
	bool has_rx;

	/* Output: the chain being written, by the post alone; epoch tells it of a reset. */
	struct event_post tx_post;
	struct virtq_chain tx;
	u32 epoch;
	u8 piece[PIECE];
};

static struct virtio_con *to_con(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_con, vdev);
}

/* Output: runs on the device's thread without its lock. */

/* Copy up to PIECE bytes of the current chain, @done bytes in; 0 at its end or after a reset. */
static size_t tx_copy(struct virtio_con *vc, u32 epoch, size_t done)
{
	size_t n = 0;

	virtio_lock(&vc->vdev);
	if (vc->epoch == epoch)
		n = iov_to_buf(virtq_out(&vc->tx), vc->tx.nr_out, done, vc->piece, PIECE);
	virtio_unlock(&vc->vdev);
	return n;
}

/* Is there a chain to write? If not, we are told of the next. */
static bool tx_next(struct virtio_con *vc, u32 *epoch)
{
	struct virtqueue *vq = &vc->vdev.queues[TX].vq;
	bool got = false;

	virtio_lock(&vc->vdev);
	*epoch = vc->epoch;
	if (virtio_live(&vc->vdev)) {
		virtq_disable_notify(vq);
		got = virtio_pop(&vc->vdev, TX, &vc->tx) == 1;
		if (!got && virtio_live(&vc->vdev) && virtq_enable_notify(vq))
			virtio_kick(&vc->vdev, TX);
	}
	virtio_unlock(&vc->vdev);
	return got;
}

static void tx_done(struct virtio_con *vc, u32 epoch)
{
	virtio_lock(&vc->vdev);
	if (vc->epoch == epoch) {
		virtio_push(&vc->vdev, TX, vc->tx.head, 0);
		virtio_signal(&vc->vdev, TX);
	}
	virtio_unlock(&vc->vdev);
}

static void tx_run(void *opaque)
{
	struct virtio_con *vc = opaque;
	u32 epoch;

	for (unsigned int i = 0; i < BATCH; i++) {
		size_t done = 0, n;

		if (!tx_next(vc, &epoch))
			return;
		while ((n = tx_copy(vc, epoch, done))) {
			vc->con->ops->write(vc->con, vc->piece, n);
			done += n;
		}
		tx_done(vc, epoch);
	}
	virtio_kick(&vc->vdev, TX);
}

/* Input: runs on the main loop, takes the lock itself. */

static size_t con_room(void *opaque)
{
	struct virtio_con *vc = opaque;
	struct virtio_device *vdev = &vc->vdev;
	size_t room = 0;

	virtio_lock(vdev);
	/* Buffers without room go back at once; there are at most as many as the ring holds. */
	for (unsigned int i = 0; i < QUEUE_SIZE && !vc->has_rx && virtio_live(vdev); i++) {
		virtq_disable_notify(&vdev->queues[RX].vq);
		if (virtio_pop(vdev, RX, &vc->rx) != 1) {
			if (virtio_live(vdev) && virtq_enable_notify(&vdev->queues[RX].vq))
				continue;
			break;
		}
		if (vc->rx.in_len)
			vc->has_rx = true;
		else
			virtio_push(vdev, RX, vc->rx.head, 0);
	}
	if (vc->has_rx && virtio_live(vdev))
		room = vc->rx.in_len;
	virtio_unlock(vdev);
	return room;
}

static void con_input(void *opaque, const u8 *buf, size_t len)
{
	struct virtio_con *vc = opaque;

	virtio_lock(&vc->vdev);
	if (vc->has_rx && len) {
		size_t n = iov_from_buf(virtq_in(&vc->rx), vc->rx.nr_in, 0, buf, len);

		vc->has_rx = false;
		virtio_push(&vc->vdev, RX, vc->rx.head, (u32)n);
		virtio_signal(&vc->vdev, RX);
	}
	virtio_unlock(&vc->vdev);
}

static void con_resized(void *opaque, u16 cols, u16 rows)
{
	struct virtio_con *vc = opaque;

	virtio_lock(&vc->vdev);
	if (le16_to_cpu(vc->cfg.cols) != cols || le16_to_cpu(vc->cfg.rows) != rows) {
		vc->cfg.cols = cpu_to_le16(cols);
		vc->cfg.rows = cpu_to_le16(rows);
		virtio_config_changed(&vc->vdev);
	}
	virtio_unlock(&vc->vdev);
}

/* The device */

static void con_notify(struct virtio_device *vdev, u16 q)
{
	struct virtio_con *vc = to_con(vdev);

	if (q == TX)
		event_loop_post(vdev->loop, &vc->tx_post);
	else
		vc->con->ops->input_ready(vc->con);
}

static void con_config_read(struct virtio_device *vdev, u32 offset, void *buf, u32 len)
{
	memcpy(buf, (u8 *)&to_con(vdev)->cfg + offset, len);
}

static void con_reset(struct virtio_device *vdev)
{
	struct virtio_con *vc = to_con(vdev);

	vc->has_rx = false;
	vc->epoch++;
}

static void con_destroy(struct virtio_device *vdev)
{
	struct virtio_con *vc = to_con(vdev);

	vc->con->ops->set_client(vc->con, NULL);
	free(vc);
}

static const struct virtio_ops con_ops = {
	.id = VIRTIO_ID_CONSOLE,
	.pci_class = 0x0780, /* communication controller, other */
	.config_len = CONFIG_LEN,
	.config_read = con_config_read,
	.notify = con_notify,
	.reset = con_reset,
	.destroy = con_destroy,
};

int virtio_console_new(struct vm *vm, struct console *con, struct virtio_device **out)
{
	struct virtio_con *vc = xcalloc(1, sizeof(*vc));
	int ret;

	vc->con = con;
	vc->client = (struct console_client){
		.room = con_room,
		.input = con_input,
		.resized = con_resized,
		.opaque = vc,
	};
	vc->tx_post.fn = tx_run;
	vc->tx_post.opaque = vc;
	ret = virtio_init(&vc->vdev, vm, &con_ops, "virtio-console", 0,
			  BIT_ULL(VIRTIO_CONSOLE_F_SIZE), NR_QUEUES, QUEUE_SIZE, NULL);
	if (ret) {
		free(vc);
		return ret;
	}
	con->ops->set_client(con, &vc->client);
	*out = &vc->vdev;
	return 0;
}

int virtio_console_create(struct vm *vm, struct console *con)
{
	struct virtio_device *vdev;
	int ret;

	ret = virtio_console_new(vm, con, &vdev);
	if (ret)
		return ret;
	ret = virtio_attach(vdev);
	if (ret) {
		con->ops->set_client(con, NULL);
		virtio_fini(vdev);
		free(to_con(vdev));
	}
	return ret;
}
