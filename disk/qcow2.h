/* SPDX-License-Identifier: MIT */
/*
 * qcow2 images (QEMU's docs/interop/qcow2.txt, version 2 and 3), from the bottom:
 * qcow2-header.c reads and judges the header, qcow2-table.c caches tables and writes them in an
 * order that no crash can hurt, qcow2-refcount.c counts and allocates clusters, qcow2-map.c finds
 * where a guest's byte lies, qcow2-packed.c unpacks clusters, qcow2-io.c serves requests, qcow2.c
 * is the disk and its queues.
 *
 * Two locks for each image. @meta belongs to workers: who holds it may read and write tables of the
 * file. @map is held for microseconds, by loops too: it guards what a lookup reads. Whatever a
 * lookup reads is changed with both held.
 */
#ifndef LKVM_DISK_QCOW2_H
#define LKVM_DISK_QCOW2_H

#include <pthread.h>
#include <stdatomic.h>

#include "file.h"
#include "lkvm/disk.h"

/* As many images as one may stand on another. */
#define Q2_MAX_LAYERS 64

/* Incompatible features. */
#define Q2_DIRTY       BIT_ULL(0)
#define Q2_CORRUPT     BIT_ULL(1)
#define Q2_DATA_FILE   BIT_ULL(2)
#define Q2_COMPRESSION BIT_ULL(3)
#define Q2_EXTENDED_L2 BIT_ULL(4)

/* Entries of L1 and L2 tables. */
#define Q2_OFFSET     0x00fffffffffffe00ULL
#define Q2_COPIED     BIT_ULL(63)
#define Q2_PACKED_BIT BIT_ULL(62)
#define Q2_ZERO_BIT   BIT_ULL(0)

enum { Q2_ZLIB, Q2_ZSTD };

struct q2_header {
	u32 version, cluster_bits, refcount_order;
	u64 size;
	u64 l1_offset, rt_offset, snapshots_offset;
	u32 l1_size, rt_clusters, nr_snapshots;
	u64 incompatible, autoclear;
	u32 length;
	u8 compression;
	char backing[1024], backing_format[16]; /* "": none */
};

/* A part of a table, which is read and written as a whole. */
struct q2_slice {
	u64 offset; /* in the file; 0: none */
	u64 used;   /* when, to find the one that was not used for longest */
	bool dirty;
	bool hole; /* perhaps: all zeroes, and the host may have no room for other bytes */
	u8 *bytes;
};

struct q2_cache {
	struct q2_slice *slices; /* sets of Q2_WAYS */
	u8 *bytes;
	u32 nr_sets;
	u32 nr_dirty;
};

/* A table that is in memory as a whole, in the file's byte order. */
struct q2_root {
	u64 offset;
	u64 *entries;
	u32 nr, used;		  /* of the rest none is set */
	u32 dirty_from, dirty_to; /* entries that the file has not got; none if equal */
};

/* Clusters that tables in memory do not refer to any more, once each. */
struct q2_freed {
	struct q2_range {
		u64 first, count;
	} * ranges;
	u32 nr, room;
};

/* A range of the guest's clusters that get room of their own; others keep off. */
struct q2_pending {
	u64 first, last;
	struct q2_pending *next;
};

struct q2_image {
	const char *shown;
	struct disk *file; /* what the image lies in, as a raw disk; owned */
	int fd;		   /* for tables, without O_DIRECT */
	bool own_fd, blockdev, readonly;
	u32 version, cluster_bits, cluster, slice, refcount_order;
	u64 size;
	u8 compression;
	u64 autoclear;
	u64 snapshots_offset;

	pthread_mutex_t meta, map;
	pthread_cond_t settled; /* with @meta: a pending range is done */
	struct q2_pending *pending;
	struct q2_root l1, rt;
	struct q2_cache l2, refcounts;
	u64 clock;
	u64 rt_clusters;
	u64 free_hint; /* no free cluster is below */
	_Atomic(u64)
		file_end; /* bytes: every cluster in use is below, but for what others left out */
	atomic_bool changing; /* the file has been told that it is changed */
	atomic_bool damaged;
	/*
	 * Requests that know where clusters lie, by the epoch in which they learned it (@map). What
	 * was freed is used again when the tables without it are in the file and nobody who may
	 * have seen it is left: @freed collects, @closing waits for the last of the other epoch.
	 */
	unsigned int epoch, active[2];
	struct q2_freed freed, closing;
	bool closing_written;
	/* The cluster that was unpacked last. */
	pthread_mutex_t unpacking;
	u64 unpacked_entry;
	u8 *unpacked, *packed;
};

struct q2_layer {
	struct q2_image *image; /* NULL: raw */
	struct disk *file;	/* of a raw one, owned */
	char *shown;		/* for messages, owned; NULL: that of the disk */
	u64 size;
};

/* Close what a layer has; it may be empty. */
void q2_layer_close(struct q2_layer *layer);

struct qcow2_disk {
	struct disk disk;
	unsigned int nr_layers; /* the guest's is the first */
	unsigned int nr_queues, nr_finished;
	struct q2_layer layers[Q2_MAX_LAYERS];
};

static inline struct qcow2_disk *to_qcow2(struct disk *disk)
{
	return container_of(disk, struct qcow2_disk, disk);
}

/* qcow2-header.c: read and check the header of @f; prints what stands against using it. */
int q2_header_read(int fd, const struct disk_file *f, struct q2_header *h) __must_check;

/*
 * qcow2-table.c. The image of a checked header; prints what is wrong. @file is the raw disk over
 * @f, owned by the image from here on.
 */
int q2_image_open(const struct disk_file *f, const struct q2_header *h, int fd, bool own_fd,
		  struct disk *file, struct q2_image **out) __must_check;
void q2_image_close(struct q2_image *img);
/* The image is not as the format demands: say so once; -EIO. */
int q2_damaged(struct q2_image *img, const char *what, u64 offset);
/* Does [offset, offset+len) of the file touch the header or a table that does not move? */
bool q2_is_fixed(const struct q2_image *img, u64 offset, u64 len);
/* The file's bytes, zeroes after its end. */
int q2_read_file(const struct q2_image *img, void *buf, size_t len, u64 offset) __must_check;
int q2_zero_file(const struct q2_image *img, u64 offset, u64 len) __must_check;
/* The slice that begins there, if it is in memory. With @map or @meta held. */
struct q2_slice *q2_slice_find(struct q2_image *img, struct q2_cache *cache, u64 offset);
/* The same, read if it is not; valid until the next call. With @meta held. */
int q2_slice_get(struct q2_image *img, struct q2_cache *cache, u64 offset,
		 struct q2_slice **out) __must_check;
/* Before it is changed: the host has room for it, so that writing it does not fail later. */
int q2_slice_reserve(struct q2_image *img, struct q2_slice *slice) __must_check;
void q2_slice_dirty(struct q2_cache *cache, struct q2_slice *slice);
/* Room on the host for [offset, offset+len), as far as it can promise that; 0 or -ENOSPC. */
int q2_reserve_file(const struct q2_image *img, u64 offset, u64 len) __must_check;
/* Forget what is known of a cluster that is no table any more. */
void q2_slices_drop(struct q2_image *img, struct q2_cache *cache, u64 offset);
void q2_root_set(struct q2_root *root, u32 index, u64 entry);
/* Write what is dirty, in the order that is right after each crash. With @meta held. */
int q2_write_tables(struct q2_image *img) __must_check;
int q2_sync(const struct q2_image *img) __must_check;

static inline u64 q2_root_get(const struct q2_root *root, u64 index)
{
	return be64toh(root->entries[index]);
}

/* qcow2-refcount.c, with @meta held. */
/* Up to @want clusters in a row, with a count of one; *fresh: they read as zeroes. */
int q2_alloc(struct q2_image *img, u64 want, u64 *first, u64 *nr, bool *fresh) __must_check;
/* Give back what q2_alloc gave and nothing refers to. */
void q2_unalloc(struct q2_image *img, u64 first, u64 nr);
/* Tables in memory do not refer to these clusters any more (once each). */
void q2_free_later(struct q2_image *img, u64 first, u64 nr);
/* What was freed and is not seen by anybody any more is free now; @all: nobody is left. */
void q2_release(struct q2_image *img, bool all);
/* Make [0, end) the file's. */
int q2_extend(struct q2_image *img, u64 end) __must_check;

/* qcow2-map.c */
enum q2_kind {
	Q2_MISS, /* a table is not in memory */
	Q2_NONE, /* what is below the image */
	Q2_ZEROES,
	Q2_DATA,
	Q2_PACKED,
	Q2_BAD,
};

struct q2_extent {
	enum q2_kind kind;
	u64 len;   /* bytes from the offset on, of one kind and, DATA, in a row */
	u64 host;  /* DATA: where they lie */
	u64 entry; /* of the first cluster */
	bool copied;
};

/* What lies at [offset, offset+len), @len at least 1, or the beginning of it. With @map held. */
void q2_map(struct q2_image *img, u64 offset, u64 len, struct q2_extent *ext);
/* The same; reads tables, and holds nothing. Q2_BAD was told. *epoch (unless NULL): the request
 * is counted until q2_leave. */
int q2_lookup(struct q2_image *img, u64 offset, u64 len, struct q2_extent *ext,
	      unsigned int *epoch) __must_check;
unsigned int q2_enter(struct q2_image *img);
void q2_leave(struct q2_image *img, unsigned int epoch);
/*
 * The L2 entries of [first, first+*nr), a table's own part that may be written; *nr becomes less at
 * the end of a slice. With @meta held; changed with q2_entry_set.
 */
int q2_entries(struct q2_image *img, u64 first, u64 *nr, struct q2_slice **out,
	       u64 **entries) __must_check;
void q2_entry_set(struct q2_image *img, struct q2_slice *slice, u64 *where, u64 entry);
/* What the entry referred to is not referred to any more. */
void q2_entry_free(struct q2_image *img, u64 entry);
/* Where a packed cluster lies. */
void q2_packed_place(const struct q2_image *img, u64 entry, u64 *offset, u64 *len);

/* qcow2-packed.c: copy [from, from+len) of the packed cluster to @iov, @skip bytes in. */
int q2_unpack(struct q2_image *img, u64 entry, u64 from, u64 len, const struct iovec *iov,
	      unsigned int iovcnt, size_t skip) __must_check;
/* Is this build able to? Says why not. */
int q2_can_unpack(const char *shown, u8 compression) __must_check;

/* qcow2-io.c: requests that block. */
int q2_room_create(struct disk *disk, void **room) __must_check;
void q2_room_destroy(void *room);
int q2_serve(struct disk *disk, void *room, const struct disk_request *req);
int q2_serve_now(struct disk *disk, const struct disk_request *req);
/* Everything that was done is in the file, and safe. */
int q2_flush(struct q2_image *img) __must_check;

/* qcow2.c: the disk of these layers, which it owns on success. */
int qcow2_disk_create(const char *path, bool readonly, const struct q2_layer *layers,
		      unsigned int nr, struct disk **out) __must_check;

#endif
