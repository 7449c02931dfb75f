/* SPDX-License-Identifier: MIT */
/* virtio/console.c over a console in memory: both directions, a slow reader, the terminal's size.
 */
#include <linux/virtio_console.h>
#include <stdlib.h>

#include "lkvm/console.h"
#include "virtio_rig.h"

enum { RX, TX };

struct mem_console {
	struct console con;
	const struct console_client *client;
	u8 out[65536];
	size_t out_len;
	size_t room; /* how much it takes */
	unsigned int offers, input_ready;
};

static struct mem_console *to_mem(struct console *con)
{
	return container_of(con, struct mem_console, con);
}

static void mem_write(struct console *con, const u8 *buf, size_t len)
{
	struct mem_console *m = to_mem(con);

	for (size_t i = 0; i < len && m->out_len < sizeof(m->out); i++)
		m->out[m->out_len++] = buf[i];
}

static size_t mem_offer(struct console *con, const u8 *buf, size_t len)
{
	struct mem_console *m = to_mem(con);
	size_t n = MIN(len, m->room);

	m->offers++;
	m->room -= n;
	mem_write(con, buf, n);
	return n;
}

/* The reader comes back. */
static void make_room(struct mem_console *m)
{
	m->room = SIZE_MAX;
	m->client->writable(m->client->opaque);
}

static void mem_set_client(struct console *con, const struct console_client *client)
{
	to_mem(con)->client = client;
}

static void mem_input_ready(struct console *con)
{
	to_mem(con)->input_ready++;
}

static const struct console_ops mem_ops = {
	.write = mem_write,
	.set_client = mem_set_client,
	.input_ready = mem_input_ready,
	.offer = mem_offer,
};

static void start(struct rig *r, struct mem_console *m)
{
	struct virtio_device *vdev;

	rig_init(r);
	memset(m, 0, sizeof(*m));
	m->con.ops = &mem_ops;
	m->room = SIZE_MAX;
	assert_int_equal(virtio_console_new(&r->vm, &(struct virtio_console_port){ .con = &m->con },
					    1, &vdev),
			 0);
	assert_non_null(m->client);
	rig_start(r, vdev, BIT_ULL(VIRTIO_CONSOLE_F_SIZE));
}

static void wait_used(struct rig *r, u16 q)
{
	for (int i = 0; i < 3000000; i++) { /* minutes: for hangs */
		rig_pump(r);
		if (rig_used(r, q, NULL) >= 0)
			return;
		usleep(100);
	}
	fail_msg("nothing came back from queue %u", q);
}

static struct mem_console m;

static void test_output(void **state)
{
	struct rig_buf bufs[2] = { { RIG_DATA, 3, false }, { RIG_DATA + 100, 10000, false } };
	struct rig r;

	start(&r, &m);
	memcpy(rig_ptr(&r, RIG_DATA), "abc", 3);
	memset(rig_ptr(&r, RIG_DATA + 100), 'x', 10000);
	for (int i = 0; i < 5; i++)
		rig_add(&r, TX, bufs, 2);
	rig_notify(&r, TX);
	for (int i = 0; i < 5; i++)
		wait_used(&r, TX);
	/* A chain is back once it was copied; the last piece may still be on its way. */
	rig_stop(&r);
	assert_null(m.client);
	assert_int_equal(m.out_len, 5 * 10003);
	for (int i = 0; i < 5; i++)
		assert_memory_equal(m.out + i * 10003, "abcxx", 5);
}

static void test_input(void **state)
{
	struct rig_buf buf = { RIG_DATA, 8, true };
	struct rig_buf none = { RIG_DATA, 8, false };
	struct rig r;
	u32 len;

	start(&r, &m);
	assert_int_equal(m.client->room(m.client->opaque), 0);
	/* A buffer that takes nothing goes back, the next one serves. */
	rig_add(&r, RX, &none, 1);
	rig_add(&r, RX, &buf, 1);
	m.input_ready = 0;
	rig_notify(&r, RX);
	assert_int_equal(m.input_ready, 1);
	assert_int_equal(m.client->room(m.client->opaque), 8);
	assert_true(rig_used(&r, RX, &len) >= 0);
	assert_int_equal(len, 0);
	m.client->input(m.client->opaque, (const u8 *)"hello", 5);
	assert_true(rig_used(&r, RX, &len) >= 0);
	assert_int_equal(len, 5);
	assert_memory_equal(rig_ptr(&r, RIG_DATA), "hello", 5);
	assert_int_equal(r.queue_irqs[RX], 2);
	/* No room, nothing taken. */
	assert_int_equal(m.client->room(m.client->opaque), 0);
	m.client->input(m.client->opaque, (const u8 *)"lost", 4);
	assert_int_equal(rig_used(&r, RX, &len), -1);
	/* A buffer that the last driver gave is not written after a reset. */
	rig_add(&r, RX, &buf, 1);
	assert_int_equal(m.client->room(m.client->opaque), 8);
	rig_start(&r, r.vdev, 0);
	memset(rig_ptr(&r, RIG_DATA), 0, 8);
	m.client->input(m.client->opaque, (const u8 *)"late", 4);
	assert_int_equal(*(u8 *)rig_ptr(&r, RIG_DATA), 0);
	rig_stop(&r);
}

/* Nobody reads what the guest writes: registers, keys and a reset still work, and do not wait. */
static void test_slow_reader(void **state)
{
	struct rig_buf out = { RIG_DATA, 40000, false }, in = { RIG_DATA + 65536, 8, true };
	struct rig r;
	u32 len;

	start(&r, &m);
	m.room = 100;
	rig_add(&r, TX, &out, 1);
	rig_notify(&r, TX);
	assert_int_equal(m.out_len, 100);
	rig_add(&r, RX, &in, 1);
	assert_int_equal(m.client->room(m.client->opaque), 8);
	m.client->input(m.client->opaque, (const u8 *)"k", 1);
	assert_true(rig_used(&r, RX, &len) >= 0);
	virtio_set_status(r.vdev, 0);
	assert_int_equal(virtio_get_status(r.vdev), 0);
	/* The next driver's output waits for its turn. */
	rig_start(&r, r.vdev, 0);
	out.len = 10;
	rig_add(&r, TX, &out, 1);
	rig_notify(&r, TX);
	assert_int_equal(rig_used(&r, TX, NULL), -1);
	make_room(&m);
	wait_used(&r, TX);
	rig_stop(&r);
	/* The first piece was under way; the rest of that chain belonged to a driver that is gone.
	 */
	assert_int_equal(m.out_len, 16384 + 10);
}

/* What was begun before the queue is held goes on after it, no byte lost and none twice. */
static void test_held_output(void **state)
{
	struct rig_buf out = { RIG_DATA, 40000, false };
	struct rig r;

	start(&r, &m);
	for (u32 i = 0; i < out.len; i++)
		*(u8 *)rig_ptr(&r, RIG_DATA + i) = (u8)(i % 251);
	m.room = 100;
	rig_add(&r, TX, &out, 1);
	rig_notify(&r, TX);
	virtio_quiesce(r.vdev);
	make_room(&m);
	/* What was copied is the console's. */
	assert_int_equal(m.out_len, 16384);
	rig_pump(&r);
	assert_int_equal(rig_used(&r, TX, NULL), -1);
	virtio_resume(r.vdev);
	wait_used(&r, TX);
	rig_stop(&r);
	assert_int_equal(m.out_len, 40000);
	for (u32 i = 0; i < 40000; i++)
		assert_int_equal(m.out[i], (u8)(i % 251));
}

/* The last words of a driver that is gone: what was copied is written, when there is room, when
 * the process ends, or with the device. */
static void test_last_words(void **state)
{
	struct rig_buf out = { RIG_DATA, 5000, false };
	struct rig r;

	for (int end = 0; end < 3; end++) {
		start(&r, &m);
		m.room = 100;
		rig_add(&r, TX, &out, 1);
		rig_notify(&r, TX);
		/* It is copied, so it is back. */
		assert_true(rig_used(&r, TX, NULL) >= 0);
		virtio_set_status(r.vdev, 0);
		assert_int_equal(m.out_len, 100);
		if (end == 0)
			make_room(&m);
		else if (end == 1)
			virtio_finish(r.vdev);
		assert_int_equal(m.out_len, end < 2 ? 5000 : 100);
		rig_stop(&r);
		assert_int_equal(m.out_len, 5000);
	}
}

/* What waits in the queue goes out together. */
static void test_one_offer(void **state)
{
	struct rig_buf out = { RIG_DATA, 100, false };
	struct rig r;

	start(&r, &m);
	for (int i = 0; i < 40; i++)
		rig_add(&r, TX, &out, 1);
	rig_notify(&r, TX);
	assert_int_equal(m.offers, 1);
	assert_int_equal(m.out_len, 4000);
	rig_stop(&r);
}

/* A stopped queue's buffer is not written to; a held one's is when it is let go. */
static void test_stopped_input(void **state)
{
	struct rig_buf buf = { RIG_DATA, 8, true };
	struct rig r;
	u32 len;

	start(&r, &m);
	rig_add(&r, RX, &buf, 1);
	assert_int_equal(m.client->room(m.client->opaque), 8);
	virtio_set_held(r.vdev, true);
	assert_int_equal(m.client->room(m.client->opaque), 0);
	m.client->input(m.client->opaque, (const u8 *)"x", 1);
	assert_int_equal(*(u8 *)rig_ptr(&r, RIG_DATA), 0);
	virtio_set_held(r.vdev, false);
	m.client->input(m.client->opaque, (const u8 *)"y", 1);
	assert_true(rig_used(&r, RX, &len) >= 0);
	assert_int_equal(*(u8 *)rig_ptr(&r, RIG_DATA), 'y');
	rig_add(&r, RX, &buf, 1);
	assert_int_equal(m.client->room(m.client->opaque), 8);
	virtio_disable_queue(r.vdev, RX);
	assert_int_equal(m.client->room(m.client->opaque), 0);
	m.client->input(m.client->opaque, (const u8 *)"z", 1);
	assert_int_equal(*(u8 *)rig_ptr(&r, RIG_DATA), 'y');
	assert_int_equal(rig_used(&r, RX, NULL), -1);
	rig_stop(&r);
}

/* A SysRq key is Ctrl-O and the key, in one buffer, where the port is the kernel's console. */
static void test_sysrq(void **state)
{
	struct rig_buf buf = { RIG_DATA, 8, true }, small = { RIG_DATA, 1, true };
	const struct virtio_console_port ports[] = {
		{ .con = &m.con, .is_console = true },
		{ .con = &m.con, .name = "named", .is_console = true },
	};
	struct virtio_device *vdev;
	struct rig r;
	u32 len;

	rig_init(&r);
	memset(&m, 0, sizeof(m));
	m.con.ops = &mem_ops;
	assert_int_equal(virtio_console_new(&r.vm, &ports[0], 1, &vdev), 0);
	rig_start(&r, vdev, BIT_ULL(VIRTIO_CONSOLE_F_SIZE));
	assert_int_equal(r.vm.sysrq.send(r.vm.sysrq.opaque, 'h'), -EAGAIN);
	rig_add(&r, RX, &small, 1);
	assert_int_equal(r.vm.sysrq.send(r.vm.sysrq.opaque, 'h'), -EAGAIN);
	m.client->input(m.client->opaque, (const u8 *)"x", 1);
	assert_true(rig_used(&r, RX, &len) >= 0);
	rig_add(&r, RX, &buf, 1);
	assert_int_equal(r.vm.sysrq.send(r.vm.sysrq.opaque, 'h'), 0);
	assert_true(rig_used(&r, RX, &len) >= 0);
	assert_int_equal(len, 2);
	assert_memory_equal(rig_ptr(&r, RIG_DATA), "\x0fh", 2);
	rig_stop(&r);
	rig_init(&r);
	assert_int_equal(virtio_console_new(&r.vm, &ports[1], 1, &vdev), 0);
	assert_null(r.vm.sysrq.send);
	rig_start(&r, vdev, BIT_ULL(VIRTIO_CONSOLE_F_SIZE));
	rig_stop(&r);
}

static void test_size(void **state)
{
	struct virtio_console_config cfg;
	struct rig r;

	start(&r, &m);
	m.client->resized(m.client->opaque, 132, 43);
	assert_int_equal(r.config_irqs, 1);
	m.client->resized(m.client->opaque, 132, 43);
	assert_int_equal(r.config_irqs, 1);
	virtio_config_read(r.vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(le16_to_cpu(cfg.cols), 132);
	assert_int_equal(le16_to_cpu(cfg.rows), 43);
	rig_stop(&r);
}

static void test_fuzz(void **state)
{
	static const u8 keys[100] = "keys";
	struct rig r;
	u64 seed = 3;

	start(&r, &m);
	for (int round = 0; round < 3000; round++) {
		u16 q = (u16)(rig_rand(&seed) % 2);
		struct rig_buf bufs[4];
		unsigned int n = 1 + (unsigned int)(rig_rand(&seed) % 4);
		unsigned int first_in = (unsigned int)(rig_rand(&seed) % (n + 1));
		size_t room;

		for (unsigned int i = 0; i < n; i++) {
			bufs[i].gpa = RIG_DATA + rig_rand(&seed) % (8 * MiB);
			bufs[i].len = (u32)(rig_rand(&seed) % 9000);
			bufs[i].in = i >= first_in;
		}
		rig_add(&r, q, bufs, n);
		rig_notify(&r, q);
		rig_pump(&r);
		room = m.client->room(m.client->opaque);
		if (room)
			m.client->input(m.client->opaque, keys, MIN(room, sizeof(keys)));
		for (u16 i = 0; i < 2; i++)
			while (rig_used(&r, i, NULL) >= 0)
				;
		if (!rig_live(&r) || round % 100 == 99)
			rig_start(&r, r.vdev, 0);
	}
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output),	      cmocka_unit_test(test_input),
		cmocka_unit_test(test_slow_reader),   cmocka_unit_test(test_held_output),
		cmocka_unit_test(test_stopped_input), cmocka_unit_test(test_size),
		cmocka_unit_test(test_last_words),    cmocka_unit_test(test_one_offer),
		cmocka_unit_test(test_fuzz),	      cmocka_unit_test(test_sysrq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
