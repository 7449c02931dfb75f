/* SPDX-License-Identifier: MIT */
/* For unit tests: sets of extensions as words. */
#ifndef TEST_RISCV_EXT_SET_H
#define TEST_RISCV_EXT_SET_H

#include "unit.h"

#include <stdlib.h>

#include "../../../riscv/cpu.h"
#include "lkvm/util.h"

/* Of names with a blank between; "": none. */
static inline struct riscv_ext_set set_of(const char *words)
{
	struct riscv_ext_set set = { 0 };
	char *copy = xstrdup(words), *rest = copy, *word;

	while (*words && (word = strsep(&rest, " ")))
		riscv_ext_put(&set, riscv_ext_named(word)->id, true);
	free(copy);
	return set;
}

#endif
