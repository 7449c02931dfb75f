/* SPDX-License-Identifier: MIT */
/*
 * Saving and loading a vcpu (see include/lkvm/state.h): every register that KVM lists (Linux
 * Documentation/virt/kvm/api.rst, 4.84 KVM_GET_REG_LIST), by its id, which is its name there; what
 * waits to be delivered (4.31 KVM_GET_VCPU_EVENTS); whether it is on.
 */
#include <stdlib.h>

#include "arm.h"
#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "psci.h"

/* The largest register is one of 2048 bits (KVM_REG_SIZE). */
#define MAX_REG_BYTES 256

/* Registers, one after the other. */
struct reg_set {
	u32 nr;
	u64 *ids;
	u32 bytes;
	u8 *data;
};

struct arm_vcpu_state {
	struct vcpu *vcpu;
	u64 *own_ids;	       /* of @fixed; what this vcpu has */
	struct reg_set fixed;  /* stand while the vcpu does */
	struct reg_set clocks; /* the counters of the timers */
	u32 mp_state;
	bool has_events;
	struct kvm_vcpu_events events;
	bool psci_on, psci_stale; /* --psci user */
};

static u32 reg_bytes(u64 id)
{
	return 1U << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

static bool is_clock(u64 id)
{
	/* The id of the virtual counter is an exchanged one (api.rst, 4.68). */
	return id == KVM_REG_ARM_TIMER_CNT || id == KVM_REG_ARM_PTIMER_CNT;
}

static void add_reg(struct reg_set *set, u64 id)
{
	set->ids[set->nr++] = id;
	set->bytes += reg_bytes(id);
}

static int list_regs(struct arm_vcpu_state *s)
{
	struct kvm_reg_list *list;
	int ret = vcpu_list_regs(s->vcpu, &list);

	if (ret)
		return ret;
	s->fixed.ids = xcalloc(list->n + 1, sizeof(u64));
	s->own_ids = xcalloc(list->n + 1, sizeof(u64));
	s->clocks.ids = xcalloc(2, sizeof(u64));
	for (u64 i = 0; i < list->n && !ret; i++) {
		if (reg_bytes(list->reg[i]) > MAX_REG_BYTES)
			ret = -EINVAL;
		else
			add_reg(is_clock(list->reg[i]) ? &s->clocks : &s->fixed, list->reg[i]);
	}
	free(list);
	memcpy(s->own_ids, s->fixed.ids, s->fixed.nr * sizeof(u64));
	s->fixed.data = xcalloc(s->fixed.bytes + 1, 1);
	s->clocks.data = xcalloc(s->clocks.bytes + 1, 1);
	return ret;
}

void arch_vcpu_state_free(void *state)
{
	struct arm_vcpu_state *s = state;

	free(s->own_ids);
	free(s->fixed.ids);
	free(s->fixed.data);
	free(s->clocks.ids);
	free(s->clocks.data);
	free(s);
}

int arch_vcpu_state_new(struct vcpu *vcpu, void **out)
{
	struct arm_vcpu_state *s = xcalloc(1, sizeof(*s));
	int ret;

	s->vcpu = vcpu;
	ret = list_regs(s);
	if (ret) {
		err("vcpu %u: KVM_GET_REG_LIST: %s", vcpu->id, strerror(-ret));
		arch_vcpu_state_free(s);
		return ret;
	}
	*out = s;
	return 0;
}

static int get_regs(const struct vcpu *vcpu, struct reg_set *set)
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

/* What cannot be written is what the vcpu was built with: then it must be the same. */
static int set_reg(const struct vcpu *vcpu, u64 id, const u8 *value)
{
	u8 now[MAX_REG_BYTES] __attribute__((aligned(16)));
	int ret = vcpu_set_reg(vcpu, id, value);

	if (!ret || (!vcpu_get_reg(vcpu, id, now) && !memcmp(now, value, reg_bytes(id))))
		return 0;
	err("vcpu %u: cannot set register 0x%llx: %s", vcpu->id, id, strerror(-ret));
	return ret;
}

static int set_regs(const struct vcpu *vcpu, const struct reg_set *set)
{
	const u8 *at = set->data;
	int ret = 0;

	for (u32 i = 0; i < set->nr && !ret; i++) {
		ret = set_reg(vcpu, set->ids[i], at);
		at += reg_bytes(set->ids[i]);
	}
	return ret;
}

static int vcpu_state_save(void *obj)
{
	struct arm_vcpu_state *s = obj;
	struct arm_psci *psci = s->vcpu->vm->arch->psci;
	struct kvm_mp_state mp = { 0 };
	int ret = get_regs(s->vcpu, &s->fixed);

	if (!ret)
		ret = get_regs(s->vcpu, &s->clocks);
	if (!xioctl(s->vcpu->fd, KVM_GET_MP_STATE, &mp))
		s->mp_state = mp.mp_state;
	s->has_events = !xioctl(s->vcpu->fd, KVM_GET_VCPU_EVENTS, &s->events);
	if (psci) {
		s->psci_on = psci->cpus[s->vcpu->id].on;
		s->psci_stale = psci->cpus[s->vcpu->id].stale;
	}
	return ret;
}

static int vcpu_state_check(const void *obj)
{
	const struct arm_vcpu_state *s = obj;

	return memcmp(s->fixed.ids, s->own_ids, s->fixed.nr * sizeof(u64)) ? -EINVAL : 0;
}

static int vcpu_state_load(void *obj)
{
	struct arm_vcpu_state *s = obj;
	struct arm_psci *psci = s->vcpu->vm->arch->psci;
	struct kvm_mp_state mp = { .mp_state = s->mp_state };
	int ret = set_regs(s->vcpu, &s->fixed);

	if (!ret)
		ret = set_regs(s->vcpu, &s->clocks);
	if (!ret && s->has_events)
		ret = xioctl(s->vcpu->fd, KVM_SET_VCPU_EVENTS, &s->events);
	if (ret >= 0)
		ret = xioctl(s->vcpu->fd, KVM_SET_MP_STATE, &mp);
	if (ret < 0)
		err("vcpu %u: cannot set its state: %s", s->vcpu->id, strerror(-ret));
	if (psci)
		psci->cpus[s->vcpu->id] =
			(struct arm_psci_cpu){ .on = s->psci_on, .stale = s->psci_stale };
	return MIN(ret, 0);
}

static u32 nr_fixed(const void *obj)
{
	return ((const struct arm_vcpu_state *)obj)->fixed.nr;
}

static u32 fixed_bytes(const void *obj)
{
	return ((const struct arm_vcpu_state *)obj)->fixed.bytes;
}

static u32 clock_bytes(const void *obj)
{
	return ((const struct arm_vcpu_state *)obj)->clocks.bytes;
}

static const struct state_field fields[] = {
	STATE_AT(struct arm_vcpu_state, fixed.ids, nr_fixed),
	STATE_AT(struct arm_vcpu_state, fixed.data, fixed_bytes),
	{ .name = "clocks",
	  .offset = offsetof(struct arm_vcpu_state, clocks.data),
	  .size = 1,
	  .flags = STATE_POINTER | STATE_RUNS,
	  .nr = clock_bytes },
	STATE_VALUE(struct arm_vcpu_state, mp_state),
	STATE_BOOL(struct arm_vcpu_state, has_events),
	STATE_BOOL(struct arm_vcpu_state, events.exception.serror_pending),
	STATE_BOOL(struct arm_vcpu_state, events.exception.serror_has_esr),
	STATE_BOOL(struct arm_vcpu_state, events.exception.ext_dabt_pending),
	STATE_VALUE(struct arm_vcpu_state, events.exception.serror_esr),
	STATE_BOOL(struct arm_vcpu_state, psci_on),
	STATE_BOOL(struct arm_vcpu_state, psci_stale),
};

const struct device_state arch_vcpu_state = {
	.version = 1,
	STATE_TABLE(fields),
	.save = vcpu_state_save,
	.check = vcpu_state_check,
	.load = vcpu_state_load,
};
