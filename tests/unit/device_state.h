/* SPDX-License-Identifier: MIT */
/*
 * The common test of devices' state: a machine that was used is saved and loaded into a fresh one;
 * what is saved there is the same, byte for byte. And records that lie do no harm.
 */
#ifndef TEST_DEVICE_STATE_H
#define TEST_DEVICE_STATE_H

#include "capture.h"
#include "unit.h"

#include <stdlib.h>

#include "lkvm/device.h"
#include "lkvm/state.h"
#include "lkvm/vm.h"

static inline struct state_buf save_vm(struct vm *vm)
{
	struct state_buf buf = { 0 };

	assert_int_equal(vm_save(vm, &buf), 0);
	return buf;
}

static inline int load_vm(struct vm *vm, const struct state_buf *buf, size_t len)
{
	/* A copy of that size shows the sanitizer who reads beyond it. */
	u8 *copy = malloc(len ? len : 1);
	struct state_reader in = { copy, len };
	int ret;

	memcpy(copy, buf->data, len);
	ret = vm_load(vm, &in);
	free(copy);
	return ret;
}

static inline void assert_same_state(const struct state_buf *a, const struct state_buf *b)
{
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->data, b->data, a->len);
}

/* Every device says what it remembers, if only that it is nothing. */
static inline void assert_all_have_state(struct vm *vm)
{
	for (struct device *dev = vm->devices; dev; dev = dev->next)
		if (!dev->ops->state)
			fail_msg("device %s has no table of its state", dev->name);
}

static inline bool remembers(const struct vm *vm)
{
	for (struct device *dev = vm->devices; dev; dev = dev->next)
		if (dev->ops->state->nr_fields)
			return true;
	return false;
}

/* Loaded, it saves the same again. */
static inline void check_load(struct vm *vm, const struct state_buf *buf)
{
	struct state_buf again;

	assert_int_equal(load_vm(vm, buf, buf->len), 0);
	again = save_vm(vm);
	assert_same_state(buf, &again);
	state_buf_free(&again);
}

/* @used: what was driven; @fresh: the same, as it was made. @fresh is good for nothing after it. */
static inline void check_state(struct vm *used, struct vm *fresh)
{
	struct state_buf first, second, initial;

	assert_all_have_state(used);
	vm_pause(used);
	vm_pause(fresh);
	initial = save_vm(fresh);
	first = save_vm(used);
	assert_int_equal(first.len, initial.len);
	assert_int_equal(memcmp(first.data, initial.data, first.len) != 0, remembers(used));
	/* Saving changes nothing. */
	second = save_vm(used);
	assert_same_state(&first, &second);
	state_buf_free(&second);
	check_load(fresh, &first);
	/* Back again, in a machine that has been something else: nothing of that is left. */
	check_load(fresh, &initial);
	check_load(fresh, &first);
	/* The same over itself, which has begun things meanwhile. */
	check_load(fresh, &first);
	state_buf_free(&first);
	state_buf_free(&initial);
	vm_resume(used);
	vm_resume(fresh);
}

/* A device that was loaded, at work; NULL: it only resumes. */
struct exercise {
	void (*fn)(void *opaque);
	void *opaque;
};

static inline void try_state(struct vm *victim, const struct state_buf *buf,
			     const struct exercise *use)
{
	if (load_vm(victim, buf, buf->len))
		return;
	vm_resume(victim);
	if (use && use->fn)
		use->fn(use->opaque);
	vm_pause(victim);
}

/* The elements of @body, which is part of @buf, one after the other; of long arrays some. */
static inline void try_fields(struct vm *victim, const struct state_buf *buf, u8 *at, u8 *end,
			      const struct exercise *use)
{
	static const u64 extremes[] = { 0, 1, ~0ULL, ~0ULL >> 1, 1ULL << 63, 0x7fffffff7fffffff };

	while (at < end) {
		u8 *head = at + 1 + *at;
		u32 size = *head, n = (u32)get_le(head + 1, 4);

		at = head + 5;
		for (u32 e = 0; e < n; e++, at += size) {
			u64 value = size ? get_le(at, size) : get_le(at, 4);

			if (!size) {
				at += 4;
				try_fields(victim, buf, at, at + value, use);
				at += value;
				continue;
			}
			if (e > 3 && e % 16)
				continue;
			/* The highest bytes, so that each size has its own extremes. */
			for (size_t i = 0; i < ARRAY_SIZE(extremes); i++) {
				put_le(at, size,
				       extremes[i] < 2 ? extremes[i]
						       : extremes[i] >> (64 - 8 * size));
				try_state(victim, buf, use);
			}
			put_le(at, size, value);
		}
	}
}

/* Each field at the ends of its range: what is let in overflows nothing (see it with UBSan). */
static inline void check_extreme_state(struct vm *used, struct vm *victim,
				       const struct exercise *use)
{
	struct state_buf buf;
	u8 *at, *end;

	capture_begin();
	vm_pause(used);
	vm_pause(victim);
	buf = save_vm(used);
	for (at = buf.data, end = at + buf.len; at < end;) {
		u8 *body = at + 1 + *at + 8;

		at = body + get_le(body - 4, 4);
		try_fields(victim, &buf, body, at, use);
	}
	assert_int_equal(load_vm(victim, &buf, buf.len), 0);
	state_buf_free(&buf);
	vm_resume(used);
	vm_resume(victim);
	capture_end();
}

static inline void check_bad_state(struct vm *used, struct vm *victim)
{
	struct state_buf buf, twice;

	capture_begin();
	vm_pause(used);
	vm_pause(victim);
	buf = save_vm(used);
	for (size_t len = 0; len < buf.len; len += 1 + len / 512)
		assert_int_not_equal(load_vm(victim, &buf, len), 0);
	/* Nor one that goes on: here is all of it once more. */
	assert_int_equal(load_vm(victim, &buf, buf.len), 0);
	twice = save_vm(used);
	assert_int_equal(vm_save(used, &twice), 0);
	assert_int_equal(load_vm(victim, &twice, twice.len), -EINVAL);
	state_buf_free(&twice);
	for (size_t i = 0; i < buf.len; i += 1 + i / 512) {
		buf.data[i] ^= 0xff;
		load_vm(victim, &buf, buf.len);
		buf.data[i] ^= 0xff;
	}
	state_buf_free(&buf);
	vm_resume(used);
	vm_resume(victim);
	capture_end();
}

#endif
