/* SPDX-License-Identifier: MIT */
/*
 * vcpus at reset (Intel SDM volume 3, 10.1). KVM creates a vcpu in its reset state, so that state
 * is kept and put back: a rebooted guest finds what it found the first time. KVM delivers INIT and
 * SIPI itself: secondary vcpus wait for them.
 */
#include <stdlib.h>

#include "boot.h"
#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define MAX_MSRS 256 /* what one KVM_GET_MSRS takes */

#define MSR_TSC		  0x10
#define MSR_TSC_ADJUST	  0x3b
#define MSR_MTRR_PHYSBASE 0x200 /* eight pairs */
#define MSR_MTRR_DEFTYPE  0x2ff

/* Registers of one vcpu as KVM created them. */
struct x86_reset_state {
	bool used; /* the vcpu may have run since */
	bool has_lapic;
	bool has_nested;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	u8 *xsave;
	struct kvm_msrs *msrs;
	struct kvm_nested_state nested; /* outside of nested guests there is no more than this */
};

/* MSRs that a reset leaves alone: the clock runs on, or a guest cannot change them. */
static bool skip_msr(u32 index)
{
	switch (index) {
	case MSR_TSC: /* see reset_tsc */
	case MSR_TSC_ADJUST:
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
	if (list->nmsrs == MAX_MSRS)
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

int x86_reset_init(struct vm *vm)
{
	struct kvm_msr_list probe = { 0 }, *all = NULL, *list;
	int ret = xioctl(vm->kvm.sys_fd, KVM_GET_MSR_INDEX_LIST, &probe);

	list = xcalloc(1, sizeof(*list) + MAX_MSRS * sizeof(list->indices[0]));
	if (ret == -E2BIG) {
		all = xcalloc(1, sizeof(*all) + probe.nmsrs * sizeof(all->indices[0]));
		all->nmsrs = probe.nmsrs;
		ret = xioctl(vm->kvm.sys_fd, KVM_GET_MSR_INDEX_LIST, all);
	}
	if (ret < 0) {
		err("KVM_GET_MSR_INDEX_LIST: %s", strerror(-ret));
		free(all);
		free(list);
		return ret;
	}
	add_mtrrs(list);
	for (u32 i = 0; all && i < all->nmsrs; i++)
		if (!skip_msr(all->indices[i]) && !add_msr(list, all->indices[i]))
			debug("MSR 0x%x: no room to reset it", all->indices[i]);
	free(all);
	vm->arch->reset_msrs = list;
	return 0;
}

void x86_reset_destroy(struct vm *vm)
{
	if (!vm->arch)
		return;
	free(vm->arch->reset_msrs);
	vm->arch->reset_msrs = NULL;
}

static int vcpu_ioctl(const struct vcpu *vcpu, unsigned long request, void *arg, const char *name)
{
	int ret = xioctl(vcpu->fd, request, arg);

	if (ret < 0)
		err("vcpu %u: %s: %s", vcpu->id, name, strerror(-ret));
	return ret < 0 ? ret : 0;
}
#define VCPU_IOCTL(vcpu, request, arg) vcpu_ioctl(vcpu, request, arg, #request)

/*
 * KVM_GET_MSRS and KVM_SET_MSRS stop at the first MSR that KVM does not take. Leave it out and try
 * again: the list is short and this happens at most once for each.
 */
static int transfer_msrs(const struct vcpu *vcpu, unsigned long request, const char *name,
			 struct kvm_msrs *msrs, struct kvm_msr_list *list)
{
	while (msrs->nmsrs) {
		int done = xioctl(vcpu->fd, request, msrs);

		if (done < 0) {
			err("vcpu %u: %s: %s", vcpu->id, name, strerror(-done));
			return done;
		}
		if ((u32)done >= msrs->nmsrs)
			break;
		debug("vcpu %u: %s: MSR 0x%x is left alone", vcpu->id, name,
		      msrs->entries[done].index);
		msrs->nmsrs--;
		memmove(&msrs->entries[done], &msrs->entries[done + 1],
			(msrs->nmsrs - (u32)done) * sizeof(msrs->entries[0]));
		if (list) {
			list->nmsrs--;
			memmove(&list->indices[done], &list->indices[done + 1],
				(list->nmsrs - (u32)done) * sizeof(list->indices[0]));
		}
	}
	return 0;
}

static int capture_msrs(const struct vcpu *vcpu, struct x86_reset_state *s)
{
	struct kvm_msr_list *list = vcpu->vm->arch->reset_msrs;

	s->msrs = xcalloc(1, sizeof(*s->msrs) + list->nmsrs * sizeof(s->msrs->entries[0]));
	s->msrs->nmsrs = list->nmsrs;
	for (u32 i = 0; i < list->nmsrs; i++)
		s->msrs->entries[i].index = list->indices[i];
	/* What the first vcpu cannot read, the others do not try. */
	return transfer_msrs(vcpu, KVM_GET_MSRS, "KVM_GET_MSRS", s->msrs, list);
}

/*
 * The initial state of x87 and SSE; everything else is initial where the header's mask has no bit
 * (Intel SDM volume 1, 13.4 and table 10-2). The size is what KVM copies.
 */
static void make_xsave(const struct vcpu *vcpu, struct x86_reset_state *s)
{
	int size = kvm_check_cap(&vcpu->vm->kvm, KVM_CAP_XSAVE2);

	s->xsave = xcalloc(1, MAX((size_t)size, sizeof(struct kvm_xsave)));
	put_le(s->xsave + 0, 2, 0x37f);	  /* FCW */
	put_le(s->xsave + 24, 4, 0x1f80); /* MXCSR */
	put_le(s->xsave + 512, 8, 3);	  /* XSTATE_BV: x87 and SSE */
}

int x86_reset_capture(struct vcpu *vcpu)
{
	struct x86_reset_state *s = xcalloc(1, sizeof(*s));
	const struct kvm *kvm = &vcpu->vm->kvm;
	int ret;

	vcpu->arch->reset = s;
	ret = VCPU_IOCTL(vcpu, KVM_GET_REGS, &s->regs);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_GET_SREGS, &s->sregs);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_GET_DEBUGREGS, &s->debugregs);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_GET_VCPU_EVENTS, &s->events);
	if (!ret)
		ret = capture_msrs(vcpu, s);
	if (ret)
		return ret;
	make_xsave(vcpu, s);
	/* Without an irqchip in the kernel there is no LAPIC either. */
	s->has_lapic = !xioctl(vcpu->fd, KVM_GET_LAPIC, &s->lapic);
	s->nested.size = sizeof(s->nested);
	s->has_nested = kvm_check_cap(kvm, KVM_CAP_NESTED_STATE) > 0 &&
			!xioctl(vcpu->fd, KVM_GET_NESTED_STATE, &s->nested);
	return 0;
}

void x86_reset_release(struct vcpu *vcpu)
{
	struct x86_reset_state *s = vcpu->arch ? vcpu->arch->reset : NULL;

	if (!s)
		return;
	free(s->msrs);
	free(s->xsave);
	free(s);
	vcpu->arch->reset = NULL;
}

/*
 * The TSC keeps counting, in step on all vcpus; but what the guest itself added to it (KVM sums
 * that up in IA32_TSC_ADJUST) is taken away again.
 */
static int reset_tsc(const struct vcpu *vcpu)
{
	union {
		struct kvm_msrs msrs;
		u8 room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} m = { .room = { 0 } };
	struct kvm_msr_entry *adjust = m.msrs.entries;
	u64 offset;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	m.msrs.nmsrs = 1;
	adjust->index = MSR_TSC_ADJUST;
	if (xioctl(vcpu->fd, KVM_GET_MSRS, &m) != 1 || !adjust->data)
		return 0;
	if (!xioctl(vcpu->fd, KVM_GET_DEVICE_ATTR, &attr)) {
		int ret;

		offset -= adjust->data;
		ret = VCPU_IOCTL(vcpu, KVM_SET_DEVICE_ATTR, &attr);
		if (ret)
			return ret;
	}
	adjust->data = 0;
	return xioctl(vcpu->fd, KVM_SET_MSRS, &m) == 1 ? 0 : -EIO;
}

/* Everything but the registers that depend on the entry. */
static int restore(const struct vcpu *vcpu, struct x86_reset_state *s)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = 1 } } };
	struct kvm_mp_state mp = { .mp_state = vcpu->id ? KVM_MP_STATE_UNINITIALIZED
							: KVM_MP_STATE_RUNNABLE };
	int ret = VCPU_IOCTL(vcpu, KVM_SET_XSAVE, s->xsave);

	if (!ret && kvm_check_cap(&vcpu->vm->kvm, KVM_CAP_XCRS))
		ret = VCPU_IOCTL(vcpu, KVM_SET_XCRS, &xcrs);
	if (!ret)
		ret = transfer_msrs(vcpu, KVM_SET_MSRS, "KVM_SET_MSRS", s->msrs, NULL);
	if (!ret)
		ret = reset_tsc(vcpu);
	/* After IA32_APIC_BASE, which KVM_SET_SREGS wrote: the mode gives the registers meaning. */
	if (!ret && s->has_lapic)
		ret = VCPU_IOCTL(vcpu, KVM_SET_LAPIC, &s->lapic);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_SET_DEBUGREGS, &s->debugregs);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_SET_VCPU_EVENTS, &s->events);
	if (!ret && s->has_lapic)
		ret = VCPU_IOCTL(vcpu, KVM_SET_MP_STATE, &mp);
	return ret;
}

int arch_vcpu_reset(struct vcpu *vcpu)
{
	struct x86_reset_state *s = vcpu->arch->reset;
	struct kvm_sregs sregs = s->sregs;
	struct kvm_regs regs = s->regs;
	int ret = 0;

	if (vcpu->id == 0)
		x86_entry_registers(&vcpu->vm->arch->entry, &sregs, &regs);
	/* First of all out of VMX operation: it forbids to clear CR4.VMXE. */
	if (s->used && s->has_nested)
		ret = VCPU_IOCTL(vcpu, KVM_SET_NESTED_STATE, &s->nested);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_SET_SREGS, &sregs);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_SET_REGS, &regs);
	if (!ret && s->used)
		ret = restore(vcpu, s);
	s->used = true;
	return ret;
}
