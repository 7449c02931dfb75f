/* SPDX-License-Identifier: MIT */
/*
 * Looks for a key once after each byte that it sends, as a spinner at a boot prompt does, and says
 * which came; q ends it.
 */
#include "guest.h"

int guest_main(void)
{
	print("ready\n");
	for (;;) {
		int c;

		arch_putc('.');
		c = arch_getc();
		if (c == 'q')
			return 3;
		if (c >= 0)
			print("\nkey %c\n", c);
	}
}
