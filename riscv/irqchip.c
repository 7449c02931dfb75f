/* SPDX-License-Identifier: MIT */
/* Which interrupt controller the machine has: KVM's AIA where the host has one, else a PLIC. */
#include <unistd.h>

#include "lkvm/device.h"
#include "lkvm/fdt.h"
#include "lkvm/irq.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "riscv.h"

/* The chip's operations where it is a PLIC: lines alone. */

static void plic_set_level(void *opaque, u32 gsi, bool level)
{
	const struct vm *vm = opaque;

	if (vm->arch->irqchip.plic)
		riscv_plic_set_level(vm->arch->irqchip.plic, gsi, level);
}

static void plic_pulse(void *opaque, u32 gsi)
{
	const struct vm *vm = opaque;

	if (vm->arch->irqchip.plic)
		riscv_plic_pulse(vm->arch->irqchip.plic, gsi);
}

static int plic_bind_resample(void *opaque, int fd, int resample_fd, u32 gsi, bool assign)
{
	const struct vm *vm = opaque;

	if (!vm->arch->irqchip.plic)
		return -ENOTSUP;
	return riscv_plic_bind_resample(vm->arch->irqchip.plic, fd, resample_fd, gsi, assign);
}

static const struct irq_chip_ops plic_irq_chip_ops = {
	.set_level = plic_set_level,
	.pulse = plic_pulse,
	.bind_resample = plic_bind_resample,
};

/* KVM takes it while the vcpu runs, and wakes it (api.rst, 4.16; KVM_INTERRUPT on riscv). */
static void raise_hart(void *opaque, u32 hart, bool level)
{
	const struct vm *vm = opaque;
	struct kvm_interrupt irq = { .irq = level ? KVM_INTERRUPT_SET : KVM_INTERRUPT_UNSET };
	int ret;

	/* Without KVM there are no vcpus. */
	if (hart >= vm->nr_vcpus)
		return;
	ret = xioctl(vm->vcpus[hart]->fd, KVM_INTERRUPT, &irq);
	if (ret < 0)
		guest_warn("vcpu %u: cannot %s its external interrupt: KVM_INTERRUPT: %s", hart,
			   level ? "raise" : "lower", strerror(-ret));
}

int riscv_irqchip_check(const struct vm_config *cfg)
{
	if (cfg->riscv.irqchip != RISCV_IRQCHIP_PLIC || cfg->riscv.aia == RISCV_AIA_DEFAULT)
		return 0;
	err("--aia %s: with --irqchip plic there is no AIA; omit one of them",
	    riscv_aia_names[cfg->riscv.aia]);
	return -EINVAL;
}

static int choose(const struct vm *vm, enum riscv_irqchip_kind *kind)
{
	const struct riscv_config *cfg = &vm->cfg->riscv;

	*kind = cfg->irqchip;
	if (*kind == RISCV_IRQCHIP_PLIC)
		return 0;
	if (kvm_check_cap(&vm->kvm, KVM_CAP_IRQCHIP) > 0) {
		*kind = RISCV_IRQCHIP_AIA;
		return 0;
	}
	if (*kind == RISCV_IRQCHIP_DEFAULT && cfg->aia == RISCV_AIA_DEFAULT) {
		*kind = RISCV_IRQCHIP_PLIC;
		return 0;
	}
	err("--%s %s: the CPUs of this host have no AIA (Ssaia); omit the option for a PLIC",
	    *kind == RISCV_IRQCHIP_AIA ? "irqchip" : "aia",
	    *kind == RISCV_IRQCHIP_AIA ? "aia" : riscv_aia_names[cfg->aia]);
	return -ENODEV;
}

int riscv_irqchip_init(struct vm *vm)
{
	struct riscv_irqchip *chip = &vm->arch->irqchip;
	int ret = choose(vm, &chip->kind);

	if (ret)
		return ret;
	debug("interrupt controller: %s", riscv_irqchip_names[chip->kind]);
	if (chip->kind == RISCV_IRQCHIP_AIA)
		return riscv_aia_init(vm);
	vm->irqs.ops = &plic_irq_chip_ops;
	vm->irqs.opaque = vm;
	return 0;
}

int riscv_irqchip_finish(struct vm *vm)
{
	if (vm->arch->irqchip.kind == RISCV_IRQCHIP_AIA)
		return riscv_aia_finish(vm);
	return 0;
}

void riscv_irqchip_sketch(struct vm *vm)
{
	struct riscv_irqchip *chip = &vm->arch->irqchip;

	chip->kind = vm->cfg->riscv.irqchip;
	if (chip->kind == RISCV_IRQCHIP_DEFAULT)
		chip->kind = RISCV_IRQCHIP_AIA;
	if (chip->kind == RISCV_IRQCHIP_AIA)
		riscv_aia_sketch(vm);
}

void riscv_irqchip_describe(struct vm *vm, struct fdtw *fdt)
{
	if (vm->arch->irqchip.kind == RISCV_IRQCHIP_AIA)
		riscv_aia_describe(vm, fdt);
	else
		riscv_plic_describe(vm, fdt);
}

int riscv_irqchip_add_devices(struct vm *vm)
{
	struct riscv_irqchip *chip = &vm->arch->irqchip;

	if (chip->kind == RISCV_IRQCHIP_PLIC)
		return riscv_plic_create(vm, raise_hart, vm, &chip->plic);
	return riscv_aia_add_device(vm);
}

void riscv_irqchip_destroy(struct vm *vm)
{
	struct riscv_irqchip *chip = &vm->arch->irqchip;

	if (chip->fd >= 0)
		close(chip->fd);
	chip->fd = -1;
}
