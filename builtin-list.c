/* SPDX-License-Identifier: MIT */
/* `lkvm list`: the machines that run, as kvmtool shows them. */
#include <stdio.h>
#include <stdlib.h>

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

static void print_table(const struct row *rows, u32 nr)
{
	printf("%7s %-24s %s\n", "PID", "NAME", "STATE");
	for (u32 i = 0; i < nr; i++)
		if (rows[i].link.fd >= 0)
			printf("%7d %-24s %s\n", (int)rows[i].link.pid, rows[i].link.name,
			       state(&rows[i]));
}

static void print_json(const struct row *rows, u32 nr)
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
	json_close(&out, ']');
	json_put_bytes(&out, "\n", 1);
	fwrite(out.buf, 1, out.len, stdout);
	json_out_free(&out);
}

static int cmd_list_main(const struct command *cmd, int argc, char **argv)
{
	struct list_args args = { 0 };
	struct machine_names all;
	struct row *rows;
	int words, rest;
	int ret = options_parse(cmd, argc, argv, &args, &words, &rest);

	if (ret)
		return ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
	if (words || rest < argc) {
		err("list: takes only options; 'lkvm help list' lists them");
		return EXIT_USAGE;
	}
	if (control_find_all(&all))
		return EXIT_FAILURE;
	rows = xcalloc(all.nr + 1, sizeof(*rows));
	ask_all(&all, rows);
	if (args.json)
		print_json(rows, all.nr);
	else
		print_table(rows, all.nr);
	for (u32 i = 0; i < all.nr; i++)
		control_hang_up(&rows[i].link);
	free(rows);
	machine_names_free(&all);
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
