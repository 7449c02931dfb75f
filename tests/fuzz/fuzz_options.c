/* SPDX-License-Identifier: MIT */
/*
 * The command line of `lkvm run`, words separated by newlines or NULs, then its completion, and
 * saving it and loading it again, which must give the same. Then the input as a file of options.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "lkvm/cli.h"
#include "lkvm/config.h"

#define MAX_WORDS 64

/* No file but ours is read: words like --config are omitted. */
static int split(char *text, size_t len, char **argv)
{
	int argc = 0;

	for (size_t i = 0; i < len && argc < MAX_WORDS; i += strlen(text + i) + 1) {
		char *nl = memchr(text + i, '\n', strlen(text + i));

		if (nl)
			*nl = '\0';
		if (strncmp(text + i, "--config", 8) != 0)
			argv[argc++] = text + i;
	}
	argv[argc] = NULL;
	return argc;
}

/* The options of the file with these bytes into @cfg, which config_init prepares here. */
static int load(const void *text, size_t len, struct vm_config *cfg)
{
	int fd = memfd_create("options", MFD_CLOEXEC), ret;
	char path[64];

	fz_check(fd >= 0 && write(fd, text, len) == (ssize_t)len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	config_init(cfg);
	ret = options_load(&config_set, "--config", path, cfg);
	close(fd);
	return ret;
}

static char *saved(const struct vm_config *cfg)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fz_check(out != NULL);
	config_save(cfg, out);
	fclose(out);
	return text;
}

static void check_round_trip(const struct vm_config *cfg)
{
	char *text = saved(cfg), *again;
	struct vm_config loaded;

	fz_check(load(text, strlen(text), &loaded) == 0);
	again = saved(&loaded);
	fz_check(!strcmp(text, again));
	config_destroy(&loaded);
	free(again);
	free(text);
}

static void parse_line(int argc, char **argv)
{
	static const struct command cmd = { .name = "run", .usage = "", .options = &run_set };
	static FILE *null;
	struct run_options o;
	int ret;

	if (!null)
		null = fopen("/dev/null", "we");
	fz_check(null != NULL);
	run_options_init(&o);
	ret = run_options_parse(&cmd, argc, argv, &o);
	fz_check(ret == 0 || ret == 1 || ret == -EINVAL);
	if (!ret) {
		check_round_trip(&o.cfg);
		ret = config_complete(&o.cfg);
		fz_check(ret == 0 || ret == -EINVAL || ret == -ENOENT);
	}
	if (!ret) {
		fz_check(o.cfg.cpus && o.cfg.memory && (!o.cfg.name || *o.cfg.name));
		config_print(&o.cfg, null);
		check_round_trip(&o.cfg);
	}
	run_options_destroy(&o);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	char *text = malloc(size + 1), *argv[MAX_WORDS + 1];
	struct vm_config cfg;
	int ret;

	fz_begin(data, size);
	fz_check(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	parse_line(split(text, size, argv), argv);
	ret = load(data, size, &cfg);
	fz_check(ret == 0 || ret == -EINVAL || ret == -EFBIG);
	config_destroy(&cfg);
	free(text);
	return 0;
}
