/* SPDX-License-Identifier: MIT */
/* The Toeplitz hash, half a byte at a time; see flow.h. */
#include "lkvm/flow.h"

/* 32 bits of the key from bit @bit on. */
static u32 window(const u8 key[NET_RSS_KEY], unsigned int bit)
{
	u64 bits = 0;

	for (unsigned int i = 0; i < 5; i++)
		bits = bits << 8 | (bit / 8 + i < NET_RSS_KEY ? key[bit / 8 + i] : 0);
	return (u32)(bits >> (8 - bit % 8));
}

void toeplitz_prepare(struct toeplitz *t, const u8 key[NET_RSS_KEY])
{
	for (unsigned int half = 0; half < 2 * TOEPLITZ_MAX; half++) {
		for (unsigned int value = 0; value < 16; value++) {
			u32 sum = 0;

			for (unsigned int bit = 0; bit < 4; bit++)
				if (value & (8 >> bit))
					sum ^= window(key, 4 * half + bit);
			t->half[half][value] = sum;
		}
	}
}

u32 toeplitz_hash(const struct toeplitz *t, const u8 *input, unsigned int len)
{
	u32 hash = 0;

	for (unsigned int i = 0; i < len; i++)
		hash ^= t->half[2 * i][input[i] >> 4] ^ t->half[2 * i + 1][input[i] & 15];
	return hash;
}
