/* SPDX-License-Identifier: MIT */
/* `lkvm stat`: how a guest uses its memory, as its balloon's driver tells it; its exits; what KVM
 * counts. */
#include <stdio.h>
#include <stdlib.h>

#include "builtin-stat.h"
#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define NO_CPU UINT32_MAX

struct stat_args {
	struct vm_names which;
	bool memory;
	bool exits;
	bool kvm;
	u32 cpu;
	u32 interval;
	bool json;
};

/* clang-format off */
static const struct option_spec stat_options[] = {
	{ .type = OPT_FLAG, .short_name = 'm', .name = "memory",
	  .offset = offsetof(struct stat_args, memory), .help = "the guest's memory, which is the default" },
	{ .type = OPT_FLAG, .name = "exits", .offset = offsetof(struct stat_args, exits),
	  .help = "why and how often vcpus came to lkvm, and to which devices" },
	{ .type = OPT_U32, .name = "interval", .arg = "SECONDS", .max = 86400,
	  .offset = offsetof(struct stat_args, interval),
	  .help = "with --exits, show them again so often", .def = "0, once" },
	{ .type = OPT_FLAG, .name = "kvm", .offset = offsetof(struct stat_args, kvm),
	  .help = "the statistics that KVM has of the machine" },
	{ .type = OPT_U32, .name = "cpu", .arg = "CPU", .offset = offsetof(struct stat_args, cpu),
	  .max = NO_CPU - 1, .help = "with --kvm, those of a vcpu", .def = "those of the machine" },
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

	printf("%s: %s\n", name, json_text(json_member(result, "state"), "running"));
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

	if (value->type == JSON_OBJECT) {
		json_open(out, name, '{');
		for (u32 i = 0; i < value->nr; i++, m = json_next(m + 1))
			copy_json(out, m->text, m + 1);
		json_close(out, '}');
	} else if (value->type == JSON_ARRAY) {
		json_open(out, name, '[');
		for (u32 i = 0; i < value->nr; i++, m = json_next(m))
			copy_json(out, NULL, m);
		json_close(out, ']');
	} else {
		json_put(out, name, value);
	}
}

/* A histogram's values stand in a row. */
static void print_stat(const struct json *name)
{
	const struct json *value = name + 1, *item = value;

	printf("  %-34s", name->text);
	if (value->type != JSON_ARRAY) {
		printf(" %12llu\n", json_number(value, 0));
		return;
	}
	for (u32 i = 0; i < value->nr; i++) {
		item = i ? json_next(item) : json_first(value);
		printf(" %llu", json_number(item, 0));
	}
	putchar('\n');
}

static void print_stats(const char *name, const struct json *result, u32 cpu)
{
	const struct json *stats = json_member(result, cpu == NO_CPU ? "vm" : "vcpu"), *item;

	printf("%s:\n", name);
	if (!stats)
		return;
	item = stats + 1;
	for (u32 i = 0; i < stats->nr; i++, item = json_next(item + 1))
		print_stat(item);
}

struct output {
	const struct stat_args *args;
	struct json_out out;
};

static int ask(struct control_link *link, void *opaque)
{
	struct output *o = opaque;
	const struct stat_args *args = o->args;
	const struct json *result;
	char *which = NULL;
	int ret;

	if (args->exits && !args->json)
		return stat_show_exits(link, args->interval);
	if (args->kvm && args->cpu != NO_CPU)
		which = xasprintf("{\"cpu\":%u}", args->cpu);
	ret = control_ask(link,
			  args->exits ? "exits"
			  : args->kvm ? "kvm-stats"
				      : "stat",
			  which, &result);
	free(which);
	if (ret)
		return ret;
	if (args->json)
		copy_json(&o->out, link->name, result);
	else if (args->kvm)
		print_stats(link->name, result, args->cpu);
	else
		print_table(link->name, result);
	return 0;
}

static int check(const struct stat_args *args)
{
	const char *wrong = NULL;

	if (args->memory + args->exits + args->kvm > 1)
		wrong = "--memory, --exits and --kvm exclude each other";
	else if (args->interval && (!args->exits || args->json))
		wrong = "--interval is for --exits, without --json";
	else if (args->cpu != NO_CPU && !args->kvm)
		wrong = "--cpu is for --kvm";
	if (wrong)
		err("stat: %s", wrong);
	return wrong ? -EINVAL : 0;
}

static int cmd_stat_main(const struct command *cmd, int argc, char **argv)
{
	struct stat_args args = { .cpu = NO_CPU };
	struct output output = { .args = &args, .out = { .max = SIZE_MAX } };
	int words, status;
	int ret = vm_names_parse(cmd, argc, argv, &args, &words);

	if (ret) {
		status = ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
		goto out;
	}
	if (check(&args)) {
		status = EXIT_USAGE;
		goto out;
	}
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
	.summary = "Show how guests use memory, and their exits",
	.usage = "lkvm stat [--exits | --kvm] [--json] NAME...",
	.description =
		"Shows the memory of each machine, its balloon, and the statistics that the "
		"guest's balloon driver tells, for which it needs --balloon; or, with --exits "
		"or --kvm, what was counted since it began.",
	.options = &stat_set,
	.word = "vm",
	.run = cmd_stat_main,
};
