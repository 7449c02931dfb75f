/* SPDX-License-Identifier: MIT */
/* The memory map that every boot protocol tells the guest (ACPI 6.5, chapter 15). */
#include "lkvm/memory.h"
#include "x86.h"

static void add(struct x86_mem_range *out, u32 *count, u64 base, u64 end, enum x86_mem_type type)
{
	if (base < end && *count < X86_MAX_MEM_RANGES)
		out[(*count)++] = (struct x86_mem_range){ base, end - base, type };
}

static u32 make_map(const struct guest_memory *mem, u64 acpi, u64 mailbox,
		    struct x86_mem_range *out)
{
	u64 low_end = memory_ram_end(mem, 0);
	u64 high_end = memory_ram_end(mem, X86_HOLE_END);
	u32 count = 0;

	add(out, &count, 0, MIN(low_end, (u64)X86_EBDA), X86_MEM_RAM);
	/* The EBDA, then the place of video memory and ROMs, where the ACPI tables are. */
	add(out, &count, X86_EBDA, acpi, X86_MEM_RESERVED);
	add(out, &count, acpi, X86_HIGH_BASE, X86_MEM_ACPI);
	add(out, &count, X86_HIGH_BASE, low_end, X86_MEM_RAM);
	/* Linux takes an ECAM only where the memory map reserves it (PCI Firmware 3.3, 4.1.2). */
	add(out, &count, X86_ECAM_BASE, X86_ECAM_BASE + X86_ECAM_SIZE, X86_MEM_RESERVED);
	if (mailbox) {
		add(out, &count, mailbox, mailbox + 4 * KiB, X86_MEM_NVS);
		add(out, &count, mailbox + 4 * KiB, X86_HOLE_END, X86_MEM_RESERVED);
	}
	add(out, &count, X86_HOLE_END, high_end, X86_MEM_RAM);
	return count;
}

u32 x86_memory_map(const struct guest_memory *mem, struct x86_mem_range *out)
{
	return make_map(mem, X86_HIGH_BASE, 0, out);
}

u32 x86_private_memory_map(const struct guest_memory *mem, u64 mailbox, struct x86_mem_range *out)
{
	return make_map(mem, X86_ACPI_BASE, mailbox, out);
}
