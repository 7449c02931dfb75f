/* SPDX-License-Identifier: MIT */
/*
 * Stage 1 of the guest's address translation (Arm DDI 0487, D8.2 and D8.3), to show the code at its
 * program counter. The tables are the guest's: any contents are possible.
 */
#include "arm.h"
#include "lkvm/memory.h"
#include "lkvm/page-walk.h"

#define DESC_VALID BIT_ULL(0)
#define DESC_TABLE BIT_ULL(1) /* at the last level: a page */

/* TCR_ELx: how the two halves of its fields are coded (D23.2). */
static u32 page_shift(const struct arm_mmu *mmu, bool high)
{
	static const u8 tg0[] = { 12, 16, 14, 0 }, tg1[] = { 0, 14, 12, 16 };

	return high ? tg1[mmu->tcr >> 30 & 3] : tg0[mmu->tcr >> 14 & 3];
}

/* The address in a descriptor, with the bits above 47 that it has with 52-bit addresses. */
static u64 output_address(bool wide, u64 desc, u32 shift)
{
	u64 addr = desc & (BIT_ULL(48) - BIT_ULL(shift));

	if (shift == 16)
		addr |= (desc >> 12 & 0xf) << 48;
	else if (wide)
		addr |= (desc & (3ULL << 48)) | (desc >> 8 & 3) << 50;
	return addr;
}

/* The base of a table, whose size is a power of two of at least 64 bytes. */
static u64 table_base(const struct arm_mmu *mmu, u64 ttbr, u32 shift)
{
	u64 base = ttbr & (BIT_ULL(48) - BIT_ULL(6));

	if (shift == 16 || mmu->wide) {
		base &= ~0x3fULL;
		base |= (ttbr >> 2 & 0xf) << 48;
	}
	return base;
}

static u32 address_bits(const struct arm_mmu *mmu, bool high)
{
	u32 tsz = mmu->tcr >> (high ? 16 : 0) & 0x3f;

	return tsz < 12 ? 52 : 64 - MIN(tsz, 48U);
}

int arm_translate(const struct arm_mmu *mmu, const struct guest_memory *mem, u64 va, u64 *pa)
{
	bool high = mmu->two_halves && (va & BIT_ULL(55));
	u32 shift = page_shift(mmu, high), stride = shift - 3;
	u32 bits = address_bits(mmu, high);
	u64 table, mask;
	u32 levels;

	if (!mmu->on) {
		*pa = va;
		return 0;
	}
	if (!shift || bits <= shift)
		return -EFAULT;
	levels = (bits - shift + stride - 1) / stride;
	table = table_base(mmu, mmu->ttbr[high], shift);
	va &= BIT_ULL(bits) - 1;
	for (u32 left = levels; left; left--) {
		u32 at = shift + (left - 1) * stride;
		u64 desc;

		mask = left == levels ? ~0ULL : BIT_ULL(stride) - 1;
		if (memory_read(mem, table + (va >> at & mask) * 8, &desc, sizeof(desc)))
			return -EFAULT;
		desc = le64_to_cpu(desc);
		if (!(desc & DESC_VALID) || (left == 1 && !(desc & DESC_TABLE)))
			return -EFAULT;
		table = output_address(mmu->wide, desc, shift);
		if (left > 1 && (desc & DESC_TABLE))
			continue;
		*pa = (table & ~(BIT_ULL(at) - 1)) | (va & (BIT_ULL(at) - 1));
		return 0;
	}
	return -EFAULT;
}

static enum page_entry read_entry(const struct page_tables *t, u64 desc, u64 va, u32 shift,
				  u64 *addr)
{
	bool last = shift == t->page_shift, is_table = desc & DESC_TABLE;

	*addr = output_address(t->priv, desc, t->page_shift);
	if (!(desc & DESC_VALID) || (last && !is_table))
		return PAGE_ENTRY_NONE;
	return last || !is_table ? PAGE_ENTRY_LEAF : PAGE_ENTRY_TABLE;
}

int arm_tables(const struct arm_mmu *mmu, struct page_tables *t)
{
	u32 shift = page_shift(mmu, true), bits = address_bits(mmu, true);

	if (!mmu->on || !mmu->two_halves || !shift || bits <= shift)
		return -ENOTSUP;
	t->bits = bits;
	t->base = ~0ULL << bits;
	t->page_shift = shift;
	t->root = table_base(mmu, mmu->ttbr[1], shift);
	t->priv = mmu->wide;
	t->read = read_entry;
	return 0;
}
