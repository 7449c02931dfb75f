/* SPDX-License-Identifier: MIT */
/* SHA-256, SHA-384 and SHA-512 (FIPS 180-4), plain and slow. */
#include "model.h"

/* First 64 bits of the fractional parts of the cube roots of the first 80 primes (4.2.3); the
 * upper halves of the first 64 are SHA-256's (4.2.2). */
static u64 k[80];
/* Square roots of the first eight primes (5.3.3, 5.3.5), and of the ninth to sixteenth (5.3.4). */
static u64 start512[8], start384[8];

/* The roots are found bit by bit, as integers: the largest x with x^n <= p * 2^(64n) has the
 * root's first 64 fractional bits at its end. */
struct wide {
	u32 w[16];
};

static struct wide multiply(const struct wide *a, const struct wide *b)
{
	struct wide r = { { 0 } };

	for (int i = 0; i < 8; i++) {
		u64 carry = 0;

		for (int j = 0; i + j < 16; j++) {
			carry += (u64)a->w[i] * b->w[j] + r.w[i + j];
			r.w[i + j] = (u32)carry;
			carry >>= 32;
		}
	}
	return r;
}

/* Is x^n <= p << (64 * n), where x is a number of 72 bits? */
static bool fits(unsigned __int128 x, int n, u32 p)
{
	struct wide a = { { (u32)x, (u32)(x >> 32), (u32)(x >> 64) } }, r = multiply(&a, &a);
	struct wide limit = { { 0 } };

	if (n == 3)
		r = multiply(&r, &a);
	limit.w[2 * n] = p;
	for (int i = 15; i >= 0; i--)
		if (r.w[i] != limit.w[i])
			return r.w[i] < limit.w[i];
	return true;
}

static u64 root_fraction(int n, u32 p)
{
	unsigned __int128 x = 0;

	for (int bit = 71; bit >= 0; bit--)
		if (fits(x | (unsigned __int128)1 << bit, n, p))
			x |= (unsigned __int128)1 << bit;
	return (u64)x;
}

static void fill_tables(void)
{
	u32 p = 2;

	for (int i = 0; i < 80; p++) {
		bool prime = true;

		for (u32 d = 2; d * d <= p; d++)
			prime &= p % d != 0;
		if (!prime)
			continue;
		k[i] = root_fraction(3, p);
		if (i < 8)
			start512[i] = root_fraction(2, p);
		else if (i < 16)
			start384[i - 8] = root_fraction(2, p);
		i++;
	}
}

static u64 get(const u8 *p, u32 len)
{
	u64 v = 0;

	while (len--)
		v = v << 8 | *p++;
	return v;
}

static void put(u8 *p, u64 v, u32 len)
{
	while (len--) {
		p[len] = (u8)v;
		v >>= 8;
	}
}

#define ROTATE32(x, n) ((x) >> (n) | (x) << (32 - (n)))
#define ROTATE64(x, n) ((x) >> (n) | (x) << (64 - (n)))

/* 6.2.2 and 6.4.2: the same steps over words of 32 and of 64 bits. */
#define COMPRESS(name, type, rounds, constant, rotate, s00, s01, s02, s10, s11, s12, a0, a1, a2, \
		 e0, e1, e2)                                                                     \
	static void name(u64 *h, const u8 *block)                                                \
	{                                                                                        \
		type w[rounds], v[8];                                                            \
                                                                                                 \
		for (int t = 0; t < 16; t++)                                                     \
			w[t] = (type)get(block + (size_t)t * sizeof(type), sizeof(type));        \
		for (int t = 16; t < (rounds); t++) {                                            \
			type x = w[t - 15], y = w[t - 2];                                        \
			w[t] = (rotate(y, s10) ^ rotate(y, s11) ^ y >> (s12)) + w[t - 7] +       \
			       (rotate(x, s00) ^ rotate(x, s01) ^ x >> (s02)) + w[t - 16];       \
		}                                                                                \
		for (int i = 0; i < 8; i++)                                                      \
			v[i] = (type)h[i];                                                       \
		for (int t = 0; t < (rounds); t++) {                                             \
			type one = v[7] +                                                        \
				   (rotate(v[4], e0) ^ rotate(v[4], e1) ^ rotate(v[4], e2)) +    \
				   ((v[4] & v[5]) ^ (~v[4] & v[6])) + (type)(constant) + w[t];   \
			type two = (rotate(v[0], a0) ^ rotate(v[0], a1) ^ rotate(v[0], a2)) +    \
				   ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));              \
			memmove(v + 1, v, 7 * sizeof(v[0]));                                     \
			v[4] += one;                                                             \
			v[0] = one + two;                                                        \
		}                                                                                \
		for (int i = 0; i < 8; i++)                                                      \
			h[i] = (type)(h[i] + v[i]);                                              \
	}
COMPRESS(compress256, u32, 64, k[t] >> 32, ROTATE32, 7, 18, 3, 17, 19, 10, 2, 13, 22, 6, 11, 25)
COMPRESS(compress512, u64, 80, k[t], ROTATE64, 1, 8, 7, 19, 61, 6, 28, 34, 39, 14, 18, 41)

void model_sha_start(struct model_sha *sha, u32 bits)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, fill_tables);
	memset(sha, 0, sizeof(*sha));
	sha->bits = bits;
	for (int i = 0; i < 8; i++)
		sha->h[i] =
			bits == 256 ? start512[i] >> 32 : (bits == 384 ? start384[i] : start512[i]);
}

void model_sha_add(struct model_sha *sha, const void *data, size_t len)
{
	u32 size = sha->bits == 256 ? 64 : 128;
	const u8 *p = data;

	while (len) {
		size_t at = sha->len % size, n = size - at < len ? size - at : len;

		memcpy(sha->block + at, p, n);
		sha->len += n;
		p += n;
		len -= n;
		if (at + n < size)
			continue;
		if (size == 64)
			compress256(sha->h, sha->block);
		else
			compress512(sha->h, sha->block);
	}
}

/* 5.1: a one, zeros, and the length in bits in the last 64 or 128 bits of a block. */
void model_sha_end(struct model_sha *sha, u8 *out)
{
	u32 size = sha->bits == 256 ? 64 : 128, word = size / 16;
	u64 bits = sha->len * 8;
	u8 length[8];

	model_sha_add(sha, "\x80", 1);
	while (sha->len % size != size - 2 * word)
		model_sha_add(sha, "", 1);
	model_sha_add(sha, "\0\0\0\0\0\0\0", 2 * word - 8);
	put(length, bits, 8);
	model_sha_add(sha, length, 8);
	for (u32 i = 0; i < sha->bits / 8 / word; i++)
		put(out + (size_t)i * word, sha->h[i], word);
}

void model_sha(u32 bits, const void *data, size_t len, u8 *out)
{
	struct model_sha sha;

	model_sha_start(&sha, bits);
	model_sha_add(&sha, data, len);
	model_sha_end(&sha, out);
}
