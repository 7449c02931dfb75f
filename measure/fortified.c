/* SPDX-License-Identifier: MIT */
/*
 * What an archive of nettle that was made for glibc asks of another C library: the checked fprintf
 * of _FORTIFY_SOURCE, with which it would say which instructions it uses (NETTLE_FAT_VERBOSE).
 */
#include <features.h>

#if defined(HAVE_NETTLE) && !defined(__GLIBC__)
#include <stdarg.h>
#include <stdio.h>

int __fprintf_chk(FILE *out, int flag, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int __fprintf_chk(FILE *out, int flag, const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = vfprintf(out, fmt, ap);
	va_end(ap);
	return ret;
}
#endif
