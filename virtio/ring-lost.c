/* SPDX-License-Identifier: MIT */
/*
 * A split ring (VIRTIO 1.3, 2.7) whose device is gone without a word: which requests did it not
 * return? Its indices say how many; which ones follows from the last lap of both rings. A head is
 * available and used by turns, so what counts is whether its last use belongs to its last offer or
 * to the one before. In a ring's first lap that is counted. Later the two laps do not begin at the
 * same moment: there that one is taken by which the request was overtaken less on the average.
 * Devices that reply in order, or nearly so, leave no doubt.
 */
#include <limits.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>

#include "lkvm/util.h"
#include "lkvm/virtqueue.h"

#define NONE	 0xffffu
#define NO_HEAD	 0xffffffffu
#define CERTAIN	 INT_MAX
#define FRACTION 64

/* The entries of a ring, the newest first, and where else their heads are. */
struct lap {
	u16 nr;
	u16 head[VIRTQ_MAX_SIZE];
	u16 older[VIRTQ_MAX_SIZE];  /* of an entry: the next one of the same head */
	u16 newest[VIRTQ_MAX_SIZE]; /* of a head: its first entry */
	u16 oldest[VIRTQ_MAX_SIZE];
};

struct laps {
	struct lap avail, used;
	s32 score[VIRTQ_MAX_SIZE]; /* for entries of @avail: above 0, it did not come back */
};

static void begin(struct lap *lap)
{
	lap->nr = 0;
	memset(lap->newest, 0xff, sizeof(lap->newest));
}

static void add(struct lap *lap, u16 head)
{
	u16 i = lap->nr++;

	lap->head[i] = head;
	lap->older[i] = NONE;
	if (lap->newest[head] == NONE)
		lap->newest[head] = i;
	else
		lap->older[lap->oldest[head]] = i;
	lap->oldest[head] = i;
}

void virtq_mark_new(struct virtqueue *vq)
{
	struct vring_used *used = vq->used;

	for (u16 i = 0; i < vq->size; i++)
		used->ring[i].id = cpu_to_le32(NO_HEAD);
}

static void read_used(const struct virtqueue *vq, struct lap *lap, u16 idx)
{
	const struct vring_used *used = vq->used;

	begin(lap);
	while (lap->nr < vq->size) {
		const __virtio32 *id = &used->ring[(u16)(idx - 1 - lap->nr) % vq->size].id;
		u32 head = le32_to_cpu(__atomic_load_n(id, __ATOMIC_RELAXED));

		if (head >= vq->size)
			return;
		add(lap, (u16)head);
	}
}

/* False: an entry is none that a driver makes. */
static bool read_avail(const struct virtqueue *vq, struct lap *lap, u16 idx, u16 nr)
{
	const struct vring_avail *avail = vq->avail;

	begin(lap);
	while (lap->nr < nr) {
		const __virtio16 *entry = &avail->ring[(u16)(idx - 1 - lap->nr) % vq->size];
		u16 head = le16_to_cpu(__atomic_load_n(entry, __ATOMIC_RELAXED));

		if (head >= vq->size)
			return false;
		add(lap, head);
	}
	return true;
}

/* Both laps begin with the ring: was the head of the entry @i offered more often than used? */
static s32 count(const struct laps *l, u16 i)
{
	u16 j = l->used.newest[l->avail.head[i]];

	while (i != NONE && j != NONE) {
		i = l->avail.older[i];
		j = l->used.older[j];
	}
	return i != NONE ? CERTAIN : 0;
}

/* By how much less are its uses late, or early, when each belongs to the offer before? @missing:
 * the newest use has the age of that offer in a device that replies in order. */
static s32 weigh(const struct laps *l, u16 i, u16 missing)
{
	u16 j = l->used.newest[l->avail.head[i]];
	s32 sum = 0, pairs = 0;

	if (j == NONE)
		return CERTAIN;
	for (; i != NONE && j != NONE; pairs++) {
		u16 before = l->avail.older[i];

		sum += 2 * (j + missing) - i - (before == NONE ? l->avail.nr : before);
		i = before;
		j = l->used.older[j];
	}
	return pairs ? sum * FRACTION / pairs : CERTAIN;
}

/* Leave the @missing best ones. */
static void choose(struct laps *l, u16 found, u16 missing)
{
	for (; found > missing; found--) {
		u16 least = 0;

		for (u16 i = 0; i < l->avail.nr; i++)
			if (l->score[i] > 0 &&
			    (l->score[least] <= 0 || l->score[i] <= l->score[least]))
				least = i;
		l->score[least] = 0;
	}
}

static u16 judge(struct laps *l, u16 missing, bool first_lap)
{
	u16 found = 0;

	for (u16 i = 0; i < l->avail.nr; i++) {
		bool newest = l->avail.newest[l->avail.head[i]] == i;

		if (!newest)
			l->score[i] = 0;
		else
			l->score[i] = first_lap ? count(l, i) : weigh(l, i, missing);
		found += l->score[i] > 0;
	}
	return found;
}

int virtq_find_lost(struct virtqueue *vq, u16 *heads, bool *all)
{
	const struct vring_avail *avail = vq->avail;
	const struct vring_used *used = vq->used;
	u16 end = le16_to_cpu(__atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE));
	u16 done = le16_to_cpu(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE));
	u16 missing = (u16)(end - done), found = 0, nr = 0;
	struct laps *l;
	bool first_lap;

	*all = false;
	if (missing > vq->size)
		return 0;
	l = xcalloc(1, sizeof(*l));
	read_used(vq, &l->used, done);
	first_lap = l->used.nr + missing <= vq->size && l->used.nr < vq->size;
	if (read_avail(vq, &l->avail, end, first_lap ? (u16)(l->used.nr + missing) : vq->size))
		found = judge(l, missing, first_lap);
	*all = found >= missing;
	choose(l, found, missing);
	for (u16 i = l->avail.nr; found && i--;)
		if (l->score[i] > 0)
			heads[nr++] = l->avail.head[i];
	free(l);
	vq->last_avail = end;
	vq->used_idx = done;
	vq->signalled_valid = false;
	return nr;
}
