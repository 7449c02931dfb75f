/* SPDX-License-Identifier: MIT */
/*
 * SEV-SNP's launch digest (SNP firmware ABI 56860, 8.17.2 and table 69, PAGE_INFO), the ID block
 * and ID authentication that are checked against it, and OVMF's table of kernel hashes.
 */
#include "lkvm/measure.h"

#define PAGE_SIZE 4096

/* PAGE_INFO */
#define INFO_SIZE     0x70
#define INFO_CONTENTS 0x30
#define INFO_LENGTH   0x60
#define INFO_TYPE     0x62
#define INFO_GPA      0x68

static const char *const page_names[] = {
	[SNP_PAGE_NORMAL] = "normal",	[SNP_PAGE_VMSA] = "vmsa",
	[SNP_PAGE_ZERO] = "zero",	[SNP_PAGE_UNMEASURED] = "unmeasured",
	[SNP_PAGE_SECRETS] = "secrets", [SNP_PAGE_CPUID] = "cpuid",
};

const char *snp_page_name(enum snp_page_type type)
{
	return (u32)type < ARRAY_SIZE(page_names) ? page_names[type] : NULL;
}

void snp_digest_page(struct snp_digest *d, enum snp_page_type type, u64 gpa, const void *page)
{
	bool has_content = type == SNP_PAGE_NORMAL || type == SNP_PAGE_VMSA;
	u8 info[INFO_SIZE] = { 0 };
	const struct measure_step step = {
		.measurement = "launch-digest",
		.what = snp_page_name(type),
		.has_range = true,
		.gpa = gpa,
		.len = PAGE_SIZE,
		.content = has_content ? info + INFO_CONTENTS : NULL,
		.content_len = SNP_DIGEST_LEN,
		.after = d->ld,
		.after_len = SNP_DIGEST_LEN,
	};

	memcpy(info, d->ld, SNP_DIGEST_LEN);
	if (has_content)
		hash_bytes(HASH_SHA384, page, PAGE_SIZE, info + INFO_CONTENTS);
	put_le(info + INFO_LENGTH, 2, INFO_SIZE);
	info[INFO_TYPE] = (u8)type;
	/* IMI and the permissions of VMPL 1 to 3 are 0: KVM gives none (INFO_TYPE + 1 ...). */
	put_le(info + INFO_GPA, 8, gpa);
	hash_bytes(HASH_SHA384, info, INFO_SIZE, d->ld);
	measure_log_step(d->log, &step);
}

/* ID block and ID authentication (56860, tables 75 and 76). */
#define ID_VERSION	1
#define AUTH_ID_ALGO	0x0
#define AUTH_KEY_ALGO	0x4
#define AUTH_ID_KEY	0x240
#define AUTH_AUTHOR_KEY 0x880
#define PUBLIC_KEY_SIZE 1028 /* chapter 10, table 136: curve, Qx, Qy, reserved */
#define ALGO_NONE	0
#define ALGO_P384	1 /* ECDSA P-384 with SHA-384 */
#define CURVE_P384	2

int snp_id_block_parse(const u8 raw[SNP_ID_BLOCK_SIZE], struct snp_id_block *out, const char **why)
{
	memcpy(out->ld, raw, SNP_DIGEST_LEN);
	memcpy(out->family_id, raw + 0x30, sizeof(out->family_id));
	memcpy(out->image_id, raw + 0x40, sizeof(out->image_id));
	out->version = (u32)get_le(raw + 0x50, 4);
	out->guest_svn = (u32)get_le(raw + 0x54, 4);
	out->policy = get_le(raw + 0x58, 8);
	if (out->version == ID_VERSION)
		return 0;
	*why = "its version (at byte 80) is not 1: it is not an ID block";
	return -EINVAL;
}

/* Prints nothing; NULL: it is a key that the firmware can check. */
static const char *key_wrong(const u8 *key, u32 algo, bool author)
{
	if (algo != ALGO_P384)
		return author ? "its author key's algorithm (at byte 4) is not 1, ECDSA P-384 with "
				"SHA-384: it is not an ID authentication"
			      : "its ID key's algorithm (at byte 0) is not 1, ECDSA P-384 with "
				"SHA-384: it is not an ID authentication";
	if (get_le(key, 4) != CURVE_P384)
		return author ? "its author key's curve (at byte 2176) is not 2, P-384"
			      : "its ID key's curve (at byte 576) is not 2, P-384";
	return NULL;
}

int snp_id_auth_parse(const u8 raw[SNP_ID_AUTH_SIZE], struct snp_id_auth *out, const char **why)
{
	*out = (struct snp_id_auth){
		.id_key_algo = (u32)get_le(raw + AUTH_ID_ALGO, 4),
		.auth_key_algo = (u32)get_le(raw + AUTH_KEY_ALGO, 4),
		.has_author_key = get_le(raw + AUTH_KEY_ALGO, 4) != ALGO_NONE,
	};
	*why = key_wrong(raw + AUTH_ID_KEY, out->id_key_algo, false);
	if (!*why && out->has_author_key)
		*why = key_wrong(raw + AUTH_AUTHOR_KEY, out->auth_key_algo, true);
	if (*why)
		return -EINVAL;
	hash_bytes(HASH_SHA384, raw + AUTH_ID_KEY, PUBLIC_KEY_SIZE, out->id_key_digest);
	if (out->has_author_key)
		hash_bytes(HASH_SHA384, raw + AUTH_AUTHOR_KEY, PUBLIC_KEY_SIZE,
			   out->author_key_digest);
	return 0;
}

/*
 * OVMF's table (OvmfPkg, BlobVerifierSevHashes): a GUID, the table's length, and an entry for each:
 * GUID, length, SHA-256.
 */
#define GUID_LEN  16
#define ENTRY_LEN (GUID_LEN + 2 + 32)
#define TABLE_LEN (GUID_LEN + 2 + 3 * ENTRY_LEN)

/* 9438d606-4f22-4cc9-b479-a793d411fd21 and the others, as their bytes lie. */
static const u8 table_guid[GUID_LEN] =
	"\x06\xd6\x38\x94\x22\x4f\xc9\x4c\xb4\x79\xa7\x93\xd4\x11\xfd\x21";
/* 97d02dd8-bd20-4c94-aa78-e7714d36ab2a */
static const u8 cmdline_guid[GUID_LEN] =
	"\xd8\x2d\xd0\x97\x20\xbd\x94\x4c\xaa\x78\xe7\x71\x4d\x36\xab\x2a";
/* 44baf731-3a2f-4bd7-9af1-41e29169781d */
static const u8 initrd_guid[GUID_LEN] =
	"\x31\xf7\xba\x44\x2f\x3a\xd7\x4b\x9a\xf1\x41\xe2\x91\x69\x78\x1d";
/* 4de79437-abd2-427f-b835-d5b172d2045b */
static const u8 kernel_guid[GUID_LEN] =
	"\x37\x94\xe7\x4d\xd2\xab\x7f\x42\xb8\x35\xd5\xb1\x72\xd2\x04\x5b";

static u8 *put_head(u8 *at, const u8 guid[GUID_LEN], u16 len)
{
	memcpy(at, guid, GUID_LEN);
	put_le(at + GUID_LEN, 2, len);
	return at + GUID_LEN + 2;
}

static u8 *put_entry(u8 *at, const u8 guid[GUID_LEN], const u8 hash[32])
{
	at = put_head(at, guid, ENTRY_LEN);
	memcpy(at, hash, 32);
	return at + 32;
}

void snp_hashes_page(const struct snp_kernel_hashes *hashes, u32 offset, u8 page[PAGE_SIZE])
{
	u8 *at = page + MIN(offset, (u32)PAGE_SIZE - SNP_HASHES_SIZE);

	memset(page, 0, PAGE_SIZE);
	at = put_head(at, table_guid, TABLE_LEN);
	at = put_entry(at, cmdline_guid, hashes->cmdline);
	at = put_entry(at, initrd_guid, hashes->initrd);
	put_entry(at, kernel_guid, hashes->kernel);
}
