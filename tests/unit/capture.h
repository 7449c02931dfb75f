/* SPDX-License-Identifier: MIT */
/* For unit tests: what a piece of code writes to standard error. */
#ifndef TEST_CAPTURE_H
#define TEST_CAPTURE_H

#include "unit.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char captured[16384];
static int capture_saved = -1, capture_fd = -1;

static inline void capture_begin(void)
{
	capture_saved = dup(STDERR_FILENO);
	capture_fd = memfd_create("stderr", MFD_CLOEXEC);
	assert_true(capture_saved >= 0 && capture_fd >= 0);
	assert_int_equal(dup2(capture_fd, STDERR_FILENO), STDERR_FILENO);
}

/* What was written since capture_begin. */
static inline const char *capture_end(void)
{
	ssize_t n = pread(capture_fd, captured, sizeof(captured) - 1, 0);

	dup2(capture_saved, STDERR_FILENO);
	close(capture_saved);
	close(capture_fd);
	assert_true(n >= 0);
	captured[n] = '\0';
	return captured;
}

static inline void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in '%s'", part, text);
}

static inline void assert_lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("'%s' is in '%s'", part, text);
}

/* A user's error is one line. */
static inline void assert_one_line(const char *text)
{
	const char *nl = strchr(text, '\n');

	if (!nl || nl[1])
		fail_msg("not one line: '%s'", text);
}

/* What was captured of a call that gave @ret: one line if it failed, else nothing. */
static inline void assert_told(int ret)
{
	if (ret)
		assert_one_line(captured);
	else
		assert_string_equal(captured, "");
}

#endif
