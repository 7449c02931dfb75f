/* SPDX-License-Identifier: MIT */
/* virtio/console*.c with several ports: what the driver is told and tells (VIRTIO 1.3, 5.3.6.2). */
#include <linux/virtio_console.h>
#include <stdlib.h>

#include "lkvm/console.h"
#include "virtio_rig.h"

enum { RX0, TX0, CONTROL_RX, CONTROL_TX, RX1, TX1 };

/* Where control messages are put, and come. */
#define MSG_OUT (RIG_DATA + 0x1000)
#define MSG_IN	(RIG_DATA + 0x2000)
#define ROOM	64

struct side {
	struct console con;
	const struct console_client *client;
	char out[256];
	size_t out_len;
};

static struct side sides[2];
static bool given; /* the device has a buffer for control messages */

static struct side *to_side(struct console *con)
{
	return container_of(con, struct side, con);
}

static void side_write(struct console *con, const u8 *buf, size_t len)
{
	struct side *s = to_side(con);

	assert_true(len <= sizeof(s->out) - s->out_len);
	memcpy(s->out + s->out_len, buf, len);
	s->out_len += len;
}

static void side_set_client(struct console *con, const struct console_client *client)
{
	struct side *s = to_side(con);

	s->client = client;
	/* Nobody is there at first at the second. */
	if (client && s == &sides[1])
		client->connected(client->opaque, false);
}

static void side_input_ready(struct console *con) {}

static const struct console_ops side_ops = {
	.write = side_write,
	.set_client = side_set_client,
	.input_ready = side_input_ready,
};

static void make(struct rig *r, struct virtio_device **vdev)
{
	const struct virtio_console_port ports[] = {
		{ .con = &sides[0].con, .is_console = true },
		{ .con = &sides[1].con, .name = "org.lkvm.test" },
	};

	memset(sides, 0, sizeof(sides));
	given = false;
	sides[0].con.ops = sides[1].con.ops = &side_ops;
	rig_init(r);
	assert_int_equal(virtio_console_new(&r->vm, ports, 2, vdev), 0);
}

static void start(struct rig *r)
{
	struct virtio_device *vdev;

	make(r, &vdev);
	rig_start(r, vdev, BIT_ULL(VIRTIO_CONSOLE_F_MULTIPORT));
}

static void say(struct rig *r, u32 id, u16 event, u16 value)
{
	struct virtio_console_control msg = { cpu_to_le32(id), cpu_to_le16(event),
					      cpu_to_le16(value) };
	struct rig_buf buf = { MSG_OUT, sizeof(msg), false };

	memcpy(rig_ptr(r, MSG_OUT), &msg, sizeof(msg));
	rig_add(r, CONTROL_TX, &buf, 1);
	rig_notify(r, CONTROL_TX);
	assert_true(rig_used(r, CONTROL_TX, NULL) >= 0);
}

/* Give a buffer; what was waiting to be said is in it now. Its length, or -1: nothing. */
static int hear(struct rig *r, struct virtio_console_control *msg)
{
	struct rig_buf buf = { MSG_IN, ROOM, true };
	u32 len;

	if (!given) {
		rig_add(r, CONTROL_RX, &buf, 1);
		given = true;
	}
	rig_notify(r, CONTROL_RX);
	if (rig_used(r, CONTROL_RX, &len) < 0)
		return -1;
	given = false;
	assert_true(len >= sizeof(*msg));
	memcpy(msg, rig_ptr(r, MSG_IN), sizeof(*msg));
	return (int)len;
}

static void assert_heard(struct rig *r, u32 id, u16 event, u16 value)
{
	struct virtio_console_control msg;

	assert_true(hear(r, &msg) >= 0);
	assert_int_equal(le32_to_cpu(msg.id), id);
	assert_int_equal(le16_to_cpu(msg.event), event);
	assert_int_equal(le16_to_cpu(msg.value), value);
}

static void assert_silence(struct rig *r)
{
	struct virtio_console_control msg;

	assert_int_equal(hear(r, &msg), -1);
}

/* As Linux begins. */
static void bring_up(struct rig *r)
{
	say(r, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	assert_heard(r, 0, VIRTIO_CONSOLE_PORT_ADD, 1);
	assert_heard(r, 1, VIRTIO_CONSOLE_PORT_ADD, 1);
	say(r, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_heard(r, 0, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
	assert_heard(r, 0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	say(r, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	assert_heard(r, 1, VIRTIO_CONSOLE_PORT_NAME, 1);
	assert_memory_equal(rig_ptr(r, MSG_IN + sizeof(struct virtio_console_control)),
			    "org.lkvm.test", 13);
	assert_silence(r);
}

static void test_introduction(void **state)
{
	struct virtio_console_config cfg;
	struct rig r;

	start(&r);
	virtio_config_read(r.vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(le32_to_cpu(cfg.max_nr_ports), 2);
	/* Nothing is said before the driver is ready, whatever happens. */
	sides[1].client->connected(sides[1].client->opaque, true);
	sides[1].client->connected(sides[1].client->opaque, false);
	assert_silence(&r);
	say(&r, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 0);
	assert_silence(&r);
	bring_up(&r);
	sides[1].client->connected(sides[1].client->opaque, true);
	assert_heard(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	sides[1].client->connected(sides[1].client->opaque, false);
	sides[1].client->connected(sides[1].client->opaque, true);
	sides[1].client->connected(sides[1].client->opaque, false);
	/* However often it changed: what it is now. */
	assert_heard(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	assert_silence(&r);
	rig_stop(&r);
	/* Another driver begins again. */
	start(&r);
	bring_up(&r);
	rig_stop(&r);
}

static void test_resize(void **state)
{
	struct rig r;
	u16 size[2];

	start(&r);
	bring_up(&r);
	sides[0].client->resized(sides[0].client->opaque, 132, 43);
	assert_heard(&r, 0, VIRTIO_CONSOLE_RESIZE, 1);
	memcpy(size, rig_ptr(&r, MSG_IN + sizeof(struct virtio_console_control)), sizeof(size));
	assert_int_equal(le16_to_cpu(size[0]), 132);
	assert_int_equal(le16_to_cpu(size[1]), 43);
	/* The same again is no news; one that is not a console has no size. */
	sides[0].client->resized(sides[0].client->opaque, 132, 43);
	sides[1].client->resized(sides[1].client->opaque, 80, 25);
	assert_silence(&r);
	rig_stop(&r);
}

static void test_data(void **state)
{
	struct rig_buf out = { RIG_DATA, 5, false }, in = { RIG_DATA + 256, 8, true };
	const struct console_client *client;
	struct rig r;
	u32 len;

	start(&r);
	bring_up(&r);
	client = sides[1].client;
	memcpy(rig_ptr(&r, RIG_DATA), "hello", 5);
	rig_add(&r, TX1, &out, 1);
	rig_notify(&r, TX1);
	assert_true(rig_used(&r, TX1, NULL) >= 0);
	assert_int_equal(sides[0].out_len, 0);
	assert_memory_equal(sides[1].out, "hello", 5);
	/* A port that nobody in the guest has open takes nothing. */
	rig_add(&r, RX1, &in, 1);
	rig_notify(&r, RX1);
	assert_int_equal(client->room(client->opaque), 0);
	say(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	assert_int_equal(client->room(client->opaque), 8);
	client->input(client->opaque, (const u8 *)"key", 3);
	assert_true(rig_used(&r, RX1, &len) >= 0);
	assert_int_equal(len, 3);
	assert_memory_equal(rig_ptr(&r, RIG_DATA + 256), "key", 3);
	rig_add(&r, RX1, &in, 1);
	say(&r, 1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	assert_int_equal(client->room(client->opaque), 0);
	rig_stop(&r);
}

/* Who does not accept ports has the first one, and gets what is typed there. */
static void test_without_ports(void **state)
{
	struct rig_buf in = { RIG_DATA, 8, true };
	const struct console_client *client;
	struct virtio_device *vdev;
	struct rig r;

	make(&r, &vdev);
	rig_start(&r, vdev, 0);
	client = sides[0].client;
	rig_add(&r, RX0, &in, 1);
	rig_notify(&r, RX0);
	assert_int_equal(client->room(client->opaque), 8);
	client->resized(client->opaque, 100, 30);
	rig_stop(&r);
}

static void test_hostile(void **state)
{
	struct rig_buf small = { MSG_IN, 4, true }, piece = { MSG_OUT, 3, false };
	struct rig r;

	start(&r);
	/* Ports that are not there, events that are not; a message that is none. */
	say(&r, 2, VIRTIO_CONSOLE_PORT_OPEN, 1);
	say(&r, ~0U, VIRTIO_CONSOLE_PORT_READY, 1);
	say(&r, 0, 0xffff, 1);
	rig_add(&r, CONTROL_TX, &piece, 1);
	rig_notify(&r, CONTROL_TX);
	assert_true(rig_used(&r, CONTROL_TX, NULL) >= 0);
	assert_silence(&r);
	rig_stop(&r);

	/* Buffers without room for what is said lose it, and that ends. */
	start(&r);
	rig_add(&r, CONTROL_RX, &small, 1);
	say(&r, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	/* Its place is taken by the buffer that hear counts. */
	rig_notify(&r, CONTROL_RX);
	assert_true(rig_live(&r));
	rig_stop(&r);
}

/* What is to be said is not saved: a driver that goes on hears of all ports once more. */
static void test_heard_again(void **state)
{
	struct rig r;

	start(&r);
	bring_up(&r);
	virtio_quiesce(r.vdev);
	r.vdev->ops->queue_started(r.vdev, CONTROL_RX);
	virtio_resume(r.vdev);
	assert_heard(&r, 0, VIRTIO_CONSOLE_PORT_ADD, 1);
	assert_heard(&r, 1, VIRTIO_CONSOLE_PORT_ADD, 1);
	assert_silence(&r);
	rig_stop(&r);
}

static void test_too_many(void **state)
{
	struct virtio_console_port ports[32];
	struct virtio_device *vdev;
	struct rig r;

	rig_init(&r);
	for (int i = 0; i < 32; i++)
		ports[i] = (struct virtio_console_port){ .con = &sides[0].con, .name = "x" };
	log_set_level((enum log_level) - 1);
	assert_int_equal(virtio_console_new(&r.vm, ports, 32, &vdev), -EINVAL);
	log_set_level(LOG_ERROR);
	sides[0].con.ops = &side_ops;
	assert_int_equal(virtio_console_new(&r.vm, ports, 31, &vdev), 0);
	assert_int_equal(vdev->nr_queues, 64);
	r.vdev = vdev;
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_introduction), cmocka_unit_test(test_resize),
		cmocka_unit_test(test_data),	     cmocka_unit_test(test_without_ports),
		cmocka_unit_test(test_hostile),	     cmocka_unit_test(test_heard_again),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
