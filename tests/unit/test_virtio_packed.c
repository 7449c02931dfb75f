/* SPDX-License-Identifier: MIT */
/*
 * Packed rings below a device: a machine that is saved in the middle of a lap goes on there in
 * another one, a queue that was reset begins anew, and saved positions that are none are refused.
 */
#include "unit.h"

#include "device_state.h"
#include "lkvm/console.h"
#include "toy_device.h"
#include "vring_packed.h"

#define TX   1
#define SIZE 5 /* any will do; after seven requests the second lap is under way */
#define DATA 0x8000u

struct machine {
	struct toy_vm *v;
	struct virtio_device *vdev;
	struct packed_driver d;
	struct console con;
	size_t written;
};

static void con_write(struct console *con, const u8 *buf, size_t len) {}

static size_t con_offer(struct console *con, const u8 *buf, size_t len)
{
	container_of(con, struct machine, con)->written += len;
	return len;
}

static void con_set_client(struct console *con, const struct console_client *client) {}
static void con_nothing(struct console *con) {}

static const struct console_ops con_ops = {
	.write = con_write,
	.set_client = con_set_client,
	.input_ready = con_nothing,
	.offer = con_offer,
};

static void make(struct machine *m)
{
	memset(m, 0, sizeof(*m));
	m->v = toy_vm_new(TRANSPORT_MMIO);
	m->v->cfg.virtio_in_order = true;
	m->con.ops = &con_ops;
	assert_int_equal(virtio_console_new(&m->v->vm,
					    &(struct virtio_console_port){ .con = &m->con }, 1,
					    &m->vdev),
			 0);
	assert_int_equal(virtio_attach(m->vdev), 0);
}

static void settle(struct machine *m)
{
	for (u16 q = 0; q < m->vdev->nr_queues; q++)
		toy_sync(m->vdev, q);
	pump(m->v);
}

static void enable(struct machine *m, u16 q)
{
	struct virtqueue *vq = &m->vdev->queues[q].vq;
	struct packed_driver d;

	pdrv_setup(&d, m->v->ram, 0x1000 + q * 0x1000u, SIZE);
	vq->size = SIZE;
	vq->desc_gpa = d.desc;
	vq->avail_gpa = d.driver;
	vq->used_gpa = d.device;
	virtio_enable_queue(m->vdev, q);
	assert_true(vq->enabled && vq->packed);
	if (q == TX)
		m->d = d;
}

static void start(struct machine *m, bool in_order)
{
	u64 features = virtio_offered(m->vdev);

	assert_true(features & BIT_ULL(VIRTIO_F_IN_ORDER));
	if (!in_order)
		features &= ~BIT_ULL(VIRTIO_F_IN_ORDER);
	virtio_set_status(m->vdev, S_ACK | S_DRIVER);
	virtio_accept_features(m->vdev, 0, (u32)features);
	virtio_accept_features(m->vdev, 1, (u32)(features >> 32));
	virtio_set_status(m->vdev, S_ACK | S_DRIVER | S_FEATURES_OK);
	for (u16 q = 0; q < m->vdev->nr_queues; q++)
		enable(m, q);
	virtio_set_status(m->vdev, 0xf);
	settle(m);
}

/* Requests of two descriptors each, one after the other. */
static void write_some(struct machine *m, u32 n)
{
	size_t before = m->written;

	for (u32 i = 0; i < n; i++) {
		u16 id = (u16)(i % SIZE), got = 0xffff;
		u32 len;

		m->d.span[id] = 2;
		pdrv_desc(&m->d, DATA, 3, 0xeeee, VRING_DESC_F_NEXT);
		pdrv_desc(&m->d, DATA + 3, 4, id, 0);
		virtio_kick(m->vdev, TX);
		settle(m);
		assert_true(pdrv_take_used(&m->d, &got, &len));
		assert_int_equal(got, id);
		assert_false(pdrv_take_used(&m->d, &got, &len));
	}
	assert_int_equal(m->written - before, 7 * n);
}

static void check_moved(bool in_order)
{
	for (u32 done = 0; done < 2 * SIZE + 1; done++) {
		struct machine used, fresh;

		make(&used);
		make(&fresh);
		start(&used, in_order);
		/* A ring that never ran differs in nothing from one of whole laps. */
		write_some(&used, done + 1);
		memcpy(fresh.v->ram, used.v->ram, TOY_RAM);
		check_state(&used.v->vm, &fresh.v->vm);
		fresh.d = used.d;
		fresh.d.ram = fresh.v->ram;
		write_some(&fresh, 2 * SIZE);
		assert_false(fresh.vdev->status & S_NEEDS_RESET);
		toy_vm_free(used.v);
		toy_vm_free(fresh.v);
	}
}

static void test_moved(void **state)
{
	check_moved(false);
	check_moved(true);
}

/* A state that says a place beyond the ring, which the device would use as an index. */
static void test_bad_position(void **state)
{
	struct machine used, victim;
	struct virtqueue *vq;
	u16 *positions[3];

	make(&used);
	make(&victim);
	start(&used, false);
	write_some(&used, 3);
	vq = &used.vdev->queues[TX].vq;
	positions[0] = &vq->last_avail;
	positions[1] = &vq->used_idx;
	positions[2] = &vq->signalled_used;
	vm_pause(&used.v->vm);
	vm_pause(&victim.v->vm);
	for (u32 i = 0; i < ARRAY_SIZE(positions); i++) {
		for (u32 wrap = 0; wrap < 2; wrap++) {
			u16 good = *positions[i];
			struct state_buf buf;

			*positions[i] = (u16)(SIZE | wrap << 15);
			buf = save_vm(&used.v->vm);
			capture_begin();
			assert_int_not_equal(load_vm(&victim.v->vm, &buf, buf.len), 0);
			assert_one_line(capture_end());
			state_buf_free(&buf);
			*positions[i] = (u16)((SIZE - 1) | wrap << 15);
			buf = save_vm(&used.v->vm);
			assert_int_equal(load_vm(&victim.v->vm, &buf, buf.len), 0);
			state_buf_free(&buf);
			*positions[i] = good;
		}
	}
	vm_resume(&victim.v->vm);
	vm_resume(&used.v->vm);
	toy_vm_free(used.v);
	toy_vm_free(victim.v);
}

/* Everything that is said of a queue arrives. */
static void test_fields(void **state)
{
	struct machine used, other;
	struct virtio_queue *from, *to;
	bool *flags[6], *loaded[6];

	make(&used);
	make(&other);
	start(&used, true);
	vm_pause(&used.v->vm);
	vm_pause(&other.v->vm);
	from = &used.vdev->queues[TX];
	to = &other.vdev->queues[TX];
	for (int i = 0; i < 2; i++) {
		struct virtio_queue *q = i ? to : from;
		bool **p = i ? loaded : flags;

		p[0] = &q->vq.signalled_valid;
		p[1] = &q->vq.in_order;
		p[2] = &q->vq.event_idx;
		p[3] = &q->vq.indirect;
		p[4] = &q->signal_missed;
		p[5] = i ? &other.vdev->bad_features : &used.vdev->bad_features;
	}
	for (u32 i = 0; i < 2 * ARRAY_SIZE(flags); i++) {
		struct state_buf buf;

		*flags[i / 2] = !*flags[i / 2];
		used.vdev->config_generation++;
		buf = save_vm(&used.v->vm);
		assert_int_equal(load_vm(&other.v->vm, &buf, buf.len), 0);
		state_buf_free(&buf);
		assert_int_equal(*loaded[i / 2], *flags[i / 2]);
		assert_int_equal(other.vdev->config_generation, used.vdev->config_generation);
	}
	vm_resume(&used.v->vm);
	vm_resume(&other.v->vm);
	toy_vm_free(used.v);
	toy_vm_free(other.v);
}

/* A ring that its driver broke is no better elsewhere, until the reset. */
static void test_broken(void **state)
{
	struct machine used, fresh;

	make(&used);
	make(&fresh);
	start(&used, false);
	pdrv_desc(&used.d, DATA, 1, 0xffff, 0);
	virtio_kick(used.vdev, TX);
	settle(&used);
	assert_true(used.vdev->status & S_NEEDS_RESET);
	check_state(&used.v->vm, &fresh.v->vm);
	assert_true(fresh.vdev->queues[TX].vq.broken);
	assert_true(fresh.vdev->status & S_NEEDS_RESET);
	virtio_device_reset(fresh.vdev);
	start(&fresh, false);
	write_some(&fresh, 3);
	toy_vm_free(used.v);
	toy_vm_free(fresh.v);
}

static void test_queue_reset(void **state)
{
	struct machine m;

	make(&m);
	start(&m, false);
	for (u32 done = 1; done < SIZE + 2; done++) {
		struct virtqueue *vq = &m.vdev->queues[TX].vq;

		write_some(&m, done);
		virtio_reset_queue(m.vdev, TX);
		virtio_wait_stopped(m.vdev, false);
		assert_false(vq->enabled);
		enable(&m, TX);
		settle(&m);
	}
	write_some(&m, 3);
	assert_false(m.vdev->status & S_NEEDS_RESET);
	toy_vm_free(m.v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moved),	    cmocka_unit_test(test_bad_position),
		cmocka_unit_test(test_fields),	    cmocka_unit_test(test_broken),
		cmocka_unit_test(test_queue_reset),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests_name("virtio_packed", tests, NULL, NULL);
}
