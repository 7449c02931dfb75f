/* SPDX-License-Identifier: MIT */
/*
 * Control messages about ports (VIRTIO 1.3, 5.3.6.2). What the driver is to be told is a few bits
 * of each port, not a list: a driver that gives no buffers is told less, later, and costs nothing.
 * What it said (it is ready; which ports are open) is in vdev->own, which is saved with the rest.
 */
#include "console.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* vdev->own: a bit for each port that is open, and this. There are at most 31 ports (64 queues). */
#define DRIVER_READY BIT_ULL(63)

/* 5.3.6.2 has the columns first. Linux had them the other way round before 6.15. */
struct con_resize {
	u16 cols, rows; /* little-endian */
};

static bool has_ports(const struct virtio_con *vc)
{
	return vc->multiport && virtio_has(&vc->vdev, VIRTIO_CONSOLE_F_MULTIPORT);
}

bool con_driver_open(const struct con_port *port)
{
	return !has_ports(port->vc) || (port->vc->vdev.own & BIT_ULL(port->id));
}

void con_control_tell(struct con_port *port, enum port_news news)
{
	/* Before the driver asked for ports it is told of none, and of all when it does. */
	if (!port->vc->multiport || !(port->vc->vdev.own & DRIVER_READY))
		return;
	port->news |= BIT(news);
	virtio_serve(&port->vc->vdev, CONTROL_RX);
}

/* The message about one thing, after its head: what follows in @more (bytes, or NULL). */
static size_t describe(const struct con_port *port, enum port_news news,
		       struct virtio_console_control *head, struct con_resize *size,
		       const void **more)
{
	static const u16 events[NR_NEWS] = {
		[NEWS_ADD] = VIRTIO_CONSOLE_PORT_ADD,
		[NEWS_CONSOLE] = VIRTIO_CONSOLE_CONSOLE_PORT,
		[NEWS_NAME] = VIRTIO_CONSOLE_PORT_NAME,
		[NEWS_RESIZE] = VIRTIO_CONSOLE_RESIZE,
		[NEWS_OPEN] = VIRTIO_CONSOLE_PORT_OPEN,
	};

	head->id = cpu_to_le32(port->id);
	head->event = cpu_to_le16(events[news]);
	head->value = cpu_to_le16(1);
	*more = NULL;
	if (news == NEWS_OPEN)
		head->value = cpu_to_le16(port->host_open);
	if (news == NEWS_NAME) {
		*more = port->name;
		return strlen(port->name);
	}
	if (news == NEWS_RESIZE) {
		*size = (struct con_resize){ cpu_to_le16(port->cols), cpu_to_le16(port->rows) };
		*more = size;
		return sizeof(*size);
	}
	return 0;
}

static void send_news(struct con_port *port, enum port_news news, const struct virtq_request *req)
{
	struct virtio_device *vdev = &port->vc->vdev;
	struct virtio_console_control head;
	struct con_resize size;
	const void *more;
	size_t len = describe(port, news, &head, &size, &more), n;

	if (req->in_len < sizeof(head) + len) {
		guest_warn("%s: a buffer for control messages is too small; one is dropped",
			   vdev->name);
		virtio_push(vdev, CONTROL_RX, req, 0);
		return;
	}
	n = iov_from_buf(virtq_in(req), req->nr_in, 0, &head, sizeof(head));
	if (len)
		n += iov_from_buf(virtq_in(req), req->nr_in, n, more, len);
	virtio_push(vdev, CONTROL_RX, req, (u32)n);
}

bool con_control_rx(struct virtio_con *vc)
{
	struct iovec iov[VIRTQ_MAX_SEGS];
	struct virtq_request req;

	for (u16 i = 0; i < vc->nr_ports; i++) {
		struct con_port *port = &vc->ports[i];

		while ((vc->vdev.own & DRIVER_READY) && port->news) {
			enum port_news news = (enum port_news)__builtin_ctz(port->news);

			if (virtio_pop(&vc->vdev, CONTROL_RX, &req, iov, ARRAY_SIZE(iov)) != 1)
				return true;
			port->news &= (u8)~BIT(news);
			send_news(port, news, &req);
		}
	}
	/* Buffers wait for what there may be to say. */
	return false;
}

/* The driver knows the port, and begins to use it. */
static void port_ready(struct con_port *port)
{
	if (port->is_console)
		con_control_tell(port, NEWS_CONSOLE);
	if (port->name)
		con_control_tell(port, NEWS_NAME);
	if (port->is_console && port->cols)
		con_control_tell(port, NEWS_RESIZE);
	if (port->host_open)
		con_control_tell(port, NEWS_OPEN);
}

static void port_open(struct con_port *port, bool open)
{
	u64 *own = &port->vc->vdev.own;

	if (!open) {
		*own &= ~BIT_ULL(port->id);
		return;
	}
	*own |= BIT_ULL(port->id);
	port->con->ops->input_ready(port->con);
}

static void introduce(struct virtio_con *vc)
{
	for (u16 i = 0; i < vc->nr_ports; i++) {
		vc->ports[i].news = 0;
		con_control_tell(&vc->ports[i], NEWS_ADD);
	}
}

static void obey(struct virtio_con *vc, const struct virtio_console_control *msg)
{
	struct virtio_device *vdev = &vc->vdev;
	u16 event = le16_to_cpu(msg->event), value = le16_to_cpu(msg->value);
	u32 id = le32_to_cpu(msg->id);

	if (event == VIRTIO_CONSOLE_DEVICE_READY) {
		if (value != 1)
			return; /* it could not begin, and says no more */
		vdev->own |= DRIVER_READY;
		introduce(vc);
		return;
	}
	if (id >= vc->nr_ports) {
		guest_warn("%s: the guest speaks of port %u, there are %u", vdev->name, id,
			   vc->nr_ports);
		return;
	}
	if (event == VIRTIO_CONSOLE_PORT_READY && value == 1)
		port_ready(&vc->ports[id]);
	else if (event == VIRTIO_CONSOLE_PORT_OPEN)
		port_open(&vc->ports[id], value);
}

bool con_control_tx(struct virtio_con *vc)
{
	struct virtio_device *vdev = &vc->vdev;
	struct iovec iov[VIRTQ_MAX_SEGS];
	struct virtq_request req;

	while (virtio_pop(vdev, CONTROL_TX, &req, iov, ARRAY_SIZE(iov)) == 1) {
		struct virtio_console_control msg;

		/* Shorter than a message is none. */
		if (iov_to_buf(virtq_out(&req), req.nr_out, 0, &msg, sizeof(msg)) == sizeof(msg))
			obey(vc, &msg);
		virtio_push(vdev, CONTROL_TX, &req, 0);
	}
	return true;
}

void con_control_started(struct virtio_con *vc)
{
	/* After a load: the host's side may be another, and what was to be said was not saved. A
	 * driver that is told of a port twice asks for its state. */
	if (vc->vdev.own & DRIVER_READY)
		introduce(vc);
}
