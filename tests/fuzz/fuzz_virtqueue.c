/* SPDX-License-Identifier: MIT */
/*
 * virtio/virtqueue.c by itself: a correct driver, a hostile one, and the device's calls in any
 * order. What virtq_pop hands out is checked against guest memory.
 */
#include "../unit/vring_driver.h"
#include "../unit/vring_packed.h"
#include "fuzz_vm.h"
#include "lkvm/virtqueue.h"

#define MAX_OPS	 512
#define RINGS	 0x1000u
#define TABLE	 0x8000u /* an indirect table of up to 1024 entries, and one more */
#define DATA	 0xd000u
#define HUGE_GPA (4 * GiB) /* so large that a chain can have 4 GiB; never touched */
#define HUGE	 (5 * MiB) /* 1024 of them are 5 GiB */

static struct guest_memory mem;
static u8 *ram, *high, *huge;
static struct virtqueue vq;
static struct vring_driver drv;
static struct packed_driver pdrv; /* over the same descriptors */
static struct virtq_request chain;
static struct iovec room[VIRTQ_MAX_SEGS];
static u32 next_desc, popped;
static bool flying[VIRTQ_MAX_SIZE];
static u16 last_head;

static void begin(void)
{
	if (!ram) {
		ram = fz_buffer(&ram, FZ_RAM_SIZE, 0);
		high = fz_buffer(&high, FZ_HIGH_SIZE, 0);
		huge = fz_buffer(&huge, 4096, 0);
	}
	memset(ram, 0, FZ_RAM_SIZE);
	fz_meanwhile_over(ram, FZ_RAM_SIZE, high, FZ_HIGH_SIZE);
	memory_init(&mem);
	fz_check(!memory_add_borrowed(&mem, 0, FZ_RAM_SIZE, ram, 0, "ram"));
	fz_check(!memory_add_borrowed(&mem, FZ_HIGH_GPA, FZ_HIGH_SIZE, high, 0, "high"));
	fz_check(!memory_add_borrowed(&mem, FZ_ROM_GPA, 4096, high, MEM_ROM, "rom"));
	fz_check(!memory_add_borrowed(&mem, HUGE_GPA, HUGE, huge, 0, "huge"));
	vq = (struct virtqueue){ .mem = &mem, .name = "fuzz", .max_size = 256 };
	virtq_reset(&vq);
	memset(flying, 0, sizeof(flying));
	next_desc = popped = 0;
}

/* @form: bit 0 packed, bit 1 in order, bit 2 of any size. */
static void setup(struct fz *f, u8 form)
{
	u8 how = fz_u8(f);

	virtq_reset(&vq);
	memset(flying, 0, sizeof(flying));
	popped = 0;
	vdrv_setup(&drv, ram, RINGS, form & 4 ? 1 + fz_u8(f) : (u16)(1u << how % 9));
	pdrv_setup(&pdrv, ram, RINGS, drv.size);
	pdrv.driver = drv.avail = ALIGN_UP(drv.avail, 4ULL);
	pdrv.device = drv.used;
	vq.packed = form & 1;
	vq.in_order = form & 2;
	vq.size = drv.size;
	vq.desc_gpa = drv.desc;
	vq.avail_gpa = drv.avail;
	vq.used_gpa = drv.used;
	vq.event_idx = how & 0x40;
	vq.indirect = !(how & 0x80);
	if (how & 0x20) {
		vq.size = fz_u16(f);
		vq.desc_gpa += fz_u16(f);
		vq.avail_gpa += fz_u32(f);
		vq.used_gpa += fz_u64(f);
	}
	/* A transport leaves a queue that cannot be enabled alone. */
	if (virtq_enable(&vq))
		virtq_reset(&vq);
}

static void one_desc(struct fz *f, u64 table, u32 i, u32 next, bool more)
{
	u8 how = fz_u8(f);
	u16 flags = (how & 1 ? VRING_DESC_F_WRITE : 0) | (more ? VRING_DESC_F_NEXT : 0);
	u64 gpa = DATA + fz_u8(f) * 16u;
	u32 len = fz_u8(f);

	if (how & 2)
		gpa = FZ_HIGH_GPA + fz_u16(f);
	if (how & 4) {
		gpa = HUGE_GPA;
		len = HUGE - 1 + (len & 1);
	}
	if ((how & 0xf8) == 0xf8) {
		flags = fz_u16(f);
		gpa = fz_u64(f);
		len = fz_u32(f);
		next = fz_u16(f);
	}
	vdrv_write_desc(&drv, table, i, gpa, len, flags, (u16)next);
}

/* The split descriptor that was written at @at, as the next one of the packed ring. */
static void repack(u32 at, u16 id)
{
	const u8 *p = ram + drv.desc + 16 * at;
	u64 addr = get_le(p, 8);
	u32 len = (u32)get_le(p + 8, 4);

	pdrv_desc(&pdrv, addr, len, id, (u16)get_le(p + 12, 2));
}

static void offer(struct fz *f)
{
	u8 how = fz_u8(f);
	u32 n = how & 0xf, head;

	if (!drv.size)
		return;
	n = MIN(n + 1, (u32)drv.size);
	head = next_desc % drv.size;
	for (u32 i = 0; i < n && vq.packed; i++) {
		u32 at = pdrv.next;

		next_desc++;
		one_desc(f, drv.desc, at, 0, i + 1 < n);
		repack(at, (u16)head);
	}
	if (vq.packed)
		return;
	for (u32 i = 0; i < n; i++) {
		u32 at = next_desc++ % drv.size;

		one_desc(f, drv.desc, at, next_desc % drv.size, i + 1 < n);
	}
	if (how & 0x10)
		vdrv_offer(&drv, (u16)head);
	vdrv_offer(&drv, (u16)head);
}

/* A table whose entries repeat the first few, as long as a chain may be or a little longer. */
static void offer_indirect(struct fz *f)
{
	u8 how = fz_u8(f);
	u32 n = how & 0x80 ? 1020 + (how & 7) : 1 + (how & 0x3f);
	u32 given = MIN(n, 4u), at, head;

	if (!drv.size)
		return;
	head = at = next_desc++ % drv.size;
	for (u32 i = 0; i < given; i++)
		one_desc(f, TABLE, i, i + 1, i + 1 < n);
	for (u32 i = given; i < n; i++) {
		memcpy(ram + TABLE + 16 * i, ram + TABLE + 16 * (given - 1), 16);
		put_le(ram + TABLE + 16 * i + 14, 2, i + 1);
	}
	if (n > given)
		put_le(ram + TABLE + 16 * (n - 1) + 12, 2, 0);
	if (vq.packed) {
		for (u32 i = 0; i < n; i++) /* flags are where the split form has next */
			put_le(ram + TABLE + 16 * i + 14, 2, ram[TABLE + 16 * i + 12]);
		pdrv_desc(&pdrv, TABLE, n * 16, (u16)head, VRING_DESC_F_INDIRECT);
		return;
	}
	/* The table may also be the end of a chain that begins in the ring. */
	if (how & 0x20) {
		one_desc(f, drv.desc, at, next_desc % drv.size, true);
		at = next_desc++ % drv.size;
	}
	vdrv_desc(&drv, at, TABLE + (how & 0x40 ? fz_u8(f) : 0), n * 16,
		  VRING_DESC_F_INDIRECT | (how & 0x40 ? fz_u16(f) : 0), 0);
	vdrv_offer(&drv, (u16)head);
}

static bool inside(const void *p, size_t len, const u8 *buf, size_t size)
{
	uintptr_t a = (uintptr_t)p, b = (uintptr_t)buf;

	return range_within(a, len, b, size);
}

static void check_chain(void)
{
	size_t out = 0, in = 0;

	fz_check(chain.nr_out + chain.nr_in <= VIRTQ_MAX_SEGS);
	for (u32 i = 0; i < (u32)chain.nr_out + chain.nr_in; i++) {
		const struct iovec *iov = &chain.iov[i];

		fz_check(iov->iov_len);
		fz_check(inside(iov->iov_base, iov->iov_len, ram, FZ_RAM_SIZE) ||
			 inside(iov->iov_base, iov->iov_len, high, FZ_HIGH_SIZE) ||
			 inside(iov->iov_base, iov->iov_len, huge, HUGE));
		*(i < chain.nr_out ? &out : &in) += iov->iov_len;
	}
	fz_check(out == chain.out_len && in == chain.in_len);
	fz_check((u64)out + in <= 4 * GiB);
}

static void pop(u32 max)
{
	bool live = vq.enabled && !vq.broken;
	bool known = !fz_meanwhile_pending();
	bool jumped = live && !vq.packed && known &&
		      (u16)(get_le((u8 *)vq.avail + 2, 2) - vq.last_avail) > vq.size;
	int ret = virtq_pop(&vq, &chain, room, max);

	fz_check(ret == 0 || ret == 1 || ret == -EPROTO ||
		 (ret == -E2BIG && max < VIRTQ_MAX_SEGS && live));
	fz_check((live && !jumped) || ret == -EPROTO);
	fz_check(!vq.broken || ret != 1);
	fz_check((ret == -EPROTO) == (!vq.enabled || vq.broken));
	if (ret != 1)
		return;
	check_chain();
	fz_check((u32)chain.nr_out + chain.nr_in <= max);
	fz_check(chain.head < vq.size && !flying[chain.head]);
	flying[chain.head] = true;
	last_head = chain.head;
	popped++;
	fz_check(popped <= vq.size);
}

static void push(struct fz *f, u8 how)
{
	struct virtq_request req = { .head = how & 0x20 ? fz_u16(f) : last_head };
	u16 before = vq.used_idx;
	bool plain = !vq.packed && !vq.in_order;
	bool counts = vq.enabled && !vq.broken && req.head < vq.size && flying[req.head];

	if (how & 0x40)
		virtq_push_later(&vq, &req, fz_u8(f));
	else
		virtq_push(&vq, &req, fz_u8(f));
	fz_check(!plain || vq.used_idx == (u16)(before + counts));
	if (counts)
		flying[req.head] = false;
	if (vq.in_order)
		popped = vq.in_flight;
	else
		popped -= counts;
}

static void unpop(void)
{
	struct virtq_request req = { .head = last_head };

	if (vq.enabled && !vq.broken && flying[last_head]) {
		flying[last_head] = false;
		popped--;
	}
	virtq_unpop(&vq, &req);
}

static void poke(struct fz *f)
{
	u8 how = fz_u8(f);
	u32 gpa = how & 1 ? RINGS + fz_u16(f) % 0x2000 : fz_u16(f);
	size_t len;
	const u8 *bytes = fz_bytes(f, (how >> 2) + 1u, &len);

	if (range_within(gpa, len, 0, FZ_RAM_SIZE))
		memcpy(ram + gpa, bytes, len);
}

static void step(struct fz *f)
{
	u8 op = fz_u8(f);

	switch (op % 14) {
	case 0:
		setup(f, op / 14);
		break;
	case 1:
		offer(f);
		break;
	case 2:
		offer_indirect(f);
		break;
	case 3:
		pop(op & 0x80 ? op % 8 : VIRTQ_MAX_SEGS);
		break;
	case 4:
		push(f, op);
		break;
	case 5:
		unpop();
		break;
	case 6:
		virtq_should_signal(&vq);
		break;
	case 7:
		virtq_enable_notify(&vq);
		break;
	case 8:
		virtq_disable_notify(&vq);
		break;
	case 9:
		if (drv.size)
			vdrv_set_avail_idx(&drv, (u16)(drv.avail_idx + (s8)fz_u8(f)));
		break;
	case 10:
		poke(f);
		break;
	case 11:
		for (int i = 0; i < op / 14; i++) {
			pop(VIRTQ_MAX_SEGS);
			push(f, 0);
		}
		break;
	case 12: /* any head, often the first beyond the table */
		if (drv.size)
			vdrv_offer(&drv, (u16)(drv.size + (s8)fz_u8(f)));
		break;
	case 13:
		fz_meanwhile(f);
		break;
	}
}

/* That changes come meanwhile is the compiler's doing: once, see that it does it. */
static void check_traced(void)
{
#ifdef FZ_TRACED
	static const u8 set_up_and_pop[] = { 0, 0 };
	struct fz f = fz_begin(set_up_and_pop, sizeof(set_up_and_pop));

	if (fz_meanwhile_seen())
		return;
	begin();
	setup(&f, 0);
	vdrv_offer(&drv, 0);
	fz_meanwhile_add(&(struct fz_change){ .wait = 63 });
	pop(VIRTQ_MAX_SEGS);
	/* The index, the entry and the descriptor. */
	fz_check(fz_meanwhile_seen() == 3 && vq.in_flight == 1);
	memory_destroy(&mem);
#endif
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);

	check_traced();
	begin();
	memset(&drv, 0, sizeof(drv));
	for (int i = 0; i < MAX_OPS && fz_more(&f); i++) {
		step(&f);
		fz_check(vq.in_order || vq.in_flight == popped);
		fz_check(vq.in_flight <= VIRTQ_MAX_SIZE);
	}
	memory_destroy(&mem);
	return 0;
}
