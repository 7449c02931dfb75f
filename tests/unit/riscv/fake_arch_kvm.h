/* SPDX-License-Identifier: MIT */
/* For fake_host.h: riscv64's KVM, which answers as told. */
enum { FD_VCPU = FD_ARCH, FD_AIA };

static void fake_arch_setup(struct fake *f)
{
	f->arch.create_aia = -ENODEV;
	f->arch.fewer_bits = f->arch.mp_reset = -EINVAL;
	put(f, "/proc/cpuinfo",
	    "processor\t: 0\nhart\t\t: 0\nisa\t\t: rv64imafdch_zicsr_sstc\nmvendorid\t: 0x5b7\n"
	    "marchid\t\t: 0x10\n");
}

static int fake_vm_ioctl(struct fake *f, unsigned long request, unsigned long arg)
{
	const struct kvm_enable_cap *cap = (const struct kvm_enable_cap *)arg;
	struct kvm_create_device *dev = (struct kvm_create_device *)arg;

	switch (request) {
	case KVM_ENABLE_CAP:
		if (cap->cap == KVM_CAP_RISCV_MP_STATE_RESET)
			return f->arch.mp_reset;
		/* Nothing is to change, and a vcpu would be in the way. */
		assert_int_equal(cap->cap, KVM_CAP_VM_GPA_BITS);
		assert_int_equal(cap->args[0], f->vm_caps[KVM_CAP_VM_GPA_BITS]);
		assert_false(f->arch.has_vcpu);
		return f->arch.fewer_bits;
	case KVM_CREATE_VCPU:
		assert_int_equal(arg, 0);
		f->opened += f->arch.create_vcpu >= 0;
		f->arch.has_vcpu = true;
		f->arch.was = f->arch.on;
		return f->arch.create_vcpu < 0 ? f->arch.create_vcpu : FD_VCPU;
	case KVM_CREATE_DEVICE:
		if (dev->type != KVM_DEV_TYPE_RISCV_AIA)
			return -ENODEV;
		if (f->arch.create_aia)
			return f->arch.create_aia;
		f->opened++;
		dev->fd = FD_AIA;
		return 0;
	}
	fail_msg("the VM was asked 0x%lx", request);
	return -ENOTTY;
}

static int fake_one_reg(struct fake *f, bool set, const struct kvm_one_reg *reg)
{
	u64 *value = (u64 *)(uintptr_t)reg->addr, n = reg->id & 0xffff;

	switch (reg->id - n) {
	case 0x8030000007000000:
		if (!riscv_ext_in(&f->arch.there, (u32)n))
			return -ENOENT;
		if (!set)
			*value = riscv_ext_in(&f->arch.on, (u32)n);
		else if (*value == riscv_ext_in(&f->arch.on, (u32)n))
			return 0;
		else if (!riscv_ext_in(&f->arch.can, (u32)n))
			return -EINVAL;
		else
			riscv_ext_put(&f->arch.on, (u32)n, *value);
		return 0;
	case 0x8030000008000000:
		assert_false(set);
		*value = 1;
		return f->arch.sbi >> n & 1 ? 0 : -ENOENT;
	case 0x8030000001000000:
		assert_false(set || n != 6);
		*value = f->arch.satp_mode;
		return *value ? 0 : -ENOENT;
	case 0x8030000004000000:
		assert_false(set || n != 0);
		*value = f->arch.timebase;
		return *value ? 0 : -ENOENT;
	}
	fail_msg("register 0x%llx", (unsigned long long)reg->id);
	return -ENOENT;
}

static int fake_arch_ioctl(struct fake *f, int fd, unsigned long request, unsigned long arg)
{
	const struct kvm_device_attr *attr = (const struct kvm_device_attr *)arg;

	if (fd == FD_VM)
		return fake_vm_ioctl(f, request, arg);
	if (fd == FD_AIA) {
		assert_int_equal(request, KVM_GET_DEVICE_ATTR);
		assert_true(attr->group == 0 && attr->attr <= 1);
		*(u32 *)(uintptr_t)attr->addr = attr->attr ? f->arch.aia_ids : f->arch.aia_mode;
		return f->arch.aia_attr;
	}
	assert_int_equal(fd, FD_VCPU);
	assert_true(request == KVM_GET_ONE_REG || request == KVM_SET_ONE_REG);
	return fake_one_reg(f, request == KVM_SET_ONE_REG, (const struct kvm_one_reg *)arg);
}
