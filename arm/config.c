/* SPDX-License-Identifier: MIT */
/* What only arm64 machines have of a configuration, printed (`lkvm run --dry-run`). */
#include "lkvm/config.h"
#include "lkvm/arch.h"

static void print_text(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s: %s\n", name, value ? value : "none");
}

static void print_flag(FILE *out, const char *name, bool value)
{
	print_text(out, name, value ? "yes" : "no");
}

void arch_config_print(const struct vm_config *cfg, FILE *out)
{
	print_text(out, "cpu", cfg->cpu ? cfg->cpu : "host");
	print_text(out, "gicv4", auto_switch_names[cfg->gicv4]);
	print_flag(out, "protected", cfg->protected);
	print_flag(out, "nested", cfg->nested);
	print_flag(out, "e2h0", cfg->e2h0);
	print_flag(out, "aarch32", cfg->aarch32);
	print_flag(out, "pmu", cfg->pmu);
	if (cfg->sve_max_vl)
		fprintf(out, "sve-max-vl: %u\n", cfg->sve_max_vl);
	print_flag(out, "disable-mte", cfg->disable_mte);
	print_flag(out, "no-pvtime", cfg->no_pvtime);
	print_text(out, "psci", psci_kind_names[cfg->psci]);
	if (cfg->has_counter_offset)
		fprintf(out, "counter-offset: %llu\n", cfg->counter_offset);
	if (cfg->cntfrq)
		fprintf(out, "override-bad-firmware-cntfrq: %u\n", cfg->cntfrq);
	if (cfg->firmware_address)
		fprintf(out, "firmware-address: 0x%llx\n", cfg->firmware_address);
	print_text(out, "flash", cfg->flash);
	print_text(out, "dump-dtb", cfg->dump_dtb);
	if (cfg->kaslr_random)
		print_text(out, "kaslr-seed", "random");
	else if (cfg->kaslr_seed)
		fprintf(out, "kaslr-seed: 0x%llx\n", cfg->kaslr_seed);
	print_flag(out, "rng-seed", cfg->rng_seed);
}
