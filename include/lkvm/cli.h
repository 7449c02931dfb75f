/* SPDX-License-Identifier: MIT */
/* The command line: the commands, and what `lkvm run` shares between its table and its story. */
#ifndef LKVM_CLI_H
#define LKVM_CLI_H

#include "lkvm/options.h"

struct vm_config;

/* Exit status for a command line that makes no sense; 0 and 1 are EXIT_SUCCESS and EXIT_FAILURE. */
#define EXIT_USAGE 2

extern const struct command cmd_run, cmd_selftest, cmd_host, cmd_version;

/* commands.c: the command called @name; or NULL, after a message with the nearest one. */
const struct command *command_find(const char *name);
/* What `lkvm help` and `lkvm --help` print. */
void commands_print_help(FILE *out);

/* builtin-run.c: the story of `lkvm run`. */
int cmd_run_main(const struct command *cmd, int argc, char **argv);
/* End the way signal @sig would have ended us; for when everything is put back. */
int end_by_signal(int sig);
/*
 * run-options.c: the command line of `lkvm run` (without its name) into @cfg, which config_init has
 * prepared and config_destroy releases, also after a failure. Sets the log level. 0, 1 when help
 * was asked for and printed, or -EINVAL after printing what is wrong.
 */
int run_options_parse(const struct command *cmd, int argc, char **argv,
		      struct vm_config *cfg) __must_check;

#endif
