/* SPDX-License-Identifier: MIT */
/* How a check says what it expected and what it saw. */
#include "selftest.h"

static struct {
	const char *what;
	u64 seen, wanted;
} wrong[4];
static u32 nr_wrong;

/* Nothing is printed yet: the serial port may be what is being checked. */
bool expect(const char *what, u64 seen, u64 wanted)
{
	if (seen == wanted)
		return true;
	if (nr_wrong < ARRAY_SIZE(wrong)) {
		wrong[nr_wrong].what = what;
		wrong[nr_wrong].seen = seen;
		wrong[nr_wrong].wanted = wanted;
	}
	nr_wrong++;
	return false;
}

u32 run_checks(const struct check *checks, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		const char *skipped;

		nr_wrong = 0;
		skipped = checks[i].run();
		if (nr_wrong)
			print("not ok - %s\n", checks[i].name);
		else if (skipped)
			print("ok - %s # SKIP %s\n", checks[i].name, skipped);
		else
			print("ok - %s\n", checks[i].name);
		for (u32 k = 0; k < nr_wrong && k < ARRAY_SIZE(wrong); k++)
			print("# %s: expected 0x%lx, seen 0x%lx\n", wrong[k].what, wrong[k].wanted,
			      wrong[k].seen);
		if (nr_wrong > ARRAY_SIZE(wrong))
			print("# and %u more\n", nr_wrong - (u32)ARRAY_SIZE(wrong));
	}
	return n;
}

#define UART_SCRATCH 7

bool wait_until(const volatile u32 *p, u32 wanted, bool quiet)
{
	const u64 start = arch_cycles();
	bool seen;

	arch_interrupts(true);
	for (u32 i = 1; !(seen = *p >= wanted); i++) {
		arch_pause();
		if (i % 32)
			continue;
		if (!quiet)
			arch_uart_read(UART_SCRATCH);
		if (arch_hangs(start))
			break;
	}
	arch_interrupts(false);
	return seen;
}

void let_interrupts_in(void)
{
	arch_interrupts(true);
	for (u32 i = 0; i < 100; i++) {
		arch_pause();
		if (i % 32 == 0)
			arch_uart_read(UART_SCRATCH);
	}
	arch_interrupts(false);
}
