/* SPDX-License-Identifier: MIT */
/* For unit tests: a process that may open nothing more. */
#ifndef TEST_FDS_H
#define TEST_FDS_H

#include "unit.h"

#include <sys/resource.h>
#include <unistd.h>

/* No descriptor is free, until fds_back. */
static inline struct rlimit fds_gone(void)
{
	struct rlimit old, none;
	int next = dup(0);

	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){ (rlim_t)next, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(dup(0), -1);
	return old;
}

static inline void fds_back(const struct rlimit *old)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, old), 0);
}

#endif
