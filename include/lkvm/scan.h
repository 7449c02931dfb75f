/* SPDX-License-Identifier: MIT */
/*
 * util/scan.c: what the host's kernel and the built-in guest write for programs to read. sscanf
 * would do, and with it come strtod, wide characters and 100 KiB of a static C library. What a user
 * wrote is read by the functions of util.h (util/parse.c), which are stricter.
 */
#ifndef LKVM_SCAN_H
#define LKVM_SCAN_H

#include "lkvm/types.h"

/*
 * Each takes what is expected at *s, after any blanks, and moves *s past it. False, with *s and
 * the results left alone: something else is there.
 */
/* These characters. */
bool scan_text(const char **s, const char *text) __must_check;
/* A number without a sign, of @base 2 to 16 ("0x" may precede one of base 16), that fits. */
bool scan_u64(const char **s, unsigned int base, u64 *out) __must_check;
bool scan_u32(const char **s, unsigned int base, u32 *out) __must_check;
/* A word: what is not blank. At most @len - 1 bytes of it go to @buf, whatever follows is passed
 * over. */
bool scan_word(const char **s, char *buf, size_t len) __must_check;
/* Pass over @n words. */
bool scan_skip(const char **s, unsigned int n) __must_check;

/* The number that the file @path begins with (sysfs: one line, decimal, perhaps negative). 0 or
 * -errno; -EINVAL: it does not begin with one that fits. */
int read_number(const char *path, s64 *out) __must_check;

#endif
