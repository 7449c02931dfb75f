/* SPDX-License-Identifier: MIT */
/* Messages of 9P2000.L for tests, written by a format: b w d q for 1 to 8 bytes, s for a string, z
 * for bytes with their number. */
#ifndef TEST_P9_MESSAGE_H
#define TEST_P9_MESSAGE_H

#include <stdarg.h>
#include <string.h>

#include "../../fs/p9.h"
#include "lkvm/util.h"

/* The length. */
static inline size_t p9_format(u8 *out, u8 type, u16 tag, const char *format, va_list args)
{
	u8 *p = out + P9_HEADER;

	for (; *format; format++) {
		if (*format == 's' || *format == 'z') {
			const char *s = va_arg(args, const char *);
			size_t len = *format == 's' ? strlen(s) : va_arg(args, size_t);

			put_le(p, *format == 's' ? 2 : 4, len);
			p += *format == 's' ? 2 : 4;
			memcpy(p, s, len);
			p += len;
		} else {
			unsigned int width = *format == 'b'   ? 1
					     : *format == 'w' ? 2
					     : *format == 'd' ? 4
							      : 8;

			put_le(p, width, width == 8 ? va_arg(args, u64) : va_arg(args, u32));
			p += width;
		}
	}
	put_le(out, 4, (u64)(p - out));
	out[4] = type;
	put_le(out + 5, 2, tag);
	return (size_t)(p - out);
}

static inline size_t p9_message(u8 *out, u8 type, u16 tag, const char *format, ...)
{
	va_list args;
	size_t len;

	va_start(args, format);
	len = p9_format(out, type, tag, format, args);
	va_end(args);
	return len;
}

#endif
