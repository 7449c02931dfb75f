/* SPDX-License-Identifier: MIT */
/*
 * Changes of a qcow2 disk: writes, in place where the image's own cluster is there, and ranges that
 * become zeroes.
 *
 * A write to a cluster that is not the image's own takes new ones, fills them, and only then lets
 * the tables tell of them. Meanwhile the range is pending: others that want to change the same
 * clusters wait, and nobody else does.
 */
#include <stdlib.h>

#include "lkvm/util.h"
#include "qcow2-io.h"

#define HEADER_AUTOCLEAR 88
/* Clusters that get room at once. */
#define RUN    64
#define ZEROES (64 * KiB)

/* With @meta held, before the first change: what knows of changes only by being told. */
static int begin_change(struct q2_image *img)
{
	static const u8 none[8];
	int ret = 0;

	if (atomic_load(&img->damaged))
		return -EIO;
	q2_release(img, false);
	if (atomic_load(&img->changing))
		return 0;
	/* Bitmaps and whatever else is not kept up to date. */
	if (img->autoclear) {
		ret = pwrite_full(img->fd, none, sizeof(none), HEADER_AUTOCLEAR);
		if (!ret)
			ret = q2_sync(img);
	}
	if (!ret)
		ret = q2_reserve_file(img, img->l1.offset, MIN((u64)img->l1.nr * 8, 64 * KiB));
	/* A file that ends inside a cluster has it whole from here on. */
	if (!ret && !img->blockdev)
		ret = q2_extend(img, ALIGN_UP(img->file_end, (u64)img->cluster));
	if (!ret)
		atomic_store(&img->changing, true);
	return ret;
}

/* With @meta held; it is let go while somebody else's range is pending. True: that was so. */
static bool wait_settled(struct q2_image *img, u64 first, u64 last)
{
	for (const struct q2_pending *p = img->pending; p; p = p->next) {
		if (p->first <= last && p->last >= first) {
			pthread_cond_wait(&img->settled, &img->meta);
			return true;
		}
	}
	return false;
}

static void settle(struct q2_image *img, struct q2_pending *mine)
{
	struct q2_pending **p = &img->pending;

	while (*p != mine)
		p = &(*p)->next;
	*p = mine->next;
	pthread_cond_broadcast(&img->settled);
}

/* Clusters of the guest that get room of their own, and where. */
struct run {
	struct q2_pending pending;
	u64 nr, host;
	bool fresh; /* they read as zeroes, all of them */
	bool again; /* they were there before, and read as zeroes by their entry alone */
	bool blank; /* what was there before reads as zeroes */
};

static bool is_own(u64 entry)
{
	return (entry & Q2_COPIED) && (entry & Q2_OFFSET) && !(entry & Q2_PACKED_BIT);
}

/* How many of the first entries want room, and of which kind the first is. */
static u64 count_wanting(const u64 *entries, u64 nr)
{
	u64 n = 0;

	while (n < nr && !is_own(be64toh(entries[n])))
		n++;
	return n;
}

/* With @meta held: take clusters for up to @nr from @first on. run->nr is 0 if none is needed. */
static int take(struct q2_image *img, u64 first, u64 nr, struct run *run)
{
	struct q2_slice *slice;
	u64 *entries, host, entry;
	int ret = q2_entries(img, first, &nr, &slice, &entries);

	if (ret)
		return ret;
	entry = be64toh(entries[0]);
	if (is_own(entry)) {
		run->again = entry & Q2_ZERO_BIT;
		run->nr = run->again;
		run->host = entry & Q2_OFFSET;
		return 0;
	}
	ret = q2_alloc(img, count_wanting(entries, MIN(nr, (u64)RUN)), &host, &run->nr,
		       &run->fresh);
	run->host = host << img->cluster_bits;
	return ret;
}

/* With @meta held: the tables tell of the run. */
static int link_run(struct q2_image *img, const struct run *run)
{
	u64 first = run->pending.first;

	for (u64 done = 0; done < run->nr;) {
		u64 nr = run->nr - done, *entries;
		struct q2_slice *slice;
		int ret = q2_entries(img, first + done, &nr, &slice, &entries);

		if (ret)
			return ret;
		for (u64 i = 0; i < nr; i++, done++) {
			u64 host = run->host + (done << img->cluster_bits);

			if (!run->again)
				q2_entry_free(img, be64toh(entries[i]));
			q2_entry_set(img, slice, &entries[i], host | Q2_COPIED);
		}
	}
	return 0;
}

/* [from, to) of the disk lies in the run and is not written by the request. */
static int write_edge(struct qcow2_disk *d, struct q2_room *room, const struct run *run, u64 from,
		      u64 to)
{
	struct q2_image *img = d->layers[0].image;
	struct iovec iov = { .iov_len = (size_t)(to - from) };
	struct q2_part p = { &iov, 1, 0, to - from };
	u64 begin = run->pending.first << img->cluster_bits;
	int ret = 0;

	if (from == to || (run->fresh && run->blank))
		return 0;
	if (!room->edge)
		room->edge = aligned_alloc(4096, ALIGN_UP((size_t)img->cluster, 4096));
	if (!room->edge)
		return -ENOMEM;
	iov.iov_base = room->edge + (from & (img->cluster - 1)) % 4096;
	if ((from & (img->cluster - 1)) % 4096 + iov.iov_len > img->cluster)
		iov.iov_base = room->edge;
	if (run->blank)
		memset(iov.iov_base, 0, iov.iov_len);
	else
		ret = q2_read(d, room, 0, &p, from);
	return ret ? ret
		   : q2_raw_io(room, 0, img->file, DISK_WRITE, &p, run->host + (from - begin));
}

static int fill_run(struct qcow2_disk *d, struct q2_room *room, const struct run *run,
		    const struct q2_part *p, u64 offset)
{
	struct q2_image *img = d->layers[0].image;
	u64 begin = run->pending.first << img->cluster_bits;
	u64 end = begin + (run->nr << img->cluster_bits);
	int ret = write_edge(d, room, run, begin, offset);

	if (!ret)
		ret = q2_raw_io(room, 0, img->file, DISK_WRITE, p, run->host + (offset - begin));
	if (!ret)
		ret = write_edge(d, room, run, offset + p->len, end);
	return ret;
}

/* With @meta held: does cluster @c read as zeroes, by what the tables say? */
static bool is_blank(struct qcow2_disk *d, u64 c)
{
	struct q2_image *img = d->layers[0].image;
	u64 offset = c << img->cluster_bits;
	struct q2_extent ext;

	q2_map(img, offset, 1, &ext);
	return ext.kind == Q2_ZEROES ||
	       (ext.kind == Q2_NONE && (d->nr_layers == 1 || offset >= d->layers[1].size));
}

/* Give clusters room and write there; *done: as many bytes of @p. */
static int write_new(struct qcow2_disk *d, struct q2_room *room, const struct q2_part *p,
		     u64 offset, u64 *done)
{
	struct q2_image *img = d->layers[0].image;
	u64 first = offset >> img->cluster_bits, end;
	u64 last = (offset + p->len - 1) >> img->cluster_bits;
	struct run run = { .pending.first = first };
	struct q2_part here;
	int ret;

	*done = 0;
	pthread_mutex_lock(&img->meta);
	last = MIN(last, first + RUN - 1);
	/* Others have changed what was looked up. */
	ret = wait_settled(img, first, last) ? -EAGAIN : begin_change(img);
	if (!ret)
		ret = take(img, first, last - first + 1, &run);
	if (ret || !run.nr) {
		pthread_mutex_unlock(&img->meta);
		return ret == -EAGAIN ? 0 : ret;
	}
	run.pending.last = first + run.nr - 1;
	run.blank = is_blank(d, first) && is_blank(d, run.pending.last);
	run.pending.next = img->pending;
	img->pending = &run.pending;
	pthread_mutex_unlock(&img->meta);

	end = (run.pending.last + 1) << img->cluster_bits;
	here = q2_part_at(p, 0, MIN(p->len, end - offset));
	ret = fill_run(d, room, &run, &here, offset);
	pthread_mutex_lock(&img->meta);
	if (!ret)
		ret = link_run(img, &run);
	if (ret && !run.again)
		q2_unalloc(img, run.host >> img->cluster_bits, run.nr);
	settle(img, &run.pending);
	pthread_mutex_unlock(&img->meta);
	*done = ret ? 0 : here.len;
	return ret;
}

static bool in_place(struct q2_image *img, const struct q2_extent *ext)
{
	return ext->kind == Q2_DATA && ext->copied && atomic_load(&img->changing) &&
	       !atomic_load(&img->damaged) && ext->host + ext->len <= img->file_end;
}

/* Data that is the image's own, but the file was not told of changes yet, or ends before it. */
static int make_writable(struct q2_image *img, const struct q2_extent *ext)
{
	int ret;

	pthread_mutex_lock(&img->meta);
	ret = begin_change(img);
	if (!ret)
		ret = q2_extend(img, ALIGN_UP(ext->host + ext->len, (u64)img->cluster));
	pthread_mutex_unlock(&img->meta);
	return ret;
}

int q2_write(struct qcow2_disk *d, struct q2_room *room, const struct q2_part *p, u64 offset)
{
	struct q2_image *img = d->layers[0].image;
	u64 done = 0;

	while (done < p->len) {
		struct q2_extent ext;
		struct q2_part here;
		unsigned int epoch;
		u64 n = 0;
		int ret = q2_lookup(img, offset + done, p->len - done, &ext, &epoch);

		if (ret)
			return ret;
		if (in_place(img, &ext)) {
			n = ext.len;
			here = q2_part_at(p, done, n);
			ret = q2_raw_io(room, 0, img->file, DISK_WRITE, &here, ext.host);
			q2_leave(img, epoch);
		} else {
			q2_leave(img, epoch);
			here = q2_part_at(p, done, p->len - done);
			if (ext.kind == Q2_DATA && ext.copied)
				ret = make_writable(img, &ext);
			else
				ret = write_new(d, room, &here, offset + done, &n);
		}
		if (ret)
			return ret;
		done += n;
	}
	return 0;
}

/* Ranges that become zeroes */

static int write_zeroes(struct qcow2_disk *d, struct q2_room *room, u64 offset, u64 len)
{
	/* Never written; not const, so that it takes no room in the binary. */
	static u8 zeroes[ZEROES] __attribute__((aligned(4096)));

	while (len) {
		struct iovec iov = { zeroes, (size_t)MIN(len, ZEROES) };
		struct q2_part p = { &iov, 1, 0, iov.iov_len };
		int ret = q2_write(d, room, &p, offset);

		if (ret)
			return ret;
		offset += iov.iov_len;
		len -= iov.iov_len;
	}
	return 0;
}

/* A part of a cluster: nothing to do where zeroes are. */
static int zero_edge(struct qcow2_disk *d, struct q2_room *room, u64 offset, u64 len)
{
	struct q2_image *img = d->layers[0].image;
	struct q2_extent ext;
	int ret;

	if (!len)
		return 0;
	ret = q2_lookup(img, offset, 1, &ext, NULL);
	if (ret || ext.kind == Q2_ZEROES ||
	    (ext.kind == Q2_NONE && (d->nr_layers == 1 || offset >= d->layers[1].size)))
		return ret;
	return write_zeroes(d, room, offset, len);
}

/* Cluster by cluster. */
static int zero_each(struct qcow2_disk *d, struct q2_room *room, u64 offset, u64 len)
{
	u64 cluster = d->layers[0].image->cluster;
	int ret = 0;

	while (!ret && len) {
		u64 n = MIN(len, cluster - (offset & (cluster - 1)));

		ret = zero_edge(d, room, offset, n);
		offset += n;
		len -= n;
	}
	return ret;
}

/* What becomes of an entry whose cluster shall read as zeroes; @keep: and keep its room. */
static u64 zero_entry(const struct qcow2_disk *d, u64 entry, bool keep)
{
	const struct q2_image *img = d->layers[0].image;
	bool below = d->nr_layers > 1;

	if (keep && is_own(entry))
		return entry | Q2_ZERO_BIT;
	if (!below)
		return 0;
	/* Version 2 has no entry for it: the caller writes zeroes, or leaves it. */
	return img->version < 3 ? entry : Q2_ZERO_BIT;
}

static void zero_entries(struct qcow2_disk *d, struct q2_slice *slice, u64 *entries, u64 nr,
			 bool keep)
{
	struct q2_image *img = d->layers[0].image;

	for (u64 i = 0; i < nr; i++) {
		u64 old = be64toh(entries[i]), entry = zero_entry(d, old, keep);

		if (entry == old)
			continue;
		if (!(entry & Q2_OFFSET))
			q2_entry_free(img, old);
		q2_entry_set(img, slice, &entries[i], entry);
	}
}

/* With @meta held: clusters [first, first+*nr), or the first of them, *nr. */
static int zero_some(struct qcow2_disk *d, u64 first, u64 *nr, bool keep)
{
	struct q2_image *img = d->layers[0].image;
	struct q2_slice *slice;
	struct q2_extent ext;
	u64 *entries;
	int ret;

	ret = begin_change(img);
	if (ret)
		return ret;
	if (d->nr_layers == 1) {
		/* Without a table there is nothing to do, however far that is. */
		q2_map(img, first << img->cluster_bits, *nr << img->cluster_bits, &ext);
		if (ext.kind == Q2_NONE) {
			*nr = MAX(ext.len >> img->cluster_bits, 1ULL);
			return 0;
		}
	}
	ret = q2_entries(img, first, nr, &slice, &entries);
	if (!ret)
		zero_entries(d, slice, entries, *nr, keep);
	return ret;
}

/* Whole clusters, of which the disk's last may be cut short. */
static int zero_clusters(struct qcow2_disk *d, u64 first, u64 end, bool keep)
{
	struct q2_image *img = d->layers[0].image;
	int ret = 0;

	while (!ret && first < end) {
		u64 nr = MIN(end - first, (u64)img->slice / 8);

		pthread_mutex_lock(&img->meta);
		if (wait_settled(img, first, first + nr - 1))
			nr = 0;
		else
			ret = zero_some(d, first, &nr, keep);
		pthread_mutex_unlock(&img->meta);
		first += nr;
	}
	return ret;
}

int q2_zero(struct qcow2_disk *d, struct q2_room *room, const struct disk_request *req)
{
	struct q2_image *img = d->layers[0].image;
	u64 end = req->offset + req->len, mask = img->cluster - 1;
	u64 from = MIN(ALIGN_UP(req->offset, (u64)img->cluster), end);
	u64 to = end == d->disk.size ? ALIGN_UP(end, (u64)img->cluster) : end & ~mask;
	bool hint = req->op == DISK_DISCARD, keep = !hint && !(req->flags & DISK_MAY_UNMAP);
	int ret = 0;

	if (img->version < 3 && (keep || d->nr_layers > 1))
		return hint ? 0 : zero_each(d, room, req->offset, req->len);
	/* The end of a request that lies in one cluster. */
	if (to < from)
		to = from;
	if (!hint)
		ret = zero_edge(d, room, req->offset, from - req->offset);
	if (!ret)
		ret = zero_clusters(d, from >> img->cluster_bits, to >> img->cluster_bits, keep);
	if (!ret && !hint && end > to)
		ret = zero_edge(d, room, to, end - to);
	return ret;
}
