/* SPDX-License-Identifier: MIT */
/*
 * virtio-net's hash report (VIRTIO 1.3, 5.1.6.4.4): who asks for it finds a hash of addresses and
 * ports in the header of each packet. It is written here but where the back end steers by hashes
 * and reports them.
 */
#include "net.h"

void net_hash_report(const struct virtio_net *net, const struct iovec *iov, unsigned int count)
{
	struct {
		__le32 value;
		__le16 report, unused;
	} tail = { 0 };
	u8 frame[NET_FLOW_BYTES];
	struct net_flow flow;
	size_t len;

	if (net->rules.steering && net->nb->reports)
		return;
	if (net->rules.hashing) {
		/* The driver may change it meanwhile: the copy is what counts. */
		len = iov_to_buf(iov, count, NET_HDR_LEN_HASH, frame, sizeof(frame));
		net_flow_of(frame, len, net->rules.rss.types, &flow);
		tail.value = cpu_to_le32(toeplitz_hash(&net->toeplitz, flow.input, flow.len));
		tail.report = cpu_to_le16(flow.report);
	}
	iov_from_buf(iov, count, NET_HDR_LEN, &tail, sizeof(tail));
}
