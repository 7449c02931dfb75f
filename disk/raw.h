/* SPDX-License-Identifier: MIT */
/*
 * Raw disks: disk/open.c names and checks the file, disk/raw.c learns its geometry, disk/raw-io.c
 * reads and writes it.
 */
#ifndef LKVM_DISK_RAW_H
#define LKVM_DISK_RAW_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "lkvm/config.h"
#include "lkvm/disk.h"

struct raw_disk {
	struct disk disk;
	int fd;
	bool blockdev;
	atomic_bool no_zero_range; /* the kernel refused once: do not ask again */
	atomic_bool no_discard;	   /* the same */
	u32 offset_align;	   /* of O_DIRECT; 0: buffered */
	u32 mem_align;
	enum disk_aio aio;
	/*
	 * O_DIRECT with blocks larger than a sector: who changes a part of one reads and writes the
	 * whole of it, alone. Every other change is one of @changes meanwhile; who wants to be
	 * alone lets no further one begin.
	 */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int changes, want_alone;
	bool alone;
};

/* The largest piece that goes through a bounce buffer at once. */
#define RAW_BOUNCE (256 * KiB)

static inline struct raw_disk *to_raw(struct disk *disk)
{
	return container_of(disk, struct raw_disk, disk);
}

/*
 * A raw image over @fd, a regular file or a block device, described by @st. With @direct, @fd was
 * opened with O_DIRECT. Takes @fd on success. Prints what is wrong; 0 or -errno.
 */
int raw_disk_create(const struct disk_config *cfg, int fd, const struct stat *st,
		    struct disk **out) __must_check;
/* The same for the file of another format, which knows its end and makes it longer: requests may
 * reach beyond the disk's size. */
int raw_file_create(const struct disk_config *cfg, int fd, const struct stat *st,
		    struct disk **out) __must_check;

/* raw-io.c: requests that block, for queues of threads (disk/threads.h). */
int raw_room_create(struct disk *disk, void **room) __must_check;
void raw_room_destroy(void *room);
int raw_serve(struct disk *disk, void *room, const struct disk_request *req);
int raw_serve_now(struct disk *disk, const struct disk_request *req);
/* The same for io_uring (disk/uring.h). */
bool raw_ring_begin(struct disk *disk, const struct disk_request *req);
void raw_ring_end(struct disk *disk, const struct disk_request *req);

#endif
