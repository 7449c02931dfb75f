/* SPDX-License-Identifier: MIT */
/*
 * What is looked for on a console. What kernels say when they break, as of Linux 7.2:
 * kernel/panic.c, kernel/watchdog.c, kernel/hung_task.c, kernel/rcu/tree_stall.h, lib/bug.c,
 * mm/kasan/report.c, init/do_mounts.c; arch/x86/kernel/dumpstack.c and traps.c, arch/x86/mm/fault.c
 * and extable.c; arch/arm64/kernel/traps.c, arch/arm64/mm/fault.c; riscv, loongarch and others say
 * it alike.
 */
#include <stdlib.h>

#include "lkvm/smoke.h"
#include "lkvm/util.h"

/* A line of the kernel's begins there: behind nothing, the time, the caller or a subsystem. */
#define START "(^|[]:>] )"

static const struct {
	enum smoke_kind kind;
	bool warning; /* only of interest to who asks for it */
	const char *text;
} known[] = {
	{ SMOKE_CRASH, false, "Kernel panic - not syncing" },
	{ SMOKE_CRASH, false, START "BUG: " }, /* KASAN, KFENCE, lockups, page faults, ... */
	{ SMOKE_CRASH, false, START "kernel BUG at " },
	{ SMOKE_CRASH, false, START "(Oops|Internal error)(:| - | \\[#)" },
	{ SMOKE_CRASH, false, START "Unable to handle kernel " }, /* arm64 */
	/* The end of the line with which most architectures begin to die. */
	{ SMOKE_CRASH, false, ": [0-9a-f]{4,16} \\[#[0-9]+\\]" },
	{ SMOKE_CRASH, false, START "PANIC: (double fault|early exception)" }, /* x86 */
	{ SMOKE_CRASH, false, START "Insufficient stack space to handle exception" },
	{ SMOKE_CRASH, false, START "(Bad mode in|Unhandled exception in kernel)" },
	{ SMOKE_CRASH, false, START "SError Interrupt on CPU" },
	{ SMOKE_CRASH, false, START "INFO: rcu_.* stall" },
	{ SMOKE_CRASH, false, START "INFO: task .* blocked for more than" },
	{ SMOKE_CRASH, false, "Watchdog detected hard LOCKUP" },
	{ SMOKE_CRASH, false, START "VFS: Unable to mount root fs" },
	{ SMOKE_CRASH, true, START "WARNING: " },
	{ SMOKE_CRASH, true, START "UBSAN: " },
	{ SMOKE_CRASH_END, false, "---\\[ end Kernel panic" },
};

/* init/main.c, run_init_process. */
#define INIT_TEXT START "Run .* as init process"

static void add_known(struct smoke *s, enum smoke_kind kind, const char *text)
{
	const char *why;

	/* test_smoke.c tries all of them. */
	if (smoke_add(s, kind, text, &why))
		abort();
}

void smoke_init(struct smoke *s)
{
	pthread_mutex_init(&s->lock, NULL);
	add_known(s, SMOKE_INIT, INIT_TEXT);
}

int smoke_add(struct smoke *s, enum smoke_kind kind, const char *text, const char **why)
{
	int ret = pattern_add(&s->set, text, why);

	if (ret)
		return ret;
	s->rules = xrealloc(s->rules, (s->nr + 1) * sizeof(s->rules[0]));
	s->rules[s->nr++] = (struct smoke_rule){ .kind = kind, .text = text };
	s->nr_expected += kind == SMOKE_EXPECT;
	return 0;
}

void smoke_add_crashes(struct smoke *s, bool warnings)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (warnings || !known[i].warning)
			add_known(s, known[i].kind, known[i].text);
}

void smoke_destroy(struct smoke *s)
{
	for (u32 i = 0; i < s->nr_streams; i++)
		pattern_stream_destroy(&s->streams[i].search);
	for (u32 i = 0; i < s->nr; i++)
		free(s->rules[i].line);
	free(s->streams);
	free(s->rules);
	free(s->tail);
	pattern_set_destroy(&s->set);
	pthread_mutex_destroy(&s->lock);
}
