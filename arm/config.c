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
	print_text(out, "irqchip", arm_irqchip_names[cfg->arm.irqchip]);
	print_text(out, "kernel-format", kernel_format_names_image[cfg->fdt.kernel_format]);
	print_text(out, "cpu", cfg->arm.cpu ? cfg->arm.cpu : "host");
	print_text(out, "gicv4", auto_switch_names[cfg->arm.gicv4]);
	print_flag(out, "protected", cfg->protected);
	print_flag(out, "nested", cfg->arm.nested);
	print_flag(out, "e2h0", cfg->arm.e2h0);
	print_flag(out, "aarch32", cfg->arm.aarch32);
	print_flag(out, "pmu", cfg->arm.pmu);
	if (cfg->arm.sve_max_vl)
		fprintf(out, "sve-max-vl: %u\n", cfg->arm.sve_max_vl);
	print_flag(out, "disable-mte", cfg->arm.disable_mte);
	print_flag(out, "no-pvtime", cfg->arm.no_pvtime);
	print_text(out, "psci", psci_kind_names[cfg->arm.psci]);
	if (cfg->arm.has_counter_offset)
		fprintf(out, "counter-offset: %llu\n", cfg->arm.counter_offset);
	if (cfg->arm.cntfrq)
		fprintf(out, "override-bad-firmware-cntfrq: %u\n", cfg->arm.cntfrq);
	if (cfg->fdt.firmware_address)
		fprintf(out, "firmware-address: 0x%llx\n", cfg->fdt.firmware_address);
	print_text(out, "flash", cfg->fdt.flash);
	print_text(out, "dump-dtb", cfg->fdt.dump_dtb);
	if (cfg->fdt.kaslr_random)
		print_text(out, "kaslr-seed", "random");
	else if (cfg->fdt.kaslr_seed)
		fprintf(out, "kaslr-seed: 0x%llx\n", cfg->fdt.kaslr_seed);
	print_flag(out, "rng-seed", cfg->fdt.rng_seed);
}
