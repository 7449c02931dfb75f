/* SPDX-License-Identifier: MIT */
/* The memory functions that compilers call, words of the command line, a checksum. */
#include "guest.h"

void *memset(void *p, int c, size_t n)
{
	u64 word = (u8)c * 0x0101010101010101ULL;
	u8 *d = p;

	/* By words as far as they are aligned: where the CPU is interpreted, each step counts. */
	for (; n >= 8 && !((uintptr_t)d & 7); n -= 8, d += 8)
		*(u64 *)(void *)d = word;
	while (n--)
		*d++ = (u8)c;
	return p;
}

void *memcpy(void *to, const void *from, size_t n)
{
	const u8 *s = from;
	u8 *d = to;

	while (n--)
		*d++ = *s++;
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x < *y ? -1 : 1;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

/* Behind the word @name in the command line, or NULL. */
static const char *find_word(const char *name)
{
	size_t n = strlen(name);

	for (const char *s = boot.cmdline; s && *s; s++)
		if ((s == boot.cmdline || s[-1] == ' ') && strlen(s) >= n && !memcmp(s, name, n))
			return s + n;
	return NULL;
}

bool has_word(const char *word)
{
	const char *end = find_word(word);

	return end && (!*end || *end == ' ');
}

const char *word_text(const char *name)
{
	const char *s = find_word(name);

	return s && *s == '=' ? s + 1 : NULL;
}

u64 word_value(const char *name, u64 def)
{
	const char *s = find_word(name);
	u32 base = 10;
	u64 v = 0;

	if (!s || *s++ != '=')
		return def;
	if (s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	}
	for (; *s && *s != ' '; s++)
		v = v * base + (u64)(*s >= 'a' ? *s - 'a' + 10 : *s - '0');
	return v;
}

u32 checksum(const void *p, size_t n)
{
	const u32 *w = p;
	u32 h = 0x811c9dc5;

	for (size_t i = 0; i < n / 4; i++)
		h = (h ^ w[i]) * 0x01000193;
	return h;
}
