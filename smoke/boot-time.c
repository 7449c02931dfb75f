/* SPDX-License-Identifier: MIT */
/* The times of a boot for `lkvm run`: what a smoke test sees of them, without a verdict. */
#include "lkvm/boot-time.h"

#include <stdlib.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

struct boot_time *boot_time_begin(const struct vm_config *cfg, u64 start_ns)
{
	struct boot_time *t = xcalloc(1, sizeof(*t));

	marks_init(&t->marks, start_ns);
	t->smoke.marks = &t->marks;
	t->smoke.log_fd = -1;
	smoke_init(&t->smoke);
	smoke_ready(&t->smoke, MACHINE_CONSOLES(cfg), false);
	t->watch = (struct machine_watch){ .output = smoke_output,
					   .opaque = &t->smoke,
					   .marks = &t->marks };
	t->inject.watch = &t->watch;
	return t;
}

void boot_time_say(const struct marks *marks)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	marks_print(marks, out);
	if (!fclose(out))
		info("boot time in ns: %s", text);
	free(text);
}

void boot_time_end(const struct boot_time *t)
{
	enum log_level level = log_get_level();

	/* It was asked for. */
	if (level < LOG_INFO)
		log_set_level(LOG_INFO);
	boot_time_say(&t->marks);
	log_set_level(level);
}

void boot_time_free(struct boot_time *t)
{
	smoke_destroy(&t->smoke);
	free(t);
}
