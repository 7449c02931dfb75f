/* SPDX-License-Identifier: MIT */
/* Lines that programs write, piece by piece; and files that hold one number. */
#include "lkvm/scan.h"

#include <ctype.h>
#include <fcntl.h>
#include <unistd.h>

#include "lkvm/util.h"

static const char *skip_blanks(const char *s)
{
	return s + strspn(s, " \t\n");
}

bool scan_text(const char **s, const char *text)
{
	const char *p = skip_blanks(*s);
	size_t len = strlen(text);

	if (strncmp(p, text, len) != 0)
		return false;
	*s = p + len;
	return true;
}

/* What the digit @c counts; 16: it is none. */
static unsigned int digit_value(char c)
{
	if (isdigit((unsigned char)c))
		return (unsigned int)(c - '0');
	if (isxdigit((unsigned char)c))
		return (unsigned int)(tolower((unsigned char)c) - 'a') + 10;
	return 16;
}

bool scan_u64(const char **s, unsigned int base, u64 *out)
{
	const char *p = skip_blanks(*s);
	u64 value = 0;

	if (base == 16 && p[0] == '0' && p[1] == 'x' && isxdigit((unsigned char)p[2]))
		p += 2;
	if (digit_value(*p) >= base)
		return false;
	for (; digit_value(*p) < base; p++)
		if (__builtin_mul_overflow(value, (u64)base, &value) ||
		    __builtin_add_overflow(value, (u64)digit_value(*p), &value))
			return false;
	*s = p;
	*out = value;
	return true;
}

bool scan_u32(const char **s, unsigned int base, u32 *out)
{
	const char *p = *s;
	u64 value;

	if (!scan_u64(&p, base, &value) || value > UINT32_MAX)
		return false;
	*s = p;
	*out = (u32)value;
	return true;
}

bool scan_word(const char **s, char *buf, size_t len)
{
	const char *p = skip_blanks(*s);
	size_t n = strcspn(p, " \t\n"), taken = MIN(n, len - 1);

	if (!n)
		return false;
	memcpy(buf, p, taken);
	buf[taken] = '\0';
	*s = p + n;
	return true;
}

bool scan_skip(const char **s, unsigned int n)
{
	const char *p = *s;
	char none[1];

	while (n--)
		if (!scan_word(&p, none, sizeof(none)))
			return false;
	*s = p;
	return true;
}

int read_number(const char *path, s64 *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[32];
	const char *s = text;
	bool negative;
	ssize_t n;
	u64 value;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		n = -errno;
	close(fd);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	negative = scan_text(&s, "-");
	if (!scan_u64(&s, 10, &value) || value > INT64_MAX)
		return -EINVAL;
	*out = negative ? -(s64)value : (s64)value;
	return 0;
}
