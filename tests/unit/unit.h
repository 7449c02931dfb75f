/* SPDX-License-Identifier: MIT */
/* What every cmocka test needs, in the order that cmocka wants. */
#ifndef LKVM_TESTS_UNIT_H
#define LKVM_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lkvm/types.h"

#endif
