/* SPDX-License-Identifier: MIT */
/* `lkvm balloon`: ask a guest for memory, or give it back. */
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

struct balloon_args {
	struct vm_names which;
	u64 inflate;
	u64 deflate;
};

/* clang-format off */
static const struct option_spec balloon_options[] = {
	{ .type = OPT_SIZE, .short_name = 'i', .name = "inflate", .arg = "SIZE",
	  .offset = offsetof(struct balloon_args, inflate), .min = 1,
	  .help = "ask the guest for so much more; a bare number counts MiB" },
	{ .type = OPT_SIZE, .short_name = 'd', .name = "deflate", .arg = "SIZE",
	  .offset = offsetof(struct balloon_args, deflate), .min = 1,
	  .help = "ask it for so much less: it has that back" },
	OPT_END
};
/* clang-format on */

static const struct option_source sources[] = {
	{ .rows = vm_names_options, .offset = offsetof(struct balloon_args, which) },
	{ .rows = balloon_options },
	{ 0 },
};
static const struct option_set balloon_set = { .sources = sources };

static int ask(struct control_link *link, void *opaque)
{
	const char *args = opaque;
	const struct json *result;
	char target[32], actual[32];
	int ret = control_ask(link, "balloon", args, &result);

	if (ret || args)
		return ret;
	printf("%s: asked for %s, has handed over %s\n", link->name,
	       format_size(json_number(json_member(result, "target"), 0), target, sizeof(target)),
	       format_size(json_number(json_member(result, "actual"), 0), actual, sizeof(actual)));
	return 0;
}

/* The arguments of the request in *out, NULL for a question. A last word that is a size is one,
 * where it is not alone. */
static int make_args(const struct balloon_args *a, char **words, int *nr, char **out)
{
	u64 size;

	*out = NULL;
	if (a->inflate && a->deflate) {
		err("balloon: --inflate and --deflate; omit one of them");
		return -EINVAL;
	}
	if (a->inflate || a->deflate) {
		*out = xasprintf("{\"%s\":%llu}", a->inflate ? "inflate" : "deflate",
				 a->inflate ? a->inflate : a->deflate);
		return 0;
	}
	if (*nr + (a->which.name || a->which.all) < 2)
		return 0;
	if (parse_size(words[*nr - 1], MiB, &size)) {
		err("balloon: '%s' is not a size like 512M; the size is the last word",
		    words[*nr - 1]);
		return -EINVAL;
	}
	--*nr;
	*out = xasprintf("{\"size\":%llu}", size);
	return 0;
}

static int cmd_balloon_main(const struct command *cmd, int argc, char **argv)
{
	struct balloon_args args = { 0 };
	int words, status = EXIT_USAGE;
	char *request = NULL;
	int ret = vm_names_parse(cmd, argc, argv, &args, &words);

	if (ret)
		status = ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
	else if (!make_args(&args, argv, &words, &request))
		status = vm_names_run(cmd, &args.which, argv, words, ask, request);
	free(request);
	options_destroy(&balloon_set, &args);
	return status;
}

const struct command cmd_balloon = {
	.name = "balloon",
	.summary = "Take memory from guests, and give it back",
	.usage = "lkvm balloon NAME [SIZE]",
	.description = "Asks the guest of the machine NAME to hand over SIZE of its memory in all "
		       "(0: none), or so much more or less; the host has it then. The machine "
		       "needs --balloon. Without a size it shows how it stands.",
	.options = &balloon_set,
	.word = "vm",
	.run = cmd_balloon_main,
};
