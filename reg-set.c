/* SPDX-License-Identifier: MIT */
/* The registers of a vcpu as KVM lists them; see reg-set.h. */
#include "lkvm/reg-set.h"

#include <stdlib.h>

#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/one-reg.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"

u32 reg_bytes(u64 id)
{
	return 1U << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

static void add_reg(struct reg_set *set, u64 id)
{
	set->ids = xrealloc(set->ids, (set->nr + 1) * sizeof(u64));
	set->own_ids = xrealloc(set->own_ids, (set->nr + 1) * sizeof(u64));
	set->data = xrealloc(set->data, set->bytes + reg_bytes(id));
	memset(set->data + set->bytes, 0, reg_bytes(id));
	set->ids[set->nr] = set->own_ids[set->nr] = id;
	set->nr++;
	set->bytes += reg_bytes(id);
}

int reg_sets_list(const struct vcpu *vcpu, struct reg_set *(*which)(void *opaque, u64 id),
		  void *opaque)
{
	struct kvm_reg_list *list;
	int ret = vcpu_list_regs(vcpu, &list);

	for (u64 i = 0; !ret && i < list->n; i++) {
		struct reg_set *set = which(opaque, list->reg[i]);

		if (reg_bytes(list->reg[i]) > REG_MAX_BYTES)
			ret = -EINVAL;
		else if (set)
			add_reg(set, list->reg[i]);
	}
	free(list);
	if (ret)
		err("vcpu %u: KVM_GET_REG_LIST: %s", vcpu->id, strerror(-ret));
	return ret;
}

void reg_set_free(struct reg_set *set)
{
	free(set->ids);
	free(set->own_ids);
	free(set->data);
}

int reg_set_get(const struct vcpu *vcpu, struct reg_set *set)
{
	u8 *at = set->data;

	for (u32 i = 0; i < set->nr; i++) {
		int ret = vcpu_get_reg(vcpu, set->ids[i], at);

		if (ret) {
			err("vcpu %u: cannot read register 0x%llx: %s", vcpu->id, set->ids[i],
			    strerror(-ret));
			return ret;
		}
		at += reg_bytes(set->ids[i]);
	}
	return 0;
}

static int put_reg(const struct vcpu *vcpu, u64 id, const u8 *value)
{
	u8 now[REG_MAX_BYTES] __attribute__((aligned(16)));
	int ret = vcpu_set_reg(vcpu, id, value);

	if (!ret || (!vcpu_get_reg(vcpu, id, now) && !memcmp(now, value, reg_bytes(id))))
		return 0;
	err("vcpu %u: cannot set register 0x%llx: %s", vcpu->id, id, strerror(-ret));
	return ret;
}

int reg_set_put(const struct vcpu *vcpu, const struct reg_set *set)
{
	const u8 *at = set->data;
	int ret = 0;

	for (u32 i = 0; i < set->nr && !ret; i++) {
		ret = put_reg(vcpu, set->ids[i], at);
		at += reg_bytes(set->ids[i]);
	}
	return ret;
}

bool reg_set_is_own(const struct reg_set *set)
{
	/* Loaded, there are as many: the table says so. */
	return !set->nr || !memcmp(set->ids, set->own_ids, set->nr * sizeof(u64));
}
