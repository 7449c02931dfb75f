/* SPDX-License-Identifier: MIT */
/*
 * Test images for `lkvm selftest IMAGE`: two TAP points that are fine, and by words of the command
 * line what may go wrong. Exit status: status=N.
 */
#include "guest.h"

int guest_main(void)
{
	print("a line that is no TAP\n");
	if (!has_word("noplan"))
		print("1..%u\n", has_word("short") ? 3 : 2);
	print("ok 1 - first\n");
	if (has_word("hang"))
		for (;;)
			arch_pause();
	if (has_word("crash"))
		__builtin_trap();
	if (has_word("bail"))
		print("Bail out! nothing works\n");
	if (has_word("odd")) {
		print("# \"quoted\" \\ and \x1b[31m\t\n");
		for (u32 i = 0; i < 700; i++)
			print("x");
		print("\nokay is no point\n");
	}
	if (has_word("fail"))
		print("not ok 2 - second\n# expected 1, seen 2\n");
	else
		print("ok 2 - second # SKIP for a reason\n");
	if (has_word("open"))
		print("no end of line");
	return (int)word_value("status", 0);
}
