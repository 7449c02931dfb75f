/* SPDX-License-Identifier: MIT */
/* For unit tests: ioctl(2) in place of the C library's. The test says what the kernel does. */
#ifndef TEST_FAKE_IOCTL_H
#define TEST_FAKE_IOCTL_H

#include "unit.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>

/* As ioctl(2): -1 with errno. */
static int kernel_ioctl(int fd, unsigned long request, void *arg);

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	return kernel_ioctl(fd, request, arg);
}

#endif
