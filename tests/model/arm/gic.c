/* SPDX-License-Identifier: MIT */
/*
 * A GICv3 and an ITS (Linux devices/arm-vgic-v3.rst, arm-vgic-its.rst): addresses, the number of
 * interrupts, the end of the setup; registers are words that are kept. There is no GICv2.
 */
#include <stdlib.h>

#include "arm.h"

#define NOWHERE	  (~0ULL)
#define ALIGN_64K 0xffffULL
#define DIST_SIZE 0x10000ULL
#define CPU_SIZE  0x20000ULL
#define ITS_SIZE  0x20000ULL
#define MAX_REGS  4096

struct gic_state {
	struct {
		u32 group;
		u64 attr, value;
	} regs[MAX_REGS];
	u32 nr_regs;
	u64 its_base;
};

static bool is_offered(u32 type)
{
	return type == KVM_DEV_TYPE_ARM_VGIC_V3 || type == KVM_DEV_TYPE_ARM_VGIC_ITS;
}

long arm_create_device(struct model_call *c)
{
	struct arm_vm *vm = arm_vm(c->vm);
	struct kvm_create_device dev;
	struct model_file *f;
	int fd;

	if (model_read(&dev, c->arg, sizeof(dev)))
		return -EFAULT;
	model_note(c, "type", "%u", dev.type);
	model_note(c, "test", "%s", dev.flags & KVM_CREATE_DEVICE_TEST ? "true" : "false");
	if (!is_offered(dev.type))
		return -ENODEV;
	if (dev.flags & KVM_CREATE_DEVICE_TEST)
		return 0;
	if (dev.type == KVM_DEV_TYPE_ARM_VGIC_V3 && vm->has_gic)
		return model_broken(-EEXIST, "KVM_CREATE_DEVICE: a second GICv3");
	if (dev.type == KVM_DEV_TYPE_ARM_VGIC_V3 && c->vm->has_run)
		return model_broken(-EBUSY, "KVM_CREATE_DEVICE: a GICv3 after a vcpu has run");
	fd = model_new_fd("kvm-device", 0, MODEL_DEVICE);
	if (fd < 0)
		return fd;
	f = model_file(fd);
	f->vm = c->vm;
	f->device_type = dev.type;
	f->device_state = calloc(1, sizeof(struct gic_state));
	if (!f->device_state)
		abort();
	((struct gic_state *)f->device_state)->its_base = NOWHERE;
	if (dev.type == KVM_DEV_TYPE_ARM_VGIC_V3)
		vm->has_gic = true;
	dev.fd = (u32)fd;
	return model_write(c->arg, &dev, sizeof(dev)) ? -EFAULT : 0;
}

/* Each address is set once, on 64 KiB, within the guest's address space. */
static long place(const struct model_call *c, u64 *at, u64 addr, u64 size)
{
	u64 end = 1ULL << arm_vm(c->vm)->ipa_bits;

	if (*at != NOWHERE)
		return model_broken(-EEXIST, "GIC: an address is set twice");
	if (addr & ALIGN_64K)
		return model_broken(-EINVAL, "GIC: 0x%llx is not aligned", addr);
	if (addr >= end || size > end - addr)
		return model_broken(-E2BIG, "GIC: 0x%llx is beyond the address space", addr);
	*at = addr;
	return 0;
}

static long set_address(struct model_call *c, const struct kvm_device_attr *a)
{
	struct gic_state *s = c->file->device_state;
	struct arm_vm *vm = arm_vm(c->vm);
	u64 addr;

	if (model_read(&addr, a->addr, sizeof(addr)))
		return -EFAULT;
	model_note(c, "value", "\"0x%llx\"", addr);
	if (c->file->device_type == KVM_DEV_TYPE_ARM_VGIC_ITS)
		return a->attr == KVM_VGIC_ITS_ADDR_TYPE ? place(c, &s->its_base, addr, ITS_SIZE)
							 : -ENODEV;
	switch (a->attr) {
	case KVM_VGIC_V3_ADDR_TYPE_DIST:
		return place(c, &vm->gic_dist, addr, DIST_SIZE);
	case KVM_VGIC_V3_ADDR_TYPE_REDIST:
		return place(c, &vm->gic_redist, addr, CPU_SIZE * c->vm->nr_vcpus);
	}
	return -ENODEV;
}

static long set_irqs(const struct model_call *c, const struct kvm_device_attr *a)
{
	struct arm_vm *vm = arm_vm(c->vm);
	u32 n;

	if (model_read(&n, a->addr, sizeof(n)))
		return -EFAULT;
	if (n < 64 || n > 1024 || n & 31)
		return model_broken(-EINVAL, "GIC: %u interrupts", n);
	if (vm->gic_irqs || vm->gic_inited)
		return model_broken(-EBUSY, "GIC: the number of interrupts is set twice");
	vm->gic_irqs = n;
	return 0;
}

/* The group CTRL. All vcpus exist when it is set up; the ITS wants the GIC before it. */
static long control(const struct model_call *c, const struct kvm_device_attr *a)
{
	struct gic_state *s = c->file->device_state;
	struct arm_vm *vm = arm_vm(c->vm);
	bool its = c->file->device_type == KVM_DEV_TYPE_ARM_VGIC_ITS;

	if (a->attr != KVM_DEV_ARM_VGIC_CTRL_INIT)
		return a->attr <= KVM_DEV_ARM_ITS_CTRL_RESET ? 0 : -ENXIO;
	if (its)
		return s->its_base != NOWHERE ? 0 : model_broken(-ENXIO, "ITS: it has no address");
	if (!c->vm->nr_vcpus)
		return model_broken(-ENODEV, "GIC: it is set up before any vcpu");
	if (vm->gic_dist == NOWHERE || vm->gic_redist == NOWHERE)
		return model_broken(-ENXIO, "GIC: it is set up without addresses");
	vm->gic_inited = true;
	return 0;
}

/* Whatever was written; an ID register or a word at its reset value is zero. */
static long keep_reg(const struct model_call *c, const struct kvm_device_attr *a)
{
	struct gic_state *s = c->file->device_state;
	size_t size = a->group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS ||
				      c->file->device_type == KVM_DEV_TYPE_ARM_VGIC_ITS
			      ? 8
			      : 4;
	u32 i = 0;

	while (i < s->nr_regs && (s->regs[i].group != a->group || s->regs[i].attr != a->attr))
		i++;
	if (c->request == KVM_GET_DEVICE_ATTR) {
		u64 value = i < s->nr_regs ? s->regs[i].value : 0;

		return model_write(a->addr, &value, size) ? -EFAULT : 0;
	}
	if (i == MAX_REGS)
		return -ENXIO;
	s->regs[i].group = a->group;
	s->regs[i].attr = a->attr;
	s->nr_regs = MAX(s->nr_regs, i + 1);
	return model_read(&s->regs[i].value, a->addr, size) ? -EFAULT : 0;
}

static bool has_group(const struct model_call *c, const struct kvm_device_attr *a)
{
	bool its = c->file->device_type == KVM_DEV_TYPE_ARM_VGIC_ITS;

	switch (a->group) {
	case KVM_DEV_ARM_VGIC_GRP_ADDR:
		return true;
	case KVM_DEV_ARM_VGIC_GRP_CTRL:
		return a->attr <= KVM_DEV_ARM_ITS_CTRL_RESET;
	case KVM_DEV_ARM_VGIC_GRP_ITS_REGS:
		return its;
	case KVM_DEV_ARM_VGIC_GRP_NR_IRQS:
	case KVM_DEV_ARM_VGIC_GRP_DIST_REGS:
	case KVM_DEV_ARM_VGIC_GRP_REDIST_REGS:
	case KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
	case KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO:
		return !its;
	}
	return false;
}

long arm_device_ioctl(struct model_call *c)
{
	struct kvm_device_attr a;

	if (c->request != KVM_SET_DEVICE_ATTR && c->request != KVM_GET_DEVICE_ATTR &&
	    c->request != KVM_HAS_DEVICE_ATTR)
		return -ENOTTY;
	if (model_read(&a, c->arg, sizeof(a)))
		return -EFAULT;
	model_note(c, "group", "%u", a.group);
	model_note(c, "attr", "\"0x%llx\"", a.attr);
	if (!has_group(c, &a))
		return -ENXIO;
	if (c->request == KVM_HAS_DEVICE_ATTR)
		return 0;
	if (a.group == KVM_DEV_ARM_VGIC_GRP_CTRL)
		return c->request == KVM_SET_DEVICE_ATTR ? control(c, &a) : -ENXIO;
	if (c->request == KVM_SET_DEVICE_ATTR && a.group == KVM_DEV_ARM_VGIC_GRP_ADDR)
		return set_address(c, &a);
	if (c->request == KVM_SET_DEVICE_ATTR && a.group == KVM_DEV_ARM_VGIC_GRP_NR_IRQS)
		return set_irqs(c, &a);
	return keep_reg(c, &a);
}
