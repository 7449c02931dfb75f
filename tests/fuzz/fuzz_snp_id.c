/* SPDX-License-Identifier: MIT */
/* measure/snp.c: ID blocks and their authentication, as files have them, and where a firmware says
 * that its page of kernel hashes is. */

#include "fuzz.h"
#include "lkvm/measure.h"
#include "lkvm/util.h"

static void check_block(const u8 *raw)
{
	struct snp_id_block block;
	const char *why = NULL;
	int ret = snp_id_block_parse(raw, &block, &why);

	fz_check(ret == 0 || (ret == -EINVAL && why && *why));
	fz_check(!ret == (get_le(raw + 0x50, 4) == 1));
	fz_check(block.policy == get_le(raw + 0x58, 8));
}

static void check_auth(const u8 *raw)
{
	static const u8 none[SNP_DIGEST_LEN];
	struct snp_id_auth auth;
	const char *why = NULL;
	int ret = snp_id_auth_parse(raw, &auth, &why);

	fz_check(ret == 0 || (ret == -EINVAL && why && *why));
	if (ret || !auth.has_author_key)
		fz_check(!memcmp(auth.author_key_digest, none, sizeof(none)));
	else if (hash_library())
		fz_check(memcmp(auth.author_key_digest, none, sizeof(none)) != 0);
}

static void check_hashes(u32 offset, const u8 *raw)
{
	struct snp_kernel_hashes hashes;
	u8 *page = malloc(4096);
	u32 set = 0;

	fz_check(page);
	memcpy(&hashes, raw, sizeof(hashes));
	snp_hashes_page(&hashes, offset, page);
	for (u32 i = 0; i < 4096; i++)
		set += page[i] != 0;
	fz_check(set >= 16 && set <= SNP_HASHES_SIZE);
	free(page);
}

/* The block, then what there is of its authentication; zeroes behind. */
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 *block = calloc(1, SNP_ID_BLOCK_SIZE), *auth = calloc(1, SNP_ID_AUTH_SIZE);
	size_t n = MIN(size, (size_t)SNP_ID_BLOCK_SIZE);

	fz_begin(data, size);
	fz_check(block && auth);
	memcpy(block, data, n);
	memcpy(auth, data + n, MIN(size - n, (size_t)SNP_ID_AUTH_SIZE));
	check_block(block);
	check_auth(auth);
	check_hashes((u32)get_le(block, 4), block);
	free(block);
	free(auth);
	return 0;
}
