/* SPDX-License-Identifier: MIT */
/*
 * What is done with the values of options: walk, print, save, copy, check and free them. All of it
 * stands on the text of a value (option_text), the inverse of option_set.
 */
#include "lkvm/options.h"

#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/util.h"

static bool is_end(const struct option_spec *o)
{
	return o->type == OPT_GROUP && !o->help;
}

/* From where the cursor stands to the next row that counts. */
static void settle(struct option_cursor *c)
{
	while (c->source->rows) {
		for (; !is_end(c->opt); c->opt++) {
			if (c->opt->type == OPT_GROUP)
				c->group = c->opt->help;
			else if (!c->source->only || (c->opt->flags & c->source->only))
				return;
		}
		c->source++;
		c->opt = c->source->rows;
		c->group = NULL;
	}
	c->opt = NULL;
}

struct option_cursor options_first(const struct option_set *set)
{
	struct option_cursor c = { .set = set };

	if (set) {
		c.source = set->sources;
		c.opt = c.source->rows;
		settle(&c);
	}
	return c;
}

void options_next(struct option_cursor *c)
{
	c->opt++;
	settle(c);
}

bool option_is_here(const struct option_cursor *c)
{
	return !c->source->archs || (c->set->here && (c->source->archs & *c->set->here));
}

bool option_takes_argument(const struct option_spec *o)
{
	return o->type != OPT_FLAG && (o->type != OPT_CALL || o->arg || o->choices);
}

const char *option_default(const struct option_cursor *c)
{
	for (const struct option_default *d = c->source->defaults; d && d->name; d++) {
		if (!strcmp(d->name, c->opt->name))
			return d->def;
	}
	return c->opt->def;
}

const char *option_arch_names(u32 archs, char *buf, size_t len)
{
	static const char *const names[] = { "x86-64", "arm64", "riscv64", "loongarch64" };
	size_t used = 0;

	*buf = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names) && used < len; i++) {
		if (archs & BIT(i))
			used += (size_t)snprintf(buf + used, len - used, "%s%s", used ? ", " : "",
						 names[i]);
	}
	return buf;
}

static const void *target_of(const struct option_cursor *c, const void *target)
{
	return (const char *)target + c->source->offset;
}

/* Of what has one value; NULL: not given. */
static char *single_text(const struct option_spec *o, const void *member)
{
	char size[32];

	switch (o->type) {
	case OPT_FLAG:
		return *(const bool *)member ? xstrdup("yes") : NULL;
	case OPT_STRING:
		return *(char *const *)member ? xstrdup(*(char *const *)member) : NULL;
	case OPT_U32:
		return *(const u32 *)member ? xasprintf("%u", *(const u32 *)member) : NULL;
	case OPT_U64:
		return *(const u64 *)member ? xasprintf("0x%llx", *(const u64 *)member) : NULL;
	case OPT_SIZE:
		return *(const u64 *)member
			       ? xstrdup(format_size(*(const u64 *)member, size, sizeof(size)))
			       : NULL;
	case OPT_CHOICE:
		return *(const int *)member ? xstrdup(o->choices[*(const int *)member]) : NULL;
	case OPT_GROUP:
	case OPT_CALL:
	case OPT_TYPED:
		break;
	}
	return NULL;
}

char *option_text(const struct option_cursor *c, const void *target, u32 i)
{
	const void *filled = target_of(c, target);

	if (c->opt->type == OPT_TYPED)
		return c->opt->hooks->text(filled, i);
	return i ? NULL : single_text(c->opt, (const char *)filled + c->opt->offset);
}

bool options_given(const struct option_set *set, const void *target, const char *name)
{
	bool given = false;

	for_each_option(c, set)
	{
		char *text;

		if (!option_is_here(&c) || strcmp(c.opt->name, name))
			continue;
		text = option_text(&c, target, 0);
		given |= text != NULL;
		free(text);
	}
	return given;
}

const char *option_path(const struct option_cursor *c, const void *target, u32 i)
{
	const void *filled = target_of(c, target);

	if (c->opt->type == OPT_TYPED)
		return c->opt->hooks->path(filled, i);
	return i ? NULL : *(char *const *)((const char *)filled + c->opt->offset);
}

bool option_names_fd(const struct option_cursor *c, const void *target, int fd)
{
	return c->opt->type == OPT_TYPED && c->opt->hooks->names_fd &&
	       c->opt->hooks->names_fd(target_of(c, target), fd);
}

int options_check(const struct option_set *set, const void *target)
{
	for_each_option(c, set)
	{
		const char *path;

		if (!(c.opt->flags & OPT_PATH) || !option_is_here(&c))
			continue;
		for (u32 i = 0; (path = option_path(&c, target, i)); i++) {
			if (*path)
				continue;
			err("--%s: the name is empty", c.opt->name);
			return -EINVAL;
		}
	}
	return 0;
}

/* As it stands where that reads back as the same, else in double quotes. */
static void print_value(const char *text, FILE *out)
{
	size_t len = strlen(text);
	bool plain = len && *text != '"' && *text != ' ' && text[len - 1] != ' ';

	for (const char *s = text; plain && *s; s++)
		plain = (unsigned char)*s >= ' ' && *s != 0x7f;
	if (plain) {
		fputs(text, out);
		return;
	}
	fputc('"', out);
	for (const char *s = text; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else if (*s == '\n')
			fputs("\\n", out);
		else if ((unsigned char)*s < ' ' || *s == 0x7f)
			fprintf(out, "\\x%02x", (unsigned char)*s);
		else
			fputc(*s, out);
	}
	fputc('"', out);
}

/* What stands for an option that was not given. */
static const char *not_given(const struct option_spec *o)
{
	if (o->unset)
		return o->unset;
	switch (o->type) {
	case OPT_FLAG:
		return "no";
	case OPT_CHOICE:
		return o->choices[0];
	case OPT_U32:
	case OPT_U64:
	case OPT_SIZE:
		return "default";
	default:
		return "none";
	}
}

/* Is there a value to show or keep? */
static bool has_value(const struct option_cursor *c)
{
	return option_is_here(c) && c->opt->type != OPT_CALL && !(c->opt->flags & OPT_ONCE);
}

void options_print(const struct option_set *set, const void *target, FILE *out)
{
	for_each_option(c, set)
	{
		char *text;
		u32 i = 0;

		if (!has_value(&c))
			continue;
		for (; (text = option_text(&c, target, i)); i++) {
			fprintf(out, "%s: ", c.opt->name);
			print_value(c.opt->flags & OPT_SECRET ? "given" : text, out);
			fputc('\n', out);
			free(text);
		}
		if (!i)
			fprintf(out, "%s: %s\n", c.opt->name, not_given(c.opt));
	}
}

void options_save(const struct option_set *set, const void *target, FILE *out)
{
	for_each_option(c, set)
	{
		char *text;

		if (!has_value(&c))
			continue;
		for (u32 i = 0; (text = option_text(&c, target, i)); i++) {
			if (c.opt->flags & OPT_SECRET) {
				fprintf(out, "# %s: a secret, not saved\n", c.opt->name);
			} else if (c.opt->type == OPT_FLAG) {
				fprintf(out, "%s\n", c.opt->name);
			} else {
				fprintf(out, "%s = ", c.opt->name);
				print_value(text, out);
				fputc('\n', out);
			}
			free(text);
		}
	}
}

void options_destroy(const struct option_set *set, void *target)
{
	for_each_option(c, set)
	{
		char *filled = (char *)target + c.source->offset;

		if (c.opt->type == OPT_TYPED && c.opt->hooks->destroy) {
			c.opt->hooks->destroy(filled);
		} else if (c.opt->type == OPT_STRING) {
			free(*(char **)(filled + c.opt->offset));
			*(char **)(filled + c.opt->offset) = NULL;
		}
	}
}
