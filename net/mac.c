/* SPDX-License-Identifier: MIT */
/*
 * The address of a network card that was given none. Clones share much: containers of one image
 * have one /etc/machine-id, and the same process numbers in namespaces of their own.
 */
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lkvm/net.h"
#include "lkvm/util.h"

/* The inode of the first UTS namespace, PROC_UTS_INIT_INO of Linux. */
#define FIRST_UTS_NAMESPACE 0xeffffffe

static u64 hash_bytes(u64 h, const void *data, size_t len)
{
	/* FNV-1a, 64 bits */
	for (size_t i = 0; i < len; i++)
		h = (h ^ ((const u8 *)data)[i]) * 0x100000001b3ULL;
	return h;
}

/* Images have an empty one, or this word, until their first boot (machine-id(5)). */
static bool read_machine_id(char *id, size_t len)
{
	FILE *f = fopen("/etc/machine-id", "re");
	size_t n;

	if (!f)
		return false;
	n = fread(id, 1, len - 1, f);
	fclose(f);
	id[n] = '\0';
	return n >= 32 && strncmp(id, "uninitialized", 13) != 0;
}

/* Containers have names of hosts of their own. */
static bool in_container(void)
{
	struct stat st;

	return !stat("/proc/self/ns/uts", &st) && st.st_ino != FIRST_UTS_NAMESPACE;
}

static u64 hash_of_host(u64 h)
{
	char id[64], host[256] = "";
	bool known = read_machine_id(id, sizeof(id));

	if (known)
		h = hash_bytes(h, id, strlen(id));
	if ((!known || in_container()) && !gethostname(host, sizeof(host) - 1))
		h = hash_bytes(h, host, strlen(host));
	return h;
}

static u64 any_number(void)
{
	struct timespec now;
	pid_t pid = getpid();
	u64 h;

	if (getrandom(&h, sizeof(h), 0) == sizeof(h))
		return h;
	/* Only where there is no such call. */
	clock_gettime(CLOCK_REALTIME, &now);
	h = hash_bytes(hash_of_host(0xcbf29ce484222325ULL), &now, sizeof(now));
	return hash_bytes(h, &pid, sizeof(pid));
}

void net_make_mac(const char *name, u32 index, u8 mac[6])
{
	u64 h;

	if (name) {
		h = hash_of_host(0xcbf29ce484222325ULL);
		h = hash_bytes(h, name, strlen(name));
		h = hash_bytes(h, &index, sizeof(index));
	} else {
		h = any_number();
	}
	put_le(mac, 6, h ^ h >> 48);
	/* Locally administered, no group address (IEEE 802, 8.2). */
	mac[0] = (u8)((mac[0] & 0xfc) | 0x02);
}
