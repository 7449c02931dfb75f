/* SPDX-License-Identifier: MIT */
/* What the checks of fs-exerciser share: each runs in an empty directory of its own, and says what
 * is wrong by these. */
#ifndef FS_EXERCISER_H
#define FS_EXERCISER_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern unsigned int ops, entries;
extern const char *without;
extern char why[256]; /* the first thing that was wrong, "skip: ..." */

uint64_t rnd(uint64_t below);
void wrong(int line, const char *what);

#define MUST(condition)                              \
	do {                                         \
		if (!(condition))                    \
			wrong(__LINE__, #condition); \
	} while (0)
#define NEED(condition)                              \
	do {                                         \
		if (!(condition)) {                  \
			wrong(__LINE__, #condition); \
			return;                      \
		}                                    \
	} while (0)
/* The call fails, with that error. */
#define FAILS(call, error)                                     \
	do {                                                   \
		errno = 0;                                     \
		if ((call) != -1 || errno != (error))          \
			wrong(__LINE__, #call " not " #error); \
	} while (0)

/* Helpers. Files are made with a text in them, and left open or closed. */
int make(const char *name, const char *text);
void make_closed(const char *name, const char *text);
bool fd_is(int fd, const char *text);
bool file_is(const char *name, const char *text);
struct stat stat_of(const char *name);
bool exists(const char *name);
/* Run @fn in @n processes; true when all say so. */
bool in_processes(unsigned int n, bool (*fn)(unsigned int i));

/* The checks, by file. */
void check_create(void), check_open_flags(void), check_append(void), check_truncate(void),
	check_sparse(void), check_unlinked_open(void), check_unlinked_directory(void),
	check_large(void), check_mmap(void), check_random(void);
void check_rename(void), check_rename_open(void), check_link(void), check_symlink(void),
	check_directory(void), check_deep(void), check_readdir(void), check_readdir_seek(void),
	check_inodes(void);
void check_attributes(void), check_chown(void), check_xattr(void), check_special(void),
	check_statfs(void), check_locks(void), check_flock(void), check_exclusive(void),
	check_concurrent(void);

#endif
