/* SPDX-License-Identifier: MIT */
/* Split virtqueues against drivers that are good and hostile. */
#include "virtq_fixture.h"

static void test_request(void **state)
{
	struct fixture *f = *state;
	u32 id, len;

	start(f, 8, false, false);
	assert_int_equal(pop(f), 0);
	vdrv_desc(&f->d, 5, DATA_GPA, 16, NEXT, 2);
	vdrv_desc(&f->d, 2, DATA_GPA + 100, 50, NEXT, 7);
	vdrv_desc(&f->d, 7, HIGH_GPA, 512, NEXT | WRITE, 0);
	vdrv_desc(&f->d, 0, DATA_GPA + 0x1000, 1, WRITE, 99);
	vdrv_offer(&f->d, 5);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.head, 5);
	assert_int_equal(f->chain.nr_out, 2);
	assert_int_equal(f->chain.nr_in, 2);
	assert_int_equal(f->chain.out_len, 66);
	assert_int_equal(f->chain.in_len, 513);
	assert_ptr_equal(virtq_out(&f->chain)[0].iov_base, f->ram + DATA_GPA);
	assert_ptr_equal(virtq_out(&f->chain)[1].iov_base, f->ram + DATA_GPA + 100);
	assert_int_equal(virtq_out(&f->chain)[1].iov_len, 50);
	assert_ptr_equal(virtq_in(&f->chain)[0].iov_base, f->high);
	assert_ptr_equal(virtq_in(&f->chain)[1].iov_base, f->ram + DATA_GPA + 0x1000);
	assert_int_equal(f->vq.in_flight, 1);
	assert_int_equal(pop(f), 0);
	assert_false(vdrv_take_used(&f->d, &id, &len));
	push(f, 5, 513);
	assert_true(vdrv_take_used(&f->d, &id, &len));
	assert_int_equal(id, 5);
	assert_int_equal(len, 513);
	assert_int_equal(f->vq.in_flight, 0);
	assert_true(virtq_should_signal(&f->vq));
	assert_false(virtq_should_signal(&f->vq));
}

/* Both indices go around their 16 bits, the ring many times more. */
static void test_wrap(void **state)
{
	struct fixture *f = *state;
	u32 id, len;

	start(f, 4, true, false);
	for (u32 i = 0; i < 4; i++)
		vdrv_desc(&f->d, i, DATA_GPA + 64 * i, 64, WRITE, 0);
	for (u32 n = 0; n < 70000; n++) {
		u16 head = (u16)((n * 3 + n / 7) % 4);

		vdrv_set_used_event(&f->d, (u16)n);
		vdrv_offer(&f->d, head);
		assert_int_equal(pop(f), 1);
		assert_int_equal(f->chain.head, head);
		push(f, head, n);
		assert_true(virtq_should_signal(&f->vq));
		assert_true(vdrv_take_used(&f->d, &id, &len));
		assert_int_equal(id, head);
		assert_int_equal(len, n);
		assert_false(virtq_enable_notify(&f->vq));
		assert_int_equal(vdrv_avail_event(&f->d), (u16)(n + 1));
	}
	assert_int_equal(pop(f), 0);
}

static void test_unpop(void **state)
{
	struct fixture *f = *state;
	struct virtq_request first, second;

	start(f, 4, false, false);
	vdrv_desc(&f->d, 1, DATA_GPA, 4, 0, 0);
	vdrv_desc(&f->d, 3, DATA_GPA, 8, 0, 0);
	vdrv_offer(&f->d, 1);
	vdrv_offer(&f->d, 3);
	assert_int_equal(pop(f), 1);
	virtq_unpop(&f->vq, &f->chain);
	assert_int_equal(f->vq.in_flight, 0);
	assert_int_equal(virtq_pop(&f->vq, &first, f->iov, 4), 1);
	assert_int_equal(first.head, 1);
	assert_int_equal(virtq_pop(&f->vq, &second, f->iov, 4), 1);
	assert_int_equal(second.head, 3);
	virtq_unpop(&f->vq, &second);
	virtq_unpop(&f->vq, &first);
	virtq_unpop(&f->vq, &first); /* it is back already */
	assert_int_equal(f->vq.in_flight, 0);
	/* What is not in flight is not a reply. */
	virtq_push(&f->vq, &first, 4);
	assert_int_equal(vdrv_used_idx(&f->d), 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.head, 1);
}

/* Room for fewer buffers than the chain has: it stays where it is, and the ring is good. */
static void test_room(void **state)
{
	struct fixture *f = *state;
	struct iovec guard[3] = { 0 };

	start(f, 8, false, false);
	for (u32 i = 0; i < 3; i++)
		vdrv_desc(&f->d, i, DATA_GPA + i, 1, i < 2 ? NEXT : 0, (u16)(i + 1));
	vdrv_offer(&f->d, 0);
	assert_int_equal(virtq_pop(&f->vq, &f->chain, guard, 0), -E2BIG);
	assert_int_equal(virtq_pop(&f->vq, &f->chain, guard, 2), -E2BIG);
	assert_null(guard[2].iov_base);
	assert_false(f->vq.broken);
	assert_int_equal(f->vq.in_flight, 0);
	assert_int_equal(virtq_pop(&f->vq, &f->chain, guard, 3), 1);
	assert_int_equal(f->chain.nr_out, 3);
}

/* Memory comes and goes: the ring is found again, or the queue is broken. */
static void test_remap(void **state)
{
	struct fixture *f = *state;
	u8 *other = aligned_alloc(4096, RAM_SIZE);

	start(f, 8, false, false);
	vdrv_desc(&f->d, 0, DATA_GPA, 1, 0, 0);
	vdrv_offer(&f->d, 0);
	memcpy(other, f->ram, RAM_SIZE);
	memory_destroy(&f->mem);
	memory_init(&f->mem);
	assert_int_equal(memory_add_borrowed(&f->mem, 0, RAM_SIZE, other, 0, "ram"), 0);
	assert_int_equal(virtq_remap(&f->vq), 0);
	assert_int_equal(pop(f), 1);
	assert_ptr_equal(f->iov[0].iov_base, other + DATA_GPA);
	push(f, 0, 0);
	assert_int_equal(vdrv_used_idx(&f->d), 0);
	f->d.ram = other;
	assert_int_equal(vdrv_used_idx(&f->d), 1);
	memory_destroy(&f->mem);
	memory_init(&f->mem);
	assert_int_equal(virtq_remap(&f->vq), -EFAULT);
	assert_int_equal(pop(f), -EPROTO);
	push(f, 0, 0);
	assert_int_equal(vdrv_used_idx(&f->d), 1);
	free(other);
}

static void test_indirect(void **state)
{
	struct fixture *f = *state;
	u64 table = TABLE_GPA + 3; /* a table needs no alignment */

	start(f, 8, false, true);
	vdrv_write_desc(&f->d, table, 0, DATA_GPA, 10, NEXT, 2);
	vdrv_write_desc(&f->d, table, 2, DATA_GPA + 10, 20, NEXT | WRITE, 1);
	vdrv_write_desc(&f->d, table, 1, DATA_GPA + 30, 30, WRITE, 0);
	vdrv_desc(&f->d, 4, table, 48, INDIRECT, 0);
	vdrv_offer(&f->d, 4);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.head, 4);
	assert_int_equal(f->chain.nr_out, 1);
	assert_int_equal(f->chain.nr_in, 2);
	assert_int_equal(f->chain.in_len, 50);
	/* Direct ones first, then a table; the write flag of its descriptor means nothing. */
	vdrv_desc(&f->d, 0, DATA_GPA + 0x800, 7, NEXT, 4);
	vdrv_desc(&f->d, 4, table, 48, INDIRECT | WRITE, 0);
	vdrv_offer(&f->d, 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.head, 0);
	assert_int_equal(f->chain.nr_out, 2);
	assert_int_equal(f->chain.out_len, 17);
}

/* Longer than the queue, which drivers do, and as long as there may be. */
static void test_indirect_long(void **state)
{
	struct fixture *f = *state;

	start(f, 4, false, true);
	for (u32 i = 0; i < VIRTQ_MAX_SEGS; i++)
		vdrv_write_desc(&f->d, TABLE_GPA, i, DATA_GPA + i, 1,
				i + 1 < VIRTQ_MAX_SEGS ? NEXT : 0, (u16)(i + 1));
	vdrv_desc(&f->d, 1, TABLE_GPA, 16 * VIRTQ_MAX_SEGS, INDIRECT, 0);
	vdrv_offer(&f->d, 1);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.nr_out, VIRTQ_MAX_SEGS);
	/* One more, in front of the table. */
	vdrv_desc(&f->d, 0, DATA_GPA, 1, NEXT, 1);
	vdrv_offer(&f->d, 0);
	assert_int_equal(pop(f), -EPROTO);
}

static void test_zero_length(void **state)
{
	struct fixture *f = *state;

	start(f, 8, false, false);
	vdrv_desc(&f->d, 0, ~0ULL, 0, NEXT, 1); /* an address that nobody looks at */
	vdrv_desc(&f->d, 1, DATA_GPA, 3, NEXT, 2);
	vdrv_desc(&f->d, 2, DATA_GPA, 0, NEXT | WRITE, 3);
	vdrv_desc(&f->d, 3, DATA_GPA, 5, WRITE, 0);
	vdrv_offer(&f->d, 0);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.nr_out, 1);
	assert_int_equal(f->chain.nr_in, 1);
	vdrv_desc(&f->d, 4, 0, 0, 0, 0);
	vdrv_offer(&f->d, 4);
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.nr_out + f->chain.nr_in, 0);
	/* Even an empty one counts for the order. */
	vdrv_desc(&f->d, 5, DATA_GPA, 0, NEXT | WRITE, 6);
	vdrv_desc(&f->d, 6, DATA_GPA, 1, 0, 0);
	vdrv_offer(&f->d, 5);
	assert_int_equal(pop(f), -EPROTO);
}

/*
 * Each is a ring that breaks one rule: up to two descriptors, in the queue's table or after
 * @table, that are written over a good request with head 0.
 */
struct bad_ring {
	const char *name;
	struct {
		u64 table;
		u64 addr;
		u32 len;
		u16 flags, next;
	} desc[2];
	u16 head;
	u16 avail_idx; /* 0: the right one */
};

static const struct bad_ring bad_rings[] = {
	{ "head", .desc = { { 0, DATA_GPA, 1, 0, 0 } }, .head = 8 },
	{ "greatest head", .desc = { { 0, DATA_GPA, 1, 0, 0 } }, .head = 0xffff },
	{ "index jumps", .desc = { { 0, DATA_GPA, 1, 0, 0 } }, .avail_idx = 9 },
	{ "index goes back", .desc = { { 0, DATA_GPA, 1, 0, 0 } }, .avail_idx = 0xffff },
	{ "next", .desc = { { 0, DATA_GPA, 1, NEXT, 8 } } },
	{ "loop of one", .desc = { { 0, DATA_GPA, 1, NEXT, 0 } } },
	{ "loop of nothing", .desc = { { 0, 0, 0, NEXT, 1 }, { 0, 0, 0, NEXT, 0 } } },
	{ "order", .desc = { { 0, DATA_GPA, 1, NEXT | WRITE, 1 }, { 0, DATA_GPA, 1, 0, 0 } } },
	{ "address", .desc = { { 0, RAM_SIZE, 1, 0, 0 } } },
	{ "end", .desc = { { 0, RAM_SIZE - 4, 5, 0, 0 } } },
	{ "wrap", .desc = { { 0, ~0ULL - 1, 0x1000, 0, 0 } } },
	{ "ROM", .desc = { { 0, ROM_GPA, 16, WRITE, 0 } } },
	{ "table and next",
	  .desc = { { 0, TABLE_GPA, 16, INDIRECT | NEXT, 1 }, { 0, DATA_GPA, 1, 0, 0 } } },
	{ "table in table", .desc = { { 0, TABLE_GPA, 16, INDIRECT, 0 },
				      { TABLE_GPA, TABLE_GPA, 16, INDIRECT, 0 } } },
	{ "empty table", .desc = { { 0, TABLE_GPA, 0, INDIRECT, 0 } } },
	{ "half an entry", .desc = { { 0, TABLE_GPA, 24, INDIRECT, 0 } } },
	{ "long table", .desc = { { 0, 0, 16 * (VIRTQ_MAX_SEGS + 1), INDIRECT, 0 } } },
	{ "longest table", .desc = { { 0, TABLE_GPA, 0xfffffff0, INDIRECT, 0 } } },
	{ "address of table", .desc = { { 0, RAM_SIZE - 16, 32, INDIRECT, 0 } } },
	{ "next in table",
	  .desc = { { 0, TABLE_GPA, 16, INDIRECT, 0 }, { TABLE_GPA, DATA_GPA, 1, NEXT, 1 } } },
	{ "loop in table",
	  .desc = { { 0, TABLE_GPA, 16, INDIRECT, 0 }, { TABLE_GPA, DATA_GPA, 1, NEXT, 0 } } },
};

static void offer_bad(struct fixture *f, const struct bad_ring *bad)
{
	start(f, 8, false, true);
	/* The second one is entry 1 of the queue's table, or entry 0 of its own. */
	for (u32 i = 0; i < 2; i++) {
		u64 table = bad->desc[i].table;

		if (!i || bad->desc[i].flags || bad->desc[i].addr)
			vdrv_write_desc(&f->d, table ? table : f->d.desc, table ? 0 : i,
					bad->desc[i].addr, bad->desc[i].len, bad->desc[i].flags,
					bad->desc[i].next);
	}
	vdrv_offer(&f->d, bad->head);
	if (bad->avail_idx)
		vdrv_set_avail_idx(&f->d, bad->avail_idx);
}

static void test_hostile(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad_rings); i++) {
		memset(f->ram, 0, RAM_SIZE);
		offer_bad(f, &bad_rings[i]);
		if (pop(f) != -EPROTO || !f->vq.broken)
			fail_msg("%s was let through", bad_rings[i].name);
		assert_true(f->chain.nr_out + f->chain.nr_in <= 8); /* a loop is seen at once */
		/* Broken it stays, even if the driver repents; and it writes no more. */
		start(f, 8, false, true);
		vdrv_desc(&f->d, 0, DATA_GPA, 1, 0, 0);
		vdrv_offer(&f->d, 0);
		assert_int_equal(pop(f), 1);
		vdrv_offer(&f->d, 0xffff);
		assert_int_equal(pop(f), -EPROTO);
		push(f, 0, 1);
		assert_int_equal(vdrv_used_idx(&f->d), 0);
		assert_false(virtq_should_signal(&f->vq));
		assert_false(virtq_enable_notify(&f->vq));
		virtq_disable_notify(&f->vq);
		assert_int_equal(vdrv_used_flags(&f->d), 0);
		vdrv_set_avail_idx(&f->d, 1);
		assert_int_equal(pop(f), -EPROTO);
	}
	/* The same good table with the feature and without. */
	for (u32 indirect = 0; indirect < 2; indirect++) {
		start(f, 8, false, indirect);
		vdrv_write_desc(&f->d, TABLE_GPA, 0, DATA_GPA, 1, 0, 0);
		vdrv_desc(&f->d, 0, TABLE_GPA, 16, INDIRECT, 0);
		vdrv_offer(&f->d, 0);
		assert_int_equal(pop(f), indirect ? 1 : -EPROTO);
	}
}

/* A request that did not come back is not offered again; one that did may be. */
static void test_in_flight(void **state)
{
	struct fixture *f = *state;

	start(f, 4, false, false);
	for (u32 i = 0; i < 4; i++) {
		vdrv_desc(&f->d, i, DATA_GPA, 1, 0, 0);
		vdrv_offer(&f->d, (u16)i);
		assert_int_equal(pop(f), 1);
	}
	push(f, 2, 0);
	push(f, 2, 0); /* once is enough */
	assert_int_equal(vdrv_used_idx(&f->d), 1);
	assert_int_equal(f->vq.in_flight, 3);
	vdrv_offer(&f->d, 2);
	assert_int_equal(pop(f), 1);
	vdrv_offer(&f->d, 1);
	assert_int_equal(pop(f), -EPROTO);
	assert_true(f->vq.broken);
}

/* Four buffers of 1 GiB are the maximum for a chain. */
static void test_total_length(void **state)
{
	struct fixture *f = *state;
	struct guest_memory big;
	size_t size = 1 << 30;

	memory_init(&big);
	assert_int_equal(
		memory_add(&big,
			   &(struct memory_desc){ .gpa = 0x40000000, .size = size, .name = "big" }),
		0);
	assert_int_equal(memory_add_borrowed(&big, 0, RAM_SIZE, f->ram, 0, "ram"), 0);
	f->vq.mem = &big;
	for (u32 n = 4; n <= 5; n++) {
		start(f, 8, false, false);
		for (u32 i = 0; i < n; i++)
			vdrv_desc(&f->d, i, 0x40000000, (u32)size, i + 1 < n ? NEXT : 0,
				  (u16)(i + 1));
		vdrv_offer(&f->d, 0);
		assert_int_equal(pop(f), n == 4 ? 1 : -EPROTO);
	}
	virtq_reset(&f->vq);
	f->vq.mem = &f->mem;
	memory_destroy(&big);
}

static bool enables(struct fixture *f, u16 size, u64 desc, u64 avail, u64 used)
{
	bool ok;

	virtq_reset(&f->vq);
	f->vq.size = size;
	f->vq.desc_gpa = desc;
	f->vq.avail_gpa = avail;
	f->vq.used_gpa = used;
	ok = virtq_enable(&f->vq) == 0;
	assert_int_equal(ok, f->vq.enabled);
	if (!ok)
		assert_int_equal(pop(f), -EPROTO);
	return ok;
}

static void test_enable(void **state)
{
	struct fixture *f = *state;
	u64 end = RAM_SIZE;

	assert_true(enables(f, 8, 0, 0x1000, 0x2000));
	assert_true(enables(f, 256, 0, 0x1002, 0x2004));
	assert_true(enables(f, 1, 0, 0x1000, 0x2000));
	assert_false(enables(f, 0, 0, 0x1000, 0x2000));
	assert_false(enables(f, 3, 0, 0x1000, 0x2000));
	assert_false(enables(f, 512, 0, 0x1000, 0x2000)); /* offered: 256 */
	assert_false(enables(f, 0x8000, 0, 0x1000, 0x2000));
	assert_false(enables(f, 8, 8, 0x1000, 0x2000));
	assert_false(enables(f, 8, 0, 0x1001, 0x2000));
	assert_false(enables(f, 8, 0, 0x1000, 0x2002));
	assert_true(enables(f, 8, end - 128, 0x1000, 0x2000));
	assert_false(enables(f, 8, end - 112, 0x1000, 0x2000));
	assert_true(enables(f, 8, 0, end - 22, 0x2000));
	assert_false(enables(f, 8, 0, end - 20, 0x2000));
	assert_true(enables(f, 8, 0, 0x1000, end - 72));
	assert_false(enables(f, 8, 0, 0x1000, end - 68));
	assert_false(enables(f, 8, ~0ULL << 4, 0x1000, 0x2000));
	assert_false(enables(f, 8, 0, 0x1000, ROM_GPA));
	assert_true(enables(f, 8, HIGH_GPA, 0x1000, 0x2000));
}

static void test_after_reset(void **state)
{
	struct fixture *f = *state;

	start(f, 8, true, false);
	vdrv_desc(&f->d, 0, DATA_GPA, 1, 0, 0);
	vdrv_offer(&f->d, 0);
	assert_int_equal(pop(f), 1);
	virtq_reset(&f->vq);
	memset(f->ram, 0x5a, RAM_SIZE);
	push(f, 0, 1);
	virtq_unpop(&f->vq, &f->chain);
	assert_false(virtq_should_signal(&f->vq));
	assert_false(virtq_enable_notify(&f->vq));
	virtq_disable_notify(&f->vq);
	for (u32 i = 0; i < RAM_SIZE; i++)
		assert_int_equal(f->ram[i], 0x5a);
	assert_int_equal(f->vq.size, f->vq.max_size);
	/* A push that nobody popped is not a reply either. */
	memset(f->ram, 0, RAM_SIZE);
	start(f, 8, false, false);
	push(f, 0, 1);
	assert_int_equal(vdrv_used_idx(&f->d), 0);
}

static void test_flags_suppression(void **state)
{
	struct fixture *f = *state;

	start(f, 8, false, false);
	vdrv_desc(&f->d, 0, DATA_GPA, 1, 0, 0);
	virtq_disable_notify(&f->vq);
	assert_int_equal(vdrv_used_flags(&f->d), VRING_USED_F_NO_NOTIFY);
	assert_false(virtq_enable_notify(&f->vq));
	assert_int_equal(vdrv_used_flags(&f->d), 0);
	vdrv_offer(&f->d, 0);
	assert_true(virtq_enable_notify(&f->vq));
	assert_int_equal(pop(f), 1);
	vdrv_set_avail_flags(&f->d, VRING_AVAIL_F_NO_INTERRUPT);
	push(f, 0, 0);
	assert_false(virtq_should_signal(&f->vq));
	vdrv_set_avail_flags(&f->d, 0);
	vdrv_offer(&f->d, 0);
	assert_int_equal(pop(f), 1);
	push(f, 0, 0);
	assert_true(virtq_should_signal(&f->vq));
}

static void push_n(struct fixture *f, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		vdrv_offer(&f->d, 0);
		assert_int_equal(pop(f), 1);
		push(f, 0, 0);
	}
}

static void test_event_idx(void **state)
{
	struct fixture *f = *state;

	start(f, 8, true, false);
	vdrv_desc(&f->d, 0, DATA_GPA, 1, 0, 0);
	/* Flags mean nothing any more. */
	vdrv_set_avail_flags(&f->d, VRING_AVAIL_F_NO_INTERRUPT);
	vdrv_set_used_event(&f->d, 2);
	push_n(f, 1);
	assert_false(virtq_should_signal(&f->vq)); /* entries 0; waits for 2 */
	push_n(f, 1);
	assert_false(virtq_should_signal(&f->vq));
	push_n(f, 1);
	assert_true(virtq_should_signal(&f->vq)); /* entry 2 */
	push_n(f, 5);
	assert_false(virtq_should_signal(&f->vq)); /* 3..7; it still says 2 */
	vdrv_set_used_event(&f->d, 10);
	push_n(f, 5);
	assert_true(virtq_should_signal(&f->vq)); /* 8..12 has 10 */
	/* Around the end of the 16 bits. */
	push_n(f, 65530 - 13);
	virtq_should_signal(&f->vq);
	vdrv_set_used_event(&f->d, 3);
	push_n(f, 9); /* 65530..65538 = 2 */
	assert_false(virtq_should_signal(&f->vq));
	push_n(f, 1);
	assert_true(virtq_should_signal(&f->vq));
	/* A whole lap without asking: nothing is known, so signal. */
	vdrv_set_used_event(&f->d, 60000);
	push_n(f, 65536 + 3);
	assert_true(virtq_should_signal(&f->vq));
	push_n(f, 1);
	assert_false(virtq_should_signal(&f->vq));
	virtq_disable_notify(&f->vq);
	assert_int_equal(vdrv_used_flags(&f->d), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unpop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_indirect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_indirect_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zero_length, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_flight, setup, teardown),
		cmocka_unit_test_setup_teardown(test_total_length, setup, teardown),
		cmocka_unit_test_setup_teardown(test_enable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_after_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flags_suppression, setup, teardown),
		cmocka_unit_test_setup_teardown(test_event_idx, setup, teardown),
	};

	return cmocka_run_group_tests_name("virtqueue", tests, NULL, NULL);
}
