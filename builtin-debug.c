/* SPDX-License-Identifier: MIT */
/* `lkvm debug`: where does a guest hang? */
#include <stdio.h>
#include <stdlib.h>

#include "builtin-debug.h"
#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define NO_CPU UINT32_MAX

struct debug_args {
	struct vm_names which;
	bool dump;
	u32 nmi;
	char *sysrq;
	char *core;
};

/* clang-format off */
static const struct option_spec debug_options[] = {
	{ .type = OPT_FLAG, .short_name = 'd', .name = "dump", .offset = offsetof(struct debug_args, dump),
	  .help = "print registers, code and stack of every vcpu" },
	{ .type = OPT_U32, .short_name = 'm', .name = "nmi", .arg = "CPU",
	  .offset = offsetof(struct debug_args, nmi), .help = "give vcpu CPU a non-maskable interrupt" },
	{ .type = OPT_STRING, .short_name = 's', .name = "sysrq", .arg = "KEY",
	  .offset = offsetof(struct debug_args, sysrq),
	  .help = "send the SysRq key KEY to the guest's console; Linux lists the keys for h" },
	{ .type = OPT_STRING, .name = "core", .arg = "FILE", .offset = offsetof(struct debug_args, core),
	  .help = "write registers and memory to the new file FILE, as an ELF core file for gdb and crash; the guest stands still meanwhile" },
	OPT_END
};
/* clang-format on */

static const struct option_source sources[] = {
	{ .rows = vm_names_options, .offset = offsetof(struct debug_args, which) },
	{ .rows = debug_options },
	{ 0 },
};
static const struct option_set debug_set = { .sources = sources };

/* Text of another program: line by line, so that it gives a terminal no orders. */
static void print_text(const char *text)
{
	char *copy = xstrdup(text), *rest = copy, *line;

	while ((line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		text_mask(line);
		puts(line);
	}
	free(copy);
}

static int dump(struct control_link *link)
{
	const struct json *result, *vcpus, *vcpu;
	int ret = control_ask(link, "registers", NULL, &result);

	if (ret)
		return ret;
	printf("%s:\n", link->name);
	vcpus = json_member(result, "vcpus");
	vcpu = vcpus;
	for (u32 i = 0; vcpus && vcpus->type == JSON_ARRAY && i < vcpus->nr; i++) {
		vcpu = i ? json_next(vcpu) : json_first(vcpus);
		print_text(json_text(json_member(vcpu, "text"), ""));
	}
	return 0;
}

static int send_key(struct control_link *link, const char *key)
{
	struct json_out out = { .max = 256 };
	const struct json *result;
	int ret;

	json_open(&out, NULL, '{');
	json_put_text(&out, "key", key);
	json_close(&out, '}');
	json_put_bytes(&out, "", 1);
	ret = out.failed ? -EINVAL : control_ask(link, "sysrq", out.buf, &result);
	json_out_free(&out);
	return ret;
}

static int ask(struct control_link *link, void *opaque)
{
	const struct debug_args *a = opaque;
	const struct json *result;
	int ret = 0;

	if (a->sysrq)
		ret = send_key(link, a->sysrq);
	if (!ret && a->nmi != NO_CPU) {
		char *args = xasprintf("{\"cpu\":%u}", a->nmi);

		ret = control_ask(link, "nmi", args, &result);
		free(args);
	}
	if (!ret && a->dump)
		ret = dump(link);
	if (!ret && a->core)
		ret = debug_write_core(link, a->core);
	return ret;
}

static int check(const struct debug_args *a)
{
	if (a->sysrq && (!*a->sysrq || a->sysrq[1])) {
		err("debug: --sysrq %s: must be one key, a letter or a digit", a->sysrq);
		return -EINVAL;
	}
	if (a->core && !*a->core) {
		err("debug: --core: the name of the file is empty");
		return -EINVAL;
	}
	if (a->dump || a->core || a->sysrq || a->nmi != NO_CPU)
		return 0;
	err("debug: what is to be done? --dump, --core FILE, --nmi CPU or --sysrq KEY");
	return -EINVAL;
}

/* The machines that are named; of several none is asked for a file. */
static int run(const struct command *cmd, struct debug_args *a, char **argv, int words)
{
	struct machine_names names;
	int status = vm_names_take(cmd, &a->which, argv, words, &names);

	if (!status && a->core && names.nr > 1) {
		err("debug: --core %s: is the file of one machine; name one", a->core);
		status = EXIT_USAGE;
	}
	if (!status)
		status = vm_names_each(&names, ask, a);
	machine_names_free(&names);
	return status;
}

static int cmd_debug_main(const struct command *cmd, int argc, char **argv)
{
	struct debug_args args = { .nmi = NO_CPU };
	int words, status = EXIT_USAGE;
	int ret = vm_names_parse(cmd, argc, argv, &args, &words);

	if (ret)
		status = ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
	else if (!check(&args))
		status = run(cmd, &args, argv, words);
	options_destroy(&debug_set, &args);
	return status;
}

const struct command cmd_debug = {
	.name = "debug",
	.summary = "Look into guests that hang",
	.usage = "lkvm debug [-d] [-m CPU] [-s KEY] [--core FILE] NAME...",
	.description = "Sends a SysRq key, gives a vcpu a non-maskable interrupt, prints the vcpus "
		       "of each machine and writes a core file, in this order, as far as it is "
		       "asked for.",
	.options = &debug_set,
	.word = "vm",
	.run = cmd_debug_main,
};
