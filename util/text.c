/* SPDX-License-Identifier: MIT */
/*
 * Words from elsewhere (names of files and processes, what a guest says) on a user's terminal: none
 * of them may give it an order, hide a part of the line or turn it around. UTF-8 as RFC 3629 has
 * it.
 */
#include "lkvm/util.h"

size_t text_char(const char *text, u32 *cp)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n = *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : 2;
	u32 c;

	if (*s < 0x80) {
		*cp = *s;
		return 1;
	}
	if (*s < 0xc2 || *s > 0xf4)
		return 0;
	c = *s & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	/* Not the shortest form, a surrogate, or beyond the last character. */
	if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || (c >= 0xd800 && c < 0xe000) ||
	    c > 0x10ffff)
		return 0;
	*cp = c;
	return n;
}

bool text_is_order(u32 cp)
{
	/* C0, DEL and C1 (ECMA-48, 8.3): CSI is ESC [ or 0x9b. */
	if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
		return true;
	/* Line and paragraph separators; marks, embeddings, overrides, isolates (Unicode UAX 9). */
	return cp == 0x061c || cp == 0x200e || cp == 0x200f || (cp >= 0x2028 && cp <= 0x202e) ||
	       (cp >= 0x2066 && cp <= 0x2069);
}

size_t text_mask(char *text)
{
	char *to = text;

	for (const char *s = text; *s;) {
		u32 cp = 0;
		size_t n = text_char(s, &cp);

		if (!n || text_is_order(cp)) {
			*to++ = '?';
			s += n ? n : 1;
			continue;
		}
		for (; n; n--)
			*to++ = *s++;
	}
	*to = '\0';
	return (size_t)(to - text);
}
