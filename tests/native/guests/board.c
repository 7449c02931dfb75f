/* SPDX-License-Identifier: MIT */
/*
 * What simple systems count on that read few tables. Words: pm1 (power off by PM1a control, as the
 * FADT says), qemu (as on QEMU's machines, without reading anything); fadt says what it is like,
 * dbg writes to the debug port.
 */
#include "x86.h"

#define SLEEP_ENABLE (1 << 13) /* ACPI 6.5, 4.8.3.2.1 */

int guest_main(void)
{
	const u8 *fadt = acpi_find("FACP");

	if (has_word("fadt"))
		print("reduced %u, SCI %u\n", *(const u32 *)(fadt + 112) >> 20 & 1,
		      *(const u16 *)(fadt + 46));
	if (has_word("dbg") && inb(0x402) == 0xe9)
		for (const char *p = "text of firmware\n"; *p; p++)
			outb(0x402, (u8)*p);
	if (has_word("pm1"))
		outw(*(const u16 *)(fadt + 172 + 4), SLEEP_ENABLE | 5 << 10);
	if (has_word("qemu"))
		outw(0x604, SLEEP_ENABLE);
	return 1;
}
