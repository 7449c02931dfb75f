/* SPDX-License-Identifier: MIT */
/*
 * virtio/net.c over a socket pair: both directions, mergeable buffers, a full backend, a backend
 * that goes away, hostile buffers.
 */
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>

#include "net_pair.h"

#define BIG (NET_HDR_LEN + 65000)

static void test_config(void **state)
{
	struct virtio_net_config cfg;
	struct rig r;

	start(&r, 0);
	virtio_config_read(r.vdev, 0, &cfg, sizeof(cfg));
	assert_memory_equal(cfg.mac, mac, 6);
	assert_int_equal(le16_to_cpu(cfg.status), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(le16_to_cpu(cfg.mtu), 9000);
	stop(&r);
}

/* What a card is called when nobody said so. */
static void test_addresses(void **state)
{
	u8 one[6], two[6];

	net_make_mac("a", 0, one);
	net_make_mac("a", 0, two);
	assert_memory_equal(one, two, 6);
	assert_int_equal(one[0] & 3, 2);
	net_make_mac("a", 1, two);
	assert_memory_not_equal(one, two, 6);
	net_make_mac("b", 0, two);
	assert_memory_not_equal(one, two, 6);
	/* Without a name nothing is known that clones do not share. */
	net_make_mac(NULL, 0, one);
	net_make_mac(NULL, 0, two);
	assert_memory_not_equal(one, two, 6);
	assert_int_equal(one[0] & 3, 2);
}

/* The same name in containers of one image: they differ in the name of the host alone. */
static void test_address_in_container(void **state)
{
	u8 here[6], there[2][6];

	net_make_mac("a", 0, here);
	if (unshare(CLONE_NEWUTS))
		skip();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sethostname(i ? "two" : "one", 3), 0);
		net_make_mac("a", 0, there[i]);
	}
	assert_memory_not_equal(there[0], there[1], 6);
	assert_memory_not_equal(there[0], here, 6);
}

static void test_send(void **state)
{
	struct rig_buf bufs[2] = { { RIG_DATA, 12, false }, { RIG_DATA + 100, 600, false } };
	struct rig r;
	struct sock_net *s = start(&r, 0);
	u8 got[2048], sent[612];

	for (int i = 0; i < 10; i++) {
		fill(sent, sizeof(sent), (u8)i);
		memcpy(rig_ptr(&r, RIG_DATA), sent, 12);
		memcpy(rig_ptr(&r, RIG_DATA + 100), sent + 12, 600);
		rig_add(&r, TX, bufs, 2);
		rig_notify(&r, TX);
		assert_true(rig_used(&r, TX, NULL) >= 0);
		assert_int_equal(recv(s->peer, got, sizeof(got), 0), 612);
		assert_memory_equal(got, sent, 612);
	}
	stop(&r);
}

/* Packets without header, of no length and of any length are dropped; the device lives. */
static void test_send_bad(void **state)
{
	struct rig_buf cases[] = {
		{ RIG_DATA, 11, false },
		{ RIG_DATA, 12, false },
		{ RIG_DATA, 4 * MiB, false },
		{ RIG_DATA, 100, true },
	};
	struct rig r;
	struct sock_net *s = start(&r, 0);
	u8 got[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		rig_add(&r, TX, &cases[i], 1);
		rig_notify(&r, TX);
		assert_true(rig_used(&r, TX, NULL) >= 0);
	}
	assert_int_equal(recv(s->peer, got, sizeof(got), 0), -1);
	assert_true(rig_live(&r));
	stop(&r);
}

/* A full backend: the packet waits, and everything arrives in order when the reader reads. */
static void test_send_full(void **state)
{
	struct rig_buf buf = { RIG_DATA, 60000, false };
	struct rig r;
	struct sock_net *s = start(&r, 0);
	static u8 got[65536];
	unsigned int sent = 0, received = 0, back = 0;

	for (; sent < 100; sent++)
		rig_add(&r, TX, &buf, 1);
	rig_notify(&r, TX);
	while (rig_used(&r, TX, NULL) >= 0)
		back++;
	assert_true(back > 0 && back < sent);
	for (int tries = 0; received < sent && tries < HANG; tries++) {
		if (recv(s->peer, got, sizeof(got), 0) == 60000)
			received++;
		else
			usleep(100);
	}
	assert_int_equal(received, sent);
	while (back < sent) {
		wait_used(&r, TX, NULL);
		back++;
	}
	stop(&r);
}

static void test_receive(void **state)
{
	struct rig_buf buf = { RIG_DATA, 2000, true };
	struct rig r;
	struct sock_net *s = start(&r, 0);
	u8 sent[1000];

	fill(sent, sizeof(sent), 1);
	/* A packet that comes first waits for its buffer. */
	assert_int_equal(send(s->peer, sent, sizeof(sent), 0), sizeof(sent));
	settle(&r, RX);
	assert_int_equal(rig_used(&r, RX, NULL), -1);
	rig_add(&r, RX, &buf, 1);
	rig_notify(&r, RX);
	check_received(&r, sent, sizeof(sent), &buf, 1);
	/* And a buffer that comes first waits for its packet. */
	buf.gpa += 4096;
	rig_add(&r, RX, &buf, 1);
	rig_notify(&r, RX);
	fill(sent, sizeof(sent), 9);
	assert_int_equal(send(s->peer, sent, sizeof(sent), 0), sizeof(sent));
	check_received(&r, sent, sizeof(sent), &buf, 1);
	stop(&r);
}

static u8 big[BIG];

/* 5.1.6.4: one packet over many buffers, visible all at once, the count in the first header. */
static void test_mergeable(void **state)
{
	const unsigned int n = (sizeof(big) + 1525) / 1526;
	struct rig_buf bufs[44];
	struct rig r;
	struct sock_net *s = start(&r, 0);

	assert_true(n <= 44);
	for (unsigned int i = 0; i < 44; i++)
		bufs[i] = (struct rig_buf){ RIG_DATA + i * 2048, 1526, true };
	for (int round = 0; round < 30; round++) {
		u16 idx;

		rig_start(&r, r.vdev, BIT_ULL(VIRTIO_NET_F_MRG_RXBUF));
		for (unsigned int i = 0; i < 44; i++)
			rig_add(&r, RX, &bufs[i], 1);
		rig_notify(&r, RX);
		fill(big, sizeof(big), (u8)round);
		assert_int_equal(send(s->peer, big, sizeof(big), 0), sizeof(big));
		do {
			idx = le16_to_cpu(__atomic_load_n(&r.q[RX].used->idx, __ATOMIC_ACQUIRE));
		} while (!idx);
		assert_int_equal(idx, n);
		check_received(&r, big, sizeof(big), bufs, n);
	}
	stop(&r);
}

/* What rx_push stands on: nothing is visible before the last of them. */
static void push_three(void *opaque)
{
	static struct iovec iov[3][VIRTQ_MAX_SEGS];
	struct rig *r = opaque;
	struct virtq_request req[3];

	for (u16 i = 0; i < 3; i++)
		assert_int_equal(virtio_pop(r->vdev, RX, &req[i], iov[i], VIRTQ_MAX_SEGS), 1);
	virtio_push_later(r->vdev, RX, &req[0], 10);
	virtio_push_later(r->vdev, RX, &req[1], 11);
	assert_int_equal(rig_used(r, RX, NULL), -1);
	virtio_push(r->vdev, RX, &req[2], 12);
}

static void test_push_later(void **state)
{
	struct rig_buf buf = { RIG_DATA, 1526, true };
	struct rig r;
	u32 len;

	start(&r, 0);
	for (u16 i = 0; i < 3; i++)
		rig_add(&r, RX, &buf, 1);
	event_call_sync(r.vdev->queues[RX].loop, push_three, &r);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(rig_used(&r, RX, &len), i);
		assert_int_equal(len, 10 + i);
	}
	stop(&r);
}

/* The guest is short of buffers when a long packet comes: it is whole in the end. */
static void test_mergeable_late_buffers(void **state)
{
	struct rig_buf bufs[44];
	struct rig r;
	struct sock_net *s = start(&r, 0);

	fill(big, sizeof(big), 5);
	for (unsigned int i = 0; i < 44; i++)
		bufs[i] = (struct rig_buf){ RIG_DATA + i * 2048, 1526, true };
	for (unsigned int i = 0; i < 10; i++)
		rig_add(&r, RX, &bufs[i], 1);
	rig_notify(&r, RX);
	assert_int_equal(send(s->peer, big, sizeof(big), 0), sizeof(big));
	settle(&r, RX);
	assert_int_equal(rig_used(&r, RX, NULL), -1);
	for (unsigned int i = 10; i < 44; i++) {
		rig_add(&r, RX, &bufs[i], 1);
		rig_notify(&r, RX);
	}
	check_received(&r, big, sizeof(big), bufs, (sizeof(big) + 1525) / 1526);
	stop(&r);
}

/* Without mergeable buffers a packet that does not fit is dropped, not cut. */
static void test_too_long(void **state)
{
	struct rig_buf buf = { RIG_DATA, 1526, true };
	struct rig r;
	struct sock_net *s = start(&r, BIT_ULL(VIRTIO_NET_F_MRG_RXBUF));
	u8 sent[200];

	rig_add(&r, RX, &buf, 1);
	rig_notify(&r, RX);
	fill(big, sizeof(big), 5);
	fill(sent, sizeof(sent), 6);
	assert_int_equal(send(s->peer, big, 1527, 0), 1527);
	assert_int_equal(send(s->peer, sent, sizeof(sent), 0), sizeof(sent));
	check_received(&r, sent, sizeof(sent), &buf, 1);
	stop(&r);
}

/* Buffers so small that a packet never fits: it is dropped, the next one passes. */
static void test_tiny_buffers(void **state)
{
	struct rig_buf bufs[256];
	struct rig r;
	struct sock_net *s = start(&r, 0);
	u8 sent[40];

	for (unsigned int i = 0; i < 256; i++) {
		bufs[i] = (struct rig_buf){ RIG_DATA + i * 16, 16, true };
		rig_add(&r, RX, &bufs[i], 1);
	}
	rig_notify(&r, RX);
	fill(big, sizeof(big), 5);
	fill(sent, sizeof(sent), 6);
	assert_int_equal(send(s->peer, big, 5000, 0), 5000);
	assert_int_equal(send(s->peer, sent, sizeof(sent), 0), sizeof(sent));
	check_received(&r, sent, sizeof(sent), bufs, 3);
	stop(&r);
}

static void test_bad_receive_buffers(void **state)
{
	struct rig_buf buf = { RIG_DATA, 11, true };
	struct rig_buf out = { RIG_DATA, 2000, false };
	struct rig r;
	struct virtio_device *vdev;
	struct sock_net *s = start(&r, 0);
	u8 sent[40] = { 0 };

	vdev = r.vdev;
	rig_add(&r, RX, &buf, 1);
	rig_notify(&r, RX);
	assert_true(vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	/* A broken device leaves its packets alone and does not spin on them. */
	send(s->peer, sent, sizeof(sent), 0);
	settle(&r, RX);
	rig_start(&r, vdev, 0);
	rig_add(&r, RX, &out, 1);
	rig_notify(&r, RX);
	assert_true(vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	stop(&r);
}

/* Calls @fn for each descriptor that the queues' loops wait for, with the EPOLL* as epoll's own
 * file tells them (proc(5)). */
static void each_watch(struct virtio_device *vdev,
		       void (*fn)(void *arg, int fd, unsigned int events), void *arg)
{
	for (u16 i = 0; i < vdev->nr_loops; i++) {
		char path[64], line[256];
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", vdev->loops[i].epoll_fd);
		f = fopen(path, "r");
		assert_non_null(f);
		while (fgets(line, sizeof(line), f)) {
			unsigned int events;
			int fd;

			if (sscanf(line, "tfd: %d events: %x", &fd, &events) == 2)
				fn(arg, fd, events);
		}
		fclose(f);
	}
}

struct watch_of {
	int fd;
	unsigned int events;
};

static void add_events(void *arg, int fd, unsigned int events)
{
	struct watch_of *w = arg;

	if (fd == w->fd)
		w->events |= events;
}

static unsigned int watched(struct virtio_device *vdev, int fd)
{
	struct watch_of w = { .fd = fd };

	each_watch(vdev, add_events, &w);
	return w.events;
}

/* Packets wait and the guest gives no buffers: nobody burns the host's time. */
static void test_no_busy_loop(void **state)
{
	struct rig r;
	struct sock_net *s = start(&r, 0);
	u8 sent[40] = { 0 };

	send(s->peer, sent, sizeof(sent), 0);
	rig_notify(&r, RX);
	settle(&r, RX);
	assert_int_equal(watched(r.vdev, s->nb.pair[0].poll_fd) & EPOLLIN, 0);
	stop(&r);
}

static bool has_room(struct net_backend *nb)
{
	struct pollfd p = { .fd = nb->pair[0].room_fd, .events = POLLOUT };

	assert_true(poll(&p, 1, 0) >= 0);
	return p.revents & POLLOUT;
}

/* Who waits for room in a loopback that is full waits, until a packet was taken out. */
static void test_loopback_full(void **state)
{
	struct iovec iov = { .iov_base = big, .iov_len = 30000 };
	struct net_backend *nb;
	unsigned int sent = 0;

	assert_int_equal(net_loopback_open(&nb), 0);
	assert_true(has_room(nb));
	while (nb->ops->writev(&nb->pair[0], &iov, 1) == 30000)
		sent++;
	assert_true(sent > 0);
	assert_false(has_room(nb));
	while (sent--)
		assert_int_equal(nb->ops->readv(&nb->pair[0], &iov, 1), 30000);
	assert_true(has_room(nb));
	nb->ops->close(nb);
}

static void count_one(void *arg, int fd, unsigned int events)
{
	++*(unsigned int *)arg;
}

static unsigned int count_watches(struct virtio_device *vdev)
{
	unsigned int n = 0;

	each_watch(vdev, count_one, &n);
	return n;
}

/* A driver that starts takes nothing from the host that was not there before: it could be short. */
static void test_watches(void **state)
{
	struct rig r;
	unsigned int before;

	start(&r, 0);
	before = count_watches(r.vdev);
	virtio_device_reset(r.vdev);
	assert_int_equal(count_watches(r.vdev), before);
	rig_start(&r, r.vdev, 0);
	assert_int_equal(count_watches(r.vdev), before);
	stop(&r);
}

/* Both directions on one loop. */
static void test_one_loop(void **state)
{
	struct rig_buf buf = { RIG_DATA, 2000, true };
	struct rig_buf out = { RIG_DATA + 4096, 500, false };
	struct rig r;
	struct sock_net *s = start(&r, 0);
	u8 sent[100];

	virtio_device_reset(r.vdev);
	assert_int_equal(virtio_use_loop(r.vdev, &r.vm.loop), 0);
	rig_start(&r, r.vdev, 0);
	rig_add(&r, RX, &buf, 1);
	rig_notify(&r, RX);
	fill(sent, sizeof(sent), 1);
	assert_int_equal(send(s->peer, sent, sizeof(sent), 0), sizeof(sent));
	rig_pump(&r);
	check_received(&r, sent, sizeof(sent), &buf, 1);
	rig_add(&r, TX, &out, 1);
	rig_notify(&r, TX);
	assert_true(rig_used(&r, TX, NULL) >= 0);
	assert_int_equal(recv(s->peer, sent, sizeof(sent), 0), sizeof(sent));
	stop(&r);
}

/* The interface is removed: link down, an interrupt, no busy loop, sending goes nowhere. */
static void test_gone(void **state)
{
	struct rig_buf buf = { RIG_DATA, 100, false };
	struct virtio_net_config cfg;
	struct rig r;
	struct sock_net *s = start(&r, 0);
	unsigned int irqs = 0;

	close(s->peer);
	s->peer = -1;
	for (int i = 0; i < HANG && !irqs; i++) {
		usleep(100);
		virtio_lock(r.vdev);
		irqs = r.config_irqs;
		virtio_unlock(r.vdev);
	}
	assert_int_equal(irqs, 1);
	virtio_config_read(r.vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(le16_to_cpu(cfg.status), 0);
	rig_add(&r, TX, &buf, 1);
	rig_notify(&r, TX);
	wait_used(&r, TX, NULL);
	settle(&r, RX);
	settle(&r, TX);
	assert_int_equal(watched(r.vdev, s->nb.pair[0].poll_fd), 0);
	assert_int_equal(watched(r.vdev, s->nb.pair[0].room_fd), 0);
	rig_start(&r, r.vdev, 0);
	stop(&r);
}

/* What the host sends before the first driver is there waits for it. */
static void test_early(void **state)
{
	struct rig_buf buf = { RIG_DATA, 2000, true };
	struct virtio_device *vdev;
	u8 sent[100];
	struct rig r;
	struct sock_net *s = make(&r, &vdev);

	fill(sent, sizeof(sent), 1);
	send(s->peer, sent, sizeof(sent), 0);
	rig_start(&r, vdev, BIT_ULL(VIRTIO_NET_F_MRG_RXBUF));
	rig_add(&r, RX, &buf, 1);
	rig_notify(&r, RX);
	check_received(&r, sent, sizeof(sent), &buf, 1);
	stop(&r);
}

/* A reset in the middle of everything forgets buffers and packets of the last driver. */
static void test_reset(void **state)
{
	struct rig_buf buf = { RIG_DATA, 2000, true };
	struct rig r;
	struct sock_net *s = start(&r, 0);
	u8 sent[100];

	fill(sent, sizeof(sent), 1);
	for (int i = 0; i < 20; i++) {
		rig_add(&r, RX, &buf, 1);
		rig_notify(&r, RX);
		if (i & 1)
			send(s->peer, sent, sizeof(sent), 0);
		rig_start(&r, r.vdev, i % 3 ? BIT_ULL(VIRTIO_NET_F_MRG_RXBUF) : 0);
		rig_add(&r, RX, &buf, 1);
		rig_notify(&r, RX);
		r.queue_irqs[RX] = 0;
		send(s->peer, sent, sizeof(sent), 0);
		check_received(&r, sent, sizeof(sent), &buf, 1);
	}
	stop(&r);
}

static void test_fuzz(void **state)
{
	struct rig r;
	struct sock_net *s = start(&r, 0);
	static u8 got[65536];
	u64 seed = 77;

	for (int round = 0; round < 5000; round++) {
		u16 q = (u16)(rig_rand(&seed) % 3);
		struct rig_buf bufs[6];
		unsigned int n = 1 + (unsigned int)(rig_rand(&seed) % 6);
		unsigned int first_in = q == RX ? 0 : (unsigned int)(rig_rand(&seed) % (n + 1));

		for (unsigned int i = 0; i < n; i++) {
			bufs[i].gpa = RIG_DATA + rig_rand(&seed) % MiB;
			bufs[i].len = (u32)(rig_rand(&seed) % (rig_rand(&seed) % 8 ? 2000 : 70000));
			bufs[i].in = i >= first_in;
		}
		rig_add(&r, q, bufs, n);
		rig_notify(&r, q);
		if (rig_rand(&seed) % 2)
			send(s->peer, big, 12 + rig_rand(&seed) % 9000, 0);
		while (recv(s->peer, got, sizeof(got), 0) > 0)
			;
		for (u16 i = 0; i < 3; i++)
			while (rig_used(&r, i, NULL) >= 0)
				;
		if (!rig_live(&r) || round % 200 == 199)
			rig_start(&r, r.vdev, rig_rand(&seed) % 2 ? virtio_offered(r.vdev) : 0);
	}
	stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_address_in_container),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_send),
		cmocka_unit_test(test_send_bad),
		cmocka_unit_test(test_send_full),
		cmocka_unit_test(test_receive),
		cmocka_unit_test(test_mergeable),
		cmocka_unit_test(test_push_later),
		cmocka_unit_test(test_mergeable_late_buffers),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_tiny_buffers),
		cmocka_unit_test(test_bad_receive_buffers),
		cmocka_unit_test(test_no_busy_loop),
		cmocka_unit_test(test_loopback_full),
		cmocka_unit_test(test_watches),
		cmocka_unit_test(test_one_loop),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_early),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_fuzz),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
