/* SPDX-License-Identifier: MIT */
/* `lkvm list`: the machines that run, as kvmtool shows them. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lkvm/cli.h"
#include "lkvm/control-client.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* For all machines together. One whose process is stopped never answers, and is listed so. */
#define PATIENCE_NS 5000000000ULL

struct list_args {
	bool run;
	bool rootfs;
	bool json;
};

/* clang-format off */
static const struct option_spec list_options[] = {
	{ .type = OPT_FLAG, .short_name = 'i', .name = "run", .offset = offsetof(struct list_args, run),
	  .help = "list machines that run, which is the default" },
	{ .type = OPT_FLAG, .short_name = 'r', .name = "rootfs", .offset = offsetof(struct list_args, rootfs),
	  .help = "list the root file systems in ~/.lkvm" },
	{ .type = OPT_FLAG, .name = "json", .offset = offsetof(struct list_args, json),
	  .help = "print JSON instead of a table" },
	OPT_END
};
/* clang-format on */

static const struct option_source sources[] = { { .rows = list_options }, { 0 } };
static const struct option_set list_set = { .sources = sources };

struct row {
	struct control_link link;
	const struct json *info; /* NULL: no answer */
};

static void ask_all(const struct machine_names *all, struct row *rows)
{
	u64 deadline = now_ns() + PATIENCE_NS;

	for (u32 i = 0; i < all->nr; i++)
		if (!control_try(&rows[i].link, all->names[i]) &&
		    control_send(&rows[i].link, "info", NULL))
			control_hang_up(&rows[i].link);
	for (u32 i = 0; i < all->nr; i++)
		if (rows[i].link.fd >= 0 &&
		    control_receive(&rows[i].link, deadline, &rows[i].info) == -ECONNRESET)
			control_hang_up(&rows[i].link);
}

static const char *state(const struct row *row)
{
	if (json_truth(json_member(row->info, "stopping")))
		return "stopping";
	return json_text(json_member(row->info, "state"), "no answer");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The directories in ~/.lkvm. */
static void find_roots(struct machine_names *roots)
{
	const char *home = getenv("HOME");
	char *folder = xasprintf("%s/.lkvm", home ? home : "");
	const struct dirent *entry;
	DIR *dir = home ? opendir(folder) : NULL;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		if (*entry->d_name == '.' || fstatat(dirfd(dir), entry->d_name, &st, 0) ||
		    !S_ISDIR(st.st_mode))
			continue;
		roots->names = xrealloc(roots->names, (roots->nr + 1) * sizeof(char *));
		roots->names[roots->nr++] = xstrdup(entry->d_name);
	}
	if (dir)
		closedir(dir);
	if (roots->nr)
		qsort(roots->names, roots->nr, sizeof(char *), by_name);
	free(folder);
}

static void print_table(const struct row *rows, u32 nr, const struct machine_names *roots)
{
	printf("%7s %-24s %s\n", "PID", "NAME", "STATE");
	for (u32 i = 0; i < nr; i++)
		if (rows[i].link.fd >= 0)
			printf("%7d %-24s %s\n", (int)rows[i].link.pid, rows[i].link.name,
			       state(&rows[i]));
	for (u32 i = 0; i < roots->nr; i++) {
		text_mask(roots->names[i]);
		printf("%7s %-24s %s\n", "", roots->names[i], "rootfs");
	}
}

static void print_json(const struct row *rows, u32 nr, const struct machine_names *roots)
{
	struct json_out out = { .max = SIZE_MAX };

	json_open(&out, NULL, '[');
	for (u32 i = 0; i < nr; i++) {
		if (rows[i].link.fd < 0)
			continue;
		json_open(&out, NULL, '{');
		json_put_text(&out, "name", rows[i].link.name);
		json_put_u64(&out, "pid", (u64)rows[i].link.pid);
		json_put_text(&out, "state", state(&rows[i]));
		json_close(&out, '}');
	}
	for (u32 i = 0; i < roots->nr; i++) {
		json_open(&out, NULL, '{');
		json_put_text(&out, "name", roots->names[i]);
		json_put_text(&out, "state", "rootfs");
		json_close(&out, '}');
	}
	json_close(&out, ']');
	json_put_bytes(&out, "\n", 1);
	fwrite(out.buf, 1, out.len, stdout);
	json_out_free(&out);
}

static int cmd_list_main(const struct command *cmd, int argc, char **argv)
{
	struct list_args args = { 0 };
	struct machine_names all = { 0 }, roots = { 0 };
	struct row *rows;
	int words, rest;
	int ret = options_parse(cmd, argc, argv, &args, &words, &rest);

	if (ret)
		return ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
	if (words || rest < argc) {
		err("list: takes only options; 'lkvm help list' lists them");
		return EXIT_USAGE;
	}
	if ((args.run || !args.rootfs) && control_find_all(&all))
		return EXIT_FAILURE;
	if (args.rootfs)
		find_roots(&roots);
	rows = xcalloc(all.nr + 1, sizeof(*rows));
	ask_all(&all, rows);
	if (args.json)
		print_json(rows, all.nr, &roots);
	else
		print_table(rows, all.nr, &roots);
	for (u32 i = 0; i < all.nr; i++)
		control_hang_up(&rows[i].link);
	free(rows);
	machine_names_free(&all);
	machine_names_free(&roots);
	return EXIT_SUCCESS;
}

const struct command cmd_list = {
	.name = "list",
	.summary = "List the machines that run",
	.usage = "lkvm list [options]",
	.description =
		"Lists your machines that run, with the process ID of lkvm, the name and the "
		"state of each. What a killed lkvm left behind is removed.",
	.options = &list_set,
	.run = cmd_list_main,
};
