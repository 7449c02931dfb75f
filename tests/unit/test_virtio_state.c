/* SPDX-License-Identifier: MIT */
/*
 * What virtio devices remember, by the common test of devices' state: a console in the middle of a
 * long line, a network card whose driver has switched offloads off, a vsock device whose
 * connections are over, behind both transports; loaded into machines that are new and into such
 * that ran.
 */
#include "../lib/fake_vhost.h"
#include "unit.h"

#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <linux/virtio_vsock.h>
#include <sys/eventfd.h>

#include "device_state.h"
#include "lkvm/console.h"
#include "lkvm/net.h"
#include "lkvm/vhost.h"
#include "lkvm/vsock.h"
#include "toy_device.h"

#define ECAM	   0xe0000000ULL
#define BAR	   0xc0000000ULL
#define DATA	   0x8000u
#define LONG	   40000u
#define CON_TX	   1
#define CON_SIZE   8
#define CTRL_QUEUE 2
#define EVENT	   2
#define CID	   99

static const struct arch_pci_layout layout = {
	.ecam_base = ECAM,
	.ecam_size = MiB,
	.mem32_base = BAR,
	.mem32_size = MiB,
	.intx_gsi = { 16, 17, 18, 19 },
};

struct machine {
	struct toy_vm *v;
	struct virtio_device *vdev;
	struct vring_driver d;
	struct net_backend nb;
	u32 tun_f;
	struct console con;
	struct vsock_backend vb;
	struct vhost *vhost;
	bool full; /* the console takes nothing */
};

static void con_write(struct console *con, const u8 *buf, size_t len) {}

static size_t con_offer(struct console *con, const u8 *buf, size_t len)
{
	return container_of(con, struct machine, con)->full ? 0 : len;
}

static void con_set_client(struct console *con, const struct console_client *client) {}
static void con_nothing(struct console *con) {}

static const struct console_ops con_ops = {
	.write = con_write,
	.set_client = con_set_client,
	.input_ready = con_nothing,
	.offer = con_offer,
};

static ssize_t net_readv(struct net_queue *nq, const struct iovec *iov, int count)
{
	return -EAGAIN;
}

static ssize_t net_writev(struct net_queue *nq, const struct iovec *iov, int count)
{
	return (ssize_t)iov_len(iov, (unsigned int)count);
}

static int net_set_offloads(struct net_backend *nb, u32 tun_f)
{
	container_of(nb, struct machine, nb)->tun_f = tun_f;
	return 0;
}

static const struct net_backend_ops net_ops = {
	.readv = net_readv,
	.writev = net_writev,
	.set_offloads = net_set_offloads,
};

static const struct vsock_backend_ops vsock_ops = { 0 };

enum kind { CONSOLE, NET, VSOCK, VHOST_NET, VHOST_VSOCK };

/* Served by the kernel of the test. */
static int begin_vhost(struct machine *m, enum kind kind)
{
	static const u8 mac[6] = { 2 };
	static u64 cid = CID;
	int fd = m->nb.pair[0].poll_fd;

	if (kind == VHOST_VSOCK) {
		/* Each machine has its own there. */
		assert_int_equal(vhost_vsock_open("v", cid++, &m->vhost), 0);
		return virtio_vhost_vsock_new(&m->v->vm, m->vhost, CID, &m->vdev);
	}
	assert_int_equal(vhost_net_open("n", &fd, 1, &m->vhost), 0);
	m->nb.vhost = m->vhost;
	return virtio_net_new(&m->v->vm, &m->nb, mac, 0, &m->vdev);
}

static void begin(struct machine *m, enum kind kind, bool pci)
{
	static const u8 mac[6] = { 2 };
	int ret;

	memset(m, 0, sizeof(*m));
	m->v = toy_vm_new(pci ? TRANSPORT_PCI : TRANSPORT_MMIO);
	if (pci)
		assert_int_equal(pci_host_add(&m->v->vm, &layout, 0), 0);
	m->nb = (struct net_backend){
		.ops = &net_ops, .name = "n", .nr_pairs = 1, .pair[0].room_fd = -1
	};
	m->nb.offloads = TUN_F_CSUM | TUN_F_TSO4;
	m->nb.pair[0].nb = &m->nb;
	m->nb.pair[0].poll_fd = eventfd(0, EFD_NONBLOCK);
	m->con.ops = &con_ops;
	m->vb = (struct vsock_backend){ .ops = &vsock_ops, .listen_fd = -1, .name = "v" };
	if (kind == NET)
		ret = virtio_net_new(&m->v->vm, &m->nb, mac, 0, &m->vdev);
	else if (kind == VSOCK)
		ret = virtio_vsock_new(&m->v->vm, &m->vb, CID, &m->vdev);
	else if (kind != CONSOLE)
		ret = begin_vhost(m, kind);
	else
		ret = virtio_console_new(&m->v->vm, &(struct virtio_console_port){ .con = &m->con },
					 1, &m->vdev);
	assert_int_equal(ret, 0);
	assert_int_equal(virtio_attach(m->vdev), 0);
	if (pci)
		mmio_put(m->v, ECAM + (1 << 15) + PCI_COMMAND, 2,
			 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void end(struct machine *m)
{
	toy_vm_free(m->v);
	if (m->vhost)
		m->vhost->ops->close(m->vhost);
	close(m->nb.pair[0].poll_fd);
}

static void settle(struct machine *m)
{
	for (u16 q = 0; q < m->vdev->nr_queues; q++)
		toy_sync(m->vdev, q);
	pump(m->v);
}

/* All queues are enabled; @q is the one of @m->d. */
static void start(struct machine *m, u16 q)
{
	virtio_set_status(m->vdev, S_ACK | S_DRIVER);
	virtio_accept_features(m->vdev, 0, (u32)virtio_offered(m->vdev));
	virtio_accept_features(m->vdev, 1, BIT(VIRTIO_F_VERSION_1 - 32));
	virtio_set_status(m->vdev, S_ACK | S_DRIVER | S_FEATURES_OK);
	for (u16 i = 0; i < m->vdev->nr_queues; i++) {
		struct virtqueue *vq = &m->vdev->queues[i].vq;
		struct vring_driver d;

		vdrv_setup(&d, m->v->ram, 0x1000 + i * 0x1000u, 8);
		vq->size = d.size;
		vq->desc_gpa = d.desc;
		vq->avail_gpa = d.avail;
		vq->used_gpa = d.used;
		virtio_enable_queue(m->vdev, i);
		if (i == q)
			m->d = d;
	}
	virtio_set_status(m->vdev, 0xf);
	settle(m);
}

static void notify(struct machine *m, u16 q)
{
	virtio_kick(m->vdev, q);
	settle(m);
}

/* Of a long chain a part was copied for the console, which takes its time. */
static void write_long(struct machine *m)
{
	start(m, CON_TX);
	m->full = true;
	vdrv_desc(&m->d, 0, DATA, LONG, 0, 0);
	vdrv_offer(&m->d, 0);
	notify(m, CON_TX);
	assert_int_not_equal(m->vdev->queues[CON_TX].consumed, 0);
}

static void check_console(bool pci)
{
	struct machine used, fresh;
	u64 consumed;

	begin(&used, CONSOLE, pci);
	begin(&fresh, CONSOLE, pci);
	write_long(&used);
	consumed = used.vdev->queues[CON_TX].consumed;
	check_state(&used.v->vm, &fresh.v->vm);
	assert_int_equal(fresh.vdev->queues[CON_TX].consumed, consumed);
	end(&fresh);
	/* One that is in the middle of its own. */
	begin(&fresh, CONSOLE, pci);
	write_long(&fresh);
	vm_pause(&used.v->vm);
	vm_pause(&fresh.v->vm);
	fresh.vdev->queues[CON_TX].consumed = 1; /* elsewhere in it, to be told apart */
	vm_resume(&used.v->vm);
	check_state(&used.v->vm, &fresh.v->vm);
	end(&used);
	end(&fresh);
}

static void test_console(void **state)
{
	check_console(false);
	check_console(true);
}

static void switch_offloads(struct machine *m, u64 bits)
{
	u8 *p = m->v->ram + DATA;

	start(m, CTRL_QUEUE);
	assert_int_equal(m->tun_f, TUN_F_CSUM | TUN_F_TSO4);
	p[0] = VIRTIO_NET_CTRL_GUEST_OFFLOADS;
	p[1] = VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET;
	put_le(p + 2, 8, bits);
	vdrv_desc(&m->d, 0, DATA, 10, VRING_DESC_F_NEXT, 1);
	vdrv_desc(&m->d, 1, DATA + 16, 1, VRING_DESC_F_WRITE, 0);
	vdrv_offer(&m->d, 0);
	notify(m, CTRL_QUEUE);
	assert_int_equal(p[16], VIRTIO_NET_OK);
}

static u16 net_status(const struct machine *m)
{
	u8 status[2];

	virtio_config_read(m->vdev, offsetof(struct virtio_net_config, status), status, 2);
	return (u16)get_le(status, 2);
}

/* 5.1.6.5.4: a driver that came from elsewhere is asked to announce itself, until it has. */
static void check_announce(struct machine *m, const struct machine *used, bool ack)
{
	u8 *p = m->v->ram + DATA;

	settle(m);
	assert_int_equal(net_status(m), VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	m->d = used->d;
	m->d.ram = m->v->ram;
	p[0] = VIRTIO_NET_CTRL_ANNOUNCE;
	p[1] = VIRTIO_NET_CTRL_ANNOUNCE_ACK;
	for (int i = 0; i < 2 && ack; i++) {
		p[16] = 0xff;
		vdrv_desc(&m->d, 0, DATA, 2, VRING_DESC_F_NEXT, 1);
		vdrv_offer(&m->d, 0);
		notify(m, CTRL_QUEUE);
		/* Once is enough. */
		assert_int_equal(p[16], i ? VIRTIO_NET_ERR : VIRTIO_NET_OK);
		assert_int_equal(net_status(m), VIRTIO_NET_S_LINK_UP);
	}
}

static void check_net(enum kind kind, bool pci)
{
	struct machine used, fresh;

	begin(&used, kind, pci);
	begin(&fresh, kind, pci);
	switch_offloads(&used, BIT_ULL(VIRTIO_NET_F_GUEST_CSUM));
	assert_int_equal(used.tun_f, TUN_F_CSUM);
	/* Of another driver that has received. */
	start(&fresh, CTRL_QUEUE);
	assert_int_equal(fresh.tun_f, TUN_F_CSUM | TUN_F_TSO4);
	assert_int_equal(net_status(&fresh), VIRTIO_NET_S_LINK_UP);
	memcpy(fresh.v->ram, used.v->ram, DATA + 32); /* memory is loaded, too */
	check_state(&used.v->vm, &fresh.v->vm);
	assert_int_equal(fresh.tun_f, TUN_F_CSUM);
	check_announce(&fresh, &used, pci); /* else it is reset before */
	/* The next driver begins with what it agrees to. */
	virtio_device_reset(fresh.vdev);
	start(&fresh, CTRL_QUEUE);
	assert_int_equal(fresh.tun_f, TUN_F_CSUM | TUN_F_TSO4);
	assert_int_equal(net_status(&fresh), VIRTIO_NET_S_LINK_UP);
	end(&used);
	end(&fresh);
}

static void test_net(void **state)
{
	check_net(NET, false);
	check_net(NET, true);
	check_net(VHOST_NET, false);
	check_net(VHOST_NET, true);
}

static int event_of(struct machine *m)
{
	u32 head, len;

	memset(m->v->ram + DATA, 0xff, 4);
	vdrv_desc(&m->d, 0, DATA, 4, VRING_DESC_F_WRITE, 0);
	vdrv_offer(&m->d, 0);
	notify(m, EVENT);
	return vdrv_take_used(&m->d, &head, &len) ? (int)get_le(m->v->ram + DATA, len) : -1;
}

/* A driver that is loaded is told, once, that its connections are over, and its address. */
static void check_vsock(enum kind kind, bool pci)
{
	struct machine used, fresh;
	u8 *ram;

	begin(&used, kind, pci);
	begin(&fresh, kind, pci);
	start(&used, EVENT);
	/* One that only starts is told nothing, and the buffer waits. */
	assert_int_equal(event_of(&used), -1);
	check_state(&used.v->vm, &fresh.v->vm);
	assert_int_equal(virtio_config_byte(fresh.vdev, 0), CID);
	/* Its memory is loaded with it. */
	fresh.d = used.d;
	fresh.d.ram = ram = fresh.v->ram;
	vm_pause(&fresh.v->vm);
	memcpy(ram, used.v->ram, DATA + 4);
	vm_resume(&fresh.v->vm);
	notify(&fresh, EVENT);
	assert_int_equal(vdrv_used_idx(&fresh.d), 1);
	assert_int_equal(get_le(ram + DATA, 4), VIRTIO_VSOCK_EVENT_TRANSPORT_RESET);
	fresh.d.used_seen = 1;
	assert_int_equal(event_of(&fresh), -1);
	/* The next driver has had no connections. */
	virtio_device_reset(fresh.vdev);
	start(&fresh, EVENT);
	assert_int_equal(event_of(&fresh), -1);
	end(&used);
	end(&fresh);
}

static void test_vsock(void **state)
{
	check_vsock(VSOCK, false);
	check_vsock(VSOCK, true);
	check_vsock(VHOST_VSOCK, false);
	check_vsock(VHOST_VSOCK, true);
}

static void test_bad(void **state)
{
	for (int pci = 0; pci < 2; pci++) {
		struct machine used, victim;

		begin(&used, NET, pci);
		begin(&victim, NET, pci);
		switch_offloads(&used, 0);
		check_bad_state(&used.v->vm, &victim.v->vm);
		end(&used);
		end(&victim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_console),
		cmocka_unit_test(test_net),
		cmocka_unit_test(test_vsock),
		cmocka_unit_test(test_bad),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests_name("virtio_state", tests, NULL, NULL);
}
