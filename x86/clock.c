/* SPDX-License-Identifier: MIT */
/*
 * The paravirtual clock of the VM (Linux Documentation/virt/kvm/x86/msr.rst,
 * MSR_KVM_SYSTEM_TIME_NEW; api.rst, 4.29 KVM_GET_CLOCK, 4.78 KVM_KVMCLOCK_CTRL): a device without
 * registers, which remembers the time; and how the guest is told that it was paused.
 */
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/device.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "platform.h"

struct x86_clock {
	struct device dev;
	u64 ns; /* while it is saved or loaded */
};

static int clock_realize(struct device *dev, struct vm *vm)
{
	return 0;
}

/* Its watchdogs forgive the time that it stood still. -EINVAL: this guest has another clock. */
void arch_vcpu_resumed(struct vcpu *vcpu)
{
	int ret = xioctl_val(vcpu->fd, KVM_KVMCLOCK_CTRL, 0);

	if (ret < 0 && ret != -EINVAL)
		debug("vcpu %u: KVM_KVMCLOCK_CTRL: %s", vcpu->id, strerror(-ret));
}

static int clock_save(void *obj)
{
	struct x86_clock *clock = obj;
	struct kvm_clock_data data = { 0 };
	int ret = xioctl(clock->dev.vm->kvm.vm_fd, KVM_GET_CLOCK, &data);

	clock->ns = data.clock;
	if (ret < 0)
		err("cannot read the guest's clock: KVM_GET_CLOCK: %s", strerror(-ret));
	return MIN(ret, 0);
}

/* The guest's time goes on where it was saved. */
static int clock_load(void *obj)
{
	const struct x86_clock *clock = obj;
	struct kvm_clock_data data = { .clock = clock->ns };
	int ret = xioctl(clock->dev.vm->kvm.vm_fd, KVM_SET_CLOCK, &data);

	if (ret < 0)
		err("cannot set the guest's clock: KVM_SET_CLOCK: %s", strerror(-ret));
	return MIN(ret, 0);
}

static void clock_destroy(struct device *dev)
{
	free(container_of(dev, struct x86_clock, dev));
}

static const struct state_field clock_fields[] = {
	STATE_CLOCK(struct x86_clock, ns),
};

static const struct device_state clock_state = {
	.version = 1,
	STATE_TABLE(clock_fields),
	.device_at = offsetof(struct x86_clock, dev),
	.save = clock_save,
	.load = clock_load,
};

static const struct device_ops clock_ops = {
	.realize = clock_realize,
	.state = &clock_state,
	.destroy = clock_destroy,
};

int x86_clock_create(struct vm *vm)
{
	struct x86_clock *clock = xcalloc(1, sizeof(*clock));
	int ret;

	clock->dev.name = "kvmclock";
	clock->dev.ops = &clock_ops;
	ret = device_add(vm, &clock->dev);
	if (ret)
		free(clock);
	return ret;
}
