/* SPDX-License-Identifier: MIT */
/* --snp and its neighbours as data: the bits of a guest's policy and of its VMSA features by name.
 */
#ifndef LKVM_CONFIG_SNP_H
#define LKVM_CONFIG_SNP_H

#include <stdio.h>

#include "lkvm/options.h"

/* SNP firmware ABI 56860, "Guest policy": the version in the low half, then bits. */
#define SNP_POLICY_DEFAULT     0x30000ULL /* SMT allowed, and the bit that must be 1 */
#define SNP_POLICY_ABI_MINOR   0xffULL
#define SNP_POLICY_ABI_MAJOR   0xff00ULL
#define SNP_POLICY_SMT	       BIT_ULL(16)
#define SNP_POLICY_MUST_BE_ONE BIT_ULL(17)
#define SNP_POLICY_SINGLE      BIT_ULL(20)
#define SNP_POLICY_CXL	       BIT_ULL(21)
/* SEV_FEATURES in the VMSA (APM volume 2, table B-4). */
#define SNP_FEATURE_DEBUG_SWAP BIT_ULL(5)
#define SNP_FEATURE_SECURE_TSC BIT_ULL(9)
#define SNP_FEATURE_AVIC       BIT_ULL(16)

/* What a vcpu finds in RDX at the reset vector: of the first CPUs with SNP (family 25, model 1). */
#define SNP_SIGNATURE_DEFAULT 0xa00f11U

struct x86_snp_bit {
	const char *name;
	u8 bit;
	bool feature; /* of the VMSA, else of the policy */
	const char *text;
};
extern const struct x86_snp_bit x86_snp_bits[];
extern const size_t x86_nr_snp_bits;

/*
 * The bits in @bits by name, "smt, debug"; a bit without a name as "bit 30". @feature: of the VMSA.
 * To be freed.
 */
char *x86_snp_bit_names(u64 bits, bool feature);

/* The 32 bytes of --snp-host-data; 0 or -EINVAL (prints nothing). */
#define SNP_HOST_DATA_SIZE 32
int x86_snp_host_data(const char *hex, u8 out[SNP_HOST_DATA_SIZE]) __must_check;

extern const struct option_hooks x86_snp_hooks, x86_snp_requests_hooks;
void x86_snp_list(FILE *out);

#endif
