/* SPDX-License-Identifier: MIT */
/*
 * virtio-console in three parts (VIRTIO 1.3, 5.3): the device and its queues (console.c), what
 * flows through a port (console-port.c), and the control messages about ports (console-control.c).
 * All run on the main loop.
 */
#ifndef LKVM_VIRTIO_CONSOLE_H
#define LKVM_VIRTIO_CONSOLE_H

#include <linux/virtio_console.h>

#include "lkvm/console.h"
#include "lkvm/virtio.h"

/* The control queues stand between those of port 0, which devices without ports have, and the rest
 * (5.3.2). */
enum { PORT0_RX, PORT0_TX, CONTROL_RX, CONTROL_TX, PORT1_RX };

#define PIECE 16384u

/* What the driver is to be told of a port: bits, in the order in which they go out. */
enum port_news { NEWS_ADD, NEWS_CONSOLE, NEWS_NAME, NEWS_RESIZE, NEWS_OPEN, NR_NEWS };

struct con_port {
	struct virtio_con *vc;
	u16 id, rx_q, tx_q;
	const char *name; /* NULL: none */
	bool is_console;  /* a terminal for the guest, not just bytes */
	struct console *con;
	struct console_client client;

	u8 news; /* BIT(enum port_news) */
	bool host_open;
	u16 cols, rows; /* 0: not known */

	/* The input buffer that waits for a key. */
	struct virtq_request rx;
	bool has_rx;
	bool asked; /* the console wants to know, so it need not be told */
	struct iovec rx_iov[VIRTQ_MAX_SEGS];

	/* The chain being written. Of it, or of the next one after it was given back,
	 * queues[tx_q].consumed bytes were copied. */
	struct virtq_request tx;
	bool has_tx;
	struct iovec tx_iov[VIRTQ_MAX_SEGS];

	struct event_post more; /* of the queue: another turn */
	/* From @piece_at on the console did not take it yet. */
	size_t piece_at, piece_len;
	u8 piece[PIECE];
};

struct virtio_con {
	struct virtio_device vdev;
	bool multiport; /* offered: there are control queues */
	u16 nr_ports;
	struct con_port *ports;
};

/* console-port.c */

/* The port's parts but for @vc, @id and its queues, which are set. */
void con_port_init(struct con_port *port);
/* Of virtio_ops, for one queue of the port. */
bool con_port_run(struct con_port *port, u16 q);
void con_port_stopped(struct con_port *port, u16 q);
void con_port_held(struct con_port *port, u16 q);
void con_port_finish(struct con_port *port);

/* console-control.c */

/* Did the driver accept ports, and does it have @port open? Without ports it always has. */
bool con_driver_open(const struct con_port *port);
/* Tell the driver, as soon as it can be told. */
void con_control_tell(struct con_port *port, enum port_news news);
/* Of virtio_ops, for the control queues. */
bool con_control_rx(struct virtio_con *vc);
bool con_control_tx(struct virtio_con *vc);
/* The driver begins to listen, or listens after a load. */
void con_control_started(struct virtio_con *vc);

#endif
