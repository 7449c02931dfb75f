/* SPDX-License-Identifier: MIT */
/* What is printed from a command's option table: help, the manual page's list, completion words. */
#include "lkvm/arch.h"
#include "lkvm/options.h"

#define HELP_WIDTH  80
#define HELP_INDENT 30

static bool is_end(const struct option_spec *o)
{
	return o->type == OPT_GROUP && !o->help;
}

static bool exists_here(const struct option_spec *o)
{
	return !o->archs || (o->archs & arch_platform.option_mask);
}

/* The argument as it is shown: the choices, or its name; NULL when there is none. */
static const char *arg_text(const struct option_spec *o, char *buf, size_t len)
{
	size_t used = 0;

	if (!o->choices)
		return o->arg;
	for (size_t i = 0; o->choices[i] && used < len; i++)
		used += (size_t)snprintf(buf + used, len - used, "%s%s", i ? "|" : "",
					 o->choices[i]);
	return buf;
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

static void print_option(const struct option_spec *o, FILE *out)
{
	char choices[128], text[512];
	const char *arg = arg_text(o, choices, sizeof(choices));
	int column = 0;

	if (o->short_name)
		column += fprintf(out, "  -%c, --%s", o->short_name, o->name);
	else
		column += fprintf(out, "      --%s", o->name);
	if (arg)
		column += fprintf(out, " %s", arg);
	if (column + 2 > HELP_INDENT) {
		fputc('\n', out);
		column = 0;
	}
	fprintf(out, "%*s", HELP_INDENT - column, "");
	snprintf(text, sizeof(text), "%s%s%s%s", o->help, o->def ? " (default: " : "",
		 o->def ? o->def : "", o->def ? ")" : "");
	print_wrapped(out, text, HELP_INDENT, HELP_INDENT);
}

void options_print_help(const struct command *cmd, FILE *out)
{
	fprintf(out, "usage: %s\n\n", cmd->usage);
	if (cmd->description)
		print_wrapped(out, cmd->description, 0, 0);
	for (const struct option_spec *o = cmd->options; o && !is_end(o); o++) {
		if (o->hidden || !exists_here(o))
			continue;
		if (o->type == OPT_GROUP)
			fprintf(out, "\n%s:\n", o->help);
		else
			print_option(o, out);
	}
	if (cmd->options)
		fprintf(out, "\n      --help                  show this help\n");
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

static void print_man_archs(u32 archs, FILE *out)
{
	static const char *const names[] = { "x86", "arm64", "riscv", "loongarch" };
	const char *sep = "";

	fputs("Only on ", out);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (archs & BIT(i)) {
			fprintf(out, "%s%s", sep, names[i]);
			sep = ", ";
		}
	}
	fputs(".\n", out);
}

void options_print_man(const struct command *cmd, FILE *out)
{
	bool in_list = false;

	for (const struct option_spec *o = cmd->options; o && !is_end(o); o++) {
		char choices[128];
		const char *arg;

		if (o->hidden)
			continue;
		if (o->type == OPT_GROUP) {
			if (in_list)
				fputs(".El\n", out);
			fprintf(out, ".Ss %s\n.Bl -tag -width Ds\n", o->help);
			in_list = true;
			continue;
		}
		fputs(".It ", out);
		if (o->short_name)
			fprintf(out, "Fl %c , ", o->short_name);
		fprintf(out, "Fl \\-%s", o->name);
		arg = arg_text(o, choices, sizeof(choices));
		if (arg)
			fprintf(out, " Ar \"%s\"", arg);
		fputc('\n', out);
		/* Help is a phrase; the manual has sentences. */
		print_roff(out, o->help);
		fputs(".\n", out);
		if (o->def) {
			fputs("Default: ", out);
			print_roff(out, o->def);
			fputs(".\n", out);
		}
		if (o->archs)
			print_man_archs(o->archs, out);
	}
	if (in_list)
		fputs(".El\n", out);
}

void options_print_words(const struct command *cmd, FILE *out)
{
	for (const struct option_spec *o = cmd->options; o && !is_end(o); o++) {
		char choices[128];
		const char *arg = arg_text(o, choices, sizeof(choices));

		if (o->hidden || o->type == OPT_GROUP || !exists_here(o))
			continue;
		if (o->short_name)
			fprintf(out, "-%c ", o->short_name);
		fprintf(out, "--%s%s%s\n", o->name, arg ? "=" : "", arg ? arg : "");
	}
	fputs("--help\n", out);
}
