/* SPDX-License-Identifier: MIT */
/* `lkvm stat`: how a guest uses its memory, as its balloon's driver tells it. */
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

struct stat_args {
	struct vm_names which;
	bool memory;
	bool json;
};

/* clang-format off */
static const struct option_spec stat_options[] = {
	{ .type = OPT_FLAG, .short_name = 'm', .name = "memory",
	  .offset = offsetof(struct stat_args, memory), .help = "the guest's memory, which is the default" },
	{ .type = OPT_FLAG, .name = "json", .offset = offsetof(struct stat_args, json),
	  .help = "print JSON: an object with a member for each machine" },
	OPT_END
};
/* clang-format on */

static const struct option_source sources[] = {
	{ .rows = vm_names_options, .offset = offsetof(struct stat_args, which) },
	{ .rows = stat_options },
	{ 0 },
};
static const struct option_set stat_set = { .sources = sources };

/* In the order of the table; what the guest does not tell is not shown. */
static const struct {
	const char *name, *text;
	bool bytes;
} rows[] = {
	{ "total", "total memory", true },
	{ "free", "free memory", true },
	{ "available", "available memory", true },
	{ "disk_caches", "disk caches", true },
	{ "swap_in", "swapped in", true },
	{ "swap_out", "swapped out", true },
	{ "major_faults", "major page faults", false },
	{ "minor_faults", "minor page faults", false },
	{ "hugetlb_allocations", "huge page allocations", false },
	{ "hugetlb_failures", "failed ones", false },
	{ "oom_kills", "out-of-memory kills", false },
	{ "alloc_stalls", "stalled allocations", false },
	{ "async_scans", "pages scanned in the background", false },
	{ "direct_scans", "pages scanned directly", false },
	{ "async_reclaims", "pages reclaimed in the background", false },
	{ "direct_reclaims", "pages reclaimed directly", false },
};

static void print_bytes(const char *text, u64 bytes)
{
	printf("  %-34s %12llu KiB\n", text, bytes / KiB);
}

static void print_table(const char *name, const struct json *result)
{
	const struct json *balloon = json_member(result, "balloon");
	const struct json *guest = json_member(result, "guest");

	printf("%s:\n", name);
	print_bytes("memory of the machine", json_number(json_member(result, "memory"), 0));
	print_bytes("balloon, asked for", json_number(json_member(balloon, "target"), 0));
	print_bytes("balloon, handed over", json_number(json_member(balloon, "actual"), 0));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct json *value = json_member(guest, rows[i].name);

		if (value && rows[i].bytes)
			print_bytes(rows[i].text, json_number(value, 0));
		else if (value)
			printf("  %-34s %12llu\n", rows[i].text, json_number(value, 0));
	}
	if (guest && !guest->nr)
		puts("  (the guest's driver tells no statistics)");
	else if (!json_truth(json_member(result, "fresh")))
		puts("  (the guest's are those that it told last)");
}

/* A value that was read as it was. */
static void copy_json(struct json_out *out, const char *name, const struct json *value)
{
	const struct json *m = value + 1;

	if (value->type != JSON_OBJECT) {
		json_put(out, name, value);
		return;
	}
	json_open(out, name, '{');
	for (u32 i = 0; i < value->nr; i++, m = json_next(m + 1))
		copy_json(out, m->text, m + 1);
	json_close(out, '}');
}

struct output {
	bool json;
	struct json_out out;
};

static int ask(struct control_link *link, void *opaque)
{
	struct output *o = opaque;
	const struct json *result;
	int ret = control_ask(link, "stat", NULL, &result);

	if (ret)
		return ret;
	if (o->json)
		copy_json(&o->out, link->name, result);
	else
		print_table(link->name, result);
	return 0;
}

static int cmd_stat_main(const struct command *cmd, int argc, char **argv)
{
	struct output output = { .out = { .max = SIZE_MAX } };
	struct stat_args args = { 0 };
	int words, rest, status;
	int ret = options_parse(cmd, argc, argv, &args, &words, &rest);

	if (ret) {
		status = ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
		goto out;
	}
	output.json = args.json;
	json_open(&output.out, NULL, '{');
	status = vm_names_run(cmd, &args.which, argv, words, ask, &output);
	json_close(&output.out, '}');
	if (args.json && status != EXIT_USAGE)
		printf("%.*s\n", (int)output.out.len, output.out.buf);
	json_out_free(&output.out);
out:
	options_destroy(&stat_set, &args);
	return status;
}

const struct command cmd_stat = {
	.name = "stat",
	.summary = "Show how guests use their memory",
	.usage = "lkvm stat [--json] NAME...",
	.description = "Shows the memory of each machine, its balloon, and the statistics that the "
		       "guest's balloon driver tells. The machine needs --balloon.",
	.options = &stat_set,
	.run = cmd_stat_main,
};
