/* SPDX-License-Identifier: MIT */
/*
 * What a PC's firmware leaves behind for whoever looks or calls: the interrupt table of real mode,
 * words of the BIOS data area, the reset vector. There is no BIOS: a call returns with carry set,
 * as one does whose function is not supported.
 */
#include "boot.h"
#include "platform.h"

#define VECTORS	    256U
#define SEGMENT	    0xf000U
#define CARRY	    0x01
#define UNSUPPORTED 0x86 /* in AH: what BIOSes answer for a function that they lack */

/* The words of the BIOS data area that say where conventional memory ends. */
static void add_bda(const struct x86_boot *b)
{
	__le16 ebda = cpu_to_le16(X86_EBDA >> 4);
	__le16 base_kb = cpu_to_le16(X86_EBDA / KiB);

	boot_plan_add(b->plan, BOOT_TABLES, "BIOS data area", X86_BDA_EBDA_SEG, &ebda,
		      sizeof(ebda));
	boot_plan_add(b->plan, BOOT_TABLES, "BIOS data area", X86_BDA_BASE_KB, &base_kb,
		      sizeof(base_kb));
}

/* Exceptions and the PICs' usual vectors: nobody is to see flags or a register change. */
static bool is_hardware(u32 vector)
{
	return vector < 0x10 || (vector >= 0x70 && vector < 0x78);
}

static void add_vectors(const struct x86_boot *b)
{
	const u8 code[] = {
		0xcf,				/* iret */
		0x55,				/* unsupported: push %bp */
		0x89, 0xe5,			/* mov %sp, %bp */
		0x80, 0x4e,	   0x06, CARRY, /* orb $CARRY, 6(%bp): the flags that iret takes */
		0x5d,				/* pop %bp */
		0xb4, UNSUPPORTED,		/* mov $UNSUPPORTED, %ah */
		0xcf,				/* iret */
	};
	const u32 ignore = X86_BIOS_IRET - SEGMENT * 16, unsupported = ignore + 1;
	__le32 table[VECTORS];

	for (u32 i = 0; i < VECTORS; i++)
		table[i] = cpu_to_le32(SEGMENT << 16 | (is_hardware(i) ? ignore : unsupported));
	boot_plan_add(b->plan, BOOT_TABLES, "real-mode interrupt table", X86_IVT, table,
		      sizeof(table));
	boot_plan_add(b->plan, BOOT_STUB, "BIOS calls", X86_BIOS_IRET, code, sizeof(code));
}

/*
 * What stands at the reset vector: an OUT to the reset register. Linux on hardware-reduced ACPI
 * takes EFI's reset service for granted and, where there is no EFI, jumps here in real mode (its
 * arch/x86/kernel/reboot.c, BOOT_EFI and BOOT_BIOS).
 */
static void add_reset_vector(const struct x86_boot *b)
{
	const u8 code[] = {
		0xba,
		X86_PM_RESET & 0xff,
		X86_PM_RESET >> 8, /* mov $X86_PM_RESET, %dx */
		0xb0,
		X86_PM_RESET_VALUE, /* mov $X86_PM_RESET_VALUE, %al */
		0xee,		    /* out %al, (%dx) */
		0xf4,		    /* 1: hlt */
		0xeb,
		0xfd, /* jmp 1b */
	};

	boot_plan_add(b->plan, BOOT_STUB, "reset vector", X86_RESET_VECTOR, code, sizeof(code));
}

void bios_plan(const struct x86_boot *b)
{
	add_bda(b);
	add_vectors(b);
	add_reset_vector(b);
}
