/* SPDX-License-Identifier: MIT */
/* Split virtqueues against a driver that writes anything, and one that writes meanwhile. */
#include "virtq_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_race, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
	};

	return cmocka_run_group_tests_name("virtqueue_random", tests, NULL, NULL);
}
