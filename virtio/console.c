/* SPDX-License-Identifier: MIT */
/*
 * virtio-console (VIRTIO 1.3, 5.3): one port. Both queues are served by the main loop, where input
 * comes in. Output is copied out of the guest there, piece by piece, and offered to the console,
 * which never waits: what a reader that takes its time leaves of a piece is offered again when
 * there is room, and until then no more is taken from the guest.
 */
#include <linux/virtio_console.h>
#include <stdlib.h>

#include "lkvm/console.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"
#include "lkvm/vm.h"

enum { RX, TX, NR_QUEUES };

#define QUEUE_SIZE 64
#define CONFIG_LEN sizeof(struct virtio_console_config)
#define PIECE	   16384u

struct virtio_con {
	struct virtio_device vdev;
	struct console *con;
	struct console_client client;

	/* The input buffer that waits for a key. */
	struct virtq_request rx;
	bool has_rx;
	bool asked; /* the console wants to know, so it need not be told */
	struct iovec rx_iov[VIRTQ_MAX_SEGS];

	/* The chain being written. Of it, or of the next one after it was given back,
	 * queues[TX].consumed bytes were copied. */
	struct virtq_request tx;
	bool has_tx;
	struct iovec tx_iov[VIRTQ_MAX_SEGS];

	struct event_post more; /* of the queue: another turn */
	/* From @piece_at on the console did not take it yet. */
	size_t piece_at, piece_len;
	u8 piece[PIECE];
};

static struct virtio_con *to_con(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_con, vdev);
}

/* Output */

/* True: all of the piece is on its way. */
static bool offer_piece(struct virtio_con *vc)
{
	if (vc->piece_at < vc->piece_len)
		vc->piece_at += console_offer(vc->con, vc->piece + vc->piece_at,
					      vc->piece_len - vc->piece_at);
	return vc->piece_at == vc->piece_len;
}

/* Gather what fits into a piece; a chain goes back as soon as all of it is copied. True: there is
 * no more. */
static bool gather(struct virtio_con *vc)
{
	struct virtio_device *vdev = &vc->vdev;
	u64 *done = &vdev->queues[TX].consumed;

	vc->piece_at = vc->piece_len = 0;
	while (vc->piece_len < PIECE) {
		size_t n;

		if (!vc->has_tx) {
			vc->has_tx = virtio_pop(vdev, TX, &vc->tx, vc->tx_iov,
						ARRAY_SIZE(vc->tx_iov)) == 1;
			if (!vc->has_tx)
				return true;
		}
		n = iov_to_buf(virtq_out(&vc->tx), vc->tx.nr_out, *done, vc->piece + vc->piece_len,
			       PIECE - vc->piece_len);
		vc->piece_len += n;
		*done += n;
		if (*done < vc->tx.out_len)
			break;
		vc->has_tx = false;
		*done = 0;
		virtio_push(vdev, TX, &vc->tx, 0);
	}
	return false;
}

/* One piece; the next has its turn after other events. */
static bool tx_run(struct virtio_con *vc)
{
	struct virtio_device *vdev = &vc->vdev;
	bool empty;

	/* While a piece waits nothing more is taken: that is how a guest is slowed. */
	if (!offer_piece(vc))
		return false;
	empty = gather(vc);
	if (offer_piece(vc) && !empty)
		event_loop_post(vdev->queues[TX].loop, &vc->more);
	return empty && vc->piece_at == vc->piece_len;
}

/* There is room for what waits, or a turn for what comes next. */
static void con_writable(void *opaque)
{
	struct virtio_con *vc = opaque;

	/* It is the console's, whatever became of the queue. */
	if (offer_piece(vc))
		virtio_serve(&vc->vdev, TX);
}

/* Input: on the main loop as well */

/* Buffers without room go back at once. */
static bool rx_run(struct virtio_con *vc)
{
	struct virtio_device *vdev = &vc->vdev;

	while (!vc->has_rx) {
		if (virtio_pop(vdev, RX, &vc->rx, vc->rx_iov, ARRAY_SIZE(vc->rx_iov)) != 1)
			return true;
		if (vc->rx.in_len)
			vc->has_rx = true;
		else
			virtio_push(vdev, RX, &vc->rx, 0);
	}
	return false;
}

static size_t con_room(void *opaque)
{
	struct virtio_con *vc = opaque;

	vc->asked = true;
	if (!vc->has_rx)
		virtio_serve(&vc->vdev, RX);
	vc->asked = false;
	/* A buffer that is held stays, but is not to be written to now. */
	return vc->has_rx && virtio_queue_live(&vc->vdev, RX) ? vc->rx.in_len : 0;
}

static void con_input(void *opaque, const u8 *buf, size_t len)
{
	struct virtio_con *vc = opaque;
	size_t n;

	if (!vc->has_rx || !len || !virtio_queue_live(&vc->vdev, RX))
		return;
	n = iov_from_buf(virtq_in(&vc->rx), vc->rx.nr_in, 0, buf, len);
	vc->has_rx = false;
	virtio_push(&vc->vdev, RX, &vc->rx, (u32)n);
	virtio_signal(&vc->vdev, RX);
}

static void con_resized(void *opaque, u16 cols, u16 rows)
{
	struct virtio_con *vc = opaque;
	struct virtio_console_config cfg = {
		.cols = cpu_to_le16(cols),
		.rows = cpu_to_le16(rows),
	};
	const u32 len = offsetof(struct virtio_console_config, max_nr_ports);
	bool same;

	virtio_lock(&vc->vdev);
	same = !memcmp(vc->vdev.config, &cfg, len);
	virtio_unlock(&vc->vdev);
	if (!same)
		virtio_config_set(&vc->vdev, 0, &cfg, len);
}

/* The device */

static bool con_run(struct virtio_device *vdev, u16 q)
{
	struct virtio_con *vc = to_con(vdev);
	bool empty;

	if (q == TX)
		return tx_run(vc);
	empty = rx_run(vc);
	if (vc->has_rx && !vc->asked)
		vc->con->ops->input_ready(vc->con);
	return empty;
}

static bool con_stopped(struct virtio_device *vdev, u16 q)
{
	struct virtio_con *vc = to_con(vdev);

	/* What was copied is still written; it is the console's. */
	if (q == TX) {
		vc->has_tx = false;
		vdev->queues[TX].consumed = 0;
	} else {
		vc->has_rx = false;
	}
	return true;
}

static bool con_held(struct virtio_device *vdev, u16 q)
{
	struct virtio_con *vc = to_con(vdev);

	if (q == RX && vc->has_rx) {
		virtio_unpop(vdev, RX, &vc->rx);
		vc->has_rx = false;
	}
	if (q == TX && vc->has_tx) {
		virtio_unpop(vdev, TX, &vc->tx);
		vc->has_tx = false;
	}
	return true;
}

/* What was copied is the guest's last words, whatever the reader takes for it. */
static void con_finish(struct virtio_device *vdev)
{
	struct virtio_con *vc = to_con(vdev);

	if (!offer_piece(vc))
		vc->con->ops->write(vc->con, vc->piece + vc->piece_at,
				    vc->piece_len - vc->piece_at);
	vc->piece_at = vc->piece_len = 0;
}

static void con_detach(struct virtio_device *vdev)
{
	struct virtio_con *vc = to_con(vdev);

	vc->con->ops->set_client(vc->con, NULL);
	if (vdev->nr_queues > TX)
		event_loop_unpost(vdev->queues[TX].loop, &vc->more);
	con_finish(vdev);
}

static void con_destroy(struct virtio_device *vdev)
{
	free(to_con(vdev));
}

static const struct virtio_ops con_ops = {
	.id = VIRTIO_ID_CONSOLE,
	.pci_class = 0x0780, /* communication controller, other */
	.in_order = true,
	.config_len = CONFIG_LEN,
	.queue_run = con_run,
	.queue_stopped = con_stopped,
	.queue_held = con_held,
	.finish = con_finish,
	.detach = con_detach,
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
		.writable = con_writable,
		.opaque = vc,
	};
	vc->more = (struct event_post){ .fn = con_writable, .opaque = vc };
	ret = virtio_init(&vc->vdev, vm, &con_ops, "virtio-console", 0,
			  BIT_ULL(VIRTIO_CONSOLE_F_SIZE), NR_QUEUES, QUEUE_SIZE, &vm->loop);
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
		virtio_fini(vdev);
		con_destroy(vdev);
	}
	return ret;
}
