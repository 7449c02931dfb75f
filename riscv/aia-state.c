/* SPDX-License-Identifier: MIT */
/*
 * The registers of the AIA in KVM: what is saved and loaded, and zeroed by a reset, which KVM does
 * not do for the APLIC (RISC-V Advanced Interrupt Architecture 1.0, 4.5 and 3.8; Linux
 * arch/riscv/kvm/aia_aplic.c, aia_imsic.c). Lines are the devices': those drive them again when
 * they are loaded, and the APLIC sends once more what is high.
 */
#include <stdlib.h>

#include "layout.h"
#include "lkvm/device.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "riscv.h"

/* APLIC: a word for each source from 1 on, or for 32 of them. */
#define DOMAINCFG 0x0000U
#define SOURCECFG 0x0004U
#define SETIP	  0x1c00U
#define CLRIP	  0x1d00U
#define SETIE	  0x1e00U
#define CLRIE	  0x1f00U
#define TARGET	  0x3004U
#define IE	  BIT(8) /* of domaincfg: the others are read-only */

/* IMSIC: numbers of its indirect registers. Those of 64 identities have even ones. */
#define EIDELIVERY  0x70U
#define EITHRESHOLD 0x72U
#define EIP	    0x80U
#define EIE	    0xc0U

#define MAX_SOURCES (RISCV_NR_LINES - 1)
#define MAX_WORDS   (RISCV_NR_LINES / 32)
#define MAX_IDS	    2047U

struct aplic {
	u32 domaincfg, sourcecfg[MAX_SOURCES], target[MAX_SOURCES];
	u32 setip[MAX_WORDS], setie[MAX_WORDS];
};

struct imsic {
	u64 eidelivery, eithreshold;
	u64 eip[(MAX_IDS + 1) / 64], eie[(MAX_IDS + 1) / 64];
};

struct aia_device {
	struct device dev;
	/* Of KVM's; what is loaded has to be of such a one. */
	u32 num_ids, num_sources;
	/* While it is saved or loaded. */
	struct aplic aplic;
	struct imsic *imsics;
};

static const struct riscv_irqchip *chip_of(const struct aia_device *aia)
{
	return &aia->dev.vm->arch->irqchip;
}

/* @count registers from @offset on, read into @to, or written from @from; NULL: with ones. */

static int read_words(const struct aia_device *aia, u32 offset, u32 *to, u32 count)
{
	int ret = 0;

	for (u32 i = 0; i < count && !ret; i++)
		ret = kvm_get_attr(chip_of(aia)->fd, KVM_DEV_RISCV_AIA_GRP_APLIC, offset + 4 * i,
				   &to[i]);
	return ret;
}

static int write_words(const struct aia_device *aia, u32 offset, const u32 *from, u32 count)
{
	const u32 ones = ~0U;
	int ret = 0;

	for (u32 i = 0; i < count && !ret; i++)
		ret = kvm_set_attr(chip_of(aia)->fd, KVM_DEV_RISCV_AIA_GRP_APLIC, offset + 4 * i,
				   from ? &from[i] : &ones);
	return ret;
}

static u64 imsic_attr(u32 vcpu, u32 reg)
{
	return KVM_DEV_RISCV_AIA_IMSIC_MKATTR((u64)vcpu, reg);
}

static int read_imsic_regs(const struct aia_device *aia, u32 vcpu, u32 reg, u64 *to, u32 count)
{
	int ret = 0;

	for (u32 i = 0; i < count && !ret; i++)
		ret = kvm_get_attr(chip_of(aia)->fd, KVM_DEV_RISCV_AIA_GRP_IMSIC,
				   imsic_attr(vcpu, reg + 2 * i), &to[i]);
	return ret;
}

static int write_imsic_regs(const struct aia_device *aia, u32 vcpu, u32 reg, const u64 *from,
			    u32 count)
{
	int ret = 0;

	for (u32 i = 0; i < count && !ret; i++)
		ret = kvm_set_attr(chip_of(aia)->fd, KVM_DEV_RISCV_AIA_GRP_IMSIC,
				   imsic_attr(vcpu, reg + 2 * i), &from[i]);
	return ret;
}

/* The whole of each part */

static u32 nr_words(const struct aia_device *aia)
{
	return aia->num_sources / 32 + 1;
}

static u32 nr_imsic_words(const struct aia_device *aia)
{
	return (aia->num_ids + 1) / 64;
}

static int read_aplic(const struct aia_device *aia, struct aplic *a)
{
	int ret = read_words(aia, DOMAINCFG, &a->domaincfg, 1);

	a->domaincfg &= IE;
	if (!ret)
		ret = read_words(aia, SOURCECFG, a->sourcecfg, aia->num_sources);
	if (!ret)
		ret = read_words(aia, TARGET, a->target, aia->num_sources);
	if (!ret)
		ret = read_words(aia, SETIP, a->setip, nr_words(aia));
	return ret ? ret : read_words(aia, SETIE, a->setie, nr_words(aia));
}

/* Nothing is sent on the way: enabled is what was not pending, and all is there when the domain
 * speaks. A source that is off has no pending bit that could be written. */
static int write_aplic(const struct aia_device *aia, const struct aplic *a)
{
	int ret = write_words(aia, CLRIE, NULL, nr_words(aia));

	if (!ret)
		ret = write_words(aia, CLRIP, NULL, nr_words(aia));
	if (!ret)
		ret = write_words(aia, SOURCECFG, a->sourcecfg, aia->num_sources);
	if (!ret)
		ret = write_words(aia, TARGET, a->target, aia->num_sources);
	if (!ret)
		ret = write_words(aia, SETIP, a->setip, nr_words(aia));
	if (!ret)
		ret = write_words(aia, SETIE, a->setie, nr_words(aia));
	return ret ? ret : write_words(aia, DOMAINCFG, &a->domaincfg, 1);
}

static int read_imsic(const struct aia_device *aia, u32 vcpu, struct imsic *m)
{
	int ret = read_imsic_regs(aia, vcpu, EIDELIVERY, &m->eidelivery, 1);

	if (!ret)
		ret = read_imsic_regs(aia, vcpu, EITHRESHOLD, &m->eithreshold, 1);
	if (!ret)
		ret = read_imsic_regs(aia, vcpu, EIP, m->eip, nr_imsic_words(aia));
	return ret ? ret : read_imsic_regs(aia, vcpu, EIE, m->eie, nr_imsic_words(aia));
}

static int write_imsic(const struct aia_device *aia, u32 vcpu, const struct imsic *m)
{
	const u64 off = 0;
	int ret = write_imsic_regs(aia, vcpu, EIDELIVERY, &off, 1);

	if (!ret)
		ret = write_imsic_regs(aia, vcpu, EITHRESHOLD, &m->eithreshold, 1);
	if (!ret)
		ret = write_imsic_regs(aia, vcpu, EIP, m->eip, nr_imsic_words(aia));
	if (!ret)
		ret = write_imsic_regs(aia, vcpu, EIE, m->eie, nr_imsic_words(aia));
	return ret ? ret : write_imsic_regs(aia, vcpu, EIDELIVERY, &m->eidelivery, 1);
}

/* The APLIC is quiet before what it sends to changes, and speaks again when that is whole. */
static int write_all(const struct aia_device *aia, const struct aplic *aplic,
		     const struct imsic *imsics)
{
	static const struct imsic zero;
	static const struct aplic quiet;
	int ret = write_aplic(aia, &quiet);

	for (u32 i = 0; i < aia->dev.vm->nr_vcpus && !ret; i++)
		ret = write_imsic(aia, i, imsics ? &imsics[i] : &zero);
	return ret || !aplic ? ret : write_aplic(aia, aplic);
}

static void aia_reset(struct device *dev)
{
	int ret = write_all(container_of(dev, struct aia_device, dev), NULL, NULL);

	if (ret)
		guest_warn("interrupt controller: cannot reset it: %s", strerror(-ret));
}

/* State */

static int aia_save(void *obj)
{
	struct aia_device *aia = obj;
	int ret;

	aia->num_ids = chip_of(aia)->num_ids;
	aia->num_sources = chip_of(aia)->num_sources;
	ret = read_aplic(aia, &aia->aplic);
	for (u32 i = 0; i < aia->dev.vm->nr_vcpus && !ret; i++)
		ret = read_imsic(aia, i, &aia->imsics[i]);
	if (ret)
		err("interrupt controller: cannot read its registers: %s", strerror(-ret));
	return ret;
}

static int aia_check(const void *obj)
{
	const struct aia_device *aia = obj;

	return aia->num_ids == chip_of(aia)->num_ids &&
			       aia->num_sources == chip_of(aia)->num_sources
		       ? 0
		       : -EINVAL;
}

static int aia_load(void *obj)
{
	const struct aia_device *aia = obj;
	int ret = write_all(aia, &aia->aplic, aia->imsics);

	if (ret)
		err("interrupt controller: cannot write its registers: %s", strerror(-ret));
	return ret;
}

static u32 nr_imsics(const void *obj)
{
	return ((const struct aia_device *)obj)->dev.vm->nr_vcpus;
}

static const struct state_field aplic_fields[] = {
	STATE_VALUE(struct aplic, domaincfg), STATE_ARRAY(struct aplic, sourcecfg),
	STATE_ARRAY(struct aplic, target),    STATE_ARRAY(struct aplic, setip),
	STATE_ARRAY(struct aplic, setie),
};
static const struct device_state aplic_state = { .version = 1, STATE_TABLE(aplic_fields) };

static const struct state_field imsic_fields[] = {
	STATE_VALUE(struct imsic, eidelivery),
	STATE_VALUE(struct imsic, eithreshold),
	STATE_ARRAY(struct imsic, eip),
	STATE_ARRAY(struct imsic, eie),
};
static const struct device_state imsic_state = { .version = 1, STATE_TABLE(imsic_fields) };

static const struct state_field aia_fields[] = {
	STATE_VALUE(struct aia_device, num_ids),
	STATE_VALUE(struct aia_device, num_sources),
	STATE_PART(struct aia_device, aplic, &aplic_state),
	STATE_PARTS_AT(struct aia_device, imsics, nr_imsics, &imsic_state),
};

static const struct device_state aia_state = {
	.version = 1,
	STATE_TABLE(aia_fields),
	.device_at = offsetof(struct aia_device, dev),
	.save = aia_save,
	.check = aia_check,
	.load = aia_load,
};

/* The device */

static int aia_realize(struct device *dev, struct vm *vm)
{
	struct aia_device *aia = container_of(dev, struct aia_device, dev);

	aia->num_ids = vm->arch->irqchip.num_ids;
	aia->num_sources = vm->arch->irqchip.num_sources;
	if (aia->num_ids > MAX_IDS || aia->num_sources > MAX_SOURCES) {
		err("interrupt controller: an IMSIC of KVM's has %u identities, more than %u",
		    aia->num_ids, MAX_IDS);
		return -EINVAL;
	}
	aia->imsics = xcalloc(vm->nr_vcpus, sizeof(aia->imsics[0]));
	return 0;
}

static void aia_free(struct aia_device *aia)
{
	free(aia->imsics);
	free(aia);
}

static void aia_destroy(struct device *dev)
{
	aia_free(container_of(dev, struct aia_device, dev));
}

static const struct device_ops aia_device_ops = {
	.realize = aia_realize,
	.reset = aia_reset,
	.state = &aia_state,
	.destroy = aia_destroy,
};

int riscv_aia_add_device(struct vm *vm)
{
	struct aia_device *aia;
	int ret;

	/* Without KVM there is nothing to reset. */
	if (vm->kvm.vm_fd < 0)
		return 0;
	aia = xcalloc(1, sizeof(*aia));
	aia->dev.name = "aia";
	aia->dev.ops = &aia_device_ops;
	ret = device_add(vm, &aia->dev);
	if (ret)
		aia_free(aia);
	return ret;
}
