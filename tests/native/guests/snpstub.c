/* SPDX-License-Identifier: MIT */
/*
 * The stub of SNP guests (guest/x86/snp-stub.S) in a guest that is none: its three instructions are
 * calls, and what it does is printed. Words of the command line: ranges=BASE-END,BASE-END...;
 * mismatch=ADDRESS: of the 2 MiB there the host has small pages; fail=ADDRESS, twice=ADDRESS: what
 * a host does that lies.
 */
#include "guest.h"
#include "x86.h"

#include "../../../include/lkvm/guest-snp.h"

#define GIB_4	(4ULL << 30)
#define MIB_2	(2ULL << 20)
#define ADDRESS 0x000ffffffffff000ULL
#define RSI	0x1234567

void snp_run_stub(u64 *params);
u32 snp_pvalidated(u64 va, u32 large);
void snp_wrote_msr(u32 msr, u32 low);
void snp_left(void);
void snp_entered(u64 rsi);
extern u8 snp_test_entry[];

static u64 params[SNP_PARAMS_SIZE / 8] __attribute__((aligned(4096)));
static u64 table[512] __attribute__((aligned(4096)));
static u64 mismatch, failing, twice;

/* Pages that follow each other, of one size. */
static u64 begin, end, run_size;

/* What the calls stand for changes RAX and the carry flag alone. */
__asm__(".text\n"
	".globl snp_test_pvalidate, snp_test_wrmsr, snp_test_vmgexit, snp_run_stub\n"
	"snp_test_pvalidate:\n"
	"	push %rcx; push %rdx; push %rsi; push %rdi; push %r8; push %r9; push %r10; push "
	"%r11\n"
	"	movq %rax, %rdi\n"
	"	movl %ecx, %esi\n"
	"	call snp_pvalidated\n"
	"	btrl $31, %eax\n"
	"	pop %r11; pop %r10; pop %r9; pop %r8; pop %rdi; pop %rsi; pop %rdx; pop %rcx\n"
	"	ret\n"
	"snp_test_wrmsr:\n"
	"	movl %ecx, %edi\n"
	"	movl %eax, %esi\n"
	"	jmp snp_wrote_msr\n"
	"snp_test_vmgexit:\n"
	"	jmp snp_left\n"
	"snp_run_stub:\n"
	"	movq %rdi, %rbx\n"
	"	jmp snp_stub\n"
	"snp_test_entry:\n"
	"	movq %rsi, %rdi\n"
	"	call snp_entered\n");

static void say_run(void)
{
	if (end)
		print("valid 0x%lx-0x%lx by %s\n", begin, end, run_size == MIB_2 ? "2M" : "4K");
	end = 0;
}

static u64 physical(u64 va)
{
	if (va < GIB_4)
		return va;
	return (table[va >> 21 & 511] & ADDRESS) + (va & (MIB_2 - 1));
}

static bool holds(u64 gpa, u64 size, u64 address)
{
	return address && address >= gpa && address < gpa + size;
}

/* EAX, and in bit 31 the carry flag. */
u32 snp_pvalidated(u64 va, u32 large)
{
	u64 gpa = physical(va), size = large ? MIB_2 : 4096;

	if (large && holds(gpa, size, mismatch))
		return SNP_PVALIDATE_SIZE_MISMATCH;
	if (holds(gpa, size, failing))
		return 1;
	if (holds(gpa, size, twice))
		return 1U << 31;
	if (end != gpa || run_size != size) {
		say_run();
		begin = gpa;
		run_size = size;
	}
	end = gpa + size;
	return 0;
}

void snp_wrote_msr(u32 msr, u32 low)
{
	say_run();
	print("wrmsr 0x%x: 0x%x\n", msr, low);
}

void snp_left(void)
{
	print("vmgexit\n");
	outl(DEBUG_EXIT, 3);
}

void snp_entered(u64 rsi)
{
	say_run();
	print("entered with 0x%lx, the window is %s\n", rsi,
	      *(u64 *)params[SNP_PARAMS_WINDOW / 8] ? "open" : "closed");
	outl(DEBUG_EXIT, 0);
	for (;;)
		;
}

static u64 take_number(const char **s)
{
	u64 n = 0;

	for (*s += 2; **s && **s != '-' && **s != ',' && **s != ' '; (*s)++)
		n = n << 4 | (u64)(**s <= '9' ? **s - '0' : **s - 'a' + 10);
	*s += **s == '-' || **s == ',';
	return n;
}

static void take_ranges(void)
{
	const char *s = word_text("ranges");

	for (u64 *at = params + SNP_PARAMS_RANGES / 8; s && *s == '0'; at += 2) {
		at[0] = take_number(&s);
		at[1] = take_number(&s);
		params[SNP_PARAMS_COUNT / 8]++;
	}
}

int guest_main(void)
{
	u64 cr3;

	mismatch = word_value("mismatch", 0);
	failing = word_value("fail", 0);
	twice = word_value("twice", 0);
	__asm__ volatile("cli; movq %%cr3, %0" : "=r"(cr3));
	params[SNP_PARAMS_ENTRY / 8] = (u64)snp_test_entry;
	params[SNP_PARAMS_RSI / 8] = RSI;
	params[SNP_PARAMS_TABLE / 8] = (u64)table;
	/* The first table leads to one of GiB, whose fifth is free. */
	params[SNP_PARAMS_WINDOW / 8] = (*(u64 *)(cr3 & ADDRESS) & ADDRESS) + 4 * 8;
	take_ranges();
	snp_run_stub(params);
	return 1;
}
