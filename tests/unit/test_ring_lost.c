/* SPDX-License-Identifier: MIT */
/* virtio/ring-lost.c: rings that a device served for a while, in some order, when it was lost. */
#include <linux/virtio_ring.h>
#include <stdlib.h>

#include "lkvm/virtqueue.h"
#include "unit.h"

#define MAX_HEADS 256

static struct virtqueue vq;
static u64 seed;

static struct {
	u16 size;
	u16 idle[MAX_HEADS], nr_idle; /* heads that the driver has */
	u16 out[MAX_HEADS], nr_out;   /* that the device has, the oldest first */
} m;

static u32 draw(u32 below)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(seed >> 33) % below;
}

static void make(u16 size, bool garbage)
{
	memset(&m, 0, sizeof(m));
	m.size = vq.size = size;
	vq.avail = calloc(1, 6 + 2 * MAX_HEADS);
	vq.used = calloc(1, 6 + 8 * MAX_HEADS);
	if (garbage)
		for (u16 i = 0; i < size; i++)
			((struct vring_used *)vq.used)->ring[i].id = cpu_to_le32(draw(size));
	while (m.nr_idle < size) {
		m.idle[m.nr_idle] = m.nr_idle;
		m.nr_idle++;
	}
	virtq_mark_new(&vq);
}

static void offer(bool stack)
{
	struct vring_avail *a = vq.avail;
	u16 at = stack ? (u16)(m.nr_idle - 1) : 0, head = m.idle[at];

	memmove(m.idle + at, m.idle + at + 1, (size_t)(m.nr_idle - at - 1) * 2);
	m.nr_idle--;
	a->ring[le16_to_cpu(a->idx) % m.size] = cpu_to_le16(head);
	a->idx = cpu_to_le16((u16)(le16_to_cpu(a->idx) + 1));
	m.out[m.nr_out++] = head;
}

static void use(u16 at)
{
	struct vring_used *u = vq.used;
	u16 head = m.out[at];

	memmove(m.out + at, m.out + at + 1, (size_t)(m.nr_out - at - 1) * 2);
	m.nr_out--;
	u->ring[le16_to_cpu(u->idx) % m.size].id = cpu_to_le32(head);
	u->idx = cpu_to_le16((u16)(le16_to_cpu(u->idx) + 1));
	m.idle[m.nr_idle++] = head;
}

/* @stray: how many older requests one may overtake. */
static void work(u32 steps, u16 depth, u16 stray, bool stack)
{
	while (steps--) {
		u32 n = draw(depth + 1u);

		while (m.nr_out < n)
			offer(stack);
		for (n = draw(m.nr_out + 1u); n; n--)
			use((u16)draw(MIN(m.nr_out, stray + 1u)));
	}
	while (m.nr_out < depth / 2)
		offer(stack);
}

static bool found(void)
{
	u16 heads[MAX_HEADS];
	bool all, same;
	int n = virtq_find_lost(&vq, heads, &all);

	same = all && n == m.nr_out && !memcmp(heads, m.out, (size_t)n * 2);
	assert_int_equal(vq.last_avail, le16_to_cpu(((struct vring_avail *)vq.avail)->idx));
	assert_int_equal(vq.used_idx, (u16)(vq.last_avail - m.nr_out));
	free(vq.avail);
	free(vq.used);
	return same;
}

static void test_in_order(void **state)
{
	for (u32 i = 0; i < 400; i++) {
		make(i % 3 ? 64 : 256, i % 5 == 4);
		work(1 + draw(i % 10 ? 60 : 3000), (u16)(1 + draw(i % 7 ? 16 : 63)), 0, i & 1);
		assert_true(found());
	}
}

/* In its first lap, whatever the order. */
static void test_first_lap(void **state)
{
	for (u32 i = 0; i < 200; i++) {
		make(256, false);
		while (le16_to_cpu(((struct vring_avail *)vq.avail)->idx) < 200)
			work(1, 20, 255, i & 1);
		assert_true(found());
	}
}

static void test_nearly_in_order(void **state)
{
	u32 wrong = 0;

	for (u32 i = 0; i < 400; i++) {
		make(256, false);
		work(200 + draw(200), (u16)(1 + draw(32)), 3, i & 1);
		wrong += !found();
	}
	print_message("%u of 400 were judged wrongly\n", wrong);
	assert_true(wrong < 4);
}

/* One request hung for more than a lap: its entry is not there any more. */
static void test_overwritten(void **state)
{
	u16 heads[MAX_HEADS];
	bool all;

	make(64, false);
	offer(false);
	for (u32 i = 0; i < 300; i++) {
		offer(false);
		offer(false);
		use(1);
		use(1);
	}
	offer(false);
	assert_int_equal(virtq_find_lost(&vq, heads, &all), 1);
	assert_int_equal(heads[0], m.out[1]);
	assert_false(all);
	free(vq.avail);
	free(vq.used);
}

static void test_hostile(void **state)
{
	u16 heads[MAX_HEADS];
	bool all;

	for (u32 i = 0; i < 2000; i++) {
		int n;

		make(64, false);
		for (u32 k = 0; k < 64; k++) {
			((struct vring_avail *)vq.avail)->ring[k] = (u16)draw(i & 1 ? 70 : 64);
			((struct vring_used *)vq.used)->ring[k].id = draw(i & 2 ? 70 : 64);
		}
		((struct vring_avail *)vq.avail)->idx = (u16)draw(100);
		n = virtq_find_lost(&vq, heads, &all);
		assert_in_range(n, 0, 64);
		for (int k = 0; k < n; k++)
			assert_in_range(heads[k], 0, 63);
		free(vq.avail);
		free(vq.used);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),	cmocka_unit_test(test_first_lap),
		cmocka_unit_test(test_nearly_in_order), cmocka_unit_test(test_overwritten),
		cmocka_unit_test(test_hostile),
	};

	seed = 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
