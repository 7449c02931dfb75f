/* SPDX-License-Identifier: MIT */
/*
 * A queue that was stopped is never written to again, and one without bus mastering not until that
 * is on again: each device that keeps buffers of the driver, behind both transports, stopped in
 * each way that there is.
 */
#include "unit.h"

#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>
#include <sys/eventfd.h>

#include "lkvm/arch.h"
#include "lkvm/console.h"
#include "lkvm/net.h"
#include "toy_device.h"

#define ECAM	 0xe0000000ULL
#define FUNCTION (ECAM + (1 << 15))
#define BAR	 0xc0000000ULL
#define RX	 0
#define BUFFERS	 0x4000u
#define NEXT	 0x8000u /* those of the next driver */
#define BUF_SIZE 2048u
#define NR_BUFS	 4u

#ifndef VIRTIO_PCI_COMMON_Q_RESET
#define VIRTIO_PCI_COMMON_Q_RESET 58
#endif

static const struct arch_pci_layout layout = {
	.ecam_base = ECAM,
	.ecam_size = MiB,
	.mem32_base = BAR,
	.mem32_size = MiB,
	.intx_gsi = { 16, 17, 18, 19 },
};

enum stop { BY_QUEUE, BY_RESET, BY_MACHINE, BY_BUS_MASTER };

/* A back end of either kind with one message of input. */
struct input {
	struct net_backend nb;
	struct console con;
	const struct console_client *client;
	atomic_int waiting;
};

static struct input in;

static ssize_t net_readv(struct net_queue *nq, const struct iovec *iov, int count)
{
	u8 packet[100];

	if (!atomic_load(&in.waiting))
		return -EAGAIN;
	atomic_store(&in.waiting, 0);
	eventfd_drain(nq->poll_fd);
	memset(packet, 0xaa, sizeof(packet));
	return (ssize_t)iov_from_buf(iov, (unsigned int)count, 0, packet, sizeof(packet));
}

static ssize_t net_writev(struct net_queue *nq, const struct iovec *iov, int count)
{
	return (ssize_t)iov_len(iov, (unsigned int)count);
}

static int net_set_offloads(struct net_backend *nb, u32 tun_f)
{
	return 0;
}

static const struct net_backend_ops net_ops = {
	.readv = net_readv,
	.writev = net_writev,
	.set_offloads = net_set_offloads,
};

static void con_write(struct console *con, const u8 *buf, size_t len) {}

static void con_set_client(struct console *con, const struct console_client *client)
{
	in.client = client;
}

static void con_nothing(struct console *con) {}

static const struct console_ops con_ops = {
	.write = con_write,
	.set_client = con_set_client,
	.input_ready = con_nothing,
};

struct machine {
	struct toy_vm *v;
	struct virtio_device *vdev;
	struct vring_driver d;
	bool net, pci;
};

static void begin(struct machine *m, bool net, bool pci)
{
	static const u8 mac[6] = { 2 };
	int ret;

	memset(m, 0, sizeof(*m));
	memset(&in, 0, sizeof(in));
	m->net = net;
	m->pci = pci;
	m->v = toy_vm_new(pci ? TRANSPORT_PCI : TRANSPORT_MMIO);
	if (pci)
		assert_int_equal(pci_host_add(&m->v->vm, &layout, 0), 0);
	in.nb = (struct net_backend){
		.ops = &net_ops, .name = "n", .nr_pairs = 1, .pair[0].room_fd = -1
	};
	in.nb.pair[0].nb = &in.nb;
	in.nb.pair[0].poll_fd = eventfd(0, EFD_NONBLOCK);
	in.con.ops = &con_ops;
	ret = net ? virtio_net_new(&m->v->vm, &in.nb, mac, 0, &m->vdev)
		  : virtio_console_new(&m->v->vm, &(struct virtio_console_port){ .con = &in.con },
				       1, &m->vdev);
	assert_int_equal(ret, 0);
	assert_int_equal(virtio_attach(m->vdev), 0);
	if (pci)
		mmio_put(m->v, FUNCTION + PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* Let the loops do what they have to do. */
static void settle(struct machine *m)
{
	for (int i = 0; i < 3; i++) {
		for (u16 q = 0; q < m->vdev->nr_queues; q++)
			toy_sync(m->vdev, q);
		pump(m->v);
	}
}

static void give_buffers(struct machine *m, u32 buffers)
{
	struct virtqueue *vq = &m->vdev->queues[RX].vq;

	virtio_set_status(m->vdev, S_ACK | S_DRIVER);
	virtio_accept_features(m->vdev, 0, 0);
	virtio_accept_features(m->vdev, 1,
			       BIT(VIRTIO_F_VERSION_1 - 32) | BIT(VIRTIO_F_RING_RESET - 32));
	virtio_set_status(m->vdev, S_ACK | S_DRIVER | S_FEATURES_OK);
	vdrv_setup(&m->d, m->v->ram, 0x1000, 8);
	vq->size = m->d.size;
	vq->desc_gpa = m->d.desc;
	vq->avail_gpa = m->d.avail;
	vq->used_gpa = m->d.used;
	virtio_enable_queue(m->vdev, RX);
	for (u32 i = 0; i < NR_BUFS; i++) {
		vdrv_desc(&m->d, i, buffers + i * BUF_SIZE, BUF_SIZE, VRING_DESC_F_WRITE, 0);
		vdrv_offer(&m->d, (u16)i);
	}
	virtio_set_status(m->vdev, 0xf);
	settle(m);
	if (!m->net)
		assert_int_equal(in.client->room(in.client->opaque), BUF_SIZE);
	/* It holds some of them now. */
	assert_true(vq->in_flight > 0);
}

static void stop_queue(struct machine *m, enum stop how)
{
	u64 mmio = arch_platform.virtio_mmio_base;

	switch (how) {
	case BY_QUEUE:
		if (m->pci) {
			mmio_put(m->v, BAR + VIRTIO_PCI_COMMON_Q_SELECT, 2, RX);
			mmio_put(m->v, BAR + VIRTIO_PCI_COMMON_Q_RESET, 2, 1);
			assert_int_equal(mmio_get(m->v, BAR + VIRTIO_PCI_COMMON_Q_RESET, 2), 0);
			assert_int_equal(mmio_get(m->v, BAR + VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
		} else {
			mmio_put(m->v, mmio + VIRTIO_MMIO_QUEUE_SEL, 4, RX);
			mmio_put(m->v, mmio + VIRTIO_MMIO_QUEUE_READY, 4, 0);
			assert_int_equal(mmio_get(m->v, mmio + VIRTIO_MMIO_QUEUE_READY, 4), 0);
		}
		break;
	case BY_RESET:
		if (m->pci)
			mmio_put(m->v, BAR + VIRTIO_PCI_COMMON_STATUS, 1, 0);
		else
			mmio_put(m->v, mmio + VIRTIO_MMIO_STATUS, 4, 0);
		assert_int_equal(virtio_get_status(m->vdev), 0);
		break;
	case BY_MACHINE:
		vm_reset_devices(&m->v->vm);
		break;
	case BY_BUS_MASTER:
		mmio_put(m->v, FUNCTION + PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
		break;
	}
}

static void input(struct machine *m)
{
	if (m->net) {
		atomic_store(&in.waiting, 1);
		eventfd_raise(in.nb.pair[0].poll_fd);
	} else {
		in.client->room(in.client->opaque);
		in.client->input(in.client->opaque, (const u8 *)"key", 3);
	}
	settle(m);
}

static void end(struct machine *m)
{
	toy_vm_free(m->v);
	close(in.nb.pair[0].poll_fd);
}

static void try_stop(bool net, bool pci, enum stop how)
{
	static u8 before[TOY_RAM];
	struct machine m;

	begin(&m, net, pci);
	give_buffers(&m, BUFFERS);
	stop_queue(&m, how);
	/* The driver has the memory back, rings and all, and uses it for something else. */
	if (how != BY_BUS_MASTER)
		memset(m.v->ram, 0x11, TOY_RAM);
	memcpy(before, m.v->ram, TOY_RAM);
	input(&m);
	assert_memory_equal(before, m.v->ram, TOY_RAM);
	if (pci)
		mmio_put(m.v, FUNCTION + PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	if (how != BY_BUS_MASTER) {
		virtio_device_reset(m.vdev);
		give_buffers(&m, NEXT);
	}
	settle(&m);
	if (!net || how != BY_BUS_MASTER)
		input(&m);
	assert_int_equal(vdrv_used_idx(&m.d), 1);
	/* Nor is what was held of the first driver remembered by the second one's input. */
	if (how != BY_BUS_MASTER)
		assert_memory_equal(before + BUFFERS, m.v->ram + BUFFERS, NR_BUFS * BUF_SIZE);
	end(&m);
}

static void test_stopped(void **state)
{
	for (int net = 0; net < 2; net++) {
		for (int pci = 0; pci < 2; pci++) {
			try_stop(net, pci, BY_QUEUE);
			try_stop(net, pci, BY_RESET);
			try_stop(net, pci, BY_MACHINE);
		}
		try_stop(net, true, BY_BUS_MASTER);
	}
}

/* The same input without a stop: what the test above looks for does happen. */
static void test_running(void **state)
{
	for (int net = 0; net < 2; net++) {
		struct machine m;

		begin(&m, net, false);
		give_buffers(&m, BUFFERS);
		input(&m);
		assert_int_equal(vdrv_used_idx(&m.d), 1);
		end(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_running),
	};

	return cmocka_run_group_tests_name("virtio_stop", tests, NULL, NULL);
}
