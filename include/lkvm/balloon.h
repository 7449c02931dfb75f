/* SPDX-License-Identifier: MIT */
/*
 * The memory balloon (VIRTIO 1.3, 5.5): the guest hands pages over, up to a target that the host
 * sets, and takes them back. For whoever controls a running machine; any thread.
 */
#ifndef LKVM_BALLOON_H
#define LKVM_BALLOON_H

#include "lkvm/types.h"

struct virtio_device;
struct vm;

/* Numbers of the guest's statistics, by tag (5.5.6.3). */
#define BALLOON_NR_STATS 16

struct balloon_stats {
	u32 known;    /* a bit for each that the guest told */
	u32 sequence; /* how often it has told them since its driver began */
	u64 values[BALLOON_NR_STATS];
};

/*
 * The balloon of @vm; NULL: it has none. @target: bytes that the guest is asked for at its start,
 * rounded down to pages of 4 KiB. Prints.
 */
int virtio_balloon_create(struct vm *vm, u64 target) __must_check;
int virtio_balloon_new(struct vm *vm, u64 target, struct virtio_device **out) __must_check;

/* Ask the guest for @bytes in all; it answers in its own time, or never. */
void balloon_set_target(struct virtio_device *balloon, u64 bytes);
u64 balloon_target(struct virtio_device *balloon);
/* Bytes that it has handed over, as its driver says. */
u64 balloon_actual(struct virtio_device *balloon);
/* Ask for fresh statistics: @sequence grows when they come. False: its driver gives none. */
bool balloon_ask_stats(struct virtio_device *balloon);
/* The latest that came. */
void balloon_get_stats(struct virtio_device *balloon, struct balloon_stats *stats);

#endif
