/* SPDX-License-Identifier: MIT */
/* The options of riscv64 machines; plain data that every binary has. */
#include "lkvm/arch.h"
#include "lkvm/config.h"
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
	  .def = "host", .unset = "host", .words = arch_cpu_words, .list = arch_cpu_list,
	  .help = "extensions of the CPUs: the host's, with some switched on or off; help: what there is" },
	{ .type = OPT_STRING, .name = "sbi", .arg = "host[,+EXT][,-EXT]...", MEMBER(sbi),
	  .def = "host", .unset = "host", .words = sbi_words, .list = sbi_list,
	  .help = "extensions of the supervisor binary interface: what KVM offers, with some switched on or off; help: what there is" },
	{ .type = OPT_FLAG, .name = "nested", MEMBER(nested),
	  .help = "give the CPUs the H extension: the guest can be a hypervisor itself" },
	OPT_END
};
/* clang-format on */
