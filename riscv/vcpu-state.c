/* SPDX-License-Identifier: MIT */
/*
 * Saving and loading a vcpu (see include/lkvm/state.h): every register that KVM lists, by its id
 * (Linux Documentation/virt/kvm/api.rst, 4.68 and 4.84), and whether it is on (4.39).
 */
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/console.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/reg-set.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "riscv.h"

#define TIME	RISCV_TIMER_REG(KVM_REG_RISCV_TIMER_REG(time))
#define COMPARE RISCV_TIMER_REG(KVM_REG_RISCV_TIMER_REG(compare))
#define STATE	RISCV_TIMER_REG(KVM_REG_RISCV_TIMER_REG(state))
#define SIP	RISCV_CSR_REG(RISCV_CSR_SIP)

#define SIP_STIP BIT_ULL(5) /* The RISC-V Instruction Set Manual Volume II, 12.1.3 */

struct riscv_vcpu_state {
	struct vcpu *vcpu;
	struct reg_set fixed;  /* stand while the vcpu does */
	struct reg_set clock;  /* the counter, which is one for all vcpus */
	struct reg_set timing; /* go by it: what the timer waits for, and what is pending */
	bool doubles;
	u32 mp_state;
	bool asleep;
};

/* Without Sstc the timer is KVM's, and may go off at any time: then it is pending. Switched on, it
 * goes off at once, since KVM takes the 1 for a time (Linux arch/riscv/kvm/vcpu_timer.c, state):
 * the guest looks at the clock too early then, and no tick of its own is lost. */
static struct reg_set *set_of(void *opaque, u64 id)
{
	struct riscv_vcpu_state *s = opaque;

	if (id == TIME)
		return &s->clock;
	if (id == COMPARE || id == STATE || id == SIP)
		return &s->timing;
	/* These are halves of the others. */
	if (s->doubles && (id & KVM_REG_RISCV_TYPE_MASK) == KVM_REG_RISCV_FP_F)
		return NULL;
	return &s->fixed;
}

void arch_vcpu_state_free(void *state)
{
	struct riscv_vcpu_state *s = state;

	reg_set_free(&s->fixed);
	reg_set_free(&s->clock);
	reg_set_free(&s->timing);
	free(s);
}

int arch_vcpu_state_new(struct vcpu *vcpu, void **out)
{
	struct riscv_vcpu_state *s = xcalloc(1, sizeof(*s));
	u64 value;
	int ret;

	s->vcpu = vcpu;
	s->doubles = !vcpu_get_reg(vcpu, RISCV_REG(KVM_REG_RISCV_FP_D, 0), &value);
	ret = reg_sets_list(vcpu, set_of, s);
	if (ret) {
		arch_vcpu_state_free(s);
		return ret;
	}
	*out = s;
	return 0;
}

/* What it has while it is asleep is not what it will go on with. */
static int show_resume(struct vcpu *vcpu)
{
	return vcpu->asleep && vcpu->arch->resume_pending ? riscv_vcpu_set_resume(vcpu) : 0;
}

static int vcpu_state_save(void *obj)
{
	struct riscv_vcpu_state *s = obj;
	struct kvm_mp_state mp;
	int ret = show_resume(s->vcpu);

	if (!ret)
		ret = reg_set_get(s->vcpu, &s->fixed);
	if (!ret)
		ret = reg_set_get(s->vcpu, &s->clock);
	if (!ret)
		ret = reg_set_get(s->vcpu, &s->timing);
	if (ret)
		return ret;
	ret = xioctl(s->vcpu->fd, KVM_GET_MP_STATE, &mp);
	if (ret < 0) {
		err("vcpu %u: KVM_GET_MP_STATE: %s", s->vcpu->id, strerror(-ret));
		return ret;
	}
	s->mp_state = mp.mp_state;
	s->asleep = vcpu_sleeps(s->vcpu);
	return 0;
}

static int vcpu_state_check(const void *obj)
{
	const struct riscv_vcpu_state *s = obj;

	return reg_set_is_own(&s->fixed) ? 0 : -EINVAL;
}

/*
 * A timer of KVM's that had gone off is pending for the guest, but KVM, which knows nothing of it
 * now, would let the vcpu sleep. Started, it goes off again at once.
 */
static int repeat_timer(struct riscv_vcpu_state *s)
{
	u64 on = KVM_RISCV_TIMER_STATE_ON;

	if (!(riscv_get(s->vcpu, SIP) & SIP_STIP))
		return 0;
	return vcpu_set_reg(s->vcpu, STATE, &on);
}

/* It waits at the gate as before, but with nothing that KVM would still do to it. */
static void load_sleep(struct vcpu *vcpu, bool asleep)
{
	struct console_firmware *con;

	vcpu->arch->resume_pending = false;
	if (asleep == vcpu_sleeps(vcpu))
		return;
	vm_set_asleep(vcpu, asleep);
	con = vcpu->vm->firmware_console;
	if (asleep && con)
		console_firmware_await_key(con);
}

static int vcpu_state_load(void *obj)
{
	struct riscv_vcpu_state *s = obj;
	struct kvm_mp_state mp = { .mp_state = s->mp_state };
	int ret;

	if (s->vcpu->asleep && s->vcpu->arch->resume_pending) {
		err("vcpu %u: the guest sleeps: KVM would change what is loaded", s->vcpu->id);
		return -EBUSY;
	}
	ret = reg_set_put(s->vcpu, &s->clock);

	/* What the timer waits for counts from now on. */
	if (!ret)
		ret = reg_set_put(s->vcpu, &s->fixed);
	if (!ret)
		ret = reg_set_put(s->vcpu, &s->timing);
	if (ret)
		return ret;
	ret = repeat_timer(s);
	if (!ret)
		ret = xioctl(s->vcpu->fd, KVM_SET_MP_STATE, &mp);
	if (ret < 0)
		err("vcpu %u: cannot set its state: %s", s->vcpu->id, strerror(-ret));
	else
		load_sleep(s->vcpu, s->asleep);
	return MIN(ret, 0);
}

static const struct state_field fields[] = {
	REG_SET_STATE(struct riscv_vcpu_state, fixed),
	REG_SET_CLOCK(struct riscv_vcpu_state, clock),
	REG_SET_CLOCK(struct riscv_vcpu_state, timing),
	STATE_VALUE(struct riscv_vcpu_state, mp_state),
	STATE_BOOL(struct riscv_vcpu_state, asleep),
};

const struct device_state arch_vcpu_state = {
	.version = 1,
	STATE_TABLE(fields),
	.save = vcpu_state_save,
	.check = vcpu_state_check,
	.load = vcpu_state_load,
};
