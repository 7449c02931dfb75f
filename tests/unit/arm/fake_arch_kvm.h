/* SPDX-License-Identifier: MIT */
/* For fake_host.h: arm64's KVM, which answers as told. */
enum { FD_VCPU = FD_ARCH, FD_GIC, FD_REALM };

static void fake_arch_setup(struct fake *f)
{
	f->arch.gicv4 = -1;
	put(f, "/proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd4f\n");
}

static int fake_create_device(struct fake *f, struct kvm_create_device *dev)
{
	if (!(f->arch.devices & BIT(dev->type)))
		return -ENODEV;
	if (dev->flags & KVM_CREATE_DEVICE_TEST)
		return 0;
	/* The only one that may be made. */
	assert_int_equal(dev->type, KVM_DEV_TYPE_ARM_VGIC_V3);
	f->opened++;
	dev->fd = FD_GIC;
	return 0;
}

static int fake_vm_ioctl(struct fake *f, unsigned long request, unsigned long arg)
{
	const struct kvm_device_attr *attr = (const struct kvm_device_attr *)arg;
	const struct reg_mask_range *range = (const struct reg_mask_range *)arg;

	switch (request) {
	case KVM_CREATE_DEVICE:
		return fake_create_device(f, (struct kvm_create_device *)arg);
	case KVM_ENABLE_CAP:
		assert_int_equal(((struct kvm_enable_cap *)arg)->cap, KVM_CAP_ARM_MTE);
		f->arch.mte = true;
		return 0;
	case KVM_CREATE_VCPU:
		/* Later it would be refused. */
		assert_int_equal(f->arch.mte, f->vm_caps[KVM_CAP_ARM_MTE]);
		assert_int_equal(arg, 0);
		f->opened += f->arch.create_vcpu >= 0;
		return f->arch.create_vcpu < 0 ? f->arch.create_vcpu : FD_VCPU;
	case KVM_ARM_PREFERRED_TARGET:
		((struct kvm_vcpu_init *)arg)->target = 5;
		return 0;
	case KVM_HAS_DEVICE_ATTR:
		assert_true(attr->group == 0 && attr->attr == 0);
		return f->arch.smccc ? 0 : -ENXIO;
	case KVM_ARM_GET_REG_WRITABLE_MASKS:
		assert_int_equal(range->range, 0);
		memcpy((void *)(uintptr_t)range->addr, f->arch.regs.writable,
		       sizeof(f->arch.regs.writable));
		return 0;
	}
	fail_msg("the VM was asked 0x%lx", request);
	return -ENOTTY;
}

/* realm_caps says which numbers answer to it. */
static int fake_realm_ioctl(struct fake *f, unsigned long request, unsigned long arg)
{
	const struct kvm_enable_cap *enable = (const struct kvm_enable_cap *)arg;

	if (request == KVM_ENABLE_CAP) {
		assert_int_equal(enable->args[0], 0);
		return enable->cap == f->arch.realm_rme ? 0 : -EINVAL;
	}
	assert_int_equal(request, KVM_CHECK_EXTENSION);
	return arg < ARRAY_SIZE(f->arch.realm_caps) ? f->arch.realm_caps[arg] : 0;
}

static int fake_create_realm(struct fake *f, unsigned long type)
{
	assert_int_equal(type & 0xff, 33);
	if ((type & ~0xffUL) != f->arch.realm_type)
		return -EINVAL;
	f->opened += f->arch.create_realm >= 0;
	return f->arch.create_realm < 0 ? f->arch.create_realm : FD_REALM;
}

static int fake_get_reg(const struct fake *f, const struct kvm_one_reg *reg)
{
	u64 *value = (u64 *)(uintptr_t)reg->addr;

	if (reg->id == KVM_REG_ARM64_SVE_VLS) {
		assert_true(f->arch.features & BIT(KVM_ARM_VCPU_SVE) && !f->arch.finalized);
		memset(value, 0, 64);
		*value = f->arch.vls;
		return 0;
	}
	if (f->arch.features & BIT(KVM_ARM_VCPU_SVE))
		assert_true(f->arch.finalized);
	if (reg->id == ARM64_SYS_REG(3, 3, 9, 12, 0)) {
		*value = f->arch.pmcr;
		return 0;
	}
	for (u32 r = 0; r < ARM_NR_ID_REGS; r++) {
		if (reg->id == arm_id_reg(r)) {
			*value = f->arch.regs.value[r];
			return 0;
		}
	}
	return -ENOENT;
}

static int fake_arch_ioctl(struct fake *f, int fd, unsigned long request, unsigned long arg)
{
	const struct kvm_vcpu_init *init = (const struct kvm_vcpu_init *)arg;
	const struct kvm_device_attr *attr = (const struct kvm_device_attr *)arg;

	if (fd == FD_VM)
		return fake_vm_ioctl(f, request, arg);
	if (fd == FD_KVM) {
		assert_int_equal(request, KVM_CREATE_VM);
		return fake_create_realm(f, arg);
	}
	if (fd == FD_REALM)
		return fake_realm_ioctl(f, request, arg);
	if (fd == FD_GIC) {
		assert_int_equal(request, KVM_GET_DEVICE_ATTR);
		assert_true(attr->group == 4 && attr->attr == 5);
		*(u8 *)(uintptr_t)attr->addr = (u8)f->arch.gicv4;
		return f->arch.gicv4 < 0 ? -ENXIO : 0;
	}
	assert_int_equal(fd, FD_VCPU);
	switch (request) {
	case KVM_ARM_VCPU_INIT:
		assert_int_equal(init->target, 5);
		f->arch.features = init->features[0];
		f->arch.finalized = false;
		return 0;
	case KVM_ARM_VCPU_FINALIZE:
		assert_int_equal(*(int *)arg, KVM_ARM_VCPU_SVE);
		f->arch.finalized = true;
		return 0;
	case KVM_GET_ONE_REG:
		return fake_get_reg(f, (const struct kvm_one_reg *)arg);
	}
	fail_msg("the vcpu was asked 0x%lx", request);
	return -ENOTTY;
}
