/* SPDX-License-Identifier: MIT */
/* For unit tests of virtqueues: memory with a hole and a ROM, a queue, its driver's side. */
#ifndef TEST_VIRTQ_FIXTURE_H
#define TEST_VIRTQ_FIXTURE_H

#include "unit.h"

#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/virtqueue.h"
#include "vring_driver.h"

#define RAM_SIZE  0x40000u
#define HIGH_GPA  0x100000u /* a second region after a hole */
#define HIGH_SIZE 0x10000u
#define ROM_GPA	  0x200000u
#define RING_GPA  0x10000u
#define DATA_GPA  0x20000u
#define TABLE_GPA 0x30000u

#define NEXT	 VRING_DESC_F_NEXT
#define WRITE	 VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

struct fixture {
	struct guest_memory mem;
	u8 *ram, *high, *rom;
	struct virtqueue vq;
	struct vring_driver d;
	struct virtq_request chain;
	struct iovec iov[VIRTQ_MAX_SEGS];
};

static inline int pop(struct fixture *f)
{
	return virtq_pop(&f->vq, &f->chain, f->iov, VIRTQ_MAX_SEGS);
}

/* Push the request with this head: all that a push looks at. */
static inline void push(struct fixture *f, u16 head, u32 len)
{
	struct virtq_request req = { .head = head };

	virtq_push(&f->vq, &req, len);
}

static inline void start(struct fixture *f, u16 size, bool event_idx, bool indirect)
{
	virtq_reset(&f->vq);
	vdrv_setup(&f->d, f->ram, RING_GPA, size);
	f->vq.size = size;
	f->vq.desc_gpa = f->d.desc;
	f->vq.avail_gpa = f->d.avail;
	f->vq.used_gpa = f->d.used;
	f->vq.event_idx = event_idx;
	f->vq.indirect = indirect;
	assert_int_equal(virtq_enable(&f->vq), 0);
}

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	log_set_level(LOG_ERROR);
	f->ram = aligned_alloc(4096, RAM_SIZE);
	f->high = aligned_alloc(4096, HIGH_SIZE);
	f->rom = aligned_alloc(4096, 4096);
	memset(f->ram, 0, RAM_SIZE);
	memset(f->high, 0, HIGH_SIZE);
	memory_init(&f->mem);
	assert_int_equal(memory_add_borrowed(&f->mem, 0, RAM_SIZE, f->ram, 0, "ram"), 0);
	assert_int_equal(memory_add_borrowed(&f->mem, HIGH_GPA, HIGH_SIZE, f->high, 0, "high"), 0);
	assert_int_equal(memory_add_borrowed(&f->mem, ROM_GPA, 4096, f->rom, MEM_ROM, "rom"), 0);
	f->vq.mem = &f->mem;
	f->vq.name = "test";
	f->vq.max_size = 256;
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	memory_destroy(&f->mem);
	free(f->ram);
	free(f->high);
	free(f->rom);
	free(f);
	return 0;
}

#endif
