/* SPDX-License-Identifier: MIT */
/* Lines on the serial console. */
#include "guest.h"

static struct spinlock print_lock;

static void put_number(u64 v, u32 base)
{
	char buf[24];
	int n = 0;

	do {
		buf[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (n)
		arch_putc(buf[--n]);
}

static void put_string(const char *s)
{
	while (*s)
		arch_putc(*s++);
}

static void put_arg(char conv, bool wide, va_list *ap)
{
	u64 v;

	switch (conv) {
	case 's':
		put_string(va_arg(*ap, const char *));
		return;
	case 'c':
		arch_putc((char)va_arg(*ap, int));
		return;
	case 'd':
		v = wide ? va_arg(*ap, u64) : (u64)va_arg(*ap, int);
		if ((int64_t)v < 0) {
			arch_putc('-');
			v = -v;
		}
		put_number(v, 10);
		return;
	case 'u':
	case 'x':
		v = wide ? va_arg(*ap, u64) : va_arg(*ap, unsigned int);
		put_number(v, conv == 'x' ? 16 : 10);
		return;
	default:
		arch_putc(conv);
	}
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	spin_lock(&print_lock);
	for (; *fmt; fmt++) {
		bool wide = false;

		if (*fmt != '%') {
			arch_putc(*fmt);
			continue;
		}
		for (fmt++; *fmt == 'l'; fmt++)
			wide = true;
		put_arg(*fmt, wide, &ap);
	}
	spin_unlock(&print_lock);
	va_end(ap);
}
