/* SPDX-License-Identifier: MIT */
/* For fake_host.h: x86's KVM, which answers as told. */
static void fake_arch_setup(struct fake *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->arch.sev_attr); i++)
		f->arch.sev_attr[i] = -1;
}

static int get_cpuid(const struct fake *f, struct kvm_cpuid2 *cpuid)
{
	if (cpuid->nent < 200)
		return -E2BIG; /* so that a second try is needed */
	cpuid->nent = f->arch.nr_cpuid;
	memcpy(cpuid->entries, f->arch.cpuid, f->arch.nr_cpuid * sizeof(f->arch.cpuid[0]));
	return 0;
}

static int get_attr(const struct fake *f, const struct kvm_device_attr *attr)
{
	assert_int_equal(attr->group, 1);
	if (f->arch.sev_attr[attr->attr] < 0)
		return -ENXIO;
	*(u64 *)(uintptr_t)attr->addr = (u64)f->arch.sev_attr[attr->attr];
	return 0;
}

static int fake_arch_ioctl(struct fake *f, int fd, unsigned long request, unsigned long arg)
{
	struct kvm_msrs *msrs = (struct kvm_msrs *)arg;

	assert_int_equal(f->arch.vm_type, 0);
	switch (request) {
	case KVM_GET_SUPPORTED_CPUID:
		return get_cpuid(f, (struct kvm_cpuid2 *)arg);
	case KVM_GET_DEVICE_ATTR:
		return get_attr(f, (const struct kvm_device_attr *)arg);
	case KVM_GET_MSRS:
		assert_int_equal(msrs->nmsrs, 1);
		assert_in_range(msrs->entries[0].index, 0x480, 0x493);
		if (msrs->entries[0].index != 0x48b)
			return 0; /* as KVM says of what it does not have */
		msrs->entries[0].data = f->arch.vmx_msr;
		return 1;
	case KVM_GET_TSC_KHZ:
		return f->arch.tsc_khz;
	case KVM_CREATE_DEVICE:
		/* Nothing may be created. */
		assert_int_equal(((struct kvm_create_device *)arg)->flags, KVM_CREATE_DEVICE_TEST);
		return -ENODEV;
	}
	fail_msg("file %d was asked 0x%lx", fd, request);
	return -ENOTTY;
}
