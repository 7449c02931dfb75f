/* SPDX-License-Identifier: MIT */
/*
 * Rings in each form that virtio has: the entropy device around the end of its ring, the disk with
 * several requests at a time, and a device after a broken ring. Each line says what went wrong.
 */
#include "virtio.h"

#define DEPTH	8
#define SECTORS 2048u

static const struct {
	const char *name;
	u64 features;
} forms[] = {
	{ "split", 0 },
	{ "split, events", VIRTIO_EVENT_IDX },
	{ "split, indirect", VIRTIO_INDIRECT },
	{ "split, in order", VIRTIO_IN_ORDER | VIRTIO_EVENT_IDX },
	{ "split, notification data", VIRTIO_NOTIFY_DATA },
	{ "packed", VIRTIO_PACKED },
	{ "packed, events", VIRTIO_PACKED | VIRTIO_EVENT_IDX },
	{ "packed, indirect", VIRTIO_PACKED | VIRTIO_INDIRECT },
	{ "packed, in order", VIRTIO_PACKED | VIRTIO_IN_ORDER },
	{ "packed, notification data", VIRTIO_PACKED | VIRTIO_NOTIFY_DATA },
	{ "packed, all", VIRTIO_RING_FEATURES },
};

static struct virtio v;
static u32 bad;

static void say(const char *form, const char *what, u64 seen)
{
	bad++;
	print("%s: %s: %d\n", form, what, (int)seen);
}

static bool start(u32 form, u32 id)
{
	u64 offered;

	if (!virtio_open(&v, id, 0)) {
		say(forms[form].name, "no such device", id);
		return false;
	}
	offered = virtio_offered(&v);
	if (forms[form].features & ~offered) {
		print("%s: not offered by device %d\n", forms[form].name, (int)id);
		return false;
	}
	if (!virtio_negotiate(&v, forms[form].features) || !virtio_queue(&v, 0, false)) {
		say(forms[form].name, "not accepted by device", id);
		return false;
	}
	virtio_driver_ok(&v);
	return true;
}

static u32 words[64];

static void around(u32 form)
{
	u32 len, wrong = 0;

	for (u32 i = 0; i < 100; i++) {
		const struct vq_buf bufs[3] = { { words, 4, true },
						{ words + 1, 4, true },
						{ words + 2, 4, true } };

		vq_add(&v, 0, bufs, 1 + i % 3);
		vq_add(&v, 0, bufs, 3 - i % 3);
		vq_kick(&v, 0);
		wrong += vq_wait(&v, 0, &len) < 0 || len != 4 * (1 + i % 3);
		wrong += vq_wait(&v, 0, &len) < 0 || len != 4 * (3 - i % 3);
	}
	if (wrong || vq_used(&v, 0, NULL) >= 0)
		say(forms[form].name, "buffers of the wrong length", wrong);
}

/* The words of the disk count up. */
static void read_disk(u32 form)
{
	static struct {
		u32 type, ioprio;
		u64 sector;
	} hdr[DEPTH];
	static u32 data[DEPTH][512];
	static volatile u8 status[DEPTH];
	u32 wrong = 0, disorder = 0;

	for (u32 round = 0; round < 20; round++) {
		u16 heads[DEPTH];

		for (u32 i = 0; i < DEPTH; i++) {
			u32 n = 1 + (i + round) % 4;
			struct vq_buf bufs[3] = { { &hdr[i], 16, false },
						  { data[i], n * 512, true },
						  { &status[i], 1, true } };

			hdr[i].sector = (round * 97 + i * 31) % (SECTORS - 4);
			memset(data[i], 0, sizeof(data[i]));
			status[i] = 0xee;
			heads[i] = v.q[0].next;
			vq_add(&v, 0, bufs, 3);
		}
		vq_kick(&v, 0);
		for (u32 i = 0; i < DEPTH; i++)
			disorder += vq_wait(&v, 0, NULL) != heads[i];
		for (u32 i = 0; i < DEPTH; i++)
			for (u32 k = 0; k < (1 + (i + round) % 4) * 128; k++)
				wrong += status[i] || data[i][k] != (u32)hdr[i].sector * 128 + k;
	}
	if (wrong)
		say(forms[form].name, "wrong words of the disk", wrong);
	if (disorder && v.features & VIRTIO_IN_ORDER)
		say(forms[form].name, "out of order", disorder);
}

/* 2.1.2 */
static void recover(u32 form)
{
	vq_add(&v, 0, &(struct vq_buf){ (void *)~0ULL, 16, true }, 1);
	vq_notify(&v, 0);
	while (!(virtio_status(&v) & VIRTIO_NEEDS_RESET))
		arch_pause();
	if (vq_used(&v, 0, NULL) >= 0)
		say(forms[form].name, "a reply from a broken ring", 0);
	virtio_reset(&v);
	if (virtio_status(&v) & VIRTIO_NEEDS_RESET)
		say(forms[form].name, "still broken", virtio_status(&v));
	if (start(form, VIRTIO_RNG))
		around(form);
}

int guest_main(void)
{
	for (u32 form = 0; form < ARRAY_SIZE(forms); form++) {
		if (start(form, VIRTIO_RNG)) {
			around(form);
			recover(form);
			virtio_reset(&v);
		}
		if (start(form, VIRTIO_BLK)) {
			read_disk(form);
			virtio_reset(&v);
		}
	}
	print("%d forms, %d bad\n", (int)ARRAY_SIZE(forms), (int)bad);
	return bad ? 1 : 0;
}
