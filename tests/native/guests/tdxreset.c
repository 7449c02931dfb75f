/* SPDX-License-Identifier: MIT */
/*
 * The first code of a trust domain (guest/x86/tdx-reset.S) in an ordinary guest, with a function in
 * place of TDCALL: it is entered in 32-bit mode as the TDX module would enter it, accepts the pages
 * of a list, and goes on to what would be the kernel; or says why it cannot. Another CPU waits in
 * the mailbox.
 */
#include "x86.h"

/* As include/lkvm/guest-tdx.h has it. */
struct {
	u64 entry, params, count;
	struct {
		u64 start, end;
	} ranges[64];
} tdx_info;
struct {
	u16 command, reserved;
	u32 apic_id;
	u64 vector;
} tdx_mailbox __attribute__((aligned(4096)));
u64 tdx_tables[6][512] __attribute__((aligned(4096)));

#define PAGE	      0x1000ULL
#define LARGE	      0x200000ULL
#define ACCEPT	      6
#define SIZE_MISMATCH (0xc0000b0bULL << 32)
#define BUSY	      (0x80000200ULL << 32)
#define ALREADY	      (0x00000b0aULL << 32)

#define SPLIT_AT 0x100200000ULL /* the host has it in small pages */
#define BUSY_AT	 0x400000ULL	/* is being worked on, twice */
#define PARAMS	 0x90000ULL

/* R8 to R15, RDI, RSI, RBX, RDX, RCX, RAX: as tdx_played pushes them, from the last. */
struct regs {
	u64 rax, rcx, rdx, rbx, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};

void enter_reset(u32 vcpu);
void after_reset(void);
void after_fatal(void) __attribute__((noreturn));
void park_in_mailbox(u32 vcpu);
void played(struct regs *r);
u64 seen_params;
u32 seen_paging;

static u64 refused;	      /* a page that is not accepted; 0: none */
static u64 next_gpa, bad_gpa; /* where the next page must be */
static u32 range, large, small, split, busy;
static char text[65];
static struct regs fatal_regs;

static void expect_page(u64 gpa)
{
	if (next_gpa == tdx_info.ranges[range].end) {
		range++;
		next_gpa = tdx_info.ranges[range].start;
	}
	if (gpa != next_gpa && !bad_gpa)
		bad_gpa = gpa;
}

static u64 accept(u64 gpa, u32 level)
{
	expect_page(gpa);
	if (gpa == refused)
		return ALREADY;
	if (gpa == BUSY_AT && busy < 2) {
		busy++;
		return BUSY;
	}
	if (level && gpa == SPLIT_AT) {
		split++;
		return SIZE_MISMATCH;
	}
	if (level && gpa % LARGE)
		bad_gpa = gpa;
	if (level)
		large++;
	else
		small++;
	next_gpa = gpa + (level ? LARGE : PAGE);
	return 0;
}

/* What TDCALL was given and returns, in place. */
void played(struct regs *r)
{
	if (r->rax == ACCEPT) {
		r->rax = accept(r->rcx & ~(PAGE - 1), (u32)(r->rcx & (PAGE - 1)));
		return;
	}
	fatal_regs = *r;
	after_fatal();
}

__asm__(".text\n"
	".globl tdx_played\n"
	"tdx_played:\n"
	"	push %r15\n	push %r14\n	push %r13\n	push %r12\n	push %r11\n	"
	"push %r10\n"
	"	push %r9\n	push %r8\n	push %rdi\n	push %rsi\n	push %rbx\n	"
	"push %rdx\n"
	"	push %rcx\n	push %rax\n"
	"	movq %rsp, %rdi\n"
	"	movq %rsp, %rbx\n"
	"	andq $-16, %rsp\n"
	"	call played\n"
	"	movq %rbx, %rsp\n"
	"	pop %rax\n	pop %rcx\n	pop %rdx\n	pop %rbx\n	pop %rsi\n	"
	"pop %rdi\n"
	"	pop %r8\n	pop %r9\n	pop %r10\n	pop %r11\n	pop %r12\n	"
	"pop %r13\n"
	"	pop %r14\n	pop %r15\n"
	"	ret\n"

	/* EDI: the vcpu's number. Out of 64-bit mode, to where the page begins. */
	".globl enter_reset\n"
	"enter_reset:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	"
	"push %r15\n"
	"	movq %rsp, saved_rsp\n"
	"	movq %cr3, %rax\n"
	"	movq %rax, saved_cr3\n"
	"	movl %edi, %esi\n"
	"	movl $48, %ebx\n"
	"	pushq $0x20\n" /* SEL_CODE32 */
	"	leaq 1f(%rip), %rax\n"
	"	push %rax\n"
	"	lretq\n"
	"	.code32\n"
	"1:	movl %cr0, %eax\n"
	"	andl $0x7fffffff, %eax\n"
	"	movl %eax, %cr0\n"
	"	movl $0xc0000080, %ecx\n"
	"	rdmsr\n"
	"	andl $~0x100, %eax\n"
	"	wrmsr\n"
	"	jmp tdx_start32\n"
	"	.code64\n"

	/* What would be the kernel. */
	".globl after_reset\n"
	"after_reset:\n"
	"	movq %rsi, seen_params\n"
	"	movq %cr3, %rax\n"
	"	cmpq $tdx_tables, %rax\n"
	"	sete seen_paging\n"
	".globl after_fatal\n"
	"after_fatal:\n"
	"	movq saved_cr3, %rax\n"
	"	movq %rax, %cr3\n"
	"	lgdt gdtr\n"
	"	movq saved_rsp, %rsp\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	"
	"pop %rbx\n"
	"	ret\n"

	".globl park_in_mailbox\n"
	"park_in_mailbox:\n"
	"	movl %edi, %esi\n"
	"	jmp tdx_park\n"

	".bss\n"
	".balign 16\n"
	"	.skip 4096\n"
	".globl tdx_stack_top\n"
	"tdx_stack_top:\n"
	"saved_rsp: .skip 8\n"
	"saved_cr3: .skip 8\n"
	".text\n");

static void make_tables(void)
{
	tdx_tables[0][0] = (u64)tdx_tables[1] | 3;
	for (u32 i = 0; i < 4; i++)
		tdx_tables[1][i] = (u64)tdx_tables[2 + i] | 3;
	for (u32 i = 0; i < 4 * 512; i++)
		tdx_tables[2 + i / 512][i % 512] = i * LARGE | 0x83;
}

static void begin(void)
{
	bad_gpa = 0;
	range = large = small = split = busy = 0;
	next_gpa = tdx_info.ranges[0].start;
	seen_params = 0;
	enter_reset(0);
}

static void test_accept(void)
{
	static const u64 ranges[][2] = {
		{ 0x1000, 0x3000 },
		{ 0x1ff000, 0x601000 },
		{ 0x7ff000, 0x900000 }, /* no large page fits */
		{ 0x100000000, 0x100600000 },
	};

	for (u32 i = 0; i < 4; i++) {
		tdx_info.ranges[i].start = ranges[i][0];
		tdx_info.ranges[i].end = ranges[i][1];
	}
	tdx_info.count = 4;
	begin();
	print("accepted: %u large, %u small, %u split, busy %u, wrong 0x%lx\n", large, small, split,
	      busy, bad_gpa);
	print("all of them: %s\n", range == 3 && next_gpa == 0x100600000 ? "yes" : "no");
	print("kernel: params 0x%lx, tables %s\n", seen_params,
	      seen_paging ? "measured" : "others");
	tdx_info.count = 0;
	begin();
	print("nothing to accept: params 0x%lx, %u\n", seen_params, large + small);
}

static void put(u32 at, u64 v)
{
	for (u32 i = 0; i < 8; i++)
		text[at + i] = (char)(v >> 8 * i);
}

static void test_fatal(void)
{
	const struct regs *r = &fatal_regs;

	tdx_info.ranges[0].start = 0x4000;
	tdx_info.ranges[0].end = 0x9000;
	tdx_info.count = 1;
	refused = 0x5000;
	begin();
	put(0, r->r14);
	put(8, r->r15);
	put(16, r->rbx);
	put(24, r->rdi);
	put(32, r->rsi);
	put(40, r->r8);
	put(48, r->r9);
	put(56, r->rdx);
	print("fatal: leaf %lu, 0x%lx, r10 %lu, r11 0x%lx, r12 %lu, r13 %lu: %s\n", r->rax, r->rcx,
	      r->r10, r->r11, r->r12, r->r13, text);
	print("kernel: params 0x%lx\n", seen_params);
}

static u32 parked, woken;

static void wake_up(void)
{
	atomic_add(&woken, 1);
	for (;;)
		arch_wait();
}

static void ap(u32 index)
{
	atomic_add(&parked, 1);
	park_in_mailbox(index);
}

static void set_mailbox(u32 id)
{
	volatile u16 *command = &tdx_mailbox.command;

	tdx_mailbox.apic_id = id;
	tdx_mailbox.vector = (u64)wake_up;
	__asm__ volatile("" : : : "memory");
	*command = 1;
}

static void test_mailbox(void)
{
	volatile u16 *command = &tdx_mailbox.command;

	arch_start_cpus(ap);
	while (!atomic_read(&parked))
		arch_pause();
	/* Not for it: it does not even take the command back. */
	set_mailbox(7);
	for (u32 i = 0; i < 2000; i++)
		arch_pause();
	print("mailbox: another's command %u, woken %u\n", *command, atomic_read(&woken));
	*command = 0;
	set_mailbox(1);
	while (!atomic_read(&woken) || *command)
		arch_pause();
	print("mailbox: woken %u, command %u\n", atomic_read(&woken), *command);
}

int guest_main(void)
{
	make_tables();
	tdx_info.entry = (u64)after_reset;
	tdx_info.params = PARAMS;
	test_accept();
	test_fatal();
	if (arch_nr_cpus() > 1)
		test_mailbox();
	return 5;
}
