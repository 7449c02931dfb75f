/* SPDX-License-Identifier: MIT */
/* virtio/vhost.c, vhost-blk.c and vhost/user.c with a back end that serves, hangs up, or lies. */
#include <fcntl.h>

#include "capture.h"
#include "lkvm/util.h"
#include "lkvm/vhost.h"
#include "vhost_peer.h"
#include "virtio_rig.h"

#define FEATURES                                                                                   \
	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(30) | BIT_ULL(VIRTIO_BLK_F_FLUSH) |                 \
	 BIT_ULL(VIRTIO_BLK_F_MQ) | BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | BIT_ULL(34) | BIT_ULL(35) | \
	 BIT_ULL(38))
#define ACCEPTED BIT_ULL(VIRTIO_BLK_F_FLUSH)

static struct rig rig;
static struct peer peer;
static struct vhost *vhost;

/* The rig, with memory that can be shared. */
static void start_rig(void)
{
	struct memory_desc desc = {
		.gpa = RIG_BASE, .size = RIG_SIZE, .backing = MEM_MEMFD, .name = "ram"
	};
	u8 *old;

	rig_init(&rig);
	old = rig.ram;
	memory_destroy(&rig.vm.mem);
	munmap(old, RIG_SIZE);
	memory_init(&rig.vm.mem);
	assert_int_equal(memory_add(&rig.vm.mem, &desc), 0);
	rig.ram = memory_find(&rig.vm.mem, RIG_BASE)->hva;
}

static int open_peer(enum peer_sin sin, unsigned int at)
{
	peer_start(&peer, FEATURES, sin, at);
	/* As unix_connect makes it. */
	fcntl(peer.other, F_SETFL, O_NONBLOCK);
	return vhost_user_open(NULL, peer.other, "--disk x", &vhost);
}

static int open_device(enum peer_sin sin, unsigned int at)
{
	struct virtio_device *vdev;
	int ret = open_peer(sin, at);

	if (ret)
		return ret;
	ret = virtio_vhost_blk_new(&rig.vm, vhost, false, 2, 0, &vdev);
	if (ret)
		vhost->ops->close(vhost);
	else
		rig_start(&rig, vdev, ACCEPTED);
	return ret;
}

static void stop(void)
{
	rig_stop(&rig);
	vhost->ops->close(vhost);
	peer_join(&peer);
}

/* The peer takes addresses for its own: the buffer's is given so. */
static void ask(u16 q)
{
	u8 *status = rig_ptr(&rig, RIG_DATA + 64 * q);
	struct rig_buf bufs[] = { { .gpa = RIG_DATA + 0x1000, .len = 16 },
				  { .gpa = (uintptr_t)status, .len = 1, .in = true } };

	*status = 0xff;
	rig_add(&rig, q, bufs, 2);
	virtio_kick(rig.vdev, q);
}

static void await_reply(u16 q)
{
	u64 until = now_ns() + hang_seconds() * 1000000000ULL;

	while (rig_used(&rig, q, NULL) < 0) {
		assert_true(now_ns() < until);
		sched_yield();
	}
	assert_int_equal(*(u8 *)rig_ptr(&rig, RIG_DATA + 64 * q), 0);
}

static void await_interrupt(u16 q, unsigned int more_than)
{
	u64 until = now_ns() + hang_seconds() * 1000000000ULL;
	unsigned int n;

	do {
		assert_true(now_ns() < until);
		virtio_lock(rig.vdev);
		n = rig.queue_irqs[q];
		virtio_unlock(rig.vdev);
	} while (n <= more_than);
}

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
		/* What it says without being asked is met at the latest here. */
		virtio_device_reset(rig.vdev);
		rig_stop(&rig);
		vhost->ops->close(vhost);
	} else {
		memory_destroy(&rig.vm.mem);
		event_loop_destroy(&rig.vm.loop);
	}
	peer_join(&peer);
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

/* A back end that goes while nobody asks it anything. */
static void test_goes(void **state)
{
	u64 until = now_ns() + hang_seconds() * 1000000000ULL;
	unsigned int irqs;
	const char *said;

	start_rig();
	assert_int_equal(open_device(PEER_HONEST, 0), 0);
	ask(0);
	await_reply(0);
	capture_begin();
	shutdown(peer.fd, SHUT_RDWR);
	while (rig_live(&rig))
		assert_true(now_ns() < until);
	virtio_lock(rig.vdev);
	irqs = rig.config_irqs;
	virtio_unlock(rig.vdev);
	assert_int_equal(irqs, 1);
	/* A driver that tries again is told again; the user is not. */
	virtio_device_reset(rig.vdev);
	rig_start(&rig, rig.vdev, ACCEPTED);
	assert_false(rig_live(&rig));
	said = capture_end();
	assert_one_line(said);
	assert_contains(said, "--disk x: the vhost-user back end closed the connection");
	stop();
}

static void test_memory(void **state)
{
	const char *said;

	rig_init(&rig); /* of a mapping that nobody else can have */
	capture_begin();
	assert_int_equal(open_device(PEER_HONEST, 0), 0);
	assert_false(rig_live(&rig));
	said = capture_end();
	assert_one_line(said);
	assert_contains(said, "cannot be given this guest's memory");
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
	memory_destroy(&rig.vm.mem);
	event_loop_destroy(&rig.vm.loop);
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
	rig_stop(&rig);
	vhost->ops->close(vhost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serves), cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_reset),  cmocka_unit_test(test_held),
		cmocka_unit_test(test_finish), cmocka_unit_test(test_misbehaves),
		cmocka_unit_test(test_goes),   cmocka_unit_test(test_memory),
		cmocka_unit_test(test_words),  cmocka_unit_test(test_virtiofs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
