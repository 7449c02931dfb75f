/* SPDX-License-Identifier: MIT */
/*
 * What flows through one port of virtio-console. Output is copied out of the guest, piece by piece,
 * and offered to the console, which never waits: what a reader that takes its time leaves of a
 * piece is offered again when there is room, and until then no more is taken from the guest.
 */
#include "console.h"
#include "lkvm/util.h"

/* Output */

/* True: all of the piece is on its way. */
static bool offer_piece(struct con_port *port)
{
	if (port->piece_at < port->piece_len)
		port->piece_at += console_offer(port->con, port->piece + port->piece_at,
						port->piece_len - port->piece_at);
	return port->piece_at == port->piece_len;
}

/* Gather what fits into a piece; a chain goes back as soon as all of it is copied. True: there is
 * no more. */
static bool gather(struct con_port *port)
{
	struct virtio_device *vdev = &port->vc->vdev;
	u64 *done = &vdev->queues[port->tx_q].consumed;

	port->piece_at = port->piece_len = 0;
	while (port->piece_len < PIECE) {
		size_t n;

		if (!port->has_tx) {
			port->has_tx = virtio_pop(vdev, port->tx_q, &port->tx, port->tx_iov,
						  ARRAY_SIZE(port->tx_iov)) == 1;
			if (!port->has_tx)
				return true;
		}
		n = iov_to_buf(virtq_out(&port->tx), port->tx.nr_out, *done,
			       port->piece + port->piece_len, PIECE - port->piece_len);
		port->piece_len += n;
		*done += n;
		if (*done < port->tx.out_len)
			break;
		port->has_tx = false;
		*done = 0;
		virtio_push(vdev, port->tx_q, &port->tx, 0);
	}
	return false;
}

/* One piece; the next has its turn after other events. */
static bool tx_run(struct con_port *port)
{
	struct virtio_device *vdev = &port->vc->vdev;
	bool empty;

	/* While a piece waits nothing more is taken: that is how a guest is slowed. */
	if (!offer_piece(port))
		return false;
	empty = gather(port);
	if (offer_piece(port) && !empty)
		event_loop_post(vdev->queues[port->tx_q].loop, &port->more);
	return empty && port->piece_at == port->piece_len;
}

/* There is room for what waits, or a turn for what comes next. */
static void port_writable(void *opaque)
{
	struct con_port *port = opaque;

	/* It is the console's, whatever became of the queue. */
	if (offer_piece(port))
		virtio_serve(&port->vc->vdev, port->tx_q);
}

/* Input */

/* Buffers without room go back at once. */
static bool rx_run(struct con_port *port)
{
	struct virtio_device *vdev = &port->vc->vdev;

	while (!port->has_rx) {
		if (virtio_pop(vdev, port->rx_q, &port->rx, port->rx_iov,
			       ARRAY_SIZE(port->rx_iov)) != 1)
			return true;
		if (port->rx.in_len)
			port->has_rx = true;
		else
			virtio_push(vdev, port->rx_q, &port->rx, 0);
	}
	return false;
}

static size_t port_room(void *opaque)
{
	struct con_port *port = opaque;

	port->asked = true;
	if (!port->has_rx)
		virtio_serve(&port->vc->vdev, port->rx_q);
	port->asked = false;
	/* A buffer that is held stays, but is not to be written to now. */
	if (!port->has_rx || !virtio_queue_live(&port->vc->vdev, port->rx_q))
		return 0;
	/* Linux throws away what comes for a port that nobody has open. */
	return con_driver_open(port) ? port->rx.in_len : 0;
}

static void port_input(void *opaque, const u8 *buf, size_t len)
{
	struct con_port *port = opaque;
	size_t n;

	if (!port->has_rx || !len || !virtio_queue_live(&port->vc->vdev, port->rx_q))
		return;
	n = iov_from_buf(virtq_in(&port->rx), port->rx.nr_in, 0, buf, len);
	port->has_rx = false;
	virtio_push(&port->vc->vdev, port->rx_q, &port->rx, (u32)n);
	virtio_signal(&port->vc->vdev, port->rx_q);
}

/* What the host side says of itself */

static void port_resized(void *opaque, u16 cols, u16 rows)
{
	struct con_port *port = opaque;
	struct virtio_device *vdev = &port->vc->vdev;
	struct virtio_console_config cfg = {
		.cols = cpu_to_le16(cols),
		.rows = cpu_to_le16(rows),
	};
	const u32 len = offsetof(struct virtio_console_config, max_nr_ports);
	bool same = port->id;

	/* 5.3.4: a driver that knows ports looks at the message, others at this. */
	if (!same) {
		virtio_lock(vdev);
		same = !memcmp(vdev->config, &cfg, len);
		virtio_unlock(vdev);
	}
	if (!same)
		virtio_config_set(vdev, 0, &cfg, len);
	if (port->cols == cols && port->rows == rows)
		return;
	port->cols = cols;
	port->rows = rows;
	if (port->is_console)
		con_control_tell(port, NEWS_RESIZE);
}

static void port_connected(void *opaque, bool on)
{
	struct con_port *port = opaque;

	if (port->host_open == on)
		return;
	port->host_open = on;
	con_control_tell(port, NEWS_OPEN);
}

/* Of the device */

bool con_port_run(struct con_port *port, u16 q)
{
	bool empty;

	if (q == port->tx_q)
		return tx_run(port);
	empty = rx_run(port);
	if (port->has_rx && !port->asked)
		port->con->ops->input_ready(port->con);
	return empty;
}

void con_port_stopped(struct con_port *port, u16 q)
{
	/* What was copied is still written; it is the console's. */
	if (q == port->tx_q) {
		port->has_tx = false;
		port->vc->vdev.queues[q].consumed = 0;
	} else {
		port->has_rx = false;
	}
}

void con_port_held(struct con_port *port, u16 q)
{
	struct virtio_device *vdev = &port->vc->vdev;

	if (q == port->rx_q && port->has_rx) {
		virtio_unpop(vdev, q, &port->rx);
		port->has_rx = false;
	}
	if (q == port->tx_q && port->has_tx) {
		virtio_unpop(vdev, q, &port->tx);
		port->has_tx = false;
	}
}

/* What was copied is the guest's last words, whatever the reader takes for it. */
void con_port_finish(struct con_port *port)
{
	if (!offer_piece(port))
		port->con->ops->write(port->con, port->piece + port->piece_at,
				      port->piece_len - port->piece_at);
	port->piece_at = port->piece_len = 0;
}

void con_port_init(struct con_port *port)
{
	port->host_open = true;
	port->more = (struct event_post){ .fn = port_writable, .opaque = port };
	port->client = (struct console_client){
		.room = port_room,
		.input = port_input,
		.resized = port_resized,
		.connected = port_connected,
		.writable = port_writable,
		.opaque = port,
	};
}
