/* SPDX-License-Identifier: MIT */
/* virtio/vhost.c, vhost-blk.c and vhost/user.c with a back end that serves, hangs up, or lies. */
#include <fcntl.h>
#include <linux/virtio_net.h>

#include "capture.h"
#include "lkvm/util.h"
#include "lkvm/vhost.h"
#include "vhost_peer.h"
#include "virtio_rig.h"

#define FEATURES                                                                   \
	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(30) | BIT_ULL(VIRTIO_BLK_F_FLUSH) | \
	 BIT_ULL(VIRTIO_BLK_F_MQ) | BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE) |             \
	 BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | BIT_ULL(34) | BIT_ULL(35) | BIT_ULL(38))
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

/* Memory goes last: a peer that was cut off may still be busy with the ring that it was given. */
static void stop(void)
{
	rig_stop_device(&rig);
	vhost->ops->close(vhost);
	peer_join(&peer);
	rig_free(&rig);
}

/* Nobody is told. */
static u16 offer(u16 q)
{
	u8 *status = rig_ptr(&rig, RIG_DATA + 64 * q);
	struct rig_buf bufs[] = { { .gpa = RIG_DATA + 0x1000, .len = 16 },
				  { .gpa = RIG_DATA + 64 * q, .len = 1, .in = true } };

	*status = 0xff;
	return rig_add(&rig, q, bufs, 2);
}

static u16 ask(u16 q)
{
	u16 head = offer(q);

	virtio_kick(rig.vdev, q);
	return head;
}

static int await_any(u16 q)
{
	u64 until = now_ns() + hang_seconds() * 1000000000ULL;
	int head;

	while ((head = rig_used(&rig, q, NULL)) < 0) {
		assert_true(now_ns() < until);
		sched_yield();
	}
	return head;
}

static void await_status(u16 q, u8 status)
{
	await_any(q);
	assert_int_equal(*(u8 *)rig_ptr(&rig, RIG_DATA + 64 * q), status);
}

static void await_reply(u16 q)
{
	await_status(q, 0);
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

/* What it asks for by itself */

static void say(u32 request, u32 flags, u32 size)
{
	u32 m[3 + 256] = { request, flags, size };

	assert_int_equal(send(peer.asks, m, 12 + size, MSG_NOSIGNAL), 12 + size);
}

static u64 hear(u32 request)
{
	u8 m[20];

	assert_int_equal(recv(peer.asks, m, sizeof(m), MSG_WAITALL), sizeof(m));
	assert_int_equal(get_le(m, 4), request);
	assert_int_equal(get_le(m + 4, 4), 5);
	assert_int_equal(get_le(m + 8, 4), 8);
	return get_le(m + 12, 8);
}

static unsigned int config_irqs(void)
{
	unsigned int n;

	virtio_lock(rig.vdev);
	n = rig.config_irqs;
	virtio_unlock(rig.vdev);
	return n;
}

static void test_grows(void **state)
{
	u64 capacity;

	start_rig();
	assert_int_equal(open_device(PEER_HONEST, 0), 0);
	peer.capacity = 5678;
	say(2, 1, 0);
	/* Who wants an answer gets it when that was done. */
	say(2, 9, 0);
	assert_int_equal(hear(2), 0);
	while (config_irqs() < 2)
		sched_yield();
	virtio_config_read(rig.vdev, 0, &capacity, 8);
	assert_int_equal(capacity, 5678);
	/* What is not known, or not offered, is refused. */
	say(3, 9, 16);
	assert_int_equal(hear(3), 1);
	say(77, 9, 256);
	assert_int_equal(hear(77), 1);
	ask(0);
	await_reply(0);
	stop();
}

static void await_capacity(u64 wanted)
{
	u64 until = now_ns() + hang_seconds() * 1000000000ULL, capacity;

	do {
		assert_true(now_ns() < until);
		virtio_config_read(rig.vdev, 0, &capacity, 8);
	} while (capacity != wanted);
}

/* It wants a reply of its own before it replies: that is given, and what it said is heard. */
static void test_insists(void **state)
{
	struct virtio_device *vdev;

	start_rig();
	assert_int_equal(open_peer(PEER_HONEST, 0), 0);
	/* Nobody listens to it yet. */
	atomic_store(&peer.insists, true);
	assert_int_equal(virtio_vhost_blk_new(&rig.vm, vhost, false, 2, 0, &vdev), 0);
	rig_start(&rig, vdev, ACCEPTED);
	await_capacity(1235);
	peer.capacity = 77;
	atomic_store(&peer.insists, true);
	virtio_quiesce(rig.vdev);
	assert_false(atomic_load(&peer.insists));
	assert_false(vhost->gone);
	virtio_resume(rig.vdev);
	await_capacity(77);
	ask(0);
	await_reply(0);
	stop();
}

static void test_says_nonsense(void **state)
{
	static const u32 bad[][3] = { { 2, 2, 0 }, { 2, 5, 0 }, { 2, 1, 257 }, { 2, 1, ~0U } };

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		start_rig();
		assert_int_equal(open_device(PEER_HONEST, 0), 0);
		capture_begin();
		assert_int_equal(send(peer.asks, bad[i], 12, MSG_NOSIGNAL), 12);
		atomic_store(&peer.deaf, true);
		ask(0);
		await_status(0, VIRTIO_BLK_S_IOERR);
		assert_contains(capture_end(), "back end sent what is not a message");
		stop();
	}
}

static void await_wce(int value)
{
	u64 until = now_ns() + hang_seconds() * 1000000000ULL;

	while (atomic_load(&peer.wce) != value)
		assert_true(now_ns() < until);
}

static void test_write_cache(void **state)
{
	const u32 at = offsetof(struct virtio_blk_config, wce);
	u8 byte = 0;

	start_rig();
	assert_int_equal(open_device(PEER_HONEST, 0), 0);
	rig_start(&rig, rig.vdev, ACCEPTED | BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE));
	virtio_config_write(rig.vdev, at, &byte, 1);
	await_wce(0);
	ask(0);
	await_reply(0);
	/* A reset restores it. */
	virtio_device_reset(rig.vdev);
	await_wce(1);
	assert_int_equal(virtio_config_byte(rig.vdev, at), 1);
	stop();
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

static void test_memory(void **state)
{
	const char *said;

	rig_init(&rig); /* of a mapping that nobody else can have */
	capture_begin();
	assert_int_equal(open_device(PEER_HONEST, 0), 0);
	ask(0);
	await_status(0, VIRTIO_BLK_S_IOERR);
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
		cmocka_unit_test(test_serves),	    cmocka_unit_test(test_pauses),
		cmocka_unit_test(test_reset),	    cmocka_unit_test(test_held),
		cmocka_unit_test(test_finish),	    cmocka_unit_test(test_misbehaves),
		cmocka_unit_test(test_grows),	    cmocka_unit_test(test_says_nonsense),
		cmocka_unit_test(test_write_cache), cmocka_unit_test(test_goes),
		cmocka_unit_test(test_goes_held),   cmocka_unit_test(test_goes_hostile),
		cmocka_unit_test(test_memory),	    cmocka_unit_test(test_words),
		cmocka_unit_test(test_virtiofs),    cmocka_unit_test(test_virtiofs_goes),
		cmocka_unit_test(test_net),	    cmocka_unit_test(test_insists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
