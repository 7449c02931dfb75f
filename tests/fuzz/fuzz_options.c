/* SPDX-License-Identifier: MIT */
/*
 * The command line of `lkvm run`, words separated by newlines or NULs, then its completion and
 * printing.
 */
#include "fuzz.h"
#include "lkvm/cli.h"
#include "lkvm/config.h"

#define MAX_WORDS 64

/* From the table, as the program finds it; the story behind it is not run here. */
static int split(char *text, size_t len, char **argv)
{
	int argc = 0;

	for (size_t i = 0; i < len && argc < MAX_WORDS; i += strlen(text + i) + 1) {
		char *nl = memchr(text + i, '\n', strlen(text + i));

		if (nl)
			*nl = '\0';
		argv[argc++] = text + i;
	}
	argv[argc] = NULL;
	return argc;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	char *text = malloc(size + 1), *argv[MAX_WORDS + 1];
	static FILE *null;
	static const struct command cmd = { .name = "run", .usage = "", .options = &run_set };
	struct run_options o;
	int argc, ret;

	fz_begin(data, size);
	if (!null)
		null = fopen("/dev/null", "we");
	fz_check(text && null);
	memcpy(text, data, size);
	text[size] = '\0';
	argc = split(text, size, argv);
	run_options_init(&o);
	ret = run_options_parse(&cmd, argc, argv, &o);
	fz_check(ret == 0 || ret == 1 || ret == -EINVAL);
	if (!ret) {
		ret = config_complete(&o.cfg);
		fz_check(ret == 0 || ret == -EINVAL || ret == -ENOENT);
	}
	if (!ret) {
		fz_check(o.cfg.cpus && o.cfg.memory && o.cfg.name && *o.cfg.name);
		config_print(&o.cfg, null);
	}
	run_options_destroy(&o);
	free(text);
	return 0;
}
