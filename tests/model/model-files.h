/* SPDX-License-Identifier: MIT */
/* What wrap.c asks of the model. Each answers MODEL_PASS (or 0) for what is none of its own. */
#ifndef LKVM_TESTS_MODEL_FILES_H
#define LKVM_TESTS_MODEL_FILES_H

#include <sys/types.h>

#include "lkvm/types.h"

#pragma GCC visibility push(hidden)

/* A descriptor, -errno, or MODEL_PASS. */
long model_open(const char *path, int flags);
/* 0, -errno, or MODEL_PASS. */
long model_exists(const char *path);
/* 0: the C library goes on; -errno: a guest_memfd does not do that. */
long model_may_map(int fd, int flags);
long model_may_allocate(int fd, int mode, u64 offset, u64 len);

#pragma GCC visibility pop

#endif
