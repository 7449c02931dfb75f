/* SPDX-License-Identifier: MIT */
/* vhost/kernel.c, and the devices over it, with a kernel of the test's own. */
#include <linux/virtio_vsock.h>

#include "../lib/fake_vhost.h"
#include "capture.h"
#include "lkvm/util.h"
#include "lkvm/vhost.h"
#include "net_pair.h"

#define FRAME (RIG_DATA + 0x20000)
#define EVENT 2

static struct rig rig;
static struct vhost *vhost;

static unsigned int running(void)
{
	unsigned int n = 0;

	pthread_mutex_lock(&fake.lock);
	for (unsigned int i = 0; i < fake.nr; i++)
		for (int r = 0; r < 2 && fake.dev[i].fd >= 0; r++)
			n += fake.dev[i].ring[r].runs;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

static void await_running(unsigned int n)
{
	u64 until = now_ns() + hang_seconds() * 1000000000ULL;

	while (running() != n) {
		assert_true(now_ns() < until);
		sched_yield();
	}
}

/* A card */

static struct virtio_device *make_card(u16 pairs)
{
	struct sock_net *s = make_unlinked(&rig, pairs);
	struct virtio_device *vdev;
	int taps[MAX_PAIRS];

	fake.tables = 0;
	for (u16 i = 0; i < pairs; i++)
		taps[i] = s->nb.pair[i].poll_fd;
	assert_int_equal(vhost_net_open("--network x,vhost=1", taps, pairs, &vhost), 0);
	s->nb.vhost = vhost;
	assert_int_equal(virtio_net_new(&rig.vm, &s->nb, mac, 0, &vdev), 0);
	return vdev;
}

static void start_card(u16 pairs)
{
	struct virtio_device *vdev = make_card(pairs);

	rig_start(&rig, vdev, virtio_offered(vdev));
}

static void stop_card(void)
{
	rig_stop(&rig);
	vhost->ops->close(vhost);
	sock_close(&pair->nb);
	assert_int_equal(running(), 0);
}

static void offer(u16 p)
{
	struct rig_buf buf = { FRAME + p * 0x1000u, 2000, true };

	rig_add(&rig, (u16)(2 * p), &buf, 1);
	virtio_kick(rig.vdev, (u16)(2 * p));
}

static void come(u16 p, size_t len)
{
	u8 sent[200] = { 0 };

	assert_int_equal(send(pair->peers[p], sent, len, 0), len);
}

static void go_out(u16 p, size_t len)
{
	struct rig_buf buf = { FRAME + 0x8000, (u32)len, false };

	rig_add(&rig, (u16)(2 * p + 1), &buf, 1);
	virtio_kick(rig.vdev, (u16)(2 * p + 1));
}

static void await_packet(u16 p, size_t len)
{
	struct pollfd pfd = { .fd = pair->peers[p], .events = POLLIN };
	u8 got[200];

	assert_int_equal(poll(&pfd, 1, (int)hang_seconds() * 1000), 1);
	assert_int_equal(recv(pair->peers[p], got, sizeof(got), 0), len);
}

/* A packet each way. */
static void pass(u16 p)
{
	u32 len;

	offer(p);
	come(p, 100u + p);
	wait_used(&rig, (u16)(2 * p), &len);
	assert_int_equal(len, 100 + p);
	expect_irq(&rig, (u16)(2 * p));
	go_out(p, 60u + p);
	wait_used(&rig, (u16)(2 * p + 1), NULL);
	await_packet(p, 60u + p);
}

static u8 set_pairs(u16 pairs)
{
	return ctrl_number(&rig, CLASS_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs, 2);
}

static void test_card(void **state)
{
	u64 offered;

	start_card(1);
	offered = virtio_offered(rig.vdev);
	/* What the tap has, what the kernel has, and nothing that only lkvm could do. */
	assert_true(offered & BIT_ULL(VIRTIO_NET_F_HOST_TSO4));
	assert_true(offered & BIT_ULL(VIRTIO_NET_F_MRG_RXBUF));
	assert_false(offered & (BIT_ULL(VIRTIO_F_RING_PACKED) | BIT_ULL(VIRTIO_F_IN_ORDER) |
				BIT_ULL(VIRTIO_RING_F_EVENT_IDX)));
	assert_int_equal(fake.dev[0].features, BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(40) |
						       BIT_ULL(VIRTIO_NET_F_MRG_RXBUF));
	assert_int_equal(fake.dev[0].nr_regions, 1);
	assert_int_equal(pair->hdr_len, NET_HDR_LEN);
	for (int i = 0; i < 300; i++) /* around the ring */
		pass(0);
	/* Commands are ours. */
	assert_int_equal(ctrl_number(&rig, CLASS_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0, 1),
			 VIRTIO_NET_OK);
	pass(0);
	assert_true(rig_live(&rig));
	stop_card();
}

static void test_pairs(void **state)
{
	start_card(2);
	assert_false(virtio_offered(rig.vdev) & BIT_ULL(VIRTIO_NET_F_HASH_REPORT));
	assert_true(virtio_offered(rig.vdev) & BIT_ULL(VIRTIO_NET_F_RSS));
	await_running(2);
	pass(0);
	offer(1);
	for (u16 pairs = 2; pairs; pairs--) {
		assert_int_equal(set_pairs(pairs), VIRTIO_NET_OK);
		settle(&rig, 0);
		await_running(2 * pairs);
		assert_int_equal(pair->pairs, pairs);
		pass(0);
	}
	assert_int_equal(set_pairs(3), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(2), VIRTIO_NET_OK);
	come(1, 77);
	wait_used(&rig, 2, NULL);
	pass(1);
	assert_true(rig_live(&rig));
	stop_card();
}

/* A driver that knows one pair finds the control queue behind it. */
static void test_one_of_two(void **state)
{
	struct virtio_device *vdev = make_card(2);

	rig_start(&rig, vdev,
		  virtio_offered(vdev) & ~(BIT_ULL(VIRTIO_NET_F_MQ) | BIT_ULL(VIRTIO_NET_F_RSS)));
	await_running(2);
	assert_int_equal(ctrl_queue(&rig), 2);
	assert_int_equal(ctrl_number(&rig, CLASS_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1, 1),
			 VIRTIO_NET_OK);
	pass(0);
	stop_card();
}

static void test_pauses(void **state)
{
	start_card(2);
	assert_int_equal(set_pairs(2), VIRTIO_NET_OK);
	pass(0);
	pass(1);
	for (int i = 0; i < 3; i++) {
		virtio_quiesce(rig.vdev);
		assert_int_equal(running(), 0);
		assert_int_equal(rig.vdev->queues[0].vq.last_avail, i + 1);
		/* Nobody serves these. */
		offer(0);
		come(0, 100);
		settle(&rig, 0);
		assert_int_equal(rig_used(&rig, 0, NULL), -1);
		virtio_resume(rig.vdev);
		await_running(4);
		wait_used(&rig, 0, NULL);
		/* Memory may have come and gone. */
		assert_int_equal(fake.tables, 2 * (i + 2));
	}
	virtio_set_held(rig.vdev, true);
	virtio_wait_held(rig.vdev);
	assert_int_equal(running(), 0);
	virtio_set_held(rig.vdev, false);
	pass(0);
	pass(1);
	stop_card();
}

static void test_resets(void **state)
{
	struct virtio_device *vdev;

	start_card(2);
	vdev = rig.vdev;
	for (int i = 0; i < 3; i++) {
		pass(0);
		assert_int_equal(set_pairs(2), VIRTIO_NET_OK);
		pass(1);
		virtio_device_reset(vdev);
		assert_int_equal(running(), 0);
		rig_start(&rig, vdev, virtio_offered(vdev));
		await_running(2);
	}
	/* The end of a process: no ring is given away any more. */
	virtio_finish(vdev);
	assert_int_equal(running(), 0);
	virtio_kick(vdev, 0);
	settle(&rig, 0);
	assert_int_equal(running(), 0);
	stop_card();
}

static void test_queue_reset(void **state)
{
	struct virtqueue *vq;
	struct virtqueue was;

	start_card(1);
	pass(0);
	vq = &rig.vdev->queues[0].vq;
	was = *vq;
	virtio_reset_queue(rig.vdev, 0);
	virtio_wait_stopped(rig.vdev, false);
	await_running(1);
	go_out(0, 60);
	await_packet(0, 60);
	wait_used(&rig, 1, NULL);
	vq->size = was.size;
	vq->desc_gpa = was.desc_gpa;
	vq->avail_gpa = was.avail_gpa;
	vq->used_gpa = was.used_gpa;
	memset(rig_ptr(&rig, RIG_BASE), 0, 0x10000);
	rig.q[0].avail_idx = rig.q[0].last_used = 0;
	virtio_enable_queue(rig.vdev, 0);
	settle(&rig, 0);
	await_running(2);
	pass(0);
	stop_card();
}

static void await(bool (*done)(void))
{
	u64 until = now_ns() + hang_seconds() * 1000000000ULL;

	while (!done()) {
		assert_true(now_ns() < until);
		sched_yield();
	}
}

static bool is_down(void)
{
	return !(virtio_config_byte(rig.vdev, offsetof(struct virtio_net_config, status)) &
		 VIRTIO_NET_S_LINK_UP);
}

static void test_tap_removed(void **state)
{
	start_card(1);
	pass(0);
	assert_false(is_down());
	close(pair->peer);
	pair->peer = -1;
	await(is_down);
	assert_true(rig_live(&rig));
	stop_card();
}

static bool is_broken(void)
{
	return !rig_live(&rig);
}

static void test_broken_ring(void **state)
{
	struct rig_buf nowhere = { 0x10, 60, false };
	struct virtio_device *vdev;
	const char *said;

	start_card(1);
	vdev = rig.vdev;
	capture_begin();
	log_set_level(LOG_WARNING);
	rig_add(&rig, 1, &nowhere, 1);
	virtio_kick(vdev, 1);
	await(is_broken);
	settle(&rig, 0);
	said = capture_end();
	log_set_level(LOG_ERROR);
	assert_one_line(said);
	assert_contains(said, "--network x,vhost=1: the kernel's vhost stops: the driver breaks");
	assert_int_equal(running(), 0);
	virtio_device_reset(vdev);
	rig_start(&rig, vdev, virtio_offered(vdev));
	pass(0);
	assert_true(rig_live(&rig));
	stop_card();
}

/* One line, NEEDS_RESET, and an end; whatever it is that the kernel refuses. */
static void test_refused(void **state)
{
	static const unsigned long requests[] = {
		VHOST_SET_FEATURES,   VHOST_SET_MEM_TABLE,   VHOST_SET_VRING_NUM,
		VHOST_SET_VRING_BASE, VHOST_SET_VRING_ADDR,  VHOST_SET_VRING_KICK,
		VHOST_SET_VRING_CALL, VHOST_NET_SET_BACKEND, VHOST_SET_VRING_ERR,
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		struct virtio_device *vdev = make_card(1);
		const char *said;

		capture_begin();
		fake.refuse = requests[i];
		fake.error = i == 1 ? E2BIG : EINVAL;
		rig_start(&rig, vdev, virtio_offered(vdev));
		assert_false(rig_live(&rig));
		virtio_device_reset(vdev);
		fake.refuse = 0;
		said = capture_end();
		assert_one_line(said);
		assert_contains(said, "--network x,vhost=1: the kernel's vhost refuses ");
		if (i == 1)
			assert_contains(said, "max_mem_regions");
		rig_stop(&rig);
		vhost->ops->close(vhost);
		sock_close(&pair->nb);
	}
}

/* Opening */

static void test_messages(void **state)
{
	int taps[2] = { 0, 0 };
	struct vhost *other;

	fake.no_device = ENODEV;
	capture_begin();
	assert_int_equal(vhost_net_open("--network tapif=a,vhost=1", taps, 1, &vhost), -ENODEV);
	assert_string_equal(capture_end(),
			    "lkvm: error: --network tapif=a,vhost=1: cannot open /dev/vhost-net: "
			    "No such device; load its driver with: modprobe vhost_net; or omit "
			    "vhost=1\n");
	capture_begin();
	assert_int_equal(vhost_vsock_open("--vsock 7", 7, &vhost), -ENODEV);
	assert_string_equal(capture_end(),
			    "lkvm: error: --vsock 7: cannot open /dev/vhost-vsock: No such device; "
			    "load its driver with: modprobe vhost_vsock; or use a unix socket: "
			    "--vsock 7,socket=PATH\n");
	fake.no_device = EMFILE;
	capture_begin();
	assert_int_equal(vhost_net_open("--network x", taps, 2, &vhost), -EMFILE);
	assert_contains(capture_end(), "Too many open files; raise 'ulimit -n'; or omit vhost=1\n");
	fake.no_device = 0;
	fake.refuse = VHOST_SET_OWNER;
	fake.error = ENOMEM;
	capture_begin();
	assert_int_equal(vhost_net_open("--network x", taps, 2, &vhost), -ENOMEM);
	assert_one_line(capture_end());
	fake.refuse = 0;
	assert_int_equal(vhost_vsock_open("--vsock 7", 7, &vhost), 0);
	capture_begin();
	assert_int_equal(vhost_vsock_open("--vsock 7", 7, &other), -EADDRINUSE);
	assert_string_equal(capture_end(), "lkvm: error: --vsock 7: Address already in use; "
					   "another guest has this address: choose another one\n");
	vhost->ops->close(vhost);
	for (unsigned int i = 0; i < fake.nr; i++)
		assert_int_equal(fake.dev[i].fd, -1);
}

/* Sockets */

static void start_vsock(void)
{
	struct virtio_device *vdev;

	rig_init(&rig);
	assert_int_equal(vhost_vsock_open("--vsock 7", 7, &vhost), 0);
	assert_int_equal(virtio_vhost_vsock_new(&rig.vm, vhost, 7, &vdev), 0);
	rig_start(&rig, vdev, virtio_offered(vdev));
}

static void stop_vsock(void)
{
	rig_stop(&rig);
	vhost->ops->close(vhost);
	assert_int_equal(running(), 0);
}

static void echo(u8 seed)
{
	struct rig_buf out = { FRAME, 100, false }, in = { FRAME + 0x1000, 200, true };
	u32 len;

	fill(rig_ptr(&rig, FRAME), 100, seed);
	rig_add(&rig, RX, &in, 1);
	rig_add(&rig, TX, &out, 1);
	virtio_kick(rig.vdev, TX);
	wait_used(&rig, RX, &len);
	wait_used(&rig, TX, NULL);
	assert_int_equal(len, 100);
	assert_memory_equal(rig_ptr(&rig, FRAME), rig_ptr(&rig, FRAME + 0x1000), 100);
	expect_irq(&rig, RX);
}

static void test_vsock(void **state)
{
	struct rig_buf event = { FRAME, 4, true };
	struct virtio_device *vdev;
	struct virtqueue was;

	start_vsock();
	vdev = rig.vdev;
	assert_true(virtio_has(vdev, 0)); /* STREAM */
	assert_true(virtio_has(vdev, 1)); /* SEQPACKET */
	assert_int_equal(fake.dev[0].cid, 7);
	assert_int_equal(virtio_config_byte(vdev, 0), 7);
	await_running(2);
	for (u8 i = 0; i < 10; i++)
		echo(i);
	/* A driver that starts is told of nothing. */
	rig_add(&rig, EVENT, &event, 1);
	rig_notify(&rig, EVENT);
	assert_int_equal(rig_used(&rig, EVENT, NULL), -1);
	virtio_quiesce(vdev);
	assert_int_equal(running(), 0);
	virtio_resume(vdev);
	echo(1);
	assert_int_equal(rig_used(&rig, EVENT, NULL), -1);
	/* Both rings run, or neither does. */
	was = vdev->queues[TX].vq;
	virtio_reset_queue(vdev, TX);
	virtio_wait_stopped(vdev, false);
	assert_int_equal(running(), 0);
	vdev->queues[TX].vq.size = was.size;
	vdev->queues[TX].vq.desc_gpa = was.desc_gpa;
	vdev->queues[TX].vq.avail_gpa = was.avail_gpa;
	vdev->queues[TX].vq.used_gpa = was.used_gpa;
	memset(rig_ptr(&rig, RIG_BASE + 0x10000), 0, 0x10000);
	rig.q[TX].avail_idx = rig.q[TX].last_used = 0;
	virtio_enable_queue(vdev, TX);
	settle(&rig, TX);
	await_running(2);
	echo(2);
	for (int i = 0; i < 3; i++) {
		virtio_device_reset(vdev);
		assert_int_equal(running(), 0);
		rig_start(&rig, vdev, virtio_offered(vdev));
		echo(3);
	}
	virtio_finish(vdev);
	assert_int_equal(running(), 0);
	stop_vsock();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_card),	    cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_one_of_two),  cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_resets),	    cmocka_unit_test(test_queue_reset),
		cmocka_unit_test(test_tap_removed), cmocka_unit_test(test_broken_ring),
		cmocka_unit_test(test_refused),	    cmocka_unit_test(test_messages),
		cmocka_unit_test(test_vsock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
