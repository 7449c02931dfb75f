/* SPDX-License-Identifier: MIT */
/* What the firmware refuses (SNP firmware ABI 56860; its behaviour cannot be verified here). */
#include "snp.h"

#define POLICY_SMT	     (1ULL << 16)
#define POLICY_SINGLE_SOCKET (1ULL << 20)
#define POLICY_CXL	     (1ULL << 21)
#define POLICY_XTS	     (1ULL << 22)
#define POLICY_RAPL_DIS	     (1ULL << 23)
#define POLICY_HIDING	     (1ULL << 24)

u32 snp_fw_start(const struct snp_start *s)
{
	if ((s->policy & 0xffff) > snp.abi || (!(s->policy & POLICY_SMT) && snp.smt) ||
	    (!(s->policy & POLICY_CXL) && snp.cxl) || (s->policy & POLICY_XTS && !snp.xts) ||
	    (s->policy & POLICY_RAPL_DIS && snp.rapl) || (s->policy & POLICY_HIDING && !snp.hiding))
		return SNP_FW_POLICY;
	return 0;
}

u32 snp_fw_activate(const struct snp_start *s)
{
	return s->policy & POLICY_SINGLE_SOCKET && snp.sockets > 1 ? SNP_FW_POLICY : 0;
}

/* 48 bytes each, behind a head of 16: up to 64. */
struct cpuid_fn {
	u32 leaf, index;
	u64 xcr0, xss;
	u32 eax, ebx, ecx, edx;
	u64 reserved;
};

/* Bits that KVM invents and the firmware does not let a guest believe in. */
static bool correct(struct cpuid_fn *f)
{
	const struct cpuid_fn old = *f;

	if (f->leaf == 1)
		f->ecx &= ~(1U << 24);
	if (f->leaf == 7 && !f->index) {
		f->ebx &= ~2U;
		f->edx = 0;
	}
	if (f->leaf == 0x80000008)
		f->ebx &= ~(1U << 25);
	if (f->leaf == 0x80000021) {
		f->eax &= ~(1U << 9);
		f->ecx = 0;
	}
	/* The size of the state that XCR0 = 1 selects. */
	if (f->leaf == 0xd && f->index < 2 && f->xcr0 == 1 && !f->xss)
		f->ebx = 0x240;
	return memcmp(f, &old, sizeof(old));
}

static u32 correct_all(u8 *page)
{
	struct cpuid_fn f;
	u32 count, wrong = 0;

	memcpy(&count, page, sizeof(count));
	if (!count || count > 64) {
		model_broken(0, "the CPUID page has %u entries", count);
		return 1;
	}
	for (u32 i = 0; i < count; i++) {
		memcpy(&f, page + 16 + i * sizeof(f), sizeof(f));
		wrong += correct(&f);
		memcpy(page + 16 + i * sizeof(f), &f, sizeof(f));
	}
	return wrong;
}

/* Something that the VMM can show: the first entry's EDX has one bit less, or more. */
static void change(u8 *page)
{
	page[16 + offsetof(struct cpuid_fn, edx)] ^= 1;
}

u32 snp_fw_cpuid(struct snp_vm *v, const u8 *page, u8 *corrected)
{
	memcpy(corrected, page, MODEL_PAGE);
	if (snp.cpuid == SNP_CPUID_ACCEPT)
		return 0;
	if (snp.cpuid == SNP_CPUID_STRICT)
		return correct_all(corrected) ? SNP_FW_PARAM : 0;
	if (snp.cpuid == SNP_CPUID_ONCE && v->cpuid_offered &&
	    !memcmp(page, v->cpuid_offer, MODEL_PAGE))
		return 0;
	/* The same table again gets the same answer. */
	if (!v->cpuid_offered || snp.cpuid == SNP_CPUID_REJECT)
		change(corrected);
	else
		memcpy(corrected, v->cpuid_offer, MODEL_PAGE);
	memcpy(v->cpuid_offer, corrected, MODEL_PAGE);
	v->cpuid_offered = true;
	return SNP_FW_PARAM;
}

static u32 get32(const u8 *p)
{
	return (u32)p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24;
}

/*
 * 8.17.3: algorithm and curve are numbers that are known (1: ECDSA P-384 with SHA-384; 2: P-384);
 * a signature is R and S, a key its curve and the point, 72 bytes each.
 */
static u32 check_signature(const u8 *auth, u32 algo, u32 signature, u32 key, const void *data,
			   size_t len)
{
	const u8 *r = auth + signature, *q = auth + key + 4;

	if (get32(auth + algo) != 1 || get32(auth + key) != 2)
		return SNP_FW_PARAM;
	return model_p384_verify(data, len, q, q + 72, r, r + 72) ? 0 : SNP_FW_SIGNATURE;
}

/* The id key signs the id block; where there is an author, the author's key signs the id key. */
static u32 check_auth(const struct snp_id_block *block, const u8 *auth, bool author)
{
	u32 fw = check_signature(auth, 0, 0x40, 0x240, block, sizeof(*block));

	return fw || !author ? fw : check_signature(auth, 4, 0x680, 0x880, auth + 0x240, 1028);
}

u32 snp_fw_finish(const struct snp_vm *v, const struct snp_id_block *block, const u8 *auth,
		  bool author)
{
	u32 fw;

	if (block->version != 1)
		return SNP_FW_PARAM;
	fw = check_auth(block, auth, author);
	if (fw)
		return fw;
	if (block->policy != v->policy)
		return SNP_FW_POLICY;
	return memcmp(block->ld, v->ld, sizeof(v->ld)) ? SNP_FW_MEASUREMENT : 0;
}
