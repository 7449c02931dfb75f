/* SPDX-License-Identifier: MIT */
/*
 * The table of commands, and `lkvm help`, which shows it: the commands, one command's options, and
 * the same for the manual and completion.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

static const struct command cmd_help;

/* In the order of `lkvm help`. */
static const struct command *const commands[] = {
	&cmd_run,      &cmd_sandbox, &cmd_setup,   &cmd_smoke,	 &cmd_list, &cmd_stop, &cmd_pause,
	&cmd_resume,   &cmd_stat,    &cmd_balloon, &cmd_debug,	 &cmd_ctl,  &cmd_vfio, &cmd_measure,
	&cmd_selftest, &cmd_host,    &cmd_help,	   &cmd_version, NULL,
};

struct help_args {
	bool man;
	bool words;
};

static const struct option_spec help_options[] = {
	{ .type = OPT_FLAG,
	  .name = "man",
	  .help = "the options as mdoc source",
	  .offset = offsetof(struct help_args, man),
	  .flags = OPT_HIDDEN },
	{ .type = OPT_FLAG,
	  .name = "words",
	  .help = "the options for shell completion",
	  .offset = offsetof(struct help_args, words),
	  .flags = OPT_HIDDEN },
	OPT_END,
};

static const struct option_source sources[] = { { .rows = help_options }, { 0 } };
static const struct option_set help_set = { .sources = sources };

const struct command *command_find(const char *name)
{
	const char *names[ARRAY_SIZE(commands)] = { NULL };
	const char *near;
	char text[160];

	for (size_t i = 0; commands[i]; i++) {
		if (!strcmp(commands[i]->name, name))
			return commands[i];
		names[i] = commands[i]->name;
	}
	near = nearest_word(name, names);
	if (foreign_word_text(foreign_commands, name, strlen(name), text, sizeof(text)))
		err("'%s' is not an lkvm command: %s", name, text);
	else if (near)
		err("'%s' is not an lkvm command; did you mean '%s'?", name, near);
	else
		err("'%s' is not an lkvm command; 'lkvm help' lists them, 'lkvm run %s' boots a "
		    "kernel",
		    name, name);
	return NULL;
}

void commands_print_help(FILE *out)
{
	fprintf(out, "usage: lkvm COMMAND [options]\n\n"
		     "The most commonly used lkvm commands are:\n");
	for (const struct command *const *c = commands; *c; c++)
		fprintf(out, "  %-10s %s\n", (*c)->name, (*c)->summary);
	fprintf(out, "\n'lkvm help COMMAND' shows the options of a command; see also lkvm(1).\n");
}

static int cmd_help_main(const struct command *cmd, int argc, char **argv)
{
	struct help_args args = { 0 };
	const struct command *about;
	int words, rest;
	int ret = options_parse(cmd, argc, argv, &args, &words, &rest);

	if (ret)
		return ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
	if (words > 1 || rest < argc) {
		err("help: one command at a time; 'lkvm help' lists them");
		return EXIT_USAGE;
	}
	if (!words) {
		for (size_t i = 0; args.words && commands[i]; i++)
			printf("%s\t%s\n", commands[i]->name, commands[i]->summary);
		if (!args.words)
			commands_print_help(stdout);
		return EXIT_SUCCESS;
	}
	about = command_find(argv[0]);
	if (!about)
		return EXIT_USAGE;
	if (args.man)
		options_print_man(about, stdout);
	else if (args.words)
		options_print_words(about, stdout);
	else
		options_print_help(about, stdout);
	return EXIT_SUCCESS;
}

static const struct command cmd_help = {
	.name = "help",
	.summary = "Show the commands, or the options of one",
	.usage = "lkvm help [COMMAND]",
	.description = "Lists the commands, or shows how one is used.",
	.options = &help_set,
	.word = "command",
	.run = cmd_help_main,
};
