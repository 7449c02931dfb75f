/* SPDX-License-Identifier: MIT */
/*
 * Options as data. One table per command serves the parser, `lkvm help`, the manual page's list and
 * shell completion.
 */
#ifndef LKVM_OPTIONS_H
#define LKVM_OPTIONS_H

#include <stdio.h>

#include "lkvm/types.h"

enum option_type {
	OPT_GROUP, /* a heading; only @help is used */
	OPT_FLAG,  /* bool; --no-NAME clears it (for a name that begins with "no-": the name without
		      it) */
	OPT_STRING, /* char *, owned; a second use replaces */
	OPT_U32,
	OPT_SIZE,   /* u64 bytes; a bare number counts MiB */
	OPT_CHOICE, /* int (an enum), one of @choices by position */
	OPT_CALL,   /* @parse is called with the argument, each time */
};

/* Bits of option.archs; 0 means all. */
#define OPT_ARCH_X86	   BIT(0)
#define OPT_ARCH_ARM64	   BIT(1)
#define OPT_ARCH_RISCV	   BIT(2)
#define OPT_ARCH_LOONGARCH BIT(3)

struct option_spec {
	enum option_type type;
	char short_name; /* 0: none */
	const char *name;
	const char *arg; /* how the argument is called in help: "FILE"; NULL for flags */
	const char *help;
	const char *def;	    /* the default in words, NULL: none to speak of */
	size_t offset;		    /* of the member in the structure that is filled */
	u64 min;		    /* OPT_U32, OPT_SIZE: the least that makes sense */
	const char *const *choices; /* NULL-terminated; OPT_CALL: for help and completion only */
	/* OPT_CALL: 0, or -EINVAL after printing what is wrong. @arg is NULL when the option takes
	 * none. */
	int (*parse)(const struct option_spec *opt, const char *arg, void *target);
	u32 archs;
	bool hidden; /* accepted for kvmtool's users, not shown */
};

/* A table ends with an entry whose type is OPT_GROUP and whose help is NULL. */
#define OPT_END                   \
	{                         \
		.type = OPT_GROUP \
	}

struct command {
	const char *name;
	const char *summary;		   /* one line for `lkvm help` */
	const char *usage;		   /* "lkvm run [options] [kernel] [-- command]" */
	const char *description;	   /* a paragraph for `lkvm help NAME` and the manual */
	const struct option_spec *options; /* NULL: none */
	/* @argv is what follows the command's name. Returns the exit status. */
	int (*run)(const struct command *cmd, int argc, char **argv);
};

/*
 * Parse @argv (without the command's name) into @target. Options and words may mix; "--" ends the
 * options. Words that are no options are moved to the front of @argv and *nr_words counts them;
 * *rest is the index behind "--", or argc. 0, 1 when help was asked for and printed, or -EINVAL
 * after printing the error with the nearest option.
 */
int options_parse(const struct command *cmd, int argc, char **argv, void *target, int *nr_words,
		  int *rest) __must_check;
/* Usage, description and the options of this architecture. */
void options_print_help(const struct command *cmd, FILE *out);
/* The option list as mdoc source, for the manual page; all architectures. */
void options_print_man(const struct command *cmd, FILE *out);
/* For shell completion, a line for each option: its names, then "=" and its choices, or "=ARG". */
void options_print_words(const struct command *cmd, FILE *out);

#endif
