/* SPDX-License-Identifier: MIT */
/* The launch digest (SNP firmware ABI 56860, 8.17.2) and the VMSA (AMD APM volume 2, table B-4). */
#include "snp.h"

static void put(u8 *page, u32 offset, u64 value, u32 len)
{
	memcpy(page + offset, &value, len);
}

void snp_extend(u8 *ld, u8 type, u64 gpa, const u8 *contents)
{
	u8 info[0x70] = { 0 };

	memcpy(info, ld, 48);
	if (contents)
		model_sha(384, contents, MODEL_PAGE, info + 48);
	put(info, 0x60, sizeof(info), 2);
	info[0x62] = type;
	put(info, 0x68, gpa, 8);
	model_sha(384, info, sizeof(info), ld);
}

static void put_segment(u8 *page, u32 offset, const struct x86_segment *s)
{
	put(page, offset, s->selector, 2);
	put(page, offset + 2, s->attributes, 2);
	put(page, offset + 4, s->limit, 4);
	put(page, offset + 8, s->base, 8);
}

static void put_segments(u8 *page, const struct x86_state *s)
{
	static const u16 offsets[X86_SEGMENTS] = {
		[X86_ES] = 0,	 [X86_CS] = 0x10, [X86_SS] = 0x20,   [X86_DS] = 0x30,
		[X86_FS] = 0x40, [X86_GS] = 0x50, [X86_LDTR] = 0x70, [X86_TR] = 0x90,
	};

	for (int i = 0; i < X86_SEGMENTS; i++)
		put_segment(page, offsets[i], &s->segments[i]);
	put(page, 0x64, s->gdt.limit, 4);
	put(page, 0x68, s->gdt.base, 8);
	put(page, 0x84, s->idt.limit, 4);
	put(page, 0x88, s->idt.base, 8);
	page[0xcb] = s->cpl;
}

static void put_registers(u8 *page, const struct kvm_regs *r)
{
	const struct {
		u16 offset;
		u64 value;
	} all[] = {
		{ 0x170, r->rflags }, { 0x178, r->rip }, { 0x1d8, r->rsp }, { 0x1f8, r->rax },
		{ 0x308, r->rcx },    { 0x310, r->rdx }, { 0x318, r->rbx }, { 0x328, r->rbp },
		{ 0x330, r->rsi },    { 0x338, r->rdi }, { 0x340, r->r8 },  { 0x348, r->r9 },
		{ 0x350, r->r10 },    { 0x358, r->r11 }, { 0x360, r->r12 }, { 0x368, r->r13 },
		{ 0x370, r->r14 },    { 0x378, r->r15 },
	};

	for (u32 i = 0; i < MODEL_ARRAY(all); i++)
		put(page, all[i].offset, all[i].value, 8);
}

/* TSC_AUX lies beyond what KVM copies. */
static void put_msrs(u8 *page, const struct x86_state *s)
{
	static const struct {
		u16 offset;
		u32 index;
		u64 reset;
	} all[] = {
		{ 0x140, 0xda0, 0 },	  { 0x200, 0xc0000081, 0 },
		{ 0x208, 0xc0000082, 0 }, { 0x210, 0xc0000083, 0 },
		{ 0x218, 0xc0000084, 0 }, { 0x220, 0xc0000102, 0 },
		{ 0x228, 0x174, 0 },	  { 0x230, 0x175, 0 },
		{ 0x238, 0x176, 0 },	  { 0x268, 0x277, 0x0007040600070406ULL },
		{ 0x270, 0x1d9, 0 },	  { 0x2e0, 0x48, 0 },
	};

	for (u32 i = 0; i < MODEL_ARRAY(all); i++)
		put(page, all[i].offset, x86_msr(s, all[i].index, all[i].reset), 8);
}

/* The area of XSAVE: legacy part, and YMM at 576. */
static void put_fpu(u8 *page, const struct x86_state *s)
{
	const u8 *x = s->xsave;
	const u8 *bv = x + 512;

	memcpy(page + 0x400, x + 16, 8); /* DP */
	memcpy(page + 0x408, x + 24, 4); /* MXCSR */
	page[0x40c] = x[4];		 /* FTW */
	memcpy(page + 0x40e, x + 2, 2);	 /* FSW */
	memcpy(page + 0x410, x, 2);	 /* FCW */
	memcpy(page + 0x412, x + 6, 2);	 /* FOP */
	memcpy(page + 0x418, x + 8, 8);	 /* RIP */
	for (int i = 0; i < 8; i++) {
		memcpy(page + 0x420 + i * 8, x + 32 + i * 16, 8);
		memcpy(page + 0x460 + i * 2, x + 40 + i * 16, 2);
	}
	memcpy(page + 0x470, x + 160, 256);
	if (*bv & 4)
		memcpy(page + 0x570, x + 576, 256);
}

void snp_vmsa(const struct x86_state *s, u64 features, u64 quirks_disabled, u8 *page)
{
	bool quirk = !(quirks_disabled & 2); /* KVM_X86_QUIRK_CD_NW_CLEARED */

	memset(page, 0, MODEL_PAGE);
	put_segments(page, s);
	put_registers(page, &s->regs);
	put_msrs(page, s);
	put_fpu(page, s);
	put(page, 0xd0, s->efer | 0x1000, 8);
	put(page, 0x148, s->cr4 | 0x40, 8);
	put(page, 0x150, s->cr3, 8);
	put(page, 0x158, quirk ? s->cr0 & ~0x60000000ULL : s->cr0, 8);
	put(page, 0x160, 0x400, 8);
	put(page, 0x168, s->debug.dr6, 8);
	put(page, 0x3b0, features, 8);
	put(page, 0x3e8, s->xcr0, 8);
}
