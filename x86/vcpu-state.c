/* SPDX-License-Identifier: MIT */
/*
 * A vcpu's registers as KVM gives and takes them (Linux Documentation/virt/kvm/api.rst): what a
 * reset puts back and what is saved is the same. (Their names are in fields.c.)
 */
#include "vcpu-state.h"

#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "x86.h"

#define MSR_MTRR_PHYSBASE 0x200 /* eight pairs */
#define MSR_MTRR_DEFTYPE  0x2ff

/* MSRs that are not in the list: the clock and its timer are apart, others a guest cannot change.
 */
static bool skip_msr(u32 index)
{
	switch (index) {
	case MSR_TSC: /* see x86_state_set_clock, and reset_tsc in reset.c */
	case MSR_TSC_ADJUST:
	case MSR_TSC_DEADLINE:
	case 0x8b:			/* IA32_BIOS_SIGN_ID */
	case 0xce:			/* PLATFORM_INFO */
	case 0xfe:			/* IA32_MTRRCAP */
	case 0x10a:			/* IA32_ARCH_CAPABILITIES */
	case 0x345:			/* IA32_PERF_CAPABILITIES */
	case 0x480 ... 0x493:		/* IA32_VMX_*: capabilities */
	case 0x40000000 ... 0x400001ff: /* Hyper-V: not offered */
		return true;
	}
	return false;
}

static bool add_msr(struct kvm_msr_list *list, u32 index)
{
	for (u32 i = 0; i < list->nmsrs; i++)
		if (list->indices[i] == index)
			return true;
	if (list->nmsrs == X86_MAX_MSRS)
		return false;
	list->indices[list->nmsrs++] = index;
	return true;
}

/* KVM's list leaves the MTRRs out before Linux 6.5. */
static void add_mtrrs(struct kvm_msr_list *list)
{
	static const u16 fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
				     0x26b, 0x26c, 0x26d, 0x26e, 0x26f };

	add_msr(list, MSR_MTRR_DEFTYPE);
	for (u32 i = 0; i < 16; i++)
		add_msr(list, MSR_MTRR_PHYSBASE + i);
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		add_msr(list, fixed[i]);
}

void x86_state_destroy(struct vm *vm)
{
	if (!vm->arch)
		return;
	free(vm->arch->msrs);
	vm->arch->msrs = NULL;
}

int x86_vcpu_ioctl(const struct vcpu *vcpu, unsigned long request, void *arg, const char *name)
{
	int ret = xioctl(vcpu->fd, request, arg);

	if (ret < 0)
		err("vcpu %u: %s: %s", vcpu->id, name, strerror(-ret));
	return ret < 0 ? ret : 0;
}

static void leave_out(struct kvm_msrs *msrs, struct kvm_msr_list *list, u32 i)
{
	msrs->nmsrs--;
	memmove(&msrs->entries[i], &msrs->entries[i + 1],
		(msrs->nmsrs - i) * sizeof(msrs->entries[0]));
	if (!list)
		return;
	list->nmsrs--;
	memmove(&list->indices[i], &list->indices[i + 1],
		(list->nmsrs - i) * sizeof(list->indices[0]));
}

/*
 * KVM_GET_MSRS and KVM_SET_MSRS stop at the first MSR that KVM does not take. If @refused allows
 * it, leave it out and try again: the list is short and this happens at most once for each.
 */
static int transfer_msrs(const struct vcpu *vcpu, unsigned long request, const char *name,
			 struct kvm_msrs *msrs, struct kvm_msr_list *list,
			 int (*refused)(const struct vcpu *, const struct kvm_msr_entry *))
{
	while (msrs->nmsrs) {
		int done = xioctl(vcpu->fd, request, msrs);

		if (done < 0) {
			err("vcpu %u: %s: %s", vcpu->id, name, strerror(-done));
			return done;
		}
		if ((u32)done >= msrs->nmsrs)
			break;
		if (refused) {
			int ret = refused(vcpu, &msrs->entries[done]);

			if (ret)
				return ret;
		}
		debug("vcpu %u: %s: MSR 0x%x is left alone", vcpu->id, name,
		      msrs->entries[done].index);
		leave_out(msrs, list, (u32)done);
	}
	return 0;
}

static struct kvm_msrs *msrs_of(const struct kvm_msr_list *list)
{
	struct kvm_msrs *msrs = xcalloc(1, sizeof(*msrs) + X86_MAX_MSRS * sizeof(msrs->entries[0]));

	msrs->nmsrs = list->nmsrs;
	for (u32 i = 0; i < list->nmsrs; i++)
		msrs->entries[i].index = list->indices[i];
	return msrs;
}

static struct kvm_msr_list *new_list(u32 room)
{
	struct kvm_msr_list *list = xcalloc(1, sizeof(*list) + room * sizeof(list->indices[0]));

	list->nmsrs = room;
	return list;
}

/* All that KVM has, as it lists them; it says how many when they are more than there is room. */
static int list_msrs(const struct kvm *kvm, struct kvm_msr_list **out)
{
	struct kvm_msr_list *all = new_list(X86_MAX_MSRS);
	int ret = xioctl(kvm->sys_fd, KVM_GET_MSR_INDEX_LIST, all);

	if (ret == -E2BIG) {
		u32 room = all->nmsrs;

		free(all);
		all = new_list(room);
		ret = xioctl(kvm->sys_fd, KVM_GET_MSR_INDEX_LIST, all);
	}
	if (ret < 0) {
		err("cannot list the MSRs: KVM_GET_MSR_INDEX_LIST: %s", strerror(-ret));
		free(all);
		return ret;
	}
	*out = all;
	return 0;
}

int x86_state_msrs(const struct vcpu *vcpu)
{
	struct arch_vm *arch = vcpu->vm->arch;
	struct kvm_msr_list *all, *list;
	struct kvm_msrs *msrs;
	int ret;

	if (arch->msrs)
		return 0;
	ret = list_msrs(&vcpu->vm->kvm, &all);
	if (ret)
		return ret;
	list = new_list(X86_MAX_MSRS);
	list->nmsrs = 0;
	add_mtrrs(list);
	for (u32 i = 0; i < all->nmsrs; i++)
		if (!skip_msr(all->indices[i]) && !add_msr(list, all->indices[i]))
			debug("MSR 0x%x: no room to keep it", all->indices[i]);
	free(all);
	msrs = msrs_of(list);
	ret = transfer_msrs(vcpu, KVM_GET_MSRS, "KVM_GET_MSRS", msrs, list, NULL);
	free(msrs);
	if (ret)
		free(list);
	else
		arch->msrs = list;
	return ret;
}

static int get_msrs(const struct vcpu *vcpu, struct x86_vcpu_state *s)
{
	const struct kvm_msr_list *list = vcpu->vm->arch->msrs;
	struct kvm_msrs *msrs = msrs_of(list);
	int ret = transfer_msrs(vcpu, KVM_GET_MSRS, "KVM_GET_MSRS", msrs, NULL, NULL);

	s->nr_msrs = msrs->nmsrs;
	for (u32 i = 0; i < s->nr_msrs; i++) {
		s->msr_index[i] = msrs->entries[i].index;
		s->msr_value[i] = msrs->entries[i].data;
	}
	free(msrs);
	return ret;
}

bool x86_transfer_msr(const struct vcpu *vcpu, unsigned long request, u32 index, u64 *value)
{
	union {
		struct kvm_msrs msrs;
		u8 room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} m = { .room = { 0 } };
	int ret;

	m.msrs.nmsrs = 1;
	m.msrs.entries[0].index = index;
	m.msrs.entries[0].data = *value;
	ret = xioctl(vcpu->fd, request, &m);
	*value = m.msrs.entries[0].data;
	return ret == 1;
}

/* What cannot be written is what the vcpu was built with: then it must be the same. One that cannot
 * be read was saved as 0. */
static int must_be_same(const struct vcpu *vcpu, const struct kvm_msr_entry *e)
{
	u64 now = 0;

	x86_transfer_msr(vcpu, KVM_GET_MSRS, e->index, &now);
	if (now == e->data)
		return 0;
	err("vcpu %u: MSR 0x%x cannot be set to 0x%llx: KVM refuses it", vcpu->id, e->index,
	    e->data);
	return -EINVAL;
}

static int set_msrs(const struct vcpu *vcpu, const struct x86_vcpu_state *s, bool strict)
{
	struct kvm_msrs *msrs;
	int ret;

	msrs = xcalloc(1, sizeof(*msrs) + X86_MAX_MSRS * sizeof(msrs->entries[0]));
	msrs->nmsrs = s->nr_msrs;
	for (u32 i = 0; i < s->nr_msrs; i++) {
		msrs->entries[i].index = s->msr_index[i];
		msrs->entries[i].data = s->msr_value[i];
	}
	ret = transfer_msrs(vcpu, KVM_SET_MSRS, "KVM_SET_MSRS", msrs, NULL,
			    strict ? must_be_same : NULL);
	free(msrs);
	return ret;
}

static int set_msr(const struct vcpu *vcpu, u32 index, u64 value)
{
	const struct kvm_msr_entry e = { .index = index, .data = value };

	return x86_transfer_msr(vcpu, KVM_SET_MSRS, index, &value) ? 0 : must_be_same(vcpu, &e);
}

int x86_state_set_clock(const struct vcpu *vcpu, const struct x86_vcpu_state *s)
{
	/* KVM takes writes of nearly the same moment to several vcpus for one clock. */
	int ret = set_msr(vcpu, MSR_TSC, s->tsc);

	if (!ret)
		ret = set_msr(vcpu, MSR_TSC_ADJUST, s->tsc_adjust);
	/* KVM drops it where the local APIC's timer is in another mode, and arms the timer by the
	 * clock as it is now. */
	return ret ? ret : set_msr(vcpu, MSR_TSC_DEADLINE, s->tsc_deadline);
}

static int get_xcr0(const struct vcpu *vcpu, struct x86_vcpu_state *s)
{
	struct kvm_xcrs xcrs = { 0 };
	int ret;

	if (kvm_check_cap(&vcpu->vm->kvm, KVM_CAP_XCRS) <= 0)
		return 0;
	ret = VCPU_IOCTL(vcpu, KVM_GET_XCRS, &xcrs);
	for (u32 i = 0; i < xcrs.nr_xcrs && i < KVM_MAX_XCRS && !ret; i++)
		if (!xcrs.xcrs[i].xcr)
			s->xcr0 = xcrs.xcrs[i].value;
	return ret;
}

static void get_optional(const struct vcpu *vcpu, struct x86_vcpu_state *s)
{
	struct kvm_nested_state *nested = (void *)s->nested;
	struct kvm_mp_state mp = { 0 };

	/* Without an irqchip in the kernel there is no LAPIC either. */
	s->has_lapic = !xioctl(vcpu->fd, KVM_GET_LAPIC, &s->lapic);
	if (s->has_lapic && !xioctl(vcpu->fd, KVM_GET_MP_STATE, &mp))
		s->mp_state = mp.mp_state;
	nested->size = sizeof(s->nested);
	s->nested_len = 0;
	if (kvm_check_cap(&vcpu->vm->kvm, KVM_CAP_NESTED_STATE) > 0 &&
	    !xioctl(vcpu->fd, KVM_GET_NESTED_STATE, nested))
		s->nested_len = MIN(nested->size, (u32)sizeof(s->nested));
	x86_transfer_msr(vcpu, KVM_GET_MSRS, MSR_TSC, &s->tsc);
	x86_transfer_msr(vcpu, KVM_GET_MSRS, MSR_TSC_ADJUST, &s->tsc_adjust);
	x86_transfer_msr(vcpu, KVM_GET_MSRS, MSR_TSC_DEADLINE, &s->tsc_deadline);
}

int x86_state_get(const struct vcpu *vcpu, struct x86_vcpu_state *s)
{
	bool xsave2 = kvm_check_cap(&vcpu->vm->kvm, KVM_CAP_XSAVE2) > 0;
	int ret = x86_state_msrs(vcpu);

	if (ret)
		return ret;
	/* The state of the vcpu decides what its events are: KVM settles it in here. */
	get_optional(vcpu, s);
	ret = VCPU_IOCTL(vcpu, KVM_GET_REGS, &s->regs);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_GET_SREGS, &s->sregs);
	if (!ret)
		ret = xsave2 ? VCPU_IOCTL(vcpu, KVM_GET_XSAVE2, s->xsave)
			     : VCPU_IOCTL(vcpu, KVM_GET_XSAVE, s->xsave);
	if (!ret)
		ret = get_xcr0(vcpu, s);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_GET_DEBUGREGS, &s->debugregs);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_GET_VCPU_EVENTS, &s->events);
	return ret ? ret : get_msrs(vcpu, s);
}

int x86_state_set(const struct vcpu *vcpu, const struct x86_vcpu_state *s,
		  const struct kvm_lapic_state *lapic, bool strict)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = s->xcr0 } } };
	struct kvm_mp_state mp = { .mp_state = s->mp_state };
	int ret = VCPU_IOCTL(vcpu, KVM_SET_XSAVE, s->xsave);

	if (!ret && s->xcr0)
		ret = VCPU_IOCTL(vcpu, KVM_SET_XCRS, &xcrs);
	if (!ret)
		ret = set_msrs(vcpu, s, strict);
	/* After IA32_APIC_BASE, which KVM_SET_SREGS wrote: the mode gives the registers meaning. */
	if (!ret && s->has_lapic)
		ret = VCPU_IOCTL(vcpu, KVM_SET_LAPIC, lapic);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_SET_DEBUGREGS, &s->debugregs);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_SET_VCPU_EVENTS, &s->events);
	if (!ret && s->has_lapic)
		ret = VCPU_IOCTL(vcpu, KVM_SET_MP_STATE, &mp);
	return ret;
}

struct x86_vcpu_state *x86_state_new(const struct vcpu *vcpu)
{
	struct x86_vcpu_state *s = xcalloc(1, sizeof(*s));
	int size = kvm_check_cap(&vcpu->vm->kvm, KVM_CAP_XSAVE2);
	const int least = sizeof(struct kvm_xsave);

	s->vcpu = vcpu;
	s->xsave_len = (u32)MAX(size, least);
	s->xsave = xcalloc(1, s->xsave_len);
	return s;
}

void x86_state_free(struct x86_vcpu_state *s)
{
	if (!s)
		return;
	free(s->xsave);
	free(s);
}
