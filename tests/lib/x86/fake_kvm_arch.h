/* SPDX-License-Identifier: MIT */
/* What only KVM on x86 is asked. */
#ifndef TEST_FAKE_KVM_ARCH_H
#define TEST_FAKE_KVM_ARCH_H

static int fk_arch_check_cap(u32 cap)
{
	switch (cap) {
	case KVM_CAP_MAX_VCPUS:
	case KVM_CAP_NR_VCPUS:
	case KVM_CAP_MAX_VCPU_ID:
		return FK_VCPUS;
	case KVM_CAP_NR_MEMSLOTS:
		return FK_SLOTS;
	case KVM_CAP_IRQ_ROUTING:
		return FK_ROUTES;
	case KVM_CAP_XSAVE2:
	case KVM_CAP_XCRS:
	case KVM_CAP_NESTED_STATE:
	case KVM_CAP_GUEST_MEMFD:
	case KVM_CAP_MEMORY_ATTRIBUTES:
		return 0;
	default:
		return 1;
	}
}

/* Each request that sets, and the one that gets it again. */
static const struct {
	unsigned long get, set;
} fk_pairs[] = {
	{ KVM_GET_REGS, KVM_SET_REGS },
	{ KVM_GET_SREGS, KVM_SET_SREGS },
	{ KVM_GET_XSAVE, KVM_SET_XSAVE },
	{ KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS },
	{ KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS },
	{ KVM_GET_LAPIC, KVM_SET_LAPIC },
	{ KVM_GET_MP_STATE, KVM_SET_MP_STATE },
};

static int fk_arch_vcpu_ioctl(struct fk_vcpu *c, unsigned long request, void *arg)
{
	for (u32 i = 0; i < ARRAY_SIZE(fk_pairs); i++)
		if (request == fk_pairs[i].get || request == fk_pairs[i].set)
			return fk_blob(c, _IOC_NR(fk_pairs[i].get), _IOC_SIZE(fk_pairs[i].get), arg,
				       request == fk_pairs[i].set);
	switch (request) {
	case KVM_SET_CPUID2:
	case KVM_KVMCLOCK_CTRL:
		return 0;
	case KVM_GET_TSC_KHZ:
		return 1000000;
	case KVM_GET_MSRS:
		for (u32 i = 0; i < ((struct kvm_msrs *)arg)->nmsrs; i++)
			((struct kvm_msrs *)arg)->entries[i].data = 0;
		return (int)((struct kvm_msrs *)arg)->nmsrs;
	case KVM_SET_MSRS:
		return (int)((struct kvm_msrs *)arg)->nmsrs;
	default:
		return -EINVAL;
	}
}

static int fk_get_cpuid(struct kvm_cpuid2 *cpuid)
{
	static const struct kvm_cpuid_entry2 entries[] = {
		{ .function = 0, .eax = 1 },
		{ .function = 1, .edx = 1U << 9 },
		{ .function = 0x80000000, .eax = 0x80000008 },
		{ .function = 0x80000008, .eax = 40 },
	};

	if (cpuid->nent < ARRAY_SIZE(entries))
		return -E2BIG;
	cpuid->nent = ARRAY_SIZE(entries);
	memcpy(cpuid->entries, entries, sizeof(entries));
	return 0;
}

/* The routes of the pins come with the chips. */
static int fk_create_irqchip(void)
{
	for (u32 gsi = 0; gsi < 24; gsi++)
		fk.routes[gsi] = (struct kvm_irq_routing_entry){
			.gsi = gsi,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = { KVM_IRQCHIP_IOAPIC, gsi },
		};
	fk.nr_routes = 24;
	return 0;
}

static int fk_arch_vm_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case KVM_GET_SUPPORTED_CPUID:
		return fk_get_cpuid(arg);
	case KVM_GET_MSR_INDEX_LIST:
		((struct kvm_msr_list *)arg)->nmsrs = 0;
		return 0;
	case KVM_SET_IDENTITY_MAP_ADDR:
	case KVM_SET_TSS_ADDR:
	case KVM_CREATE_PIT2:
	case KVM_SET_IRQCHIP:
	case KVM_SET_PIT2:
	case KVM_SET_CLOCK:
		return 0;
	case KVM_CREATE_IRQCHIP:
		return fk_create_irqchip();
	/* Nothing of them changes here. */
	case KVM_GET_IRQCHIP: {
		struct kvm_irqchip *chip = arg;

		memset(&chip->chip, 0, sizeof(chip->chip));
		return 0;
	}
	case KVM_GET_PIT2:
		memset(arg, 0, sizeof(struct kvm_pit_state2));
		return 0;
	case KVM_GET_CLOCK:
		memset(arg, 0, sizeof(struct kvm_clock_data));
		return 0;
	default:
		return -EINVAL;
	}
}

#endif
