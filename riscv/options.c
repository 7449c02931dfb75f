/* SPDX-License-Identifier: MIT */
/* The options of riscv64 machines; plain data that every binary has. */
#include "lkvm/arch.h"
#include "lkvm/config.h"

#define MEMBER(m) .offset = offsetof(struct vm_config, riscv.m)

const char *const riscv_irqchip_names[] = { "default", "aia", "plic", NULL };
const char *const riscv_aia_names[] = { "default", "emul", "hwaccel", "auto", NULL };

/* clang-format off */
const struct option_spec riscv_options[] = {
	{ .type = OPT_GROUP, .help = "RISC-V" },
	{ .type = OPT_CHOICE, .name = "irqchip", MEMBER(irqchip), .choices = riscv_irqchip_names,
	  .flags = OPT_SELFTEST, .def = "aia if the host supports it, else plic",
	  .help = "interrupt controller" },
	{ .type = OPT_CHOICE, .name = "aia", MEMBER(aia), .choices = riscv_aia_names,
	  .def = "auto where the host's CPUs have guest interrupt files, else emul",
	  .help = "how KVM makes the AIA: in software, with guest interrupt files, or with them while there are some" },
	{ .type = OPT_STRING, .name = "cpu", .arg = "host[,+EXT][,-EXT]...", MEMBER(cpu),
	  .def = "host", .unset = "host", .words = arch_cpu_words, .list = arch_cpu_list,
	  .help = "extensions of the CPUs: the host's, with some switched on or off; help: what there is" },
	OPT_END
};
/* clang-format on */
