/* SPDX-License-Identifier: MIT */
/*
 * Says what comes in on the serial port, line by line; a line "quit" ends with status 3. With the
 * word flood it never stops to talk.
 */
#include "guest.h"

int guest_main(void)
{
	char line[128];
	u32 n = 0;

	print("ready\n");
	while (has_word("flood"))
		print("0123456789012345678901234567890123456789012345678901234567890123456789\n");
	for (;;) {
		int c = arch_getc();

		if (c < 0) {
			arch_pause();
			continue;
		}
		if (c != '\n' && c != '\r') {
			if (n < sizeof(line) - 1)
				line[n++] = (char)c;
			continue;
		}
		line[n] = '\0';
		print("got '%s'\n", line);
		if (n == 4 && !memcmp(line, "quit", 4))
			return 3;
		n = 0;
	}
}
