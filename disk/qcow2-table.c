/* SPDX-License-Identifier: MIT */
/*
 * Tables of a qcow2 image. L1 and refcount table are in memory as a whole. L2 tables and refcount
 * blocks are cached in slices of up to 4 KiB, so that large clusters cost no more memory.
 *
 * Changes stay in memory until the guest flushes, or a slice has to go. Then they are written in an
 * order in which at any moment nothing in the file refers to what the file counts as free: refcount
 * blocks, the refcount table, L2 tables, the L1 table, each safe before the next. What is lost in
 * a crash are clusters that are counted and not referred to.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "qcow2.h"

#define Q2_WAYS 8
/* Bytes of slices at most; docs/disks.md says what they cover. */
#define L2_CACHE  (4 * MiB)
#define RC_CACHE  (256 * KiB)
#define SLICE_MAX 4096u

int q2_damaged(struct q2_image *img, const char *what, u64 offset)
{
	if (!atomic_exchange(&img->damaged, true))
		err("--disk %s: %s at %llu: the image is damaged, and is not written any more; "
		    "repair it with: qemu-img check -r all",
		    img->shown, what, offset);
	return -EIO;
}

bool q2_is_fixed(const struct q2_image *img, u64 offset, u64 len)
{
	return offset < img->cluster ||
	       ranges_overlap(offset, len, img->l1.offset, (u64)img->l1.nr * 8) ||
	       ranges_overlap(offset, len, img->rt.offset, (u64)img->rt.nr * 8) ||
	       (img->snapshots_offset && ranges_overlap(offset, len, img->snapshots_offset, 1));
}

/* Bytes of the file */

int q2_read_file(const struct q2_image *img, void *buf, size_t len, u64 offset)
{
	u8 *p = buf;

	while (len) {
		ssize_t n = pread(img->fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n) {
			memset(p, 0, len);
			return 0;
		}
		p += n;
		offset += (u64)n;
		len -= (size_t)n;
	}
	return 0;
}

int q2_zero_file(const struct q2_image *img, u64 offset, u64 len)
{
	static const u8 zeroes[4096];

	while (len) {
		size_t n = (size_t)MIN(len, (u64)sizeof(zeroes));
		int ret = pwrite_full(img->fd, zeroes, n, (off_t)offset);

		if (ret)
			return ret;
		offset += n;
		len -= n;
	}
	return 0;
}

int q2_reserve_file(const struct q2_image *img, u64 offset, u64 len)
{
	if (!img->blockdev && fallocate(img->fd, 0, (off_t)offset, (off_t)len) < 0 &&
	    (errno == ENOSPC || errno == EDQUOT))
		return -errno;
	return 0;
}

int q2_sync(const struct q2_image *img)
{
	return fdatasync(img->fd) < 0 ? -errno : 0;
}

/* Slices */

static struct q2_slice *set_of(const struct q2_image *img, struct q2_cache *cache, u64 offset)
{
	/* Blocks lie at multiples of what they count, which would meet in one set. */
	u64 hash = offset / img->slice * 0x9e3779b97f4a7c15ULL >> 32;

	return &cache->slices[hash % cache->nr_sets * Q2_WAYS];
}

struct q2_slice *q2_slice_find(struct q2_image *img, struct q2_cache *cache, u64 offset)
{
	struct q2_slice *set = set_of(img, cache, offset);

	for (unsigned int i = 0; i < Q2_WAYS; i++)
		if (set[i].offset == offset)
			return &set[i];
	return NULL;
}

int q2_slice_reserve(struct q2_image *img, struct q2_slice *slice)
{
	int ret = slice->hole ? q2_reserve_file(img, slice->offset, img->slice) : 0;

	slice->hole = ret;
	return ret;
}

void q2_slice_dirty(struct q2_cache *cache, struct q2_slice *slice)
{
	cache->nr_dirty += !slice->dirty;
	slice->dirty = true;
}

static void slice_clean(struct q2_cache *cache, struct q2_slice *slice)
{
	cache->nr_dirty -= slice->dirty;
	slice->dirty = false;
}

/* Lookups do not find it any more, or find it. */
static void slice_publish(struct q2_image *img, struct q2_slice *slice, u64 offset)
{
	pthread_mutex_lock(&img->map);
	slice->offset = offset;
	pthread_mutex_unlock(&img->map);
}

static struct q2_slice *least_used(struct q2_slice *set)
{
	struct q2_slice *least = set;

	for (unsigned int i = 1; i < Q2_WAYS; i++)
		if (set[i].used < least->used)
			least = &set[i];
	return least;
}

int q2_slice_get(struct q2_image *img, struct q2_cache *cache, u64 offset, struct q2_slice **out)
{
	struct q2_slice *slice = q2_slice_find(img, cache, offset);
	int ret;

	if (!slice) {
		slice = least_used(set_of(img, cache, offset));
		ret = slice->dirty ? q2_write_tables(img) : 0;
		if (ret)
			return ret;
		slice_publish(img, slice, 0);
		slice->used = 0;
		ret = q2_read_file(img, slice->bytes, img->slice, offset);
		if (ret)
			return ret;
		slice->hole =
			!slice->bytes[0] && !memcmp(slice->bytes, slice->bytes + 1, img->slice - 1);
		slice_publish(img, slice, offset);
	}
	slice->used = ++img->clock;
	*out = slice;
	return 0;
}

void q2_slices_drop(struct q2_image *img, struct q2_cache *cache, u64 offset)
{
	for (u64 at = 0; at < img->cluster; at += img->slice) {
		struct q2_slice *slice = q2_slice_find(img, cache, offset + at);

		if (!slice)
			continue;
		slice_publish(img, slice, 0);
		slice_clean(cache, slice);
		slice->used = 0;
	}
}

/* Roots */

void q2_root_set(struct q2_root *root, u32 index, u64 entry)
{
	root->entries[index] = htobe64(entry);
	root->used = MAX(root->used, index + 1);
	if (root->dirty_from == root->dirty_to) {
		root->dirty_from = index;
		root->dirty_to = index + 1;
	}
	root->dirty_from = MIN(root->dirty_from, index);
	root->dirty_to = MAX(root->dirty_to, index + 1);
}

static bool root_dirty(const struct q2_root *root)
{
	return root->dirty_from != root->dirty_to;
}

/* Writing */

static int write_slices(struct q2_image *img, struct q2_cache *cache)
{
	for (u32 i = 0; cache->nr_dirty && i < cache->nr_sets * Q2_WAYS; i++) {
		struct q2_slice *slice = &cache->slices[i];
		int ret;

		if (!slice->dirty)
			continue;
		ret = pwrite_full(img->fd, slice->bytes, img->slice, (off_t)slice->offset);
		if (ret)
			return ret;
		slice_clean(cache, slice);
	}
	return 0;
}

static int write_root(struct q2_image *img, struct q2_root *root)
{
	u32 from = root->dirty_from;
	int ret = pwrite_full(img->fd, root->entries + from, (size_t)(root->dirty_to - from) * 8,
			      (off_t)(root->offset + (u64)from * 8));

	if (!ret)
		root->dirty_from = root->dirty_to = 0;
	return ret;
}

int q2_write_tables(struct q2_image *img)
{
	int ret = write_slices(img, &img->refcounts);

	if (!ret && root_dirty(&img->rt)) {
		ret = q2_sync(img);
		if (!ret)
			ret = write_root(img, &img->rt);
	}
	if (!ret && img->l2.nr_dirty) {
		ret = q2_sync(img);
		if (!ret)
			ret = write_slices(img, &img->l2);
	}
	if (!ret && root_dirty(&img->l1)) {
		ret = q2_sync(img);
		if (!ret)
			ret = write_root(img, &img->l1);
	}
	return ret;
}

/* Opening and closing */

static int cache_create(const struct q2_image *img, struct q2_cache *cache, u64 slices, u64 bytes)
{
	u32 nr;

	slices = MIN(slices, bytes / img->slice);
	cache->nr_sets = (u32)((slices + Q2_WAYS - 1) / Q2_WAYS);
	nr = cache->nr_sets * Q2_WAYS;
	cache->slices = calloc(nr, sizeof(cache->slices[0]));
	/* What is not used is not touched, and takes no memory. */
	cache->bytes = malloc((size_t)nr * img->slice);
	if (!cache->slices || !cache->bytes)
		return -ENOMEM;
	for (u32 i = 0; i < nr; i++)
		cache->slices[i].bytes = cache->bytes + (size_t)i * img->slice;
	return 0;
}

static int root_read(struct q2_image *img, struct q2_root *root, u64 offset, u64 nr)
{
	int ret;

	root->offset = offset;
	root->nr = (u32)nr;
	root->entries = malloc(nr * 8);
	ret = root->entries ? q2_read_file(img, root->entries, nr * 8, offset) : -ENOMEM;
	if (ret)
		return ret;
	for (root->used = root->nr; root->used && !root->entries[root->used - 1];)
		root->used--;
	return 0;
}

static int read_tables(struct q2_image *img, const struct q2_header *h)
{
	u64 reach = (u64)img->slice / 8 << h->cluster_bits; /* of a slice of an L2 table */
	int ret = cache_create(img, &img->l2, img->size / reach + 1, L2_CACHE);

	if (!ret)
		ret = cache_create(img, &img->refcounts, UINT64_MAX, RC_CACHE);
	if (!ret)
		ret = root_read(img, &img->l1, h->l1_offset, h->l1_size);
	img->rt_clusters = h->rt_clusters;
	if (!ret)
		ret = root_read(img, &img->rt, h->rt_offset,
				(u64)h->rt_clusters << h->cluster_bits >> 3);
	return ret;
}

int q2_image_open(const struct disk_file *f, const struct q2_header *h, int fd, bool own_fd,
		  struct disk *file, struct q2_image **out)
{
	struct q2_image *img = xcalloc(1, sizeof(*img));
	int ret;

	img->shown = f->shown;
	img->file = file;
	img->fd = fd;
	img->own_fd = own_fd;
	img->blockdev = S_ISBLK(f->st.st_mode);
	img->readonly = f->readonly;
	img->version = h->version;
	img->cluster_bits = h->cluster_bits;
	img->cluster = 1U << h->cluster_bits;
	img->slice = MIN(img->cluster, SLICE_MAX);
	img->refcount_order = h->refcount_order;
	img->size = h->size;
	img->compression = h->compression;
	img->autoclear = h->autoclear;
	img->snapshots_offset = h->nr_snapshots ? h->snapshots_offset : 0;
	img->file_end = f->size;
	pthread_mutex_init(&img->meta, NULL);
	pthread_mutex_init(&img->map, NULL);
	pthread_mutex_init(&img->unpacking, NULL);
	pthread_cond_init(&img->settled, NULL);
	ret = read_tables(img, h);
	if (ret) {
		err("--disk %s: cannot read its tables: %s", f->shown, strerror(-ret));
		img->own_fd = false;
		img->file = NULL;
		q2_image_close(img);
		return ret;
	}
	*out = img;
	return 0;
}

void q2_image_close(struct q2_image *img)
{
	if (img->own_fd)
		close(img->fd);
	if (img->file)
		disk_close(img->file);
	pthread_mutex_destroy(&img->meta);
	pthread_mutex_destroy(&img->map);
	pthread_mutex_destroy(&img->unpacking);
	pthread_cond_destroy(&img->settled);
	free(img->l1.entries);
	free(img->rt.entries);
	free(img->l2.slices);
	free(img->l2.bytes);
	free(img->refcounts.slices);
	free(img->refcounts.bytes);
	free(img->freed.ranges);
	free(img->closing.ranges);
	free(img->unpacked);
	free(img->packed);
	free(img);
}
