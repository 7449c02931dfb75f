/* SPDX-License-Identifier: MIT */
/*
 * The registers of the interrupt controller, as one table: what a reset writes back and what is
 * saved and loaded (Arm IHI 0069, chapter 12; IHI 0048B, chapter 4; Linux devices/arm-vgic-v3.rst,
 * arm-vgic.rst, arm-vgic-its.rst). Of its own accord KVM resets only the ITS. An ITS keeps its
 * tables, and a redistributor its pending messages, in guest memory: saving writes them there.
 */
#include <stdlib.h>

#include "arm.h"
#include "lkvm/device.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* Registers of the distributor; those of private interrupts are at the same offsets in the second
 * 64 KiB of a redistributor. */
#define GICD_CTLR	0x0000U
#define GICD_IGROUPR	0x0080U /* a bit for each interrupt, as the next seven */
#define GICD_ISENABLER	0x0100U
#define GICD_ICENABLER	0x0180U
#define GICD_ISPENDR	0x0200U
#define GICD_ICPENDR	0x0280U
#define GICD_ISACTIVER	0x0300U
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

/* Registers of an ITS. */
#define GITS_CTLR    0x0000U
#define GITS_CBASER  0x0080U
#define GITS_CWRITER 0x0088U
#define GITS_CREADR  0x0090U
#define GITS_BASER   0x0100U

/* Words for the shared interrupts, with so many bits for each. */
#define SPI_WORDS(bits) (ARM_NR_SPIS * (bits) / 32)

struct gic_dist {
	u32 ctlr, igroupr[SPI_WORDS(1)], isenabler[SPI_WORDS(1)], ispendr[SPI_WORDS(1)];
	u32 isactiver[SPI_WORDS(1)], ipriorityr[SPI_WORDS(8)], icfgr[SPI_WORDS(2)];
	u32 itargetsr[SPI_WORDS(8)], irouter[SPI_WORDS(64)], level[SPI_WORDS(1)];
};

struct gic_cpu {
	u32 propbaser[2], pendbaser[2], igroupr, isenabler, ispendr, isactiver;
	u32 ipriorityr[8], icfgr, level, ctlr;
	/* The CPU interface. */
	u32 gicc_ctlr, gicc_pmr, gicc_bpr, gicc_abpr, gicc_apr0;
	u64 icc_pmr, icc_bpr0, icc_bpr1, icc_ap0r0, icc_ap1r0, icc_ctlr, icc_igrpen0, icc_igrpen1;
};

struct gic_its {
	u64 cbaser, cwriter, creadr, baser[8], ctlr;
};

struct gic_device {
	struct device dev;
	bool v3;
	/* What KVM chose at first, the same for all interrupts and all vcpus. */
	u32 icfgr, propbaser, pendbaser;
	/* While it is saved or loaded. */
	u32 kind;
	struct gic_dist dist;
	struct gic_cpu *cpus;
	struct gic_its its;
};

enum { V2 = 1, V3 = 2 };
enum reset_value {
	TO_ZERO,
	TO_ONES,
	TO_SGIS, /* KVM's SGIs are enabled at first */
	TO_ICFGR,
	TO_PROPBASER,
	TO_PENDBASER,
	TO_HOST_BITS, /* as it is, without the bits that are the guest's */
	TO_NOTHING,   /* not written: lines are the devices' */
};

/*
 * A register, or the registers of consecutive interrupts. Those that set bits have others, at
 * @clear, that clear them first (on a GICv3 a write of pending bits does both, and the other is
 * ignored).
 */
struct gic_reg {
	u32 versions, group, offset, clear;
	enum reset_value reset;
	u32 at, size, count; /* in the structure */
};

#define DIST  KVM_DEV_ARM_VGIC_GRP_DIST_REGS
#define RDIST KVM_DEV_ARM_VGIC_GRP_REDIST_REGS
#define ICC   KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS
#define GICC  KVM_DEV_ARM_VGIC_GRP_CPU_REGS
#define LEVEL KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO

/* In the order in which they are written. SPI(register, bits): from interrupt 32 on. */
#define SPI(reg, bits) ((reg) + 32 * (bits) / 8)
#define GIC_DIST(X)                                                                          \
	X(ctlr, V2 | V3, DIST, GICD_CTLR, 0, TO_ZERO)                                        \
	X(igroupr, V3, DIST, SPI(GICD_IGROUPR, 1), 0, TO_ONES)                               \
	X(isenabler, V2 | V3, DIST, SPI(GICD_ISENABLER, 1), SPI(GICD_ICENABLER, 1), TO_ZERO) \
	X(ispendr, V2 | V3, DIST, SPI(GICD_ISPENDR, 1), SPI(GICD_ICPENDR, 1), TO_ZERO)       \
	X(isactiver, V2 | V3, DIST, SPI(GICD_ISACTIVER, 1), SPI(GICD_ICACTIVER, 1), TO_ZERO) \
	X(ipriorityr, V2 | V3, DIST, SPI(GICD_IPRIORITYR, 8), 0, TO_ZERO)                    \
	X(icfgr, V2 | V3, DIST, SPI(GICD_ICFGR, 2), 0, TO_ICFGR)                             \
	X(itargetsr, V2, DIST, SPI(GICD_ITARGETSR, 8), 0, TO_ZERO)                           \
	X(irouter, V3, DIST, SPI(GICD_IROUTER, 64), 0, TO_ZERO)                              \
	X(level, V3, LEVEL, 32, 0, TO_NOTHING)

/* A GICv3 has private interrupts in redistributors, a GICv2 for each CPU in the distributor. */
#define SGI(reg) (GICR_SGI_BASE + (reg))
#define GIC_CPU_V3(X)                                                              \
	X(propbaser, V3, RDIST, GICR_PROPBASER, 0, TO_PROPBASER)                   \
	X(pendbaser, V3, RDIST, GICR_PENDBASER, 0, TO_PENDBASER)                   \
	X(igroupr, V3, RDIST, SGI(GICD_IGROUPR), 0, TO_ONES)                       \
	X(isenabler, V3, RDIST, SGI(GICD_ISENABLER), SGI(GICD_ICENABLER), TO_SGIS) \
	X(ispendr, V3, RDIST, SGI(GICD_ISPENDR), SGI(GICD_ICPENDR), TO_ZERO)       \
	X(isactiver, V3, RDIST, SGI(GICD_ISACTIVER), SGI(GICD_ICACTIVER), TO_ZERO) \
	X(ipriorityr, V3, RDIST, SGI(GICD_IPRIORITYR), 0, TO_ZERO)                 \
	X(icfgr, V3, RDIST, SGI(GICD_ICFGR + 4), 0, TO_NOTHING)                    \
	X(level, V3, LEVEL, 0, 0, TO_NOTHING)                                      \
	X(icc_igrpen1, V3, ICC, ICC_IGRPEN1, 0, TO_ZERO)                           \
	X(icc_igrpen0, V3, ICC, ICC_IGRPEN0, 0, TO_ZERO)                           \
	X(icc_pmr, V3, ICC, ICC_PMR, 0, TO_ZERO)                                   \
	X(icc_bpr0, V3, ICC, ICC_BPR0, 0, TO_ZERO)                                 \
	X(icc_bpr1, V3, ICC, ICC_BPR1, 0, TO_ZERO)                                 \
	X(icc_ap0r0, V3, ICC, ICC_AP0R0, 0, TO_ZERO)                               \
	X(icc_ap1r0, V3, ICC, ICC_AP1R0, 0, TO_ZERO)                               \
	X(icc_ctlr, V3, ICC, ICC_CTLR, 0, TO_HOST_BITS)                            \
	X(ctlr, V3, RDIST, GICR_CTLR, 0, TO_ZERO)
#define GIC_CPU_V2(X)                                                   \
	X(isenabler, V2, DIST, GICD_ISENABLER, GICD_ICENABLER, TO_SGIS) \
	X(ispendr, V2, DIST, GICD_ISPENDR, GICD_ICPENDR, TO_ZERO)       \
	X(isactiver, V2, DIST, GICD_ISACTIVER, GICD_ICACTIVER, TO_ZERO) \
	X(ipriorityr, V2, DIST, GICD_IPRIORITYR, 0, TO_ZERO)            \
	X(gicc_ctlr, V2, GICC, GICC_CTLR, 0, TO_ZERO)                   \
	X(gicc_pmr, V2, GICC, GICC_PMR, 0, TO_ZERO)                     \
	X(gicc_bpr, V2, GICC, GICC_BPR, 0, TO_ZERO)                     \
	X(gicc_abpr, V2, GICC, GICC_ABPR, 0, TO_ZERO)                   \
	X(gicc_apr0, V2, GICC, GICC_APR0, 0, TO_ZERO)

#define REG(type, name, versions, group, offset, clear, reset) \
	{ versions,                                            \
	  group,                                               \
	  offset,                                              \
	  clear,                                               \
	  reset,                                               \
	  offsetof(type, name),                                \
	  group == ICC ? 8 : 4,                                \
	  sizeof(((type *)0)->name) / (group == ICC ? 8 : 4) },
#define REG_DIST(...) REG(struct gic_dist, __VA_ARGS__)
#define REG_CPU(...)  REG(struct gic_cpu, __VA_ARGS__)
static const struct gic_reg dist_regs[] = { GIC_DIST(REG_DIST) };
static const struct gic_reg cpu_regs[] = { GIC_CPU_V3(REG_CPU) GIC_CPU_V2(REG_CPU) };

/* The same as fields: each once, words or sysregs. */
#define FIELD(type, reg, group)          \
	{ .name = #reg,                  \
	  .offset = offsetof(type, reg), \
	  .size = group == ICC ? 8 : 4,  \
	  .count = sizeof(((type *)0)->reg) / (group == ICC ? 8 : 4) },
#define FIELD_DIST(name, versions, group, offset, clear, reset) FIELD(struct gic_dist, name, group)
#define FIELD_CPU(name, versions, group, offset, clear, reset)	FIELD(struct gic_cpu, name, group)
static const struct state_field dist_fields[] = { GIC_DIST(FIELD_DIST) };
static const struct state_field cpu_fields[] = {
	GIC_CPU_V3(FIELD_CPU) STATE_VALUE(struct gic_cpu, gicc_ctlr),
	STATE_VALUE(struct gic_cpu, gicc_pmr),
	STATE_VALUE(struct gic_cpu, gicc_bpr),
	STATE_VALUE(struct gic_cpu, gicc_abpr),
	STATE_VALUE(struct gic_cpu, gicc_apr0),
};

/* In the order in which they are written: the base resets the pointers, and the last enables. */
static const struct {
	u32 offset, at;
} its_regs[] = {
	{ GITS_CBASER, offsetof(struct gic_its, cbaser) },
	{ GITS_CWRITER, offsetof(struct gic_its, cwriter) },
	{ GITS_CREADR, offsetof(struct gic_its, creadr) },
	{ GITS_BASER, offsetof(struct gic_its, baser[0]) },
	{ GITS_BASER + 8, offsetof(struct gic_its, baser[1]) },
	{ GITS_BASER + 16, offsetof(struct gic_its, baser[2]) },
	{ GITS_BASER + 24, offsetof(struct gic_its, baser[3]) },
	{ GITS_BASER + 32, offsetof(struct gic_its, baser[4]) },
	{ GITS_BASER + 40, offsetof(struct gic_its, baser[5]) },
	{ GITS_BASER + 48, offsetof(struct gic_its, baser[6]) },
	{ GITS_BASER + 56, offsetof(struct gic_its, baser[7]) },
	{ GITS_CTLR, offsetof(struct gic_its, ctlr) },
};
static const struct state_field its_fields[] = {
	STATE_VALUE(struct gic_its, cbaser), STATE_VALUE(struct gic_its, cwriter),
	STATE_VALUE(struct gic_its, creadr), STATE_ARRAY(struct gic_its, baser),
	STATE_VALUE(struct gic_its, ctlr),
};

/* One part of the controller. */
struct part {
	const struct gic_device *gic;
	int fd;
	u64 target; /* the vcpu, in the upper half of an attribute */
	const struct gic_reg *regs;
	size_t nr_regs;
};

static u64 attr_of(const struct part *p, const struct gic_reg *r, u32 offset, u32 i)
{
	/* Levels are told by the number of the first of 32 interrupts. */
	return p->target | (offset + i * (r->group == LEVEL ? 32 : r->size));
}

static int reset_value(const struct part *p, const struct gic_reg *r, u32 i, u64 *value)
{
	int ret = 0;

	switch (r->reset) {
	case TO_ONES:
		*value = ~0U;
		break;
	case TO_SGIS:
		*value = ALL_SGIS;
		break;
	case TO_ICFGR:
		*value = p->gic->icfgr;
		break;
	case TO_PROPBASER:
		*value = i ? 0 : p->gic->propbaser;
		break;
	case TO_PENDBASER:
		*value = i ? 0 : p->gic->pendbaser;
		break;
	case TO_HOST_BITS:
		ret = kvm_get_attr(p->fd, r->group, attr_of(p, r, r->offset, i), value);
		*value &= ~ICC_CTLR_GUEST_BITS;
		break;
	default:
		*value = 0;
	}
	return ret;
}

/* @obj NULL: to the values of a reset. */
static int write_reg(const struct part *p, const struct gic_reg *r, const u8 *obj)
{
	const u32 ones = ~0U;
	int ret = 0;

	if (!obj && r->reset == TO_NOTHING)
		return 0;
	for (u32 i = 0; i < r->count && !ret; i++) {
		u64 value = 0;

		if (r->clear)
			ret = kvm_set_attr(p->fd, r->group, attr_of(p, r, r->clear, i), &ones);
		if (!ret && obj)
			memcpy(&value, obj + r->at + i * r->size, r->size);
		else if (!ret)
			ret = reset_value(p, r, i, &value);
		if (!ret)
			ret = kvm_set_attr(p->fd, r->group, attr_of(p, r, r->offset, i), &value);
	}
	return ret;
}

static int read_reg(const struct part *p, const struct gic_reg *r, u8 *obj)
{
	int ret = 0;

	for (u32 i = 0; i < r->count && !ret; i++)
		ret = kvm_get_attr(p->fd, r->group, attr_of(p, r, r->offset, i),
				   obj + r->at + i * r->size);
	return ret;
}

static int write_part(const struct part *p, const void *obj)
{
	u32 version = p->gic->v3 ? V3 : V2;
	int ret = 0;

	for (size_t i = 0; i < p->nr_regs && !ret; i++)
		if (p->regs[i].versions & version)
			ret = write_reg(p, &p->regs[i], obj);
	return ret;
}

static int read_part(const struct part *p, void *obj)
{
	u32 version = p->gic->v3 ? V3 : V2;
	int ret = 0;

	for (size_t i = 0; i < p->nr_regs && !ret; i++)
		if (p->regs[i].versions & version)
			ret = read_reg(p, &p->regs[i], obj);
	return ret;
}

/* The redistributor of a GICv3 is told by affinities, packed into 32 bits. */
static u64 v3_target(const struct vcpu *vcpu)
{
	u64 mpidr = vcpu->arch->mpidr;

	return ((mpidr >> 32 & 0xff) << 24 | (mpidr & 0xffffff)) << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;
}

static struct part dist_part(const struct gic_device *gic)
{
	return (struct part){ gic, gic->dev.vm->arch->gic.fd, 0, dist_regs, ARRAY_SIZE(dist_regs) };
}

static struct part cpu_part(const struct gic_device *gic, const struct vcpu *vcpu)
{
	u64 target = gic->v3 ? v3_target(vcpu) : (u64)vcpu->id << KVM_DEV_ARM_VGIC_CPUID_SHIFT;

	return (struct part){ gic, gic->dev.vm->arch->gic.fd, target, cpu_regs,
			      ARRAY_SIZE(cpu_regs) };
}

/* @dist and @cpus NULL: a reset. */
static int write_all(const struct gic_device *gic, const struct gic_dist *dist,
		     const struct gic_cpu *cpus)
{
	struct vm *vm = gic->dev.vm;
	struct part part = dist_part(gic);
	const u32 off = 0;
	int ret = write_part(&part, dist);

	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++) {
		part = cpu_part(gic, vm->vcpus[i]);
		/* The tables' addresses may not change while messages are enabled. */
		if (gic->v3)
			ret = kvm_set_attr(part.fd, RDIST, part.target | GICR_CTLR, &off);
		if (!ret)
			ret = write_part(&part, cpus ? &cpus[i] : NULL);
	}
	return ret;
}

static int its_control(const struct gic_device *gic, u64 what)
{
	int fd = gic->dev.vm->arch->gic.its_fd;

	return fd < 0 ? 0 : kvm_set_attr(fd, KVM_DEV_ARM_VGIC_GRP_CTRL, what, NULL);
}

static void gic_reset(struct device *dev)
{
	const struct gic_device *gic = container_of(dev, struct gic_device, dev);
	int ret = its_control(gic, KVM_DEV_ARM_ITS_CTRL_RESET);

	if (!ret)
		ret = write_all(gic, NULL, NULL);
	if (ret)
		guest_warn("interrupt controller: cannot reset it: %s", strerror(-ret));
}

/* State */

static int save_its(struct gic_device *gic)
{
	const struct arm_gic *a = &gic->dev.vm->arch->gic;
	int ret;

	if (a->its_fd < 0)
		return 0;
	ret = kvm_set_attr(a->fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES,
			   NULL);
	if (!ret)
		ret = its_control(gic, KVM_DEV_ARM_ITS_SAVE_TABLES);
	for (size_t i = 0; i < ARRAY_SIZE(its_regs) && !ret; i++)
		ret = kvm_get_attr(a->its_fd, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, its_regs[i].offset,
				   (u8 *)&gic->its + its_regs[i].at);
	return ret;
}

static int load_its(struct gic_device *gic)
{
	int fd = gic->dev.vm->arch->gic.its_fd;
	int ret = its_control(gic, KVM_DEV_ARM_ITS_CTRL_RESET);

	for (size_t i = 0; i < ARRAY_SIZE(its_regs) && fd >= 0 && !ret; i++) {
		if (its_regs[i].offset == GITS_CTLR)
			ret = its_control(gic, KVM_DEV_ARM_ITS_RESTORE_TABLES);
		if (!ret)
			ret = kvm_set_attr(fd, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, its_regs[i].offset,
					   (u8 *)&gic->its + its_regs[i].at);
	}
	return ret;
}

static int gic_save(void *obj)
{
	struct gic_device *gic = obj;
	struct vm *vm = gic->dev.vm;
	struct part part = dist_part(gic);
	int ret = read_part(&part, &gic->dist);

	gic->kind = vm->arch->gic.kind;
	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++) {
		part = cpu_part(gic, vm->vcpus[i]);
		ret = read_part(&part, &gic->cpus[i]);
	}
	if (!ret)
		ret = save_its(gic);
	if (ret)
		err("interrupt controller: cannot read its registers: %s", strerror(-ret));
	return ret;
}

static int gic_check(const void *obj)
{
	const struct gic_device *gic = obj;

	return gic->kind == gic->dev.vm->arch->gic.kind ? 0 : -EINVAL;
}

/* Redistributors before the ITS, which sends to them. */
static int gic_load(void *obj)
{
	struct gic_device *gic = obj;
	int ret = write_all(gic, &gic->dist, gic->cpus);

	if (!ret)
		ret = load_its(gic);
	if (ret)
		err("interrupt controller: cannot write its registers: %s", strerror(-ret));
	return ret;
}

static u32 nr_cpus(const void *obj)
{
	return ((const struct gic_device *)obj)->dev.vm->nr_vcpus;
}

static const struct device_state dist_state = { .version = 1, STATE_TABLE(dist_fields) };
static const struct device_state cpu_state = { .version = 1, STATE_TABLE(cpu_fields) };
static const struct device_state its_state = { .version = 1, STATE_TABLE(its_fields) };

static const struct state_field gic_fields[] = {
	STATE_VALUE(struct gic_device, kind),
	STATE_PART(struct gic_device, dist, &dist_state),
	STATE_PARTS_AT(struct gic_device, cpus, nr_cpus, &cpu_state),
	STATE_PART(struct gic_device, its, &its_state),
};

static const struct device_state gic_state = {
	.version = 1,
	STATE_TABLE(gic_fields),
	.device_at = offsetof(struct gic_device, dev),
	.save = gic_save,
	.check = gic_check,
	.load = gic_load,
};

/* The device */

static int gic_realize(struct device *dev, struct vm *vm)
{
	struct gic_device *gic = container_of(dev, struct gic_device, dev);
	int fd = vm->arch->gic.fd, ret;
	u64 target;

	gic->kind = vm->arch->gic.kind;
	gic->cpus = xcalloc(vm->nr_vcpus, sizeof(gic->cpus[0]));
	gic->v3 = vm->arch->gic.kind == ARM_IRQCHIP_GICV3 ||
		  vm->arch->gic.kind == ARM_IRQCHIP_GICV3_ITS;
	ret = kvm_get_attr(fd, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, GICD_ICFGR + 32 / 4, &gic->icfgr);
	if (!ret && gic->v3) {
		target = v3_target(vm->vcpus[0]);
		ret = kvm_get_attr(fd, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, target | GICR_PROPBASER,
				   &gic->propbaser);
		if (!ret)
			ret = kvm_get_attr(fd, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
					   target | GICR_PENDBASER, &gic->pendbaser);
	}
	if (ret)
		err("interrupt controller: cannot read its registers: %s", strerror(-ret));
	return ret;
}

static void gic_free(struct gic_device *gic)
{
	free(gic->cpus);
	free(gic);
}

static void gic_device_destroy(struct device *dev)
{
	gic_free(container_of(dev, struct gic_device, dev));
}

static const struct device_ops gic_device_ops = {
	.realize = gic_realize,
	.reset = gic_reset,
	.state = &gic_state,
	.destroy = gic_device_destroy,
};

int arm_gic_add_devices(struct vm *vm)
{
	struct gic_device *gic;
	int ret;

	/* Without KVM there is nothing to reset. */
	if (vm->kvm.vm_fd < 0)
		return 0;
	gic = xcalloc(1, sizeof(*gic));
	gic->dev.name = "gic";
	gic->dev.ops = &gic_device_ops;
	ret = device_add(vm, &gic->dev);
	if (ret) {
		gic_free(gic);
		return ret;
	}
	if (vm->arch->gic.kind != ARM_IRQCHIP_GICV2M)
		return 0;
	return arm_gicv2m_create(vm, vm->arch->gic.msi_base);
}
