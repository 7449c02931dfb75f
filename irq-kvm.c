/* SPDX-License-Identifier: MIT */
/* The interrupt chip over KVM (Linux Documentation/virt/kvm/api.rst, 4.25, 4.52, 4.71, 4.75). */
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>

#include "lkvm/irq.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/one-reg.h"

/* An interrupt that is lost is a guest that hangs: it ends, with the reason. */
static void __printf(3, 4) lost(struct kvm *kvm, int error, const char *fmt, ...)
{
	char what[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	err("%s: %s; the guest would wait for it for ever", what, strerror(-error));
	if (kvm->broken)
		kvm->broken(kvm);
}

static void kvm_set_level(void *opaque, u32 gsi, bool level)
{
	struct kvm *kvm = opaque;
	struct kvm_irq_level irq = { .irq = gsi, .level = level };
	int ret = xioctl(kvm->vm_fd, KVM_IRQ_LINE, &irq);

	if (ret < 0)
		lost(kvm, ret, "interrupt %u: KVM_IRQ_LINE", gsi);
}

static void kvm_send_msi(void *opaque, u64 addr, u32 data, u32 devid)
{
	struct kvm *kvm = opaque;
	struct kvm_msi msi = {
		.address_lo = (u32)addr,
		.address_hi = (u32)(addr >> 32),
		.data = data,
		.flags = devid ? KVM_MSI_VALID_DEVID : 0,
		.devid = devid,
	};
	int ret = xioctl(kvm->vm_fd, KVM_SIGNAL_MSI, &msi);

	if (ret == -ENOMEM)
		lost(kvm, ret, "message interrupt to 0x%llx: KVM_SIGNAL_MSI", addr);
	else if (ret < 0)
		guest_warn("message interrupt to 0x%llx: %s", addr, strerror(-ret));
}

static int kvm_bind_irqfd(void *opaque, int fd, u32 gsi, bool assign)
{
	struct kvm *kvm = opaque;
	struct kvm_irqfd irqfd = {
		.fd = (u32)fd,
		.gsi = gsi,
		.flags = assign ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};
	int ret = xioctl(kvm->vm_fd, KVM_IRQFD, &irqfd);

	return ret < 0 ? ret : 0;
}

static int kvm_bind_resample(void *opaque, int fd, int resample_fd, u32 gsi, bool assign)
{
	struct kvm *kvm = opaque;
	struct kvm_irqfd irqfd = {
		.fd = (u32)fd,
		.gsi = gsi,
		.flags = KVM_IRQFD_FLAG_RESAMPLE,
		.resamplefd = (u32)resample_fd,
	};
	int ret;

	if (!assign)
		return kvm_bind_irqfd(kvm, fd, gsi, false);
	if (kvm_check_cap(kvm, KVM_CAP_IRQFD_RESAMPLE) <= 0)
		return -ENOTSUP;
	ret = xioctl(kvm->vm_fd, KVM_IRQFD, &irqfd);
	return ret < 0 ? ret : 0;
}

static int kvm_set_routes(void *opaque, struct kvm_irq_routing *table)
{
	struct kvm *kvm = opaque;
	int ret = xioctl(kvm->vm_fd, KVM_SET_GSI_ROUTING, table);

	return ret < 0 ? ret : 0;
}

static u32 kvm_max_routes(void *opaque)
{
	int n = kvm_check_cap(opaque, KVM_CAP_IRQ_ROUTING);

	return n > 1 ? (u32)n : IRQ_MAX_ROUTES;
}

const struct irq_chip_ops kvm_irq_chip_ops = {
	.set_level = kvm_set_level,
	.send_msi = kvm_send_msi,
	.bind_irqfd = kvm_bind_irqfd,
	.set_routes = kvm_set_routes,
	.bind_resample = kvm_bind_resample,
	.max_routes = kvm_max_routes,
};

int kvm_irqchip_set(int fd, u32 group, u64 attr, const void *value, const char *what)
{
	int ret = kvm_set_attr(fd, group, attr, value);

	if (ret)
		err("interrupt controller: cannot set %s: %s", what, strerror(-ret));
	return ret;
}
