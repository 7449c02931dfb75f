/* SPDX-License-Identifier: MIT */
/*
 * The CPU model applied: which extensions of the ISA and of the SBI the vcpus have (Linux
 * Documentation/virt/kvm/api.rst, 4.68; arch/riscv/kvm/vcpu_onereg.c). The first vcpu tells what
 * the host has, and what KVM lets one change; the others are made like it, and the device tree
 * describes it.
 */
#include "cpu.h"

#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/fdt.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* Hz; of a machine that is only described. */
#define SKETCH_TIMEBASE 10000000U
#define SATP_MODE_SV39	8U

/* What KVM knows an extension's register as: what it can have, what it has. */
struct ext_regs {
	struct riscv_ext_set there, on;
};

/* To be written to each vcpu. */
struct change {
	u64 reg;
	u64 value;
};

struct riscv_cpu {
	struct riscv_cpu_model model;
	struct ext_regs isa, sbi;
	struct change changes[RISCV_MAX_EXTS + RISCV_NR_SBI_EXTS + RISCV_NR_CPU_IDS];
	u32 nr_changes;
	u64 satp_mode;
	u64 cbom_size, cboz_size, cbop_size; /* bytes; 0: not known */
	u64 timebase;			     /* Hz */
};

int riscv_cpu_check(const struct vm_config *cfg)
{
	struct riscv_cpu_model model;

	return riscv_cpu_model_parse(cfg, &model);
}

int riscv_cpu_init(struct vm *vm)
{
	vm->arch->cpu = xcalloc(1, sizeof(*vm->arch->cpu));
	return riscv_cpu_model_parse(vm->cfg, &vm->arch->cpu->model);
}

void riscv_cpu_destroy(struct vm *vm)
{
	free(vm->arch->cpu);
	vm->arch->cpu = NULL;
}

/* RV64GC with a timer, as the words change it: nothing that depends on the host. */
int riscv_cpu_sketch(struct vm *vm)
{
	struct riscv_cpu *cpu;
	int ret = riscv_cpu_init(vm);

	if (ret)
		return ret;
	cpu = vm->arch->cpu;
	for (u32 i = 0; i < riscv_nr_exts; i++) {
		const struct riscv_ext *ext = &riscv_exts[i];
		u8 want = cpu->model.isa[ext->id];

		riscv_ext_put(&cpu->isa.on, ext->id,
			      want == RISCV_ON ||
				      (want == RISCV_AS_BASE &&
				       (ext->flags & RISCV_EXT_MIN || ext->id == RISCV_EXT_SSTC)));
	}
	cpu->satp_mode = SATP_MODE_SV39;
	cpu->timebase = SKETCH_TIMEBASE;
	return 0;
}

static void note_reg(const struct vcpu *vcpu, struct ext_regs *regs, u32 id, u64 reg)
{
	u64 value;

	if (id >= RISCV_MAX_EXTS || vcpu_get_reg(vcpu, reg, &value))
		return;
	riscv_ext_put(&regs->there, id, true);
	riscv_ext_put(&regs->on, id, value == 1);
}

/* Resets and the vcpu's state need the list as well. */
static int read_exts(const struct vcpu *vcpu, struct riscv_cpu *cpu)
{
	struct kvm_reg_list *list;
	int ret = vcpu_list_regs(vcpu, &list);

	memset(&cpu->isa, 0, sizeof(cpu->isa));
	memset(&cpu->sbi, 0, sizeof(cpu->sbi));
	if (ret) {
		err("this host's KVM does not list what its vcpus have: %s; it needs Linux 6.6",
		    strerror(-ret));
		return ret;
	}
	/* Other registers of extensions, for many at once, have other indices. */
	for (u64 i = 0; i < list->n; i++) {
		u64 reg = list->reg[i];

		if (reg - RISCV_ISA_EXT_REG(0) < RISCV_MAX_EXTS)
			note_reg(vcpu, &cpu->isa, (u32)(reg - RISCV_ISA_EXT_REG(0)), reg);
		else if (reg - RISCV_SBI_EXT_REG(0) < RISCV_NR_SBI_EXTS)
			note_reg(vcpu, &cpu->sbi, (u32)(reg - RISCV_SBI_EXT_REG(0)), reg);
	}
	free(list);
	return 0;
}

static int change(const struct vcpu *vcpu, struct riscv_cpu *cpu, u64 reg, u64 value)
{
	int ret = vcpu_set_reg(vcpu, reg, &value);

	if (!ret)
		cpu->changes[cpu->nr_changes++] = (struct change){ reg, value };
	return ret;
}

static int missing(const struct riscv_ext *ext, bool nested, int error)
{
	const char *why =
		error ? riscv_ext_why_not(ext->id) : "the host's CPUs or its KVM do not have it";

	if (nested && ext->id == RISCV_EXT_H)
		err("--nested: is not available on this host: %s; omit it", why);
	else
		err("--cpu: '%s' is not available on this host: %s; omit +%s", ext->name, why,
		    ext->name);
	return -EOPNOTSUPP;
}

/* The AIA of KVM is what a guest with Ssaia drives; it finds nothing behind it where a PLIC is. */
static bool unwanted(const struct vcpu *vcpu, const struct riscv_ext *ext)
{
	return ext->id == RISCV_EXT_SSAIA && vcpu->vm->arch->irqchip.kind == RISCV_IRQCHIP_PLIC;
}

static int switch_on(const struct vcpu *vcpu, struct riscv_cpu *cpu, const struct riscv_ext *ext)
{
	bool nested = vcpu->vm->cfg->riscv.nested;
	int ret;

	if (!riscv_ext_in(&cpu->isa.there, ext->id))
		return missing(ext, nested, 0);
	if (riscv_ext_in(&cpu->isa.on, ext->id))
		return 0;
	ret = change(vcpu, cpu, RISCV_ISA_EXT_REG(ext->id), 1);
	return ret ? missing(ext, nested, ret) : 0;
}

static int switch_off(const struct vcpu *vcpu, struct riscv_cpu *cpu, const struct riscv_ext *ext)
{
	if (!riscv_ext_in(&cpu->isa.on, ext->id))
		return 0;
	if (ext->id == RISCV_EXT_SSAIA && vcpu->vm->arch->irqchip.kind == RISCV_IRQCHIP_AIA) {
		err("--cpu: '%s' is what the AIA needs; omit -%s, or use --irqchip plic", ext->name,
		    ext->name);
		return -EOPNOTSUPP;
	}
	if (!change(vcpu, cpu, RISCV_ISA_EXT_REG(ext->id), 0))
		return 0;
	err("--cpu: '%s' cannot be switched off on this host: %s; omit -%s", ext->name,
	    riscv_ext_why_fixed(ext->id), ext->name);
	return -EOPNOTSUPP;
}

/* What no word says: as far as KVM allows it. */
static void as_base(const struct vcpu *vcpu, struct riscv_cpu *cpu, const struct riscv_ext *ext)
{
	const u64 reg = RISCV_ISA_EXT_REG(ext->id);
	bool on = riscv_ext_in(&cpu->isa.on, ext->id);
	bool off = riscv_cpu_model_lacks(&cpu->model, ext) || unwanted(vcpu, ext) ||
		   (cpu->model.base == RISCV_CPU_MIN && !(ext->flags & RISCV_EXT_MIN));
	int ret = 0;

	if (on && off)
		ret = change(vcpu, cpu, reg, 0);
	else if (!on && !off && cpu->model.base == RISCV_CPU_MAX &&
		 riscv_ext_in(&cpu->isa.there, ext->id))
		ret = change(vcpu, cpu, reg, 1);
	if (ret)
		debug("--cpu: '%s' stays %s: %s", ext->name, on ? "on" : "off", strerror(-ret));
}

static int apply_isa(const struct vcpu *vcpu, struct riscv_cpu *cpu)
{
	int ret = 0;

	for (u32 i = 0; i < riscv_nr_exts && !ret; i++) {
		const struct riscv_ext *ext = &riscv_exts[i];

		switch (cpu->model.isa[ext->id]) {
		case RISCV_ON:
			ret = switch_on(vcpu, cpu, ext);
			break;
		case RISCV_OFF:
			ret = switch_off(vcpu, cpu, ext);
			break;
		default:
			as_base(vcpu, cpu, ext);
		}
	}
	return ret;
}

/* KVM leaves to userspace whether there are those that userspace has to answer: lkvm does. */
static enum riscv_switch sbi_default(u32 id)
{
	return id == RISCV_SBI_DBCN || id == RISCV_SBI_SUSP ? RISCV_ON : RISCV_AS_BASE;
}

static int apply_sbi(const struct vcpu *vcpu, struct riscv_cpu *cpu)
{
	for (u32 id = 0; id < RISCV_NR_SBI_EXTS; id++) {
		enum riscv_switch asked = cpu->model.sbi[id];
		enum riscv_switch want = asked == RISCV_AS_BASE ? sbi_default(id) : asked;
		bool there = riscv_ext_in(&cpu->sbi.there, id);
		int ret;

		if (asked == RISCV_ON && !there) {
			err("--sbi: '%s' is not available on this host: its KVM does not have it; "
			    "omit +%s",
			    riscv_sbi_names[id], riscv_sbi_names[id]);
			return -EOPNOTSUPP;
		}
		if (!there || want == RISCV_AS_BASE ||
		    (want == RISCV_ON) == riscv_ext_in(&cpu->sbi.on, id))
			continue;
		ret = change(vcpu, cpu, RISCV_SBI_EXT_REG(id), want == RISCV_ON);
		if (ret) {
			err("--sbi: KVM does not switch '%s' %s: %s", riscv_sbi_names[id],
			    want == RISCV_ON ? "on" : "off", strerror(-ret));
			return ret;
		}
	}
	return 0;
}

static int apply_ids(const struct vcpu *vcpu, struct riscv_cpu *cpu)
{
	for (u32 i = 0; i < RISCV_NR_CPU_IDS; i++) {
		int ret;

		if (!cpu->model.has_id[i])
			continue;
		ret = change(vcpu, cpu, RISCV_CONFIG_REG(RISCV_CONFIG_MVENDORID + i),
			     cpu->model.id[i]);
		if (ret) {
			err("--cpu: this host's KVM does not let %s be 0x%llx: %s; omit it",
			    riscv_cpu_id_names[i], cpu->model.id[i], strerror(-ret));
			return ret;
		}
	}
	return 0;
}

/* What KVM does not tell is zero. */
static u64 tell(const struct vcpu *vcpu, u64 reg)
{
	u64 value = 0;

	return vcpu_get_reg(vcpu, reg, &value) ? 0 : value;
}

static void read_config(const struct vcpu *vcpu, struct riscv_cpu *cpu)
{
	cpu->cbom_size = tell(vcpu, RISCV_CONFIG_REG(RISCV_CONFIG_CBOM_SIZE));
	cpu->cboz_size = tell(vcpu, RISCV_CONFIG_REG(RISCV_CONFIG_CBOZ_SIZE));
	cpu->cbop_size = tell(vcpu, RISCV_CONFIG_REG(RISCV_CONFIG_CBOP_SIZE));
	cpu->timebase = tell(vcpu, RISCV_TIMER_REG(KVM_REG_RISCV_TIMER_REG(frequency)));
	/* Where KVM does not say: all that Linux runs on has this one. */
	if (vcpu_get_reg(vcpu, RISCV_CONFIG_REG(RISCV_CONFIG_SATP_MODE), &cpu->satp_mode))
		cpu->satp_mode = SATP_MODE_SV39;
}

static int first_vcpu(const struct vcpu *vcpu, struct riscv_cpu *cpu)
{
	bool changed;
	int ret = read_exts(vcpu, cpu);

	if (ret)
		return ret;
	cpu->nr_changes = 0;
	ret = apply_isa(vcpu, cpu);
	changed = cpu->nr_changes;
	if (!ret)
		ret = apply_sbi(vcpu, cpu);
	if (!ret)
		ret = apply_ids(vcpu, cpu);
	if (ret)
		return ret;
	/* What the guest is told is what the registers say now. */
	if (changed)
		ret = read_exts(vcpu, cpu);
	read_config(vcpu, cpu);
	return ret;
}

int riscv_cpu_vcpu(struct vcpu *vcpu)
{
	struct riscv_cpu *cpu = vcpu->vm->arch->cpu;
	int ret = 0;

	if (!vcpu->id)
		return first_vcpu(vcpu, cpu);
	for (u32 i = 0; i < cpu->nr_changes && !ret; i++)
		ret = vcpu_set_reg(vcpu, cpu->changes[i].reg, &cpu->changes[i].value);
	if (ret)
		err("vcpu %u: cannot be made like vcpu 0: %s", vcpu->id, strerror(-ret));
	return ret;
}

static void block_size(struct fdtw *fdt, const struct riscv_cpu *cpu, u32 id, const char *name,
		       u64 size)
{
	if (riscv_ext_in(&cpu->isa.on, id) && size && size <= UINT32_MAX)
		fdtw_u32(fdt, name, (u32)size);
}

/* riscv/cpus.yaml, extensions.yaml. Linux before 6.7 reads riscv,isa alone. */
void riscv_cpu_describe(const struct vm *vm, struct fdtw *fdt)
{
	const struct riscv_cpu *cpu = vm->arch->cpu;
	const char *names[RISCV_MAX_EXTS + 1];
	struct riscv_ext_set on = cpu->isa.on;
	char *isa;

	/* It is on where KVM cannot hide it. */
	if (vm->arch->irqchip.kind == RISCV_IRQCHIP_PLIC &&
	    cpu->model.isa[RISCV_EXT_SSAIA] != RISCV_ON)
		riscv_ext_put(&on, RISCV_EXT_SSAIA, false);
	isa = riscv_isa_string(&on);
	riscv_isa_names(&on, names);
	fdtw_string(fdt, "riscv,isa", isa);
	fdtw_string(fdt, "riscv,isa-base", "rv64i");
	fdtw_strings(fdt, "riscv,isa-extensions", names);
	fdtw_string(fdt, "mmu-type", riscv_mmu_type(cpu->satp_mode));
	block_size(fdt, cpu, RISCV_EXT_ZICBOM, "riscv,cbom-block-size", cpu->cbom_size);
	block_size(fdt, cpu, RISCV_EXT_ZICBOP, "riscv,cbop-block-size", cpu->cbop_size);
	block_size(fdt, cpu, RISCV_EXT_ZICBOZ, "riscv,cboz-block-size", cpu->cboz_size);
	free(isa);
}

u32 riscv_cpu_timebase(const struct vm *vm)
{
	return (u32)vm->arch->cpu->timebase;
}
