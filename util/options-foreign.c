/* SPDX-License-Identifier: MIT */
/* What is said of a word of another program. */
#include "lkvm/options.h"

/* The word itself goes before patterns. */
static const struct foreign_word *find(const struct foreign_word *list, const char *word,
				       size_t len)
{
	const struct foreign_word *pattern = NULL;

	for (const struct foreign_word *f = list; f && f->word; f++) {
		size_t n = strlen(f->word);

		if (len == n && !memcmp(word, f->word, n))
			return f;
		if (n-- && f->word[n] == '*' && len >= n && !memcmp(word, f->word, n))
			pattern = f;
	}
	return pattern;
}

const char *foreign_word_text(const struct foreign_word *list, const char *word, size_t len,
			      char *buf, size_t size)
{
	const struct foreign_word *f = find(list, word, len);
	const char *has;

	if (!f)
		return NULL;
	has = strstr(f->whose, " and ") ? "have" : "has";
	if (f->kind == FOREIGN_USE)
		snprintf(buf, size, "%s %s it; here use %s", f->whose, has, f->text);
	else if (f->kind == FOREIGN_OMIT)
		snprintf(buf, size, "%s %s it; omit it: %s", f->whose, has, f->text);
	else
		snprintf(buf, size, "%s %s it, this lkvm does not yet%s%s", f->whose, has,
			 f->text ? "; " : "", f->text ? f->text : "");
	return buf;
}
