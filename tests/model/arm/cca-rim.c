// SPDX-License-Identifier: MIT
/* Descriptors of DEN0137: RmmMeasurementDescriptorData, ...Rec, ...Ripas; offsets in the comments.
 */
#include "cca-rim.h"

#include <stdio.h>

#include "../model.h"

#define DESC_SIZE 0x100

enum { DESC_DATA, DESC_REC, DESC_RIPAS };

static u32 bits_of(enum rim_hash hash)
{
	return hash == RIM_SHA256 ? 256 : hash == RIM_SHA384 ? 384 : 512;
}

size_t rim_len(enum rim_hash hash)
{
	return bits_of(hash) / 8;
}

const char *rim_hash_name(enum rim_hash hash)
{
	return hash == RIM_SHA256 ? "sha256" : hash == RIM_SHA384 ? "sha384" : "sha512";
}

void rim_hex(const struct rim *rim, char text[2 * RIM_SIZE + 1])
{
	for (size_t i = 0; i < rim_len(rim->hash); i++)
		snprintf(text + 2 * i, 3, "%02x", rim->value[i]);
}

/* Into 64 bytes that are zero. */
static void hash_into(const struct rim *rim, const void *data, size_t len, u8 *out)
{
	model_sha(bits_of(rim->hash), data, len, out);
}

void rim_start(struct rim *rim, const struct rim_params *params)
{
	u8 page[RIM_PAGE] = { 0 };

	*rim = (struct rim){ .hash = params->hash };
	put_le(page, 8, params->flags);
	page[0x08] = params->s2sz;
	page[0x10] = params->sve_vl;
	page[0x18] = params->num_bps;
	page[0x20] = params->num_wps;
	page[0x28] = params->pmu_num_ctrs;
	page[0x30] = (u8)params->hash;
	hash_into(rim, page, sizeof(page), rim->value);
}

/* All descriptors begin alike: type, length, the measurement so far. */
static void begin(const struct rim *rim, u8 desc[DESC_SIZE], u8 type)
{
	memset(desc, 0, DESC_SIZE);
	desc[0] = type;
	put_le(desc + 0x08, 8, DESC_SIZE);
	memcpy(desc + 0x10, rim->value, RIM_SIZE);
}

static void extend(struct rim *rim, const u8 desc[DESC_SIZE])
{
	memset(rim->value, 0, RIM_SIZE);
	hash_into(rim, desc, DESC_SIZE, rim->value);
	rim->extends++;
}

void rim_data(struct rim *rim, u64 ipa, const void *page, bool measured)
{
	u8 desc[DESC_SIZE];

	begin(rim, desc, DESC_DATA);
	put_le(desc + 0x50, 8, ipa);
	put_le(desc + 0x58, 8, measured);
	if (measured)
		hash_into(rim, page, RIM_PAGE, desc + 0x60);
	extend(rim, desc);
}

void rim_rec(struct rim *rim, u64 pc, const u64 gprs[8])
{
	u8 desc[DESC_SIZE], params[RIM_PAGE] = { 0 };

	put_le(params, 8, 1); /* runnable */
	put_le(params + 0x200, 8, pc);
	for (int i = 0; i < 8; i++)
		put_le(params + 0x300 + 8 * i, 8, gprs[i]);
	begin(rim, desc, DESC_REC);
	hash_into(rim, params, sizeof(params), desc + 0x50);
	extend(rim, desc);
}

void rim_ripas(struct rim *rim, u64 base, u64 top)
{
	u8 desc[DESC_SIZE];

	begin(rim, desc, DESC_RIPAS);
	put_le(desc + 0x50, 8, base);
	put_le(desc + 0x58, 8, top);
	extend(rim, desc);
}
