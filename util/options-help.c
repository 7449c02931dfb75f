/* SPDX-License-Identifier: MIT */
/* What is printed from a command's option table: help, the manual page's list, completion words. */
#include <stdlib.h>

#include "lkvm/options.h"
#include "lkvm/util.h"

#define HELP_WIDTH  80
#define HELP_INDENT 30
/* Uses that do not replace the one before. */
#define REPEATED (OPT_REPEATABLE | OPT_JOIN)

/* The argument as it is shown, between @before and @after: the choices, or its name, or nothing. */
static int print_arg(const struct option_spec *o, const char *before, const char *after, FILE *out)
{
	int len = 0;

	if (!o->choices && !o->arg)
		return 0;
	len += fprintf(out, "%s%s", before, o->choices ? "" : o->arg);
	for (size_t i = 0; o->choices && o->choices[i]; i++)
		len += fprintf(out, "%s%s", i ? "|" : "", o->choices[i]);
	return len + fprintf(out, "%s", after);
}

/* Print @text in words, the cursor being in @column; further lines begin at @indent. */
static void print_wrapped(FILE *out, const char *text, size_t indent, size_t column)
{
	while (*text) {
		size_t len = strcspn(text, " ");

		if (column > indent && column + 1 + len > HELP_WIDTH) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', out);
			column++;
		}
		fprintf(out, "%.*s", (int)len, text);
		column += len;
		text += len;
		while (*text == ' ')
			text++;
	}
	fputc('\n', out);
}

static void print_option(const struct option_cursor *c, FILE *out)
{
	const struct option_spec *o = c->opt;
	const char *repeat = o->flags & REPEATED ? "; may be repeated" : "";
	const char *def = option_default(c);
	int column = 0;
	char *text;

	if (o->short_name)
		column += fprintf(out, "  -%c, --%s", o->short_name, o->name);
	else
		column += fprintf(out, "      --%s", o->name);
	column += print_arg(o, " ", "", out);
	if (column + 2 > HELP_INDENT) {
		fputc('\n', out);
		column = 0;
	}
	fprintf(out, "%*s", HELP_INDENT - column, "");
	text = xasprintf("%s%s%s%s%s", o->help, repeat, def ? " (default: " : "", def ? def : "",
			 def ? ")" : "");
	print_wrapped(out, text, HELP_INDENT, HELP_INDENT);
	free(text);
}

/* Is there a heading to print above this row? Only rows that are shown make one. */
static bool new_group(const struct option_cursor *c, const char **last)
{
	bool same = *last && c->group && !strcmp(*last, c->group);

	if (same || !c->group)
		return false;
	*last = c->group;
	return true;
}

void options_print_help(const struct command *cmd, FILE *out)
{
	const char *group = NULL, *whose = NULL;
	bool any = false;

	fprintf(out, "usage: %s\n\n", cmd->usage);
	if (cmd->description)
		print_wrapped(out, cmd->description, 0, 0);
	for_each_option(c, cmd->options)
	{
		if (c.source->whose)
			whose = c.source->whose;
		if ((c.opt->flags & OPT_HIDDEN) || !option_is_here(&c) || c.source->whose)
			continue;
		if (new_group(&c, &group))
			fprintf(out, "\n%s:\n", c.group);
		else if (!any && !c.group)
			fputc('\n', out);
		any = true;
		print_option(&c, out);
	}
	if (whose)
		fprintf(out, "\nThe options of a machine are those of 'lkvm help %s'.\n", whose);
	if (cmd->options)
		fprintf(out, "%s      --help                  show this help\n",
			any && !group ? "" : "\n");
}

/* Text for mdoc: no backslash, leading dot or quote is taken for markup; "-" stays a minus. */
static void print_roff(FILE *out, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-' && (text[1] == '-' || text[1] == ' ' || text[1] == '\0'))
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
}

static void print_man_option(const struct option_cursor *c, FILE *out)
{
	const struct option_spec *o = c->opt;
	const char *def = option_default(c);
	char archs[64];

	fputs(".It ", out);
	if (o->short_name)
		fprintf(out, "Fl %c , ", o->short_name);
	fprintf(out, "Fl \\-%s", o->name);
	print_arg(o, " Ar \"", "\"", out);
	fputc('\n', out);
	/* Help is a phrase; the manual has sentences. */
	print_roff(out, o->help);
	fputs(o->flags & REPEATED ? "; may be repeated.\n" : ".\n", out);
	if (def) {
		fputs("Default: ", out);
		print_roff(out, def);
		fputs(".\n", out);
	}
	if (c->source->archs)
		fprintf(out, "Only on %s.\n",
			option_arch_names(c->source->archs, archs, sizeof(archs)));
}

void options_print_man(const struct command *cmd, FILE *out)
{
	const char *group = NULL;
	bool in_list = false;

	for_each_option(c, cmd->options)
	{
		if ((c.opt->flags & OPT_HIDDEN) || c.source->whose)
			continue;
		if (new_group(&c, &group)) {
			fprintf(out, "%s.Ss %s\n.Bl -tag -width Ds\n", in_list ? ".El\n" : "",
				c.group);
			in_list = true;
		} else if (!in_list) {
			fputs(".Bl -tag -width Ds\n", out);
			in_list = true;
		}
		print_man_option(&c, out);
	}
	if (in_list)
		fputs(".El\n", out);
}

/* Names of files, as the arguments of options are called in help. */
static bool is_file_name(const char *arg)
{
	return !strncmp(arg, "FILE", 4) || !strncmp(arg, "PATH", 4);
}

/* What may be between the commas, or instead of the argument. */
static const char *const *words_of(const struct option_spec *o)
{
	if (o->words)
		return o->words();
	return o->type == OPT_TYPED ? o->hooks->items : o->choices;
}

/* What the argument is, for completion. */
static const char *argument_kind(const struct command *cmd, const struct option_spec *o)
{
	if (!option_takes_argument(o))
		return "flag";
	if (o->choices)
		return "one";
	if (!strncmp(o->arg, "DIR", 3))
		return "dir";
	if (is_file_name(o->arg))
		return "file";
	/* Of a command about machines, that of one. */
	if (cmd->word && !strcmp(cmd->word, "vm") && !strcmp(o->arg, "NAME"))
		return "vm";
	return words_of(o) ? "list" : "any";
}

/* The help up to where it goes into details. */
static int short_help(const char *help)
{
	size_t len = strcspn(help, ";:(");

	while (len && help[len - 1] == ' ')
		len--;
	return (int)len;
}

void options_print_words(const struct command *cmd, FILE *out)
{
	for_each_option(c, cmd->options)
	{
		const struct option_spec *o = c.opt;
		const char *const *words;

		if ((o->flags & OPT_HIDDEN) || !option_is_here(&c))
			continue;
		words = words_of(o);
		if (o->short_name)
			fprintf(out, "-%c ", o->short_name);
		fprintf(out, "--%s\t%s\t", o->name, argument_kind(cmd, o));
		for (const char *const *w = words; w && *w; w++)
			fprintf(out, "%s%s", *w, w[1] ? " " : "");
		fprintf(out, "%s\t%.*s\n", words ? "" : "-", short_help(o->help), o->help);
	}
	fputs("--help\tflag\t-\tshow this help\n", out);
	if (cmd->word && strchr(cmd->word, ' '))
		fprintf(out, "-\tone\t%s\t-\n", cmd->word);
	else if (cmd->word)
		fprintf(out, "-\t%s\t-\t-\n", cmd->word);
}
