/* SPDX-License-Identifier: MIT */
/*
 * Virtqueues against a driver that writes anything, and one that writes meanwhile: on a thread of
 * its own, and (the same each time) before and after each copy of a descriptor.
 */
#include "virtq_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#include "../../virtio/ring.h"
#include "vring_packed.h"

/* A driver that changes a descriptor while it is read: what is handed out was checked. */
struct racer {
	struct vring_driver d;
	atomic_bool stop;
};

static void *race(void *arg)
{
	struct racer *r = arg;

	for (u32 i = 0; !atomic_load(&r->stop); i++) {
		vdrv_desc(&r->d, 0, i & 1 ? DATA_GPA : 0xffffffff0000ULL, i & 2 ? 64 : 0x80000000,
			  (u16)(i & 4 ? NEXT : 0), (u16)(i & 8 ? 1 : 0xfff0));
		atomic_signal_fence(memory_order_seq_cst);
	}
	return NULL;
}

static bool inside(const struct fixture *f, const struct iovec *iov)
{
	u64 p = (u64)(uintptr_t)iov->iov_base;

	return range_within(p, iov->iov_len, (u64)(uintptr_t)f->ram, RAM_SIZE) ||
	       range_within(p, iov->iov_len, (u64)(uintptr_t)f->high, HIGH_SIZE);
}

static void check_chain(const struct fixture *f)
{
	const struct virtq_request *c = &f->chain;
	size_t out = 0, in = 0;

	assert_true(c->nr_out + c->nr_in <= VIRTQ_MAX_SEGS);
	assert_true(c->head < f->vq.size);
	for (u32 i = 0; i < (u32)c->nr_out + c->nr_in; i++) {
		assert_true(c->iov[i].iov_len && inside(f, &c->iov[i]));
		if (i < c->nr_out)
			out += c->iov[i].iov_len;
		else
			in += c->iov[i].iov_len;
	}
	assert_int_equal(out, c->out_len);
	assert_int_equal(in, c->in_len);
}

static void test_race(void **state)
{
	struct fixture *f = *state;
	struct racer r = { 0 };
	pthread_t thread;
	u32 good = 0;

	start(f, 8, false, false);
	r.d = f->d;
	assert_int_equal(pthread_create(&thread, NULL, race, &r), 0);
	for (u32 i = 0; i < 100000; i++) {
		if (f->vq.broken)
			start(f, 8, false, false);
		vdrv_desc(&f->d, 1, DATA_GPA + 64, 64, WRITE, 0);
		vdrv_offer(&f->d, 0);
		if (pop(f) == 1) {
			check_chain(f);
			push(f, f->chain.head, 0);
			good++;
		}
	}
	atomic_store(&r.stop, true);
	pthread_join(thread, NULL);
	assert_true(good > 0);
}

/* Values near the edges, where mistakes live. */
static u64 odd_value(u64 *seed)
{
	static const u64 edges[] = { 0,
				     1,
				     15,
				     16,
				     17,
				     0xfff,
				     0xffff,
				     0x10000,
				     RAM_SIZE - 16,
				     RAM_SIZE - 1,
				     RAM_SIZE,
				     HIGH_GPA,
				     HIGH_GPA + HIGH_SIZE - 1,
				     ROM_GPA,
				     0xfffffff0,
				     0xffffffff,
				     ~0ULL,
				     DATA_GPA,
				     TABLE_GPA };
	u64 r = vdrv_random(seed);

	return r & 1 ? edges[(r >> 8) % ARRAY_SIZE(edges)] : (r >> 8) % RAM_SIZE;
}

static void random_desc(struct fixture *f, u64 table, u32 i, u64 *seed)
{
	u64 r = vdrv_random(seed);
	u32 len = r & 3 ? (u32)(r >> 32) % 4096 : (u32)odd_value(seed);

	if ((r >> 8) % 16 == 0)
		vdrv_write_desc(&f->d, table, i, TABLE_GPA, 16 * ((u32)(r >> 16) % 40), INDIRECT,
				0);
	else
		vdrv_write_desc(&f->d, table, i, odd_value(seed), len, (u16)(r >> 40) % 4,
				(u16)((r >> 50) % 10));
}

static void test_random(void **state)
{
	struct fixture *f = *state;
	u64 seed = 0x1badb002;
	u32 popped = 0, broken = 0;

	start(f, 8, true, true);
	for (u32 n = 0; n < 150000; n++) {
		u64 r = vdrv_random(&seed);
		int ret;

		random_desc(f, r & 1 ? f->d.desc : TABLE_GPA, (u32)(r >> 8) % 8, &seed);
		if ((r >> 16) % 64 == 0)
			vdrv_set_avail_idx(&f->d, (u16)(r >> 32));
		else
			vdrv_offer(&f->d, (u16)((r >> 24) % 9));
		ret = pop(f);
		if (ret == 1) {
			popped++;
			check_chain(f);
			for (u32 i = 0; i < f->chain.nr_in; i++)
				memset(virtq_in(&f->chain)[i].iov_base, 0x11, 1);
			push(f, f->chain.head, 0);
			virtq_should_signal(&f->vq);
			virtq_enable_notify(&f->vq);
		} else if (ret < 0) {
			broken++;
			start(f, 8, r >> 63, (r >> 62) & 1);
		}
	}
	/* Both ways were walked. */
	assert_true(popped > 1000 && broken > 1000);
}

/* Meanwhile */

static struct {
	struct fixture *f;
	const struct virtq_layout *real;
	u64 seed;
	u32 changes;
} meanwhile;

/* Something else where a descriptor was or will be: the one at hand, or any. */
static void change(const struct virtq_walk *walk, u32 at)
{
	struct fixture *f = meanwhile.f;
	u64 r = vdrv_random(&meanwhile.seed);
	u8 *p = f->ram + (walk->table - f->ram) + 16ULL * (at % walk->entries);

	if (r & 3)
		return;
	meanwhile.changes++;
	if (r & 4) {
		random_desc(f, (u64)(walk->table - f->ram), (u32)(r >> 32) % walk->entries,
			    &meanwhile.seed);
		return;
	}
	switch (r >> 8 & 3) {
	case 0:
		put_le(p, 8, odd_value(&meanwhile.seed));
		break;
	case 1:
		put_le(p + 8, 4, odd_value(&meanwhile.seed));
		break;
	default:
		put_le(p + 12, 4, r >> 16);
		break;
	}
}

static const char *copy_meanwhile(struct virtq_walk *walk, struct virtq_desc *desc)
{
	u32 at = walk->next;
	const char *why;

	change(walk, at);
	why = meanwhile.real->copy(walk, desc);
	change(walk, at);
	return why;
}

static void watch(struct fixture *f)
{
	static struct virtq_layout watched;

	meanwhile.f = f;
	meanwhile.real = f->vq.layout;
	watched = *f->vq.layout;
	watched.copy = copy_meanwhile;
	f->vq.layout = &watched;
}

/* A device that serves such a driver as it comes, and what is its own must stay so. */
static struct {
	struct packed_driver p;
	bool flying[VIRTQ_MAX_SIZE];
	u32 popped, broken, wrapped;
} any;

static void start_any(struct fixture *f, bool packed, u64 r)
{
	static const u16 sizes[] = { 1, 2, 3, 4, 5, 7, 8, 13, 64, 100 };
	u16 size = packed ? sizes[r % ARRAY_SIZE(sizes)] : (u16)(1u << r % 7);

	virtq_reset(&f->vq);
	vdrv_setup(&f->d, f->ram, RING_GPA, size);
	pdrv_setup(&any.p, f->ram, RING_GPA, size);
	f->vq.size = size;
	f->vq.packed = packed;
	f->vq.in_order = r >> 8 & 1;
	f->vq.event_idx = r >> 9 & 1;
	f->vq.indirect = r >> 10 & 3;
	f->vq.desc_gpa = f->d.desc;
	f->vq.avail_gpa = packed ? any.p.driver : f->d.avail;
	f->vq.used_gpa = packed ? any.p.device : f->d.used;
	assert_int_equal(virtq_enable(&f->vq), 0);
	watch(f);
	memset(any.flying, 0, sizeof(any.flying));
}

/* Chains, mostly, and lies about where they are and of which lap. */
static void offer_any(struct fixture *f, u64 r)
{
	u64 seed = r | 1;

	random_desc(f, TABLE_GPA, (u32)(r >> 8) % 40, &seed);
	if (!f->vq.packed) {
		random_desc(f, f->d.desc, (u32)(r >> 16) % f->vq.size, &seed);
		vdrv_offer(&f->d, (u16)((r >> 24) % (f->vq.size + 1u)));
		if (r >> 60 == 0)
			vdrv_set_avail_idx(&f->d, (u16)(r >> 32));
		return;
	}
	if ((r >> 56) % 32 == 0)
		any.p.wrap = !any.p.wrap;
	if ((r >> 48) % 32 == 1)
		any.p.next = (u16)((r >> 40) % any.p.size);
	for (u32 n = 1 + (u32)(r >> 32) % 4, i = 0; i < n; i++) {
		u64 x = vdrv_random(&seed);
		u16 id = (u16)((x >> 8) % (any.p.size + (x >> 60 == 0)));
		u16 flags = (u16)((i + 1 < n ? NEXT : 0) | (x >> 24 & WRITE));

		any.wrapped += any.p.next + 1 == any.p.size && i + 1 < n;
		if (x >> 40 & 7)
			pdrv_desc(&any.p, DATA_GPA + (x & 0xfff), (u32)(x >> 48), id, flags);
		else
			pdrv_desc(&any.p, TABLE_GPA, 16 * ((u32)(x >> 48) % 8), id,
				  (u16)(INDIRECT | (x >> 24 & NEXT)));
	}
}

/* Places in the ring, of what is in flight. */
static u32 places(const struct virtqueue *vq)
{
	u32 n = 0;

	for (u32 i = 0; i < vq->size; i++)
		if (vq->flying[i / 64] & BIT_ULL(i % 64))
			n += vq->flights[i].span & 0x7fff;
	return n;
}

static void pop_any(struct fixture *f, u64 r)
{
	int ret = pop(f);

	if (ret < 0) {
		any.broken++;
		assert_true(f->vq.broken);
		start_any(f, f->vq.packed, r);
	}
	if (ret != 1)
		return;
	any.popped++;
	check_chain(f);
	assert_true(places(&f->vq) <= f->vq.size);
	assert_false(any.flying[f->chain.head]);
	any.flying[f->chain.head] = true;
	for (u32 i = 0; i < (u32)f->chain.nr_out + f->chain.nr_in; i++)
		memset(f->chain.iov[i].iov_base, (int)r, i < f->chain.nr_out ? 0 : 1);
}

static void push_any(struct fixture *f, u64 r)
{
	/* Any head, in flight or not. */
	struct virtq_request req = { .head = (u16)((r >> 8) % (f->vq.size + 2u)) };
	u16 before = f->vq.in_flight;
	bool counts = any.flying[req.head];

	if (r >> 62 & 1)
		virtq_push_later(&f->vq, &req, (u32)(r >> 32));
	else
		virtq_push(&f->vq, &req, (u32)(r >> 32));
	if (!f->vq.in_order)
		assert_int_equal(before - f->vq.in_flight, counts);
	if (counts)
		any.flying[req.head] = false;
	if (r & 1)
		virtq_should_signal(&f->vq);
	if (r & 2)
		virtq_enable_notify(&f->vq);
}

static void run_any(struct fixture *f, bool packed)
{
	meanwhile.seed = packed ? 0xace0fba5e : 0xca5cade5;
	meanwhile.changes = 0;
	memset(&any, 0, sizeof(any));
	start_any(f, packed, 0x106);
	for (u32 i = 0; i < 400000; i++) {
		u64 r = vdrv_random(&meanwhile.seed);

		switch (r % 8) {
		case 0 ... 2:
			offer_any(f, r >> 3);
			break;
		case 3 ... 4:
			pop_any(f, r >> 3);
			break;
		default:
			push_any(f, r >> 3);
			break;
		}
		assert_true(f->vq.in_flight <= f->vq.size);
	}
	assert_true(any.popped > 1000 && any.broken > 1000 && meanwhile.changes > 10000);
	assert_true(!packed || any.wrapped > 1000);
}

static void test_meanwhile_split(void **state)
{
	run_any(*state, false);
}

static void test_meanwhile_packed(void **state)
{
	run_any(*state, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_race, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_meanwhile_split, setup, teardown),
		cmocka_unit_test_setup_teardown(test_meanwhile_packed, setup, teardown),
	};

	return cmocka_run_group_tests_name("virtqueue_random", tests, NULL, NULL);
}
