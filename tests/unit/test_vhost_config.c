/* SPDX-License-Identifier: MIT */
/* What a vhost-user back end hears of the configuration space and of memory, and says of them:
 * virtio/vhost-blk.c, vhost/channel.c and vhost/user-memory.c. */
#include "vhost_rig.h"

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

/* Memory */

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

/* One that takes regions one by one. */
static void open_slots(u64 slots)
{
	struct virtio_device *vdev;

	peer_start(&peer, FEATURES, PEER_HONEST, 0);
	peer.protocol |= BIT_ULL(15);
	peer.slots = slots;
	fcntl(peer.other, F_SETFL, O_NONBLOCK);
	assert_int_equal(vhost_user_open(NULL, peer.other, "--disk x", &vhost), 0);
	assert_int_equal(virtio_vhost_blk_new(&rig.vm, vhost, false, 2, 0, &vdev), 0);
	rig_start(&rig, vdev, ACCEPTED);
}

static void add_region(u32 i)
{
	struct memory_desc desc = {
		.gpa = RIG_BASE + RIG_SIZE + i * 0x10000ULL,
		.size = 0x10000,
		.backing = MEM_MEMFD,
		.name = "more",
	};

	assert_int_equal(memory_add(&rig.vm.mem, &desc), 0);
}

static void again(void)
{
	virtio_quiesce(rig.vdev);
	memory_reclaim(&rig.vm.mem);
	virtio_resume(rig.vdev);
	ask(0);
	await_reply(0);
}

static void test_slots(void **state)
{
	start_rig();
	for (u32 i = 0; i < 20; i++)
		add_region(i);
	open_slots(32);
	ask(0);
	await_reply(0);
	assert_int_equal(peer.added, 21);
	assert_int_equal(peer.regions, 21);
	assert_int_equal(peer.tables, 0);
	/* Nothing new, nothing said. */
	again();
	assert_int_equal(peer.added, 21);
	assert_int_equal(peer.removed, 0);
	/* One goes, one comes, one is another file at the same place. */
	assert_int_equal(memory_remove(&rig.vm.mem, RIG_BASE + RIG_SIZE), 0);
	assert_int_equal(memory_remove(&rig.vm.mem, RIG_BASE + RIG_SIZE + 0x30000), 0);
	memory_reclaim(&rig.vm.mem);
	add_region(3);
	add_region(20);
	again();
	assert_int_equal(peer.added, 23);
	assert_int_equal(peer.removed, 2);
	assert_int_equal(peer.regions, 21);
	stop();
}

static void test_too_few_slots(void **state)
{
	const char *said;

	start_rig();
	add_region(0);
	add_region(1);
	capture_begin();
	open_slots(2);
	ask(0);
	await_status(0, VIRTIO_BLK_S_IOERR);
	said = capture_end();
	assert_one_line(said);
	assert_contains(said, "cannot be given this guest's memory");
	stop();
}

/* It says that it knows slots, and has none: the table it is. */
static void test_no_slots(void **state)
{
	start_rig();
	add_region(0);
	open_slots(0);
	ask(0);
	await_reply(0);
	assert_int_equal(peer.tables, 1);
	assert_int_equal(peer.regions, 2);
	assert_int_equal(peer.added, 0);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows),	      cmocka_unit_test(test_insists),
		cmocka_unit_test(test_says_nonsense), cmocka_unit_test(test_write_cache),
		cmocka_unit_test(test_memory),	      cmocka_unit_test(test_slots),
		cmocka_unit_test(test_too_few_slots), cmocka_unit_test(test_no_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
