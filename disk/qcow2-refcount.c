/* SPDX-License-Identifier: MIT */
/*
 * Reference counts of a qcow2 image, and its clusters: which are free, which become so. All of it
 * with the image's @meta held.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "qcow2.h"

#define HEADER_RT_OFFSET 48
/* QEMU's limit, too: 8 MiB. */
#define MAX_RT_ENTRIES (MiB)
/* Clusters beyond the end of the file are free, but for some that nobody came to write. */
#define BEYOND_END GiB

/* Clusters of whose counts one block has. */
static u64 per_block(const struct q2_image *img)
{
	return (u64)img->cluster * 8 >> img->refcount_order;
}

static u64 per_slice(const struct q2_image *img)
{
	return (u64)img->slice * 8 >> img->refcount_order;
}

/* Count @i of a slice, or of a block. A width below a byte: from the lowest bit on. */
static u64 count_get(const struct q2_image *img, const u8 *p, u64 i)
{
	unsigned int bits = 1U << img->refcount_order;
	u64 v = 0;

	if (bits < 8)
		return p[i * bits / 8] >> (i * bits % 8) & ((1U << bits) - 1);
	p += i * (bits / 8);
	for (unsigned int k = 0; k < bits / 8; k++)
		v = v << 8 | p[k];
	return v;
}

static void count_set(const struct q2_image *img, u8 *p, u64 i, u64 count)
{
	unsigned int bits = 1U << img->refcount_order;

	if (bits < 8) {
		unsigned int shift = (unsigned int)(i * bits % 8);

		p += i * bits / 8;
		*p = (u8)((*p & ~(((1U << bits) - 1) << shift)) | (unsigned int)count << shift);
		return;
	}
	p += i * (bits / 8);
	for (unsigned int k = bits / 8; k--; count >>= 8)
		p[k] = (u8)count;
}

/* Where the block of @cluster lies; 0: it has none. */
static int find_block(struct q2_image *img, u64 cluster, u64 *block)
{
	u64 index = cluster / per_block(img);

	*block = index < img->rt.nr ? q2_root_get(&img->rt, index) & ~511ULL : 0;
	if (!*block)
		return 0;
	if (*block % img->cluster || *block > Q2_OFFSET || q2_is_fixed(img, *block, img->cluster))
		return q2_damaged(img, "a refcount block", *block);
	return 0;
}

/* The slice with the count of @cluster, whose block is there. */
static int find_slice(struct q2_image *img, u64 block, u64 cluster, struct q2_slice **out)
{
	u64 slice = cluster % per_block(img) / per_slice(img);

	return q2_slice_get(img, &img->refcounts, block + slice * img->slice, out);
}

static int set_counts(struct q2_image *img, u64 first, u64 nr, u64 count)
{
	for (u64 c = first; c < first + nr; c++) {
		struct q2_slice *slice;
		u64 block;
		int ret = find_block(img, c, &block);

		if (!ret && !block)
			ret = q2_damaged(img, "no refcount block for a cluster",
					 c << img->cluster_bits);
		if (!ret)
			ret = find_slice(img, block, c, &slice);
		if (!ret)
			ret = q2_slice_reserve(img, slice);
		if (ret)
			return ret;
		count_set(img, slice->bytes, c % per_slice(img), count);
		q2_slice_dirty(&img->refcounts, slice);
	}
	return 0;
}

int q2_extend(struct q2_image *img, u64 end)
{
	if (end <= img->file_end)
		return 0;
	if (img->blockdev)
		return -ENOSPC;
	if (ftruncate(img->fd, (off_t)end) < 0)
		return -errno;
	img->file_end = end;
	return 0;
}

static bool root_has(const struct q2_root *root, u64 offset, u64 len)
{
	for (u32 i = 0; i < root->used; i++)
		if ((q2_root_get(root, i) & Q2_OFFSET) - offset < len)
			return true;
	return false;
}

/* May clusters that are counted as free be used? A table could lie there all the same. */
static bool has_table(const struct q2_image *img, u64 first, u64 nr)
{
	u64 offset = first << img->cluster_bits, len = nr << img->cluster_bits;

	return q2_is_fixed(img, offset, len) || root_has(&img->l1, offset, len) ||
	       root_has(&img->rt, offset, len);
}

/*
 * The cluster @c has no block: be it one, for itself and those beside it. The table tells of it
 * last, since whatever reads a slice may write the tables.
 */
static int new_block(struct q2_image *img, u64 c)
{
	u64 offset = c << img->cluster_bits, old_end = img->file_end;
	struct q2_slice *slice;
	int ret = 0;

	if (has_table(img, c, 1))
		return q2_damaged(img, "a table that is counted as free", offset);
	ret = q2_extend(img, offset + img->cluster);
	if (!ret && (offset < old_end || img->blockdev))
		ret = q2_zero_file(img, offset, img->cluster);
	if (ret)
		return ret;
	q2_slices_drop(img, &img->refcounts, offset);
	ret = find_slice(img, offset, c, &slice);
	if (!ret)
		ret = q2_slice_reserve(img, slice);
	if (ret)
		return ret;
	count_set(img, slice->bytes, c % per_slice(img), 1);
	q2_slice_dirty(&img->refcounts, slice);
	q2_root_set(&img->rt, (u32)(c / per_block(img)), offset);
	return 0;
}

/*
 * The refcount table is full: put a longer one where it ends to reach, after the blocks that count
 * these new clusters. Everything is in the file before the header tells of it.
 */
static int write_new_root(struct q2_image *img, u64 start, u64 blocks, u64 clusters, u64 *table)
{
	u64 all = blocks + clusters, offset = start << img->cluster_bits;
	u64 old_end = img->file_end;
	u8 *block = malloc(img->cluster);
	int ret = block ? q2_extend(img, (start + all) << img->cluster_bits) : -ENOMEM;

	if (!ret && (offset < old_end || img->blockdev))
		ret = q2_zero_file(img, offset, all << img->cluster_bits);
	for (u64 b = 0; !ret && b < blocks; b++) {
		u64 here = MIN(per_block(img), all - b * per_block(img));

		memset(block, 0, img->cluster);
		for (u64 i = 0; i < here; i++)
			count_set(img, block, i, 1);
		table[img->rt.nr + b] = htobe64(offset + (b << img->cluster_bits));
		q2_slices_drop(img, &img->refcounts, offset + (b << img->cluster_bits));
		ret = pwrite_full(img->fd, block, img->cluster,
				  (off_t)(offset + (b << img->cluster_bits)));
	}
	free(block);
	if (!ret)
		ret = pwrite_full(img->fd, table, clusters << img->cluster_bits,
				  (off_t)(offset + (blocks << img->cluster_bits)));
	return ret ? ret : q2_sync(img);
}

static int switch_root(struct q2_image *img, u64 offset, u64 clusters, u64 *table, u32 used)
{
	u64 old = img->rt.offset, old_clusters = img->rt_clusters;
	u8 field[12];
	int ret;

	for (unsigned int i = 0; i < 8; i++)
		field[i] = (u8)(offset >> (56 - 8 * i));
	for (unsigned int i = 0; i < 4; i++)
		field[8 + i] = (u8)(clusters >> (24 - 8 * i));
	ret = pwrite_full(img->fd, field, sizeof(field), HEADER_RT_OFFSET);
	if (!ret)
		ret = q2_sync(img);
	if (ret)
		return ret;
	free(img->rt.entries);
	img->rt = (struct q2_root){
		.offset = offset,
		.entries = table,
		.nr = (u32)(clusters << img->cluster_bits >> 3),
		.used = used,
	};
	img->rt_clusters = clusters;
	q2_free_later(img, old >> img->cluster_bits, old_clusters);
	return 0;
}

static int grow_root(struct q2_image *img)
{
	u64 start = img->rt.nr * per_block(img), blocks = 1, clusters, entries;
	u64 *table;
	int ret;

	do {
		entries = img->rt.nr + blocks + img->rt.nr / 2 + 1;
		clusters = (entries * 8 + img->cluster - 1) >> img->cluster_bits;
	} while (blocks * per_block(img) < blocks + clusters && blocks++ < MAX_RT_ENTRIES);
	if (clusters << img->cluster_bits >> 3 > MAX_RT_ENTRIES ||
	    (start + blocks + clusters) > Q2_OFFSET >> img->cluster_bits)
		return -EFBIG;
	table = calloc(clusters, img->cluster);
	if (!table)
		return -ENOMEM;
	/* The new table tells of blocks that may be in memory only. */
	ret = q2_write_tables(img);
	memcpy(table, img->rt.entries, (size_t)img->rt.nr * 8);
	if (!ret)
		ret = write_new_root(img, start, blocks, clusters, table);
	if (!ret)
		ret = switch_root(img, (start + blocks) << img->cluster_bits, clusters, table,
				  img->rt.nr + (u32)blocks);
	if (ret)
		free(table);
	return ret;
}

/* The first free cluster from @c on whose count there is. */
static int find_free(struct q2_image *img, u64 c, u64 *out)
{
	for (;;) {
		struct q2_slice *slice;
		u64 block, i;
		int ret;

		if (c << img->cluster_bits > img->file_end + BEYOND_END)
			return q2_damaged(img, "counts of clusters beyond its end", img->file_end);
		if (c / per_block(img) >= img->rt.nr) {
			ret = grow_root(img);
			if (ret)
				return ret;
		}
		ret = find_block(img, c, &block);
		if (!ret && !block) {
			ret = new_block(img, c++);
			if (ret)
				return ret;
			continue;
		}
		if (!ret)
			ret = find_slice(img, block, c, &slice);
		if (ret)
			return ret;
		for (i = c % per_slice(img); i < per_slice(img); i++, c++) {
			if (!count_get(img, slice->bytes, i)) {
				*out = c;
				return 0;
			}
		}
	}
}

/* How many from @first on are free: one that is known to be, and at most @want. */
static int count_free(struct q2_image *img, u64 first, u64 want, u64 *nr)
{
	struct q2_slice *slice;
	u64 block, n = 1;
	int ret;

	for (; n < want; n++) {
		ret = find_block(img, first + n, &block);
		if (!ret && !block)
			break;
		if (!ret)
			ret = find_slice(img, block, first + n, &slice);
		if (ret)
			return ret;
		if (count_get(img, slice->bytes, (first + n) % per_slice(img)))
			break;
	}
	*nr = n;
	return 0;
}

int q2_alloc(struct q2_image *img, u64 want, u64 *first, u64 *nr, bool *fresh)
{
	u64 old_end, bits = img->cluster_bits;
	int ret = find_free(img, img->free_hint, first);

	if (!ret)
		ret = count_free(img, *first, want, nr);
	if (ret)
		return ret;
	if (has_table(img, *first, *nr))
		return q2_damaged(img, "a table that is counted as free", *first << bits);
	if ((*first + *nr) << bits > Q2_OFFSET)
		return -EFBIG;
	old_end = img->file_end;
	*fresh = !img->blockdev && *first << bits >= old_end;
	ret = q2_extend(img, (*first + *nr) << bits);
	if (!ret)
		ret = set_counts(img, *first, *nr, 1);
	if (ret)
		return ret;
	img->free_hint = *first + *nr;
	return 0;
}

void q2_unalloc(struct q2_image *img, u64 first, u64 nr)
{
	if (!set_counts(img, first, nr, 0))
		img->free_hint = MIN(img->free_hint, first);
}

/* What was freed */

void q2_free_later(struct q2_image *img, u64 first, u64 nr)
{
	struct q2_freed *f = &img->freed;
	struct q2_range *last = f->nr ? &f->ranges[f->nr - 1] : NULL, *more;

	if (last && last->first + last->count == first) {
		last->count += nr;
		return;
	}
	if (!f->ranges || f->nr == f->room) {
		u32 room = f->room ? f->room * 2 : 64;

		more = realloc(f->ranges, room * sizeof(*more));
		/* Then they are lost, until the image is repaired; nothing else happens. */
		if (!more)
			return;
		f->ranges = more;
		f->room = room;
	}
	f->ranges[f->nr++] = (struct q2_range){ .first = first, .count = nr };
}

/* One reference less; 1: that was the last. */
static int unref(struct q2_image *img, u64 cluster)
{
	struct q2_slice *slice;
	u64 block, count;
	int ret = find_block(img, cluster, &block);

	if (!ret)
		ret = block ? find_slice(img, block, cluster, &slice) : -EIO;
	if (ret)
		return ret;
	count = count_get(img, slice->bytes, cluster % per_slice(img));
	if (!count)
		return -EIO;
	count_set(img, slice->bytes, cluster % per_slice(img), count - 1);
	q2_slice_dirty(&img->refcounts, slice);
	if (count > 1)
		return 0;
	img->free_hint = MIN(img->free_hint, cluster);
	return 1;
}

/* The host's file system gets its room back, as far as it can do that. */
static void give_back(const struct q2_image *img, u64 first, u64 nr)
{
	if (nr && !img->blockdev &&
	    fallocate(img->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)(first << img->cluster_bits), (off_t)(nr << img->cluster_bits)) < 0)
		return;
}

static void release_range(struct q2_image *img, const struct q2_range *r)
{
	u64 from = r->first, c;

	for (c = r->first; c < r->first + r->count; c++) {
		if (unref(img, c) == 1)
			continue;
		give_back(img, from, c - from);
		from = c + 1;
	}
	give_back(img, from, c - from);
}

void q2_release(struct q2_image *img, bool all)
{
	bool seen;

	if (!img->closing.nr || !img->closing_written)
		return;
	pthread_mutex_lock(&img->map);
	seen = img->active[!img->epoch] && !all;
	pthread_mutex_unlock(&img->map);
	if (seen)
		return;
	for (u32 i = 0; i < img->closing.nr; i++)
		release_range(img, &img->closing.ranges[i]);
	img->closing.nr = 0;
	img->closing_written = false;
}
