/* SPDX-License-Identifier: MIT */
/*
 * A kernel as a trust domain without firmware: the list that an ordinary guest starts from, and
 * below 4 GiB the pages of include/lkvm/guest-tdx.h. All of it is added and measured; the rest of
 * RAM is for the first code to accept.
 */
#include <stdlib.h>

#include "boot.h"
#include "lkvm/guest-tdx.h"
#include "lkvm/util.h"
#include "tdx.h"

extern const u8 tdx_reset_page[BOOT_PAGE]; /* guest/x86/tdx-embed.S */

bool x86_tdx_ranges(const struct boot_plan *plan, const struct guest_memory *mem,
		    struct tdx_info *info)
{
	struct x86_span spans[TDX_MAX_RANGES];
	int count = x86_ram_rest(plan, mem, spans, TDX_MAX_RANGES);

	info->count = 0;
	for (int i = 0; i < count; i++) {
		info->ranges[i].start = cpu_to_le64(spans[i].start);
		info->ranges[i].end = cpu_to_le64(spans[i].end);
	}
	if (count >= 0)
		info->count = cpu_to_le64((u64)count);
	return count >= 0;
}

int x86_tdx_plan_kernel(const struct x86_boot *b)
{
	struct tdx_info info = {
		.entry = cpu_to_le64(b->entry.rip),
		.params = cpu_to_le64(b->entry.rsi),
	};
	struct boot_entry stub = {
		.gpa = TDX_MAILBOX,
		.len = TDX_STUB_SIZE,
		.kind = BOOT_STUB,
		.measured = true,
		.rom = true,
		.what = "first code of a trust domain",
	};

	_Static_assert((u64)TDX_MAILBOX + TDX_STUB_SIZE == X86_HOLE_END, "up to 4 GiB");
	if (!x86_tdx_ranges(b->plan, b->mem, &info))
		return boot_error(b, -E2BIG,
				  "it lies in too many pieces for a trust domain: at most %u gaps "
				  "in memory can be accepted",
				  TDX_MAX_RANGES);
	stub.bytes = xcalloc(1, TDX_STUB_SIZE);
	x86_identity_tables(stub.bytes + (TDX_TABLES - TDX_MAILBOX), TDX_TABLES, 0);
	memcpy(stub.bytes + (TDX_CODE - TDX_MAILBOX), tdx_reset_page, sizeof(tdx_reset_page));
	memcpy(stub.bytes + (TDX_CODE - TDX_MAILBOX), &info, sizeof(info));
	boot_plan_add_entry(b->plan, &stub);
	return 0;
}
