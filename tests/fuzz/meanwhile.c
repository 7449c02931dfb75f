/* SPDX-License-Identifier: MIT */
/* See fuzz_meanwhile.h. */
#include "fuzz_meanwhile.h"

static struct {
	u8 *start;
	size_t size;
} memory[2];
static struct fz_change changes[FZ_CHANGES];
static u32 nr_changes, storm;
static u64 seed, seen;

void fz_meanwhile_forget(void)
{
	nr_changes = 0;
	storm = 0;
}

void fz_meanwhile_over(u8 *low, size_t low_size, u8 *high, size_t high_size)
{
	memory[0].start = low;
	memory[0].size = low_size;
	memory[1].start = high;
	memory[1].size = high_size;
	fz_meanwhile_forget();
}

void fz_meanwhile_add(const struct fz_change *change)
{
	if (nr_changes < FZ_CHANGES)
		changes[nr_changes++] = *change;
}

bool fz_meanwhile_pending(void)
{
	return nr_changes || storm;
}

u64 fz_meanwhile_seen(void)
{
	return seen;
}

static bool in_memory(const u8 *p, size_t len)
{
	uintptr_t at = (uintptr_t)p;

	for (u32 i = 0; i < ARRAY_SIZE(memory); i++)
		if (memory[i].start &&
		    range_within(at, len, (uintptr_t)memory[i].start, memory[i].size))
			return true;
	return false;
}

static void put(u8 *p, size_t len, u64 value, bool keep)
{
	for (size_t i = 0; i < len && i < 8; i++)
		p[i] = (u8)((keep ? p[i] : 0) ^ (u8)(value >> (8 * i)));
}

static void apply(u8 *p, size_t len, const struct fz_change *c)
{
	/* Of a copy of many bytes some field. */
	size_t at = c->how >> 2 & 31;

	at = len > 8 ? at % len : 0;
	if ((c->how & 3) == 2) {
		storm = (u32)c->value & 0xff;
		seed = c->value;
		return;
	}
	put(p + at, len - at, c->value, !(c->how & 1));
}

/* Before @len bytes at @p are read. */
static void on_load(const void *from, size_t len)
{
	u8 *p = (u8 *)from;

	if (!fz_meanwhile_pending() || !len || !in_memory(p, len))
		return;
	seen++;
	if (storm) {
		storm--;
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		if (seed >> 62 == 0)
			put(p + (seed >> 40) % len, 1, seed >> 32, true);
	}
	if (!nr_changes || changes[0].wait--)
		return;
	apply(p, len, &changes[0]);
	nr_changes--;
	memmove(changes, changes + 1, nr_changes * sizeof(*changes));
}

/* What Clang calls for -fsanitize-coverage=trace-loads. */
void __sanitizer_cov_load1(u8 *p);
void __sanitizer_cov_load2(u16 *p);
void __sanitizer_cov_load4(u32 *p);
void __sanitizer_cov_load8(u64 *p);
void __sanitizer_cov_load16(__uint128_t *p);

void __sanitizer_cov_load1(u8 *p)
{
	on_load(p, 1);
}

void __sanitizer_cov_load2(u16 *p)
{
	on_load(p, 2);
}

void __sanitizer_cov_load4(u32 *p)
{
	on_load(p, 4);
}

void __sanitizer_cov_load8(u64 *p)
{
	on_load(p, 8);
}

void __sanitizer_cov_load16(__uint128_t *p)
{
	on_load(p, 16);
}

#ifdef FZ_TRACED
/* And for memcpy and memmove with AddressSanitizer, by the linker's --wrap. */
void *__real___asan_memcpy(void *to, const void *from, size_t len);
void *__wrap___asan_memcpy(void *to, const void *from, size_t len);
void *__real___asan_memmove(void *to, const void *from, size_t len);
void *__wrap___asan_memmove(void *to, const void *from, size_t len);

void *__wrap___asan_memcpy(void *to, const void *from, size_t len)
{
	on_load(from, len);
	return __real___asan_memcpy(to, from, len);
}

void *__wrap___asan_memmove(void *to, const void *from, size_t len)
{
	on_load(from, len);
	return __real___asan_memmove(to, from, len);
}
#endif
