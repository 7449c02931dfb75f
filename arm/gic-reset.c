/* SPDX-License-Identifier: MIT */
/*
 * The interrupt controller at a reset of the machine. KVM resets the ITS; of distributor,
 * redistributors and CPU interfaces each register is written back to what KVM gave it at first
 * (Arm IHI 0069, chapter 12; IHI 0048B, chapter 4; Linux devices/arm-vgic-v3.rst, arm-vgic.rst).
 */
#include <stdlib.h>

#include "arm.h"
#include "lkvm/device.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* Registers of the distributor; those of private interrupts are at the same offsets in the second
 * 64 KiB of a redistributor. */
#define GICD_CTLR	0x0000U
#define GICD_IGROUPR	0x0080U /* a bit for each interrupt, as the next five */
#define GICD_ISENABLER	0x0100U
#define GICD_ICENABLER	0x0180U
#define GICD_ISPENDR	0x0200U
#define GICD_ICPENDR	0x0280U
#define GICD_ICACTIVER	0x0380U
#define GICD_IPRIORITYR 0x0400U /* a byte for each */
#define GICD_ITARGETSR	0x0800U /* a byte for each; GICv2 */
#define GICD_ICFGR	0x0c00U /* two bits for each */
#define GICD_IROUTER	0x6000U /* eight bytes for each; GICv3 */
#define GICR_CTLR	0x0000U
#define GICR_PROPBASER	0x0070U
#define GICR_PENDBASER	0x0078U
#define GICR_SGI_BASE	0x10000U
#define ALL_SGIS	0x0000ffffU

/* CPU interface of a GICv2 (IHI 0048B, 4.4). */
#define GICC_CTLR 0x00U
#define GICC_PMR  0x04U
#define GICC_BPR  0x08U
#define GICC_ABPR 0x1cU
#define GICC_APR0 0xd0U

/* CPU interface of a GICv3: op0, op1, CRn, CRm, op2 (devices/arm-vgic-v3.rst). */
#define ICC_REG(crn, crm, op2) (3U << 14 | (crn) << 7 | (crm) << 3 | (op2))
#define ICC_PMR		       ICC_REG(4U, 6U, 0U)
#define ICC_BPR0	       ICC_REG(12U, 8U, 3U)
#define ICC_AP0R0	       ICC_REG(12U, 8U, 4U)
#define ICC_AP1R0	       ICC_REG(12U, 9U, 0U)
#define ICC_BPR1	       ICC_REG(12U, 12U, 3U)
#define ICC_CTLR	       ICC_REG(12U, 12U, 4U)
#define ICC_IGRPEN0	       ICC_REG(12U, 12U, 6U)
#define ICC_IGRPEN1	       ICC_REG(12U, 12U, 7U)
#define ICC_CTLR_GUEST_BITS    3ULL /* CBPR, EOImode; the others say what the CPU has */

struct gic_device {
	struct device dev;
	bool v3;
	/* What KVM chose at first, the same for all interrupts and all vcpus. */
	u32 icfgr, propbaser, pendbaser;
};

/* Writes to one part of the controller, until the first that fails. */
struct writer {
	int fd;
	u32 group;
	u64 target; /* the vcpu, in the upper half of an attribute */
	int error;
};

static void put(struct writer *w, u32 offset, u32 value)
{
	if (!w->error)
		w->error = arm_set_attr(w->fd, w->group, w->target | offset, &value);
}

static void put_range(struct writer *w, u32 offset, u32 first_irq, u32 nr_irqs, u32 bits, u32 value)
{
	for (u32 at = first_irq * bits / 8; at < (first_irq + nr_irqs) * bits / 8; at += 4)
		put(w, offset + at, value);
}

/*
 * What shared and private interrupts have alike. A write to ISPENDR sets and clears on a GICv3, and
 * ICPENDR is ignored there; a GICv2 has both as the guest sees them.
 */
static void reset_irqs(struct writer *w, u32 base, u32 first, u32 nr)
{
	put_range(w, base + GICD_ICENABLER, first, nr, 1, ~0U);
	put_range(w, base + GICD_ISPENDR, first, nr, 1, 0);
	put_range(w, base + GICD_ICPENDR, first, nr, 1, ~0U);
	put_range(w, base + GICD_ICACTIVER, first, nr, 1, ~0U);
	put_range(w, base + GICD_IPRIORITYR, first, nr, 8, 0);
}

/* KVM's SGIs are enabled at first. */
static void reset_private_irqs(struct writer *w, u32 base)
{
	reset_irqs(w, base, 0, 32);
	put(w, base + GICD_ISENABLER, ALL_SGIS);
}

/* The redistributor of a GICv3 is told by affinities, packed into 32 bits. */
static u64 v3_target(const struct vcpu *vcpu)
{
	u64 mpidr = vcpu->arch->mpidr;

	return ((mpidr >> 32 & 0xff) << 24 | (mpidr & 0xffffff)) << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;
}

static int reset_v3_cpu(const struct gic_device *gic, int fd, const struct vcpu *vcpu)
{
	static const u16 zeroed[] = {
		ICC_IGRPEN1, ICC_IGRPEN0, ICC_PMR, ICC_BPR0, ICC_BPR1, ICC_AP0R0, ICC_AP1R0,
	};
	struct writer w = { fd, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, v3_target(vcpu), 0 };
	u64 value = 0;
	int ret;

	/* Messages first: the tables' addresses may not change while they are enabled. */
	put(&w, GICR_CTLR, 0);
	put(&w, GICR_PROPBASER, gic->propbaser);
	put(&w, GICR_PROPBASER + 4, 0);
	put(&w, GICR_PENDBASER, gic->pendbaser);
	put(&w, GICR_PENDBASER + 4, 0);
	put(&w, GICR_SGI_BASE + GICD_IGROUPR, ~0U);
	reset_private_irqs(&w, GICR_SGI_BASE);
	ret = w.error;
	for (size_t i = 0; i < ARRAY_SIZE(zeroed) && !ret; i++)
		ret = arm_set_attr(fd, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, w.target | zeroed[i],
				   &value);
	if (!ret)
		ret = arm_get_attr(fd, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, w.target | ICC_CTLR,
				   &value);
	value &= ~ICC_CTLR_GUEST_BITS;
	if (!ret)
		ret = arm_set_attr(fd, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, w.target | ICC_CTLR,
				   &value);
	return ret;
}

static int reset_v3(const struct gic_device *gic, struct vm *vm)
{
	int fd = vm->arch->gic.fd, its_fd = vm->arch->gic.its_fd, ret = 0;
	struct writer w = { fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, 0 };

	if (its_fd >= 0)
		ret = arm_set_attr(its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_ITS_CTRL_RESET,
				   NULL);
	put(&w, GICD_CTLR, 0);
	put_range(&w, GICD_IGROUPR, 32, ARM_NR_SPIS, 1, ~0U);
	reset_irqs(&w, 0, 32, ARM_NR_SPIS);
	put_range(&w, GICD_ICFGR, 32, ARM_NR_SPIS, 2, gic->icfgr);
	put_range(&w, GICD_IROUTER, 32, ARM_NR_SPIS, 64, 0);
	if (!ret)
		ret = w.error;
	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = reset_v3_cpu(gic, fd, vm->vcpus[i]);
	return ret;
}

static int reset_v2(const struct gic_device *gic, struct vm *vm)
{
	static const u32 zeroed[] = { GICC_CTLR, GICC_PMR, GICC_BPR, GICC_ABPR, GICC_APR0 };
	struct writer w = { vm->arch->gic.fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, 0 };

	put(&w, GICD_CTLR, 0);
	reset_irqs(&w, 0, 32, ARM_NR_SPIS);
	put_range(&w, GICD_ICFGR, 32, ARM_NR_SPIS, 2, gic->icfgr);
	put_range(&w, GICD_ITARGETSR, 32, ARM_NR_SPIS, 8, 0);
	for (u32 i = 0; i < vm->nr_vcpus; i++) {
		w.target = (u64)i << KVM_DEV_ARM_VGIC_CPUID_SHIFT;
		w.group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS;
		reset_private_irqs(&w, 0);
		w.group = KVM_DEV_ARM_VGIC_GRP_CPU_REGS;
		for (size_t r = 0; r < ARRAY_SIZE(zeroed); r++)
			put(&w, zeroed[r], 0);
	}
	return w.error;
}

static void gic_reset(struct device *dev)
{
	const struct gic_device *gic = container_of(dev, struct gic_device, dev);
	int ret = gic->v3 ? reset_v3(gic, dev->vm) : reset_v2(gic, dev->vm);

	if (ret)
		warn("the interrupt controller cannot be reset: %s", strerror(-ret));
}

static int gic_realize(struct device *dev, struct vm *vm)
{
	struct gic_device *gic = container_of(dev, struct gic_device, dev);
	int fd = vm->arch->gic.fd, ret;
	u64 target;

	gic->v3 = vm->arch->gic.kind == ARM_IRQCHIP_GICV3 ||
		  vm->arch->gic.kind == ARM_IRQCHIP_GICV3_ITS;
	ret = arm_get_attr(fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_ICFGR + 32 / 4, &gic->icfgr);
	if (!ret && gic->v3) {
		target = v3_target(vm->vcpus[0]);
		ret = arm_get_attr(fd, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, target | GICR_PROPBASER,
				   &gic->propbaser);
		if (!ret)
			ret = arm_get_attr(fd, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
					   target | GICR_PENDBASER, &gic->pendbaser);
	}
	if (ret)
		err("interrupt controller: its registers cannot be read: %s", strerror(-ret));
	return ret;
}

static void gic_device_destroy(struct device *dev)
{
	free(container_of(dev, struct gic_device, dev));
}

static const struct device_ops gic_device_ops = {
	.realize = gic_realize,
	.reset = gic_reset,
	.destroy = gic_device_destroy,
};

int arm_gic_add_devices(struct vm *vm)
{
	struct gic_device *gic = xcalloc(1, sizeof(*gic));
	int ret;

	gic->dev.name = "gic";
	gic->dev.ops = &gic_device_ops;
	ret = device_add(vm, &gic->dev);
	if (ret) {
		free(gic);
		return ret;
	}
	if (vm->arch->gic.kind != ARM_IRQCHIP_GICV2M)
		return 0;
	return arm_gicv2m_create(vm, vm->arch->gic.msi_base);
}
