/* SPDX-License-Identifier: MIT */
/*
 * Uses the serial port of the kernel's sample mtty, passed through: says what its scratch register
 * holds and writes 0x5a there. With the word wait it then waits to be ended, with reboot it reboots
 * when it found that, as it does once at most.
 */
#include "pci.h"
#include "x86.h"

enum { MTTY = 0x32534348, SCRATCH = 7 };

int guest_main(void)
{
	struct pci_scan scan;
	u16 port;

	memset(&scan, 0, sizeof(scan));
	do {
		if (!pci_next(&scan))
			return 100;
	} while (read32(scan.fn) != MTTY);
	write16(scan.fn + 4, 5);
	port = (u16)(read32(scan.fn + 0x10) & ~3u);
	print("scratch: %x\n", inb(port + SCRATCH));
	if (has_word("reboot") && inb(port + SCRATCH) == 0x5a) {
		outb(0x64, 0xfe);
		for (;;)
			arch_pause();
	}
	outb(port + SCRATCH, 0x5a);
	print("written\n");
	while (has_word("wait"))
		arch_pause();
	return 0;
}
