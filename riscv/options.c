/* SPDX-License-Identifier: MIT */
/* The options of riscv64 machines; plain data that every binary has. */
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define MEMBER(m) .offset = offsetof(struct vm_config, riscv.m)

const char *const riscv_irqchip_names[] = { "default", "aia", "plic", NULL };
const char *const riscv_aia_names[] = { "default", "emul", "hwaccel", "auto", NULL };

const char *const riscv_sbi_names[RISCV_NR_SBI_EXTS + 1] = {
	"v01",	  "time", "ipi", "rfence", "srst", "hsm",  "pmu", "experimental",
	"vendor", "dbcn", "sta", "susp",   "fwft", "mpxy", NULL,
};
static const char *const sbi_help[RISCV_NR_SBI_EXTS] = {
	"calls of SBI 0.1",
	"timer",
	"interrupts between vcpus",
	"remote fences",
	"power-off and reboot",
	"starting and stopping vcpus",
	"performance counters",
	"numbers for experiments, which lkvm answers as not supported",
	"numbers of the CPU's maker, which lkvm answers as not supported",
	"debug console",
	"steal time",
	"suspend to RAM",
	"firmware features",
	"message proxy, which lkvm answers as not supported",
};

static const char *const *sbi_words(void)
{
	static const char **words;
	size_t n = 0;

	if (words)
		return words;
	words = xcalloc(2 * RISCV_NR_SBI_EXTS + 3, sizeof(words[0]));
	words[n++] = "host";
	words[n++] = "help";
	for (u32 i = 0; i < RISCV_NR_SBI_EXTS; i++) {
		words[n++] = xasprintf("+%s", riscv_sbi_names[i]);
		words[n++] = xasprintf("-%s", riscv_sbi_names[i]);
	}
	return words;
}

static void sbi_list(FILE *out)
{
	fprintf(out, "%-14s  %s\n", "host", "what KVM offers, but mpxy");
	for (u32 i = 0; i < RISCV_NR_SBI_EXTS; i++)
		fprintf(out, "+%-13s  %s\n", riscv_sbi_names[i], sbi_help[i]);
}

/*
 * kvmtool's options that are words of --cpu here: "--custom-marchid N" is ",marchid=N" at its end,
 * "--cpu-type max" its first word.
 */
static int custom_id_parse(const char *shown, const char *arg, void *target)
{
	struct riscv_config *riscv = &((struct vm_config *)target)->riscv;
	char *old = riscv->cpu;
	u64 n;

	if (parse_u64(arg, &n)) {
		err("%s %s: is not a number", shown, arg);
		return -EINVAL;
	}
	/* What follows "custom-" is the name of the register. */
	riscv->cpu = xasprintf("%s,%s=%s", old ? old : "host", strrchr(shown, '-') + 1, arg);
	free(old);
	return 0;
}

static int cpu_type_parse(const char *shown, const char *arg, void *target)
{
	struct riscv_config *riscv = &((struct vm_config *)target)->riscv;
	char *old = riscv->cpu;
	const char *rest = old ? strchr(old, ',') : NULL;

	if (strcmp(arg, "max") != 0 && strcmp(arg, "min") != 0) {
		err("%s %s: is not one of max, min", shown, arg);
		return -EINVAL;
	}
	riscv->cpu = xasprintf("%s%s", arg, rest ? rest : "");
	free(old);
	return 0;
}

/* clang-format off */
const struct option_spec riscv_options[] = {
	{ .type = OPT_GROUP, .help = "RISC-V" },
	{ .type = OPT_CHOICE, .name = "irqchip", MEMBER(irqchip), .choices = riscv_irqchip_names,
	  .flags = OPT_SELFTEST, .def = "aia if the host supports it, else plic",
	  .help = "interrupt controller" },
	{ .type = OPT_CHOICE, .name = "aia", MEMBER(aia), .choices = riscv_aia_names,
	  .flags = OPT_SELFTEST, .def = "auto if the host's CPUs have guest interrupt files, else emul",
	  .help = "how KVM makes the AIA: emulated, in the CPUs' guest interrupt files, or in those while some are free" },
	{ .type = OPT_STRING, .name = "cpu", .arg = "host|max|min[,+EXT][,-EXT]...", MEMBER(cpu),
	  .flags = OPT_SELFTEST, .def = "host", .unset = "host", .words = arch_cpu_words, .list = arch_cpu_list,
	  .help = "extensions of the CPUs: the host's, with some switched on or off; help: what there is" },
	{ .type = OPT_CALL, .name = "custom-mvendorid", .arg = "N", .parse = custom_id_parse, .flags = OPT_HIDDEN,
	  .help = "kvmtool's --cpu host,mvendorid=N" },
	{ .type = OPT_CALL, .name = "custom-marchid", .arg = "N", .parse = custom_id_parse, .flags = OPT_HIDDEN,
	  .help = "kvmtool's --cpu host,marchid=N" },
	{ .type = OPT_CALL, .name = "custom-mimpid", .arg = "N", .parse = custom_id_parse, .flags = OPT_HIDDEN,
	  .help = "kvmtool's --cpu host,mimpid=N" },
	{ .type = OPT_CALL, .name = "cpu-type", .arg = "max|min", .parse = cpu_type_parse, .flags = OPT_HIDDEN,
	  .help = "kvmtool's --cpu max and min" },
	{ .type = OPT_STRING, .name = "sbi", .arg = "host[,+EXT][,-EXT]...", MEMBER(sbi),
	  .flags = OPT_SELFTEST, .def = "host", .unset = "host", .words = sbi_words, .list = sbi_list,
	  .help = "extensions of the supervisor binary interface: what KVM offers, with some switched on or off; help: what there is" },
	{ .type = OPT_FLAG, .name = "nested", MEMBER(nested), .flags = OPT_SELFTEST,
	  .help = "give the CPUs the H extension: the guest can be a hypervisor itself" },
	OPT_END
};
/* clang-format on */
