/* SPDX-License-Identifier: MIT */
/* The rest of KVM on x86, without any KVM. */
#include "../model.h"

static long machine_ioctl(struct model_call *c)
{
	switch (c->request) {
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_GET_VCPU_MMAP_SIZE:
		return MODEL_RUN_SIZE;
	case KVM_CHECK_EXTENSION:
		return 0;
	}
	return -ENOTTY;
}

static int new_vm(struct model_vm *vm)
{
	return 0;
}

static int new_vcpu(struct model_vcpu *vcpu)
{
	return 0;
}

const struct model_machine model_machine = {
	.ioctl = machine_ioctl,
	.vm = new_vm,
	.vcpu = new_vcpu,
};
