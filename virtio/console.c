/* SPDX-License-Identifier: MIT */
/*
 * virtio-console (VIRTIO 1.3, 5.3): one port, or several that the driver hears of by control
 * messages. All queues are served by the main loop, where input comes in.
 */
#include "console.h"

#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

#define QUEUE_SIZE 64
#define CONFIG_LEN sizeof(struct virtio_console_config)
#define MAX_PORTS  (VIRTIO_MAX_QUEUES / 2 - 1)

static struct virtio_con *to_con(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_con, vdev);
}

/* NULL: a control queue. */
static struct con_port *port_of(struct virtio_con *vc, u16 q)
{
	if (q == CONTROL_RX || q == CONTROL_TX)
		return NULL;
	return &vc->ports[q < CONTROL_RX ? 0 : (q - CONTROL_RX) / 2];
}

static bool con_run(struct virtio_device *vdev, u16 q)
{
	struct virtio_con *vc = to_con(vdev);
	struct con_port *port = port_of(vc, q);

	if (port)
		return con_port_run(port, q);
	return q == CONTROL_TX ? con_control_tx(vc) : con_control_rx(vc);
}

static void con_started(struct virtio_device *vdev, u16 q)
{
	if (q == CONTROL_RX)
		con_control_started(to_con(vdev));
}

static bool con_stopped(struct virtio_device *vdev, u16 q)
{
	struct con_port *port = port_of(to_con(vdev), q);

	if (port)
		con_port_stopped(port, q);
	return true;
}

static bool con_held(struct virtio_device *vdev, u16 q)
{
	struct con_port *port = port_of(to_con(vdev), q);

	if (port)
		con_port_held(port, q);
	return true;
}

static void con_finish(struct virtio_device *vdev)
{
	struct virtio_con *vc = to_con(vdev);

	for (u16 i = 0; i < vc->nr_ports; i++)
		con_port_finish(&vc->ports[i]);
}

static void con_detach(struct virtio_device *vdev)
{
	struct virtio_con *vc = to_con(vdev);

	for (u16 i = 0; i < vc->nr_ports; i++) {
		struct con_port *port = &vc->ports[i];

		port->con->ops->set_client(port->con, NULL);
		if (vdev->nr_queues > port->tx_q)
			event_loop_unpost(vdev->queues[port->tx_q].loop, &port->more);
		con_port_finish(port);
	}
}

/* drivers/tty/hvc/hvc_console.c takes Ctrl-O on the kernel's console for one. */
static int con_sysrq(void *opaque, u8 key)
{
	const struct virtio_con *vc = opaque;
	const struct console_client *client = &vc->ports[0].client;
	const u8 text[] = { 'O' & 0x1f, key };

	if (client->room(client->opaque) < sizeof(text))
		return -EAGAIN;
	client->input(client->opaque, text, sizeof(text));
	return 0;
}

static void con_destroy(struct virtio_device *vdev)
{
	struct virtio_con *vc = to_con(vdev);

	if (vdev->vm && vdev->vm->sysrq.opaque == vc)
		vdev->vm->sysrq = (struct vm_sysrq){ 0 };
	free(vc->ports);
	free(vc);
}

static const struct virtio_ops con_ops = {
	.id = VIRTIO_ID_CONSOLE,
	.pci_class = 0x0780, /* communication controller, other */
	.in_order = true,
	.config_len = CONFIG_LEN,
	.queue_started = con_started,
	.queue_run = con_run,
	.queue_stopped = con_stopped,
	.queue_held = con_held,
	.finish = con_finish,
	.detach = con_detach,
	.destroy = con_destroy,
};

static void set_up_port(struct virtio_con *vc, u16 id, const struct virtio_console_port *desc)
{
	struct con_port *port = &vc->ports[id];

	port->vc = vc;
	port->id = id;
	port->rx_q = id ? PORT1_RX + 2 * (id - 1) : PORT0_RX;
	port->tx_q = port->rx_q + 1;
	port->con = desc->con;
	port->name = desc->name;
	port->is_console = desc->is_console;
	con_port_init(port);
}

int virtio_console_new(struct vm *vm, const struct virtio_console_port *ports, u32 nr_ports,
		       struct virtio_device **out)
{
	struct virtio_con *vc;
	u64 features = BIT_ULL(VIRTIO_CONSOLE_F_SIZE);
	u16 nr_queues = PORT0_TX + 1;
	__le32 max;
	int ret;

	if (nr_ports > MAX_PORTS) {
		err("virtio-console: %u ports; the maximum is %u", nr_ports, MAX_PORTS);
		return -EINVAL;
	}
	vc = xcalloc(1, sizeof(*vc));
	vc->ports = xcalloc(nr_ports, sizeof(vc->ports[0]));
	vc->nr_ports = (u16)nr_ports;
	/* One that is the guest's console needs none of this. */
	vc->multiport = nr_ports > 1 || ports[0].name;
	for (u16 i = 0; i < vc->nr_ports; i++)
		set_up_port(vc, i, &ports[i]);
	if (vc->multiport) {
		features |= BIT_ULL(VIRTIO_CONSOLE_F_MULTIPORT);
		nr_queues = (u16)(2 * (nr_ports + 1));
	}
	ret = virtio_init(&vc->vdev, vm, &con_ops, "virtio-console", 0, features, nr_queues,
			  QUEUE_SIZE, &vm->loop);
	if (ret) {
		con_destroy(&vc->vdev);
		return ret;
	}
	max = cpu_to_le32(nr_ports);
	memcpy(vc->vdev.config + offsetof(struct virtio_console_config, max_nr_ports), &max,
	       sizeof(max));
	for (u16 i = 0; i < vc->nr_ports; i++)
		ports[i].con->ops->set_client(ports[i].con, &vc->ports[i].client);
	/* It is the kernel's console rather than the serial port. */
	if (ports[0].is_console && !ports[0].name)
		vm->sysrq = (struct vm_sysrq){ .send = con_sysrq, .opaque = vc };
	*out = &vc->vdev;
	return 0;
}

int virtio_console_create(struct vm *vm, const struct virtio_console_port *ports, u32 nr_ports)
{
	struct virtio_device *vdev;
	int ret = virtio_console_new(vm, ports, nr_ports, &vdev);

	return ret ? ret : virtio_attach_or_destroy(vdev);
}
