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

/* Linux before 4.4 does not know it. */
static int make_split(struct kvm *kvm, bool *split, bool must)
{
	int ret = kvm_enable_cap(kvm, KVM_CAP_SPLIT_IRQCHIP, X86_IOAPIC_PINS);

	if (ret && !must) {
		debug("KVM_CAP_SPLIT_IRQCHIP is not available: %s", strerror(-ret));
		*split = false;
		return 0;
	}
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
		    "whose timer is not KVM's",
		    strerror(-ret));
	return MIN(ret, 0);
}

/*
 * With the split irqchip a guest may keep local APICs from telling the IOAPIC of the end of an
 * interrupt, to write it there itself (SDM volume 3, 11.8.5). KVM says so in any case, and does it
 * where it is told that the IOAPIC has the register for it.
 */
static int enable_x2apic_api(struct kvm *kvm, bool split)
{
	const u64 flags = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
	int ret;

	if (split) {
		ret = kvm_enable_cap(kvm, KVM_CAP_X2APIC_API,
				     flags | KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST);
		if (ret != -EINVAL)
			return ret;
	}
	return kvm_enable_cap(kvm, KVM_CAP_X2APIC_API, flags);
}

int x86_chips_make(struct kvm *kvm, u32 ids, bool *split, bool must, bool *wide_ids)
{
	/* KVM looks at the kind of irqchip when it is told of the ids. */
	int ret = *split ? make_split(kvm, split, must) : 0;

	if (ret)
		return ret;
	ret = enable_x2apic_api(kvm, *split);
	if (ret && ids > X86_XAPIC_MAX_VCPUS) {
		err("--cpus: APIC ids up to %u are needed, and this host's KVM has none of 32 bits "
		    "(KVM_CAP_X2APIC_API: %s); the maximum is %u vcpus",
		    ids - 1, strerror(-ret), X86_XAPIC_MAX_VCPUS);
		return ret;
	}
	*wide_ids = !ret;
	return *split ? 0 : make_full(kvm);
}

int x86_chips_get(const struct kvm *kvm, struct x86_chips *c)
{
	int ret;

	for (u32 i = 0; i < ARRAY_SIZE(c->chips); i++) {
		c->chips[i].chip_id = i;
		ret = xioctl(kvm->vm_fd, KVM_GET_IRQCHIP, &c->chips[i]);
		if (ret < 0) {
			err("cannot read the interrupt controllers: KVM_GET_IRQCHIP: %s",
			    strerror(-ret));
			return ret;
		}
	}
	ret = xioctl(kvm->vm_fd, KVM_GET_PIT2, &c->pit);
	if (ret < 0)
		err("cannot read the interval timer: KVM_GET_PIT2: %s", strerror(-ret));
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
