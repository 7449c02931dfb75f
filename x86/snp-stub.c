/* SPDX-License-Identifier: MIT */
/*
 * A kernel as an SNP guest without firmware: what a firmware would have done is a stub's
 * (guest/x86/snp-stub.S), which is given a list of the memory that nobody launched. The kernel
 * finds the pages of the SNP firmware by setup_data (Linux Documentation/arch/x86/boot.rst,
 * setup_data; arch/x86/include/asm/sev.h, cc_blob_sev_info).
 */
#include "boot.h"
#include "lkvm/guest-snp.h"
#include "lkvm/util.h"
#include "snp.h"

/* guest/x86/snp-embed.S */
extern const u8 snp_stub_image[];
extern const u32 snp_stub_image_len;

#define SETUP_CC_BLOB 7
#define CC_BLOB_MAGIC 0x45444d41U /* "AMDE" */
#define CC_BLOB_AT    0x40U	  /* in its page, behind the setup_data */
#define PDPT	      (X86_PAGE_TABLES + 4 * KiB)
#define PTE_SIZE      8U

struct setup_cc_blob {
	__le64 next;
	__le32 type, len; /* of what follows */
	__le32 address;
};

struct cc_blob {
	__le32 magic;
	__le16 version, reserved0;
	__le64 secrets;
	__le32 secrets_len, reserved1;
	__le64 cpuid;
	__le32 cpuid_len, reserved2;
};

static int add_ranges(const struct x86_boot *b, u8 *params)
{
	struct x86_span spans[SNP_PARAMS_MAX];
	int count = x86_ram_rest(b->plan, b->mem, spans, SNP_PARAMS_MAX);

	for (int i = 0; i < count; i++) {
		u8 *at = params + SNP_PARAMS_RANGES + i * 16;

		put_le(at, 8, spans[i].start);
		put_le(at + 8, 8, spans[i].end);
	}
	if (count >= 0)
		put_le(params + SNP_PARAMS_COUNT, 8, (u64)count);
	return MIN(count, 0);
}

static void add_blob(struct boot_plan *plan)
{
	const struct setup_cc_blob setup = {
		.type = cpu_to_le32(SETUP_CC_BLOB),
		.len = cpu_to_le32(sizeof(setup.address)),
		.address = cpu_to_le32(X86_SNP_BLOB + CC_BLOB_AT),
	};
	const struct cc_blob blob = {
		.magic = cpu_to_le32(CC_BLOB_MAGIC),
		.version = cpu_to_le16(1),
		.secrets = cpu_to_le64(X86_SNP_SECRETS),
		.secrets_len = cpu_to_le32(BOOT_PAGE),
		.cpuid = cpu_to_le64(X86_SNP_CPUID),
		.cpuid_len = cpu_to_le32(BOOT_PAGE),
	};

	boot_plan_add(plan, BOOT_TABLES, "setup data", X86_SNP_BLOB, &setup, sizeof(setup));
	boot_plan_add(plan, BOOT_TABLES, "confidential computing blob", X86_SNP_BLOB + CC_BLOB_AT,
		      &blob, sizeof(blob));
}

int x86_snp_stub_plan(struct x86_boot *b)
{
	static const u8 page[BOOT_PAGE];
	u8 params[SNP_PARAMS_SIZE] = { 0 };
	struct boot_entry *entry;
	int ret;

	add_blob(b->plan);
	boot_plan_add(b->plan, BOOT_SECRETS, "secrets page", X86_SNP_SECRETS, page, sizeof(page));
	boot_plan_add(b->plan, BOOT_CPUID, "CPUID page", X86_SNP_CPUID, page, sizeof(page));
	boot_plan_add_zero(b->plan, "page directory", X86_SNP_TABLE, BOOT_PAGE);
	boot_plan_add(b->plan, BOOT_STUB, "SNP stub", X86_SNP_STUB, snp_stub_image,
		      snp_stub_image_len);
	/* It counts itself. */
	boot_plan_add(b->plan, BOOT_STUB, "SNP stub's parameters", X86_SNP_PARAMS, params,
		      sizeof(params));
	put_le(params + SNP_PARAMS_ENTRY, 8, b->entry.rip);
	put_le(params + SNP_PARAMS_RSI, 8, b->entry.rsi);
	put_le(params + SNP_PARAMS_C_BIT, 8, b->entry.c_bit);
	put_le(params + SNP_PARAMS_TABLE, 8, X86_SNP_TABLE);
	put_le(params + SNP_PARAMS_WINDOW, 8, PDPT + 4 * PTE_SIZE);
	ret = add_ranges(b, params);
	if (ret)
		return boot_error(b, ret,
				  "it lies in too many pieces for an SNP guest; use fewer initrds");
	entry = &b->plan->entries[b->plan->nr_entries - 1];
	memcpy(entry->bytes, params, sizeof(params));
	b->entry.rip = X86_SNP_STUB;
	b->entry.rsi = 0;
	b->entry.rbx = X86_SNP_PARAMS;
	return 0;
}
