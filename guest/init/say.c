/* SPDX-License-Identifier: MIT */
/* Words for the console. */
#include <linux/fcntl.h>

#include "init.h"
#include "lkvm/guest-init.h"

void say(const char *fmt, ...)
{
	long fd = sys(openat, AT_FDCWD, "/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	char line[1024];
	va_list ap;
	size_t n;

	n = format(line, sizeof(line), INIT_SAYS);
	va_start(ap, fmt);
	n += vformat(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	line[n++] = '\n';
	sys(write, fd < 0 ? 2 : fd, line, n);
	if (fd >= 0)
		sys(close, fd);
}
