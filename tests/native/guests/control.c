/* SPDX-License-Identifier: MIT */
/*
 * What comes through the control socket, as a guest sees it: says "button" for the power button's
 * event, and powers off with the word obey; says "sysrq K" for a break and the key after it. Counts
 * rounds in "alive" lines when a key asks for one; q ends it.
 */
#include "x86.h"

#define PM_SLEEP  0x600 /* ACPI 6.5, 4.8.3.7 */
#define PM_EVENT  0x603 /* the GED's register */
#define S5	  (5 << 2 | 1 << 5)
#define LSR	  (COM1 + 5)
#define LSR_READY 1
#define LSR_BREAK (1 << 4)

static void on_break(void)
{
	inb(COM1); /* the NUL of the break */
	while (!(inb(LSR) & LSR_READY))
		arch_pause();
	print("sysrq %c\n", (char)inb(COM1));
}

/* True: it is to end. */
static bool on_key(u8 key, u32 rounds)
{
	if (key != 'q')
		print("alive %u\n", rounds);
	return key == 'q';
}

int guest_main(void)
{
	print("ready\n");
	for (u32 rounds = 0;; rounds++) {
		u8 status = inb(LSR);

		if (inb(PM_EVENT) & 1) {
			print("button\n");
			if (has_word("obey"))
				outb(PM_SLEEP, S5);
		}
		if (status & LSR_BREAK)
			on_break();
		else if (status & LSR_READY && on_key(inb(COM1), rounds))
			return 7;
		for (u32 i = 0; i < 100; i++)
			arch_pause();
	}
}
