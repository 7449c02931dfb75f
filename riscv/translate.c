/* SPDX-License-Identifier: MIT */
/*
 * The guest's own translation of addresses: Sv39, Sv48 and Sv57, with Svnapot (The RISC-V
 * Instruction Set Manual Volume II, 12.3 to 12.6 and 14), for debuggers and dumps. What the tables
 * allow whom plays no part. They are the guest's: any contents are possible.
 */
#include "lkvm/debug.h"
#include "lkvm/memory.h"
#include "lkvm/page-walk.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "riscv.h"

#define PAGE_SHIFT 12U
#define STRIDE	   9U

/* satp (12.1.11): the mode, and the first table. */
#define SATP_MODE(satp)	 ((u32)((satp) >> 60))
#define SATP_TABLE(satp) (((satp) & (BIT_ULL(44) - 1)) << PAGE_SHIFT)
#define SATP_SV39	 8U
#define SATP_SV57	 10U

/* An entry (12.4.1): a page is readable or executable, a table neither. */
#define PTE_VALID   BIT_ULL(0)
#define PTE_READ    BIT_ULL(1)
#define PTE_WRITE   BIT_ULL(2)
#define PTE_EXEC    BIT_ULL(3)
#define PTE_NAPOT   BIT_ULL(63)
#define PTE_PPN(e)  ((e) >> 10 & (BIT_ULL(44) - 1))
#define NAPOT_PAGES 16ULL /* the one size there is: 64 KiB (14, table 45) */

/* How many levels of tables; 0: addresses are not translated; -1: no such mode. */
static int satp_levels(u64 satp)
{
	u32 mode = SATP_MODE(satp);

	if (!mode)
		return 0;
	return mode >= SATP_SV39 && mode <= SATP_SV57 ? (int)(mode - SATP_SV39) + 3 : -1;
}

/* One of 16 pages that are one to the CPU: which, only the address says. */
static enum page_entry read_napot(u64 ppn, u64 va, u32 shift, u64 *addr)
{
	if (shift != PAGE_SHIFT || ppn % NAPOT_PAGES != NAPOT_PAGES / 2)
		return PAGE_ENTRY_NONE;
	ppn += (va >> PAGE_SHIFT) % NAPOT_PAGES - NAPOT_PAGES / 2;
	*addr = ppn << PAGE_SHIFT;
	return PAGE_ENTRY_LEAF;
}

static enum page_entry read_entry(const struct page_tables *t, u64 entry, u64 va, u32 shift,
				  u64 *addr)
{
	u64 ppn = PTE_PPN(entry);

	*addr = ppn << PAGE_SHIFT;
	if (!(entry & PTE_VALID) || (entry & (PTE_READ | PTE_WRITE)) == PTE_WRITE)
		return PAGE_ENTRY_NONE;
	if (!(entry & (PTE_READ | PTE_EXEC)))
		return shift > PAGE_SHIFT && !(entry & PTE_NAPOT) ? PAGE_ENTRY_TABLE
								  : PAGE_ENTRY_NONE;
	if (entry & PTE_NAPOT)
		return read_napot(ppn, va, shift, addr);
	/* A large page that is not aligned is a fault. */
	return *addr & (BIT_ULL(shift) - 1) ? PAGE_ENTRY_NONE : PAGE_ENTRY_LEAF;
}

/* The bits above those that are translated are all like the highest of these. */
static bool is_canonical(u64 va, u32 bits)
{
	u64 above = va >> (bits - 1);

	return !above || above == ~0ULL >> (bits - 1);
}

int riscv_translate(u64 satp, const struct guest_memory *mem, u64 va, u64 *pa)
{
	int levels = satp_levels(satp);
	u64 table = SATP_TABLE(satp);
	u32 shift;

	if (!levels) {
		*pa = va;
		return 0;
	}
	if (levels < 0 || !is_canonical(va, PAGE_SHIFT + (u32)levels * STRIDE))
		return -EFAULT;
	shift = PAGE_SHIFT + (u32)levels * STRIDE;
	do {
		__le64 entry;

		shift -= STRIDE;
		table += (va >> shift & (BIT_ULL(STRIDE) - 1)) * sizeof(entry);
		if (memory_read(mem, table, &entry, sizeof(entry)))
			return -EFAULT;
		switch (read_entry(NULL, le64_to_cpu(entry), va, shift, &table)) {
		case PAGE_ENTRY_TABLE:
			break;
		case PAGE_ENTRY_LEAF:
			*pa = table | (va & (BIT_ULL(shift) - 1));
			return 0;
		case PAGE_ENTRY_NONE:
			return -EFAULT;
		}
	} while (shift > PAGE_SHIFT);
	return -EFAULT;
}

int riscv_tables(u64 satp, struct page_tables *t)
{
	int levels = satp_levels(satp);

	if (levels <= 0)
		return -ENOTSUP;
	/* The upper half is what the second half of the first table is for. */
	t->bits = PAGE_SHIFT + (u32)levels * STRIDE - 1;
	t->base = ~0ULL << t->bits;
	t->page_shift = PAGE_SHIFT;
	t->root = SATP_TABLE(satp) + BIT_ULL(STRIDE - 1) * 8;
	t->read = read_entry;
	return 0;
}

int arch_vcpu_translate(struct vcpu *vcpu, u64 va, u64 *gpa)
{
	u64 satp;
	int ret = vcpu_get_reg(vcpu, RISCV_CSR_REG(RISCV_CSR_SATP), &satp);

	return ret ? ret : riscv_translate(satp, &vcpu->vm->mem, va, gpa);
}

int arch_vcpu_tables(struct vcpu *vcpu, struct page_tables *t)
{
	t->user = !riscv_get(vcpu, RISCV_CORE_REG(RISCV_CORE_MODE));
	return riscv_tables(riscv_get(vcpu, RISCV_CSR_REG(RISCV_CSR_SATP)), t);
}
