/* SPDX-License-Identifier: MIT */
/* Words, and the memory functions that compilers call. */
#include "init.h"

void *memset(void *p, int c, size_t n)
{
	for (u8 *d = p; n; n--)
		*d++ = (u8)c;
	return p;
}

void *memcpy(void *to, const void *from, size_t n)
{
	const u8 *s = from;

	for (u8 *d = to; n; n--)
		*d++ = *s++;
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	const u8 *s = from;
	u8 *d = to;

	if (d <= s)
		return memcpy(to, from, n);
	while (n--)
		d[n] = s[n];
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

bool begins(const char *s, const char *with)
{
	while (*with)
		if (*s++ != *with++)
			return false;
	return true;
}

bool equal(const char *a, const char *b)
{
	return begins(a, b) && strlen(a) == strlen(b);
}

bool ends(const char *s, const char *with)
{
	size_t n = strlen(s), m = strlen(with);

	return n >= m && equal(s + n - m, with);
}

char *find_char(const char *s, char c)
{
	for (; *s; s++)
		if (*s == c)
			return (char *)s;
	return NULL;
}

u32 to_number(const char *s)
{
	u32 n = 0;

	while (*s >= '0' && *s <= '9')
		n = n * 10 + (u32)(*s++ - '0');
	return n;
}

static void add(char *buf, size_t len, size_t *at, const char *s)
{
	while (*s && *at + 1 < len)
		buf[(*at)++] = *s++;
}

static const char *decimal(int n, char digits[12])
{
	u32 rest = n < 0 ? 0 - (u32)n : (u32)n;
	char *p = digits + 11;

	*p = '\0';
	do {
		*--p = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (n < 0)
		*--p = '-';
	return p;
}

size_t vformat(char *buf, size_t len, const char *fmt, va_list ap)
{
	char digits[12], one[2] = "";
	size_t at = 0;

	for (; *fmt; fmt++) {
		one[0] = *fmt;
		if (*fmt != '%' || !fmt[1])
			add(buf, len, &at, one);
		else if (*++fmt == 's')
			add(buf, len, &at, va_arg(ap, const char *));
		else if (*fmt == 'd')
			add(buf, len, &at, decimal(va_arg(ap, int), digits));
	}
	buf[at] = '\0';
	return at;
}

size_t format(char *buf, size_t len, const char *fmt, ...)
{
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	n = vformat(buf, len, fmt, ap);
	va_end(ap);
	return n;
}

const char *error_text(long error)
{
	static const struct {
		long error;
		const char *text;
	} known[] = {
		{ EPERM, "Operation not permitted" },
		{ ENOENT, "No such file or directory" },
		{ EIO, "Input/output error" },
		{ ENXIO, "No such device or address" },
		{ E2BIG, "Argument list too long" },
		{ ENOEXEC, "Exec format error" },
		{ EAGAIN, "Resource temporarily unavailable" },
		{ ENOMEM, "Cannot allocate memory" },
		{ EACCES, "Permission denied" },
		{ EBUSY, "Device or resource busy" },
		{ ENODEV, "No such device" },
		{ ENOTDIR, "Not a directory" },
		{ EISDIR, "Is a directory" },
		{ EINVAL, "Invalid argument" },
		{ ETXTBSY, "Text file busy" },
		{ ENOSPC, "No space left on device" },
		{ EROFS, "Read-only file system" },
		{ ELOOP, "Too many levels of symbolic links" },
		{ EOPNOTSUPP, "Operation not supported" },
	};
	static char number[24];

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].error == error)
			return known[i].text;
	format(number, sizeof(number), "error %d", (int)error);
	return number;
}
