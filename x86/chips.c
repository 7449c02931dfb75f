/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers and timer in KVM, as a VM gets them and as their registers are read and
 * written (Linux Documentation/virt/kvm/api.rst, 4.24 KVM_CREATE_IRQCHIP, 4.71 KVM_CREATE_PIT2, 7.5
 * KVM_CAP_SPLIT_IRQCHIP, 7.7 KVM_CAP_X2APIC_API).
 */
#include "chips.h"

#include "layout.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "platform.h"

static int make_split(struct kvm *kvm)
{
	int ret = kvm_enable_cap(kvm, KVM_CAP_SPLIT_IRQCHIP, X86_IOAPIC_PINS);

	if (ret)
		err("cannot create the split irqchip: %s; this host's KVM may not have it: try "
		    "--irqchip full",
		    strerror(-ret));
	return ret;
}

static int make_full(struct kvm *kvm)
{
	/* Port 0x61 (timer gate, speaker) belongs to the PIT. */
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	int ret = xioctl_val(kvm->vm_fd, KVM_CREATE_IRQCHIP, 0);

	if (ret < 0) {
		err("cannot create the interrupt controllers: KVM_CREATE_IRQCHIP: %s",
		    strerror(-ret));
		return ret;
	}
	ret = xioctl(kvm->vm_fd, KVM_CREATE_PIT2, &pit);
	if (ret < 0)
		err("cannot create the interval timer: KVM_CREATE_PIT2: %s; try --irqchip split, "
		    "which has none",
		    strerror(-ret));
	return MIN(ret, 0);
}

int x86_chips_make(struct kvm *kvm, u32 cpus, bool split, bool *wide_ids)
{
	const u64 x2apic = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
	int ret = kvm_enable_cap(kvm, KVM_CAP_X2APIC_API, x2apic);

	if (ret && cpus > X86_XAPIC_MAX_VCPUS) {
		err("--cpus %u: this host's KVM has no 32-bit APIC ids (KVM_CAP_X2APIC_API: %s); "
		    "the maximum is %u",
		    cpus, strerror(-ret), X86_XAPIC_MAX_VCPUS);
		return ret;
	}
	*wide_ids = !ret;
	return split ? make_split(kvm) : make_full(kvm);
}

int x86_chips_get(const struct kvm *kvm, struct x86_chips *c)
{
	int ret;

	for (u32 i = 0; i < ARRAY_SIZE(c->chips); i++) {
		c->chips[i].chip_id = i;
		ret = xioctl(kvm->vm_fd, KVM_GET_IRQCHIP, &c->chips[i]);
		if (ret < 0) {
			err("KVM_GET_IRQCHIP: %s", strerror(-ret));
			return ret;
		}
	}
	ret = xioctl(kvm->vm_fd, KVM_GET_PIT2, &c->pit);
	if (ret < 0)
		err("KVM_GET_PIT2: %s", strerror(-ret));
	return MIN(ret, 0);
}

int x86_chips_set(const struct kvm *kvm, const struct x86_chips *c)
{
	int ret = 0;

	for (u32 i = 0; i < ARRAY_SIZE(c->chips) && ret >= 0; i++) {
		struct kvm_irqchip chip = c->chips[i];

		chip.chip_id = i;
		ret = xioctl(kvm->vm_fd, KVM_SET_IRQCHIP, &chip);
	}
	if (ret >= 0)
		ret = xioctl(kvm->vm_fd, KVM_SET_PIT2, (void *)&c->pit);
	return MIN(ret, 0);
}
