/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user back end that is a process, and killed at any moment, while a driver does what
 * Linux's does: it notifies and looks only when it must (event indices), and takes the descriptors
 * that came back last. Each request comes back, once.
 */
#include <signal.h>
#include <sys/wait.h>

#include "vhost_rig.h"

#define ROUNDS	150
#define ENTRIES 128u /* a disk has no more */
#define SLOTS	(ENTRIES / 2)
#define ERRORS	20 /* so many requests after its end */

static pid_t process;
static u16 free_slots[SLOTS], nr_free;
static bool busy[SLOTS];
static u32 in_flight, replies, errors;

static void open_process(void)
{
	struct virtio_device *vdev;

	start_rig();
	peer_prepare(&peer, FEATURES, PEER_HONEST, 0);
	process = fork();
	assert_true(process >= 0);
	if (!process) {
		close(peer.other);
		peer_thread(&peer);
		_exit(0);
	}
	close(peer.fd);
	fcntl(peer.other, F_SETFL, O_NONBLOCK);
	assert_int_equal(vhost_user_open(NULL, peer.other, "--disk x", &vhost), 0);
	assert_int_equal(virtio_vhost_blk_new(&rig.vm, vhost, false, 1, 0, &vdev), 0);
	rig_start(&rig, vdev, ACCEPTED | BIT_ULL(VIRTIO_RING_F_EVENT_IDX));
	in_flight = replies = errors = 0;
	for (nr_free = 0; nr_free < SLOTS; nr_free++) {
		free_slots[nr_free] = nr_free;
		busy[nr_free] = false;
	}
}

static u8 *status_of(u16 slot)
{
	return rig_ptr(&rig, RIG_DATA + slot);
}

static void issue(void)
{
	u16 slot = free_slots[--nr_free], first = (u16)(2 * slot), old = rig.q[0].avail_idx;
	struct rig_queue *rq = &rig.q[0];
	const u16 *avail_event = (const u16 *)&rq->used->ring[ENTRIES];

	*status_of(slot) = 0xff;
	rq->desc[first] =
		(struct vring_desc){ RIG_DATA + 0x1000, 16, VRING_DESC_F_NEXT, (u16)(first + 1) };
	rq->desc[first + 1] = (struct vring_desc){ RIG_DATA + slot, 1, VRING_DESC_F_WRITE, 0 };
	busy[slot] = true;
	in_flight++;
	rq->avail->ring[old % ENTRIES] = first;
	__atomic_store_n(&rq->avail->idx, ++rq->avail_idx, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (vring_need_event(__atomic_load_n(avail_event, __ATOMIC_RELAXED), rq->avail_idx, old))
		virtio_kick(rig.vdev, 0);
}

static bool take(void)
{
	int head = rig_used(&rig, 0, NULL);
	u16 slot = (u16)(head / 2);

	if (head < 0)
		return false;
	assert_true(head % 2 == 0 && slot < SLOTS && busy[slot]);
	if (*status_of(slot))
		assert_int_equal(*status_of(slot), VIRTIO_BLK_S_IOERR);
	errors += *status_of(slot) == VIRTIO_BLK_S_IOERR;
	replies += !*status_of(slot);
	busy[slot] = false;
	free_slots[nr_free++] = slot;
	in_flight--;
	return true;
}

static unsigned int interrupts(void)
{
	unsigned int n;

	virtio_lock(rig.vdev);
	n = rig.queue_irqs[0];
	virtio_unlock(rig.vdev);
	return n;
}

/* At least one came back. */
static void take_some(void)
{
	u64 until = now_ns() + hang_seconds() * 1000000000ULL;
	struct rig_queue *rq = &rig.q[0];
	unsigned int before = interrupts();

	while (!take()) {
		rq->avail->ring[ENTRIES] = rq->last_used; /* used_event */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (take())
			break;
		while (interrupts() == before) {
			assert_true(now_ns() < until);
			sched_yield();
		}
		before = interrupts();
	}
	while (take())
		continue;
}

static void test_killed(void **state)
{
	u64 seed = 88172645463325252ULL;

	for (int i = 0; i < ROUNDS; i++) {
		u32 depth = 1 + rig_rand(&seed) % (i % 2 ? 3 : 30);
		u32 alive = rig_rand(&seed) % 1000, spin = rig_rand(&seed) % 20000;

		open_process();
		while (replies < alive) {
			while (in_flight < depth)
				issue();
			take_some();
		}
		while (in_flight < depth)
			issue();
		for (volatile u32 n = 0; n < spin; n++)
			continue;
		capture_begin();
		kill(process, SIGKILL);
		while (errors < ERRORS || in_flight) {
			while (in_flight < depth && errors < ERRORS)
				issue();
			take_some();
		}
		assert_one_line(capture_end());
		assert_int_equal(waitpid(process, NULL, 0), process);
		assert_true(rig_live(&rig));
		rig_stop_device(&rig);
		vhost->ops->close(vhost);
		rig_free(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_killed) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
