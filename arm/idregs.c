/* SPDX-License-Identifier: MIT */
/*
 * The features that stand in ID registers: which field means what (Arm ARM DDI0487, D24.2), and
 * changing them as --cpu says, within what KVM lets one write (Linux
 * Documentation/virt/kvm/api.rst, 4.139 KVM_ARM_GET_REG_WRITABLE_MASKS).
 */
#include "arm.h"
#include "cpu.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define PFR0  ARM_ID_REG(4, 0)
#define PFR1  ARM_ID_REG(4, 1)
#define PFR2  ARM_ID_REG(4, 2)
#define ZFR0  ARM_ID_REG(4, 4)
#define DFR0  ARM_ID_REG(5, 0)
#define ISAR0 ARM_ID_REG(6, 0)
#define ISAR1 ARM_ID_REG(6, 1)
#define ISAR2 ARM_ID_REG(6, 2)
#define ISAR3 ARM_ID_REG(6, 3)
#define MMFR0 ARM_ID_REG(7, 0)
#define MMFR1 ARM_ID_REG(7, 1)
#define MMFR2 ARM_ID_REG(7, 2)
#define MMFR3 ARM_ID_REG(7, 3)

/* ID_AA64MMFR0_EL1.PARange, bits 3 to 0. */
#define PARANGE_SHIFT	0
#define PARANGE_48_BITS 5

/* A feature that is there from @level on, and one less is without it. */
#define FIELD(name, reg, shift, level)                                    \
	{                                                                 \
		name, ARM_PROP_FIELD, reg, shift, level, (level)-1, false \
	}
/* The value without it is another. */
#define FIELD_OFF(name, reg, shift, level, off)                     \
	{                                                           \
		name, ARM_PROP_FIELD, reg, shift, level, off, false \
	}
/* 0xf means that it is not there. */
#define FIELD_SIGNED(name, reg, shift, level)                                    \
	{                                                                        \
		name, ARM_PROP_FIELD, reg, shift, level, ((level)-1) & 0xf, true \
	}

/* clang-format off */
const struct arm_cpu_prop arm_cpu_props[] = {
	{ .name = "sve", .kind = ARM_PROP_SVE },
	{ .name = "pauth", .kind = ARM_PROP_PAUTH },
	{ .name = "pmu", .kind = ARM_PROP_PMU },
	{ .name = "mte", .kind = ARM_PROP_MTE },
	{ .name = "sme", .kind = ARM_PROP_SME },

	FIELD_OFF("aarch32-el0", PFR0, 0, 2, 1),
	FIELD_SIGNED("fp16", PFR0, 16, 1),
	FIELD_SIGNED("fp16", PFR0, 20, 1),
	FIELD("ras", PFR0, 28, 1), FIELD("rasv1p1", PFR0, 28, 2),
	FIELD("mpam", PFR0, 40, 1), FIELD("amu", PFR0, 44, 1), FIELD("dit", PFR0, 48, 1),
	FIELD("csv2", PFR0, 56, 1), FIELD("csv2-2", PFR0, 56, 2), FIELD("csv3", PFR0, 60, 1),

	FIELD("bti", PFR1, 0, 1), FIELD("ssbs", PFR1, 4, 1), FIELD("ssbs2", PFR1, 4, 2),
	FIELD("mte3", PFR1, 8, 3), FIELD("rng-trap", PFR1, 28, 1), FIELD("nmi", PFR1, 36, 1),
	FIELD("gcs", PFR1, 44, 1), FIELD("the", PFR1, 48, 1), FIELD("doublefault2", PFR1, 56, 1),
	FIELD("pfar", PFR1, 60, 1),

	FIELD("mte-perm", PFR2, 0, 1), FIELD("mte-store-only", PFR2, 4, 1),
	FIELD("mte-tagged-far", PFR2, 8, 1), FIELD("fpmr", PFR2, 32, 1),

	FIELD("sve2", ZFR0, 0, 1), FIELD("sve2p1", ZFR0, 0, 2),
	FIELD("sve-aes", ZFR0, 4, 1), FIELD("sve-pmull128", ZFR0, 4, 2),
	FIELD("sve-bitperm", ZFR0, 16, 1), FIELD("sve-bf16", ZFR0, 20, 1),
	FIELD("sve-b16b16", ZFR0, 24, 1), FIELD("sve-sha3", ZFR0, 32, 1),
	FIELD("sve-sm4", ZFR0, 40, 1), FIELD("sve-i8mm", ZFR0, 44, 1),
	FIELD("f32mm", ZFR0, 52, 1), FIELD("f64mm", ZFR0, 56, 1),

	FIELD("hpmn0", DFR0, 60, 1),

	FIELD("aes", ISAR0, 4, 1), FIELD("pmull", ISAR0, 4, 2), FIELD("sha1", ISAR0, 8, 1),
	FIELD("sha256", ISAR0, 12, 1), FIELD("sha512", ISAR0, 12, 2), FIELD("crc32", ISAR0, 16, 1),
	FIELD_OFF("lse", ISAR0, 20, 2, 0), FIELD("lse128", ISAR0, 20, 3), FIELD("tme", ISAR0, 24, 1),
	FIELD("rdm", ISAR0, 28, 1), FIELD("sha3", ISAR0, 32, 1), FIELD("sm3", ISAR0, 36, 1),
	FIELD("sm4", ISAR0, 40, 1), FIELD("dotprod", ISAR0, 44, 1), FIELD("fhm", ISAR0, 48, 1),
	FIELD("flagm", ISAR0, 52, 1), FIELD("flagm2", ISAR0, 52, 2), FIELD("tlbios", ISAR0, 56, 1),
	FIELD("tlbirange", ISAR0, 56, 2), FIELD("rng", ISAR0, 60, 1),

	FIELD("dpb", ISAR1, 0, 1), FIELD("dpb2", ISAR1, 0, 2), FIELD("jscvt", ISAR1, 12, 1),
	FIELD("fcma", ISAR1, 16, 1), FIELD("lrcpc", ISAR1, 20, 1), FIELD("lrcpc2", ISAR1, 20, 2),
	FIELD("lrcpc3", ISAR1, 20, 3), FIELD("frintts", ISAR1, 32, 1), FIELD("sb", ISAR1, 36, 1),
	FIELD("specres", ISAR1, 40, 1), FIELD("specres2", ISAR1, 40, 2), FIELD("bf16", ISAR1, 44, 1),
	FIELD("ebf16", ISAR1, 44, 2), FIELD("dgh", ISAR1, 48, 1), FIELD("i8mm", ISAR1, 52, 1),
	FIELD("xs", ISAR1, 56, 1), FIELD("ls64", ISAR1, 60, 1), FIELD("ls64-v", ISAR1, 60, 2),
	FIELD("ls64-accdata", ISAR1, 60, 3),

	FIELD_OFF("wfxt", ISAR2, 0, 2, 0), FIELD("rpres", ISAR2, 4, 1), FIELD("mops", ISAR2, 16, 1),
	FIELD("hbc", ISAR2, 20, 1), FIELD("clrbhb", ISAR2, 28, 1), FIELD("sysreg128", ISAR2, 32, 1),
	FIELD("sysinstr128", ISAR2, 36, 1), FIELD("prfmslc", ISAR2, 40, 1), FIELD("rprfm", ISAR2, 48, 1),
	FIELD("cssc", ISAR2, 52, 1), FIELD("lut", ISAR2, 56, 1), FIELD("ats1a", ISAR2, 60, 1),

	FIELD("cpa", ISAR3, 0, 1), FIELD("faminmax", ISAR3, 4, 1), FIELD("tlbiw", ISAR3, 8, 1),
	FIELD("lsfe", ISAR3, 16, 1), FIELD("occmo", ISAR3, 20, 1), FIELD("lsui", ISAR3, 24, 1),
	FIELD("fprcvt", ISAR3, 28, 1),

	FIELD_OFF("asid16", MMFR0, 4, 2, 0), FIELD("mixed-endian", MMFR0, 8, 1),
	FIELD("granule-16k", MMFR0, 20, 1), FIELD_SIGNED("granule-64k", MMFR0, 24, 0),
	FIELD_SIGNED("granule-4k", MMFR0, 28, 0), FIELD("exs", MMFR0, 44, 1), FIELD("fgt", MMFR0, 56, 1),
	FIELD("fgt2", MMFR0, 56, 2), FIELD("ecv", MMFR0, 60, 1),

	FIELD("haf", MMFR1, 0, 1), FIELD("hafdbs", MMFR1, 0, 2), FIELD("haft", MMFR1, 0, 3),
	FIELD_OFF("vmid16", MMFR1, 4, 2, 0), FIELD("hpds", MMFR1, 12, 1), FIELD("hpds2", MMFR1, 12, 2),
	FIELD("lor", MMFR1, 16, 1), FIELD("pan", MMFR1, 20, 1), FIELD("pan2", MMFR1, 20, 2),
	FIELD("pan3", MMFR1, 20, 3), FIELD("xnx", MMFR1, 28, 1), FIELD("twed", MMFR1, 32, 1),
	FIELD_OFF("ets2", MMFR1, 36, 2, 0), FIELD("hcx", MMFR1, 40, 1), FIELD("afp", MMFR1, 44, 1),
	FIELD("ntlbpa", MMFR1, 48, 1), FIELD("tidcp1", MMFR1, 52, 1), FIELD("cmow", MMFR1, 56, 1),
	FIELD("ecbhb", MMFR1, 60, 1),

	FIELD("ttcnp", MMFR2, 0, 1), FIELD("uao", MMFR2, 4, 1), FIELD("lsmaoc", MMFR2, 8, 1),
	FIELD("iesb", MMFR2, 12, 1), FIELD("lva", MMFR2, 16, 1), FIELD("ccidx", MMFR2, 20, 1),
	FIELD("ttst", MMFR2, 28, 1), FIELD("lse2", MMFR2, 32, 1), FIELD("idst", MMFR2, 36, 1),
	FIELD("s2fwb", MMFR2, 40, 1), FIELD("ttl", MMFR2, 48, 1), FIELD("bbml1", MMFR2, 52, 1),
	FIELD("bbml2", MMFR2, 52, 2), FIELD("evt", MMFR2, 56, 1), FIELD("e0pd", MMFR2, 60, 1),

	FIELD("tcr2", MMFR3, 0, 1), FIELD("sctlr2", MMFR3, 4, 1), FIELD("s1pie", MMFR3, 8, 1),
	FIELD("s2pie", MMFR3, 12, 1), FIELD("s1poe", MMFR3, 16, 1), FIELD("s2poe", MMFR3, 20, 1),
	FIELD("aie", MMFR3, 24, 1), FIELD("mec", MMFR3, 28, 1), FIELD("d128", MMFR3, 32, 1),
};
/* clang-format on */
const size_t arm_nr_cpu_props = ARRAY_SIZE(arm_cpu_props);
_Static_assert(ARRAY_SIZE(arm_cpu_props) <= ARM_MAX_CPU_PROPS, "struct arm_cpu_model is too small");

u64 arm_id_reg(u32 reg)
{
	return ARM64_SYS_REG(3, 0, 0, reg >> 3, reg & 7);
}

const char *arm_id_reg_name(u32 reg)
{
	static const char *const names[ARM_NR_ID_REGS] = {
		[PFR0] = "ID_AA64PFR0_EL1",   [PFR1] = "ID_AA64PFR1_EL1",
		[PFR2] = "ID_AA64PFR2_EL1",   [ZFR0] = "ID_AA64ZFR0_EL1",
		[DFR0] = "ID_AA64DFR0_EL1",   [ISAR0] = "ID_AA64ISAR0_EL1",
		[ISAR1] = "ID_AA64ISAR1_EL1", [ISAR2] = "ID_AA64ISAR2_EL1",
		[ISAR3] = "ID_AA64ISAR3_EL1", [MMFR0] = "ID_AA64MMFR0_EL1",
		[MMFR1] = "ID_AA64MMFR1_EL1", [MMFR2] = "ID_AA64MMFR2_EL1",
		[MMFR3] = "ID_AA64MMFR3_EL1",
	};

	return reg < ARM_NR_ID_REGS && names[reg] ? names[reg] : "an ID register";
}

static u32 get_field(u64 value, u32 shift)
{
	return value >> shift & 0xf;
}

static u64 put_field(u64 value, u32 shift, u32 field)
{
	return (value & ~(0xfULL << shift)) | (u64)field << shift;
}

bool arm_prop_present(const struct arm_cpu_prop *prop, u64 value)
{
	u32 field = get_field(value, prop->shift);

	if (prop->is_signed && field >= 8)
		return false;
	return field >= prop->level;
}

static int change(struct arm_id_regs *regs, const char *name, u32 reg, u32 shift, u32 field)
{
	u64 value = put_field(regs->value[reg], shift, field);

	if ((value ^ regs->value[reg]) & ~regs->writable[reg]) {
		err("--cpu: '%s' is fixed on this host: its KVM does not allow changes to bits %u "
		    "to %u of %s",
		    name, shift, shift + 3, arm_id_reg_name(reg));
		return -EOPNOTSUPP;
	}
	regs->value[reg] = value;
	return 0;
}

static int apply(const struct arm_cpu_prop *prop, enum arm_switch want, u64 host,
		 struct arm_id_regs *regs)
{
	bool present = arm_prop_present(prop, regs->value[prop->reg]);

	if (want == ARM_OFF)
		return present ? change(regs, prop->name, prop->reg, prop->shift, prop->off) : 0;
	if (!arm_prop_present(prop, host)) {
		err("--cpu: '%s' is not available on this host: bits %u to %u of %s are 0x%x",
		    prop->name, prop->shift, prop->shift + 3, arm_id_reg_name(prop->reg),
		    get_field(host, prop->shift));
		return -EOPNOTSUPP;
	}
	return present ? 0 : change(regs, prop->name, prop->reg, prop->shift, prop->level);
}

/* The smaller the number the older the PMU, but 0xf: one that is none of Arm's. */
static int apply_pmuver(const struct arm_cpu_model *model, u64 host, struct arm_id_regs *regs)
{
	u32 most = get_field(host, 8);

	if (!model->pmuver)
		return 0;
	if (model->pmuver > most || most == 0xf) {
		err("--cpu: pmuver: this host's KVM offers at most version %u of "
		    "ID_AA64DFR0_EL1.PMUVer, not %u",
		    most == 0xf ? 0 : most, model->pmuver);
		return -EOPNOTSUPP;
	}
	return change(regs, "pmuver", DFR0, 8, model->pmuver);
}

int arm_id_regs_plan(const struct arm_cpu_model *model, struct arm_id_regs *regs, u64 *changed)
{
	const struct arm_id_regs host = *regs;
	int ret;

	*changed = 0;
	/* What is switched off first: "-aes,+pmull" and "+pmull,-aes" are the same. */
	for (int pass = ARM_OFF; pass >= ARM_ON; pass--) {
		for (size_t i = 0; i < arm_nr_cpu_props; i++) {
			const struct arm_cpu_prop *prop = &arm_cpu_props[i];

			if (prop->kind != ARM_PROP_FIELD || model->want[i] != pass)
				continue;
			ret = apply(prop, model->want[i], host.value[prop->reg], regs);
			if (ret)
				return ret;
		}
	}
	ret = apply_pmuver(model, host.value[DFR0], regs);
	if (ret)
		return ret;
	for (u32 reg = 0; reg < ARM_NR_ID_REGS; reg++)
		if (regs->value[reg] != host.value[reg])
			*changed |= BIT_ULL(reg);
	return 0;
}

/*
 * KVM shows the host's range, whatever the size of the guest's address space (api.rst, 4.2), and
 * there is software that maps all that it is told: 52 bits in page tables that end at 48, those of
 * 4 KiB pages without FEAT_LPA2 (Arm ARM, D8.2), so that the devices above RAM come to lie over it.
 * EDK2's firmware for kvmtool did so until 2026.
 */
u64 arm_limit_pa_range(u64 mmfr0, u32 ipa_bits)
{
	if (get_field(mmfr0, PARANGE_SHIFT) <= PARANGE_48_BITS || ipa_bits > 48)
		return mmfr0;
	return put_field(mmfr0, PARANGE_SHIFT, PARANGE_48_BITS);
}

void arm_id_regs_writable(struct vm *vm, struct arm_id_regs *regs)
{
	u64 masks[KVM_ARM_FEATURE_ID_RANGE_SIZE] = { 0 };
	struct reg_mask_range range = {
		.addr = (u64)(uintptr_t)masks,
		.range = KVM_ARM_FEATURE_ID_RANGE,
	};

	memset(regs->writable, 0, sizeof(regs->writable));
	if (xioctl(vm->kvm.vm_fd, KVM_ARM_GET_REG_WRITABLE_MASKS, &range) < 0)
		return;
	/* The first 64 are those of op1 0. */
	memcpy(regs->writable, masks, sizeof(regs->writable));
}
