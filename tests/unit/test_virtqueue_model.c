/* SPDX-License-Identifier: MIT */
/*
 * Virtqueues of every kind (split and packed, in order, with event-idx, indirect; packed ones of
 * any size) against a model: a driver that does what it may in any order, and knows what it gave.
 * Each buffer must reach the device as it was offered, and come back once, as it was pushed, when
 * it was published; each wish must be heard.
 */
#include "virtq_fixture.h"

#include "vring_packed.h"

#define MAX_BUFS 6
#define STEPS	 4000
#define MOST	 256 /* entries */

/* A request of the driver's: what the device must see of it, and what it answered. */
struct sent {
	struct iovec iov[MAX_BUFS];
	u16 nr_out, nr_in;
	u32 out_len, in_len, len;
	u16 places; /* in the ring */
	u16 descs[MAX_BUFS];
	bool busy, flying, pushed;
};

static struct model {
	struct fixture *f;
	u64 seed;
	u16 size;
	bool packed, in_order, event, indirect;
	struct packed_driver p;
	struct sent sent[MOST]; /* by id */
	u16 free[MOST];		/* split: descriptors */
	u16 nr_free;
	/* Ids: in the order of offers up to @offered, of which the device has those below @popped
	 * and gave back, where replies are in order, those below @back. */
	u16 order[MOST];
	u32 offered, popped, back;
	/* Otherwise: in the order of pushes, of which the driver saw those below @seen. */
	u16 pushes[MOST];
	u32 pushed, published, seen;
	/* Places: popped, used, and used when the last signal was asked for. */
	u32 places_popped, places_used, places_signalled;
	u32 wish; /* event-idx: the place that is waited for */
	bool no_interrupt;
	u32 entries, answers; /* used entries; what they stood for */
} m;

static u32 below(u32 n)
{
	return (u32)((vdrv_random(&m.seed) >> 16) % n);
}

static bool one_of(u32 n)
{
	return !below(n);
}

static u16 position(u32 place)
{
	if (!m.packed)
		return (u16)place;
	return (u16)(place % m.size | (place / m.size & 1 ? 0 : PVQ_WRAP));
}

/* Offering */

/* A buffer anywhere in either region; some are empty, and the device does not see those. */
static u64 make_buffer(struct sent *s, bool write, u32 *len)
{
	bool high = one_of(3);
	u32 at = below(high ? HIGH_SIZE - 64 : 0x8000);

	*len = one_of(8) ? 0 : 1 + below(64);
	if (*len) {
		s->iov[s->nr_out + s->nr_in] =
			(struct iovec){ high ? m.f->high + at : m.f->ram + DATA_GPA + at, *len };
		*(write ? &s->nr_in : &s->nr_out) += 1;
		*(write ? &s->in_len : &s->out_len) += *len;
	}
	return high ? HIGH_GPA + at : DATA_GPA + at;
}

/* Entry @i of @n, of the table at @table (0: the ring, at @at). */
static void put(struct sent *s, u64 table, u16 at, u32 i, u32 n, u32 nr_in, u16 id)
{
	bool write = i >= n - nr_in;
	u16 flags = (u16)((write ? WRITE : 0) | (i + 1 < n ? NEXT : 0));
	u32 len;
	u64 gpa = make_buffer(s, write, &len);

	if (table && m.packed) /* but for WRITE flags mean nothing there, nor do ids */
		pdrv_write(&m.p, table, i, gpa, len, (u16)below(0x10000), write ? WRITE : 0);
	else if (table)
		vdrv_write_desc(&m.f->d, table, i, gpa, len, flags, (u16)(i + 1));
	else if (m.packed)
		pdrv_desc(&m.p, gpa, len, i + 1 < n ? (u16)below(0x10000) : id, flags);
	else
		vdrv_desc(&m.f->d, at, gpa, len, flags, i + 1 < n ? s->descs[i + 1] : 0xffff);
}

static u16 take_id(struct sent *s, u16 places)
{
	u16 id;

	if (m.packed) {
		do {
			id = (u16)below(m.size);
		} while (m.sent[id].busy);
		return id;
	}
	/* Descriptors in no order at all. */
	for (u16 i = 0; i < places; i++) {
		u16 at = (u16)below(m.nr_free - i);

		s->descs[i] = m.free[at];
		m.free[at] = m.free[m.nr_free - i - 1];
	}
	return s->descs[0];
}

static void offer(void)
{
	u32 n = 1 + below(MAX_BUFS), nr_in = below(n + 1);
	bool table = m.indirect && one_of(3);
	u16 places = table ? 1 : (u16)n, id;
	struct sent s = { .busy = true };
	u64 where;

	if (places > m.nr_free)
		return;
	s.places = m.packed ? places : 1;
	id = take_id(&s, places);
	m.nr_free = (u16)(m.nr_free - places);
	m.p.span[id] = places;
	where = table ? TABLE_GPA + 16ULL * MAX_BUFS * id : 0;
	for (u32 i = 0; i < n; i++)
		put(&s, where, s.descs[i], i, n, nr_in, id);
	if (table && m.packed)
		pdrv_desc(&m.p, where, 16 * n, id, INDIRECT);
	else if (table)
		vdrv_desc(&m.f->d, id, where, 16 * n, INDIRECT, 0xffff);
	if (!m.packed)
		vdrv_offer(&m.f->d, id);
	m.sent[id] = s;
	m.order[m.offered++ % MOST] = id;
}

/* Give back what the request held. */
static void forget(u16 id)
{
	struct sent *s = &m.sent[id];
	u16 places = m.p.span[id];

	for (u16 i = 0; i < places && !m.packed; i++)
		m.free[m.nr_free + i] = s->descs[i];
	m.nr_free = (u16)(m.nr_free + places);
	s->busy = s->pushed = false;
}

/* The device */

static void pop_one(void)
{
	struct virtq_request req = { 0 };
	struct iovec iov[MAX_BUFS];
	u32 max = one_of(4) ? below(MAX_BUFS) : MAX_BUFS;
	int ret = virtq_pop(&m.f->vq, &req, iov, max);
	struct sent *s;
	u16 id;

	if (m.popped == m.offered) {
		assert_int_equal(ret, 0);
		return;
	}
	id = m.order[m.popped % MOST];
	s = &m.sent[id];
	if ((u32)s->nr_out + s->nr_in > max) {
		assert_int_equal(ret, -E2BIG);
		return;
	}
	assert_int_equal(ret, 1);
	assert_int_equal(req.head, id);
	assert_int_equal(req.nr_out, s->nr_out);
	assert_int_equal(req.nr_in, s->nr_in);
	assert_int_equal(req.out_len, s->out_len);
	assert_int_equal(req.in_len, s->in_len);
	for (u32 i = 0; i < (u32)s->nr_out + s->nr_in; i++) {
		assert_ptr_equal(iov[i].iov_base, s->iov[i].iov_base);
		assert_int_equal(iov[i].iov_len, s->iov[i].iov_len);
	}
	s->flying = true;
	m.popped++;
	m.places_popped += s->places;
}

/* One that the device has: the last popped one, if it has it, or any. NULL: there is none. */
static struct sent *under_way(bool last, struct virtq_request *req)
{
	u32 first = last ? m.order[(m.popped - 1) % MOST] : below(m.size);

	for (u32 i = 0; i < (last ? 1 : m.size) && m.popped; i++) {
		req->head = (u16)((first + i) % m.size);
		if (m.sent[req->head].flying)
			return &m.sent[req->head];
	}
	return NULL;
}

static void unpop_one(void)
{
	struct virtq_request req = { 0 };
	struct sent *s = under_way(true, &req);

	if (!s)
		return;
	virtq_unpop(&m.f->vq, &req);
	virtq_push(&m.f->vq, &req, 1); /* it is not the device's any more */
	s->flying = false;
	m.popped--;
	m.places_popped -= s->places;
}

static void publish(void)
{
	m.published = m.pushed;
	while (m.in_order && m.back != m.popped && m.sent[m.order[m.back % MOST]].pushed)
		m.places_used += m.sent[m.order[m.back++ % MOST]].places;
}

static void push_one(void)
{
	struct virtq_request req = { 0 };
	struct sent *s = under_way(false, &req);

	if (!s)
		return;
	s->len = one_of(2) ? s->in_len : below(s->in_len + 1);
	s->flying = false;
	s->pushed = true;
	m.pushes[m.pushed++ % MOST] = req.head;
	if (!m.in_order)
		m.places_used += s->places;
	if (one_of(3)) {
		virtq_push_later(&m.f->vq, &req, s->len);
		virtq_push_later(&m.f->vq, &req, s->len + 1); /* once is enough */
		return;
	}
	virtq_push(&m.f->vq, &req, s->len);
	publish();
}

/* The driver looks */

static bool used_entry(u16 *id, u32 *len)
{
	u32 wide;

	if (m.packed)
		return pdrv_take_used(&m.p, id, len);
	if (!vdrv_take_used(&m.f->d, &wide, len))
		return false;
	*id = (u16)wide;
	assert_int_equal(wide, *id);
	return true;
}

/* One entry in order: all before its request were written in full. */
static void take_batch(u32 *at)
{
	u16 last, id, span = 0;
	u32 len, n = 0, first = *at;
	u32 more = 0;

	/* How far the driver goes is the sum of what came before, so that has to be known first. */
	while (*at != m.back) {
		id = m.order[(*at)++ % MOST];
		span = (u16)(span + m.p.span[id]);
		n++;
		last = m.packed ? (u16)get_le(m.f->ram + m.p.desc + 16ULL * m.p.used + 12, 2)
				: (u16)get_le(m.f->ram + m.f->d.used + 4 +
						      8 * (m.f->d.used_seen % m.size),
					      4);
		if (last == id)
			break;
		assert_int_equal(m.sent[id].len, m.sent[id].in_len);
		more++;
	}
	id = m.order[(*at - 1) % MOST];
	more = m.p.span[id];
	m.p.span[id] = span;
	assert_true(used_entry(&last, &len));
	m.p.span[id] = (u16)more;
	assert_int_equal(last, id);
	assert_int_equal(len, m.sent[id].len);
	m.f->d.used_seen = (u16)(m.f->d.used_seen + n - 1);
	m.entries++;
	m.answers += n;
	for (u32 i = first; i != *at; i++)
		forget(m.order[i % MOST]);
}

static void take_used(void)
{
	static u32 taken; /* in order: requests */
	u32 len = 0;
	u16 id = 0;

	if (!m.entries)
		taken = 0;
	while (m.in_order && taken != m.back)
		take_batch(&taken);
	for (; !m.in_order && m.seen != m.published; m.seen++, m.entries++, m.answers++) {
		assert_true(used_entry(&id, &len));
		assert_int_equal(id, m.pushes[m.seen % MOST]);
		assert_int_equal(len, m.sent[id].len);
		forget(id);
	}
	if (m.packed) {
		assert_false(pdrv_take_used(&m.p, &id, &len));
	} else {
		assert_int_equal(m.f->d.used_seen, vdrv_used_idx(&m.f->d));
	}
}

/* Wishes */

static void wish(void)
{
	m.no_interrupt = one_of(2);
	m.wish = m.places_used + m.size - below(MIN(2u * m.size, m.places_used + 1));
	if (m.packed && m.event && !m.no_interrupt)
		pdrv_want(&m.p, position(m.wish), VRING_PACKED_EVENT_FLAG_DESC);
	else if (m.packed)
		pdrv_want(&m.p, 0,
			  m.no_interrupt ? VRING_PACKED_EVENT_FLAG_DISABLE
					 : VRING_PACKED_EVENT_FLAG_ENABLE);
	else if (m.event)
		vdrv_set_used_event(&m.f->d, position(m.wish));
	else
		vdrv_set_avail_flags(&m.f->d, m.no_interrupt ? VRING_AVAIL_F_NO_INTERRUPT : 0);
}

static void expect_signal(void)
{
	/* An old wish comes true again when the numbers of the places do. */
	s64 moved, laps = m.packed ? 2 * m.size : 0x10000;
	s64 ahead = ((s64)m.wish - m.places_signalled) % laps;
	bool wanted = !m.no_interrupt;

	virtq_publish(&m.f->vq);
	publish();
	moved = m.places_used - m.places_signalled;
	if (m.event && (!m.packed || !m.no_interrupt))
		wanted = (ahead < 0 ? ahead + laps : ahead) < moved;
	assert_int_equal(virtq_should_signal(&m.f->vq), moved && wanted);
	assert_false(virtq_should_signal(&m.f->vq));
	m.places_signalled = m.places_used;
}

static void expect_notify(void)
{
	virtq_disable_notify(&m.f->vq);
	if (!m.event && m.packed)
		assert_int_equal(pdrv_device_flags(&m.p), VRING_PACKED_EVENT_FLAG_DISABLE);
	else if (!m.event)
		assert_int_equal(vdrv_used_flags(&m.f->d), VRING_USED_F_NO_NOTIFY);
	assert_int_equal(virtq_enable_notify(&m.f->vq), m.popped != m.offered);
	if (m.packed)
		assert_int_equal(pdrv_device_flags(&m.p), m.event ? VRING_PACKED_EVENT_FLAG_DESC
								  : VRING_PACKED_EVENT_FLAG_ENABLE);
	else if (!m.event)
		assert_int_equal(vdrv_used_flags(&m.f->d), 0);
	if (m.event)
		assert_int_equal(m.packed ? pdrv_device_event(&m.p) : vdrv_avail_event(&m.f->d),
				 position(m.places_popped));
}

/* The queue moves to another machine: only what is saved of it goes along (virtio/state.c). */
static void move(void)
{
	struct virtqueue *vq = &m.f->vq, old = *vq;

	/* A device that is saved has nothing under way. */
	if (vq->in_flight)
		return;
	virtq_reset(vq);
	vq->size = old.size;
	vq->desc_gpa = old.desc_gpa;
	vq->avail_gpa = old.avail_gpa;
	vq->used_gpa = old.used_gpa;
	vq->enabled = old.enabled;
	vq->packed = old.packed;
	vq->in_order = old.in_order;
	vq->event_idx = old.event_idx;
	vq->indirect = old.indirect;
	vq->last_avail = old.last_avail;
	vq->used_idx = old.used_idx;
	vq->signalled_used = old.signalled_used;
	vq->signalled_valid = old.signalled_valid;
	assert_int_equal(virtq_restore(vq), 0);
}

static void step(void)
{
	switch (below(12)) {
	case 0 ... 2:
		offer();
		break;
	case 3 ... 4:
		pop_one();
		break;
	case 5 ... 6:
		push_one();
		break;
	case 7:
		unpop_one();
		break;
	case 8:
		take_used();
		break;
	case 9:
		wish();
		break;
	case 10:
		expect_notify();
		break;
	case 11:
		virtq_publish(&m.f->vq);
		publish();
		move();
		break;
	}
	assert_false(m.f->vq.broken);
	/* Before two laps are over, or the base is lost. */
	if (m.places_used - m.places_signalled + MAX_BUFS >= m.size || one_of(4))
		expect_signal();
}

static void begin(struct fixture *f, u16 size, u32 kind)
{
	u64 seed = m.seed;

	m = (struct model){ .f = f,
			    .seed = seed,
			    .size = size,
			    .nr_free = size,
			    .packed = kind & 1,
			    .in_order = kind & 2,
			    .event = kind & 4,
			    .indirect = kind & 8 };
	for (u16 i = 0; i < size; i++)
		m.free[i] = i;
	virtq_reset(&f->vq);
	vdrv_setup(&f->d, f->ram, RING_GPA, size);
	pdrv_setup(&m.p, f->ram, RING_GPA, size);
	f->vq.size = size;
	f->vq.packed = m.packed;
	f->vq.in_order = m.in_order;
	f->vq.event_idx = m.event;
	f->vq.indirect = m.indirect;
	f->vq.desc_gpa = f->d.desc;
	f->vq.avail_gpa = m.packed ? m.p.driver : f->d.avail;
	f->vq.used_gpa = m.packed ? m.p.device : f->d.used;
	assert_int_equal(virtq_enable(&f->vq), 0);
	wish();
}

static void run(struct fixture *f, u16 size, u32 kind)
{
	begin(f, size, kind);
	for (u32 i = 0; i < STEPS; i++)
		step();
	assert_true(m.answers > STEPS / 100 && m.answers >= m.entries);
	/* Where it can, one entry stands for several. */
	if (m.in_order && size >= 16)
		assert_true(m.answers > m.entries + m.entries / 20);
}

static void test_split(void **state)
{
	static const u16 sizes[] = { 1, 2, 4, 16, 256 };

	m.seed = 0x5eed0001;
	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++)
		for (u32 kind = 0; kind < 16; kind += 2)
			run(*state, sizes[i], kind);
}

static void test_packed(void **state)
{
	static const u16 sizes[] = { 1, 2, 3, 5, 7, 16, 100, 256 };

	m.seed = 0x5eed0002;
	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++)
		for (u32 kind = 1; kind < 16; kind += 2)
			run(*state, sizes[i], kind);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_split, setup, teardown),
		cmocka_unit_test_setup_teardown(test_packed, setup, teardown),
	};

	return cmocka_run_group_tests_name("virtqueue_model", tests, NULL, NULL);
}
