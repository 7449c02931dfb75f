/* SPDX-License-Identifier: MIT */
/* Registers of vcpus by id, attributes of devices; see one-reg.h. */
#include "lkvm/one-reg.h"

#include <stdlib.h>

#include "lkvm/kvm.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"

static int one_reg(const struct vcpu *vcpu, unsigned long request, u64 id, const void *value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (u64)(uintptr_t)value };
	int ret = xioctl(vcpu->fd, request, &reg);

	return ret < 0 ? ret : 0;
}

int vcpu_get_reg(const struct vcpu *vcpu, u64 id, void *value)
{
	return one_reg(vcpu, KVM_GET_ONE_REG, id, value);
}

int vcpu_set_reg(const struct vcpu *vcpu, u64 id, const void *value)
{
	return one_reg(vcpu, KVM_SET_ONE_REG, id, value);
}

int vcpu_list_regs(const struct vcpu *vcpu, struct kvm_reg_list **list)
{
	struct kvm_reg_list probe = { 0 };
	int ret = xioctl(vcpu->fd, KVM_GET_REG_LIST, &probe);

	*list = NULL;
	if (ret < 0 && ret != -E2BIG)
		return ret;
	*list = xcalloc(1, sizeof(**list) + probe.n * sizeof((*list)->reg[0]));
	(*list)->n = probe.n;
	ret = xioctl(vcpu->fd, KVM_GET_REG_LIST, *list);
	if (ret >= 0)
		return 0;
	free(*list);
	*list = NULL;
	return ret;
}

static int device_attr(int fd, unsigned long request, u32 group, u64 attr, const void *value)
{
	struct kvm_device_attr a = {
		.group = group,
		.attr = attr,
		.addr = (u64)(uintptr_t)value,
	};
	int ret = xioctl(fd, request, &a);

	return ret < 0 ? ret : 0;
}

int kvm_set_attr(int fd, u32 group, u64 attr, const void *value)
{
	return device_attr(fd, KVM_SET_DEVICE_ATTR, group, attr, value);
}

int kvm_get_attr(int fd, u32 group, u64 attr, void *value)
{
	return device_attr(fd, KVM_GET_DEVICE_ATTR, group, attr, value);
}

bool kvm_has_attr(int fd, u32 group, u64 attr)
{
	return !device_attr(fd, KVM_HAS_DEVICE_ATTR, group, attr, NULL);
}
