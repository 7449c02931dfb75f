/* SPDX-License-Identifier: MIT */
/*
 * The hash of a packet's addresses and ports by which network cards spread packets over queues, and
 * which they report (VIRTIO 1.3, 5.1.6.4.3; Toeplitz, as the verification suite of Microsoft's
 * "Receive Side Scaling" has it).
 */
#ifndef LKVM_FLOW_H
#define LKVM_FLOW_H

#include <sys/uio.h>

#include "lkvm/net.h"
#include "lkvm/types.h"

/* The longest input: two IPv6 addresses and two ports. */
#define TOEPLITZ_MAX 36
/* Bytes at the beginning of a packet in which its headers are looked for. */
#define NET_FLOW_BYTES 256

/* The key, prepared: what each value of each half byte of the input adds to the hash. */
struct toeplitz {
	u32 half[2 * TOEPLITZ_MAX][16];
};

void toeplitz_prepare(struct toeplitz *t, const u8 key[NET_RSS_KEY]);
u32 toeplitz_hash(const struct toeplitz *t, const u8 *input, unsigned int len);

/* What a packet is hashed by. */
struct net_flow {
	u8 input[TOEPLITZ_MAX];
	u8 len;	   /* 0: it has no hash */
	u8 report; /* VIRTIO_NET_HASH_REPORT_* */
};

/*
 * Of the Ethernet frame that begins with the @len bytes @frame, by the types that are switched on
 * (VIRTIO_NET_RSS_HASH_TYPE_*). Fragments have no ports; up to two VLAN tags are stepped over.
 */
void net_flow_of(const u8 *frame, size_t len, u32 types, struct net_flow *flow);

#endif
