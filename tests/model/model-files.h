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

/* vfio-files.c: a name below /sys or /dev may be led elsewhere (@buf: PATH_MAX), and what is found
 * there has the host's name again (NULL: it is not below that). */
const char *model_path(const char *path, char *buf);
const char *model_host_path(const char *path);
/* @fd was opened for writing. */
void model_opened(int fd);
/* Bytes, -errno, or MODEL_PASS. */
ssize_t model_write_file(int fd, const void *buf, size_t len);
ssize_t model_read_file(int fd);
ssize_t model_pread(int fd, void *buf, size_t len, u64 offset);
ssize_t model_pwrite(int fd, const void *buf, size_t len, u64 offset);
bool model_mmap(void **out, void *at, size_t len, int prot, int flags, int fd, off_t offset);
void model_unmapped(const void *at, size_t len);

#pragma GCC visibility pop

#endif
