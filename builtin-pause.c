/* SPDX-License-Identifier: MIT */
/* `lkvm pause` and `lkvm resume`. */
#include <stdlib.h>

#include "lkvm/cli.h"
#include "lkvm/log.h"

static const struct option_source sources[] = { { .rows = vm_names_options }, { 0 } };
static const struct option_set names_set = { .sources = sources };

static int ask(struct control_link *link, void *opaque)
{
	const struct command *cmd = opaque;
	const struct json *result;

	return control_ask(link, cmd->name, NULL, &result);
}

static int cmd_ask_main(const struct command *cmd, int argc, char **argv)
{
	struct vm_names which = { 0 };
	int words;
	int status, ret = vm_names_parse(cmd, argc, argv, &which, &words);

	if (ret)
		status = ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
	else
		status = vm_names_run(cmd, &which, argv, words, ask, (void *)cmd);
	options_destroy(&names_set, &which);
	return status;
}

const struct command cmd_pause = {
	.name = "pause",
	.summary = "Stop machines until they are resumed",
	.usage = "lkvm pause NAME...",
	.description = "Stops the vcpus and devices of each machine; 'lkvm list' says that it is "
		       "paused. The guest's clocks go on.",
	.options = &names_set,
	.word = "vm",
	.run = cmd_ask_main,
};

const struct command cmd_resume = {
	.name = "resume",
	.summary = "Let paused machines go on",
	.usage = "lkvm resume NAME...",
	.description = "Lets each machine go on that was paused.",
	.options = &names_set,
	.word = "vm",
	.run = cmd_ask_main,
};
