/* SPDX-License-Identifier: MIT */
/*
 * The queues' core (virtio/virtqueue.c and both layouts), proved by CBMC. SOUND is what holds of a
 * queue between two calls. It holds after virtq_enable (STEP 0), and each call, in any sound state
 * and whatever the guest's memory has at each read, touches nothing but that memory and its own,
 * and leaves the state sound: so it does so for ever. What virtq_pop hands out lies in guest memory
 * and within its array.
 */
#include "guest.h"

#include "../../virtio/ring-packed.c"
#include "../../virtio/ring-split.c"
#include "../../virtio/virtqueue.c"

#define ROOM VIRTQ_MAX_SEGS

static struct virtqueue vq;
static struct guest_memory mem;

static u32 spans(void)
{
	u32 n = 0;

	for (u32 i = 0; i < VIRTQ_MAX_SIZE; i++)
		if (vq.flying[0] & BIT_ULL(i))
			n += vq.flights[i].span & (FULL - 1u);
	return n;
}

static u32 count(u64 bits)
{
	u32 n = 0;

	for (u32 i = 0; i < VIRTQ_MAX_SIZE; i++)
		n += bits >> i & 1;
	return n;
}

/* The heads in the order of their pops: all that fly, each once. */
static bool order_sound(void)
{
	u64 seen = 0;

	if ((u16)(vq.order_in - vq.order_out) != vq.in_flight)
		return false;
	for (u16 i = 0; i < VIRTQ_MAX_SIZE; i++) {
		u16 head = vq.flights[(u16)(vq.order_out + i) % VIRTQ_MAX_SIZE].order;

		if (i >= vq.in_flight)
			break;
		if (head >= vq.size || seen & BIT_ULL(head) || !(vq.flying[0] & BIT_ULL(head)))
			return false;
		seen |= BIT_ULL(head);
	}
	return true;
}

static bool flights_sound(void)
{
	for (u32 i = 0; i < VIRTQ_MAX_SIZE; i++) {
		u16 span = vq.flights[i].span;

		if (!(vq.flying[0] & BIT_ULL(i)))
			continue;
		if (i >= vq.size || !(span & (FULL - 1u)) || (span & (FULL - 1u)) > vq.size)
			return false;
		if ((span & FULL) && !(vq.landed[0] & BIT_ULL(i)))
			return false;
	}
	if (vq.landed[0] & ~vq.flying[0] || (vq.landed[0] && !vq.in_order))
		return false;
	return vq.in_flight == count(vq.flying[0]) && (!vq.in_order || order_sound());
}

static bool place_sound(u16 pos)
{
	return (pos & 0x7fff) < vq.size;
}

static bool positions_sound(void)
{
	if (!PACKED)
		return true;
	return place_sound(vq.last_avail) && place_sound(vq.used_idx) &&
	       place_sound(vq.signalled_used) &&
	       (!vq.unpublished || place_sound(vq.unpublished_at)) && spans() <= vq.size &&
	       spans() == distance(&vq, vq.used_idx, vq.last_avail);
}

static bool rings_sound(void)
{
	u64 size = vq.size;

	if (PACKED)
		return in_guest(vq.desc, 16 * size) && in_guest(vq.avail, 4) &&
		       in_guest(vq.used, 4);
	return !(size & (size - 1)) && in_guest(vq.desc, 16 * size) &&
	       in_guest(vq.avail, 6 + 2 * size) && in_guest(vq.used, 6 + 8 * size);
}

static bool sound(void)
{
	return vq.size && vq.size <= VIRTQ_MAX_SIZE && vq.packed == PACKED &&
	       vq.layout == (PACKED ? &virtq_packed : &virtq_split) && rings_sound() &&
	       flights_sound() && positions_sound();
}

/* Any sound state. */
static void begin(void)
{
	__CPROVER_havoc_object(&vq);
	vq.mem = &mem;
	vq.name = "queue";
	vq.enabled = nondet_bool();
	vq.broken = nondet_bool();
	vq.packed = PACKED;
	vq.in_order = IN_ORDER;
	vq.event_idx = nondet_bool();
	vq.indirect = nondet_bool();
	vq.signalled_valid = nondet_bool();
	vq.unpublished = nondet_bool();
	vq.layout = PACKED ? &virtq_packed : &virtq_split;
	vq.desc = memory_ptr(&mem, 0, 16ull * VIRTQ_MAX_SIZE);
	vq.avail = memory_ptr(&mem, 0, 6 + 2ull * VIRTQ_MAX_SIZE);
	vq.used = memory_ptr(&mem, 0, 6 + 8ull * VIRTQ_MAX_SIZE);
	__CPROVER_assume(sound());
}

static void check_request(const struct virtq_request *req, const struct iovec *iov, u32 max)
{
	u32 n = (u32)req->nr_out + req->nr_in;
	u64 bytes = 0;

	__CPROVER_assert(req->iov == iov && n <= max, "buffers are within the array");
	for (u32 i = 0; i < ROOM; i++) {
		if (i >= n)
			break;
		__CPROVER_assert(iov[i].iov_len, "a buffer has a byte");
		__CPROVER_assert(i < req->nr_out ? in_readable(iov[i].iov_base, iov[i].iov_len)
						 : in_guest(iov[i].iov_base, iov[i].iov_len),
				 "a buffer is guest memory that the device may use so");
		bytes += iov[i].iov_len;
	}
	__CPROVER_assert(bytes == req->out_len + req->in_len && bytes <= 4 * GiB, "lengths add up");
	__CPROVER_assert(req->head < vq.size, "the head is one of the ring");
}

static void enable(void)
{
	__CPROVER_havoc_object(&vq);
	vq.mem = &mem;
	vq.packed = PACKED;
	vq.in_order = IN_ORDER;
	vq.max_size = VIRTQ_MAX_SIZE;
	if (!virtq_enable(&vq))
		__CPROVER_assert(sound(), "a queue that was enabled is sound");
}

static void pop(void)
{
	struct iovec iov[ROOM];
	struct virtq_request req;
	u32 max = nondet_u32();
	u64 flying_before = vq.flying[0];

	__CPROVER_assume(max <= ROOM);
	if (virtq_pop(&vq, &req, iov, max) != 1)
		return;
	check_request(&req, iov, max);
	__CPROVER_assert(!(flying_before & BIT_ULL(req.head)), "nothing is offered twice");
}

int main(void)
{
	/* Any request, the device's or not. */
	struct virtq_request req = { .head = nondet_u16() };

	if (STEP == 0) {
		enable();
		return 0;
	}
	begin();
	switch (STEP) {
	case 1:
		pop();
		break;
	case 2:
		/* The last popped one, says the contract. */
		if (IN_ORDER)
			__CPROVER_assume(
				!vq.in_flight ||
				req.head ==
					vq.flights[(u16)(vq.order_in - 1) % VIRTQ_MAX_SIZE].order);
		virtq_unpop(&vq, &req);
		break;
	case 3:
		virtq_push_later(&vq, &req, nondet_u32());
		break;
	case 4:
		virtq_push(&vq, &req, nondet_u32());
		break;
	case 5:
		virtq_should_signal(&vq);
		virtq_enable_notify(&vq);
		virtq_disable_notify(&vq);
		break;
	}
	__CPROVER_assert(sound(), "a queue stays sound");
	return 0;
}
