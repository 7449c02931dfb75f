/* SPDX-License-Identifier: MIT */
/*
 * The parser of command lines, driven by a command's table: --name VALUE, --name=VALUE, -nVALUE,
 * -n VALUE, several short flags in one word, --no-NAME for flags, and "--", which ends the options.
 */
#include <stdlib.h>

#include "lkvm/arch.h"
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

static bool is_end(const struct option_spec *o)
{
	return o->type == OPT_GROUP && !o->help;
}

static bool exists_here(const struct option_spec *o)
{
	return !o->archs || (o->archs & arch_platform.option_mask);
}

static bool takes_argument(const struct option_spec *o)
{
	return o->type != OPT_FLAG && (o->type != OPT_CALL || o->arg || o->choices);
}

/* Architectures may each have an option of that name: ours goes before others'. */
static const struct option_spec *find_long(const struct command *cmd, const char *name, size_t len)
{
	const struct option_spec *elsewhere = NULL;

	for (const struct option_spec *o = cmd->options; o && !is_end(o); o++) {
		if (o->type == OPT_GROUP || strlen(o->name) != len || memcmp(o->name, name, len))
			continue;
		if (exists_here(o))
			return o;
		elsewhere = o;
	}
	return elsewhere;
}

static const struct option_spec *find_short(const struct command *cmd, char c)
{
	for (const struct option_spec *o = cmd->options; o && !is_end(o); o++) {
		if (o->type != OPT_GROUP && o->short_name && o->short_name == c)
			return o;
	}
	return NULL;
}

/* The flag that @name switches off: --no-rng for "rng", --reboot for "no-reboot". */
static const struct option_spec *find_negated(const struct command *cmd, const char *name,
					      size_t len)
{
	for (const struct option_spec *o = cmd->options; o && !is_end(o); o++) {
		if (o->type != OPT_FLAG)
			continue;
		if (len > 3 && !memcmp(name, "no-", 3) && strlen(o->name) == len - 3 &&
		    !memcmp(o->name, name + 3, len - 3))
			return o;
		if (!strncmp(o->name, "no-", 3) && strlen(o->name) == len + 3 &&
		    !memcmp(o->name + 3, name, len))
			return o;
	}
	return NULL;
}

static void unknown_option(const struct parser *p, const char *shown, const char *name)
{
	const char *words[128];
	const char *near;
	size_t n = 0;

	for (const struct option_spec *o = p->cmd->options; o && !is_end(o); o++) {
		if (o->type != OPT_GROUP && !o->hidden && exists_here(o) &&
		    n < ARRAY_SIZE(words) - 2)
			words[n++] = o->name;
	}
	words[n++] = "help";
	words[n] = NULL;
	near = nearest_word(name, words);
	if (near)
		err("unknown option '%s'; did you mean '--%s'?", shown, near);
	else
		err("unknown option '%s'; 'lkvm help %s' lists the options", shown, p->cmd->name);
}

/*
 * Is this word an option of the command rather than the argument that is looked for? Only what is
 * certainly one: kernel parameters may begin with a dash.
 */
static bool looks_like_option(const struct parser *p, const char *word)
{
	if (word[0] != '-' || !word[1])
		return false;
	if (word[1] != '-')
		return !word[2] && find_short(p->cmd, word[1]);
	word += 2;
	return !*word || find_long(p->cmd, word, strcspn(word, "=")) ||
	       find_negated(p->cmd, word, strlen(word));
}

static int bad_choice(const struct parser *p, const struct option_spec *o, const char *value)
{
	char list[256] = "";
	const char *near = nearest_word(value, o->choices);

	for (size_t i = 0; o->choices[i]; i++) {
		size_t len = strlen(list);

		snprintf(list + len, sizeof(list) - len, "%s%s", i ? ", " : "", o->choices[i]);
	}
	if (near)
		err("option '%s': '%s' is not one of %s; did you mean '%s'?", p->shown, value, list,
		    near);
	else
		err("option '%s': '%s' is not one of %s", p->shown, value, list);
	return -EINVAL;
}

static int set_choice(const struct parser *p, const struct option_spec *o, const char *value,
		      int *member)
{
	for (int i = 0; o->choices[i]; i++) {
		if (!strcmp(value, o->choices[i])) {
			*member = i;
			return 0;
		}
	}
	return bad_choice(p, o, value);
}

static int set_number(const struct parser *p, const struct option_spec *o, const char *value,
		      void *member)
{
	bool size = o->type == OPT_SIZE;
	u64 n = 0, max = size ? UINT64_MAX : UINT32_MAX;
	int ret = size ? parse_size(value, MiB, &n) : parse_u64(value, &n);
	char buf[32];

	if (ret == -EINVAL) {
		err("option '%s': '%s' is not a %s", p->shown, value,
		    size ? "size; write it like 512M or 4G (a bare number counts MiB)" : "number");
		return -EINVAL;
	}
	if (ret || n > max) {
		err("option '%s': '%s' is too large", p->shown, value);
		return -EINVAL;
	}
	if (n < o->min) {
		if (size)
			format_size(o->min, buf, sizeof(buf));
		else
			snprintf(buf, sizeof(buf), "%llu", o->min);
		err("option '%s': '%s' is too small; the least is %s", p->shown, value, buf);
		return -EINVAL;
	}
	if (size)
		*(u64 *)member = n;
	else
		*(u32 *)member = (u32)n;
	return 0;
}

static int set_option(const struct parser *p, const struct option_spec *o, const char *value,
		      bool negated)
{
	void *member = (char *)p->target + o->offset;

	switch (o->type) {
	case OPT_FLAG:
		*(bool *)member = !negated;
		return 0;
	case OPT_STRING:
		free(*(char **)member);
		*(char **)member = xstrdup(value);
		return 0;
	case OPT_U32:
	case OPT_SIZE:
		return set_number(p, o, value, member);
	case OPT_CHOICE:
		return set_choice(p, o, value, member);
	case OPT_CALL:
		return o->parse(o, value, p->target);
	case OPT_GROUP:
		break;
	}
	return -EINVAL;
}

/* @value: what is attached to the option, or NULL. */
static int apply(struct parser *p, const struct option_spec *o, const char *value, bool negated)
{
	const char *arg = o->arg ? o->arg : "one of its choices";

	if (!exists_here(o)) {
		err("option '%s' does not exist on %s", p->shown, arch_platform.name);
		return -EINVAL;
	}
	if (!takes_argument(o)) {
		if (value) {
			err("option '%s' takes no argument, but got '%s'", p->shown, value);
			return -EINVAL;
		}
		return set_option(p, o, NULL, negated);
	}
	if (!value && p->next == p->argc) {
		err("option '%s' needs an argument: %s", p->shown, arg);
		return -EINVAL;
	}
	if (!value && looks_like_option(p, p->argv[p->next])) {
		err("option '%s' needs an argument (%s) before '%s'; if that is the argument, "
		    "write --%s=%s",
		    p->shown, arg, p->argv[p->next], o->name, p->argv[p->next]);
		return -EINVAL;
	}
	if (!value)
		value = p->argv[p->next++];
	return set_option(p, o, value, false);
}

static int parse_long(struct parser *p, const char *word)
{
	const char *name = word + 2;
	size_t len = strcspn(name, "=");
	const char *value = name[len] ? name + len + 1 : NULL;
	const struct option_spec *o = find_long(p->cmd, name, len);
	char shown[sizeof(p->shown)];
	bool negated = false;

	snprintf(shown, sizeof(shown), "--%.*s", (int)MIN(len, (size_t)40), name);
	if (!o) {
		o = find_negated(p->cmd, name, len);
		negated = true;
	}
	if (!o) {
		unknown_option(p, shown, shown + 2);
		return -EINVAL;
	}
	memcpy(p->shown, shown, sizeof(shown));
	return apply(p, o, value, negated);
}

static int parse_short(struct parser *p, const char *word)
{
	for (const char *c = word + 1; *c;) {
		const struct option_spec *o = find_short(p->cmd, *c);
		const char *value = NULL;
		char shown[64];
		int ret;

		if (!o) {
			/* -mem instead of --mem: the whole word names the option best. */
			snprintf(shown, sizeof(shown), "%.40s", word);
			unknown_option(p, shown, shown + 1);
			return -EINVAL;
		}
		snprintf(p->shown, sizeof(p->shown), "-%c", *c);
		c++;
		if (takes_argument(o) && *c) {
			value = c;
			c += strlen(c);
		}
		ret = apply(p, o, value, false);
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
		if (!strcmp(word, "--help") || (!strcmp(word, "-h") && !find_short(cmd, 'h'))) {
			options_print_help(cmd, stdout);
			return 1;
		}
		ret = word[1] == '-' ? parse_long(&p, word) : parse_short(&p, word);
		if (ret)
			return ret;
	}
	return 0;
}
