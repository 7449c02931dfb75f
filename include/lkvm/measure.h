/* SPDX-License-Identifier: MIT */
/*
 * What a confidential guest's launch measurement is, computed without firmware or KVM: hashes, and
 * over them the digest of SEV-SNP, the RIM of Arm CCA and the MRTD of TDX, each from the steps of a
 * launch in their order. `lkvm measure` follows a launch with these (struct coco_measure, coco.h).
 *
 * Everything here is plain data and arithmetic: no state of the host enters, and bytes mean the
 * same whatever machine computes.
 */
#ifndef LKVM_MEASURE_H
#define LKVM_MEASURE_H

#include <stdio.h>

#include "lkvm/types.h"

struct vm;

/* measure/hash.c: SHA-2 (FIPS 180-4), of the library that lkvm was built with. */

enum hash_alg {
	HASH_SHA256,
	HASH_SHA384,
	HASH_SHA512,
};
#define HASH_MAX_LEN 64

/* "nettle 3.8"; NULL: built without one. Then nothing below may be called but where it says so. */
const char *hash_library(void);
/* The same as a check: prints that nothing can be measured, and how that is mended; 0 or
 * -ENOTSUP. */
int hash_check(void) __must_check;
/* Without a library too: its length in bytes, and "sha256". */
u32 hash_len(enum hash_alg alg);
const char *hash_name(enum hash_alg alg);

/* A hash under way: plain data, owns nothing; a copy goes its own way. */
struct hash {
	enum hash_alg alg;
	u64 state[28]; /* the library's */
};
void hash_begin(struct hash *h, enum hash_alg alg);
void hash_add(struct hash *h, const void *bytes, size_t len);
/* Writes hash_len bytes; @h is used up. */
void hash_end(struct hash *h, u8 *out);
/* All three in one. */
void hash_bytes(enum hash_alg alg, const void *bytes, size_t len, u8 *out);

/*
 * measure/log.c: the steps of a measurement, a line each, for who looks for the difference between
 * two. NULL stands for a log that nobody reads: all functions take it.
 */

struct measure_log {
	FILE *out; /* the caller's */
	bool json; /* an object on each line; else text in columns */
};
struct measure_step {
	const char *measurement; /* which: "launch-digest", or of several "rim-v10" */
	const char *what;	 /* "normal", "ripas-ram": one word, static */
	bool has_range;
	u64 gpa, len;	   /* of guest memory */
	const u8 *content; /* the digest of what is measured; NULL: none enters */
	u32 content_len;
	const u8 *after; /* the measurement after this step */
	u32 after_len;
};
void measure_log_step(struct measure_log *log, const struct measure_step *step);

/*
 * measure/snp.c: the launch digest of SEV-SNP (SNP firmware ABI 56860, LAUNCH_UPDATE's PAGE_INFO).
 * Fill in the log, zeroes are the start.
 */

#define SNP_DIGEST_LEN 48
#define SNP_VMSA_GPA   0xfffffffff000ULL
enum snp_page_type {
	SNP_PAGE_NORMAL = 1,
	SNP_PAGE_VMSA = 2,
	SNP_PAGE_ZERO = 3,
	SNP_PAGE_UNMEASURED = 4,
	SNP_PAGE_SECRETS = 5,
	SNP_PAGE_CPUID = 6,
};
struct snp_digest {
	u8 ld[SNP_DIGEST_LEN];
	struct measure_log *log;
};
/* @page has 4096 bytes; only of NORMAL and VMSA they enter, for others it may be NULL. */
void snp_digest_page(struct snp_digest *d, enum snp_page_type type, u64 gpa, const void *page);
/* "normal", "zero"; NULL: no such type. */
const char *snp_page_name(enum snp_page_type type);

/* ID block and ID authentication (56860, structures of LAUNCH_FINISH), as their files have them. */
#define SNP_ID_BLOCK_SIZE 96
#define SNP_ID_AUTH_SIZE  4096
struct snp_id_block {
	u8 ld[SNP_DIGEST_LEN];
	u8 family_id[16];
	u8 image_id[16];
	u32 version;
	u32 guest_svn;
	u64 policy;
};
struct snp_id_auth {
	u32 id_key_algo;
	u32 auth_key_algo;
	bool has_author_key;
	/* SHA-384 of the public keys, as attestation reports have them; all zeroes without a
	 * library (needs none) and, of the author's, without that key. */
	u8 id_key_digest[SNP_DIGEST_LEN];
	u8 author_key_digest[SNP_DIGEST_LEN];
};
/* 0, or -EINVAL: *why is what is wrong with it, for a message that begins with the file. Without a
 * library too. */
int snp_id_block_parse(const u8 raw[SNP_ID_BLOCK_SIZE], struct snp_id_block *out,
		       const char **why) __must_check;
int snp_id_auth_parse(const u8 raw[SNP_ID_AUTH_SIZE], struct snp_id_auth *out,
		      const char **why) __must_check;

/* The table of hashes by which OVMF knows kernel, initrd and command line, in an otherwise empty
 * page. SHA-256 of each: the command line with its NUL, of nothing where there is no initrd. */
struct snp_kernel_hashes {
	u8 cmdline[32];
	u8 initrd[32];
	u8 kernel[32];
};
#define SNP_HASHES_SIZE 176 /* of the table; its offset in the page is the caller's */
void snp_hashes_page(const struct snp_kernel_hashes *hashes, u32 offset, u8 page[4096]);

/*
 * measure/rim.c: the realm initial measurement of Arm CCA (DEN0137, realm measurements; RMM 1.0 and
 * 2.0).
 */

#define RIM_LEN 64 /* shorter hashes have zeroes behind them */
enum rim_profile {
	RIM_RMM1, /* RMM 1.0 and 1.1: RTT_INIT_RIPAS extends the RIM */
	RIM_RMM2, /* 2.0: it does not */
};
struct rim_params {
	u64 flags;	     /* RIM_FLAG_* */
	u8 s2sz;	     /* bits of an IPA */
	u8 sve_vl;	     /* vector length / 128 bits - 1 */
	u8 num_bps, num_wps; /* number - 1 */
	u8 pmu_num_ctrs;
	enum hash_alg hash;
};
#define RIM_FLAG_LPA2 BIT_ULL(0)
#define RIM_FLAG_SVE  BIT_ULL(1)
#define RIM_FLAG_PMU  BIT_ULL(2)
#define RIM_FLAG_DA   BIT_ULL(3)
struct rim {
	u8 value[RIM_LEN];
	enum hash_alg hash;
	enum rim_profile profile;
	u8 s2sz;
	const char *name; /* in the log; static */
	struct measure_log *log;
};
/* REALM_CREATE. @name: "rim", or of several "rim-v10"; static. */
void rim_create(struct rim *r, const struct rim_params *p, enum rim_profile profile,
		const char *name, struct measure_log *log);
/*
 * RTT_INIT_RIPAS over [base, top), both in whole pages, of a realm that has no pages yet: once for
 * each entry of the translation tables. Of RIM_RMM2: nothing. Returns the number of extensions.
 */
u64 rim_init_ripas(struct rim *r, u64 base, u64 top);
/* DATA_CREATE; @page is looked at only when it is measured. */
void rim_data(struct rim *r, u64 ipa, const void *page, bool measured);
/* REC_CREATE of a runnable REC; others do not enter. */
void rim_rec(struct rim *r, u64 pc, const u64 gprs[8]);

/* measure/mrtd.c: the MRTD of TDX (TDX module ABI, TDH.MEM.PAGE.ADD, TDH.MR.EXTEND). */

#define MRTD_LEN 48
struct mrtd {
	struct hash hash;
	struct measure_log *log;
};
void mrtd_begin(struct mrtd *m, struct measure_log *log);
/* TDH.MEM.PAGE.ADD, and where it is @measured sixteen TDH.MR.EXTEND: as Linux does for each page.
 * @page is looked at only when it is measured. */
void mrtd_page(struct mrtd *m, u64 gpa, const void *page, bool measured);
/* @m may go on: what it is after the pages so far. */
void mrtd_value(const struct mrtd *m, u8 out[MRTD_LEN]);

/*
 * measure/result.c: what a measurement says, in the order in which it was said. Names are words
 * with hyphens, static.
 */

enum measure_kind {
	MEASURE_BYTES,
	MEASURE_BITS, /* a number in hexadecimal, in JSON too (a string): JSON's have 53 bits */
	MEASURE_NUMBER,
	MEASURE_TEXT,
};
struct measure_value {
	const char *name;
	enum measure_kind kind;
	u8 bytes[RIM_LEN];
	u32 len;
	u64 number;
	char *text; /* owned */
};
#define MEASURE_MAX_VALUES 32
/* Of one generation of the ABI, or the only one. */
struct measure_result {
	const char *name; /* "v10"; NULL: there is only one. Static. */
	char *refused;	  /* why there is no measurement of this generation, or NULL; owned */
	struct measure_value values[MEASURE_MAX_VALUES];
	u32 nr_values;
};

#define MEASURE_MAX_RESULTS 16
/* A measurement under way. */
struct measure {
	struct vm *vm;		 /* without KVM; its cfg, mem and arch are as for a launch */
	struct measure_log *log; /* or NULL */
	void *state;		 /* the kind's, from begin to destroy */
	struct measure_result results[MEASURE_MAX_RESULTS];
	u32 nr_results;
};
struct measure_result *measure_add_result(struct measure *m, const char *name);
void measure_add_bytes(struct measure_result *r, const char *name, const void *bytes, u32 len);
void measure_add_bits(struct measure_result *r, const char *name, u64 bits);
void measure_add_number(struct measure_result *r, const char *name, u64 number);
void measure_add_text(struct measure_result *r, const char *name, const char *text);
/* There is no measurement of this generation: say why, in a sentence without a full stop. */
void measure_refuse(struct measure_result *r, const char *fmt, ...) __printf(2, 3);
/*
 * All results: as text, "name: value" on each line; or as one JSON object, { "kind": @kind,
 * "results": [ { "abi": "v10", "rim": "...", ... }, { "abi": "v11", "refused": "..." } ] } on one
 * line. 0 or -errno of writing (prints nothing).
 */
int measure_print(const struct measure *m, const char *kind, bool json, FILE *out) __must_check;
/* Frees what the results own. */
void measure_free(struct measure *m);

#endif
