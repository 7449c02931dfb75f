/* SPDX-License-Identifier: MIT */
/* The command line: the commands, and what they share. */
#ifndef LKVM_CLI_H
#define LKVM_CLI_H

#include "lkvm/config.h"
#include "lkvm/control-client.h"
#include "lkvm/options.h"

/* Exit status for an invalid command line; 0 and 1 are EXIT_SUCCESS and EXIT_FAILURE. */
#define EXIT_USAGE 2

extern const struct command cmd_run, cmd_smoke, cmd_selftest, cmd_host, cmd_version;
extern const struct command cmd_sandbox, cmd_setup, cmd_measure;
extern const struct command cmd_list, cmd_stop, cmd_pause, cmd_resume, cmd_stat, cmd_balloon;
extern const struct command cmd_debug, cmd_ctl, cmd_vfio;

/* commands.c: the command called @name; or NULL, after a message with the nearest one. */
const struct command *command_find(const char *name);
/* What `lkvm help` and `lkvm --help` print. */
void commands_print_help(FILE *out);

/* builtin-run.c: end the way signal @sig would have ended us; for when everything is put back. */
int end_by_signal(int sig);

/* builtin-run.c: the command line of `lkvm run`, or of `lkvm sandbox`, to its end; the exit status.
 */
int run_command_line(const struct command *cmd, int argc, char **argv, bool sandbox);
/* vm-names.c: which machines a command is for: -n NAME, -a, and words. */
struct vm_names {
	char *name;
	bool all;
};
extern const struct option_spec vm_names_options[];
/* options_parse for such a command, which takes nothing after "--". */
int vm_names_parse(const struct command *cmd, int argc, char **argv, void *target,
		   int *nr) __must_check;
/* Their names, without repetitions, to be freed. An exit status; what is wrong is printed. */
int vm_names_take(const struct command *cmd, const struct vm_names *which, char **words, int nr,
		  struct machine_names *out) __must_check;
/*
 * Connect to each and call @fn, which returns 0 or -errno (printed), as the exit status does not
 * forget; the next one has its turn in any case. vm_names_run is both.
 */
int vm_names_each(const struct machine_names *names,
		  int (*fn)(struct control_link *link, void *opaque), void *opaque) __must_check;
int vm_names_run(const struct command *cmd, const struct vm_names *which, char **words, int nr,
		 int (*fn)(struct control_link *link, void *opaque), void *opaque) __must_check;

/* run-options.c: what `lkvm run` is asked for. */
struct run_options {
	struct vm_config cfg;
	char *save_config; /* write @cfg there, and start nothing */
	bool dry_run;	   /* print it, and start nothing */
	bool boot_time;	   /* say at the end when what happened */
	u64 start_ns;	   /* now_ns(), soon after the process began */
	/* What --config starts, until the command line is read to its end; then it is @cfg's or
	 * gone. */
	struct run_start {
		char *kernel, *firmware;
	} from_file;
};
extern const struct option_set run_set;
/* --config, of a structure that begins with struct run_options. */
extern const struct option_spec run_config_options[];
/* The other rows of run that are not of a VM, of such a structure. */
extern const struct option_spec run_own_options[];
/* --loglevel, for every command that has it. */
extern const struct option_spec loglevel_options[];

void run_options_init(struct run_options *run);
void run_options_destroy(struct run_options *run);
/*
 * The command line of @cmd (without its name, with the options of run_set) into @run, which
 * run_options_init has prepared and run_options_destroy releases, also after a failure. Sets the
 * log level. 0, 1 when help was asked for and printed, or -EINVAL after printing what is wrong.
 */
int run_options_parse(const struct command *cmd, int argc, char **argv,
		      struct run_options *run) __must_check;

#endif
