/* SPDX-License-Identifier: MIT */
/*
 * Where a guest's byte lies in a qcow2 image: L1 and L2 tables. A lookup never waits; what it does
 * not find in memory q2_lookup reads.
 */
#include "lkvm/util.h"
#include "qcow2.h"

static u64 per_slice(const struct q2_image *img)
{
	return img->slice / 8;
}

/* Where the slice with the entry of guest cluster @c lies, in the table at @table. */
static u64 slice_of(const struct q2_image *img, u64 table, u64 c)
{
	return table + c % (img->cluster / 8) / per_slice(img) * img->slice;
}

/* Of guest cluster @c; 0: there is none. */
static u64 l2_table(const struct q2_image *img, u64 c, bool *copied)
{
	u64 entry = q2_root_get(&img->l1, c / (img->cluster / 8));

	*copied = entry & Q2_COPIED;
	return entry & Q2_OFFSET;
}

static bool bad_place(const struct q2_image *img, u64 offset)
{
	return offset % img->cluster || q2_is_fixed(img, offset, img->cluster);
}

static enum q2_kind kind_of(const struct q2_image *img, u64 entry)
{
	u64 offset = entry & Q2_OFFSET;

	if (entry & Q2_PACKED_BIT)
		return Q2_PACKED;
	/* Version 2 has no such bit. */
	if (entry & Q2_ZERO_BIT)
		return img->version < 3 || (offset && bad_place(img, offset)) ? Q2_BAD : Q2_ZEROES;
	if (!offset)
		return Q2_NONE;
	return bad_place(img, offset) ? Q2_BAD : Q2_DATA;
}

/* Is the entry after @before, @n clusters on, more of the same? */
static bool goes_on(const struct q2_image *img, const struct q2_extent *ext, u64 entry, u64 n)
{
	if (kind_of(img, entry) != ext->kind)
		return false;
	return ext->kind != Q2_DATA ||
	       ((entry & Q2_OFFSET) == (ext->entry & Q2_OFFSET) + (n << img->cluster_bits) &&
		(entry & Q2_COPIED) == (ext->entry & Q2_COPIED));
}

void q2_map(struct q2_image *img, u64 offset, u64 len, struct q2_extent *ext)
{
	u64 c = offset >> img->cluster_bits, last = (offset + len - 1) >> img->cluster_bits, n = 1;
	u64 inside = offset & (img->cluster - 1), nr, table;
	const struct q2_slice *slice;
	const u64 *entries;
	bool copied;

	*ext = (struct q2_extent){ .kind = Q2_NONE };
	table = l2_table(img, c, &copied);
	if (!table) {
		nr = img->cluster / 8 - c % (img->cluster / 8);
		ext->len = MIN(len, (nr << img->cluster_bits) - inside);
		return;
	}
	slice = q2_slice_find(img, &img->l2, slice_of(img, table, c));
	ext->kind = bad_place(img, table) ? Q2_BAD : Q2_MISS;
	if (ext->kind == Q2_BAD || !slice)
		return;
	entries = (const u64 *)slice->bytes + c % per_slice(img);
	ext->entry = be64toh(entries[0]);
	ext->kind = kind_of(img, ext->entry);
	ext->copied = ext->entry & Q2_COPIED;
	nr = MIN(last - c + 1, per_slice(img) - c % per_slice(img));
	if (ext->kind == Q2_PACKED || ext->kind == Q2_BAD)
		nr = 1;
	while (n < nr && goes_on(img, ext, be64toh(entries[n]), n))
		n++;
	ext->len = MIN(len, (n << img->cluster_bits) - inside);
	if (ext->kind == Q2_DATA)
		ext->host = (ext->entry & Q2_OFFSET) + inside;
}

unsigned int q2_enter(struct q2_image *img)
{
	unsigned int epoch = img->epoch;

	img->active[epoch]++;
	return epoch;
}

void q2_leave(struct q2_image *img, unsigned int epoch)
{
	pthread_mutex_lock(&img->map);
	img->active[epoch]--;
	pthread_mutex_unlock(&img->map);
}

static int load(struct q2_image *img, u64 c)
{
	struct q2_slice *slice;
	bool copied;
	u64 table;
	int ret = 0;

	pthread_mutex_lock(&img->meta);
	table = l2_table(img, c, &copied);
	if (table)
		ret = q2_slice_get(img, &img->l2, slice_of(img, table, c), &slice);
	pthread_mutex_unlock(&img->meta);
	return ret;
}

int q2_lookup(struct q2_image *img, u64 offset, u64 len, struct q2_extent *ext, unsigned int *epoch)
{
	for (;;) {
		int ret;

		pthread_mutex_lock(&img->map);
		q2_map(img, offset, len, ext);
		if (epoch && ext->kind != Q2_MISS && ext->kind != Q2_BAD)
			*epoch = q2_enter(img);
		pthread_mutex_unlock(&img->map);
		if (ext->kind == Q2_BAD)
			return q2_damaged(img, "a bad entry for the disk's byte", offset);
		if (ext->kind != Q2_MISS)
			return 0;
		ret = load(img, offset >> img->cluster_bits);
		if (ret)
			return ret;
	}
}

/* Changing */

/* A table of its own for the guest's cluster @c, with what the one of @old says; 0: nothing. */
static int new_table(struct q2_image *img, u64 c, u64 old)
{
	u64 first, nr, offset;
	bool fresh;
	int ret = q2_alloc(img, 1, &first, &nr, &fresh);

	if (ret)
		return ret;
	offset = first << img->cluster_bits;
	if (!old && !fresh)
		ret = q2_zero_file(img, offset, img->cluster);
	for (u64 at = 0; old && !ret && at < img->cluster; at += img->slice) {
		struct q2_slice *slice;

		ret = q2_slice_get(img, &img->l2, old + at, &slice);
		if (!ret)
			ret = pwrite_full(img->fd, slice->bytes, img->slice, (off_t)(offset + at));
	}
	if (ret) {
		q2_unalloc(img, first, 1);
		return ret;
	}
	q2_slices_drop(img, &img->l2, offset);
	pthread_mutex_lock(&img->map);
	q2_root_set(&img->l1, (u32)(c / (img->cluster / 8)), offset | Q2_COPIED);
	pthread_mutex_unlock(&img->map);
	if (old) {
		q2_free_later(img, old >> img->cluster_bits, 1);
		q2_slices_drop(img, &img->l2, old);
	}
	return 0;
}

int q2_entries(struct q2_image *img, u64 first, u64 *nr, struct q2_slice **out, u64 **entries)
{
	bool copied;
	u64 table = l2_table(img, first, &copied);
	int ret = 0;

	if (table && bad_place(img, table))
		return q2_damaged(img, "an L2 table", table);
	if (!table || !copied)
		ret = new_table(img, first, table);
	if (ret)
		return ret;
	table = l2_table(img, first, &copied);
	ret = q2_slice_get(img, &img->l2, slice_of(img, table, first), out);
	if (!ret)
		ret = q2_slice_reserve(img, *out);
	if (ret)
		return ret;
	*nr = MIN(*nr, per_slice(img) - first % per_slice(img));
	*entries = (u64 *)(*out)->bytes + first % per_slice(img);
	return 0;
}

void q2_entry_set(struct q2_image *img, struct q2_slice *slice, u64 *where, u64 entry)
{
	pthread_mutex_lock(&img->map);
	*where = htobe64(entry);
	pthread_mutex_unlock(&img->map);
	q2_slice_dirty(&img->l2, slice);
}

void q2_packed_place(const struct q2_image *img, u64 entry, u64 *offset, u64 *len)
{
	unsigned int x = 62 - (img->cluster_bits - 8);
	u64 sectors = (entry & ~(Q2_COPIED | Q2_PACKED_BIT)) >> x;

	*offset = entry & ((1ULL << x) - 1) & ((1ULL << 56) - 1);
	*len = (sectors + 1) * 512 - (*offset & 511);
}

void q2_entry_free(struct q2_image *img, u64 entry)
{
	u64 offset = entry & Q2_OFFSET, len = 1;

	if (entry & Q2_PACKED_BIT)
		q2_packed_place(img, entry, &offset, &len);
	else if (!offset)
		return;
	/* Who looks a byte up is told of such an entry; who replaces it must not free a table. */
	if (q2_is_fixed(img, offset, len) || (!(entry & Q2_PACKED_BIT) && bad_place(img, offset))) {
		(void)!q2_damaged(img, "a bad entry for a cluster", offset);
		return;
	}
	for (u64 c = offset >> img->cluster_bits; c <= (offset + len - 1) >> img->cluster_bits; c++)
		q2_free_later(img, c, 1);
}
