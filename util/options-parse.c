/* SPDX-License-Identifier: MIT */
/*
 * Command lines to values: --name VALUE, --name=VALUE, -nVALUE, -n VALUE, several short flags in
 * one word, --no-NAME for flags, and "--", which ends the options. A message begins with the option
 * as the user wrote it.
 */
#include <assert.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/options.h"
#include "lkvm/util.h"

struct parser {
	const struct command *cmd;
	int argc;
	char **argv;
	int next; /* index of the next unread word */
	void *target;
	char shown[64]; /* the option at hand as the user wrote it, for messages */
};

static bool is_called(const struct option_spec *o, const char *name, size_t len)
{
	return strlen(o->name) == len && !memcmp(o->name, name, len);
}

/* Does @name switch the flag off? --no-rng for "rng", --reboot for "no-reboot". */
static bool is_negated(const struct option_spec *o, const char *name, size_t len)
{
	if (o->type != OPT_FLAG)
		return false;
	if (len > 3 && !memcmp(name, "no-", 3) && is_called(o, name + 3, len - 3))
		return true;
	return !strncmp(o->name, "no-", 3) && strlen(o->name) == len + 3 &&
	       !memcmp(o->name + 3, name, len);
}

/* Architectures may each have an option of that name: ours goes before others'. */
struct option_cursor options_find(const struct option_set *set, const char *name, size_t len,
				  bool *negated)
{
	struct option_cursor elsewhere = { .set = set };

	if (negated)
		*negated = false;
	for_each_option(c, set)
	{
		if (!is_called(c.opt, name, len))
			continue;
		if (option_is_here(&c))
			return c;
		elsewhere = c;
	}
	if (elsewhere.opt || !negated)
		return elsewhere;
	*negated = true;
	for_each_option(c, set)
	{
		if (!is_negated(c.opt, name, len))
			continue;
		if (option_is_here(&c))
			return c;
		elsewhere = c;
	}
	return elsewhere;
}

static struct option_cursor find_short(const struct option_set *set, char name)
{
	struct option_cursor elsewhere = { .set = set };

	for_each_option(c, set)
	{
		if (!c.opt->short_name || c.opt->short_name != name)
			continue;
		if (option_is_here(&c))
			return c;
		elsewhere = c;
	}
	return elsewhere;
}

const char *options_nearest(const struct option_set *set, const char *name)
{
	const char **words, *near;
	size_t n = 2;

	for_each_option(c, set) n++;
	words = xcalloc(n, sizeof(words[0]));
	n = 0;
	for_each_option(c, set)
	{
		if (!(c.opt->flags & OPT_HIDDEN) && option_is_here(&c))
			words[n++] = c.opt->name;
	}
	words[n] = "help";
	near = nearest_word(name, words);
	free(words);
	return near;
}

int options_elsewhere(const struct option_cursor *c, const char *shown)
{
	char theirs[64], ours[64];

	err("%s is an option of %s; this lkvm is for %s", shown,
	    option_arch_names(c->source->archs, theirs, sizeof(theirs)),
	    option_arch_names(c->set->here ? *c->set->here : 0, ours, sizeof(ours)));
	return -EINVAL;
}

/* @name is as it was written, without the dashes in front; a value may follow after '='. */
static int unknown_option(const struct parser *p, const char *shown, const char *name)
{
	const struct option_set *set = p->cmd->options;
	size_t len = strcspn(name, "=");
	char text[160], copy[64];
	const char *near;

	if (set && foreign_word_text(set->foreign, name, len, text, sizeof(text))) {
		err("unknown option '%s': %s", shown, text);
		return -EINVAL;
	}
	snprintf(copy, sizeof(copy), "%.*s", (int)MIN(len, sizeof(copy) - 1), name);
	near = options_nearest(set, copy);
	if (near)
		err("unknown option '%s'; did you mean '--%s'?", shown, near);
	else
		err("unknown option '%s'; 'lkvm help %s' lists the options", shown, p->cmd->name);
	return -EINVAL;
}

/*
 * Is this word an option of the command rather than the argument that is looked for? Only what is
 * certainly one: kernel parameters may begin with a dash.
 */
static bool looks_like_option(const struct parser *p, const char *word)
{
	bool negated;

	if (word[0] != '-' || !word[1])
		return false;
	if (word[1] != '-' && !word[2])
		return find_short(p->cmd->options, word[1]).opt;
	if (word[1] != '-')
		return options_find(p->cmd->options, word + 1, strcspn(word + 1, "="), NULL).opt;
	word += 2;
	if (!*word || options_find(p->cmd->options, word, strcspn(word, "="), NULL).opt)
		return true;
	return options_find(p->cmd->options, word, strlen(word), &negated).opt != NULL;
}

static int set_choice(const struct option_spec *o, const char *shown, const char *value,
		      int *member)
{
	const char *near = nearest_word(value, o->choices);
	char *list;

	for (int i = 0; o->choices[i]; i++) {
		if (!strcmp(value, o->choices[i])) {
			*member = i;
			return 0;
		}
	}
	list = xstrdup("");
	for (int i = 0; o->choices[i]; i++)
		xappendf(&list, "%s%s", i ? ", " : "", o->choices[i]);
	if (!*value)
		value = "''";
	if (near)
		err("%s %s: is not one of %s; did you mean '%s'?", shown, value, list, near);
	else
		err("%s %s: is not one of %s", shown, value, list);
	free(list);
	return -EINVAL;
}

static const char *number_text(const struct option_spec *o, u64 n, char *buf, size_t len)
{
	if (o->type == OPT_SIZE)
		return format_size(n, buf, len);
	snprintf(buf, len, "%llu", n);
	return buf;
}

/*
 * Cut the address off "SIZE@ADDRESS". Memory begins where it begins on this machine: another
 * address is refused.
 */
static int take_address(const struct option_spec *o, const char *shown, const char *value, char *at)
{
	u64 address;

	*at++ = '\0';
	if (parse_size(at, 1, &address)) {
		err("%s %s@%s: '%s' is not an address", shown, value, at, at);
		return -EINVAL;
	}
	if (address == *o->address)
		return 0;
	err("%s %s@%s: memory begins at 0x%llx on this machine; omit '@%s'", shown, value, at,
	    *o->address, at);
	return -EINVAL;
}

static int set_number(const struct option_spec *o, const char *shown, const char *value,
		      void *member)
{
	u64 n = 0, max = o->max ? o->max : o->type == OPT_U32 ? UINT32_MAX : UINT64_MAX;
	bool size = o->type == OPT_SIZE;
	int ret = size ? parse_size(value, MiB, &n) : parse_u64(value, &n);
	char limit[32];

	if (!*value)
		value = "''";
	if (ret == -EINVAL) {
		err("%s %s: is not a %s", shown, value,
		    size ? "size; write it like 512M or 4G (a bare number counts MiB)" : "number");
		return -EINVAL;
	}
	if (ret || n > max) {
		err("%s %s: is too large; the maximum is %s", shown, value,
		    number_text(o, max, limit, sizeof(limit)));
		return -EINVAL;
	}
	if (n < o->min) {
		err("%s %s: is too small; the minimum is %s", shown, value,
		    number_text(o, o->min, limit, sizeof(limit)));
		return -EINVAL;
	}
	if (o->type == OPT_U32)
		*(u32 *)member = (u32)n;
	else
		*(u64 *)member = n;
	return 0;
}

static int set_size(const struct option_spec *o, const char *shown, const char *value, void *member)
{
	char *size = xstrdup(value), *at = o->address ? strchr(size, '@') : NULL;
	int ret = at ? take_address(o, shown, size, at) : 0;

	if (!ret)
		ret = set_number(o, shown, size, member);
	free(size);
	return ret;
}

/* A further use of OPT_JOIN adds to what @member has. */
static void set_string(const struct option_spec *o, const char *value, char **member)
{
	char *before = *member;

	if ((o->flags & OPT_JOIN) && before && *before)
		*member = *value ? xasprintf("%s %s", before, value) : xstrdup(before);
	else
		*member = xstrdup(value);
	free(before);
}

int option_set(const struct option_cursor *c, const char *shown, const char *value, bool negated,
	       void *target)
{
	char *filled = (char *)target + c->source->offset;
	const struct option_spec *o = c->opt;
	void *member = filled + o->offset;

	assert(value || o->type == OPT_FLAG || o->type == OPT_CALL);
	if (o->list && value && !strcmp(value, "help")) {
		o->list(stdout);
		return 1;
	}
	switch (o->type) {
	case OPT_FLAG:
		*(bool *)member = !negated;
		return 0;
	case OPT_STRING:
		set_string(o, value, member);
		return 0;
	case OPT_U32:
	case OPT_U64:
		return set_number(o, shown, value, member);
	case OPT_SIZE:
		return set_size(o, shown, value, member);
	case OPT_CHOICE:
		return set_choice(o, shown, value, member);
	case OPT_CALL:
		return o->parse(shown, value, filled);
	case OPT_TYPED:
		return o->hooks->parse(shown, value, filled);
	case OPT_GROUP:
		break;
	}
	return -EINVAL;
}

/* Is it a list of words for the option, rather than a kernel or whatever stands behind it? */
static bool looks_like_words(const struct option_spec *o, const char *word)
{
	size_t name = strspn(word, "abcdefghijklmnopqrstuvwxyz-"), first = strcspn(word, ",");

	if ((name && word[0] != '-' && word[name] == '=') || (o->list && !strcmp(word, "help")))
		return true;
	for (const char *const *item = o->hooks->items; item && *item; item++)
		if (strlen(*item) == first && !memcmp(*item, word, first))
			return true;
	return false;
}

/* The argument that may be missing. */
static const char *optional_argument(struct parser *p, const struct option_spec *o)
{
	if (p->next < p->argc && looks_like_words(o, p->argv[p->next]))
		return p->argv[p->next++];
	return "";
}

/* @value: what is attached to the option, or NULL. */
static int apply(struct parser *p, const struct option_cursor *c, const char *value, bool negated)
{
	const char *arg = c->opt->arg ? c->opt->arg : "one of its choices";

	if (!option_is_here(c))
		return options_elsewhere(c, p->shown);
	if (!option_takes_argument(c->opt)) {
		if (value) {
			err("%s=%s: %s takes no argument", p->shown, value, p->shown);
			return -EINVAL;
		}
		return option_set(c, p->shown, NULL, negated, p->target);
	}
	if (!value && (c->opt->flags & OPT_OPTIONAL))
		value = optional_argument(p, c->opt);
	if (!value && p->next == p->argc) {
		err("%s: needs an argument: %s", p->shown, arg);
		return -EINVAL;
	}
	if (!value && looks_like_option(p, p->argv[p->next])) {
		err("%s: needs an argument (%s) before '%s'; if that is the argument, write "
		    "--%s=%s",
		    p->shown, arg, p->argv[p->next], c->opt->name, p->argv[p->next]);
		return -EINVAL;
	}
	if (!value)
		value = p->argv[p->next++];
	return option_set(c, p->shown, value, false, p->target);
}

static int parse_long(struct parser *p, const char *word)
{
	const char *name = word + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] ? name + len + 1 : NULL;
	bool negated;
	struct option_cursor c = options_find(p->cmd->options, name, len, &negated);

	snprintf(p->shown, sizeof(p->shown), "--%.*s", (int)MIN(len, (size_t)40), name);
	if (!strcmp(p->shown, "--help")) {
		err("--help=%s: --help takes no argument", value ? value : "");
		return -EINVAL;
	}
	if (!c.opt)
		return unknown_option(p, p->shown, p->shown + 2);
	return apply(p, &c, value, negated);
}

/*
 * A long option's name after one dash, -initrd FILE: ours, or another program's. The letters would
 * make sense as a short option with the rest as its argument; nobody means that. 0: it is not one.
 */
static int one_dash(struct parser *p, const char *word)
{
	const struct option_set *set = p->cmd->options;
	size_t len = strcspn(word + 1, "=");
	struct option_cursor c;
	char text[160];
	bool negated;

	if (len < 2 || !set)
		return 0;
	snprintf(p->shown, sizeof(p->shown), "-%.*s", (int)MIN(len, (size_t)40), word + 1);
	c = options_find(set, word + 1, len, &negated);
	if (c.opt && !option_is_here(&c))
		return options_elsewhere(&c, p->shown);
	if (c.opt) {
		err("unknown option '%s'; did you mean '-%s'?", p->shown, p->shown);
		return -EINVAL;
	}
	if (foreign_word_text(set->foreign, word + 1, len, text, sizeof(text)))
		return unknown_option(p, p->shown, word + 1);
	return 0;
}

static int parse_short(struct parser *p, const char *word)
{
	int ret = one_dash(p, word);

	if (ret)
		return ret;
	for (const char *s = word + 1; *s;) {
		struct option_cursor c = find_short(p->cmd->options, *s);
		const char *value = NULL;

		if (!c.opt) {
			/* -mem instead of --mem: the whole word names the option best. */
			snprintf(p->shown, sizeof(p->shown), "%.40s", word);
			return unknown_option(p, p->shown, p->shown + 1);
		}
		snprintf(p->shown, sizeof(p->shown), "-%c", *s);
		s++;
		if (option_takes_argument(c.opt) && *s) {
			value = s;
			s += strlen(s);
		}
		ret = apply(p, &c, value, false);
		if (ret)
			return ret;
	}
	return 0;
}

int options_parse(const struct command *cmd, int argc, char **argv, void *target, int *nr_words,
		  int *rest)
{
	struct parser p = { .cmd = cmd, .argc = argc, .argv = argv, .target = target };
	int ret;

	*nr_words = 0;
	*rest = argc;
	while (p.next < argc) {
		char *word = argv[p.next++];

		if (!strcmp(word, "--")) {
			*rest = p.next;
			break;
		}
		if (word[0] != '-' || !word[1]) {
			argv[(*nr_words)++] = word;
			continue;
		}
		if (!strcmp(word, "--help") ||
		    (!strcmp(word, "-h") && !find_short(cmd->options, 'h').opt)) {
			options_print_help(cmd, stdout);
			return 1;
		}
		ret = word[1] == '-' ? parse_long(&p, word) : parse_short(&p, word);
		if (ret)
			return ret;
	}
	return 0;
}
