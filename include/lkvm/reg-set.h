/* SPDX-License-Identifier: MIT */
/*
 * The registers of a vcpu as KVM lists them (Linux Documentation/virt/kvm/api.rst, 4.84
 * KVM_GET_REG_LIST), for saving and loading them: those that must be loaded together, in the order
 * of the list, are a set.
 */
#ifndef LKVM_REG_SET_H
#define LKVM_REG_SET_H

#include "lkvm/state.h"
#include "lkvm/types.h"

struct vcpu;

/* The largest register has 2048 bits (api.rst, 4.68). */
#define REG_MAX_BYTES 256U

/* Values lie one after the other; zeroed at first, reg_set_free at last. */
struct reg_set {
	u32 nr, bytes;
	u64 *ids;
	u64 *own_ids; /* what this vcpu has, where a load has replaced @ids */
	u8 *data;
};

/* How many bytes a register has, by its id. */
u32 reg_bytes(u64 id);

/*
 * Give each register that KVM lists to the set that @which names for it (NULL: none). 0 or -errno
 * (printed); the sets are to be freed then too.
 */
int reg_sets_list(const struct vcpu *vcpu, struct reg_set *(*which)(void *opaque, u64 id),
		  void *opaque) __must_check;
void reg_set_free(struct reg_set *set);

/* Values from and to KVM. What cannot be written is what the vcpu was built with: then it must be
 * the same. 0 or -errno; print. */
int reg_set_get(const struct vcpu *vcpu, struct reg_set *set) __must_check;
int reg_set_put(const struct vcpu *vcpu, const struct reg_set *set) __must_check;

/* Rows of a table of state (lkvm/state.h) for the set @member: the registers that the vcpu has,
 * whose ids must be its own, and their values; or values alone, of registers that go on by
 * themselves. */
#define REG_SET_STATE(type, member) \
	STATE_COUNTED(type, member.ids, member.nr), STATE_COUNTED(type, member.data, member.bytes)
#define REG_SET_CLOCK(type, member)                                                            \
	{                                                                                      \
		.name = #member, .offset = offsetof(type, member.data), .size = 1,             \
		.flags = STATE_POINTER | STATE_RUNS, .nr_at = STATE_U32_AT(type, member.bytes) \
	}

/* Are the ids, which may have been loaded, those of this vcpu? */
bool reg_set_is_own(const struct reg_set *set);

#endif
