/* SPDX-License-Identifier: MIT */
/*
 * virtio/blk.c while the host has requests: the order of results, resets, pauses, bus mastering, a
 * host that hangs.
 */
#include <semaphore.h>
#include <stdlib.h>

#include "../../disk/threads.h"
#include "blk_rig.h"
#include "capture.h"

/* Several are under way; each is answered and signalled when its result comes, in any order. */
static void test_several(void **state)
{
	static const unsigned int order[] = { 2, 0, 1, 0 }, which[] = { 2, 0, 3, 1 };
	struct rig r;
	struct mem_disk *m = start_held(&r);
	u16 heads[4];

	for (unsigned int i = 0; i < 4; i++)
		heads[i] = add_one(&r, i, VIRTIO_BLK_T_IN);
	rig_notify(&r, 0);
	assert_int_equal(m->nr_kept, 4);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	for (unsigned int n = 0; n < 4; n++) {
		unsigned int i = which[n];

		end_request(&r, m, order[n], 0);
		assert_int_equal(r.queue_irqs[0], n + 1);
		assert_int_equal(rig_used(&r, 0, NULL), heads[i]);
		assert_int_equal(rig_used(&r, 0, NULL), -1);
		assert_int_equal(status_at(&r, i), VIRTIO_BLK_S_OK);
		assert_memory_equal(rig_ptr(&r, ROOM(i)), m->bytes + i * 512, 512);
	}
	stop(&r);
}

/* A result lets the device look for what the driver has offered and not yet notified of; not while
 * it is to take nothing. */
static void test_offered_meanwhile(void **state)
{
	struct rig r;
	struct mem_disk *m = start_held(&r);

	m->begun = 4;
	for (unsigned int i = 0; i < 2; i++)
		add_one(&r, i, VIRTIO_BLK_T_IN);
	rig_notify(&r, 0);
	add_one(&r, 2, VIRTIO_BLK_T_IN);
	assert_int_equal(m->nr_kept, 2);
	end_request(&r, m, 0, 0);
	assert_int_equal(m->nr_kept, 2);
	assert_int_equal(r.queue_irqs[0], 1);
	add_one(&r, 3, VIRTIO_BLK_T_IN);
	virtio_set_held(r.vdev, true);
	end_request(&r, m, 0, 0);
	assert_int_equal(m->nr_kept, 1);
	virtio_set_held(r.vdev, false);
	rig_notify(&r, 0);
	assert_int_equal(m->nr_kept, 2);
	end_request(&r, m, 0, 0);
	end_request(&r, m, 0, 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(status_at(&r, i), VIRTIO_BLK_S_OK);
	stop(&r);
}

/* Of a queue that stops nothing is begun, and what was begun is waited for and answered nowhere. */
static void test_stop(void **state)
{
	struct rig r;
	struct mem_disk *m = start_held(&r);

	for (unsigned int i = 0; i < 4; i++)
		add_one(&r, i, VIRTIO_BLK_T_OUT);
	rig_notify(&r, 0);
	m->begun = 2;
	virtio_set_status(r.vdev, 0);
	/* Not the writer of the register waits, but the reset. */
	assert_int_equal(m->nr_kept, 2);
	assert_int_not_equal(virtio_get_status(r.vdev), 0);
	end_request(&r, m, 1, 0);
	assert_int_not_equal(virtio_get_status(r.vdev), 0);
	end_request(&r, m, 0, -EIO);
	virtio_wait_stopped(r.vdev, false);
	assert_int_equal(virtio_get_status(r.vdev), 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(status_at(&r, i), 0xee);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	assert_int_equal(r.queue_irqs[0], 0);
	/* And it starts again. */
	m->held = false;
	rig_start(&r, r.vdev, 0);
	assert_int_equal(request(&r, VIRTIO_BLK_T_IN, 0, 512, true, NULL), VIRTIO_BLK_S_OK);
	stop(&r);
}

/* NEEDS_RESET: nothing more is written, whatever the host still says. */
static void test_broken_while_busy(void **state)
{
	struct rig_buf bad = { HDR, 16, false };
	struct rig r;
	struct mem_disk *m = start_held(&r);

	m->begun = 1;
	for (unsigned int i = 0; i < 2; i++)
		add_one(&r, i, VIRTIO_BLK_T_OUT);
	rig_notify(&r, 0);
	rig_add(&r, 0, &bad, 1);
	rig_notify(&r, 0);
	assert_false(rig_live(&r));
	end_request(&r, m, 0, 0);
	assert_int_equal(m->nr_kept, 0);
	assert_int_equal(status_at(&r, 0), 0xee);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	stop(&r);
}

static void *end_two(void *opaque)
{
	struct rig *r = opaque;

	end_request(r, last, 0, 0);
	end_request(r, last, 0, 0);
	return NULL;
}

/*
 * Guest memory is about to change: what the host has not begun goes back into the ring as far as
 * that is possible (not after a request that is answered), the rest is waited for.
 */
static void test_quiesce(void **state)
{
	struct rig r;
	struct mem_disk *m = start_held(&r);
	pthread_t helper;
	u16 heads[4];

	heads[0] = add_one(&r, 0, VIRTIO_BLK_T_OUT);
	heads[1] = add_one(&r, 1, VIRTIO_BLK_T_OUT);
	heads[2] = add_one(&r, 2, VIRTIO_BLK_T_GET_ID);
	heads[3] = add_one(&r, 3, VIRTIO_BLK_T_OUT);
	rig_notify(&r, 0);
	assert_int_equal(m->nr_kept, 3);
	assert_int_equal(rig_used(&r, 0, NULL), heads[2]);
	m->begun = 1;
	assert_int_equal(pthread_create(&helper, NULL, end_two, &r), 0);
	virtio_quiesce(r.vdev);
	assert_int_equal(m->nr_kept, 0);
	pthread_join(helper, NULL);
	assert_int_equal(rig_used(&r, 0, NULL), heads[0]);
	assert_int_equal(rig_used(&r, 0, NULL), heads[1]);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	assert_int_equal(status_at(&r, 3), 0xee);
	rig_notify(&r, 0);
	assert_int_equal(m->nr_kept, 0);
	m->held = false;
	virtio_resume(r.vdev);
	rig_notify(&r, 0);
	assert_int_equal(rig_used(&r, 0, NULL), heads[3]);
	assert_int_equal(status_at(&r, 3), VIRTIO_BLK_S_OK);
	stop(&r);
}

/* Bus mastering is off: a request that ends is not seen to end, by its status neither. */
static void test_held(void **state)
{
	struct rig r;
	struct mem_disk *m = start_held(&r);
	u16 head = add_one(&r, 0, VIRTIO_BLK_T_OUT);

	rig_notify(&r, 0);
	virtio_set_held(r.vdev, true);
	end_request(&r, m, 0, 0);
	assert_int_equal(status_at(&r, 0), 0xee);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	virtio_quiesce(r.vdev);
	assert_int_not_equal(virtio_save(r.vdev), 0);
	virtio_resume(r.vdev);
	virtio_set_held(r.vdev, false);
	rig_notify(&r, 0);
	assert_int_equal(status_at(&r, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(rig_used(&r, 0, NULL), head);
	assert_int_equal(r.queue_irqs[0], 1);
	stop(&r);
}

struct holding {
	struct rig *r;
	u8 data[512];
	atomic_bool through;
};

/* The vcpu that switches bus mastering off, and looks at the memory then. */
static void *hold(void *opaque)
{
	struct holding *h = opaque;

	virtio_set_held(h->r->vdev, true);
	virtio_wait_held(h->r->vdev);
	memcpy(h->data, rig_ptr(h->r, ROOM(0)), sizeof(h->data));
	atomic_store(&h->through, true);
	return NULL;
}

/* Nor does data come into the driver's memory once bus mastering is off: who switches it off waits
 * for the read that the host has begun; one that it has not begun is not begun. */
static void test_held_read(void **state)
{
	struct rig r;
	struct mem_disk *m = start_held(&r);
	struct holding h = { .r = &r };
	pthread_t thread;

	for (unsigned int i = 0; i < 2; i++)
		add_one(&r, i, VIRTIO_BLK_T_IN);
	rig_notify(&r, 0);
	m->begun = 1;
	pthread_create(&thread, NULL, hold, &h);
	/* Time for it not to wait, if it does not. */
	for (int i = 0; i < 200 && !atomic_load(&h.through); i++)
		usleep(1000);
	end_request(&r, m, 0, 0);
	pthread_join(thread, NULL);
	assert_memory_equal(h.data, m->bytes, 512);
	assert_memory_equal(rig_ptr(&r, ROOM(0)), m->bytes, 512);
	assert_int_equal(m->nr_kept, 0);
	assert_int_equal(status_at(&r, 0), 0xee);
	m->held = false;
	virtio_set_held(r.vdev, false);
	rig_notify(&r, 0);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(status_at(&r, i), VIRTIO_BLK_S_OK);
		assert_memory_equal(rig_ptr(&r, ROOM(i)), m->bytes + 512 * i, 512);
	}
	stop(&r);
}

/* Paused right after the driver let it go: what waited goes out, since it may. */
static void test_let_go(void **state)
{
	struct rig r;
	struct mem_disk *m = start_held(&r);
	u16 head;

	/* On a loop that turns when the test says so. */
	virtio_device_reset(r.vdev);
	assert_int_equal(virtio_use_loop(r.vdev, &r.vm.loop), 0);
	rig_start(&r, r.vdev, 0);
	head = add_one(&r, 0, VIRTIO_BLK_T_OUT);
	rig_notify(&r, 0);
	virtio_set_held(r.vdev, true);
	end_request(&r, m, 0, 0);
	virtio_set_held(r.vdev, false);
	virtio_quiesce(r.vdev);
	assert_int_equal(rig_used(&r, 0, NULL), head);
	assert_int_equal(status_at(&r, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(r.queue_irqs[0], 1);
	assert_int_equal(virtio_save(r.vdev), 0);
	virtio_resume(r.vdev);
	stop(&r);
}

/* Whoever quiesces may unmap memory at once: the loop has signalled before it says that it is done.
 */
static void test_quiesce_last(void **state)
{
	struct rig r;
	struct mem_disk *m = start_held(&r);
	struct ending e = { .m = m, .watched = &r.vdev->queues[0] };
	pthread_t helper;

	add_one(&r, 0, VIRTIO_BLK_T_OUT);
	rig_notify(&r, 0);
	m->begun = 1;
	assert_int_equal(pthread_create(&helper, NULL, end_watched, &e), 0);
	virtio_quiesce(r.vdev);
	assert_int_equal(r.queue_irqs[0], 1);
	pthread_join(helper, NULL);
	assert_false(e.early);
	assert_int_equal(r.quiet_irqs, 0);
	virtio_resume(r.vdev);
	stop(&r);
}

/* With nothing begun, all goes back, and comes again in the same order. */
static void test_quiesce_idle(void **state)
{
	struct rig r;
	struct mem_disk *m = start_held(&r);
	u16 heads[3];

	for (unsigned int i = 0; i < 3; i++)
		heads[i] = add_one(&r, i, VIRTIO_BLK_T_OUT);
	rig_notify(&r, 0);
	assert_int_equal(m->nr_kept, 3);
	virtio_quiesce(r.vdev);
	assert_int_equal(m->nr_kept, 0);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	m->held = false;
	virtio_resume(r.vdev);
	rig_notify(&r, 0);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(rig_used(&r, 0, NULL), heads[i]);
	stop(&r);
}

/* The write cache is emptied by the queue's loop, and again when it was turned off meanwhile. */
static void test_flush_by_the_loop(void **state)
{
	const u32 wce = offsetof(struct virtio_blk_config, wce);
	struct rig r;
	struct mem_disk *m = start_held(&r);
	u8 off = 0;

	virtio_config_write(r.vdev, wce, &off, 1);
	rig_notify(&r, 0);
	assert_int_equal(m->nr_kept, 1);
	assert_int_equal(m->kept[0]->op, DISK_FLUSH);
	virtio_config_write(r.vdev, wce, &off, 1);
	rig_notify(&r, 0);
	assert_int_equal(m->nr_kept, 1);
	end_request(&r, m, 0, 0);
	assert_int_equal(m->nr_kept, 1);
	end_request(&r, m, 0, 0);
	assert_int_equal(m->flushes, 2);
	/* A flush that was not begun survives that the queue is held. */
	virtio_config_write(r.vdev, wce, &off, 1);
	rig_notify(&r, 0);
	m->held = false;
	virtio_quiesce(r.vdev);
	assert_int_equal(m->flushes, 3);
	virtio_resume(r.vdev);
	stop(&r);
}

/* A host that hangs, by the threads that lkvm has: registers and the reset do not wait for it. */

static sem_t begun, go;

static int no_room(struct disk *disk, void **room)
{
	*room = NULL;
	return 0;
}

static void no_room_destroy(void *room) {}

static int serve_slowly(struct disk *disk, void *room, const struct disk_request *req)
{
	sem_post(&begun);
	while (sem_wait(&go))
		;
	return 0;
}

static int slow_queue_open(struct disk *disk, struct event_loop *loop, unsigned int depth,
			   struct disk_queue **out)
{
	static const struct disk_blocking_ops ops = {
		.room_create = no_room,
		.room_destroy = no_room_destroy,
		.serve = serve_slowly,
	};

	return disk_threads_open(disk, &ops, loop, depth, out);
}

static void nothing_to_do(void *opaque) {}

static void test_host_hangs(void **state)
{
	static const struct disk_ops slow_ops = { .queue_open = slow_queue_open };
	struct disk disk = {
		.ops = &slow_ops,
		.path = "slow",
		.size = DISK_SIZE,
		.block_size = 512,
		.phys_block = 512,
	};
	struct virtio_device *vdev;
	u64 capacity = 0;
	struct rig r;

	sem_init(&begun, 0, 0);
	sem_init(&go, 0, 0);
	rig_init(&r);
	assert_int_equal(virtio_blk_new(&r.vm, &disk, 0, &vdev), 0);
	rig_start(&r, vdev, 0);
	for (unsigned int i = 0; i < 6; i++)
		add_one(&r, i, VIRTIO_BLK_T_OUT);
	virtio_kick(vdev, 0);
	while (sem_wait(&begun))
		;
	/* The host has one, and answers no other. Were anything to wait, it would be for ever. */
	virtio_config_read(vdev, 0, &capacity, sizeof(capacity));
	assert_int_equal(le64_to_cpu(capacity), DISK_SIZE / 512);
	virtio_set_held(vdev, true);
	virtio_set_held(vdev, false);
	virtio_set_status(vdev, 0);
	assert_int_not_equal(virtio_get_status(vdev), 0);
	/* The loop may have been in its turn, and stops the queue after it. */
	event_call_sync(vdev->queues[0].loop, nothing_to_do, NULL);
	sem_post(&go);
	virtio_wait_stopped(vdev, false);
	assert_int_equal(virtio_get_status(vdev), 0);
	assert_int_equal(sem_trywait(&begun), -1);
	for (unsigned int i = 0; i < 6; i++)
		assert_int_equal(status_at(&r, i), 0xee);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_offered_meanwhile),
		cmocka_unit_test(test_broken_while_busy),
		cmocka_unit_test(test_quiesce),
		cmocka_unit_test(test_quiesce_last),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_held_read),
		cmocka_unit_test(test_let_go),
		cmocka_unit_test(test_quiesce_idle),
		cmocka_unit_test(test_flush_by_the_loop),
		cmocka_unit_test(test_host_hangs),
	};

	/* What hangs ends, minutes later. */
	alarm(hang_seconds());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
