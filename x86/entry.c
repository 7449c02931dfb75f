/* SPDX-License-Identifier: MIT */
/*
 * The state in which a loaded guest starts: descriptor table, page tables and registers (Intel SDM
 * volume 3, 2.5, 3.4.5, 4.5). 64-bit entry follows Linux's boot protocol, 32-bit entry PVH,
 * multiboot and Linux's 32-bit boot protocol, which agree.
 */
#include "boot.h"

#define CODE_SELECTOR 0x10 /* boot.rst: __BOOT_CS and __BOOT_DS */
#define DATA_SELECTOR 0x18
#define TSS_SELECTOR  0x20

/* Segment types of 3.4.5.1 and 3.5. */
#define TYPE_CODE  0xb /* execute, read, accessed */
#define TYPE_DATA  0x3 /* read, write, accessed */
#define TYPE_TSS   0xb /* busy 32-bit or 64-bit TSS */
#define FLAT_LIMIT 0xffffffffU
#define TSS_LIMIT  0x67

#define CR0_PE	 BIT_ULL(0)
#define CR0_ET	 BIT_ULL(4)
#define CR0_NE	 BIT_ULL(5)
#define CR0_PG	 BIT_ULL(31)
#define CR4_PAE	 BIT_ULL(5)
#define EFER_LME BIT_ULL(8)
#define EFER_LMA BIT_ULL(10)
#define RFLAGS_1 BIT_ULL(1) /* always set */

#define PTE_PRESENT  BIT_ULL(0)
#define PTE_WRITE    BIT_ULL(1)
#define PTE_ACCESSED BIT_ULL(5)
#define PTE_DIRTY    BIT_ULL(6)
#define PTE_LARGE    BIT_ULL(7)
#define PTES	     512U

/* 3.4.5, as 8 bytes. */
static u64 descriptor(const struct kvm_segment *s)
{
	u64 limit = s->g ? s->limit >> 12 : s->limit;

	return (limit & 0xffff) | (s->base & 0xffffff) << 16 | (u64)s->type << 40 |
	       (u64)s->s << 44 | (u64)s->dpl << 45 | (u64)s->present << 47 |
	       (limit >> 16 & 0xf) << 48 | (u64)s->avl << 52 | (u64)s->l << 53 | (u64)s->db << 54 |
	       (u64)s->g << 55 | (s->base >> 24 & 0xff) << 56;
}

static struct kvm_segment flat_segment(u16 selector, u8 type, bool long64)
{
	bool code = selector == CODE_SELECTOR;

	return (struct kvm_segment){
		.limit = FLAT_LIMIT,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.l = long64 && code,
		.db = !(long64 && code),
		.g = 1,
	};
}

static struct kvm_segment tss_segment(void)
{
	/* Nobody switches tasks: VMX alone wants it to be there. PVH says base 0, limit 0x67. */
	return (struct kvm_segment){
		.limit = TSS_LIMIT,
		.selector = TSS_SELECTOR,
		.type = TYPE_TSS,
		.present = 1,
	};
}

static void add_gdt(struct boot_plan *plan, bool long64)
{
	struct kvm_segment code = flat_segment(CODE_SELECTOR, TYPE_CODE, long64);
	struct kvm_segment data = flat_segment(DATA_SELECTOR, TYPE_DATA, long64);
	struct kvm_segment tss = tss_segment();
	__le64 gdt[6] = { 0 };

	gdt[CODE_SELECTOR / 8] = cpu_to_le64(descriptor(&code));
	gdt[DATA_SELECTOR / 8] = cpu_to_le64(descriptor(&data));
	gdt[TSS_SELECTOR / 8] = cpu_to_le64(descriptor(&tss)); /* [5] is its upper half */
	boot_plan_add(plan, BOOT_TABLES, "descriptor table", X86_GDT, gdt, sizeof(gdt));
}

void x86_identity_tables(u8 out[X86_IDENTITY_TABLES], u64 gpa, u64 c_bit)
{
	const u64 table = c_bit | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED;
	const u64 page = table | PTE_DIRTY | PTE_LARGE;
	const u64 pdpt = gpa + 4 * KiB, pds = pdpt + 4 * KiB;
	__le64 tables[6][PTES] = { 0 }; /* PML4, PDPT, PDs */

	tables[0][0] = cpu_to_le64(pdpt | table);
	for (u32 i = 0; i < 4; i++) {
		tables[1][i] = cpu_to_le64((pds + i * 4 * KiB) | table);
		for (u32 j = 0; j < PTES; j++)
			tables[2 + i][j] = cpu_to_le64((i * GiB + j * 2 * MiB) | page);
	}
	_Static_assert(sizeof(tables) == X86_IDENTITY_TABLES, "six pages");
	memcpy(out, tables, sizeof(tables));
}

static void add_page_tables(struct boot_plan *plan, u64 c_bit)
{
	u8 tables[X86_IDENTITY_TABLES];

	x86_identity_tables(tables, X86_PAGE_TABLES, c_bit);
	boot_plan_add(plan, BOOT_TABLES, "page tables", X86_PAGE_TABLES, tables, sizeof(tables));
}

void x86_entry_tables(struct boot_plan *plan, enum x86_entry_mode mode, u64 c_bit)
{
	if (mode != X86_ENTRY_RESET)
		add_gdt(plan, mode == X86_ENTRY_LONG64);
	if (mode == X86_ENTRY_LONG64)
		add_page_tables(plan, c_bit);
}

void x86_entry_registers(const struct x86_entry *entry, struct kvm_sregs *sregs,
			 struct kvm_regs *regs)
{
	bool long64 = entry->mode == X86_ENTRY_LONG64;

	if (entry->mode == X86_ENTRY_RESET)
		return;
	sregs->cs = flat_segment(CODE_SELECTOR, TYPE_CODE, long64);
	sregs->ds = flat_segment(DATA_SELECTOR, TYPE_DATA, long64);
	sregs->es = sregs->fs = sregs->gs = sregs->ss = sregs->ds;
	sregs->tr = tss_segment();
	sregs->gdt.base = X86_GDT;
	sregs->gdt.limit = 6 * 8 - 1;
	sregs->idt.base = 0;
	sregs->idt.limit = 0;
	/* PVH: PE and nothing else, ET is fixed to 1. */
	sregs->cr0 = CR0_PE | CR0_ET;
	sregs->cr4 = 0;
	sregs->efer = 0;
	if (long64) {
		sregs->cr0 |= CR0_PG | CR0_NE;
		sregs->cr3 = X86_PAGE_TABLES;
		sregs->cr4 = CR4_PAE;
		sregs->efer = EFER_LME | EFER_LMA;
	}
	*regs = (struct kvm_regs){
		.rax = entry->rax,
		.rbx = entry->rbx,
		.rsi = entry->rsi,
		.rsp = X86_STACK_TOP,
		.rip = entry->rip,
		.rflags = RFLAGS_1, /* interrupts off */
	};
}

/* What a segment register holds, its attributes as the CPU's VMCB has them (APM volume 2, B). */
static void add_segment(struct boot_plan *plan, const char *const names[4],
			const struct kvm_segment *s)
{
	boot_plan_add_reg(plan, names[0], s->selector);
	boot_plan_add_reg(plan, names[1], s->base);
	boot_plan_add_reg(plan, names[2], s->limit);
	boot_plan_add_reg(plan, names[3],
			  s->type | (u64)s->s << 4 | (u64)s->dpl << 5 | (u64)s->present << 7 |
				  (u64)s->avl << 8 | (u64)s->l << 9 | (u64)s->db << 10 |
				  (u64)s->g << 11);
}

#define SEGMENT(name)                                                             \
	{                                                                         \
		name ".selector", name ".base", name ".limit", name ".attributes" \
	}

static void add_segments(struct boot_plan *plan, const struct kvm_sregs *sregs)
{
	static const char *const names[][4] = {
		SEGMENT("cs"), SEGMENT("ds"), SEGMENT("es"), SEGMENT("fs"),
		SEGMENT("gs"), SEGMENT("ss"), SEGMENT("tr"),
	};
	const struct kvm_segment *segments[] = { &sregs->cs, &sregs->ds, &sregs->es, &sregs->fs,
						 &sregs->gs, &sregs->ss, &sregs->tr };

	for (size_t i = 0; i < ARRAY_SIZE(segments); i++)
		add_segment(plan, names[i], segments[i]);
}

void x86_entry_plan(const struct x86_entry *entry, struct boot_plan *plan)
{
	struct kvm_sregs sregs = { 0 };
	struct kvm_regs regs = { 0 };

	/* At the reset vector every register has what the CPU gives it: nothing is set. */
	if (entry->mode == X86_ENTRY_RESET)
		return;
	x86_entry_registers(entry, &sregs, &regs);
	boot_plan_add_reg(plan, "rip", regs.rip);
	boot_plan_add_reg(plan, "rflags", regs.rflags);
	boot_plan_add_reg(plan, "rax", regs.rax);
	boot_plan_add_reg(plan, "rbx", regs.rbx);
	boot_plan_add_reg(plan, "rsi", regs.rsi);
	boot_plan_add_reg(plan, "rsp", regs.rsp);
	boot_plan_add_reg(plan, "cr0", sregs.cr0);
	boot_plan_add_reg(plan, "cr3", sregs.cr3);
	boot_plan_add_reg(plan, "cr4", sregs.cr4);
	boot_plan_add_reg(plan, "efer", sregs.efer);
	boot_plan_add_reg(plan, "gdt.base", sregs.gdt.base);
	boot_plan_add_reg(plan, "gdt.limit", sregs.gdt.limit);
	boot_plan_add_reg(plan, "idt.base", sregs.idt.base);
	boot_plan_add_reg(plan, "idt.limit", sregs.idt.limit);
	add_segments(plan, &sregs);
}
