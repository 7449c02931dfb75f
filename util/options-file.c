/* SPDX-License-Identifier: MIT */
/*
 * Options from a file, as options_save writes them and as people do: a name and a value on each
 * line. Every message begins with the file's name and the line's number.
 */
#include <assert.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/options.h"
#include "lkvm/util.h"

/* What people write has some hundred bytes; a disk named by mistake has not. */
#define FILE_MAX (1024 * 1024)

struct line {
	const struct option_set *set;
	const char *path;
	unsigned int number;
	void *target;
};

static int bad_line(const struct line *l, const char *what)
{
	err("%s:%u: %s", l->path, l->number, what);
	return -EINVAL;
}

/* The byte that the escape at *s (after the backslash) stands for; 0 when there is none. */
static char unescape(const char **s)
{
	char c = *(*s)++;
	int high, low;

	if (c == '\\' || c == '"')
		return c;
	if (c == 'n')
		return '\n';
	if (c != 'x')
		return '\0';
	high = parse_hex_digit(**s);
	low = high < 0 ? -1 : parse_hex_digit((*s)[1]);
	if (low < 0)
		return '\0';
	*s += 2;
	return (char)(high << 4 | low);
}

/* Take the quotes off @value, in place. */
static int unquote(const struct line *l, char *value)
{
	const char *s = value + 1;
	char *to = value;

	while (*s && *s != '"') {
		if (*s != '\\') {
			*to++ = *s++;
			continue;
		}
		s++;
		*to = *s ? unescape(&s) : '\0';
		if (!*to++)
			return bad_line(l, "a backslash in quotes is followed by \\, \", n or two "
					   "hexadecimal digits after x");
	}
	if (!*s)
		return bad_line(l, "the closing quote is missing");
	if (s[1])
		return bad_line(l, "text after the closing quote");
	*to = '\0';
	return 0;
}

/* Cut the line in two: returns the value, NULL when there is only a name. */
static char *split(char *name)
{
	char *value = name + strcspn(name, "= \t");
	bool equals = *value == '=';

	if (!*value)
		return NULL;
	*value++ = '\0';
	value += strspn(value, " \t");
	if (!equals && *value == '=')
		value++;
	return value + strspn(value, " \t");
}

static int unknown_name(const struct line *l, const char *name)
{
	const char *near = options_nearest(l->set, name);
	char text[160];

	if (foreign_word_text(l->set->foreign, name, strlen(name), text, sizeof(text)))
		err("%s:%u: unknown option '%.40s': %s", l->path, l->number, name, text);
	else if (near && strcmp(near, "help"))
		err("%s:%u: unknown option '%.40s'; did you mean '%s'?", l->path, l->number, name,
		    near);
	else
		err("%s:%u: unknown option '%.40s'; a line is an option's name and its value",
		    l->path, l->number, name);
	return -EINVAL;
}

static int set_value(const struct line *l, const struct option_cursor *c, const char *shown,
		     char *value, bool negated)
{
	if (!option_is_here(c))
		return options_elsewhere(c, shown);
	if (c->opt->flags & OPT_ONCE) {
		err("%s: belongs on the command line, not in a file", shown);
		return -EINVAL;
	}
	if (!option_takes_argument(c->opt)) {
		if (!value)
			return option_set(c, shown, NULL, negated, l->target);
		err("%s: takes no argument; to switch it off write no-%s", shown, c->opt->name);
		return -EINVAL;
	}
	if (!value && (c->opt->flags & OPT_OPTIONAL))
		return option_set(c, shown, "", false, l->target);
	if (!value) {
		err("%s: needs an argument: %s", shown,
		    c->opt->arg ? c->opt->arg : "one of its choices");
		return -EINVAL;
	}
	if (*value == '"' && unquote(l, value))
		return -EINVAL;
	return option_set(c, shown, value, false, l->target);
}

static int take_line(const struct line *l, char *text)
{
	struct option_cursor c;
	char *value, *shown;
	bool negated;
	int ret;

	for (size_t len = strlen(text); len && isspace((unsigned char)text[len - 1]);)
		text[--len] = '\0';
	text += strspn(text, " \t");
	if (!*text || *text == '#')
		return 0;
	if (!strncmp(text, "--", 2))
		text += 2;
	value = split(text);
	c = options_find(l->set, text, strlen(text), &negated);
	if (!c.opt)
		return unknown_name(l, text);
	shown = xasprintf("%s:%u: --%s", l->path, l->number, text);
	ret = set_value(l, &c, shown, value, negated);
	if (ret > 0) {
		err("%s: help belongs on the command line, not in a file", shown);
		ret = -EINVAL;
	}
	free(shown);
	return ret;
}

/* The file's bytes and a NUL. */
static int read_text(const char *path, char **text, size_t *len)
{
	bool standard = !strcmp(path, "-");
	int fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	*text = xcalloc(1, FILE_MAX + 1);
	while (*len < FILE_MAX) {
		ssize_t n = read(fd, *text + *len, FILE_MAX - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			ret = -errno;
		if (n <= 0)
			break;
		*len += (size_t)n;
	}
	close(fd);
	if (ret || *len == FILE_MAX) {
		free(*text);
		return ret ? ret : -EFBIG;
	}
	return 0;
}

int options_load(const struct option_set *set, const char *shown, const char *path, void *target)
{
	struct line l = { .set = set, .path = path, .target = target };
	char *text = NULL, *next;
	size_t len = 0;
	int ret = read_text(path, &text, &len);

	if (ret == -EFBIG) {
		err("%s %s: is not an options file: it is larger than 1M", shown, path);
		return ret;
	}
	if (ret) {
		err("%s %s: cannot read: %s", shown, path, strerror(-ret));
		return ret;
	}
	for (char *s = text; !ret && s < text + len; s = next) {
		size_t n = strcspn(s, "\n");

		l.number++;
		next = s + n + 1;
		if (!s[n] && s + n < text + len) {
			ret = bad_line(&l, "is not text: it has a NUL byte");
			break;
		}
		s[n] = '\0';
		ret = take_line(&l, s);
	}
	free(text);
	return ret;
}

void options_copy(const struct option_set *set, const void *from, void *to)
{
	for_each_option(c, set)
	{
		char *text;

		if (!option_is_here(&c))
			continue;
		for (u32 i = 0; (text = option_text(&c, from, i)); i++) {
			/* It was taken before. */
			int ret = option_set(&c, c.opt->name, text, false, to);

			assert(!ret);
			(void)ret;
			free(text);
		}
	}
}
