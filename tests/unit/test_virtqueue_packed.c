/* SPDX-License-Identifier: MIT */
/* Packed virtqueues against drivers that are good and hostile. */
#include "virtq_fixture.h"

#include "vring_packed.h"

static struct packed_driver drv;

static int try_packed(struct fixture *f, u16 size, bool event_idx)
{
	virtq_reset(&f->vq);
	pdrv_setup(&drv, f->ram, RING_GPA, size);
	f->vq.size = size;
	f->vq.desc_gpa = drv.desc;
	f->vq.avail_gpa = drv.driver;
	f->vq.used_gpa = drv.device;
	f->vq.packed = true;
	f->vq.event_idx = event_idx;
	f->vq.indirect = true;
	return virtq_enable(&f->vq);
}

static void begin(struct fixture *f, u16 size, bool event_idx)
{
	assert_int_equal(try_packed(f, size, event_idx), 0);
}

/* A buffer of @n descriptors of @len bytes, the last of which are for the device to write. */
static void offer(u16 id, u32 n, u32 nr_in, u32 len)
{
	struct packed_driver later = drv;

	/* The first one last, as drivers do: before it there is nothing. */
	drv.span[id] = (u16)n;
	for (u32 i = 0; i < n; i++) {
		u16 flags = (u16)((i + 1 < n ? NEXT : 0) | (i >= n - nr_in ? WRITE : 0));

		if (i)
			pdrv_desc(&drv, DATA_GPA + 64 * i, len, i + 1 < n ? 0xeeee : id, flags);
		else if (++drv.next == drv.size)
			drv.next = 0, drv.wrap = !drv.wrap;
	}
	pdrv_desc(&later, DATA_GPA, len, n > 1 ? 0xeeee : id,
		  (u16)((n > 1 ? NEXT : 0) | (n == nr_in ? WRITE : 0)));
}

static void expect_used(u16 id, u32 len)
{
	u32 got_len = 0;
	u16 got = 0xffff;

	assert_true(pdrv_take_used(&drv, &got, &got_len));
	assert_int_equal(got, id);
	assert_int_equal(got_len, len);
}

static void expect_none(void)
{
	u32 len;
	u16 id;

	assert_false(pdrv_take_used(&drv, &id, &len));
}

static void test_request(void **state)
{
	struct fixture *f = *state;

	begin(f, 8, false);
	assert_int_equal(pop(f), 0);
	offer(5, 4, 2, 50);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.head, 5);
	assert_int_equal(f->chain.nr_out, 2);
	assert_int_equal(f->chain.nr_in, 2);
	assert_int_equal(f->chain.in_len, 100);
	assert_ptr_equal(virtq_out(&f->chain)[1].iov_base, f->ram + DATA_GPA + 64);
	assert_ptr_equal(virtq_in(&f->chain)[0].iov_base, f->ram + DATA_GPA + 128);
	assert_int_equal(f->vq.in_flight, 1);
	assert_int_equal(pop(f), 0);
	expect_none();
	push(f, 5, 99);
	expect_used(5, 99);
	assert_int_equal(f->vq.in_flight, 0);
	assert_true(virtq_should_signal(&f->vq));
	assert_false(virtq_should_signal(&f->vq));
	/* Of nothing written there is no length. */
	offer(1, 1, 0, 1);
	assert_int_equal(pop(f), 1);
	push(f, 1, 0);
	expect_used(1, 0);
}

/* Sizes that are no power of two, chains around the end, many laps, replies out of order. */
static void test_wrap(void **state)
{
	static const u16 sizes[] = { 1, 2, 3, 5, 7, 8, 100 };
	struct fixture *f = *state;
	u64 seed = 77;

	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		u16 size = sizes[s];

		begin(f, size, true);
		for (u32 n = 0; n < 2000; n++) {
			u32 first = 1 + (u32)vdrv_random(&seed) % size, second = size - first;
			u16 a = (u16)(vdrv_random(&seed) % size), b = (u16)((a + 1) % size);

			offer(a, first, first, 8);
			if (second)
				offer(b, second, 0, 4);
			assert_int_equal(pop(f), 1);
			assert_int_equal(f->chain.head, a);
			assert_int_equal(f->chain.in_len, first * 8);
			assert_int_equal(pop(f), second ? 1 : 0);
			if (second) {
				push(f, b, n);
				expect_used(b, n);
			}
			push(f, a, n + 1);
			expect_used(a, n + 1);
			expect_none();
			assert_false(virtq_enable_notify(&f->vq));
			assert_int_equal(pdrv_device_event(&drv),
					 drv.next | (drv.wrap ? PVQ_WRAP : 0));
		}
	}
}

static void test_unpop(void **state)
{
	struct fixture *f = *state;
	struct virtq_request first, second;

	begin(f, 5, false);
	for (u32 lap = 0; lap < 7; lap++) {
		offer(1, 2, 0, 4);
		offer(3, 3, 0, 8);
		assert_int_equal(virtq_pop(&f->vq, &first, f->iov, 5), 1);
		assert_int_equal(virtq_pop(&f->vq, &second, f->iov, 5), 1);
		virtq_unpop(&f->vq, &second);
		virtq_unpop(&f->vq, &first);
		virtq_unpop(&f->vq, &first); /* it is back already */
		assert_int_equal(f->vq.in_flight, 0);
		virtq_push(&f->vq, &first, 4); /* what is not in flight is not a reply */
		expect_none();
		assert_int_equal(pop(f), 1);
		assert_int_equal(f->chain.head, 1);
		assert_int_equal(pop(f), 1);
		assert_int_equal(f->chain.out_len, 24);
		push(f, 3, 0);
		push(f, 1, 0);
		expect_used(3, 0);
		expect_used(1, 0);
	}
	/* One place is not room enough: it stays where it is, and the ring is good. */
	offer(1, 2, 0, 4);
	assert_int_equal(virtq_pop(&f->vq, &first, f->iov, 1), -E2BIG);
	assert_false(f->vq.broken);
	assert_int_equal(pop(f), 1);
}

/* What belongs together is seen together. */
static void test_later(void **state)
{
	struct fixture *f = *state;
	struct virtq_request req = { 0 };

	begin(f, 4, false);
	for (u32 lap = 0; lap < 9; lap++) {
		for (u16 id = 0; id < 3; id++) {
			offer(id, 1, 1, 4);
			assert_int_equal(pop(f), 1);
		}
		for (u16 id = 0; id < 2; id++) {
			req.head = id;
			virtq_push_later(&f->vq, &req, id + 1u);
			expect_none();
		}
		if (lap & 1)
			virtq_publish(&f->vq);
		else
			push(f, 2, 3);
		expect_used(0, 1);
		expect_used(1, 2);
		if (lap & 1)
			push(f, 2, 3);
		expect_used(2, 3);
		virtq_publish(&f->vq);
		expect_none();
	}
	/* What was not shown before a reset is not shown after it. */
	offer(0, 1, 1, 4);
	assert_int_equal(pop(f), 1);
	req.head = 0;
	virtq_push_later(&f->vq, &req, 1); /* at the last place */
	begin(f, 4, false);
	for (u16 id = 1; id < 4; id++) {
		offer(id, 1, 1, 4);
		assert_int_equal(pop(f), 1);
		push(f, id, 2);
		expect_used(id, 2);
		expect_none();
	}
}

static void offer_table(u16 id, u64 table, u32 len, u16 flags)
{
	drv.span[id] = 1;
	pdrv_desc(&drv, table, len, id, flags);
}

/* In a table order and WRITE are all that counts. */
static void test_indirect(void **state)
{
	struct fixture *f = *state;

	begin(f, 2, false);
	pdrv_write(&drv, TABLE_GPA, 0, DATA_GPA, 10, 7, 0);
	pdrv_write(&drv, TABLE_GPA, 1, DATA_GPA + 10, 20, 8, WRITE | INDIRECT | PVQ_USED);
	pdrv_write(&drv, TABLE_GPA, 2, DATA_GPA + 30, 30, 9, WRITE | NEXT);
	for (u32 i = 0; i < 5; i++) {
		offer_table(1, TABLE_GPA, 48, (u16)(INDIRECT | (i & 1 ? WRITE : 0)));
		assert_int_equal(pop(f), 1);
		assert_int_equal(f->chain.head, 1);
		assert_int_equal(f->chain.nr_out, 1);
		assert_int_equal(f->chain.nr_in, 2);
		assert_int_equal(f->chain.in_len, 50);
		push(f, 1, 50);
		expect_used(1, 50);
	}
	for (u32 i = 0; i < VIRTQ_MAX_SEGS; i++)
		pdrv_write(&drv, TABLE_GPA, i, DATA_GPA + i, 1, 0, 0);
	offer_table(0, TABLE_GPA, 16 * VIRTQ_MAX_SEGS, INDIRECT);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.nr_out, VIRTQ_MAX_SEGS);
}

/* Each is a ring of four that breaks one rule: up to four descriptors from its beginning, which are
 * available but for what @xor says. */
static const struct {
	const char *name;
	struct {
		u64 addr;
		u32 len;
		u16 id, flags;
	} d[4];
	int ret;
} bad_rings[] = {
	{ "not available", { { DATA_GPA, 1, 0, PVQ_AVAIL } }, 0 },
	{ "of another lap", { { DATA_GPA, 1, 0, PVQ_AVAIL | PVQ_USED } }, 0 },
	{ "used", { { DATA_GPA, 1, 0, PVQ_USED } }, 0 },
	{ "id", { { DATA_GPA, 1, 4, 0 } }, -EPROTO },
	{ "greatest id", { { DATA_GPA, 1, 0xffff, 0 } }, -EPROTO },
	{ "id of the last", { { DATA_GPA, 1, 0, NEXT }, { DATA_GPA, 1, 4, 0 } }, -EPROTO },
	{ "no end",
	  { { DATA_GPA, 1, 0, NEXT },
	    { DATA_GPA, 1, 0, NEXT },
	    { DATA_GPA, 1, 0, NEXT },
	    { DATA_GPA, 1, 0, NEXT } },
	  -EPROTO },
	{ "order", { { DATA_GPA, 1, 0, NEXT | WRITE }, { DATA_GPA, 1, 0, 0 } }, -EPROTO },
	{ "address", { { RAM_SIZE, 1, 0, 0 } }, -EPROTO },
	{ "end", { { RAM_SIZE - 4, 5, 0, 0 } }, -EPROTO },
	{ "wrap", { { ~0ULL - 1, 0x1000, 0, 0 } }, -EPROTO },
	{ "ROM", { { ROM_GPA, 16, 0, WRITE } }, -EPROTO },
	{ "table and next", { { TABLE_GPA, 16, 0, INDIRECT | NEXT }, { 0 } }, -EPROTO },
	{ "next and table", { { DATA_GPA, 1, 0, NEXT }, { TABLE_GPA, 16, 0, INDIRECT } }, -EPROTO },
	{ "empty table", { { TABLE_GPA, 0, 0, INDIRECT } }, -EPROTO },
	{ "half an entry", { { TABLE_GPA, 24, 0, INDIRECT } }, -EPROTO },
	{ "long table", { { 0, 16 * (VIRTQ_MAX_SEGS + 1), 0, INDIRECT } }, -EPROTO },
	{ "longest table", { { 0, 0xfffffff0, 0, INDIRECT } }, -EPROTO },
	{ "address of table", { { RAM_SIZE - 16, 32, 0, INDIRECT } }, -EPROTO },
};

static void test_hostile(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad_rings); i++) {
		memset(f->ram, 0, RAM_SIZE);
		begin(f, 4, false);
		for (u32 n = 0; n < 4; n++)
			pdrv_write(&drv, drv.desc, n, bad_rings[i].d[n].addr, bad_rings[i].d[n].len,
				   bad_rings[i].d[n].id, bad_rings[i].d[n].flags ^ PVQ_AVAIL);
		if (pop(f) != bad_rings[i].ret || f->vq.broken != !!bad_rings[i].ret)
			fail_msg("%s was let through", bad_rings[i].name);
		/* Broken it stays, and it writes no more. */
		if (!bad_rings[i].ret)
			continue;
		pdrv_write(&drv, drv.desc, 0, DATA_GPA, 1, 0, PVQ_AVAIL);
		assert_int_equal(pop(f), -EPROTO);
		push(f, 0, 1);
		assert_false(virtq_should_signal(&f->vq) || virtq_enable_notify(&f->vq));
		virtq_disable_notify(&f->vq);
		assert_int_equal(pdrv_device_flags(&drv), 0);
		expect_none();
	}
}

/* A buffer that did not come back: neither its id nor its places can be had again. */
static void test_in_flight(void **state)
{
	struct fixture *f = *state;

	begin(f, 4, false);
	offer(2, 1, 0, 1);
	assert_int_equal(pop(f), 1);
	offer(2, 1, 0, 1);
	assert_int_equal(pop(f), -EPROTO);
	/* Places: a chain of two where one is left. */
	begin(f, 4, false);
	offer(0, 3, 0, 1);
	assert_int_equal(pop(f), 1);
	offer(1, 2, 0, 1);
	assert_int_equal(pop(f), -EPROTO);
	/* And none: the whole ring is under way, and available once more. */
	begin(f, 4, false);
	offer(0, 4, 0, 1);
	assert_int_equal(pop(f), 1);
	assert_int_equal(pop(f), 0);
	offer(1, 1, 0, 1);
	assert_int_equal(pop(f), -EPROTO);
	/* One that came back may be offered anew, and comes back once. */
	begin(f, 4, false);
	offer(3, 4, 0, 1);
	assert_int_equal(pop(f), 1);
	push(f, 3, 0);
	push(f, 3, 0);
	expect_used(3, 0);
	expect_none();
	offer(3, 4, 0, 1);
	assert_int_equal(pop(f), 1);
}

static bool enables(struct fixture *f, u16 size, u64 desc, u64 driver, u64 device)
{
	virtq_reset(&f->vq);
	f->vq.size = size;
	f->vq.desc_gpa = desc;
	f->vq.avail_gpa = driver;
	f->vq.used_gpa = device;
	f->vq.packed = true;
	return !virtq_enable(&f->vq);
}

static void test_enable(void **state)
{
	struct fixture *f = *state;
	u64 end = RAM_SIZE;

	assert_true(enables(f, 8, 0, 0x1000, 0x1004));
	assert_true(enables(f, 3, 0, 0x1000, 0x1004));
	assert_true(enables(f, 1, 0, 0x1000, 0x1004));
	assert_true(enables(f, 256, 0, 0x1000, 0x1004));
	assert_false(enables(f, 0, 0, 0x1000, 0x1004));
	assert_false(enables(f, 257, 0, 0x1000, 0x1004));
	assert_false(enables(f, 8, 8, 0x1000, 0x1004));
	assert_false(enables(f, 8, 0, 0x1002, 0x1004));
	assert_false(enables(f, 8, 0, 0x1000, 0x1006));
	assert_true(enables(f, 8, end - 128, 0x1000, 0x1004));
	assert_false(enables(f, 8, end - 112, 0x1000, 0x1004));
	assert_true(enables(f, 8, 0, end - 4, 0x1004));
	assert_false(enables(f, 8, 0, end, 0x1004));
	assert_false(enables(f, 8, 0, 0x1000, end));
	assert_false(enables(f, 8, 0, 0x1000, ROM_GPA));
	assert_true(!f->vq.desc && !f->vq.avail && !f->vq.used);
}

static void test_flags(void **state)
{
	struct fixture *f = *state;

	begin(f, 3, false);
	virtq_disable_notify(&f->vq);
	assert_int_equal(pdrv_device_flags(&drv), VRING_PACKED_EVENT_FLAG_DISABLE);
	assert_false(virtq_enable_notify(&f->vq));
	assert_int_equal(pdrv_device_flags(&drv), VRING_PACKED_EVENT_FLAG_ENABLE);
	offer(0, 1, 0, 1);
	assert_true(virtq_enable_notify(&f->vq));
	assert_int_equal(pop(f), 1);
	pdrv_want(&drv, 0, VRING_PACKED_EVENT_FLAG_DISABLE);
	push(f, 0, 0);
	assert_false(virtq_should_signal(&f->vq));
	/* DESC was not agreed on. */
	pdrv_want(&drv, 1, VRING_PACKED_EVENT_FLAG_DESC);
	offer(0, 1, 0, 1);
	assert_int_equal(pop(f), 1);
	push(f, 0, 0);
	assert_true(virtq_should_signal(&f->vq));
}

static bool one_signals(struct fixture *f)
{
	offer(0, 2, 0, 1);
	assert_int_equal(pop(f), 1);
	push(f, 0, 0);
	return virtq_should_signal(&f->vq);
}

static void test_event_idx(void **state)
{
	struct fixture *f = *state;

	begin(f, 5, true);
	assert_false(virtq_enable_notify(&f->vq));
	assert_int_equal(pdrv_device_flags(&drv), VRING_PACKED_EVENT_FLAG_DESC);
	virtq_disable_notify(&f->vq);
	assert_int_equal(pdrv_device_flags(&drv), VRING_PACKED_EVENT_FLAG_DESC);
	/* Each takes two places: 0 1, 2 3, 4 0', 1' 2', 3' 4', then the same again. */
	pdrv_want(&drv, 3 | PVQ_WRAP, VRING_PACKED_EVENT_FLAG_DESC);
	assert_false(one_signals(f));
	assert_true(one_signals(f));
	assert_false(one_signals(f));
	pdrv_want(&drv, 3, VRING_PACKED_EVENT_FLAG_DESC);
	assert_false(one_signals(f));
	assert_true(one_signals(f));
	pdrv_want(&drv, 0, VRING_PACKED_EVENT_FLAG_DESC); /* of the other parity: a lap ahead */
	assert_false(one_signals(f) || one_signals(f));
	assert_true(one_signals(f));
	/* No such descriptor: rather one interrupt too many. */
	pdrv_want(&drv, 5, VRING_PACKED_EVENT_FLAG_DESC);
	assert_true(one_signals(f));
	/* Nine places without a look still have a base, ten are two laps. */
	begin(f, 5, true);
	pdrv_want(&drv, 4, VRING_PACKED_EVENT_FLAG_DESC);
	for (u32 i = 0; i < 9; i++) {
		offer(0, 1, 0, 1);
		assert_int_equal(pop(f), 1);
		push(f, 0, 0);
	}
	assert_false(virtq_should_signal(&f->vq));
	for (u32 i = 0; i < 10; i++) {
		offer(0, 1, 0, 1);
		assert_int_equal(pop(f), 1);
		push(f, 0, 0);
	}
	assert_true(virtq_should_signal(&f->vq));
	assert_false(virtq_should_signal(&f->vq));
}

static void test_after_reset(void **state)
{
	struct fixture *f = *state;

	begin(f, 8, true);
	offer(0, 1, 0, 1);
	assert_int_equal(pop(f), 1);
	f->vq.in_order = true;
	virtq_reset(&f->vq);
	assert_false(f->vq.packed || f->vq.in_order || f->vq.event_idx || f->vq.indirect);
	assert_false(f->vq.enabled || f->vq.desc_gpa || f->vq.avail_gpa || f->vq.used_gpa);
	assert_int_equal(f->vq.size, f->vq.max_size);
	memset(f->ram, 0x5a, RAM_SIZE);
	push(f, 0, 1);
	virtq_unpop(&f->vq, &f->chain);
	virtq_publish(&f->vq);
	assert_false(virtq_should_signal(&f->vq) || virtq_enable_notify(&f->vq));
	virtq_disable_notify(&f->vq);
	for (u32 i = 0; i < RAM_SIZE; i++)
		assert_int_equal(f->ram[i], 0x5a);
	/* And a split one after it. */
	start(f, 8, false, false);
	vdrv_desc(&f->d, 0, DATA_GPA, 1, 0, 0);
	vdrv_offer(&f->d, 0);
	assert_int_equal(pop(f), 1);
	push(f, 0, 1);
	assert_int_equal(vdrv_used_idx(&f->d), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unpop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_indirect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_flight, setup, teardown),
		cmocka_unit_test_setup_teardown(test_enable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_event_idx, setup, teardown),
		cmocka_unit_test_setup_teardown(test_after_reset, setup, teardown),
	};

	return cmocka_run_group_tests_name("virtqueue_packed", tests, NULL, NULL);
}
