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
#include "lkvm/reg-set.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "psci.h"

struct arm_vcpu_state {
	struct vcpu *vcpu;
	struct reg_set fixed;  /* stand while the vcpu does */
	struct reg_set clocks; /* the counters of the timers */
	u32 mp_state;
	bool has_events;
	struct kvm_vcpu_events events;
	bool psci_on, psci_stale; /* --psci user */
};

static bool is_clock(u64 id)
{
	/* The id of the virtual counter is an exchanged one (api.rst, 4.68). */
	return id == KVM_REG_ARM_TIMER_CNT || id == KVM_REG_ARM_PTIMER_CNT;
}

static struct reg_set *set_of(void *opaque, u64 id)
{
	struct arm_vcpu_state *s = opaque;

	return is_clock(id) ? &s->clocks : &s->fixed;
}

void arch_vcpu_state_free(void *state)
{
	struct arm_vcpu_state *s = state;

	reg_set_free(&s->fixed);
	reg_set_free(&s->clocks);
	free(s);
}

int arch_vcpu_state_new(struct vcpu *vcpu, void **out)
{
	struct arm_vcpu_state *s = xcalloc(1, sizeof(*s));
	int ret;

	s->vcpu = vcpu;
	ret = reg_sets_list(vcpu, set_of, s);
	if (ret) {
		arch_vcpu_state_free(s);
		return ret;
	}
	*out = s;
	return 0;
}

static int vcpu_state_save(void *obj)
{
	struct arm_vcpu_state *s = obj;
	struct arm_psci *psci = s->vcpu->vm->arch->psci;
	struct kvm_mp_state mp = { 0 };
	int ret = reg_set_get(s->vcpu, &s->fixed);

	if (!ret)
		ret = reg_set_get(s->vcpu, &s->clocks);
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
	return reg_set_is_own(&((const struct arm_vcpu_state *)obj)->fixed) ? 0 : -EINVAL;
}

static int vcpu_state_load(void *obj)
{
	struct arm_vcpu_state *s = obj;
	struct arm_psci *psci = s->vcpu->vm->arch->psci;
	struct kvm_mp_state mp = { .mp_state = s->mp_state };
	int ret = reg_set_put(s->vcpu, &s->fixed);

	if (!ret)
		ret = reg_set_put(s->vcpu, &s->clocks);
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

static const struct state_field fields[] = {
	REG_SET_STATE(struct arm_vcpu_state, fixed),
	REG_SET_CLOCK(struct arm_vcpu_state, clocks),
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
