/* SPDX-License-Identifier: MIT */
/* The hardware address of a network device that was given none (IEEE 802, 8.2). */
#include <stdio.h>

#include "lkvm/net.h"

static u64 hash_bytes(u64 h, const void *data, size_t len)
{
	/* FNV-1a, 64 bits */
	for (size_t i = 0; i < len; i++)
		h = (h ^ ((const u8 *)data)[i]) * 0x100000001b3ULL;
	return h;
}

void net_make_mac(const char *name, u32 index, u8 mac[6])
{
	u64 h = 0xcbf29ce484222325ULL;
	char id[64] = "";
	FILE *f = fopen("/etc/machine-id", "re");

	if (f) {
		h = hash_bytes(h, id, fread(id, 1, sizeof(id), f));
		fclose(f);
	}
	if (name)
		h = hash_bytes(h, name, strlen(name));
	h = hash_bytes(h, &index, sizeof(index));
	put_le(mac, 6, h ^ h >> 48);
	/* Locally administered, no group address (IEEE 802, 8.2). */
	mac[0] = (u8)((mac[0] & 0xfc) | 0x02);
}
