/* SPDX-License-Identifier: MIT */
/* The options of arm64 machines; plain data that every binary has. */
#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define MEMBER(m) .offset = offsetof(struct vm_config, arm.m)

const char *const arm_irqchip_names[] = {
	"default", "gicv2", "gicv2m", "gicv3", "gicv3-its", NULL,
};
static const char *const psci_kind_names[] = { "kernel", "user", NULL };
static const char *const auto_switch_names[] = { "auto", "on", "off", NULL };

static int counter_offset_parse(const char *shown, const char *arg, void *target)
{
	struct arm_config *arm = &((struct vm_config *)target)->arm;

	if (parse_u64(arg, &arm->counter_offset)) {
		err("%s %s: is not a number of ticks", shown, arg);
		return -EINVAL;
	}
	arm->has_counter_offset = true;
	return 0;
}

static char *counter_offset_text(const void *target, u32 i)
{
	const struct arm_config *arm = &((const struct vm_config *)target)->arm;

	return i || !arm->has_counter_offset ? NULL : xasprintf("%llu", arm->counter_offset);
}

/* No ticks at all are an offset too. */
static const struct option_hooks counter_offset_hooks = {
	.parse = counter_offset_parse,
	.text = counter_offset_text,
};

static int pmu_counters_parse(const char *shown, const char *arg, void *target)
{
	struct arm_config *arm = &((struct vm_config *)target)->arm;
	u64 n;

	/* Arm ARM, D13.11.2: PMCR_EL0.N. */
	if (parse_u64(arg, &n) || n > 31) {
		err("%s %s: is not a number from 0 to 31", shown, arg);
		return -EINVAL;
	}
	arm->pmu_counters = (u32)n;
	arm->has_pmu_counters = true;
	return 0;
}

static char *pmu_counters_text(const void *target, u32 i)
{
	const struct arm_config *arm = &((const struct vm_config *)target)->arm;

	return i || !arm->has_pmu_counters ? NULL : xasprintf("%u", arm->pmu_counters);
}

/* None but the counter of cycles is a number too. */
static const struct option_hooks pmu_counters_hooks = {
	.parse = pmu_counters_parse,
	.text = pmu_counters_text,
};

/* kvmtool's older word for --sve-max-vl. */
static int sve_vl_parse(const char *shown, const char *arg, void *target)
{
	struct arm_config *arm = &((struct vm_config *)target)->arm;
	u64 n;

	if (parse_u64(arg, &n) || n < 128 || n > UINT32_MAX) {
		err("%s %s: is not a number of bits from 128", shown, arg);
		return -EINVAL;
	}
	arm->sve_max_vl = (u32)n;
	return 0;
}

static int parse_nothing(const char *shown, const char *arg, void *target)
{
	return 0;
}

/* clang-format off */
const struct option_spec arm_options[] = {
	{ .type = OPT_GROUP, .help = "Arm" },
	{ .type = OPT_CHOICE, .name = "irqchip", MEMBER(irqchip), .choices = arm_irqchip_names,
	  .flags = OPT_SELFTEST,
	  .def = "the first that the host supports of gicv3-its, gicv3, gicv2m, gicv2",
	  .help = "interrupt controller" },
	{ .type = OPT_CHOICE, .name = "gicv4", MEMBER(gicv4), .choices = auto_switch_names,
	  .def = "auto",
	  .help = "inject interrupts of passed-through devices directly (GICv4)" },
	{ .type = OPT_STRING, .name = "cpu", .arg = "host[,+FEATURE][,-FEATURE]...", MEMBER(cpu),
	  .def = "host", .unset = "host", .words = arch_cpu_words, .list = arch_cpu_list,
	  .help = "features of the CPUs: the host's, with some switched on or off; help: what there is" },
	{ .type = OPT_FLAG, .name = "protected", MEMBER(protected), .flags = OPT_CONFIDENTIAL,
	  .help = "protect guest memory from the host, except what the guest shares (pKVM)" },
	{ .type = OPT_TYPED, .name = "realm", .arg = "[WORD=VALUE][,WORD=VALUE]...", .hooks = &arm_realm_hooks,
	  .flags = OPT_OPTIONAL | OPT_CONFIDENTIAL | OPT_MEASURED, .unset = "no",
	  .help = "make the guest a realm (Arm CCA), whose memory and registers the host cannot access; words "
		  "choose what its measurement and its ABI are" },
	{ .type = OPT_CALL, .name = "measurement-algo", .arg = "HASH", .parse = arm_parse_measurement_algo,
	  .flags = OPT_HIDDEN, .help = "kvmtool's --realm hash=HASH" },
	{ .type = OPT_CALL, .name = "realm-pv", .arg = "TEXT", .parse = arm_parse_realm_pv,
	  .flags = OPT_HIDDEN, .help = "kvmtool's personalization value" },
	{ .type = OPT_CALL, .name = "restricted_mem", .parse = parse_nothing, .flags = OPT_HIDDEN,
	  .help = "guest memory of its own, which a realm always has" },
	{ .type = OPT_FLAG, .name = "nested", MEMBER(nested), .flags = OPT_SELFTEST,
	  .help = "start the guest at EL2: it can be a hypervisor itself" },
	{ .type = OPT_FLAG, .name = "e2h0", MEMBER(e2h0), .flags = OPT_SELFTEST,
	  .help = "with --nested: CPUs without the virtualization host extensions (E2H is 0)" },
	{ .type = OPT_FLAG, .name = "aarch32", MEMBER(aarch32),
	  .help = "start the guest's kernel in AArch32 state" },
	{ .type = OPT_FLAG, .name = "pmu", MEMBER(pmu), .flags = OPT_SELFTEST,
	  .help = "give the CPUs performance counters" },
	{ .type = OPT_TYPED, .name = "pmu-counters", .arg = "N", .hooks = &pmu_counters_hooks,
	  .def = "as many as the host has", .unset = "default",
	  .help = "with --pmu: event counters, 0 to 31" },
	{ .type = OPT_FLAG, .name = "disable-sve", MEMBER(disable_sve),
	  .help = "no SVE vectors" },
	{ .type = OPT_CALL, .name = "sve-vl", .arg = "BITS", .parse = sve_vl_parse, .flags = OPT_HIDDEN,
	  .help = "kvmtool's older --sve-max-vl" },
	{ .type = OPT_U32, .name = "sve-max-vl", .arg = "BITS", MEMBER(sve_max_vl), .min = 128,
	  .def = "the host's longest",
	  .help = "longest SVE vector, a multiple of 128" },
	{ .type = OPT_FLAG, .name = "disable-mte", MEMBER(disable_mte),
	  .help = "no memory tagging" },
	{ .type = OPT_FLAG, .name = "no-pvtime", MEMBER(no_pvtime),
	  .help = "do not report stolen time to the guest" },
	{ .type = OPT_CHOICE, .name = "psci", MEMBER(psci), .choices = psci_kind_names,
	  .flags = OPT_SELFTEST, .def = "kernel",
	  .help = "who answers the guest's power calls: the host's kernel, or lkvm" },
	{ .type = OPT_TYPED, .name = "counter-offset", .arg = "TICKS", .hooks = &counter_offset_hooks,
	  .help = "how far the guest's counters are behind the host's" },
	{ .type = OPT_U32, .name = "override-bad-firmware-cntfrq", .arg = "HZ", MEMBER(cntfrq), .min = 1,
	  .help = "frequency of the counters, on hosts whose firmware reports a wrong one" },
	{ .type = OPT_CALL, .name = "force-pci", .parse = parse_nothing, .flags = OPT_HIDDEN,
	  .help = "virtio devices on PCI, which is the default" },
	OPT_END
};
/* clang-format on */
