/* SPDX-License-Identifier: MIT */
/* Replies in the order of requests (VIRTIO 1.3, 2.7.9 and 2.8.9), in rings of both layouts. */
#include "virtq_fixture.h"

#include "vring_packed.h"

static struct packed_driver drv;
static bool packed;

static void begin(struct fixture *f, bool pack)
{
	packed = pack;
	start(f, 8, false, false);
	virtq_reset(&f->vq);
	f->vq.size = 8;
	f->vq.in_order = true;
	f->vq.packed = pack;
	if (pack) {
		pdrv_setup(&drv, f->ram, RING_GPA, 8);
		f->vq.desc_gpa = drv.desc;
		f->vq.avail_gpa = drv.driver;
		f->vq.used_gpa = drv.device;
	} else {
		f->vq.desc_gpa = f->d.desc;
		f->vq.avail_gpa = f->d.avail;
		f->vq.used_gpa = f->d.used;
	}
	assert_int_equal(virtq_enable(&f->vq), 0);
}

/* Offer and pop a buffer of 16 bytes, and in a packed ring of two descriptors. */
static void take(struct fixture *f, u16 head)
{
	if (packed) {
		drv.span[head] = 2;
		pdrv_desc(&drv, DATA_GPA, 8, 99, NEXT | WRITE);
		pdrv_desc(&drv, DATA_GPA + 8, 8, head, WRITE);
	} else {
		vdrv_desc(&f->d, head, DATA_GPA, 16, WRITE, 0);
		vdrv_offer(&f->d, head);
	}
	assert_int_equal(pop(f), 1);
	assert_int_equal(f->chain.head, head);
}

/* One entry, of @head, that stands for @n requests; @n 0: there is none. */
static void expect(struct fixture *f, u32 n, u16 head, u32 len)
{
	u32 id = 0, got = 0;
	u16 id16 = 0;
	bool any;

	if (packed) {
		drv.span[head] = (u16)(2 * n);
		any = pdrv_take_used(&drv, &id16, &got);
		id = id16;
	} else {
		any = vdrv_take_used(&f->d, &id, &got);
		f->d.used_seen = (u16)(f->d.used_seen + n - (n > 0));
	}
	assert_int_equal(any, n > 0);
	if (n) {
		assert_int_equal(id, head);
		assert_int_equal(got, len);
	}
}

static void later(struct fixture *f, u16 head, u32 len)
{
	struct virtq_request req = { .head = head };

	virtq_push_later(&f->vq, &req, len);
}

static void run(struct fixture *f, bool pack)
{
	struct virtq_request req;

	begin(f, pack);
	for (u32 lap = 0; lap < 50; lap++) {
		virtq_should_signal(&f->vq); /* of the last lap */
		for (u16 i = 0; i < 4; i++)
			take(f, i);
		/* The last ones first: nothing to be seen, and nothing to signal. */
		push(f, 2, 16);
		push(f, 3, 5);
		push(f, 3, 6); /* once is enough */
		expect(f, 0, 0, 0);
		assert_false(virtq_should_signal(&f->vq));
		assert_int_equal(f->vq.in_flight, 4);
		push(f, 0, 7);
		expect(f, 1, 0, 7);
		assert_true(virtq_should_signal(&f->vq));
		/* The two that were written in full need no entry of their own. */
		push(f, 1, 16);
		expect(f, 3, 3, 5);
		expect(f, 0, 0, 0);
		assert_int_equal(f->vq.in_flight, 0);
		/* One that was not does. */
		take(f, 1);
		take(f, 0);
		take(f, 2);
		later(f, 1, 15);
		later(f, 0, 16);
		expect(f, 0, 0, 0);
		virtq_publish(&f->vq);
		expect(f, 1, 1, 15);
		expect(f, 1, 0, 16);
		/* What goes back has no place in the order. */
		req = f->chain;
		virtq_unpop(&f->vq, &req);
		virtq_push(&f->vq, &req, 1);
		expect(f, 0, 0, 0);
		assert_int_equal(pop(f), 1);
		assert_int_equal(f->chain.head, 2);
		take(f, 3);
		push(f, 3, 16);
		virtq_unpop(&f->vq, &f->chain); /* too late */
		push(f, 2, 16);
		expect(f, 2, 3, 16);
	}
	/* What waits is not to be offered again. */
	take(f, 0);
	take(f, 1);
	push(f, 1, 0);
	if (pack) {
		pdrv_desc(&drv, DATA_GPA, 8, 1, 0);
	} else {
		vdrv_offer(&f->d, 1);
	}
	assert_int_equal(pop(f), -EPROTO);
}

static void test_split(void **state)
{
	run(*state, false);
}

static void test_packed(void **state)
{
	run(*state, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_split, setup, teardown),
		cmocka_unit_test_setup_teardown(test_packed, setup, teardown),
	};

	return cmocka_run_group_tests_name("virtqueue_order", tests, NULL, NULL);
}
