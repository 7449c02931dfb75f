/* SPDX-License-Identifier: MIT */
/* What only a riscv64 machine can be asked for; the rows are in riscv/options.c. */
#ifndef LKVM_CONFIG_RISCV_H
#define LKVM_CONFIG_RISCV_H

#include "lkvm/options.h"

enum riscv_irqchip_kind {
	RISCV_IRQCHIP_DEFAULT, /* the best that the host supports */
	RISCV_IRQCHIP_AIA,
	RISCV_IRQCHIP_PLIC,
};
/* How KVM makes the AIA: all of it by itself, with the guest interrupt files of the host's CPUs, or
 * the latter while there are some. */
enum riscv_aia_mode { RISCV_AIA_DEFAULT, RISCV_AIA_EMUL, RISCV_AIA_HWACCEL, RISCV_AIA_AUTO };

/* The words of --irqchip and --aia, by position; NULL-terminated. */
extern const char *const riscv_irqchip_names[], *const riscv_aia_names[];

/* Extensions of the SBI, by KVM's number of them (Linux 7.3, KVM_RISCV_SBI_EXT_...), as --sbi names
 * them; ends with NULL. */
#define RISCV_NR_SBI_EXTS 14U
extern const char *const riscv_sbi_names[RISCV_NR_SBI_EXTS + 1];

struct riscv_config {
	enum riscv_irqchip_kind irqchip;
	enum riscv_aia_mode aia;
	char *cpu;   /* "host,+ext,-ext" (--cpu), or NULL: the host's */
	char *sbi;   /* "host,+ext,-ext" (--sbi), or NULL: what KVM offers */
	bool nested; /* the guest has the H extension */
};

extern const struct option_spec riscv_options[];

#endif
