/* SPDX-License-Identifier: MIT */
/*
 * An instruction that KVM cannot emulate, since it reads MMIO: in user mode, or with the word
 * "kernel" where it is.
 */
#include "x86.h"

#define SEL_USER_CODE 0x23
#define SEL_USER_DATA 0x2b
#define SEL_TSS	      0x30
#define PAGE_USER     4
#define PAGE_LARGE    0x80

static struct {
	u32 reserved;
	u64 rsp0;
	u8 rest[92];
} __attribute__((packed)) tss; /* Intel SDM volume 3, 8.7 */
static u64 gdt[8];
static u8 stacks[2][4096] __attribute__((aligned(16)));

/* Every page that there is, as the tables of the entry map them. */
static void open_pages(u64 *table, int level)
{
	for (u32 i = 0; i < 512; i++) {
		if (!(table[i] & 1))
			continue;
		table[i] |= PAGE_USER;
		if (level > 1 && !(table[i] & PAGE_LARGE))
			open_pages((u64 *)(table[i] & 0xffffffffff000), level - 1);
	}
}

static void load_segments(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) gdtr = { sizeof(gdt) - 1, (u64)gdt };
	u64 base = (u64)&tss;

	gdt[2] = 0x00af9b000000ffff; /* SEL_CODE64 */
	gdt[3] = 0x00cf93000000ffff; /* SEL_DATA */
	gdt[4] = 0x00affb000000ffff;
	gdt[5] = 0x00cff3000000ffff;
	gdt[6] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ULL << 40 |
		 (base >> 24 & 0xff) << 56;
	gdt[7] = base >> 32;
	tss.rsp0 = (u64)stacks[0] + sizeof(stacks[0]);
	__asm__ volatile("lgdt %0; ltr %w1" : : "m"(gdtr), "r"(SEL_TSS));
}

/* POPCNT is not in KVM's emulator, which every MMIO access needs. */
static void count_bits(void)
{
	__asm__ volatile("popcntl (%0), %%eax" : : "r"(0xfed80000ULL) : "eax");
}

int guest_main(void)
{
	u64 cr3;

	if (has_word("kernel")) {
		count_bits();
		return 5;
	}
	__asm__ volatile("movq %%cr3, %0" : "=r"(cr3));
	open_pages((u64 *)(cr3 & ~0xfffULL), 4);
	__asm__ volatile("movq %0, %%cr3" : : "r"(cr3) : "memory");
	load_segments();
	print("to user mode\n");
	__asm__ volatile("pushq %0; pushq %1; pushq $2; pushq %2; pushq %3; iretq"
			 :
			 : "i"(SEL_USER_DATA), "r"((u64)stacks[1] + sizeof(stacks[1])),
			   "i"(SEL_USER_CODE), "r"((u64)count_bits)
			 : "memory");
	return 4;
}
