/* SPDX-License-Identifier: MIT */
/*
 * Options as data. A row says everything about one option: its type, names, argument, help, default
 * and the member that it fills. Whatever is done with options walks the rows: the command line
 * (options_parse) and a file (options_load) fill the members, options_print and options_save write
 * them, options_check and options_destroy look after them, and help, the manual page and shell
 * completion are written from them. Nothing lists options a second time.
 *
 * Rows that belong together are one array, kept where they belong: those of an architecture in its
 * room, as plain data that every binary has, so that the manual lists all. A command takes several
 * such arrays (struct option_source), whole or in part, for the structure that it fills.
 */
#ifndef LKVM_OPTIONS_H
#define LKVM_OPTIONS_H

#include <stdio.h>

#include "lkvm/types.h"

enum option_type {
	OPT_GROUP, /* a heading; only @help is used */
	OPT_FLAG,  /* bool; --no-NAME clears it (for a name that begins with "no-": the name without
		      it) */
	OPT_STRING, /* char *, owned; a second use replaces, or adds (OPT_JOIN) */
	OPT_U32,
	OPT_U64,    /* printed in hexadecimal */
	OPT_SIZE,   /* u64 bytes; a bare number counts MiB */
	OPT_CHOICE, /* int (an enum), one of @choices by position */
	OPT_CALL,   /* @parse is called with the argument, each time; nothing is kept */
	OPT_TYPED,  /* @hooks know its members: lists, and what is more than a number */
};

/* Bits of option_spec.flags. */
#define OPT_PATH       BIT(0) /* names a file: must not be empty */
#define OPT_SECRET     BIT(1) /* its value is neither printed nor saved */
#define OPT_REPEATABLE BIT(2) /* each use adds one */
#define OPT_ONCE       BIT(3) /* something to do once: not printed, not saved, not in a file */
#define OPT_HIDDEN     BIT(4) /* accepted for kvmtool's users, not shown */
#define OPT_JOIN       BIT(5) /* OPT_STRING: uses are joined with a blank */
/* OPT_TYPED: the argument may be left out, and is "" then. It is attached ("--name=..."), or the
 * next word if that begins with "WORD=" or is one of the items (or "help", of a list). */
#define OPT_OPTIONAL BIT(6)
#define OPT_OWNER    BIT(8) /* this bit and those above mean what the rows' owner says */

/* Architectures, as bits. */
#define OPT_ARCH_X86	   BIT(0)
#define OPT_ARCH_ARM64	   BIT(1)
#define OPT_ARCH_RISCV	   BIT(2)
#define OPT_ARCH_LOONGARCH BIT(3)

/*
 * @target is the structure that the rows fill. @shown is the option as the user finds it again,
 * "--disk" or "FILE:3: --disk", to begin messages with.
 */
struct option_hooks {
	/* Take one use. 0, or -EINVAL after printing what is wrong. */
	int (*parse)(const char *shown, const char *arg, void *target);
	/* Use number @i as @parse takes it, to be freed by the caller; NULL when there is none. */
	char *(*text)(const void *target, u32 i);
	/* OPT_PATH: the file that use number @i names; NULL when there is none. */
	const char *(*path)(const void *target, u32 i);
	/* Does a use name descriptor @fd, which the caller left open? NULL: none does. */
	bool (*names_fd)(const void *target, int fd);
	/* Free what the members own; NULL: nothing. */
	void (*destroy)(void *target);
	/*
	 * NULL, or the words between its commas, for messages and completion (ends with NULL):
	 * "ro", "queues=N", "format=raw|qcow2", "socket=PATH".
	 */
	const char *const *items;
};

struct option_spec {
	enum option_type type;
	char short_name; /* 0: none */
	const char *name;
	const char *arg; /* how the argument is called in help: "FILE"; NULL for flags */
	const char *help;
	const char *def;    /* the default in words, NULL: none to speak of */
	const char *unset;  /* what options_print says without it; NULL: goes by the type */
	size_t offset;	    /* of the member in the structure that is filled */
	u64 min, max;	    /* numbers and sizes; max 0: what the type holds */
	const u64 *address; /* OPT_SIZE: "@ADDRESS" may follow, where it is this one; or NULL */
	const char *const *choices; /* NULL-terminated; OPT_CALL: for help and completion only */
	/* OPT_CALL: as in option_hooks. @arg is NULL when the option takes none. */
	int (*parse)(const char *shown, const char *arg, void *target);
	const struct option_hooks *hooks; /* OPT_TYPED */
	/* OPT_STRING: as option_hooks.items, of what is made when it is asked for; or NULL. */
	const char *const *(*words)(void);
	/* Prints what the words mean; asked for by the value "help". Or NULL. */
	void (*list)(FILE *out);
	u32 flags;
};

/* Rows end with a group without a name. */
#define OPT_END                   \
	{                         \
		.type = OPT_GROUP \
	}

/* A default that differs from the row's, in words; a list ends with a NULL name. */
struct option_default {
	const char *name;
	const char *def;
};

/* What a command takes of one array of rows. */
struct option_source {
	const struct option_spec *rows;
	size_t offset; /* of the structure that these rows fill in the command's structure */
	u32 archs;     /* OPT_ARCH_*: where these options exist; 0: everywhere */
	u32 only;      /* the rows that have one of these flags; 0: all */
	const struct option_default *defaults; /* or NULL */
	const char *whose; /* help and the manual show these with that command; NULL: with this */
};

/* A word that people know from another program, and what there is here. */
struct foreign_word {
	const char *word;  /* without dashes; a last '*' stands for anything */
	const char *whose; /* "kvmtool" */
	enum {
		FOREIGN_MISSING, /* there is no such thing (yet); @text is a hint, or NULL */
		FOREIGN_USE,	 /* @text is what does it here */
		FOREIGN_OMIT,	 /* nothing is needed; @text says why */
	} kind;
	const char *text;
};
/*
 * Is @word (@len bytes, without dashes) in @list, which ends with a NULL word (or is NULL)? Then
 * what to do about it, as the end of a message, in @buf, which is returned; else NULL.
 */
const char *foreign_word_text(const struct foreign_word *list, const char *word, size_t len,
			      char *buf, size_t size);

/* A list of sources that ends with one without rows. */
struct option_set {
	const struct option_source *sources;
	const struct foreign_word *foreign; /* or NULL */
	const u32 *here; /* this binary's architecture (OPT_ARCH_*); NULL: none is asked for */
};

/* Walks the rows of a set, those of other architectures included, headings excluded. */
struct option_cursor {
	const struct option_set *set;
	const struct option_source *source;
	const struct option_spec *opt; /* NULL at the end */
	const char *group;	       /* the heading above it, or NULL */
};

/* @set may be NULL: no options. */
struct option_cursor options_first(const struct option_set *set);
void options_next(struct option_cursor *c);
#define for_each_option(c, set) \
	for (struct option_cursor c = options_first(set); c.opt; options_next(&c))

/* Does the option exist on this architecture? */
bool option_is_here(const struct option_cursor *c);
bool option_takes_argument(const struct option_spec *o);
/* The row's own default or what the command says instead. */
const char *option_default(const struct option_cursor *c);
/* The names of the architectures in @archs: "arm64, riscv64". @buf is returned. */
const char *option_arch_names(u32 archs, char *buf, size_t len);

/*
 * Value number @i (from 0) as the command line would give it, "yes" for a flag; to be freed. NULL
 * when the option was not given or has no such value. @target is the command's structure.
 */
char *option_text(const struct option_cursor *c, const void *target, u32 i) __must_check;
/* OPT_PATH: the file that value number @i names, or NULL. */
const char *option_path(const struct option_cursor *c, const void *target, u32 i);
/* Does a value of it name the open descriptor @fd by its number? */
bool option_names_fd(const struct option_cursor *c, const void *target, int fd);
/*
 * Give it a value; @value is NULL for options without an argument, @negated clears a flag. @shown
 * as for option_hooks. 0, -EINVAL after printing what is wrong, or 1: option_spec.list was
 * asked for, and has printed.
 */
int option_set(const struct option_cursor *c, const char *shown, const char *value, bool negated,
	       void *target) __must_check;

/* Was the option @name given (on this architecture)? */
bool options_given(const struct option_set *set, const void *target, const char *name);
/* Names of files that are empty: prints the first one; 0 or -EINVAL. */
int options_check(const struct option_set *set, const void *target) __must_check;
/*
 * Close the descriptors from 3 on that whoever started us left open, except those whose file an
 * option names, or @extra (or NULL); those are marked close-on-exec. Called before anything else is
 * opened, with the standard descriptors open, while there is one thread.
 */
void options_close_others(const struct option_set *set, const void *target, const char *extra);
/* `name: value`, a line for each value; options that were not given too. */
void options_print(const struct option_set *set, const void *target, FILE *out);
/* `name = value` for what was given, as options_load reads it. */
void options_save(const struct option_set *set, const void *target, FILE *out);
/* Give @to everything that @from was given; @to is prepared as for a command line. */
void options_copy(const struct option_set *set, const void *from, void *to);
/* Free what the members own; they are as if never given. */
void options_destroy(const struct option_set *set, void *target);

/*
 * Read options from the file @path ("-": standard input), for which the option @shown asks. A line
 * has a name ("--" in front or not) and, after a blank or '=', the value: up to the end of the
 * line, without blanks around; or in double quotes, with \\, \", \n and \xHH. Empty lines and those
 * that begin with '#' mean nothing. 0, or a negative errno after printing what is wrong, with the
 * line's number.
 */
int options_load(const struct option_set *set, const char *shown, const char *path,
		 void *target) __must_check;

struct command {
	const char *name;
	const char *summary;		  /* one line for `lkvm help` */
	const char *usage;		  /* "lkvm run [options] [kernel]" */
	const char *description;	  /* a paragraph for `lkvm help NAME` and the manual */
	const struct option_set *options; /* NULL: none */
	/* For completion, what its words are: "file", "command", "vm", or the words themselves,
	 * with blanks between them; NULL: none. */
	const char *word;
	/* @argv is what follows the command's name. Returns the exit status. */
	int (*run)(const struct command *cmd, int argc, char **argv);
};

/*
 * Parse @argv (without the command's name) into @target. Options and words may mix; "--" ends the
 * options. Words that are not options are moved to the front of @argv and *nr_words counts them;
 * *rest is the index after "--", or argc. 0, 1 when help was asked for and printed, or -EINVAL
 * after printing the error with the nearest option.
 */
int options_parse(const struct command *cmd, int argc, char **argv, void *target, int *nr_words,
		  int *rest) __must_check;
/*
 * The row called @name (@len bytes): this architecture's, else another's, else one without @opt.
 * *negated: @name switches the flag off (NULL: such names are not looked for).
 */
struct option_cursor options_find(const struct option_set *set, const char *name, size_t len,
				  bool *negated);
/* The name most like @name among the options of this architecture that help shows, or NULL. */
const char *options_nearest(const struct option_set *set, const char *name);
/* Says that the option is another architecture's. -EINVAL. */
int options_elsewhere(const struct option_cursor *c, const char *shown);

/* Usage, description and the options of this architecture. */
void options_print_help(const struct command *cmd, FILE *out);
/* The option list as mdoc source, for the manual page; all architectures. */
void options_print_man(const struct command *cmd, FILE *out);
/*
 * For shell completion, a line for each option, with tabs between: its names; what its argument is
 * ("flag" without one, "one" of the words, "file", "dir", "list", "vm", "any"); the words, for
 * "one" or between commas; help in a few words. The last line is of words that are not options. "-"
 * stands for nothing.
 */
void options_print_words(const struct command *cmd, FILE *out);

#endif
