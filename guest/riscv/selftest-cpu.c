/* SPDX-License-Identifier: MIT */
/*
 * The built-in guest's riscv64 checks of a hart: extensions that the tree names, CSRs, registers
 * over exits, misaligned addresses, paging.
 */
#include "selftest-parts.h"

#define SSTATUS_FS_INITIAL (1 << 13)
#define SSTATUS_VS_INITIAL (1 << 9)
#define SSTATUS_FS	   (3 << 13)
#define SSTATUS_VS	   (3 << 9)

/*
 * Extensions: an instruction of each, called as fn(X, Y, &WORD), what it returns in a0. Encodings
 * are those of the RISC-V Unprivileged and Privileged Architecture.
 */
#define X    0x123456789abcdef0ULL
#define Y    0x0fedcba987654321ULL
#define WORD 0x8877665544332211ULL

/* With a0, a1 or the address in a2 */
#define REG(f7, f3)  ((u32)(f7) << 25 | 11 << 20 | 10 << 15 | (f3) << 12 | 10 << 7 | 0x33)
#define IMM(imm, f3) ((u32)(imm) << 20 | 10 << 15 | (f3) << 12 | 10 << 7 | 0x13)
#define AMO(f5, f3)  ((u32)(f5) << 27 | 11 << 20 | 12 << 15 | (f3) << 12 | 10 << 7 | 0x2f)
#define LR(f3)	     ((u32)2 << 27 | 12 << 15 | (f3) << 12 | 10 << 7 | 0x2f)
#define CBO(imm)     ((u32)(imm) << 20 | 12 << 15 | 2 << 12 | 0xf)
#define CSR(csr)     ((u32)(csr) << 20 | 2 << 12 | 10 << 7 | 0x73)
#define TWO(insn)    ((insn) | 0x0001u << 16) /* of 16 bits, C.NOP behind it */
#define RET	     0x00008067
#define FENCE_I	     0x0000100f

static const struct extension {
	const char *name;
	u32 insn;
	bool any; /* the result depends on the machine */
	u64 result;
} extensions[] = {
	{ "m", REG(1, 0), false, 0x2236d88fe5618cf0 },
	{ "a", AMO(0, 2), false, 0x44332211 },
	{ "f", 0xe0000553, true, 0 },	 /* FMV.X.W a0, ft0 */
	{ "d", 0xe2000553, true, 0 },	 /* FMV.X.D a0, ft0 */
	{ "c", TWO(0x852eu), false, Y }, /* C.MV a0, a1 */
	{ "v", 0xcc00f557, false, 1 },	 /* VSETIVLI a0, 1, e8, m1 */
	{ "h", CSR(0x600), true, 0 },
	{ "zaamo", AMO(0, 3), false, WORD },
	{ "zalrsc", LR(3), false, WORD },
	{ "zabha", AMO(0, 0), false, 0x11 },
	{ "zacas", AMO(5, 3), false, WORD },
	{ "zawrs", 0x01d00073, false, X }, /* WRS.STO */
	{ "zba", REG(0x10, 2), false, 0x3456789abcdf0101 },
	{ "zbb", IMM(0x602, 1), false, 32 },
	{ "zbc", REG(5, 1), false, 0x40a0789828c810f0 },
	{ "zbs", REG(0x24, 5), false, 0 },
	{ "zbkb", IMM(0x687, 5), false, 0x482c6a1e593d7b0f },
	{ "zbkc", REG(5, 1), false, 0x40a0789828c810f0 },
	{ "zbkx", REG(0x14, 2), false, 0x0123456789abcdef },
	{ "zknd", REG(0x1d, 0), true, 0 },
	{ "zkne", REG(0x19, 0), true, 0 },
	{ "zknh", IMM(0x100, 1), false, 0x22502030 },
	{ "zksed", REG(0x18, 0), true, 0 },
	{ "zksh", IMM(0x108, 1), false, 0x5ee00abc },
	{ "zicond", REG(7, 7), false, 0 },
	{ "zcb", TWO(0x9d75u), false, ~X },  /* C.NOT a0 */
	{ "zcmop", TWO(0x6081u), false, X }, /* C.MOP.1 */
	{ "zimop", 0x81c54573, false, 0 },   /* MOP.R.0 a0, a0 */
	{ "zfa", 0xf0100553, true, 0 },	     /* FLI.S fa0, -1.0 */
	{ "zfh", 0xe4000553, true, 0 },	     /* FMV.X.H a0, ft0 */
	{ "zfhmin", 0xe4000553, true, 0 },
	{ "zicbom", CBO(1), false, X },
	{ "zicboz", CBO(4), false, X },
	{ "zicntr", CSR(0xc01), true, 0 },
	{ "zifencei", FENCE_I, false, X },
	{ "sstc", CSR(0x14d), true, 0 },
	{ "ssaia", CSR(0x150), true, 0 },
	{ "smstateen", CSR(0x10c), true, 0 },
	{ "svinval", 0x16000073, false, X }, /* SINVAL.VMA zero, zero */
};

/* What CBO writes is a block, of whatever size up to a page. */
static u64 block[512] __attribute__((aligned(4096)));

/* Its result, unless it traps: then the cause in @cause. */
static u64 run_insn(u32 insn, u64 *cause)
{
	static u32 code[2];
	u64 (*fn)(u64, u64, u64 *) = (u64(*)(u64, u64, u64 *))(u64)code;
	u64 result;

	code[0] = insn;
	code[1] = RET;
	block[0] = WORD;
	__asm__ volatile("fence.i" : : : "memory");
	trap_expect();
	result = fn(X, Y, block);
	*cause = trap_seen(NULL);
	return result;
}

const char *check_isa(void)
{
	u64 cause, result;

	expect("the ISA is described", hart_has("i"), true);
	csr_set("sstatus", SSTATUS_FS_INITIAL | SSTATUS_VS_INITIAL);
	for (u32 i = 0; i < ARRAY_SIZE(extensions); i++) {
		const struct extension *e = &extensions[i];

		if (!hart_has(e->name))
			continue;
		result = run_insn(e->insn, &cause);
		expect(e->name, cause, NO_TRAP);
		if (!e->any)
			expect(e->name, result, e->result);
	}
	csr_clear("sstatus", SSTATUS_FS | SSTATUS_VS);
	return NULL;
}

/* CSRs: Privileged Architecture, chapter 12 */

const char *check_csrs(void)
{
	u64 was = csr_read("sscratch"), value, before;

	csr_write("sscratch", X);
	arch_uart_read(7);
	expect("sscratch after an exit", csr_read("sscratch"), X);
	csr_write("sscratch", was);
	expect("interrupts are off", csr_read("sstatus") & SSTATUS_SIE, 0);
	expect("paging is off", csr_read("satp"), 0);

	trap_expect();
	csr_write("0x5ff", 0); /* for supervisor mode, and nobody's */
	expect("a CSR that is not there", trap_seen(&value), ILLEGAL_INSTRUCTION);
	trap_expect();
	csr_read("mstatus");
	expect("a CSR of machine mode", trap_seen(&value), ILLEGAL_INSTRUCTION);
	trap_expect();
	csr_write("time", 0);
	expect("a write of the clock", trap_seen(&value), ILLEGAL_INSTRUCTION);

	expect("the clock's frequency", riscv_timebase != 0, true);
	before = csr_read("time");
	arch_pause();
	expect("the clock goes on", csr_read("time") > before, true);
	return NULL;
}

/* Unprivileged Architecture, Zkr: the state is in bits 31:30, the entropy in 15:0. */
const char *check_seed(void)
{
	enum { ES16 = 2, DEAD = 3 };
	u32 got = 0, same = 0, last = 0;
	u64 cause = NO_TRAP;

	if (!hart_has("zkr"))
		return "this machine has none";
	for (u32 i = 0; i < 1000 && got < 16 && cause == NO_TRAP; i++) {
		u64 v;

		trap_expect();
		__asm__ volatile("csrrw %0, 0x015, zero" : "=r"(v) : : "memory");
		cause = trap_seen(NULL);
		expect("its state is not dead", (v >> 30 & 3) == DEAD, false);
		if ((v >> 30 & 3) != ES16)
			continue;
		same += (v & 0xffff) == last;
		last = v & 0xffff;
		got++;
	}
	expect("a read", cause, NO_TRAP);
	expect("halves of words", got, 16);
	/* Three of 16 are as the one before once in 10^12 times. */
	expect("they are random", same < 3, true);
	return NULL;
}

/* Registers over exits of all kinds, and sleep */

static void leave_the_guest(void)
{
	arch_uart_read(7);
	sbi_call(SBI_BASE, BASE_SPEC_VERSION, 0, 0, 0);
	let_interrupts_in();
}

const char *check_fp(void)
{
	u64 values[32], seen[32];
	u32 wrong = 0;

	if (!hart_has("d"))
		return "this machine has none of them (D)";
	for (u32 i = 0; i < 32; i++)
		values[i] = X * (i + 1);
	csr_set("sstatus", SSTATUS_FS_INITIAL);
	fp_load(values);
	__asm__ volatile("csrw fcsr, %0" : : "r"(0x5f));
	leave_the_guest();
	fp_store(seen);
	expect("fcsr", csr_read("fcsr"), 0x5f);
	csr_write("fcsr", 0);
	expect("sstatus.FS says that they were written", csr_read("sstatus") & SSTATUS_FS,
	       SSTATUS_FS);
	csr_clear("sstatus", SSTATUS_FS);
	for (u32 i = 0; i < 32; i++)
		wrong += seen[i] != values[i];
	expect("registers that are wrong", wrong, 0);
	return NULL;
}

const char *check_vector(void)
{
	u64 *values, *seen;
	u32 words, wrong = 0;

	if (!hart_has("v"))
		return "this machine has none of them (V)";
	csr_set("sstatus", SSTATUS_VS_INITIAL);
	words = (u32)vector_bytes() * 32 / 8;
	values = heap_alloc(words * 8, 8);
	seen = heap_alloc(words * 8, 8);
	if (!expect("registers of at most 16 KiB", values && seen, true))
		return NULL;
	for (u32 i = 0; i < words; i++)
		values[i] = X * (i + 1);
	vector_load(values);
	leave_the_guest();
	vector_store(seen);
	csr_clear("sstatus", SSTATUS_VS);
	for (u32 i = 0; i < words; i++)
		wrong += seen[i] != values[i];
	expect("words of registers that are wrong", wrong, 0);
	return NULL;
}

/* Either it works or the guest is told, with the address. */
static void check_misaligned_at(u64 addr)
{
	u64 v = 0, cause, value;

	trap_expect();
	__asm__ volatile("ld %0, 0(%1)" : "+r"(v) : "r"(addr) : "memory");
	cause = trap_seen(&value);
	expect("a load works or is a misaligned load", cause == NO_TRAP || cause == LOAD_MISALIGNED,
	       true);
	if (cause == NO_TRAP)
		expect("what is loaded", v, WORD >> 8 | WORD << 56);
	else
		expect("its address", value, addr);

	trap_expect();
	__asm__ volatile("sw %0, 0(%1)" : : "r"((u32)X), "r"(addr) : "memory");
	cause = trap_seen(&value);
	expect("a store works or is a misaligned store",
	       cause == NO_TRAP || cause == STORE_MISALIGNED, true);
	if (cause != NO_TRAP)
		expect("its address", value, addr);
}

const char *check_misaligned(void)
{
	block[0] = WORD;
	block[1] = WORD;
	check_misaligned_at((u64)block + 1);
	return NULL;
}

/*
 * Paging in the mode that the tree names (12.3 to 12.6): 1 GiB pages to their own addresses, and
 * one more view of the memory that we are in.
 */
#define PTE_TABLE	0x01
#define PTE_PAGE	0xcf /* dirty, accessed, executable, writable, readable, valid */
#define GIB(n)		((u64)(n) << 30)
#define ALIAS		255 /* in all modes among the positive addresses */
#define NOWHERE		254
#define LOAD_PAGE_FAULT 13

static u64 *make_tables(u32 levels)
{
	u64 *pages = heap_alloc(4096, 4096), *root = pages;

	if (!pages)
		return NULL;
	for (u32 i = 0; i < NOWHERE; i++)
		pages[i] = GIB(i) >> 2 | PTE_PAGE;
	pages[ALIAS] = (boot.ram_base & ~(GIB(1) - 1)) >> 2 | PTE_PAGE;
	for (; levels > 3; levels--) {
		u64 *table = heap_alloc(4096, 4096);

		if (!table)
			return NULL;
		table[0] = (u64)root >> 2 | PTE_TABLE;
		root = table;
	}
	return root;
}

const char *check_paging(void)
{
	static const char *const types[] = { "riscv,sv39", "riscv,sv48", "riscv,sv57" };
	static volatile u64 word;
	volatile u64 *alias = (u64 *)(GIB(ALIAS) + ((u64)&word & (GIB(1) - 1)));
	u64 *root, satp, seen, cause, value;
	u32 n = 0;

	while (n < ARRAY_SIZE(types) && !fdt_has_string(hart_node(), "mmu-type", types[n]))
		n++;
	if (n == ARRAY_SIZE(types))
		return "the tree names no mode";
	root = make_tables(n + 3);
	if (!expect("memory for tables", root != NULL, true))
		return NULL;
	satp = (u64)(8 + n) << 60 | (u64)root >> 12;
	csr_write("satp", satp);
	__asm__ volatile("sfence.vma" : : : "memory");
	seen = csr_read("satp");
	word = X;
	trap_expect();
	value = *alias;
	cause = trap_seen(NULL);
	trap_expect();
	*alias = Y;
	if (cause == NO_TRAP)
		cause = trap_seen(NULL);
	expect("a word by another address", value, X);
	expect("no trap", cause, NO_TRAP);
	expect("a word that was written there", word, Y);
	trap_expect();
	(void)*(volatile u64 *)GIB(NOWHERE);
	expect("an address without a page", trap_seen(&value), LOAD_PAGE_FAULT);
	expect("stval", value, GIB(NOWHERE));
	csr_write("satp", 0);
	__asm__ volatile("sfence.vma" : : : "memory");
	expect("the mode is accepted", seen, satp);
	return NULL;
}
