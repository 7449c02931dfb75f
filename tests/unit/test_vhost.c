/* SPDX-License-Identifier: MIT */
/* virtio/vhost.c, vhost-blk.c and vhost/user.c with a back end that serves, hangs up, or lies. */
#include <linux/virtio_net.h>

#include "vhost_rig.h"

static void test_serves(void **state)
{
	start_rig();
	assert_int_equal(open_device(PEER_HONEST, 0), 0);
	assert_int_equal(peer.acked, (FEATURES & (ACCEPTED | BIT_ULL(32))) | BIT_ULL(30));
	assert_int_equal(peer.regions, 1);
	assert_int_equal(get_le(rig.vdev->config, 8), 1234);
	/* What lkvm alone could do is not offered. */
	assert_int_equal(rig.vdev->host_features & (7ULL << 34 | BIT_ULL(38)), 0);
	assert_true(rig.vdev->host_features & BIT_ULL(VIRTIO_RING_F_EVENT_IDX));
	assert_false(rig.vdev->host_features & BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC));
	for (u16 q = 0; q < 2; q++) {
		ask(q);
		await_reply(q);
		await_interrupt(q, 0);
	}
	assert_true(rig_live(&rig));
	stop();
}

static void test_pauses(void **state)
{
	start_rig();
	assert_int_equal(open_device(PEER_HONEST, 0), 0);
	for (int i = 0; i < 3; i++) {
		ask(0);
		await_reply(0);
	}
	virtio_quiesce(rig.vdev);
	assert_int_equal(rig.vdev->queues[0].vq.last_avail, 3);
	assert_int_equal(peer.rings[0].kick, -1);
	/* It has no ring, so nobody serves this. */
	ask(0);
	assert_int_equal(rig_used(&rig, 0, NULL), -1);
	virtio_resume(rig.vdev);
	await_reply(0);
	ask(1);
	await_reply(1);
	stop();
}

static void test_reset(void **state)
{
	struct virtio_device *vdev;

	start_rig();
	assert_int_equal(open_device(PEER_HONEST, 0), 0);
	vdev = rig.vdev;
	ask(0);
	await_reply(0);
	for (int i = 0; i < 3; i++) {
		virtio_device_reset(vdev);
		assert_int_equal(peer.rings[0].kick, -1);
		rig_start(&rig, vdev, ACCEPTED);
		ask(0);
		await_reply(0);
	}
	virtio_reset_queue(vdev, 1); /* was not negotiated */
	assert_true(peer.rings[1].kick >= 0);
	stop();
}

/* Held: bus mastering is off. */
static void test_held(void **state)
{
	start_rig();
	assert_int_equal(open_device(PEER_HONEST, 0), 0);
	virtio_set_held(rig.vdev, true);
	virtio_wait_held(rig.vdev);
	assert_int_equal(peer.rings[0].kick, -1);
	ask(0);
	assert_int_equal(rig_used(&rig, 0, NULL), -1);
	virtio_set_held(rig.vdev, false);
	await_reply(0);
	stop();
}

/* The end of a process: every ring is taken back, and none is given away again. */
static void test_finish(void **state)
{
	start_rig();
	assert_int_equal(open_device(PEER_HONEST, 0), 0);
	virtio_finish(rig.vdev);
	assert_int_equal(peer.rings[0].kick, -1);
	virtio_kick(rig.vdev, 0);
	rig_notify(&rig, 0);
	assert_int_equal(peer.rings[0].kick, -1);
	stop();
}

/* One line in all, the driver is told where there is one, and everything ends. */
static void misbehave(enum peer_sin sin, unsigned int at, bool *harmless)
{
	const char *said;
	int ret;

	start_rig();
	capture_begin();
	ret = open_device(sin, at);
	if (!ret) {
		ask(0);
		/* By the back end, or without it. */
		await_any(0);
		/* What it says without being asked is met at the latest here. */
		virtio_device_reset(rig.vdev);
		stop();
	} else {
		peer_join(&peer);
		rig_free(&rig);
	}
	said = capture_end();
	*harmless = !*said;
	if (*said)
		assert_one_line(said);
	else
		assert_int_equal(ret, 0);
}

static void test_misbehaves(void **state)
{
	static const unsigned int least[PEER_SINS] = { 0, 22, 20, 20, 15, 15 };

	for (enum peer_sin sin = PEER_HANGS_UP; sin < PEER_SINS; sin++) {
		unsigned int caught = 0;

		for (unsigned int at = 0; at < 30; at++) {
			bool harmless;

			misbehave(sin, at, &harmless);
			caught += !harmless;
		}
		print_message("sin %u: seen %u times\n", sin, caught);
		assert_true(caught >= least[sin]);
	}
}

/* A back end that goes with requests under way: these, and all that come later, fail. */
static void test_goes(void **state)
{
	const char *said;
	u16 kept, next[2];

	start_rig();
	assert_int_equal(open_device(PEER_HONEST, 0), 0);
	atomic_store(&peer.keep, true);
	kept = ask(0);
	while (atomic_load(&peer.keep))
		sched_yield();
	ask(0);
	await_reply(0);
	atomic_store(&peer.deaf, true);
	for (int i = 0; i < 2; i++)
		next[i] = ask(0);
	ask(1);
	capture_begin();
	shutdown(peer.fd, SHUT_RDWR);
	assert_int_equal(await_any(0), kept);
	assert_int_equal(await_any(0), next[0]);
	assert_int_equal(await_any(0), next[1]);
	assert_int_equal(*(u8 *)rig_ptr(&rig, RIG_DATA), VIRTIO_BLK_S_IOERR);
	await_status(1, VIRTIO_BLK_S_IOERR);
	await_interrupt(0, 0);
	ask(0);
	await_status(0, VIRTIO_BLK_S_IOERR);
	/* One that has gone for us and lives on may read the notifications, so that we do not. */
	for (u16 q = 0; q < 2; q++) {
		offer(q);
		await_status(q, VIRTIO_BLK_S_IOERR);
	}
	/* A driver that begins again finds the disk that it knew, and hears the same. */
	virtio_device_reset(rig.vdev);
	rig_start(&rig, rig.vdev, ACCEPTED);
	assert_int_equal(get_le(rig.vdev->config, 8), 1234);
	ask(1);
	await_status(1, VIRTIO_BLK_S_IOERR);
	assert_true(rig_live(&rig));
	assert_int_equal(rig.config_irqs, 0);
	said = capture_end();
	assert_one_line(said);
	assert_contains(said, "--disk x: the vhost-user back end closed the connection");
	stop();
}

/* It goes when its rings are asked for: pausing, or bus mastering off. The errors wait until the
 * driver may have them. */
static void test_goes_held(void **state)
{
	start_rig();
	assert_int_equal(open_device(PEER_HANGS_UP, 29), 0);
	atomic_store(&peer.deaf, true);
	ask(0);
	ask(0);
	capture_begin();
	while (!vhost->gone) {
		virtio_set_held(rig.vdev, true);
		virtio_wait_held(rig.vdev);
		assert_int_equal(rig_used(&rig, 0, NULL), -1);
		virtio_set_held(rig.vdev, false);
		rig_notify(&rig, 0);
	}
	await_status(0, VIRTIO_BLK_S_IOERR);
	await_status(0, VIRTIO_BLK_S_IOERR);
	assert_one_line(capture_end());
	assert_true(rig_live(&rig));
	stop();
}

/* Indices that no driver makes: nobody can tell what was under way. */
static void test_goes_hostile(void **state)
{
	u64 until = now_ns() + hang_seconds() * 1000000000ULL;

	start_rig();
	assert_int_equal(open_device(PEER_HONEST, 0), 0);
	atomic_store(&peer.deaf, true);
	rig.q[0].avail->idx = cpu_to_le16(0x4000);
	capture_begin();
	shutdown(peer.fd, SHUT_RDWR);
	while (rig_live(&rig))
		assert_true(now_ns() < until);
	capture_end();
	stop();
}

static void test_words(void **state)
{
	struct virtio_device *vdev;

	start_rig();
	assert_int_equal(open_peer(PEER_HONEST, 0), 0);
	capture_begin();
	assert_int_equal(virtio_vhost_blk_new(&rig.vm, vhost, true, 1, 0, &vdev), -EINVAL);
	assert_int_equal(virtio_vhost_blk_new(&rig.vm, vhost, false, 5, 0, &vdev), -EINVAL);
	assert_contains(capture_end(), "queues=: the back end has 4;");
	vhost->ops->close(vhost);
	peer_join(&peer);
	peer_start(&peer, BIT_ULL(30), PEER_HONEST, 0);
	capture_begin();
	assert_int_equal(vhost_user_open(NULL, peer.other, "--disk x", &vhost), -ENOTSUP);
	assert_contains(capture_end(), "no VERSION_1");
	peer_join(&peer);
	rig_free(&rig);
}

/* What a file-system daemon answers to the first request of every FUSE driver. LKVM_VIRTIOFSD is
 * the socket of one that runs. */
static void test_virtiofs(void **state)
{
	static const u32 init[] = { 104, 26, 1, 0, 1, 0, 0, 0, 0, 0, 7, 31, 0x20000 };
	const char *path = getenv("LKVM_VIRTIOFSD");
	struct virtio_device *vdev;
	struct rig_buf bufs[] = { { .gpa = RIG_DATA, .len = 104 },
				  { .gpa = RIG_DATA + 4096, .len = 80, .in = true } };
	u64 until = now_ns() + hang_seconds() * 1000000000ULL;
	u32 len, out[4];

	start_rig();
	if (path)
		assert_int_equal(vhost_user_open(path, -1, "--virtiofs", &vhost), 0);
	else
		assert_int_equal(open_peer(PEER_HONEST, 0), 0);
	assert_int_equal(virtio_vhost_fs_new(&rig.vm, vhost, "a tag", 0, &vdev), 0);
	assert_string_equal((char *)vdev->config, "a tag");
	assert_int_equal(get_le(vdev->config + 36, 4), 1);
	rig_start(&rig, vdev, 0);
	memcpy(rig_ptr(&rig, RIG_DATA), init, sizeof(init));
	if (!path) {
		ask(1);
		await_reply(1);
		stop();
		return;
	}
	rig_add(&rig, 1, bufs, 2);
	virtio_kick(vdev, 1);
	while (rig_used(&rig, 1, &len) < 0)
		assert_true(now_ns() < until);
	memcpy(out, rig_ptr(&rig, RIG_DATA + 4096), sizeof(out));
	assert_int_equal(len, out[0]);
	assert_int_equal(out[1], 0);
	assert_int_equal(out[2], 1);
	rig_stop_device(&rig);
	vhost->ops->close(vhost);
	rig_free(&rig);
}

/* Who waits for a daemon that is gone hears ENOTCONN, by the number of the request. */
static void test_virtiofs_goes(void **state)
{
	static const u32 lookup[10] = { 56, 1, 0x1234, 0x5678, 1 };
	struct virtio_device *vdev;
	struct rig_buf bufs[] = { { .gpa = RIG_DATA, .len = 40 },
				  { .gpa = RIG_DATA + 4096, .len = 7, .in = true },
				  { .gpa = RIG_DATA + 8192, .len = 137, .in = true } };
	u8 out[16];
	u32 len;

	start_rig();
	assert_int_equal(open_peer(PEER_HONEST, 0), 0);
	assert_int_equal(virtio_vhost_fs_new(&rig.vm, vhost, "a tag", 0, &vdev), 0);
	rig_start(&rig, vdev, 0);
	atomic_store(&peer.deaf, true);
	memcpy(rig_ptr(&rig, RIG_DATA), lookup, sizeof(lookup));
	rig_add(&rig, 1, bufs, 3);
	virtio_kick(vdev, 1);
	rig_add(&rig, 0, bufs, 1);
	virtio_kick(vdev, 0);
	capture_begin();
	shutdown(peer.fd, SHUT_RDWR);
	await_interrupt(1, 0);
	await_interrupt(0, 0);
	capture_end();
	assert_int_equal(rig_used(&rig, 0, &len), 0);
	assert_int_equal(len, 0);
	assert_int_equal(rig_used(&rig, 1, &len), 0);
	assert_int_equal(len, 16);
	memcpy(out, rig_ptr(&rig, RIG_DATA + 4096), 7);
	memcpy(out + 7, rig_ptr(&rig, RIG_DATA + 8192), 9);
	assert_int_equal(get_le(out, 4), 16);
	assert_int_equal((s32)get_le(out + 4, 4), -ENOTCONN);
	assert_int_equal(get_le(out + 8, 8), 0x567800001234);
	stop();
}

/* A card: what the back end does to packets is its own, the address is lkvm's. When it is gone the
 * link is down, sending goes on into nothing, and buffers for packets stay where they are. */
static void test_net(void **state)
{
	static const u8 mac[6] = { 2, 0x15, 0x15, 1, 2, 3 };
	const u64 features = BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(30) |
			     BIT_ULL(VIRTIO_NET_F_MRG_RXBUF) | BIT_ULL(VIRTIO_NET_F_CTRL_VQ);
	struct virtio_device *vdev;
	struct rig_buf rx = { .gpa = RIG_DATA, .len = 2048, .in = true };
	struct rig_buf tx = { .gpa = RIG_DATA + 4096, .len = 100 };
	u8 config[12];
	u16 head;
	u32 len;

	start_rig();
	peer_start(&peer, features, PEER_HONEST, 0);
	fcntl(peer.other, F_SETFL, O_NONBLOCK);
	assert_int_equal(vhost_user_open(NULL, peer.other, "--network x", &vhost), 0);
	assert_int_equal(virtio_vhost_net_new(&rig.vm, vhost, mac, 1400, 0, &vdev), 0);
	assert_true(vdev->host_features & BIT_ULL(VIRTIO_NET_F_MRG_RXBUF));
	assert_true(vdev->host_features & BIT_ULL(VIRTIO_NET_F_MTU));
	assert_false(vdev->host_features & BIT_ULL(VIRTIO_NET_F_CTRL_VQ));
	assert_false(vdev->host_features & BIT_ULL(VIRTIO_NET_F_CSUM));
	rig_start(&rig, vdev, BIT_ULL(VIRTIO_NET_F_MAC) | BIT_ULL(VIRTIO_NET_F_STATUS));
	/* Nor is the back end told of what it does not know. */
	assert_int_equal(peer.acked, BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(30));
	virtio_config_read(vdev, 0, config, sizeof(config));
	assert_memory_equal(config, mac, 6);
	assert_int_equal(get_le(config + 6, 2), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(get_le(config + 10, 2), 1400);
	atomic_store(&peer.deaf, true);
	for (int i = 0; i < 3; i++)
		rig_add(&rig, 0, &rx, 1);
	head = rig_add(&rig, 1, &tx, 1);
	virtio_kick(vdev, 1);
	capture_begin();
	shutdown(peer.fd, SHUT_RDWR);
	assert_int_equal(await_any(1), head);
	for (int i = 0; i < 3; i++) {
		head = rig_add(&rig, 1, &tx, 1);
		virtio_kick(vdev, 1);
		assert_int_equal(await_any(1), head);
		rig_add(&rig, 0, &rx, 1);
		virtio_kick(vdev, 0);
	}
	assert_one_line(capture_end());
	virtio_config_read(vdev, 0, config, sizeof(config));
	assert_int_equal(get_le(config + 6, 2), 0);
	assert_int_equal(config_irqs(), 1);
	assert_int_equal(rig_used(&rig, 0, &len), -1);
	assert_true(rig_live(&rig));
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serves),	     cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_reset),	     cmocka_unit_test(test_held),
		cmocka_unit_test(test_finish),	     cmocka_unit_test(test_misbehaves),
		cmocka_unit_test(test_goes),	     cmocka_unit_test(test_goes_held),
		cmocka_unit_test(test_goes_hostile), cmocka_unit_test(test_words),
		cmocka_unit_test(test_virtiofs),     cmocka_unit_test(test_virtiofs_goes),
		cmocka_unit_test(test_net),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
