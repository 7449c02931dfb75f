/* SPDX-License-Identifier: MIT */
/*
 * virtio-console (VIRTIO 1.3, 5.3): one port. Both queues are served by the main loop, where input
 * comes in. Output is copied out of the guest there, piece by piece, and written by a thread that
 * knows nothing but the copy: a reader that takes its time keeps neither the loop nor a reset of
 * the device waiting.
 */
#include <linux/virtio_console.h>
#include <stdlib.h>

#include "lkvm/console.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
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

	/* The piece is the main loop's while @writing is false, else the writer's. */
	struct event_loop *main;
	struct event_loop writer; /* named as the device, so it ends before that does */
	bool has_writer;
	struct event_post write_post, written_post;
	bool writing;
	size_t piece_len;
	u8 piece[PIECE];
};

static struct virtio_con *to_con(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_con, vdev);
}

/* Output */

static void write_piece(void *opaque)
{
	struct virtio_con *vc = opaque;

	vc->con->ops->write(vc->con, vc->piece, vc->piece_len);
	event_loop_post(vc->main, &vc->written_post);
}

/* Gather what fits into a piece; a chain goes back as soon as all of it is copied. */
static bool tx_run(struct virtio_con *vc)
{
	struct virtio_device *vdev = &vc->vdev;
	u64 *done = &vdev->queues[TX].consumed;
	bool empty = false;
	size_t len = 0;

	while (!vc->writing && len < PIECE) {
		size_t n;

		if (!vc->has_tx) {
			vc->has_tx = virtio_pop(vdev, TX, &vc->tx, vc->tx_iov,
						ARRAY_SIZE(vc->tx_iov)) == 1;
			empty = !vc->has_tx;
			if (empty)
				break;
		}
		n = iov_to_buf(virtq_out(&vc->tx), vc->tx.nr_out, *done, vc->piece + len,
			       PIECE - len);
		len += n;
		*done += n;
		if (*done < vc->tx.out_len)
			break;
		vc->has_tx = false;
		*done = 0;
		virtio_push(vdev, TX, &vc->tx, 0);
	}
	if (len) {
		vc->writing = true;
		vc->piece_len = len;
		event_loop_post(&vc->writer, &vc->write_post);
	}
	/* While a piece is being written nothing more is taken: that is how a guest is slowed. */
	return empty && !vc->writing;
}

static void written(void *opaque)
{
	struct virtio_con *vc = opaque;

	vc->writing = false;
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

static void nothing(void *opaque) {}

/* The guest's last words, as below. */
static void con_finish(struct virtio_device *vdev)
{
	struct virtio_con *vc = to_con(vdev);

	if (vc->writing)
		event_call_sync(&vc->writer, nothing, NULL);
}

static void con_detach(struct virtio_device *vdev)
{
	struct virtio_con *vc = to_con(vdev);

	if (!vc->has_writer)
		return;
	vc->con->ops->set_client(vc->con, NULL);
	/* The guest's last words. */
	event_call_sync(&vc->writer, nothing, NULL);
	event_loop_destroy(&vc->writer);
	event_loop_unpost(vc->main, &vc->written_post);
}

static void con_destroy(struct virtio_device *vdev)
{
	free(to_con(vdev));
}

static const struct virtio_ops con_ops = {
	.id = VIRTIO_ID_CONSOLE,
	.pci_class = 0x0780, /* communication controller, other */
	.config_len = CONFIG_LEN,
	.queue_run = con_run,
	.queue_stopped = con_stopped,
	.queue_held = con_held,
	.finish = con_finish,
	.detach = con_detach,
	.destroy = con_destroy,
};

static int start_writer(struct virtio_con *vc)
{
	int ret;

	ret = event_loop_init(&vc->writer, vc->vdev.name);
	if (ret)
		goto fail;
	ret = event_loop_start_thread(&vc->writer);
	vc->has_writer = !ret;
	if (!ret)
		return 0;
	event_loop_destroy(&vc->writer);
fail:
	err("%s: cannot start its output thread: %s%s", vc->vdev.name, strerror(-ret),
	    limit_hint(ret));
	return ret;
}

int virtio_console_new(struct vm *vm, struct console *con, struct virtio_device **out)
{
	struct virtio_con *vc = xcalloc(1, sizeof(*vc));
	int ret;

	vc->con = con;
	vc->main = &vm->loop;
	vc->client = (struct console_client){
		.room = con_room,
		.input = con_input,
		.resized = con_resized,
		.opaque = vc,
	};
	vc->write_post = (struct event_post){ .fn = write_piece, .opaque = vc };
	vc->written_post = (struct event_post){ .fn = written, .opaque = vc };
	ret = virtio_init(&vc->vdev, vm, &con_ops, "virtio-console", 0,
			  BIT_ULL(VIRTIO_CONSOLE_F_SIZE), NR_QUEUES, QUEUE_SIZE, &vm->loop);
	if (ret)
		goto fail;
	ret = start_writer(vc);
	if (ret)
		goto fail_init;
	con->ops->set_client(con, &vc->client);
	*out = &vc->vdev;
	return 0;
fail_init:
	virtio_fini(&vc->vdev);
fail:
	free(vc);
	return ret;
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
