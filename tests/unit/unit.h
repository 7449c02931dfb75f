/* SPDX-License-Identifier: MIT */
/* What every cmocka test needs, in the order that cmocka wants. */
#ifndef LKVM_TESTS_UNIT_H
#define LKVM_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lkvm/types.h"

/* For anything: it ends what hangs, and is many times what the slowest machine needs. */
static inline unsigned int hang_seconds(void)
{
	const char *limit = getenv("TEST_LIMIT");

	return limit && atoi(limit) > 0 ? (unsigned int)atoi(limit) : 600;
}

#endif
