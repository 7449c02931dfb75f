/* SPDX-License-Identifier: MIT */
/* Fixed-width types, little-endian accessors and the few macros that every file uses. */
#ifndef LKVM_TYPES_H
#define LKVM_TYPES_H

#include <endian.h>
#include <errno.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* u64 is `unsigned long long` on every architecture that lkvm knows: print it with %llx. */
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s8 s8;
typedef __s16 s16;
typedef __s32 s32;
typedef __s64 s64;

/* Structures that the guest or an image shares with us are little-endian: __le16, __le32, __le64.
 */
static inline u16 le16_to_cpu(__le16 v)
{
	return le16toh(v);
}
static inline u32 le32_to_cpu(__le32 v)
{
	return le32toh(v);
}
static inline u64 le64_to_cpu(__le64 v)
{
	return le64toh(v);
}
static inline __le16 cpu_to_le16(u16 v)
{
	return htole16(v);
}
static inline __le32 cpu_to_le32(u32 v)
{
	return htole32(v);
}
static inline __le64 cpu_to_le64(u64 v)
{
	return htole64(v);
}

/* Unaligned little-endian loads and stores of @size bytes (1 to 8). */
static inline u64 get_le(const void *p, unsigned int size)
{
	u64 v = 0;

	for (unsigned int i = 0; i < size; i++)
		v |= (u64)((const u8 *)p)[i] << (8 * i);
	return v;
}

static inline void put_le(void *p, unsigned int size, u64 v)
{
	for (unsigned int i = 0; i < size; i++)
		((u8 *)p)[i] = (u8)(v >> (8 * i));
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n)	      (1U << (n))
#define BIT_ULL(n)    (1ULL << (n))

#define KiB (1ULL << 10)
#define MiB (1ULL << 20)
#define GiB (1ULL << 30)

/* @align is a power of two. */
#define ALIGN_UP(x, align)   (((x) + (align)-1) & ~((align)-1))
#define ALIGN_DOWN(x, align) ((x) & ~((align)-1))
#define IS_ALIGNED(x, align) (((x) & ((align)-1)) == 0)

#define MIN(a, b)                       \
	({                              \
		__typeof__(a) _a = (a); \
		__typeof__(b) _b = (b); \
		_a < _b ? _a : _b;      \
	})
#define MAX(a, b)                       \
	({                              \
		__typeof__(a) _a = (a); \
		__typeof__(b) _b = (b); \
		_a > _b ? _a : _b;      \
	})

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define __must_check __attribute__((warn_unused_result))
/* Not __unused: musl has structure members of that name. */
#define __maybe_unused __attribute__((unused))
#define __printf(f, a) __attribute__((format(printf, f, a)))
#define __noreturn     __attribute__((noreturn))

/* True when [a, a+alen) lies wholly inside [b, b+blen); no overflow whatever the values. */
static inline bool range_within(u64 a, u64 alen, u64 b, u64 blen)
{
	return a >= b && a - b <= blen && alen <= blen - (a - b);
}

/* True when the two ranges share a byte; both must not wrap. */
static inline bool ranges_overlap(u64 a, u64 alen, u64 b, u64 blen)
{
	return alen && blen && a <= b + (blen - 1) && b <= a + (alen - 1);
}

#endif
