/* SPDX-License-Identifier: MIT */
/*
 * The Realm Initial Measurement: what the RMM computes while a realm is built (Arm DEN0137, Realm
 * Management Monitor specification, "Realm Initial Measurement").
 */
#ifndef MODEL_CCA_RIM_H
#define MODEL_CCA_RIM_H

#include "lkvm/types.h"

#define RIM_SIZE 64
#define RIM_PAGE 4096

/* Numbers of the RMI. */
enum rim_hash { RIM_SHA256, RIM_SHA512, RIM_SHA384 };

struct rim {
	enum rim_hash hash;
	u8 value[RIM_SIZE]; /* zeroes after a shorter digest */
	u32 extends;	    /* since the parameters */
};

/* What of struct RmiRealmParams is measured. */
struct rim_params {
	u64 flags; /* of enum */
	u8 s2sz;
	u8 sve_vl;	     /* length / 128 - 1 */
	u8 num_bps, num_wps; /* less 1 */
	u8 pmu_num_ctrs;
	enum rim_hash hash;
};

enum {
	RIM_FLAG_LPA2 = 1 << 0,
	RIM_FLAG_SVE = 1 << 1,
	RIM_FLAG_PMU = 1 << 2,
	RIM_FLAG_DA = 1 << 3,
};

void rim_start(struct rim *rim, const struct rim_params *params);
/* A page of RIM_PAGE bytes; @page is not looked at when it is not measured. */
void rim_data(struct rim *rim, u64 ipa, const void *page, bool measured);
/* A runnable REC; others are not measured. @gprs: x0 to x7. */
void rim_rec(struct rim *rim, u64 pc, const u64 gprs[8]);
/* One entry of a translation table whose RIPAS becomes RAM (RMM 1.x only). */
void rim_ripas(struct rim *rim, u64 base, u64 top);
/* Bytes that are a digest. */
size_t rim_len(enum rim_hash hash);
/* "sha256". */
const char *rim_hash_name(enum rim_hash hash);
/* Hexadecimal digits of the digest, NUL-terminated. */
void rim_hex(const struct rim *rim, char text[2 * RIM_SIZE + 1]);

#endif
