/* SPDX-License-Identifier: MIT */
/* virtio-net over a backend whose errors come and go: the link follows, and packets flow again. */
#include <linux/virtio_net.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "lkvm/net.h"
#include "lkvm/util.h"
#include "virtio_rig.h"

enum { RX, TX };

/* Looks, a tenth of a millisecond apart: minutes. */
#define HANG 1000000
#define LEN  100

static struct {
	struct net_backend nb;
	int peer;
	atomic_int read_error, write_error; /* what the backend says; 0: it works */
	atomic_int errors;		    /* so many reads failed */
	bool once;			    /* the first read alone */
	atomic_int link;		    /* what there is news of */
} host;

static ssize_t host_readv(struct net_queue *nq, const struct iovec *iov, int count)
{
	int error = atomic_load(&host.read_error);
	ssize_t n;

	if (error) {
		atomic_fetch_add(&host.errors, 1);
		if (host.once)
			atomic_store(&host.read_error, 0);
		return -error;
	}
	n = readv(nq->poll_fd, iov, count);
	return n < 0 ? -errno : n;
}

static ssize_t host_writev(struct net_queue *nq, const struct iovec *iov, int count)
{
	int error = atomic_load(&host.write_error);

	return error ? -error : writev(nq->room_fd, iov, count);
}

static int host_offloads(struct net_backend *nb, u32 tun_f)
{
	return 0;
}

static int host_link(struct net_backend *nb)
{
	u64 n;

	return read(nb->link_fd, &n, sizeof(n)) < 0 && errno != EAGAIN ? -errno
								       : atomic_load(&host.link);
}

static const struct net_backend_ops host_ops = {
	.readv = host_readv,
	.writev = host_writev,
	.set_offloads = host_offloads,
	.link = host_link,
};

static void start_with(struct rig *r, int link)
{
	static const u8 mac[6] = { 2 };
	struct virtio_device *vdev;
	int fds[2];

	memset(&host, 0, sizeof(host));
	rig_init(r);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	host.nb = (struct net_backend){
		.ops = &host_ops,
		.nr_pairs = 1,
		.pair[0] = { .nb = &host.nb, .poll_fd = fds[0], .room_fd = dup(fds[0]) },
		.name = "host0",
		.link_fd = eventfd(0, EFD_NONBLOCK),
	};
	host.link = link;
	host.peer = fds[1];
	assert_int_equal(virtio_net_new(&r->vm, &host.nb, mac, 0, &vdev), 0);
	rig_start(r, vdev, 0);
}

static void start(struct rig *r)
{
	start_with(r, -ENOTSUP);
}

static void stop(struct rig *r)
{
	rig_stop(r);
	close(host.nb.link_fd);
	close(host.nb.pair[0].poll_fd);
	close(host.nb.pair[0].room_fd);
	close(host.peer);
}

static bool link_up(struct rig *r)
{
	struct virtio_net_config cfg;

	virtio_config_read(r->vdev, 0, &cfg, sizeof(cfg));
	return le16_to_cpu(cfg.status) & VIRTIO_NET_S_LINK_UP;
}

static void wait_link(struct rig *r, bool up)
{
	for (int i = 0; i < HANG; i++) {
		if (link_up(r) == up)
			return;
		usleep(100);
	}
	fail_msg("the link is not %s", up ? "up" : "down");
}

static void send_packet(struct rig *r)
{
	struct rig_buf buf = { RIG_DATA, LEN, false };

	rig_add(r, TX, &buf, 1);
	rig_notify(r, TX);
	assert_true(rig_used(r, TX, NULL) >= 0);
}

static void offer_buffers(struct rig *r, int n)
{
	for (int i = 0; i < n; i++) {
		struct rig_buf buf = { RIG_DATA + 0x10000 + (u64)i * 2048, 2048, true };

		rig_add(r, RX, &buf, 1);
	}
	rig_notify(r, RX);
}

static void expect_packet(struct rig *r)
{
	u8 packet[LEN] = { 0 };
	u32 len = 0;

	assert_int_equal(send(host.peer, packet, sizeof(packet), 0), LEN);
	for (int i = 0; i < HANG && rig_used(r, RX, &len) < 0; i++)
		usleep(100);
	assert_int_equal(len, LEN);
}

static unsigned int config_irqs(struct rig *r)
{
	unsigned int irqs;

	virtio_lock(r->vdev);
	irqs = r->config_irqs;
	virtio_unlock(r->vdev);
	return irqs;
}

/* The interface is set down and up again: its writes fail with EIO, then there is room. */
static void down_and_up(void **state)
{
	static const int errors[] = { EIO, ENETDOWN };
	u8 got[LEN + 1];
	struct rig r;

	start(&r);
	offer_buffers(&r, 8);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		/* No room, as an interface that is down has none. */
		while (send(host.nb.pair[0].room_fd, got, LEN, 0) > 0)
			;
		atomic_store(&host.write_error, errors[i]);
		send_packet(&r);
		wait_link(&r, false);
		assert_int_equal(config_irqs(&r), 2 * i + 1);
		send_packet(&r);
		expect_packet(&r);
		atomic_store(&host.write_error, 0);
		while (recv(host.peer, got, sizeof(got), 0) > 0)
			;
		wait_link(&r, true);
		assert_int_equal(config_irqs(&r), 2 * i + 2);
		send_packet(&r);
		assert_int_equal(recv(host.peer, got, sizeof(got), 0), LEN);
	}
	stop(&r);
}

/* Reads that fail, all of them for a while: without a busy loop, and then it goes on. */
static void reads_fail_for_a_while(void **state)
{
	static const int errors[] = { EIO, ENOMEM, EFAULT };
	struct rig r;

	start(&r);
	offer_buffers(&r, 8);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		u8 packet[LEN] = { 0 };
		int before = atomic_load(&host.errors);
		u64 begin = now_ns();

		atomic_store(&host.read_error, errors[i]);
		assert_int_equal(send(host.peer, packet, LEN, 0), LEN);
		for (int k = 0; k < HANG && atomic_load(&host.errors) < before + 20; k++)
			usleep(100);
		/* Eight in a row are followed by a pause of a tenth of a second. */
		assert_true(now_ns() - begin > 150000000);
		assert_int_equal(link_up(&r), errors[i] != EIO);
		atomic_store(&host.read_error, 0);
		for (int k = 0; k < HANG && rig_used(&r, RX, NULL) < 0; k++)
			usleep(100);
		wait_link(&r, true);
		expect_packet(&r);
	}
	stop(&r);
}

/* One bad packet of the host costs that packet. */
static void one_bad_packet(void **state)
{
	struct rig r;

	start(&r);
	host.once = true;
	atomic_store(&host.read_error, EINVAL);
	offer_buffers(&r, 4);
	expect_packet(&r);
	assert_int_equal(atomic_load(&host.errors), 1);
	assert_true(link_up(&r));
	assert_int_equal(config_irqs(&r), 0);
	stop(&r);
}

/* What is removed does not come back, whatever the writes say. */
static void removed(void **state)
{
	struct rig r;

	start(&r);
	atomic_store(&host.write_error, EBADFD);
	send_packet(&r);
	wait_link(&r, false);
	atomic_store(&host.write_error, 0);
	send_packet(&r);
	rig_notify(&r, TX);
	assert_false(link_up(&r));
	assert_int_equal(config_irqs(&r), 1);
	stop(&r);
}

static void nothing(void *opaque) {}

static void news(int link)
{
	atomic_store(&host.link, link);
	eventfd_raise(host.nb.link_fd);
}

/* The host tells of the link: the driver is interrupted, both ways; a device that stands still
 * keeps it for later, and its state as it is. */
static void host_tells(void **state)
{
	u16 generation;
	struct rig r;

	start_with(&r, 0);
	assert_false(link_up(&r));
	assert_int_equal(config_irqs(&r), 0);
	for (unsigned int i = 0; i < 3; i++) {
		news(1);
		wait_link(&r, true);
		assert_int_equal(config_irqs(&r), 2 * i + 1);
		news(0);
		wait_link(&r, false);
		assert_int_equal(config_irqs(&r), 2 * i + 2);
	}
	virtio_quiesce(r.vdev);
	generation = (u16)r.vdev->config_generation;
	news(1);
	/* The loop looks, and leaves it. */
	for (int i = 0; i < 2; i++)
		event_call_sync(r.vdev->queues[RX].loop, nothing, NULL);
	assert_int_equal(r.vdev->config_generation, generation);
	assert_false(link_up(&r));
	virtio_resume(r.vdev);
	wait_link(&r, true);
	/* A driver that comes finds it as it is. */
	virtio_device_reset(r.vdev);
	news(0);
	rig_start(&r, r.vdev, 0);
	assert_false(link_up(&r));
	/* Nobody tells any more. */
	news(-ENODEV);
	wait_link(&r, true);
	stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(down_and_up),	  cmocka_unit_test(reads_fail_for_a_while),
		cmocka_unit_test(one_bad_packet), cmocka_unit_test(removed),
		cmocka_unit_test(host_tells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
