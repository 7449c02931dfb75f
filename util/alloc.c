/* SPDX-License-Identifier: MIT */
/* Allocation for what the configuration sizes: it succeeds or ends the program with a message. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

static void __noreturn out_of_memory(void)
{
	err("out of memory: the host has none left for lkvm itself%s", limit_hint(ENOMEM));
	exit(EXIT_FAILURE);
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xrealloc(void *p, size_t size)
{
	void *q = realloc(p, size ? size : 1);

	if (!q)
		out_of_memory();
	return q;
}

char *xstrdup(const char *s)
{
	char *p = strdup(s);

	if (!p)
		out_of_memory();
	return p;
}

char *xvasprintf(const char *fmt, va_list ap)
{
	char *p;

	if (vasprintf(&p, fmt, ap) < 0)
		out_of_memory();
	return p;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	p = xvasprintf(fmt, ap);
	va_end(ap);
	return p;
}

void xappendf(char **text, const char *fmt, ...)
{
	char *more, *all;
	va_list ap;

	va_start(ap, fmt);
	more = xvasprintf(fmt, ap);
	va_end(ap);
	all = xasprintf("%s%s", *text, more);
	free(more);
	free(*text);
	*text = all;
}
