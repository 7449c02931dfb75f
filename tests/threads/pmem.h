/* SPDX-License-Identifier: MIT */
/*
 * A file that is the guest's memory, whose flushes are watched: each notes what the memory held
 * when the host began with it. What was there before a request has to be among it when the request
 * is answered, or it was answered by a flush that came too early.
 */
#ifndef TEST_THREADS_PMEM_H
#define TEST_THREADS_PMEM_H

#include "../../disk/raw.h"
#include "../../disk/threads.h"
#include "board.h"
#include "lkvm/pmem.h"
#include "ring.h"

#define PMEM_AT	    (RAM_BASE + 0x8000000ULL)
#define PMEM_SIZE   (2 * MiB)
#define PMEM_OWN(s) ((s)*0x1000UL) /* each slot's: a number, then data */

struct watched {
	struct pmem pmem;
	struct disk disk, *file;
	u8 *mem;
	atomic_uint flushed[SLOTS]; /* the numbers as they were at the last flush */
};

static inline u32 *pmem_number(const struct watched *w, u32 s)
{
	return (u32 *)(w->mem + PMEM_OWN(s));
}

/* On a worker. */
static inline int watched_serve(struct disk *disk, void *room, const struct disk_request *req)
{
	struct watched *w = container_of(disk, struct watched, disk);

	must(req->op == DISK_FLUSH, "an operation of pmem");
	for (u32 s = 0; s < SLOTS; s++)
		atomic_store(&w->flushed[s], __atomic_load_n(pmem_number(w, s), __ATOMIC_SEQ_CST));
	return raw_serve(w->file, room, req);
}

static inline int watched_room(struct disk *disk, void **room)
{
	return raw_room_create(container_of(disk, struct watched, disk)->file, room);
}

static inline int watched_open(struct disk *disk, struct event_loop *loop, unsigned int depth,
			       struct disk_queue **out)
{
	static const struct disk_blocking_ops ops = {
		.room_create = watched_room,
		.room_destroy = raw_room_destroy,
		.serve = watched_serve,
	};

	return disk_threads_open(disk, &ops, loop, depth, out);
}

static inline void watched_close(struct disk *disk)
{
	disk_close(container_of(disk, struct watched, disk)->file);
}

/* The @n-th of the machine, over the file @path. */
static inline void watched_init(struct watched *w, struct board *b, char *path, u32 n)
{
	static const struct disk_ops ops = { .queue_open = watched_open, .close = watched_close };
	struct memory_desc desc = { .gpa = PMEM_AT + n * PMEM_SIZE,
				    .size = PMEM_SIZE,
				    .kind = MEM_PMEM,
				    .backing = MEM_FILE,
				    .name = "pmem" };

	must(!pmem_open(&(struct pmem_config){ .path = path }, &w->pmem), "no pmem");
	w->file = w->pmem.disk;
	w->disk = *w->file;
	w->disk.ops = &ops;
	w->pmem.disk = &w->disk;
	w->pmem.gpa = desc.gpa;
	desc.fd = w->pmem.fd;
	must(!memory_add(&b->vm.mem, &desc), "no memory for pmem");
	w->mem = memory_ptr(&b->vm.mem, desc.gpa, desc.size);
}

static inline void pmem_offer(struct driver *d, struct dqueue *q, u32 s)
{
	u8 *data = d->pmem->mem + PMEM_OWN(s) + 64;

	must(!d->written[s] || filled(data, DATA_LEN, d->written[s]),
	     "device %u: memory %u has changed", d->id, s);
	d->written[s]++;
	fill(data, DATA_LEN, d->written[s]);
	__atomic_store_n(pmem_number(d->pmem, s), d->written[s], __ATOMIC_SEQ_CST);
	put_le(slot_mem(q, s, 0), 4, VIRTIO_PMEM_REQ_TYPE_FLUSH);
	put_le(slot_mem(q, s, SLOT_STATUS), 4, 0xeeeeeeee);
	offer(d, q, s, (struct piece[]){ { 0, 4, false }, { SLOT_STATUS, 4, true } }, 2);
}

static inline void pmem_back(struct driver *d, struct dqueue *q, u32 s, u32 used)
{
	must(used == 4 && !get_le(slot_mem(q, s, SLOT_STATUS), 4), "device %u: a flush failed",
	     d->id);
	must(atomic_load(&d->pmem->flushed[s]) == d->written[s],
	     "device %u: the flush for %u came too early", d->id, s);
}

#endif
