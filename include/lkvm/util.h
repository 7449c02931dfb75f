/* SPDX-License-Identifier: MIT */
/* Small helpers that know nothing of KVM: whole reads and writes, numbers, words, memory. */
#ifndef LKVM_UTIL_H
#define LKVM_UTIL_H

#include <sched.h>
#include <stdarg.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "lkvm/types.h"

/* util/io.c: retry on EINTR and short transfers; 0 or -errno. A read that meets end of file gives
 * -ENODATA. */
int read_full(int fd, void *buf, size_t len) __must_check;
int write_full(int fd, const void *buf, size_t len) __must_check;
int pread_full(int fd, void *buf, size_t len, off_t offset) __must_check;
int pwrite_full(int fd, const void *buf, size_t len, off_t offset) __must_check;
/* util/eventfd.c: count a non-blocking eventfd up by one, or back to nothing (true: from more). Any
 * thread. */
void eventfd_raise(int fd);
bool eventfd_drain(int fd);
/* Monotonic clock in nanoseconds. */
u64 now_ns(void);

/*
 * util/file.c: make @path a file of these bytes. A regular file appears whole, in place of one that
 * is there, or not at all; anything else that exists (a pipe, a link, /dev/stdout) is written to. 0
 * or -errno.
 */
int write_file(const char *path, const void *buf, size_t len) __must_check;

/*
 * util/file.c: an open file description lock over the whole of @fd (fcntl(2), F_OFD_SETLK), shared
 * or @exclusive. 0; -EBUSY: somebody else's stands against it; any other -errno: there are no locks
 * here, so nothing stands against using the file.
 */
int lock_file(int fd, bool exclusive) __must_check;
/* The same of one byte, whether it is in the file or not. */
int lock_byte(int fd, off_t byte, bool exclusive) __must_check;
/* Has anybody else any lock on that byte? */
bool lock_is_taken(int fd, off_t byte);

/*
 * util/text.c: words from elsewhere, before they reach a terminal. text_mask makes '?' of each
 * control code (C0, C1), of each character that ends a line or turns its direction, and of what is
 * not UTF-8; the text becomes no longer, and its new length is returned.
 */
size_t text_mask(char *text);
/* Is the character @cp one of those? */
bool text_is_order(u32 cp);
/* The character that begins at @text and how many bytes it has; 0: it is not UTF-8. */
size_t text_char(const char *text, u32 *cp);

/* util/iov.c: scatter-gather lists. */
size_t iov_len(const struct iovec *iov, unsigned int count);
/* Copy at most @len bytes from/to the list starting @offset bytes in; return the bytes copied. */
size_t iov_to_buf(const struct iovec *iov, unsigned int count, size_t offset, void *buf,
		  size_t len);
size_t iov_from_buf(const struct iovec *iov, unsigned int count, size_t offset, const void *buf,
		    size_t len);
/*
 * Describe [offset, offset+len) of @iov in @out (room for @max entries).
 * Returns the number of entries, or -E2BIG / -EINVAL (range beyond the list).
 */
int iov_slice(const struct iovec *iov, unsigned int count, size_t offset, size_t len,
	      struct iovec *out, unsigned int max) __must_check;

/*
 * util/parse.c: user input to numbers. All return 0 or -EINVAL (not a number, trailing text) or
 * -ERANGE, and leave *out alone on failure. Decimal, 0x and 0 prefixes.
 */
int parse_u64(const char *s, u64 *out) __must_check;
/* 0 to 15, or -1: no hexadecimal digit. */
int parse_hex_digit(char c) __must_check;
/* Bytes of two hexadecimal digits each, @len of them and nothing else. */
int parse_hex(const char *s, u8 *out, size_t len) __must_check;
/*
 * A size: number and an optional suffix B K M G T P (binary, either case, an optional "iB", "B" or
 * "i" after it); a bare number counts @unit bytes. Decimal numbers may have decimal places: what is
 * less than a byte is cut off.
 */
int parse_size(const char *s, u64 unit, u64 *out) __must_check;
/* "0-3,8": numbers of CPUs, each below CPU_SETSIZE (else -ERANGE); none is -EINVAL. */
int parse_cpu_list(const char *s, cpu_set_t *out) __must_check;
/* 512M, 4G, 1536K: the largest binary unit that divides @bytes. @buf is returned. */
const char *format_size(u64 bytes, char *buf, size_t len);
/*
 * The word of the NULL-terminated list closest to @word (edit distance with transpositions), or
 * NULL when none is near enough to be worth suggesting.
 */
const char *nearest_word(const char *word, const char *const *words);

/* malloc family that never returns NULL: an allocation of a few KiB that fails ends the program
 * with a message. For sizes under the control of configuration alone; what a guest or file sizes
 * uses malloc. */
void *xcalloc(size_t n, size_t size) __must_check;
void *xrealloc(void *p, size_t size) __must_check;
char *xstrdup(const char *s) __must_check;
char *xasprintf(const char *fmt, ...) __printf(1, 2) __must_check;
char *xvasprintf(const char *fmt, va_list ap) __printf(1, 0) __must_check;
/* What follows is at the end of *text, which is another string then. */
void xappendf(char **text, const char *fmt, ...) __printf(2, 3);

#endif
