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

#include "lkvm/disk.h"

struct raw_disk {
	struct disk disk;
	int fd;
	bool blockdev;
	atomic_bool no_zero_range; /* the kernel refused once: do not ask again */
	atomic_bool no_discard;	   /* the same */
	u32 offset_align;	   /* of O_DIRECT; 0: buffered */
	u32 mem_align;
	/*
	 * O_DIRECT: who changes a part of a block reads and writes the whole of it, and holds
	 * @blocks for writing meanwhile; every other change holds it for reading. @turn lets a
	 * writer in among many readers.
	 */
	pthread_rwlock_t blocks;
	pthread_mutex_t turn;
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

#endif
