/* SPDX-License-Identifier: MIT */
/*
 * The realm initial measurement of Arm CCA (DEN0137, "Realm Initial Measurement" and the
 * descriptors of the types RmmMeasurementDescriptor...): parameters first, then one extension for
 * each call of the RMM that is measured.
 */
#include "lkvm/measure.h"

#define PAGE_SIZE 4096

/* RmiRealmParams, as far as it is measured. */
#define PARAMS_FLAGS 0x0
#define PARAMS_S2SZ  0x8
#define PARAMS_SVE   0x10
#define PARAMS_BPS   0x18
#define PARAMS_WPS   0x20
#define PARAMS_PMU   0x28
#define PARAMS_HASH  0x30

/* What all descriptors begin with, and where theirs are. */
#define DESC_SIZE    0x100
#define DESC_TYPE    0x0
#define DESC_LEN     0x8
#define DESC_RIM     0x10
#define DESC_DATA    0 /* types */
#define DESC_REC     1
#define DESC_RIPAS   2
#define DATA_IPA     0x50
#define DATA_FLAGS   0x58 /* bit 0: its content is measured */
#define DATA_CONTENT 0x60
#define REC_CONTENT  0x50
#define RIPAS_BASE   0x50
#define RIPAS_TOP    0x58

/* RmiRecParams, as far as it is measured. */
#define REC_FLAGS 0x0 /* bit 0: runnable */
#define REC_PC	  0x200
#define REC_GPRS  0x300

/* RmiHashAlgorithm */
static u8 hash_number(enum hash_alg alg)
{
	return alg == HASH_SHA256 ? 0 : alg == HASH_SHA512 ? 1 : 2;
}

static void log_step(const struct rim *r, const char *what, const u64 range[2], const u8 *content)
{
	const struct measure_step step = {
		.measurement = r->name,
		.what = what,
		.has_range = range,
		.gpa = range ? range[0] : 0,
		.len = range ? range[1] - range[0] : 0,
		.content = content,
		.content_len = hash_len(r->hash),
		.after = r->value,
		.after_len = hash_len(r->hash),
	};

	measure_log_step(r->log, &step);
}

void rim_create(struct rim *r, const struct rim_params *p, enum rim_profile profile,
		const char *name, struct measure_log *log)
{
	u8 params[PAGE_SIZE] = { 0 };

	*r = (struct rim){
		.hash = p->hash,
		.profile = profile,
		.s2sz = p->s2sz,
		.name = name,
		.log = log,
	};
	put_le(params + PARAMS_FLAGS, 8, p->flags);
	params[PARAMS_S2SZ] = p->s2sz;
	params[PARAMS_SVE] = p->sve_vl;
	params[PARAMS_BPS] = p->num_bps;
	params[PARAMS_WPS] = p->num_wps;
	params[PARAMS_PMU] = p->pmu_num_ctrs;
	params[PARAMS_HASH] = hash_number(p->hash);
	hash_bytes(r->hash, params, sizeof(params), r->value);
	log_step(r, "realm-parameters", NULL, NULL);
}

static void begin_descriptor(const struct rim *r, u8 desc[DESC_SIZE], u8 type)
{
	memset(desc, 0, DESC_SIZE);
	desc[DESC_TYPE] = type;
	put_le(desc + DESC_LEN, 8, DESC_SIZE);
	memcpy(desc + DESC_RIM, r->value, RIM_LEN);
}

static void extend(struct rim *r, const u8 desc[DESC_SIZE])
{
	hash_bytes(r->hash, desc, DESC_SIZE, r->value);
}

/*
 * The RMM goes through a range by the entries of its tables, each the largest that the address and
 * what is left allow. The tables' start holds up to 16 tables beside each other (4 bits of the
 * address), each level below resolves 9 bits: a realm has as many levels as its addresses need, and
 * no entry is larger than one of the first.
 */
static u64 entry_size(const struct rim *r, u64 base, u64 top)
{
	u32 bits = MAX(r->s2sz, (u8)17);
	u32 levels = (bits - 16 + 8) / 9;
	u64 size = PAGE_SIZE;

	for (u32 k = 1; k < levels; k++) {
		u64 larger = size << 9;

		if (!IS_ALIGNED(base, larger) || top - base < larger)
			break;
		size = larger;
	}
	return size;
}

u64 rim_init_ripas(struct rim *r, u64 base, u64 top)
{
	u8 desc[DESC_SIZE];
	u64 nr = 0, size;

	if (r->profile == RIM_RMM2)
		return 0;
	for (; base < top; base += size, nr++) {
		u64 range[2];

		size = entry_size(r, base, top);
		range[0] = base;
		range[1] = base + size;
		begin_descriptor(r, desc, DESC_RIPAS);
		put_le(desc + RIPAS_BASE, 8, range[0]);
		put_le(desc + RIPAS_TOP, 8, range[1]);
		extend(r, desc);
		log_step(r, "ripas-ram", range, NULL);
	}
	return nr;
}

void rim_data(struct rim *r, u64 ipa, const void *page, bool measured)
{
	const u64 range[2] = { ipa, ipa + PAGE_SIZE };
	u8 desc[DESC_SIZE];

	begin_descriptor(r, desc, DESC_DATA);
	put_le(desc + DATA_IPA, 8, ipa);
	put_le(desc + DATA_FLAGS, 8, measured);
	if (measured)
		hash_bytes(r->hash, page, PAGE_SIZE, desc + DATA_CONTENT);
	extend(r, desc);
	log_step(r, measured ? "data" : "data-unmeasured", range,
		 measured ? desc + DATA_CONTENT : NULL);
}

void rim_rec(struct rim *r, u64 pc, const u64 gprs[8])
{
	u8 params[PAGE_SIZE] = { 0 }, desc[DESC_SIZE];

	put_le(params + REC_FLAGS, 8, 1);
	put_le(params + REC_PC, 8, pc);
	for (u32 i = 0; i < 8; i++)
		put_le(params + REC_GPRS + i * 8, 8, gprs[i]);
	begin_descriptor(r, desc, DESC_REC);
	hash_bytes(r->hash, params, sizeof(params), desc + REC_CONTENT);
	extend(r, desc);
	log_step(r, "rec", NULL, desc + REC_CONTENT);
}
