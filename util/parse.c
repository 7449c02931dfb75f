/* SPDX-License-Identifier: MIT */
/* User input to numbers, sizes and truth values; sizes to text; the nearest word to a mistyped one.
 */
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "lkvm/util.h"

/* Not strtoull: that takes blanks and signs, and a negative number as a huge one. */
static int parse_digits(const char **s, u64 *out)
{
	const char *p = *s;
	unsigned int base = 10;
	bool any = false, overflow = false;
	u64 value = 0;

	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X') && isxdigit((unsigned char)p[2])) {
		base = 16;
		p += 2;
	} else if (p[0] == '0') {
		base = 8;
	}
	for (; isxdigit((unsigned char)*p); p++) {
		unsigned int digit =
			isdigit((unsigned char)*p)
				? (unsigned int)(*p - '0')
				: (unsigned int)(tolower((unsigned char)*p) - 'a') + 10;

		if (digit >= base)
			break;
		any = true;
		if (__builtin_mul_overflow(value, (u64)base, &value) ||
		    __builtin_add_overflow(value, (u64)digit, &value))
			overflow = true;
	}
	*s = p;
	if (!any)
		return -EINVAL;
	if (overflow)
		return -ERANGE;
	*out = value;
	return 0;
}

int parse_u64(const char *s, u64 *out)
{
	u64 value = 0;
	int ret = parse_digits(&s, &value);

	if (*s)
		return -EINVAL;
	if (!ret)
		*out = value;
	return ret;
}

/*
 * The decimal places at *s ("." and digits) as a part of @unit in *out, down to whole bytes.
 * -EINVAL when there is no digit.
 */
static int parse_fraction(const char **s, u64 unit, u64 *out)
{
	const char *p = *s + 1;
	u64 places = 0, scale = 1;

	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	for (; isdigit((unsigned char)*p); p++) {
		/* Further digits are less than a byte of the largest unit. */
		if (scale >= 1000000000000000000ULL)
			continue;
		places = places * 10 + (u64)(*p - '0');
		scale *= 10;
	}
	*s = p;
	*out = (u64)((unsigned __int128)places * unit / scale);
	return 0;
}

/* The suffix at *s, if there is one, to *unit. */
static int parse_unit(const char **s, u64 *unit)
{
	static const char units[] = "BKMGTP";
	const char *u = **s ? strchr(units, toupper((unsigned char)**s)) : NULL;

	if (!**s)
		return 0;
	if (!u)
		return -EINVAL;
	*unit = 1ULL << (10 * (u - units));
	++*s;
	if (u != units && (!strcasecmp(*s, "iB") || !strcasecmp(*s, "B") || !strcasecmp(*s, "i")))
		*s += strlen(*s);
	return **s ? -EINVAL : 0;
}

int parse_size(const char *s, u64 unit, u64 *out)
{
	/* Only decimal numbers have decimal places; and 0 is as decimal as octal. */
	bool decimal = *s != '0' || s[1] == '.';
	u64 value = 0, places = 0;
	int ret = parse_digits(&s, &value);
	const char *point = s;

	if (ret && ret != -ERANGE)
		return ret;
	if (*s == '.' && (!decimal || parse_fraction(&s, 1, &places)))
		return -EINVAL;
	if (parse_unit(&s, &unit))
		return -EINVAL;
	if (*point == '.')
		(void)!parse_fraction(&point, unit, &places);
	if (ret || __builtin_mul_overflow(value, unit, &value) ||
	    __builtin_add_overflow(value, places, &value))
		return -ERANGE;
	*out = value;
	return 0;
}

/* "3" or "0-3", then the end or a comma. */
static int parse_cpu_range(const char **s, cpu_set_t *set)
{
	u64 first = 0, last;
	int ret = parse_digits(s, &first);

	last = first;
	if (!ret && **s == '-') {
		++*s;
		ret = parse_digits(s, &last);
	}
	if (ret)
		return ret;
	if (first > last || (**s && **s != ','))
		return -EINVAL;
	if (last >= CPU_SETSIZE)
		return -ERANGE;
	for (u64 cpu = first; cpu <= last; cpu++)
		CPU_SET(cpu, set);
	return 0;
}

int parse_cpu_list(const char *s, cpu_set_t *out)
{
	cpu_set_t set;
	int ret;

	CPU_ZERO(&set);
	for (;;) {
		ret = parse_cpu_range(&s, &set);
		if (ret)
			return ret;
		if (!*s)
			break;
		s++;
	}
	*out = set;
	return 0;
}

const char *format_size(u64 bytes, char *buf, size_t len)
{
	static const char units[] = "BKMGTP";
	unsigned int u = 0;

	while (bytes && !(bytes & 1023) && u < sizeof(units) - 2) {
		bytes >>= 10;
		u++;
	}
	snprintf(buf, len, "%llu%c", bytes, units[u]);
	return buf;
}

#define WORD_MAX 32

/*
 * Edit distance where a swap of two neighbours counts one (optimal string alignment): letters left
 * out, added, mistaken or swapped are the usual slips.
 */
static unsigned int word_distance(const char *a, size_t alen, const char *b, size_t blen)
{
	unsigned int d[WORD_MAX + 1][WORD_MAX + 1];

	for (size_t i = 0; i <= alen; i++)
		d[i][0] = (unsigned int)i;
	for (size_t j = 0; j <= blen; j++)
		d[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= alen; i++) {
		for (size_t j = 1; j <= blen; j++) {
			int ca = tolower((unsigned char)a[i - 1]);
			int cb = tolower((unsigned char)b[j - 1]);
			unsigned int best = d[i - 1][j - 1] + (ca != cb);

			best = MIN(best, d[i - 1][j] + 1);
			best = MIN(best, d[i][j - 1] + 1);
			if (i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
			    cb == tolower((unsigned char)a[i - 2]))
				best = MIN(best, d[i - 2][j - 2] + 1);
			d[i][j] = best;
		}
	}
	return d[alen][blen];
}

const char *nearest_word(const char *word, const char *const *words)
{
	size_t len = strnlen(word, WORD_MAX + 1);
	unsigned int limit = len <= 2 ? 1 : len <= 5 ? 2 : 3, best = limit + 1;
	const char *nearest = NULL;

	if (len < 2 || len > WORD_MAX)
		return NULL;
	for (; *words; words++) {
		size_t wlen = strnlen(*words, WORD_MAX + 1);
		unsigned int d;

		if (wlen > WORD_MAX)
			continue;
		d = word_distance(word, len, *words, wlen);
		/* The beginning of a word means that word, however much is missing. */
		if (d > 1 && !strncasecmp(word, *words, len))
			d = 1;
		if (d < best) {
			best = d;
			nearest = *words;
		}
	}
	return nearest;
}

int parse_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int parse_hex(const char *s, u8 *out, size_t len)
{
	for (size_t i = 0; i < 2 * len; i++)
		if (parse_hex_digit(s[i]) < 0)
			return -EINVAL;
	if (s[2 * len])
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		out[i] = (u8)((u32)parse_hex_digit(s[2 * i]) << 4 |
			      (u32)parse_hex_digit(s[2 * i + 1]));
	return 0;
}
