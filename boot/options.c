/* SPDX-License-Identifier: MIT */
/*
 * The options of machines that have a device tree and boot Linux's Image, whatever their
 * architecture; plain data that every binary has.
 */
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define MEMBER(m) .offset = offsetof(struct vm_config, fdt.m)

static const char *const kernel_format_names[] = { "auto", "elf", "flat", "image", NULL };

static int kaslr_parse(const char *shown, const char *arg, void *target)
{
	struct fdt_config *fdt = &((struct vm_config *)target)->fdt;

	fdt->kaslr_random = !strcmp(arg, "random");
	if (fdt->kaslr_random)
		fdt->kaslr_seed = 0;
	if (fdt->kaslr_random || !parse_u64(arg, &fdt->kaslr_seed))
		return 0;
	err("%s %s: is neither a number nor 'random'", shown, arg);
	return -EINVAL;
}

static char *kaslr_text(const void *target, u32 i)
{
	const struct fdt_config *fdt = &((const struct vm_config *)target)->fdt;

	if (i || (!fdt->kaslr_random && !fdt->kaslr_seed))
		return NULL;
	return fdt->kaslr_random ? xstrdup("random") : xasprintf("0x%llx", fdt->kaslr_seed);
}

static const struct option_hooks kaslr_hooks = { .parse = kaslr_parse, .text = kaslr_text };

/* clang-format off */
const struct option_spec fdt_options[] = {
	{ .type = OPT_GROUP, .help = "Device tree" },
	{ .type = OPT_CHOICE, .name = "kernel-format", MEMBER(kernel_format),
	  .flags = OPT_SELFTEST, .choices = kernel_format_names, .def = "auto",
	  .help = "how the kernel is loaded and entered" },
	{ .type = OPT_U64, .name = "firmware-address", .arg = "ADDRESS", MEMBER(firmware_address),
	  .def = "the beginning of memory; riscv64: 2M into it, UEFI at 0x20000000",
	  .help = "where the firmware is loaded and entered" },
	{ .type = OPT_STRING, .short_name = 'F', .name = "flash", .arg = "FILE", MEMBER(flash),
	  .flags = OPT_PATH,
	  .help = "flash memory with the contents of FILE, which the guest's writes change" },
	{ .type = OPT_STRING, .name = "dump-dtb", .arg = "FILE", MEMBER(dump_dtb),
	  .flags = OPT_PATH | OPT_ONCE,
	  .help = "write the guest's device tree to FILE and exit" },
	{ .type = OPT_TYPED, .name = "kaslr-seed", .arg = "SEED|random", .hooks = &kaslr_hooks,
	  .help = "pass the kernel a seed to choose its own address with (KASLR)" },
	{ .type = OPT_FLAG, .name = "rng-seed", MEMBER(rng_seed),
	  .help = "pass the kernel random numbers to seed its generator with" },
	OPT_END
};
/* clang-format on */
