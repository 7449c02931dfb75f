/* SPDX-License-Identifier: MIT */
/*
 * What the files of the CPU model share: the extensions that KVM knows (isa.c), the words of --cpu
 * and --sbi (model.c), and cpu.c, which applies them. `lkvm host` reads the same tables.
 */
#ifndef LKVM_RISCV_CPU_H
#define LKVM_RISCV_CPU_H

#include <kvm-compat.h>

#include "lkvm/config-riscv.h"
#include "lkvm/types.h"
#include "riscv.h"

/* An extension of the ISA. */
struct riscv_ext {
	const char *name; /* as devicetrees have it (riscv/extensions.yaml) */
	u8 id;		  /* KVM's (Linux 7.3 asm/kvm.h, KVM_RISCV_ISA_EXT_...) */
	u8 flags;
	u8 needs; /* the id of an extension without which it is nothing, or RISCV_NO_EXT */
	const char *help;
};
enum {
	RISCV_EXT_FIXED = 1 << 0, /* KVM has no way to hide it (kvm_riscv_isa_disable_allowed) */
	RISCV_EXT_MIN = 1 << 1,	  /* in --cpu min: what every distribution is built for */
};
#define RISCV_NO_EXT 0xff

/* In the order of the ISA string (The RISC-V Instruction Set Manual Volume I, "ISA Extension
 * Naming Conventions"). */
extern const struct riscv_ext riscv_exts[];
extern const u32 riscv_nr_exts;
#define RISCV_MAX_EXTS 128U /* and ids are below */

/* Ids that the code names. */
enum {
	RISCV_EXT_A = 0,
	RISCV_EXT_C = 1,
	RISCV_EXT_D = 2,
	RISCV_EXT_F = 3,
	RISCV_EXT_H = 4,
	RISCV_EXT_I = 5,
	RISCV_EXT_M = 6,
	RISCV_EXT_SSTC = 8,
	RISCV_EXT_ZICBOM = 11,
	RISCV_EXT_ZICBOZ = 12,
	RISCV_EXT_SSAIA = 14,
	RISCV_EXT_V = 15,
	RISCV_EXT_SSCOFPMF = 54,
	RISCV_EXT_ZCA = 56,
	RISCV_EXT_SVADE = 64,
	RISCV_EXT_SVADU = 65,
	RISCV_EXT_ZICBOP = 71,
};

/* The row of @name, or NULL. */
const struct riscv_ext *riscv_ext_named(const char *name);
/* The row of KVM's @id, or NULL. */
const struct riscv_ext *riscv_ext_of(u32 id);
/* Why a host that has it withholds it, and why it cannot be hidden; static. */
const char *riscv_ext_why_not(u32 id);
const char *riscv_ext_why_fixed(u32 id);

/* Sets of extensions, by KVM's ids. */
struct riscv_ext_set {
	u64 bits[RISCV_MAX_EXTS / 64];
};
static inline bool riscv_ext_in(const struct riscv_ext_set *set, u32 id)
{
	return set->bits[id / 64] >> id % 64 & 1;
}
static inline void riscv_ext_put(struct riscv_ext_set *set, u32 id, bool in)
{
	set->bits[id / 64] &= ~BIT_ULL(id % 64);
	set->bits[id / 64] |= (u64)in << id % 64;
}

/*
 * What is described of @on: without those whose need is not in it. riscv_isa_string: "rv64imafdc_
 * zicsr", which the caller frees. riscv_isa_names: the names, ended by NULL, into @names, which has
 * room for RISCV_MAX_EXTS + 1; how many.
 */
char *riscv_isa_string(const struct riscv_ext_set *on) __must_check;
u32 riscv_isa_names(const struct riscv_ext_set *on, const char **names);

/* Extensions of the SBI, by KVM's numbers (KVM_RISCV_SBI_EXT_...); named by riscv_sbi_names. */
enum {
	RISCV_SBI_PMU = 6,
	RISCV_SBI_DBCN = 9,
	RISCV_SBI_STA = 10,
	RISCV_SBI_SUSP = 11,
};

/* Of the configuration registers, by their place in struct kvm_riscv_config (Linux 7.3). */
enum {
	RISCV_CONFIG_CBOM_SIZE = 1,
	RISCV_CONFIG_MVENDORID = 2,
	RISCV_CONFIG_CBOZ_SIZE = 5,
	RISCV_CONFIG_SATP_MODE = 6,
	RISCV_CONFIG_CBOP_SIZE = 7,
};
#define RISCV_ISA_EXT_REG(id) RISCV_REG(KVM_REG_RISCV_ISA_EXT, id)
#define RISCV_SBI_EXT_REG(id) RISCV_REG(KVM_REG_RISCV_SBI_EXT, id)
/* Their numbers for satp (The RISC-V Instruction Set Manual Volume II, "satp") as "mmu-type" of
 * riscv/cpus.yaml has them; "riscv,none" for what is not known. */
const char *riscv_mmu_type(u64 satp_mode);

enum riscv_switch { RISCV_AS_BASE, RISCV_ON, RISCV_OFF };
enum riscv_cpu_base { RISCV_CPU_HOST, RISCV_CPU_MAX, RISCV_CPU_MIN };
/* mvendorid, marchid, mimpid: registers that follow each other. */
#define RISCV_NR_CPU_IDS 3U

/* The words of --cpu and --sbi, and what means the same. */
struct riscv_cpu_model {
	enum riscv_cpu_base base;
	u8 isa[RISCV_MAX_EXTS];	   /* enum riscv_switch, by KVM's id */
	u8 sbi[RISCV_NR_SBI_EXTS]; /* the same */
	bool has_id[RISCV_NR_CPU_IDS];
	u64 id[RISCV_NR_CPU_IDS];
};
extern const char *const riscv_cpu_id_names[RISCV_NR_CPU_IDS];

/* model.c. Knows no host. Prints; -EINVAL. */
int riscv_cpu_model_parse(const struct vm_config *cfg, struct riscv_cpu_model *model) __must_check;
/* What @ext needs, maybe through others, and @model switches off; or NULL. */
const struct riscv_ext *riscv_cpu_model_lacks(const struct riscv_cpu_model *model,
					      const struct riscv_ext *ext);

#endif
