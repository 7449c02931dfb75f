/* SPDX-License-Identifier: MIT */
/*
 * What CPUID says in the leaves of its command line (a=N, b=N, c=N, d=N), a line for each: leaf,
 * EAX, EBX, ECX, EDX. misc: the MSR IA32_MISC_ENABLE too. twice: once more after a reset.
 */
#include "x86.h"

#define MSR_MISC_ENABLE 0x1a0
#define CMOS_INDEX	0x70
#define CMOS_DATA	0x71
#define CMOS_FREE	0x40 /* a byte that nobody uses and a reset leaves alone */

static void say_leaf(const char *word)
{
	u64 leaf = word_value(word, ~0ULL);
	u32 r[4];

	if (leaf == ~0ULL)
		return;
	cpuid((u32)leaf, r);
	print("%x: %x %x %x %x\n", (u32)leaf, r[0], r[1], r[2], r[3]);
}

int guest_main(void)
{
	say_leaf("a");
	say_leaf("b");
	say_leaf("c");
	say_leaf("d");
	if (has_word("misc"))
		print("misc: %lx\n", rdmsr(MSR_MISC_ENABLE));
	if (has_word("twice")) {
		outb(CMOS_INDEX, CMOS_FREE);
		if (inb(CMOS_DATA) != 0x5a) {
			outb(CMOS_DATA, 0x5a);
			outb(0x64, 0xfe);
		}
	}
	return 0;
}
